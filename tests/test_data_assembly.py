import io
import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from latentry.data import load_dataset, survey
from latentry.data.assembly import in_memory, streamed
from latentry.data.labels import Labels
from latentry.data.pictures import Picture
from latentry.training.batches import as_it_is

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


@pytest.mark.parametrize("name", ["digits", "painted-digits", "stroke-digits", "folder"])
def test_what_was_pickled_reads_the_same_pixels(tmp_path: Path, name: str) -> None:
    if name == "folder":
        (tmp_path / "cat").mkdir()
        Image.new("L", (4, 4), 7).save(tmp_path / "cat/a.png")
    data = load_dataset(tmp_path if name == "folder" else name, image_size=32 if name == "painted-digits" else None)
    part = data.take(data.items[:3])
    assert pickle.loads(pickle.dumps(part)).fingerprint() == part.fingerprint()


def test_a_worker_that_is_started_anew_reads_the_same_batches() -> None:
    data = load_dataset("digits").split("validation").take(torch.arange(6))
    with_workers = {"num_workers": 1, "multiprocessing_context": "spawn"}
    read, spawned = (
        [x for x, _ in DataLoader(data, batch_size=2, collate_fn=as_it_is, generator=torch.Generator(), **how)]  # type: ignore[arg-type]
        for how in ({}, with_workers)
    )
    assert torch.stack(read).equal(torch.stack(spawned))


def test_few_headers_are_read_first_and_the_others_judged_when_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "HEADERS", 3)
    opened: list[int] = []

    def odd_one_out(item: int) -> Picture:
        opened.append(item)
        return picture(item, side=5 if item == 4 else 4)

    data = streamed("toys", odd_one_out, LABELS, image_size=None, channels=None)
    assert opened == [0, 3, 6]
    with pytest.raises(ValueError, match="4 x 4 in the first images and 5 x 5 in picture 4; pass image_size"):
        data.images()
