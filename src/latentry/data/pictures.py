"""Decoding pictures to pixels of one shape, with Pillow.

Grey or colour: with `channels` 1 or 3 every picture is converted, whatever it was. Transparency is laid on white (of a mask
on black: `ground`), a palette is resolved, grey of 16 bits is scaled to 8 by the depth that it uses
(`latentry.data.picture_depth`), a camera's rotation is applied, stored as EXIF or as XMP in any format, and of several
frames the first is taken. With `image_size` the shorter side is brought to that size and the longer one cropped about the
centre, with Lanczos' filter, whose support grows with the reduction, so that no aliasing arises. Before anything is decoded
its size is read from the header, and refused beyond `PIL.Image.MAX_IMAGE_PIXELS` or the memory that is free.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from latentry.data.picture_depth import BinaryFile, Depth, eight_bits, floats_as_bytes, least_bits, png_chunks
from latentry.data.picture_files import picture_formats
from latentry.memory import check_memory

__all__ = [
    "Ground",
    "Header",
    "Picture",
    "check_format",
    "convert_pixels",
    "has_clear_parts",
    "largest_value",
    "read_header",
    "read_pictures",
]

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
THREADS = min(4, os.cpu_count() or 1)
_SIDEWAYS = (5, 6, 7, 8)
_TELLING = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_OPAQUE = 255
_DECODING = 12
"""Bytes for each pixel of a picture while it is decoded."""

Shape = tuple[int, int, int]
Ground = Literal["white", "black"]
"""What transparent parts of a picture are laid on."""


@dataclass(frozen=True)
class Picture:
    """One encoded picture and the name that errors give it."""

    name: str
    file: Path | bytes


@dataclass(frozen=True)
class Header:
    """What is known of a picture before it is decoded."""

    name: str
    """What errors call it."""
    shape: Shape
    """Channels, height and width, upright."""
    depth: Depth | None = None
    """Of its values, where they are grey of 16 bits."""
    deep_colours: bool = False
    """Whether its colours have 16 bits, of which Pillow gives the upper 8."""
    frames: bool = False
    """Whether it has more than one frame."""
    alpha: bool = False
    """Whether it may have transparent parts."""


def check_format(image_size: int | None, channels: int | None) -> None:
    """Make sure that a size and a number of channels can be had.

    Raises:
        ValueError: They cannot.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"expected channels 1 (grey) or 3 (colour), got {channels}; leave it out to keep the source's own")
    if image_size is not None and image_size < 1:
        raise ValueError(f"expected a positive image_size, got {image_size}; leave it out to keep the source's own")


def read_header(picture: Picture) -> Header:
    """What the header of a picture says.

    Raises:
        ValueError: There is no picture, it is broken, or has too many pixels.
    """
    with _opened(picture) as (image, chunks):
        grey = image.mode in GREY_MODES
        width, height = image.size[::-1] if _lies_sideways(image, chunks) else image.size
        return Header(
            picture.name,
            (1 if grey else 3, height, width),
            depth=Depth.of(image, chunks) if image.mode.startswith("I") else None,
            deep_colours=not grey and _has_deep_samples(image),
            frames=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
            alpha=image.has_transparency_data,
        )


def largest_value(picture: Picture) -> int:
    """The largest value of the pixels of a picture as they are stored.

    Raises:
        ValueError: The picture is broken, or its values need more than 16 bits.
    """
    with _opened(picture) as (image, _):
        values = np.asarray(image)
        for value in (values.min(), values.max()):
            least_bits(int(value))  # refuses what 16 bits do not hold
        return int(values.max())


def has_clear_parts(picture: Picture) -> bool:
    """Whether any pixel of a picture is less than opaque.

    Raises:
        ValueError: The picture is broken.
    """
    with _opened(picture) as (image, _):
        return image.has_transparency_data and int(np.asarray(image.convert("RGBA"))[..., 3].min()) < _OPAQUE


def read_pictures(
    pictures: Sequence[Picture], shape: Shape, *, fit: bool, bits: int = 16, ground: Ground = "white"
) -> UInt8[Tensor, "n c h w"]:
    """Pixels of pictures, decoded by a few threads.

    Args:
        pictures: What to decode.
        shape: Channels, height and width of the result.
        fit: Whether a picture of another size is resized and cropped; an error otherwise.
        bits: How many bits the values of grey pictures of 16 bits use that do not declare it.
        ground: What transparent parts are laid on.

    Raises:
        ValueError: A picture is broken, or of another size and not to be fitted.
    """
    check_memory(len(pictures) * int(np.prod(shape)), f"{len(pictures):,} images", "read fewer at once, or smaller ones")
    pixels = torch.empty(len(pictures), *shape, dtype=torch.uint8)

    def read(picture: Picture) -> Tensor:
        return _read(picture, shape, fit, bits, ground)

    with ThreadPoolExecutor(THREADS) as pool:
        for row, image in zip(pixels, pool.map(read, pictures), strict=True):
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


@contextmanager
def _opened(picture: Picture) -> Iterator[tuple[Image.Image, dict[bytes, bytes]]]:
    """A picture and the chunks of a PNG; whatever goes wrong with it in the block becomes one error that names it."""
    try:
        with _file(picture) as file:
            chunks = png_chunks(file)
            file.seek(0)
            with Image.open(file, formats=picture_formats()) as image:
                _check_size(image)
                yield image, chunks
    except FileNotFoundError:
        raise ValueError(f"expected an image at {picture.name}, found none; check its name") from None
    except UnidentifiedImageError:
        raise ValueError(
            f"expected a whole image of 8 or 16 bits in {picture.name}, got a file that is no picture or of a kind that is "
            "not read; replace or remove the file"
        ) from None
    except Exception as error:  # a decoder may raise anything over broken bytes
        raise ValueError(
            f"expected a whole image of 8 or 16 bits in {picture.name}, got {type(error).__name__}: {error}; "
            "replace or remove the file"
        ) from None


def _file(picture: Picture) -> BinaryFile:
    if isinstance(picture.file, bytes):
        return BytesIO(picture.file)
    if not stat.S_ISREG(picture.file.stat().st_mode):  # a pipe would wait for ever
        raise ValueError("it is a folder, pipe, socket or device")
    return picture.file.open("rb")


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise ValueError(
            f"its {width} x {height} pixels are more than the {Image.MAX_IMAGE_PIXELS:,} of PIL.Image.MAX_IMAGE_PIXELS"
        )
    check_memory(_DECODING * width * height * THREADS, f"pictures of {width} x {height}", "make them smaller")


def _lies_sideways(image: Image.Image, chunks: dict[bytes, bytes]) -> bool:
    """Whether the orientation exchanges width and height, which Pillow does by itself for the tag of a TIFF."""
    if image.format == "PNG" and not any(name in chunks for name in _TELLING):
        return False  # Pillow would decode all of it to look
    if ExifTags.Base.Orientation in getattr(image, "tag_v2", {}):
        return False
    return image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS


def _has_deep_samples(image: Image.Image) -> bool:
    """Whether each channel is stored with 16 bits."""
    return image.format in ("PNG", "TIFF") and ";16" in str([tile.args for tile in getattr(image, "tile", ())])


def _read(picture: Picture, shape: Shape, fit: bool, bits: int, ground: Ground) -> UInt8[Tensor, "c h w"]:
    with _opened(picture) as (image, chunks):
        depth = Depth.of(image, chunks)
        upright = _eight_bit(ImageOps.exif_transpose(image), depth.bits or bits, depth.inverted)
        size = (upright.height, upright.width)
        if fit or size == shape[1:]:
            return _fitted(upright, shape, ground)
    raise ValueError(
        f"expected images of one size, got {shape[2]} x {shape[1]} in the first images and {size[1]} x {size[0]} in "
        f"{picture.name}; pass image_size to resize and crop them"
    )


def _fitted(image: Image.Image, shape: Shape, ground: Ground = "white") -> UInt8[Tensor, "c h w"]:
    """Pixels of an image in grey or colour, its shorter side resized and its longer one cropped about the centre."""
    channels, height, width = shape
    fitted = ImageOps.fit(_plain(image, "L" if channels == 1 else "RGB", ground), (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).reshape(height, width, channels).permute(2, 0, 1)


def _eight_bit(image: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """An image of 16 bits or real numbers as grey of 8 bits; others as they are."""
    if image.mode.startswith("I"):
        return Image.fromarray(eight_bits(np.asarray(image), bits, inverted=inverted))
    if image.mode == "F":
        return Image.fromarray(floats_as_bytes(np.asarray(image)))
    return image


def _plain(image: Image.Image, mode: str, ground: Ground) -> Image.Image:
    """An image as 8-bit grey (L) or colour (RGB), without palette, its transparent parts laid on a ground."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, ground), layer)
    return image.convert(mode)
