import gzip
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latentry import memory
from latentry.data import load_dataset
from latentry.data.idx import read_idx

PIXELS = torch.randint(256, (140, 3, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
Y = torch.arange(140, dtype=torch.uint8).remainder(5)


def encoded(values: Tensor) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.numpy().tobytes()


def published(folder: Path, dash: str = "-", zipped: bool = False, held_out: bool = True) -> Path:
    """120 items in the train files and 20 in the held-out ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, items in [("train", slice(0, 120)), ("t10k", slice(120, 140))][: 1 + held_out]:
        for kind, values in [(f"images{dash}idx3", PIXELS[items]), (f"labels{dash}idx1", Y[items])]:
            content = encoded(values)
            name = f"{part}-{kind}-ubyte" + ".gz" * zipped
            (folder / name).write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("dash", ["-", "."])
@pytest.mark.parametrize("zipped", [False, True])
def test_images_and_labels_come_back_under_every_usual_name(tmp_path: Path, dash: str, zipped: bool) -> None:
    data = load_dataset(published(tmp_path, dash, zipped))
    assert data.read(data.items).equal(PIXELS.unsqueeze(1))
    assert data.labels.equal(Y.long())
    assert (data.shape, data.class_names) == ((1, 3, 4), ("0", "1", "2", "3", "4"))


def test_t10k_is_held_out_and_a_twelfth_of_train_validates_with_every_class_in_proportion(tmp_path: Path) -> None:
    data = load_dataset(published(tmp_path))
    assert data.splits["held-out"].equal(torch.arange(120, 140))
    assert data.split("validation").labels.bincount().tolist() == [2] * 5
    assert data.split("train").labels.bincount().tolist() == [22] * 5


def test_without_t10k_a_tenth_each_is_held_back(tmp_path: Path) -> None:
    data = load_dataset(published(tmp_path, held_out=False))
    assert [len(items) for items in data.splits.values()] == [96, 12, 12]


def test_fashion_mnist_has_its_class_names(tmp_path: Path) -> None:
    names = load_dataset(published(tmp_path / "Fashion-MNIST")).class_names
    assert (len(names), names[0], names[9]) == (10, "T-shirt/top", "Ankle boot")


def test_images_in_memory_are_resized_and_coloured(tmp_path: Path) -> None:
    data = load_dataset(published(tmp_path), image_size=8, channels=3)
    assert data.images([0, 5]).shape == (2, *data.shape) == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encoded(PIXELS)[:-1], r"expected 1696 bytes in .*idx for shape \(140, 3, 4\), got 1695"),
        (encoded(PIXELS)[:9], "expected at least one item in .*idx"),
        (encoded(PIXELS[:0]), "expected at least one item in .*idx"),
        (gzip.compress(encoded(PIXELS))[:200], "expected a whole gzip file in .*idx"),
        (gzip.compress(encoded(PIXELS))[:20] + b"\xff" * 99, "expected a whole gzip file in .*idx"),
        (encoded(Y), "with 3 dimension.* in .*idx, which begins with 00000803, got 00000801"),
        (b"\x89PNG", "begins with 00000803, got 89504e47"),
        (b"", "got nothing"),
    ],
    ids=["cut", "cut header", "no items", "cut gzip", "spoilt gzip", "labels for images", "another format", "empty"],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "idx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path, 3)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_shape_that_is_not_there_asks_for_no_memory(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "idx"
    for sides, message in [
        ((3, 2**13, 2**13), r"expected 201326608 bytes .* got 1016"),
        ((2**32 - 1,) * 3, r"expected 792\d+ bytes .* got 1016"),
    ]:
        content = struct.pack(">HBB3I", 0, 8, 3, *sides) + bytes(1000)
        path.write_bytes(gzip.compress(content) if zipped else content)
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=message):
                read_idx(path, 3)
            assert tracemalloc.get_traced_memory()[1] < 2**26
        finally:
            tracemalloc.stop()


def test_zeros_that_would_fill_the_memory_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "idx"
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 1, 2**13, 2**13) + bytes(2**26), 9))
    monkeypatch.setattr(memory, "free_memory", lambda: 2**26)
    with pytest.raises(ValueError, match=r"expected the shape \(1, 8192, 8192\) of .*idx to fit in 0\.05 GiB of memory"):
        read_idx(path, 3)


def test_what_follows_the_items_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "idx"
    path.write_bytes(gzip.compress(encoded(PIXELS) + bytes(2**26), 1))
    with pytest.raises(ValueError, match=r"expected 1696 bytes in .*, got more"):
        read_idx(path, 3)


def test_files_beside_are_named(tmp_path: Path) -> None:
    (published(tmp_path) / "t10k-images-idx3-ubyte.gz").write_bytes(b"another copy")
    (note,) = load_dataset(tmp_path).notes
    assert note == f"left out: 1 that are none of the files of these data, the first {tmp_path}/t10k-images-idx3-ubyte.gz"


def test_unequal_counts_are_named(tmp_path: Path) -> None:
    (published(tmp_path) / "train-labels-idx1-ubyte").write_bytes(encoded(Y[:119]))
    with pytest.raises(ValueError, match=r"120 images in .*train-images-idx3-ubyte and 119 labels in .*train-labels"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]
)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (published(tmp_path) / name).unlink()
    with pytest.raises(ValueError, match=f"expected {name} in"):
        load_dataset(tmp_path)


def test_parts_of_different_size_are_refused(tmp_path: Path) -> None:
    (published(tmp_path) / "t10k-images-idx3-ubyte").write_bytes(encoded(PIXELS[120:, :2]))
    with pytest.raises(ValueError, match=r"one size in .*, got \[\(3, 4\), \(2, 4\)\]"):
        load_dataset(tmp_path)
