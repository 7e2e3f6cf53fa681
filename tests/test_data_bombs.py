"""What is declared is weighed before it is unpacked: no file of a few bytes takes the memory."""

import io
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latentry import memory
from latentry.data import LabelledImages, load_dataset, load_images
from latentry.data.features import featured

COMMENT = b"comment\0\0" + zlib.compress(bytes(2**26), 9)
"""64 MiB of text in 64 KiB."""


def declared_png(side: int) -> bytes:
    """A PNG whose header declares so many pixels a side, of which few are there."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    chunks = [struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def frugal() -> Iterator[None]:
    """Fails a test that takes 64 MiB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


@pytest.mark.usefixtures("frugal")
@pytest.mark.parametrize("side", [13_000, 20_000, 2**31 - 1])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_pictures_of_too_many_pixels_are_refused_by_their_headers(tmp_path: Path, side: int, action: str) -> None:
    (tmp_path / "cat").mkdir()
    for number in range(4):
        (tmp_path / f"cat/{number}.png").write_bytes(declared_png(side))
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        for read in (
            lambda: load_dataset(tmp_path, image_size=8),
            lambda: load_images([tmp_path], image_size=8, channels=1),
        ):
            with pytest.raises(ValueError, match=r"whole image .* in .*/cat/0\.png, got .*pixels.*; replace or remove"):
                read()


def test_what_cannot_be_decoded_at_once_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(declared_png(5000))
    monkeypatch.setattr(memory, "free_memory", lambda: 2**29)
    with pytest.raises(ValueError, match=r"pictures of 5000 x 5000 to fit in 0\.40 GiB of memory.*make them smaller"):
        load_images([path], image_size=8, channels=1)


def unread(items: torch.Tensor) -> torch.Tensor:
    raise AssertionError("nothing is read that does not fit")


def test_more_images_than_the_memory_holds_are_refused_before_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    many = LabelledImages(
        "faces", (3, 1024, 1024), unread, torch.zeros(10_000, dtype=torch.int64), ("a",), items=torch.arange(10_000)
    )
    monkeypatch.setattr(memory, "free_memory", lambda: 2**33)
    with pytest.raises(ValueError, match=r"10,000 images of faces to fit in 6\.40 GiB .*, got 263\.67 GiB; take fewer or"):
        many.images()


@pytest.mark.usefixtures("frugal")
def test_levels_of_more_classes_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 50_000
    names = tuple(map(str, range(count)))
    many = LabelledImages("kinds", (1, 1, 1), unread, torch.arange(count), names, items=torch.arange(count))
    monkeypatch.setattr(memory, "free_memory", lambda: 2**33)
    with pytest.raises(ValueError, match=r"levels of 50,000 classes to fit in"):
        featured(many)


@pytest.mark.usefixtures("frugal")
def test_text_in_a_picture_is_not_unpacked_without_end(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, format="PNG")
    chunk = struct.pack(">I", len(COMMENT)) + b"zTXt" + COMMENT + struct.pack(">I", zlib.crc32(b"zTXt" + COMMENT))
    path = tmp_path / "a.png"
    path.write_bytes(buffer.getvalue()[:33] + chunk + buffer.getvalue()[33:])
    with pytest.raises(ValueError, match=r"whole image .* in .*a\.png, got"):
        load_images([path], image_size=4, channels=1)
