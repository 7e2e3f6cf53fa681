"""From encoded pictures to pixels of one shape, with Pillow.

Grey or colour: with `channels` 1 or 3 every picture is converted, whatever it was. Transparency is laid on white, a palette
is resolved, 16-bit grey is scaled to 8 bits, a camera's rotation (EXIF) is applied, and of an animation the first frame is
taken. With `image_size` the shorter side is brought to that size and the longer one cropped about the centre, with Lanczos'
filter, whose support grows with the reduction, so that no aliasing arises.
"""

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from latentry.data.images import from_pixels

__all__ = [
    "Picture",
    "check_format",
    "common_shape",
    "convert_pixels",
    "expand_paths",
    "image_files",
    "load_images",
    "read_pictures",
]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)
THREADS = min(4, os.cpu_count() or 1)

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """One encoded picture and the name that errors give it."""

    name: str
    file: Path | bytes


def load_images(paths: Sequence[str | Path], *, image_size: int, channels: int) -> Float[Tensor, "n c h w"]:
    """Images from files and folders (read with their subfolders, sorted), square, float32 in [-1, 1].

    Raises:
        ValueError: There is no image at a path, a file is no whole image, or `channels` is neither 1 nor 3.
    """
    check_format(image_size, channels)
    shape = (channels, image_size, image_size)
    return from_pixels(read_pictures([Picture(str(file), file) for file in expand_paths(paths)], shape, fit=True))


def expand_paths(paths: Sequence[str | Path]) -> list[Path]:
    """The image files that these paths of files and folders stand for, in the order that `load_images` reads them.

    Raises:
        ValueError: There are no paths, or a folder has no image.
    """
    files = [file for path in paths for file in _expanded(Path(path).expanduser())]
    if not files:
        raise ValueError("expected paths of images or folders, got none; name at least one")
    return files


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and its subfolders, sorted; hidden files and folders are left out."""
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def check_format(image_size: int | None, channels: int | None) -> None:
    """Make sure that a size and a number of channels can be had.

    Raises:
        ValueError: They cannot.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"expected channels 1 (grey) or 3 (colour), got {channels}; leave it out to keep the source's own")
    if image_size is not None and image_size < 1:
        raise ValueError(f"expected a positive image_size, got {image_size}; leave it out to keep the source's own")


def common_shape(pictures: Iterable[Picture], image_size: int | None, channels: int | None) -> Shape:
    """The shape that all pictures will have, from their headers alone; colour if any of them is in colour.

    Raises:
        ValueError: There is no picture, a header cannot be read, or sizes differ and there is no `image_size`.
    """
    shapes = {_header(picture): picture.name for picture in pictures}
    if not shapes:
        raise ValueError("expected at least one picture, got none; check the folder")
    first, *others = {(height, width): name for (_, height, width), name in shapes.items()}.items()
    if image_size is None and others:
        raise ValueError(_sizes_differ(first, others[0]))
    height, width = (image_size, image_size) if image_size else first[0]
    return channels or max(depth for depth, _, _ in shapes), height, width


def read_pictures(pictures: Sequence[Picture], shape: Shape, *, fit: bool) -> UInt8[Tensor, "n c h w"]:
    """Pixels of pictures, decoded by a few threads.

    Args:
        pictures: What to decode.
        shape: Channels, height and width of the result.
        fit: Whether a picture of another size is resized and cropped; an error otherwise.

    Raises:
        ValueError: A picture is broken, or of another size and not to be fitted.
    """
    pixels = torch.empty(len(pictures), *shape, dtype=torch.uint8)
    with ThreadPoolExecutor(THREADS) as pool:
        for row, image in zip(pixels, pool.map(lambda picture: _read(picture, shape, fit), pictures), strict=True):
            row.copy_(image)
    return pixels


def convert_pixels(
    pixels: UInt8[Tensor, "n c h w"], image_size: int | None, channels: int | None
) -> UInt8[Tensor, "n d s t"]:
    """Pixels in memory brought to another size and number of channels, exactly as pictures on disk are."""
    _, depth, height, width = pixels.shape
    shape = (channels or depth, image_size or height, image_size or width)
    if shape == (depth, height, width):
        return pixels
    return torch.stack([_fitted(Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()), shape) for image in pixels])


def _expanded(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if files := image_files(path):
        return files
    raise ValueError(
        f"expected images in the folder {path}, found none; it must hold files that end in {', '.join(SUFFIXES)}"
    )


@contextmanager
def _opened(picture: Picture) -> Iterator[Image.Image]:
    """A picture whose header is read; what goes wrong with it in the block becomes one error that names it."""
    try:
        with Image.open(BytesIO(picture.file) if isinstance(picture.file, bytes) else picture.file) as image:
            yield image
    except FileNotFoundError:
        raise ValueError(f"expected an image at {picture.name}, found none; check its name") from None
    except BROKEN as error:
        raise ValueError(
            f"expected a whole image of 8 or 16 bits in {picture.name}, got {type(error).__name__}: {error}; "
            "replace or remove the file"
        ) from None


def _header(picture: Picture) -> Shape:
    with _opened(picture) as image:
        turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) > 4
        width, height = image.size[::-1] if turned else image.size
        return (1 if image.mode in GREY_MODES else 3), height, width


def _read(picture: Picture, shape: Shape, fit: bool) -> UInt8[Tensor, "c h w"]:
    with _opened(picture) as image:
        upright = ImageOps.exif_transpose(image) if "exif" in image.info else image
        size = (upright.height, upright.width)
        if fit or size == shape[1:]:
            return _fitted(upright, shape)
    raise ValueError(_sizes_differ((shape[1:], "the first images"), (size, picture.name)))


def _fitted(image: Image.Image, shape: Shape) -> UInt8[Tensor, "c h w"]:
    """Pixels of an image in grey or colour, its shorter side resized and its longer one cropped about the centre."""
    channels, height, width = shape
    fitted = ImageOps.fit(_plain(image, "L" if channels == 1 else "RGB"), (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).reshape(height, width, channels).permute(2, 0, 1)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """An image as 8-bit grey (L) or colour (RGB), without palette, transparency or 16-bit grey."""
    if image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.mode == "F":
        raise ValueError("its pixels are floating point numbers")
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert(mode)


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError("its pixels need more than 16 bits")
    return ((grey.astype(np.int64) + 128) // 257).astype(np.uint8)


def _sizes_differ(one: tuple[tuple[int, int], str], other: tuple[tuple[int, int], str]) -> str:
    ((height, width), name), ((other_height, other_width), other_name) = one, other
    return (
        f"expected images of one size, got {width} x {height} in {name} and {other_width} x {other_height} in {other_name}; "
        "pass image_size to resize and crop them"
    )
