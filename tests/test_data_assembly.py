import io

import pytest
import torch
from PIL import Image

from latentry.data import assembly
from latentry.data.assembly import in_memory, streamed
from latentry.data.labels import Labels
from latentry.data.pictures import Picture

LABELS = Labels(torch.arange(9) % 3, tuple("abc"))


def picture(item: int, side: int = 4) -> Picture:
    buffer = io.BytesIO()
    Image.new("L", (side, side), item).save(buffer, format="PNG")
    return Picture(f"picture {item}", buffer.getvalue())


def test_memory_and_stream_give_the_same_items() -> None:
    pixels = torch.arange(9, dtype=torch.uint8).reshape(9, 1, 1, 1).expand(9, 1, 4, 4)
    held = in_memory("toys", pixels, LABELS, image_size=2, channels=3)
    stream = streamed("toys", picture, LABELS, image_size=2, channels=3)
    assert held.fingerprint() == stream.fingerprint()


def test_reading_nothing_gives_nothing() -> None:
    assert streamed("toys", picture, LABELS, image_size=None, channels=None).images([]).shape == (0, 1, 4, 4)


def test_few_headers_are_read_first_and_the_others_judged_when_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "HEADERS", 3)
    opened: list[int] = []

    def odd_one_out(item: int) -> Picture:
        opened.append(item)
        return picture(item, side=5 if item == 4 else 4)

    data = streamed("toys", odd_one_out, LABELS, image_size=None, channels=None)
    assert opened == [0, 3, 6]
    with pytest.raises(ValueError, match="4 x 4 in the first images and 5 x 5 in picture 4; pass image_size"):
        data.images()
