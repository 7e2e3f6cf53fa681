import pytest
import torch
from torch.testing import assert_close

from latentry.data import LabelledImages, from_pixels, to_pixels

PIXELS = torch.arange(12, dtype=torch.uint8).reshape(12, 1, 1, 1)
ATTRIBUTES = torch.tensor([[1, -1], [0, 1]]).repeat(6, 1)
SPLITS = {"train": torch.arange(9), "held-out": torch.arange(9, 12)}


def toys(y: torch.Tensor | None = None, attributes: torch.Tensor | None = None) -> LabelledImages:
    return LabelledImages(
        name="toys",
        shape=(1, 1, 1),
        read=lambda items: PIXELS[items],
        y=y,
        class_names=() if y is None else ("a", "b", "c"),
        attributes=attributes,
        attribute_names=() if attributes is None else ("hat", "tie"),
        splits=SPLITS,
        items=torch.arange(12),
    )


CLASSES = torch.arange(12).remainder(3)
DATA = toys(CLASSES)


def test_pixels_survive_the_way_to_images_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    assert to_pixels(from_pixels(pixels)).equal(pixels)


def test_values_beyond_black_and_white_are_clipped() -> None:
    assert to_pixels(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


def test_a_split_is_a_view_of_its_items() -> None:
    held_out = DATA.split("held-out")
    assert (len(held_out), held_out.name, held_out.labels.tolist()) == (3, "toys/held-out", [0, 1, 2])
    assert to_pixels(held_out.images([0, 2])).flatten().tolist() == [9, 11]


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ValueError, match=r"among \['held-out', 'train'\] of toys, got 'test'"):
        DATA.split("test")


def test_folds_are_disjoint_cover_the_view_and_hold_every_class() -> None:
    folds = [DATA.fold(index, 2) for index in range(2)]
    assert torch.cat([fold.items for fold in folds]).sort().values.equal(DATA.items)
    assert [fold.labels.bincount().tolist() for fold in folds] == [[2, 2, 2], [2, 2, 2]]
    with pytest.raises(ValueError, match=r"a fold among 0\.\.1, got 2"):
        DATA.fold(2, 2)


def test_a_target_is_the_class_where_there_are_classes_and_the_attributes_otherwise() -> None:
    assert DATA[4][1].item() == 1
    assert_close(toys(attributes=ATTRIBUTES)[4][1], ATTRIBUTES[4])
    assert toys(CLASSES, ATTRIBUTES)[5][1].item() == 2


def test_attributes_are_no_classes() -> None:
    with pytest.raises(ValueError, match=r"expected classes in toys, found only attributes \['hat', 'tie'\]"):
        _ = toys(attributes=ATTRIBUTES).labels


def test_equal_views_alone_have_equal_fingerprints() -> None:
    assert DATA.fingerprint() == toys(CLASSES).fingerprint()
    others = [DATA.split("train"), toys((CLASSES + 1) % 3), toys(CLASSES, ATTRIBUTES), toys(attributes=ATTRIBUTES)]
    assert len({data.fingerprint() for data in [DATA, *others]}) == 5
