"""However a camera's rotation is stored, a picture stands upright, and its header says so before it is decoded."""

import io
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from latentry.data.pictures import Picture, read_header, read_pictures

STORED = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}
"""What the eight values of the tag mean, by the standard."""


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def xmp(orientation: int, element: bool = False) -> bytes:
    inner = f"><tiff:Orientation>{orientation}</tiff:Orientation" if element else f' tiff:Orientation="{orientation}"'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description{inner}></rdf:Description></x:xmpmeta>'.encode()


def png_text(orientation: int) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp(orientation).decode())
    return text


WAYS: dict[str, Callable[[int], dict[str, object]]] = {
    "png exif": lambda o: {"format": "PNG", "exif": exif(o)},
    "png xmp": lambda o: {"format": "PNG", "pnginfo": png_text(o)},
    "webp exif": lambda o: {"format": "WEBP", "lossless": True, "exif": exif(o)},
    "webp xmp": lambda o: {"format": "WEBP", "lossless": True, "xmp": xmp(o)},
    "tiff tag": lambda o: {"format": "TIFF", "tiffinfo": {0x0112: o}},
    "tiff xmp": lambda o: {"format": "TIFF", "tiffinfo": {700: xmp(o)}},
    "jpeg exif": lambda o: {"format": "JPEG", "quality": 100, "exif": exif(o)},
    "jpeg xmp": lambda o: {"format": "JPEG", "quality": 100, "xmp": xmp(o, element=True)},
}


def encoded(orientation: int, way: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(STORED).save(buffer, **WAYS[way](orientation))  # type: ignore[arg-type]
    return buffer.getvalue()


def exif_behind_the_pixels(content: bytes) -> bytes:
    """A PNG with its chunk eXIf after the pixels, where the standard allows it too."""
    at = content.index(b"eXIf") - 4
    size = 12 + int.from_bytes(content[at : at + 4], "big")
    chunk, end = content[at : at + size], content.index(b"IEND") - 4
    moved = content[:at] + content[at + size : end] + chunk + content[end:]
    assert zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
    return moved


def check(content: bytes, orientation: int, tolerance: int) -> None:
    expected = UPRIGHT[orientation](STORED)
    picture, shape = Picture("camera", content), (1, *expected.shape)
    assert read_header(picture).shape[1:] == expected.shape
    pixels = read_pictures([picture], (1, *expected.shape), fit=False)[0]
    assert pixels.shape == shape
    assert np.abs(pixels[0].numpy().astype(int) - expected).max() <= tolerance
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(pixels[0].numpy(), np.asarray(ImageOps.exif_transpose(image).convert("L")))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_stands_upright_however_its_orientation_is_stored(orientation: int, way: str) -> None:
    check(encoded(orientation, way), orientation, tolerance=12 if "jpeg" in way else 3 if "webp" in way else 0)


def test_a_png_may_tell_its_orientation_behind_the_pixels() -> None:
    check(exif_behind_the_pixels(encoded(6, "png exif")), 6, tolerance=0)


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_an_orientation_that_the_standard_does_not_know_turns_nothing(orientation: int) -> None:
    picture = Picture("camera", encoded(orientation, "png exif"))
    assert read_header(picture).shape == (1, 6, 8)
    assert np.array_equal(read_pictures([picture], (1, 6, 8), fit=False)[0, 0].numpy(), STORED)
