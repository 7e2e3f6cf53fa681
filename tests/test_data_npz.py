import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from latentry import memory
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
            {"x": GREY / np.float32(64), "y": Y},
            r"floats in \[0, 1\], \[-1, 1\] or \[0, 255\] in .*toys.*, got \[0, 3\.98438\]; rescale them",
        ),
        ({"x": GREY.astype(np.int64), "y": Y}, r"uint8, uint16, bool or float in .*, got int64; use .astype\('uint8'\)"),
        ({"x": GREY[0], "y": Y}, r"expected images \(n, h, w\).* got shape \(4, 5\)"),
        ({"x": COLOUR[..., :2], "y": Y}, r"1 or 3 channels in .*, got shape \(20, 4, 5, 2\)"),
        ({"x": GREY[:0], "y": Y[:0]}, "at least one image in"),
        ({"x": GREY, "y": Y[:19]}, "expected 20 rows of 'y' in .*, one per image, got 19"),
        ({"x": GREY, "y": Y / 2}, "expected integers as 'y' in .*, got float64"),
        ({"x": GREY, "y": Y[:, None]}, "expected 1 dimension.* of 'y'"),
        ({"x": GREY, "y": Y - 1}, "expected classes from 0 to 999 .* items of .*, got -1"),
        ({"x": GREY, "y": Y, "class_names": ["a"]}, "expected 4 class_names in .*, got 1"),
        ({"x": GREY, "attributes": GREY[:, 0] % 2, "attribute_names": list("abcdef")}, "5 attribute_names in .*, got 6"),
        ({"x": GREY, "attributes": Y[:, None]}, r"expected attributes -1, 0 or 1 in .*, got \[0, 1, 2, 3\]"),
        ({"x": GREY, "attributes": Y[:, None] / 3}, "expected integers as 'attributes'"),
        ({"x": GREY, "y": np.array([{}] * 20)}, r"toys\.npz is not a whole .* objects are not read"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loaded(tmp_path, **arrays)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x": GREY, "y": np.where(Y == 3, 10**8, Y)},
            "to 999 at most for the 20 items of .*, got 100000000",
        ),
        ({"x": GREY, "y": Y.astype(np.uint64) - 2**63}, "classes from 0 to 999"),
        ({"x": np.array(7, dtype=np.uint8), "y": Y}, r"expected images .* got shape \(\)"),
        ({"x": GREY, "y": np.array(1)}, "expected 1 dimension"),
        ({"x": GREY, "y": Y, "class_names": np.array("a")}, "expected 4 class_names in .*, got 1"),
        ({"x": GREY, "y": Y, "class_names": ["a", "b", "a", "c"]}, "different class_names in .*, got 'a' twice"),
        ({"x": GREY, "y": Y, "splits": np.array("train")}, "expected 20 splits"),
        ({"x": GREY, "images": GREY, "y": Y}, "either 'images' or 'x' in .*, got both"),
        ({"x": np.full((2, 2, 2), 1e300), "y": Y[:2]}, "expected floats in"),
        ({"x": GREY.astype(np.complex64), "y": Y}, "got complex64"),
        ({"x": GREY.astype(np.int16), "y": Y}, "got int16"),
    ],
)
def test_arrays_that_no_one_would_save_are_refused_too(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loaded(tmp_path, **arrays)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (GREY, None),
        (GREY.astype(np.float32), "real numbers in [0, 255] are read as of [0, 255], from black to white"),
        (GREY / 255, "real numbers in [0, 1] are read as of [0, 1], from black to white"),
        (GREY / 127.5 - 1, "real numbers in [-1, 1] are read as of [-1, 1], from black to white"),
        ((GREY / 255).astype(">f4"), "real numbers in [0, 1] are read as of [0, 1], from black to white"),
        (GREY.astype(np.uint16), "numbers up to 255 are read as of 8 bits, 255 being white"),
        ((GREY * 4095.0 / 255).round().astype(np.uint16), "numbers up to 4,095 are read as of 12 bits, 4,095 being white"),
        ((GREY * 257.0).astype(">u2"), "numbers up to 65,535 are read as of 16 bits, 65,535 being white"),
    ],
)
def test_one_image_is_the_same_in_every_unit_and_the_unit_is_said(
    tmp_path: Path, values: np.ndarray, note: str | None
) -> None:
    values = values.copy()
    values[0, 0, :2] = values.min(), values.max()
    data = loaded(tmp_path, x=values, y=Y)
    expected = GREY.copy()
    expected[0, 0, :2] = GREY.min(), GREY.max()
    assert (GREY.min(), GREY.max()) == (0, 255)
    assert data.read(data.items)[:, 0].equal(torch.from_numpy(expected))
    assert data.notes == (() if note is None else (note,))


def test_truth_values_are_black_and_white(tmp_path: Path) -> None:
    data = loaded(tmp_path, x=GREY > 99, y=Y)
    assert data.read(data.items)[:, 0].equal(torch.from_numpy(np.where(GREY > 99, 255, 0).astype(np.uint8)))
    assert data.notes == ("False is read as black, True as white",)


def test_class_numbers_without_an_image_are_named(tmp_path: Path) -> None:
    y = np.where(Y == 0, 1, 3)
    assert loaded(tmp_path, x=GREY, y=y).notes == ("no image has the class number 0, 2; number classes from 0 without gaps",)


def test_bytes_of_0_and_1_stay_bytes_but_a_note_says_that_they_are_black(tmp_path: Path) -> None:
    data = loaded(tmp_path, x=GREY % 2, y=Y)
    assert data.read(data.items)[:, 0].equal(torch.from_numpy(GREY % 2))
    assert "nearly black" in data.notes[0]


def test_arrays_of_other_names_are_named(tmp_path: Path) -> None:
    assert loaded(tmp_path, x=GREY, y=Y, z=Y, x_test=GREY).notes == ("left out: arrays of other names, x_test, z",)


def test_an_archive_of_zeros_is_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "toys.npz"
    np.savez_compressed(path, x=np.zeros((64, 1024, 1024), np.uint8), y=np.zeros(64, np.int64))
    assert path.stat().st_size < 2**17
    monkeypatch.setattr(memory, "free_memory", lambda: 2**25)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"toys\.npz is not a whole .*got a header for 67108864 of shape"):
            load_dataset(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keep", [0, 20, 500])
def test_a_broken_archive_is_named(tmp_path: Path, keep: int) -> None:
    path = saved(tmp_path, x=GREY, y=Y)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"toys\.npz is not a whole \.npz file .*; copy or save it again"):
        load_dataset(path)


def test_a_lone_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "toys.npz").open("wb") as file:
        np.save(file, GREY)
    with pytest.raises(ValueError, match=r"toys\.npz is not a whole \.npz file"):
        load_dataset(tmp_path / "toys.npz")
