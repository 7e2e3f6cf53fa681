"""A survey of the headers of pictures: what they have in common, and which conversions make them all alike.

The headers of up to 2,000 pictures, evenly spread, are read at first; any other picture is checked when it is loaded.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from latentry.data.images import from_pixels
from latentry.data.picture_depth import Depth, least_bits
from latentry.data.picture_files import expand_paths
from latentry.data.pictures import (
    Ground,
    Header,
    Picture,
    Shape,
    check_format,
    has_clear_parts,
    largest_value,
    read_header,
    read_pictures,
)
from latentry.names import counted

__all__ = ["PictureSource", "Survey", "blank", "changes", "load_images", "open_images", "blank_notes", "survey"]

HEADERS = 2000
_DECODED = 64
"""Pictures of 16 bits of which the values are looked at."""
_DIM = 64
"""Of 256: colours of 14 bits stay below, where white is that of 16 bits."""


@dataclass(frozen=True)
class Survey:
    """How the pictures of a source are read, so that all are alike."""

    shape: Shape
    """Channels, height and width."""
    fit: bool
    """Whether pictures of another size are resized and cropped."""
    bits: int
    """How many bits grey pictures of 16 bits use, where they do not declare it."""
    notes: tuple[str, ...]
    """What is done to them, and what was decided."""

    def read(self, pictures: Sequence[Picture], ground: Ground = "white") -> UInt8[Tensor, "n c h w"]:
        """Pixels of some pictures of this source, transparent parts laid on this ground.

        Raises:
            ValueError: One is broken, or of another size and not to be fitted.
        """
        return read_pictures(pictures, self.shape, fit=self.fit, bits=self.bits, ground=ground)


@dataclass(frozen=True)
class PictureSource:
    """Pictures without labels, read when they are read."""

    pictures: tuple[Picture, ...]
    """All of them."""
    survey: Survey
    """How they are read."""
    notes: tuple[str, ...]
    """What was left out, what is done to the pictures, and what was decided."""

    def __len__(self) -> int:
        return len(self.pictures)

    def images(self, rows: range) -> Float[Tensor, "n c h w"]:
        """Images in [-1, 1].

        Raises:
            ValueError: A picture is broken.
        """
        return from_pixels(self.survey.read(self.pictures[rows.start : rows.stop : rows.step]))


def survey(picture: Callable[[int], Picture], count: int, image_size: int | None, channels: int | None) -> Survey:
    """What the headers of pictures say: the shape that all will have, in colour if any of them is.

    Args:
        picture: The picture of a number.
        count: How many there are.
        image_size: Side of the square that they are resized and cropped to; as they are by default.
        channels: 1 for grey, 3 for colour; as they are by default.

    Raises:
        ValueError: There is no picture, a header cannot be read, or sizes differ and there is no `image_size`.
    """
    if count < 1:
        raise ValueError("expected at least one picture, got none; check the folder")
    numbers = range(0, count, -(-count // HEADERS))
    headers = {number: read_header(picture(number)) for number in numbers}
    shape = _common_shape(list(headers.values()), image_size, channels)
    bits, depth_notes = _depth({number: header.depth for number, header in headers.items() if header.depth}, picture)
    _check_colours([number for number, header in headers.items() if header.deep_colours], picture)
    frames = sum(header.frames for header in headers.values())
    notes = [
        *changes(Counter(header.shape for header in headers.values()), shape, count),
        *([f"of several frames the first is taken: {counted(frames, 'image')}"] if frames else []),
        *depth_notes,
    ]
    plan = Survey(shape, image_size is not None, bits, tuple(notes))
    clear = [picture(number) for number in _some([number for number, header in headers.items() if header.alpha])]
    return replace(plan, notes=(*plan.notes, *_of_transparency(plan, [each for each in clear if has_clear_parts(each)])))


def blank(names: Sequence[str], x: Shaped[Tensor, "n *s"]) -> list[str]:
    """The names of those images that are of one value all over."""
    items = x.flatten(1)
    return [name for name, one in zip(names, (items == items[:, :1]).all(1).tolist(), strict=True) if one]


def blank_notes(names: Sequence[str]) -> tuple[str, ...]:
    """A note on images of one value all over, if there are any."""
    return (f"of one value all over, so that nothing is seen: {counted(len(names), 'image')}, {names[0]}",) if names else ()


def _of_transparency(plan: Survey, clear: Sequence[Picture]) -> tuple[str, ...]:
    """Notes on pictures with transparent parts, and on those that are of one value without them."""
    if not clear:
        return ()
    laid = f"transparent parts are laid on white, as in {clear[0].name}; where the ink is white, lay them on another ground"
    if len({read_header(each).shape for each in clear}) > 1 and not plan.fit:
        return (laid,)
    return (laid, *blank_notes(blank([each.name for each in clear], plan.read(clear))))


def changes(shapes: Mapping[Shape, int], shape: Shape, count: int) -> tuple[str, ...]:
    """In words, what is done to pictures that must become alike.

    Args:
        shapes: Channels, height and width of those that were looked at, with how many have them.
        shape: What all become.
        count: How many there are in all.
    """
    channels, height, width = shape
    greyed, coloured = (sum(n for (c, _, _), n in shapes.items() if c == depth != channels) for depth in (3, 1))
    cropped = sum(n for (_, h, w), n in shapes.items() if h * width != w * height)
    resized: Counter[tuple[int, int]] = Counter()
    for (_, h, w), n in shapes.items():
        if (h, w) != (height, width):
            resized[h, w] += n
    done = []
    if greyed:
        done.append(f"{greyed:,} from colour to grey")
    if coloured:
        done.append(f"{coloured:,} from grey to three equal channels")
    if cropped:
        done.append(f"{cropped:,} cropped about their centre")
    if resized:
        (h, w), _ = resized.most_common(1)[0]
        others = f" and {len(resized) - 1:,} other sizes" if len(resized) > 1 else ""
        done.append(f"{resized.total():,} resized from {w} x {h}{others} to {width} x {height}")
    read = sum(shapes.values())
    whole = f"of {counted(count, 'image')}" if read == count else f"of {counted(read, 'image')} read among {count:,}"
    return (f"{whole}: {', '.join(done)}",) if done else ()


def open_images(paths: Sequence[str | Path], *, image_size: int, channels: int, once: bool = False) -> PictureSource:
    """Pictures from files and folders (read with their subfolders, sorted), to be read as square images.

    Args:
        paths: Files and folders.
        image_size: Side of the square that they are resized and cropped to.
        channels: 1 for grey, 3 for colour.
        once: Whether a file that is named more than once counts once, and a note says so.

    Raises:
        ValueError: There is no image at a path, a header cannot be read, or `channels` is neither 1 nor 3.
    """
    check_format(image_size, channels)
    listing = expand_paths(paths, once=once)
    pictures = tuple(Picture(str(file), file) for file in listing.pictures)
    plan = survey(lambda number: pictures[number], len(pictures), image_size, channels)
    return PictureSource(pictures, plan, (*listing.notes, *plan.notes))


def load_images(paths: Sequence[str | Path], *, image_size: int, channels: int) -> Float[Tensor, "n c h w"]:
    """Images from files and folders (read with their subfolders, sorted), square, float32 in [-1, 1].

    Raises:
        ValueError: There is no image at a path, a file is no whole image, or `channels` is neither 1 nor 3.
    """
    source = open_images(paths, image_size=image_size, channels=channels)
    return source.images(range(len(source)))


def _common_shape(headers: Sequence[Header], image_size: int | None, channels: int | None) -> Shape:
    first, *others = {header.shape[1:]: header.name for header in headers}.items()
    if image_size is None and others:
        (height, width), name = first
        (other_height, other_width), other_name = others[0]
        raise ValueError(
            f"expected images of one size, got {width} x {height} in {name} and {other_width} x {other_height} in "
            f"{other_name}; pass image_size to resize and crop them"
        )
    height, width = (image_size, image_size) if image_size else first[0]
    return channels or max(header.shape[0] for header in headers), height, width


def _depth(deep: dict[int, Depth], picture: Callable[[int], Picture]) -> tuple[int, list[str]]:
    """How many bits pictures use that do not declare it, by the values of some, and what to say of it."""
    silent = _some([number for number, depth in deep.items() if depth.bits is None])
    if not silent:
        return 16, []
    largest = max(largest_value(picture(number)) for number in silent)
    known = [bits for number in silent if (bits := deep[number].significant)]
    bits = max(least_bits(largest), *(known if largest < 2 ** max(known, default=0) else []), 0)
    if bits == 16:
        return 16, []
    return bits, [
        f"grey of 16 bits that does not say how many it uses is read as of {bits}, {2**bits - 1:,} being white, since "
        f"{largest:,} is the largest value of {len(silent):,} looked at"
    ]


def _check_colours(deep: Sequence[int], picture: Callable[[int], Picture]) -> None:
    """Make sure that colours of 16 bits use all of them: Pillow gives the upper 8 alone.

    Raises:
        ValueError: They use fewer.
    """
    some = _some(deep)
    largest = max((largest_value(picture(number)) for number in some), default=0)
    if 0 < largest < _DIM:
        raise ValueError(
            f"expected colours that use all 16 bits in {picture(some[0]).name}, got none above {256 * largest + 255:,} of "
            f"65,535 in {len(some):,} pictures, as of a camera of fewer bits; save them with 8 bits a colour"
        )


def _some(numbers: Sequence[int]) -> Sequence[int]:
    """Up to 64 of these, evenly spread."""
    return numbers[:: -(-len(numbers) // _DECODED) or 1]
