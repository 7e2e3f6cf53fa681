from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from latentry.data import LabelledImages, load_dataset

GREY = np.random.default_rng(0).integers(256, size=(20, 4, 5)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(256, size=(20, 4, 5, 3)).astype(np.uint8)
Y = np.arange(20) % 4


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "toys.npz"
    np.savez(path, **arrays)
    return path


def loaded(folder: Path, **arrays: Any) -> LabelledImages:
    return load_dataset(saved(folder, **arrays))


@pytest.mark.parametrize("images", [GREY, GREY[..., None], GREY[:, None]])
def test_grey_images_of_any_layout_come_back(tmp_path: Path, images: np.ndarray) -> None:
    data = loaded(tmp_path, images=images, labels=Y)
    assert data.shape == (1, 4, 5)
    assert data.read(data.items).equal(torch.from_numpy(GREY).unsqueeze(1))


@pytest.mark.parametrize("images", [COLOUR, COLOUR.transpose(0, 3, 1, 2)])
def test_coloured_images_of_either_layout_come_back(tmp_path: Path, images: np.ndarray) -> None:
    data = loaded(tmp_path, x=images, y=Y)
    assert data.read(data.items).equal(torch.from_numpy(COLOUR).permute(0, 3, 1, 2))
    assert (data.name, data.class_names) == ("toys", ("0", "1", "2", "3"))


@pytest.mark.parametrize("images", [GREY / 255, GREY / 127.5 - 1, (GREY / 255).astype(np.float32)])
def test_real_pixels_are_understood_by_their_range(tmp_path: Path, images: np.ndarray) -> None:
    assert_close(loaded(tmp_path, x=images, y=Y).images(), torch.from_numpy(GREY).unsqueeze(1) / 127.5 - 1)


def test_items_are_split_by_tenths_with_every_class_in_proportion(tmp_path: Path) -> None:
    data = loaded(tmp_path, x=np.tile(GREY, (2, 1, 1)), y=np.tile(Y, 2))
    assert [data.split(name).labels.bincount().tolist() for name in data.splits] == [[8] * 4, [1] * 4, [1] * 4]


def test_attributes_are_signed_and_named(tmp_path: Path) -> None:
    data = loaded(tmp_path, x=GREY, attributes=np.stack([Y % 2, Y // 2], axis=1), attribute_names=["odd", "large"])
    assert data.attributes is not None
    assert data.attributes[:4].tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    assert (data.attribute_names, data.y) == (("odd", "large"), None)


def test_classes_and_attributes_may_come_together(tmp_path: Path) -> None:
    data = loaded(tmp_path, x=GREY, y=Y, class_names=list("abcd"), attributes=np.ones((20, 1), dtype=np.int8))
    assert (data.class_names, data.attribute_names) == (("a", "b", "c", "d"), ("0",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y}, r"expected an array 'x' or 'images' in .*toys\.npz, got \['y'\]"),
        ({"x": GREY}, r"expected an array 'y', 'labels' or 'attributes' in .*toys\.npz"),
        ({"x": np.where(GREY > 9, GREY / 255, np.nan), "y": Y}, "finite pixels in .*toys"),
        (
            {"x": GREY.astype(np.float32), "y": Y},
            r"in \[0, 1\] or \[-1, 1\] in .*toys.*, got \[0, 255\]; use .astype\('uint8'\)",
        ),
        ({"x": GREY.astype(np.int64), "y": Y}, r"uint8 or float in .*, got int64; use .astype\('uint8'\)"),
        ({"x": GREY[0], "y": Y}, r"expected images \(n, h, w\).* got shape \(4, 5\)"),
        ({"x": COLOUR[..., :2], "y": Y}, r"1 or 3 channels in .*, got shape \(20, 4, 5, 2\)"),
        ({"x": GREY[:0], "y": Y[:0]}, "at least one image in"),
        ({"x": GREY, "y": Y[:19]}, "expected 20 rows of 'y' in .*, one per image, got 19"),
        ({"x": GREY, "y": Y / 2}, "expected integers as 'y' in .*, got float64"),
        ({"x": GREY, "y": Y[:, None]}, "expected 1 dimension.* of 'y'"),
        ({"x": GREY, "y": Y - 1}, "expected classes from 0 on in .*, got -1"),
        ({"x": GREY, "y": Y, "class_names": ["a"]}, "expected 4 class_names in .*, got 1"),
        ({"x": GREY, "attributes": GREY[:, 0] % 2, "attribute_names": list("abcdef")}, "5 attribute_names in .*, got 6"),
        ({"x": GREY, "attributes": Y[:, None]}, r"expected attributes -1, 0 or 1 in .*, got \[0, 1, 2, 3\]"),
        ({"x": GREY, "attributes": Y[:, None] / 3}, "expected integers as 'attributes'"),
        ({"x": GREY, "y": np.array([{}] * 20)}, "plain arrays in .*toys"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loaded(tmp_path, **arrays)


@pytest.mark.parametrize("keep", [0, 20, 500])
def test_a_broken_archive_is_named(tmp_path: Path, keep: int) -> None:
    path = saved(tmp_path, x=GREY, y=Y)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"expected a whole NumPy archive of plain arrays in .*toys\.npz"):
        load_dataset(path)


def test_a_lone_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "toys.npz").open("wb") as file:
        np.save(file, GREY)
    with pytest.raises(ValueError, match="expected a whole NumPy archive"):
        load_dataset(tmp_path / "toys.npz")
