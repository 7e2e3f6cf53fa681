"""White is white, whatever number a file writes it as."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentry.data import load_dataset, load_images, to_pixels
from latentry.data.picture_depth import DEPTHS, eight_bits
from latentry.data.pictures import Picture, read_pictures
from latentry.data.survey import Survey, survey

RAMP = np.linspace(0, 1, 12).reshape(3, 4)
"""Of brightness, from black to white."""
BYTES = (255 * RAMP).round().astype(np.uint8)


def values(bits: int, ramp: np.ndarray = RAMP) -> np.ndarray:
    return (ramp * (2**bits - 1)).round().astype(np.uint16)


def encoded(image: np.ndarray, name: str = "picture", **options: object) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **{"format": "PNG", **options})  # type: ignore[arg-type]
    return Picture(name, buffer.getvalue())


def with_chunk(picture: Picture, name: bytes, content: bytes) -> Picture:
    """A PNG with one more chunk, behind its header."""
    assert isinstance(picture.file, bytes)
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return Picture(picture.name, picture.file[:33] + chunk + picture.file[33:])


def packed_tiff(bits: int, ramp: np.ndarray = RAMP) -> Picture:
    """A TIFF whose values have 12 bits on disk too, two of them in three bytes."""
    flat = values(bits, ramp).flatten().astype(int)
    pairs = flat.reshape(-1, 2)
    strip = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)
    tags = [(256, 4), (257, 3), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 3), (279, len(strip))]
    entries = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    return Picture(
        "packed", b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + b"\0" * 4
    )


def looked_at(*pictures: Picture) -> Survey:
    return survey(pictures.__getitem__, len(pictures), None, None)


def brightness(*pictures: Picture) -> np.ndarray:
    """Pixels of the last of these pictures."""
    return looked_at(*pictures).read(pictures)[-1, 0].numpy()


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_a_ramp_from_black_to_white_is_one_at_any_depth(bits: int, form: str) -> None:
    assert np.abs(brightness(encoded(values(bits), format=form)).astype(int) - BYTES).max() <= 1


@pytest.mark.parametrize("bits", DEPTHS)
def test_scaling_to_8_bits_is_rounding_to_the_nearest(bits: int) -> None:
    every = np.arange(2**bits)
    assert np.array_equal(eight_bits(every, bits), np.floor(every * 255 / (2**bits - 1) + 0.5))
    assert np.array_equal(eight_bits(every, bits, inverted=True), eight_bits(every[::-1], bits))


def test_one_depth_is_taken_for_all_pictures_and_said() -> None:
    dark, bright = encoded(values(12, RAMP / 8)), encoded(values(12))
    plan = looked_at(dark, bright)
    assert np.abs(plan.read([dark])[0, 0].numpy() - BYTES / 8.0).max() <= 1
    assert plan.notes == (
        "grey of 16 bits that does not say how many it uses is read as of 12, 4,095 being white, since 4,095 is the largest "
        "value of 2 looked at",
    )


def test_a_picture_beyond_the_depth_of_the_others_is_an_error_not_a_white_spot() -> None:
    plan = looked_at(encoded(values(12)))
    with pytest.raises(ValueError, match=r"in late, got .* \[0, 65535\] where 12 bits hold 0 to 4095"):
        plan.read([encoded(values(16), "late")])


def test_a_png_says_how_many_bits_its_values_have_unless_they_are_scaled() -> None:
    dim = encoded(values(12, RAMP / 8))
    assert np.abs(brightness(with_chunk(dim, b"sBIT", bytes([12]))) - BYTES / 8.0).max() <= 1
    scaled = with_chunk(encoded(values(16)), b"sBIT", bytes([12]))
    assert np.abs(brightness(scaled).astype(int) - BYTES).max() <= 1


def test_a_tiff_says_how_many_bits_it_stores() -> None:
    picture = packed_tiff(12, RAMP / 8)
    assert looked_at(picture).notes == ()
    assert np.abs(brightness(picture) - BYTES / 8.0).max() <= 1


def test_a_tiff_says_which_value_is_white() -> None:
    picture = encoded(values(12, RAMP / 8), format="TIFF", tiffinfo={281: 4095})
    assert looked_at(picture).notes == ()
    assert np.abs(brightness(picture) - BYTES / 8.0).max() <= 1


def test_in_a_tiff_zero_may_be_white() -> None:
    picture = encoded(values(16), format="TIFF", tiffinfo={262: 0})
    assert np.abs(brightness(picture).astype(int) - BYTES[::-1, ::-1]).max() <= 1


@pytest.mark.parametrize("largest", [1000, 4095, 65535])
def test_a_pgm_says_which_value_is_white(largest: int) -> None:
    content = b"P5 4 3 %d\n" % largest + (RAMP * largest).round().astype(">u2").tobytes()
    assert looked_at(Picture("pgm", content)).notes == ()
    assert np.abs(brightness(Picture("pgm", content)).astype(int) - BYTES).max() <= 1


def test_big_endian_values_are_the_same_numbers() -> None:
    content = encoded(values(12), format="TIFF").file
    with Image.open(io.BytesIO(content)) as image:  # type: ignore[arg-type]
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(image).astype(">u2")).save(buffer, format="TIFF")
    assert np.array_equal(brightness(Picture("big", buffer.getvalue())), brightness(encoded(values(12))))


def test_real_numbers_from_0_to_1_are_black_to_white() -> None:
    assert np.array_equal(brightness(encoded(RAMP.astype(np.float32), format="TIFF")), BYTES)


@pytest.mark.parametrize("low", [-1.0, 0.0])
@pytest.mark.parametrize("high", [255.0, 1.01, np.nan])
def test_real_numbers_beyond_0_and_1_are_refused(low: float, high: float) -> None:
    pixels = np.array([[low, high]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"in lamp, got ValueError: its real numbers lie in .* 0 is black and 1 is white"):
        brightness(encoded(pixels, "lamp", format="TIFF"))


def deep_colours(largest: int) -> Picture:
    """A PNG of colours of 16 bits."""
    rows = np.full((3, 4, 3), largest).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    plain = encoded(np.zeros((3, 4, 3), np.uint8), "deep").file
    assert isinstance(plain, bytes)
    header = struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts]
    return Picture("deep", plain[:8] + b"".join(chunks))


def test_colours_of_12_bits_in_16_are_refused_instead_of_black() -> None:
    assert read_pictures([deep_colours(65535)], (3, 3, 4), fit=False).unique().tolist() == [255]
    assert looked_at(deep_colours(65535), deep_colours(4095)).shape == (3, 3, 4)
    with pytest.raises(ValueError, match=r"all 16 bits in deep, got none above 4,095 of 65,535"):
        looked_at(deep_colours(4095))


def test_files_and_data_sets_are_scaled_alike(tmp_path: Path) -> None:
    for number, scale in enumerate((0.1, 0.5, 1.0)):
        path = tmp_path / "scans" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values(12, np.full((4, 4), scale))).save(path)
    data = load_dataset(tmp_path)
    assert data.read(data.items)[:, 0, 0, 0].tolist() == [26, 128, 255]
    assert to_pixels(load_images([tmp_path], image_size=4, channels=1))[:, 0, 0, 0].tolist() == [26, 128, 255]
    assert "4,095 being white" in "".join(data.notes)
