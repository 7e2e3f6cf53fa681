from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from PIL import Image

from latentry.data import LabelledImages, load_dataset, to_pixels


def painted(folder: Path, files: Iterable[str], size: tuple[int, int] = (4, 3), mode: str = "L") -> Path:
    """Files of uniform images, the i-th of intensity i."""
    for intensity, file in enumerate(files):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, intensity if mode == "L" else (intensity,) * 3).save(path)
    return folder


def listed(folder: Path, text: str, count: int = 4) -> LabelledImages:
    """Images 0.png, 1.png, ... under a table."""
    painted(folder, [f"{number}.png" for number in range(count)])
    (folder / "labels.csv").write_text(text)
    return load_dataset(folder)


def intensities(data: LabelledImages) -> list[int]:
    return to_pixels(data.images())[:, 0, 0, 0].tolist()


def test_subfolders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    data = load_dataset(painted(tmp_path, ["dog/a.png", "cat/deep/b.png", "cat/a.png", ".git/x.png"]))
    assert (data.class_names, data.shape) == (("cat", "dog"), (1, 3, 4))
    assert (data.labels.tolist(), intensities(data)) == ([0, 0, 1], [2, 1, 0])


def test_splits_are_stratified_and_depend_on_the_list_of_files_alone(tmp_path: Path) -> None:
    files = [f"{kind}/{number}.png" for kind in "ab" for number in range(20)]
    one, other = (load_dataset(painted(tmp_path / name, order)) for name, order in [("x", files), ("y", files[::-1])])
    assert [one.split(name).labels.bincount().tolist() for name in one.splits] == [[16, 16], [2, 2], [2, 2]]
    assert all(items.equal(other.splits[name]) for name, items in one.splits.items())


def test_published_splits_are_honoured(tmp_path: Path) -> None:
    files = ["train/cat/0.png", "train/dog/1.png", "val/cat/2.png", "test/dog/3.png", "docs/4.png"]
    data = load_dataset(painted(tmp_path, files))
    assert data.class_names == ("cat", "dog")
    splits = {name: (intensities(data.split(name)), data.split(name).labels.tolist()) for name in data.splits}
    assert splits == {"train": ([0, 1], [0, 1]), "validation": ([2], [0]), "held-out": ([3], [1])}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert load_dataset(painted(tmp_path, ["train/0.png", "plane/1.png"])).class_names == ("plane", "train")


def test_a_table_gives_classes(tmp_path: Path) -> None:
    data = listed(tmp_path, "file,label\n1.png,dog\n0.png,cat\n3.png,dog\n")
    assert (data.class_names, data.attributes) == (("cat", "dog"), None)
    assert (data.labels.tolist(), intensities(data)) == ([1, 0, 1], [1, 0, 3])


def test_a_table_gives_signed_attributes(tmp_path: Path) -> None:
    data = listed(tmp_path, "file,hat,tie\n0.png,1,-1\n1.png,,1\n")
    x, a = data.__getitems__([1])
    assert (data.y, data.attribute_names, a.tolist()) == (None, ("hat", "tie"), [[0, 1]])
    assert to_pixels(x).unique().tolist() == [1]


def test_a_table_gives_classes_attributes_and_splits_at_once(tmp_path: Path) -> None:
    data = listed(tmp_path, "file,split,label,hat\n0.png,train,b,0\n1.png,val,a,1\n2.png,test,a,1\n3.png,train,a,0\n")
    assert data.attributes is not None
    assert (data.labels.tolist(), data.attributes.tolist()) == ([1, 0, 0, 0], [[-1], [1], [1], [-1]])
    assert {name: items.tolist() for name, items in data.splits.items()} == {
        "train": [0, 3],
        "validation": [1],
        "held-out": [2],
    }


def test_items_with_attributes_alone_are_split_at_random_but_always_alike(tmp_path: Path) -> None:
    rows = "".join(f"{number}.png,{number % 2}\n" for number in range(20))
    one, other = (listed(tmp_path, f"file,hat\n{rows}", count=20) for _ in range(2))
    assert [len(items) for items in one.splits.values()] == [16, 2, 2]
    assert all(items.equal(other.splits[name]) for name, items in one.splits.items())


def test_images_are_opened_only_when_they_are_read(tmp_path: Path) -> None:
    data = load_dataset(painted(tmp_path, ["cat/a.png", "cat/b.png"]))
    painted(tmp_path, ["cat/x.png", "cat/a.png"])
    assert intensities(data.take(torch.tensor([0]))) == [1]
    (tmp_path / "cat/b.png").unlink()
    with pytest.raises(ValueError, match=r"expected an image at .*b\.png, found none"):
        data.images()


def test_grey_and_colour_together_are_colour(tmp_path: Path) -> None:
    painted(tmp_path, ["a/0.png"])
    data = load_dataset(painted(tmp_path, ["b/0.png", "b/1.png"], mode="RGB"))
    assert data.images().shape == (3, 3, 3, 4)


def test_mixed_sizes_need_an_image_size(tmp_path: Path) -> None:
    painted(tmp_path, ["a/0.png"])
    painted(tmp_path, ["b/1.png"], size=(6, 6))
    with pytest.raises(ValueError, match=r"4 x 3 in .*a/0\.png and 6 x 6 in .*b/1\.png; pass image_size"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, image_size=2).images().shape == (2, 1, 2, 2)


@pytest.mark.parametrize("name", ["cat/a.png", "cat/b.png"])
def test_a_truncated_image_is_named(tmp_path: Path, name: str) -> None:
    path = painted(tmp_path, ["cat/a.png", "cat/b.png"], size=(64, 64)) / name
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=rf"expected a whole image .*{name}"):
        load_dataset(tmp_path).images()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\n0.png,cat\n", r"expected a column 'file' in .*labels\.csv, got columns \['name', 'label'\]"),
        ("file\n0.png\n", "expected a column 'label'"),
        ("file,label\n9.png,cat\n", r"expected the file .*9\.png that .*labels\.csv lists"),
        ("file,hat\n0.png,0.3\n", r"got '0\.3' for 'hat'"),
        ("file,label,split\n0.png,cat,tarin\n", r"split among .*labels\.csv, got 'tarin'"),
        ("file,label\n", r"a row for each image in .*labels\.csv"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listed(tmp_path, text)


def test_images_without_labels_are_refused_with_the_ways_to_label_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected labels for the images in .*got 2 files such as a\.png.*labels\.csv"):
        load_dataset(painted(tmp_path, ["a.png", "b.png"]))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"expected images in {tmp_path}, found none"):
        load_dataset(tmp_path)
