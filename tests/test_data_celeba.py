from pathlib import Path

import pytest
from PIL import Image

from latentry.data import load_dataset, to_pixels

FILES = ("000001.jpg", "000002.jpg", "000003.jpg")
LISTS = {
    "list_attr_celeba.txt": "3\nSmiling Young\n000001.jpg  1 -1\n000002.jpg -1 -1\n000003.jpg  1  1\n",
    "list_attr_celeba.csv": "image_id,Smiling,Young\n000001.jpg,1,-1\n000002.jpg,-1,-1\n000003.jpg,1,1\n",
    "list_eval_partition.txt": "000003.jpg 0\n000001.jpg 2\n000002.jpg 1\n",
    "list_eval_partition.csv": "image_id,partition\n000001.jpg,2\n000002.jpg,1\n000003.jpg,0\n",
}


def faces(folder: Path, images: str, *lists: str) -> Path:
    (folder / images).mkdir(parents=True, exist_ok=True)
    for intensity, file in enumerate(FILES):
        Image.new("RGB", (18, 22), (50 * intensity,) * 3).save(folder / images / file)
    for name in lists:
        (folder / name).write_text(LISTS[name])
    return folder


@pytest.mark.parametrize("images", ["img_align_celeba", "img_align_celeba/img_align_celeba", "."])
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_faces_have_their_attributes_and_splits(tmp_path: Path, images: str, suffix: str) -> None:
    data = load_dataset(faces(tmp_path, images, f"list_attr_celeba{suffix}", f"list_eval_partition{suffix}"), image_size=8)
    assert (data.shape, data.y, data.attribute_names) == ((3, 8, 8), None, ("Smiling", "Young"))
    assert {name: items.tolist() for name, items in data.splits.items()} == {
        "train": [2],
        "validation": [1],
        "held-out": [0],
    }
    x, a = data.split("train")[0]
    assert (to_pixels(x).unique().tolist(), a.tolist()) == ([100], [1, 1])


def test_without_a_partition_splits_are_cut_here(tmp_path: Path) -> None:
    assert list(load_dataset(faces(tmp_path, ".", "list_attr_celeba.txt")).splits) == ["train", "validation", "held-out"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list_attr_celeba.txt", "4\nSmiling\n000001.jpg 1\n", r"images in line 1 of .*list_attr.*got '4' and 1 lines"),
        ("list_attr_celeba.txt", "", r"line 1 of .*list_attr_celeba\.txt.*got 'nothing'"),
        (
            "list_attr_celeba.txt",
            "1\nSmiling Young\n000001.jpg 1\n",
            "expected 3 cells in each row of .*attr_celeba.txt, got 2",
        ),
        ("list_attr_celeba.txt", "1\nSmiling\n000001.jpg 7\n", "got '7' for 'Smiling'"),
        ("list_attr_celeba.txt", "1\nSmiling\n000009.jpg 1\n", r"expected the file .*000009\.jpg that .* lists"),
        (
            "list_attr_celeba.txt",
            "3\nSmiling\n000001.jpg 1\n000002.jpg 1\n000001.jpg 1\n",
            r"each image_id once .* got '000001\.jpg' in line 3 and in line 5",
        ),
        ("list_attr_celeba.txt", "1\nYoung Young\n000001.jpg 1 1\n", "different names in .*, got 'Young'"),
        ("list_eval_partition.txt", "000001.jpg 0\n000001.jpg 1\n", "each image_id once"),
        ("list_eval_partition.txt", "000001.jpg 0\n", r"0, 1 or 2 for 000002\.jpg in .*partition\.txt, got no line"),
        ("list_eval_partition.txt", "000001.jpg 5\n", r"0, 1 or 2 for 000001\.jpg in .*partition\.txt, got 5"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(tmp_path: Path, name: str, text: str, message: str) -> None:
    (faces(tmp_path, ".", "list_attr_celeba.txt") / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path)
