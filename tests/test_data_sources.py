from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentry.data import load_dataset, sources
from latentry.data.sources import check_output


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


def test_a_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "toys.npz", x=np.zeros((20, 2, 2), bool), y=np.arange(20) % 2)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_dataset("~/toys.npz")) == 20


@pytest.mark.parametrize(
    ("source", "message"),
    [("", "expected a path, got an empty text"), ("a\0b", "null characters"), ("x" * 300, "File name too long")],
)
def test_what_can_be_no_path_is_refused(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_dataset(source)


def test_a_folder_is_called_by_its_name_wherever_one_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pets/cat/deep").mkdir(parents=True)
    Image.new("L", (2, 2)).save(tmp_path / "pets/cat/a.png")
    monkeypatch.chdir(tmp_path / "pets")
    assert load_dataset(".").name == "pets"
    monkeypatch.chdir(tmp_path / "pets/cat")
    assert load_dataset("..").name == "pets"


@pytest.mark.parametrize("out", ["data", "data/run", "data/cat/../new", "link/run", "data/cat/deep/run"])
def test_results_among_the_data_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, out: str) -> None:
    (tmp_path / "data/cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for source in ("data", "link", tmp_path / "data", "hf:data"):
        with pytest.raises(ValueError, match=r"a folder for results outside the data, got .*; choose another --out"):
            check_output(Path(out), ["digits", source])


def test_results_beside_the_data_are_welcome(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("data", "digits"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    check_output(Path("run"), ["data", "digits", "hf:name/of-none", "none", "data/../data/a.png"])
    check_output(Path("data-2"), ["data"])
    check_output(Path("digits/run"), ["digits"])  # the bundled ones, not this folder
