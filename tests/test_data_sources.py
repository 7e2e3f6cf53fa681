from pathlib import Path

import numpy as np
import pytest

from latentry.data import load_dataset, sources


def test_the_bundled_digits_are_known_by_their_name() -> None:
    assert load_dataset("digits").shape == (1, 28, 28)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_images_are_grey_or_coloured(channels: int) -> None:
    with pytest.raises(ValueError, match=rf"channels 1 \(grey\) or 3 \(colour\), got {channels}"):
        load_dataset("digits", channels=channels)


def test_missing_fashion_mnist_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "FASHION_MNIST", tmp_path / "none")
    with pytest.raises(ValueError, match=r"apt-get install dataset-fashion-mnist`, or pass a folder"):
        load_dataset("fashion-mnist")


@pytest.mark.parametrize(("word", "hint"), [("digit", "'digits'"), ("FashionMNIST", "'fashion-mnist'")])
def test_a_misspelt_name_is_corrected(word: str, hint: str) -> None:
    names = "'digits', 'painted-digits', 'stroke-digits', 'fashion-mnist', 'hf:NAME'"
    with pytest.raises(ValueError, match=f"{names} .* got '{word}'; did you mean {hint}"):
        load_dataset(word)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"got '{tmp_path}/none'; check the path"):
        load_dataset(tmp_path / "none")


def test_a_file_of_another_format_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"a folder or an \.npz file, got the file .*x\.npy"):
        load_dataset(tmp_path / "x.npy")
