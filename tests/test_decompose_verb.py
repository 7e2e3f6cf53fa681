"""`latentry decompose`: a basis that loads back, coefficients that give the codes back, and one sentence for bad input."""

import json
from operator import eq
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch.testing import assert_close

import latentry as lt
from latentry.cli import main
from latentry.latent.basis_files import load_basis
from latentry.latent.inverse import fit_inverse
from latentry.latent.inverse_files import save_inverse
from latentry.latent.settings import InverseSettings
from latentry.models.pretrained import save_network
from latentry.networks import DCGANGenerator
from latentry.priors import Normal
from latentry.storage import read_json, read_metadata, read_tensors
from latentry.tasks.coding.codes import labelled_codes, made_basis
from latentry.tasks.coding.settings import BasisKind
from latentry.tasks.evaluation_classifier import GeneratedData, load_classifier

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself

FEW = ["--per_label=60", "--report_codes=200", "--device=cpu"]
CPU = torch.device("cpu")


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture(scope="module")
def shipped() -> lt.GenerativeModel:
    return lt.load_model("digits-generator")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shipped: lt.GenerativeModel) -> Path:
    """A quick inverse of the shipped generator, another generator in `other`, and six digits decomposed in `done`."""
    folder = tmp_path_factory.mktemp("decompose")
    assert isinstance(shipped.prior, Normal)
    quick = fit_inverse(
        shipped.generator, shipped.prior, InverseSettings(steps=20, batch_size=16, width=4, checkpoint_every=20)
    )
    save_inverse(folder / "inverse", quick)
    torch.manual_seed(1)
    save_network(folder / "other", DCGANGenerator(64, width=4).eval(), Normal(64), {})
    images = ["--data=digits", "--count=6", "--encode", "--inverse", folder / "inverse"]
    assert run("decompose", *FEW, *images, "--evaluation_classifier=digits-evaluator", "--out", folder / "done") == 0
    return folder


def test_the_basis_loads_back_and_its_coefficients_give_the_codes_back(place: Path, shipped: lt.GenerativeModel) -> None:
    basis = load_basis(place / "done" / "basis", shipped.generator)
    found = read_tensors(place / "done" / "coefficients.safetensors")
    assert (basis.num_labels, basis.latent_dim, basis.orthogonal) == (10, 64, True)
    assert found["z"].shape == (6, 64)
    assert_close(basis.reconstruct(found["coefficients"]), found["z"], atol=1e-4, rtol=1e-4)
    assert read_metadata(place / "done" / "coefficients.safetensors")["generator"] == shipped.fingerprint


def test_the_record_says_what_is_on_the_page(place: Path) -> None:
    result = read_json(place / "done" / "results.json")["result"]
    assert result["mapped"]["value"] == sum(map(eq, result["class_names"], result["shows"])) / 10
    assert result["mapped"]["value"] >= 0.9  # of even 60 codes for each label
    assert min(result["counts"]) >= 60
    assert result["rank_one"]["trials"] == 200
    assert result["rank_one"]["value"] <= result["top_three"]["value"]
    assert [row["image"] for row in result["images"]] == [f"digits/held-out {row}" for row in range(6)]
    for row in result["images"]:
        assert row["row"] == max(range(64), key=lambda index: row["coefficients"][index])
        assert row["largest"] == (str(row["row"]) if row["row"] < 10 else "other")
    page = (place / "done" / "index.html").read_text()
    for title in ("What the labelled vectors show", "The other vectors", "Inner products", "Spectra", "Truncations"):
        assert title in page
    assert page.count("data:image/png;base64,") == 5
    assert "digits-evaluator" in page


def test_an_earlier_basis_is_taken_as_it_is_and_json_is_all_that_is_printed(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["--basis", place / "done" / "basis", "--evaluation_classifier=digits-evaluator", "--json", "--out", tmp_path]
    assert run("decompose", *FEW, *again) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    before = read_json(place / "done" / "results.json")["result"]
    assert result == {name: value for name, value in before.items() if not name.startswith("images")}
    assert not (tmp_path / "coefficients.safetensors").exists()
    assert_close(load_basis(tmp_path / "basis").vectors, load_basis(place / "done" / "basis").vectors)


@pytest.mark.parametrize("kind", sorted({*get_args(BasisKind)} - {"principal"}))  # that one takes half a minute
def test_every_kind_of_basis_has_a_row_for_each_label_that_its_codes_hold_most_of(
    kind: Any, shipped: lt.GenerativeModel
) -> None:
    classifier = load_classifier("digits-guide", GeneratedData((1, 28, 28), "digits"), "--classifier", CPU)
    assert isinstance(shipped.prior, Normal)
    basis = made_basis(kind, shipped, shipped.prior, classifier, per_label=60, rng=torch.Generator().manual_seed(0))
    fresh = labelled_codes(shipped.generator, classifier.network, shipped.prior, 400, torch.Generator().manual_seed(5))
    own = basis.coefficients(fresh.z)[:, :10]
    own = (own - own.mean(0)) / own.std(0)
    assert basis.num_labels == 10
    lead = own.gather(1, fresh.y[:, None]).mean() - own.mean()
    assert lead > (0.15 if kind in ("first-weights", "random") else 0.5)


BAD = [
    (["--basis", "{place}/done/basis", "--generator", "{place}/other"], "find a basis of this one"),
    (["--basis", "{place}/none"], "{place}/none"),
    (["--encode"], "pass --inverse"),
    (["--generator", "{place}/other"], "it is never predicted"),
    (["--data=digits", "--codes", "{place}"], "codes bring their images along"),
    (["--classifier=digits-generator"], "expected a classifier"),
    (["--report_codes=20"], "at least 100"),
    (["--per_label=0"], "expected --per_label >= 1, got 0"),
    (["--per_label=5"], "at least 20"),
    (["--data=digits", "--count=0"], "--count of at least 1"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_ends_with_one_sentence(
    arguments: list[str], message: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [argument.format(place=place) for argument in arguments]
    assert run("decompose", "--per_label=20", "--device=cpu", "--out", tmp_path, *told) == 2
    said = capsys.readouterr().err
    assert message.format(place=place) in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
