"""`latentry prior` as a user meets it."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latentry.cli import main
from latentry.models.pretrained import load_network
from latentry.priors import GammaRadius, NormalMixture, Tabulated, Uniform, load_prior, save_prior
from latentry.storage import read_json, write_json

TABLE = [0.05, 0.1, 0.7, 0.1, 0.05]


def run(*arguments: object) -> int:
    """Exit code of a command, whether it returned or left through argument parsing."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    places = {name: tmp_path / name for name in ("saved.json", "radial.json", "labelled.json", "table.npy", "table.json")}
    save_prior(places["saved.json"], Tabulated(7, TABLE))
    save_prior(places["radial.json"], GammaRadius(6))
    save_prior(places["labelled.json"], NormalMixture(torch.zeros(2, 3), torch.ones(2, 3)))
    np.save(places["table.npy"], TABLE)
    write_json(places["table.json"], TABLE)
    return places


def test_a_design_is_written_with_its_report_and_can_be_trained_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--bins=64", "--std=0.05", "--mix=[0.5]", "--points=3", "--support=[-1,1]", "--forbidden=[[0.5,0.6]]"]
    assert run("prior", "design", *asked, "--latent_dim=4", "--out", tmp_path / "prior") == 0
    shown = capsys.readouterr().out
    assert "0.5 z1 + 0.5 z2" in shown
    assert "converged" in shown

    content = read_json(tmp_path / "prior" / "prior.json")
    prior = load_prior(tmp_path / "prior" / "prior.json")
    assert prior.latent_dim == 4
    assert prior.marginal.support[1] <= 1
    assert prior.marginal.cdf(torch.tensor(0.6)) == prior.marginal.cdf(torch.tensor(0.5))
    assert content["design"]["std"] == pytest.approx(0.05, rel=1e-4)
    assert len(content["design"]["combinations"]) == 2
    between = read_json(tmp_path / "prior" / "results.json")["result"]["between"]
    assert between["coordinate_divergence"][0] == pytest.approx(content["design"]["continuous_divergence"][0], abs=1e-9)

    tiny = [
        "--width=2",
        "--discriminator_width=2",
        "--latent_dim=4",
        "--batch_size=8",
        "--steps=1",
        "--device=cpu",
    ]
    assert run("train", "gan", *tiny, "--prior", tmp_path / "prior" / "prior.json", "--out", tmp_path / "gan") == 0
    trained = load_network(tmp_path / "gan" / "model").prior
    assert trained.marginal == prior.marginal


def test_a_standardized_design_is_the_same_one_in_other_units(tmp_path: Path) -> None:
    asked = ["--bins=32", "--std=0.1", "--latent_dim=2", "--t=[0.5]"]
    for name, flags in (("plain", []), ("standard", ["--standardize=true"])):
        assert run("prior", "design", *asked, *flags, "--json", "--out", tmp_path / name) == 0
    plain, standard = (read_json(tmp_path / name / "results.json")["result"] for name in ("plain", "standard"))
    assert standard["summary"]["std"] == pytest.approx(1)
    assert standard["between"]["divergence"] == pytest.approx(plain["between"]["divergence"])
    assert standard["design"] == plain["design"]


def test_an_earlier_design_is_refused_before_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results.json").write_text("{}")
    monkeypatch.setattr("latentry.tasks.prior.design.design_interpolable", None)
    assert run("prior", "design", "--out", tmp_path) == 2


def test_show_prints_the_distribution_and_what_is_between_its_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prior", "show", "normal", "--latent_dim=5", "--out", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    for word in ("kurtosis", "entropy", "quantile 99 %", "0.1534", "norm"):
        assert word in shown
    result = read_json(tmp_path / "out" / "results.json")["result"]
    assert result["between"]["t"] == [0.5, 0.25, 0.1]
    assert result["between"]["divergence"][0] == pytest.approx(5 * (1 - math.log(2)) / 2)
    assert result["summary"]["support"] == ["-inf", "inf"]
    with Image.open(tmp_path / "out" / "prior.png") as picture:
        assert picture.width > 400


@pytest.mark.parametrize(
    ("name", "latent_dim"), [("saved.json", 7), ("radial.json", 6), ("table.npy", 100), ("table.json", 100)]
)
def test_a_prior_may_be_a_file_of_its_own_length_or_a_bare_table(
    name: str, latent_dim: int, tmp_path: Path, files: dict[str, Path]
) -> None:
    assert run("prior", "show", files[name], "--t=[0.5]", "--json", "--out", tmp_path / "out") == 0
    summary = read_json(tmp_path / "out" / "results.json")["result"]["summary"]
    assert summary["latent_dim"] == latent_dim
    assert summary["of_norm"] == (name == "radial.json")


def test_a_length_that_is_asked_for_is_taken(tmp_path: Path, files: dict[str, Path]) -> None:
    assert run("prior", "show", files["saved.json"], "--latent_dim=3", "--json", "--out", tmp_path / "out") == 0
    assert read_json(tmp_path / "out" / "results.json")["result"]["summary"]["latent_dim"] == 3


def test_compare_has_a_row_for_each_prior_and_step(
    tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["normal", "spherical-cauchy", files["saved.json"], "--latent_dim=4", "--t=[0.5,-0.2]"]
    assert run("prior", "compare", *chosen, "--out", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    for word in ("t = 0.5", "t = -0.2", "normal", "spherical-cauchy", "saved"):
        assert word in shown
    rows = read_json(tmp_path / "out" / "results.json")["result"]["priors"]
    assert [*rows] == ["normal", "spherical-cauchy", "saved"]
    assert rows["spherical-cauchy"]["between"]["divergence"][0] == 0
    assert rows["spherical-cauchy"]["between"]["coordinate_divergence"] is None
    assert rows["saved"]["summary"]["latent_dim"] == 4
    assert (tmp_path / "out" / "priors.png").is_file()


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_prior(tmp_path / folder / "prior.json", Uniform(3))
    chosen = [tmp_path / folder / "prior.json" for folder in ("a", "b")]
    assert run("prior", "compare", *chosen, "--t=[0.5]", "--json", "--out", tmp_path / "out") == 0
    assert [*read_json(tmp_path / "out" / "results.json")["result"]["priors"]] == [str(path) for path in chosen]


@pytest.mark.parametrize("verb", ["show", "compare"])
def test_json_is_all_there_is_on_standard_output(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["prior", verb, "uniform", "--latent_dim=2", "--t=[0.5]", "--json", "--out", tmp_path / "out"]
    assert run(*command) == 0
    assert json.loads(capsys.readouterr().out) == read_json(tmp_path / "out" / "results.json")
    assert run(*command) == 2
    assert "--force" in capsys.readouterr().err
    assert run(*command, "--force") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["design", "--std=0.6"], "std within reach"),
        (["design", "--mix=[]"], "something to combine"),
        (["design", "--combine=median"], "median"),
        (["design", "--density_ceiling=0.1"], "room for mass 1"),
        (["show"], "prior"),
        (["show", "banana"], "banana"),
        (["show", "missing.npy"], "missing.npy"),
        (["show", "normal", "--latent_dim=0"], "latent_dim >= 1"),
        (["show", "normal", "--t=[inf]"], "inf"),
        (["show", "normal", "--t=[]"], "one finite step"),
        (["show", "{labelled.json}"], "without labels"),
        (["compare", "normal", "normal"], "different priors"),
        (["compare", "normal", "--t=[]"], "one step t or more"),
        (["compare", "normal", "banana"], "banana"),
        (["polish"], "polish"),
    ],
    ids=" ".join,
)
def test_bad_input_ends_with_code_2_one_sentence_and_no_traceback(
    arguments: list[str], message: str, tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, path in files.items():
        arguments = [argument.replace(f"{{{name}}}", str(path)) for argument in arguments]
    assert run("prior", *arguments, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in re.sub(r"\s*\n\s*", " ", error)
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize("verb", ["design", "show", "compare"])
def test_every_verb_explains_each_of_its_settings(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prior", verb, "--help") == 0
    shown = capsys.readouterr().out
    for name in ("latent_dim", "t", "out", "json", "force"):
        assert f"--{name}" in shown
    assert "MISSING" not in shown


def test_a_prior_is_fitted_to_a_file_of_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    z = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)) @ torch.tensor([[1.0, 0.9], [0.0, 0.4]])
    np.save(tmp_path / "codes.npy", z.numpy())
    assert run("prior", "fit", tmp_path / "codes.npy", "--out", tmp_path / "fit") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "chosen: normal" in shown
    assert "could have come from this prior" in shown
    assert load_prior(tmp_path / "fit" / "prior.json").latent_dim == 2
    result = read_json(tmp_path / "fit" / "results.json")["result"]
    assert (result["family"], result["passes"]) == ("normal", True)
    assert (tmp_path / "fit" / "prior.png").stat().st_size > 1000
    np.save(tmp_path / "few.npy", z[:5].numpy())
    assert run("prior", "fit", tmp_path / "few.npy", "--out", tmp_path / "few") == 2
    assert "at least 40 codes, got 5" in capsys.readouterr().err
