"""Paths as people type them reach the file that a shell would reach."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latentry.data.recovered import load_codes
from latentry.evaluation.extractor import InceptionExtractor
from latentry.latent.basis_files import load_basis
from latentry.latent.inverse_files import load_inverse
from latentry.models.pretrained import save_network
from latentry.models.saving import load_model
from latentry.networks import DCGANGenerator
from latentry.paths import user_path
from latentry.priors import Normal, load_prior, save_prior
from latentry.tasks.loading import named_prior


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("below", ["", "/", "/a", "/a b/[c]$d"])
def test_a_tilde_is_the_home_folder(home: Path, below: str) -> None:
    assert user_path(f"~{below}") == user_path(Path(f"~{below}")) == Path(f"{home}{below}")


@pytest.mark.parametrize("text", ["a/~", "./~", "/~", "a~b", "~nobody-of-this-name/a", "-x", "日本", "\udcff.png"])
def test_other_paths_stay_as_they_are(home: Path, text: str) -> None:
    assert user_path(text) == Path(text)


@pytest.mark.parametrize(("text", "message"), [("", "expected a path, got an empty"), ("a\0b", r"got 'a\\x00b'")])
def test_what_names_no_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        user_path(text)


def test_models_and_priors_are_found_below_the_home_folder(home: Path) -> None:
    save_network(home / "model", DCGANGenerator(2, width=1), Normal(2), {})
    save_prior(home / "prior.json", Normal(3))
    assert load_model("~/model").fingerprint == load_model(home / "model").fingerprint
    assert load_prior("~/prior.json").latent_dim == named_prior("~/prior.json").latent_dim == 3


@pytest.mark.parametrize("load", [load_inverse, load_basis, load_codes, InceptionExtractor])
def test_what_is_loaded_is_looked_for_below_the_home_folder(load: Callable[[str], Any], home: Path) -> None:
    with pytest.raises(ValueError, match=str(home / "missing")):
        load("~/missing")
