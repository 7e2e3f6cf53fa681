"""Levels of features from classes and attributes, of data where 0 is unknown and of data where it is neutral."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from latentry.data import LabelledImages, load_dataset
from latentry.data.features import featured
from latentry.evaluation.strokes import measure_strokes

X = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
Y = np.array([0, 1, 0, 1, 0, 1])
SMILES = np.array([[1, -1], [-1, -1], [0, 1], [1, 1], [-1, 0], [0, 0]])
NAN = math.nan


def saved(folder: Path, **arrays: Any) -> LabelledImages:
    np.savez(folder / "toys.npz", images=X, attributes=SMILES, attribute_names=["smile", "hat"], **arrays)
    data = load_dataset(folder / "toys.npz")
    return data.take(torch.arange(6))


def test_what_is_absent_is_neutral_and_what_is_unknown_is_not(tmp_path: Path) -> None:
    found = featured(saved(tmp_path))
    assert (found.features, found.exclusive) == (("smile", "hat"), ())
    expected = torch.tensor([[1, 0], [0, 0], [NAN, 1], [1, 1], [0, NAN], [NAN, NAN]])
    assert_close(found.a, expected, equal_nan=True)
    reverse = featured(saved(tmp_path), absent="reverse")
    assert_close(reverse.a[:2], torch.tensor([[1.0, -1.0], [-1.0, -1.0]]))


def test_measured_attributes_are_levels_as_they_are(tmp_path: Path) -> None:
    found = featured(saved(tmp_path, zeros="neutral", labels=Y, class_names=["cat", "dog"]), ["hat"])
    assert found.features == ("hat", "cat", "dog")
    assert found.exclusive == ("cat", "dog")
    assert_close(found.a, torch.tensor([[-1.0, 1, 0], [-1, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]]))
    x, a = found.__getitems__([4, 0])
    assert_close(a, found.a[[4, 0]])
    assert_close(x[1], torch.from_numpy(X[:1]).float() / 127.5 - 1)


def test_levels_are_held_out_and_picked(tmp_path: Path) -> None:
    found = featured(saved(tmp_path, zeros="neutral"))
    rest = found.without({"smile": -1, "hat": -1})
    assert rest.images.items.tolist() == [2, 3, 5]
    assert_close(rest.a, torch.tensor([[0.0, 1], [1, 1], [0, 0]]))
    seen, hidden = found.parted({"smile": -1, "hat": -1})
    assert seen.images.items.tolist() == rest.images.items.tolist()
    assert hidden.images.items.tolist() == [0, 1, 4]
    assert found.only({"smile": -1, "hat": 0}).images.items.tolist() == [4]
    with pytest.raises(ValueError, match="none with smile"):
        found.without({"smile": 1}).check_examples()
    rest.check_examples()


def test_splits_that_an_archive_publishes_are_kept(tmp_path: Path) -> None:
    data = saved(tmp_path, splits=np.array(["train", "train", "test", "val", "train", "held-out"]))
    assert {name: items.tolist() for name, items in data.splits.items()} == {
        "train": [0, 1, 4], "validation": [3], "held-out": [2, 5]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "message"),
    [({"zeros": "nothing"}, "'unknown' or 'neutral'.*got 'nothing'"), ({"splits": ["train"]}, "6 splits .* got 1")],
)
def test_archives_with_wrong_words_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, **arrays)


def test_bad_features_say_what_was_expected(tmp_path: Path) -> None:
    data = saved(tmp_path)
    with pytest.raises(ValueError, match="among smile, hat, got 'smle'; did you mean 'smile'"):
        featured(data, ["smle"])
    with pytest.raises(ValueError, match="neither attributes nor classes"):
        featured(data, [])
    with pytest.raises(ValueError, match="every one has some of it"):
        featured(data).only({"smile": 1}).without({"smile": 1})
    with pytest.raises(ValueError, match="-1, 0 or 1 of smile, got 2"):
        featured(data).without({"smile": 2})
    twice = saved(tmp_path, labels=Y, class_names=["hat", "coat"])
    with pytest.raises(ValueError, match="different names, got hat twice"):
        featured(twice)


def test_the_digits_strokes_are_what_is_measured() -> None:
    """Levels of 300 held-out digits agree with measures taken now: within each class, +1 lies above 0 above -1."""
    data = load_dataset("stroke-digits").split("held-out").take(load_dataset("stroke-digits").splits["held-out"][:300])
    found = featured(data)
    assert found.features == ("thick", "slanted", *"0123456789")
    strokes = measure_strokes(data.images())
    for column, values in enumerate((strokes.thickness, strokes.slant)):
        for label in range(10):
            low, middle, high = (values[(found.a[:, column] == level) & (data.labels == label)] for level in (-1, 0, 1))
            assert low.max() <= middle.min()
            assert middle.max() <= high.min()
    train = featured(load_dataset("stroke-digits").split("train"), classes=False)
    shares = torch.stack([(train.a == level).double().mean(0) for level in (-1, 0, 1)])
    assert_close(shares, torch.full((3, 2), 1 / 3, dtype=torch.float64), atol=0.01, rtol=0.0)
