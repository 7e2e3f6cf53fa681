import pickle
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from latentry.data import load_dataset, to_pixels

FEATURES = datasets.Features(
    {"id": datasets.Value("int64"), "img": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])}
)


def rows(first: int, count: int, **columns: list[Any]) -> datasets.Dataset:
    """Uniform images of intensities first, first + 1, ... and alternating classes."""
    numbers = range(first, first + count)
    table = {
        "id": list(numbers),
        "img": [Image.fromarray(np.full((3, 4), number, dtype=np.uint8)) for number in numbers],
        "kind": [number % 2 for number in numbers],
    }
    known = {name: cells for name, cells in (table | columns).items() if name in FEATURES}
    made = datasets.Dataset.from_dict(known, features=FEATURES)
    for name in [name for name in columns if name not in known]:
        made = made.add_column(name, columns[name])
    return made


PARTS = datasets.DatasetDict({"train": rows(0, 24), "test": rows(24, 4), "unlabelled": rows(28, 2)})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """The calls that reach a hub which holds one data set, `toys`."""
    calls: list[tuple[str, str | None]] = []

    def load(name: str, config: str | None = None) -> datasets.DatasetDict:
        calls.append((name, config))
        if name != "toys":
            raise FileNotFoundError(f"{name} is not on the hub")
        return PARTS

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


@pytest.mark.parametrize(("source", "call"), [("hf:toys", ("toys", None)), ("hf:toys@small", ("toys", "small"))])
def test_a_name_and_a_configuration_reach_the_hub(hub: list[Any], source: str, call: tuple[str, str | None]) -> None:
    data = load_dataset(source)
    assert hub == [call]
    assert (data.shape, data.class_names) == ((1, 3, 4), ("cat", "dog"))


@pytest.mark.usefixtures("hub")
def test_images_keep_their_classes_and_published_splits() -> None:
    data = load_dataset("hf:toys")
    assert {name: len(items) for name, items in data.splits.items()} == {"train": 22, "validation": 2, "held-out": 4}
    held_out = data.split("held-out")
    assert to_pixels(held_out.images())[:, 0, 0, 0].tolist() == [24, 25, 26, 27]
    assert held_out.labels.tolist() == [0, 1, 0, 1]


def test_a_folder_saved_to_disk_is_read(tmp_path: Path) -> None:
    PARTS.save_to_disk(tmp_path / "toys")
    data = load_dataset(f"hf:{tmp_path / 'toys'}", image_size=2, channels=3)
    assert (data.name, len(data)) == ("toys", 28)
    assert to_pixels(data.images([5, 27])).unique().tolist() == [5, 27]
    assert data.images([0]).shape == (1, 3, 2, 2)


def test_rows_without_splits_are_split_here(tmp_path: Path) -> None:
    rows(0, 20).save_to_disk(tmp_path / "toys")
    data = load_dataset(f"hf:{tmp_path / 'toys'}")
    assert [len(items) for items in data.splits.values()] == [16, 2, 2]


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (rows(0, 2).remove_columns("img"), "expected a column of type Image in hf:.*toys, got .*'id'"),
        (rows(0, 2).remove_columns("kind"), "expected a column of type ClassLabel in hf:.*toys.*cast_column"),
        (rows(0, 2, kind=[1, -1]), "expected a class for every item of hf:.*toys, got none for 1, the first 1"),
        (rows(0, 2, kind=[None, 1]), "got none for 1, the first 0"),
        (rows(0, 2, img=[None, None]), "expected an image in .*toys, item 0, got none"),
        (rows(0, 1, img=[{"bytes": b"no image", "path": None}]), "expected a whole image .*toys, item 0"),
    ],
    ids=["no images", "no classes", "unlabelled", "label missing", "image missing", "broken image"],
)
def test_what_is_wrong_with_the_rows_is_said(tmp_path: Path, saved: datasets.Dataset, message: str) -> None:
    saved.save_to_disk(tmp_path / "toys")
    with pytest.raises(ValueError, match=message):
        load_dataset(f"hf:{tmp_path / 'toys'}")


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"expected a data set hf:{tmp_path}, got FileNotFoundError"):
        load_dataset(f"hf:{tmp_path}")


@pytest.mark.usefixtures("hub")
def test_an_unknown_name_is_named() -> None:
    with pytest.raises(ValueError, match="hf:tows, got FileNotFoundError: tows is not on the hub; write hf:NAME"):
        load_dataset("hf:tows")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install latentry\[hub\]"):
        load_dataset("hf:toys")


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    wide = rows(0, 4, img2=[None] * 4, kind2=[0] * 4)
    wide = wide.cast_column("img2", datasets.Image()).cast_column("kind2", datasets.ClassLabel(names=["a"]))
    datasets.DatasetDict({"train": wide, "unlabelled": wide}).save_to_disk(tmp_path / "toys")
    assert load_dataset(f"hf:{tmp_path / 'toys'}").notes == (
        "left out: the split unlabelled of 4 rows",
        "left out: the column img2, since img comes first",
        "left out: the column kind2, since kind comes first",
    )


def test_rows_go_to_workers_as_they_are(tmp_path: Path) -> None:
    rows(0, 6).save_to_disk(tmp_path / "toys")
    data = load_dataset(f"hf:{tmp_path / 'toys'}")
    assert pickle.loads(pickle.dumps(data)).fingerprint() == data.fingerprint()


@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"features": 3}'])
def test_a_spoilt_folder_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    rows(0, 6).save_to_disk(tmp_path / "toys")
    (tmp_path / "toys" / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"expected (a data set|a column of type Image in) hf:.*toys"):
        load_dataset(f"hf:{tmp_path / 'toys'}")
