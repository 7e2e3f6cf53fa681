"""The experiment on label splits, rehearsed: models, scores, the page, and going on after a kill."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from experiments.split.models import (
    ABLATIONS,
    CONDITIONAL,
    OURS,
    ModelCell,
    _split_settings,
    load_model,
)
from experiments.split.moons import three_moons
from experiments.split.report import codes_table, label_split_verdict, models_table
from experiments.split.run import _phases, run
from experiments.split.scores import _kept, _others
from experiments.split.settings import SplitSettings
from latentry.models.label_split import load_label_split
from latentry.storage import read_json
from latentry.tasks.train_settings import TrainLabelSplitSettings


def rehearse(out: Path, **more: Any) -> dict[str, Any]:
    return run(SplitSettings(out=str(out), quick=True, device="cpu", json=True, **more))


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("label-split")
    return out, rehearse(out)


def test_the_rehearsal_leaves_a_page_and_numbers(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, content = rehearsed
    cells = content["result"]["cells"]
    assert {name for name in cells if name.startswith("scores")} == {
        f"scores-digits-{model}-{seed}" for model in (OURS, "cvae") for seed in (0, 1)
    }
    ours = cells["scores-digits-ours-0"]
    assert set(ours["leak_of_draws"]["by_probe"]) == {"logistic", "neighbours", "perceptron", "deep perceptron", "trees"}
    assert 0 <= ours["swap"]["success"]["value"] <= 1
    assert "accuracy" not in cells["scores-digits-cvae-0"]  # which is told the labels
    page = (out / "index.html").read_text()
    assert all(said in page for said in ("label split, ours", "Three moons", "z_s in clusters"))
    assert len(content["result"]["verdicts"]) == 1


def test_it_goes_on_where_it_was(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, content = rehearsed
    kept = out / "cells" / "scores-digits-ours-0.json"
    before = read_json(kept)["seconds"]
    (out / "cells" / "scores-digits-cvae-1.json").unlink()
    again = rehearse(out)
    assert read_json(kept)["seconds"] == before
    assert again["result"]["cells"]["scores-digits-cvae-1"] == content["result"]["cells"]["scores-digits-cvae-1"]


def test_ours_is_kept_with_a_flow_and_scored_without_too(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, _ = rehearsed
    asked = ModelCell("digits", OURS, 0, 2, 9, 4, 3, 20, 1e-3, 3)
    assert load_label_split(out / "work" / asked.name / "model").flow is not None
    with_it, without = (load_model(out, asked, "cpu", flow=flow) for flow in (True, False))
    x, y = torch.rand(3, 1, 28, 28), torch.tensor([0, 1, 2])
    z, raw = with_it.centres(x, y), without.centres(x, y)
    torch.testing.assert_close(with_it.decode(z), without.decode(raw), atol=1e-4, rtol=1e-3)
    assert (z[:, 9:] - raw[:, 9:]).abs().max() > 1e-3


def test_all_rows_are_asked_for_by_default_and_all_models_come_before_their_scores() -> None:
    models, scores = _phases(SplitSettings())
    both = 2 + len(CONDITIONAL)
    assert len(scores) == 3 * (2 * both + len(ABLATIONS))
    assert len(models) == 3 * (2 * both + len(ABLATIONS) - 1) + 1
    assert {name for cell in scores for name in cell.settings.builds_on} <= {cell.name for cell in models}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"readers": ("digits-judge",)}, "one reader for each data set, got 1 for 2"),
        ({"models": ("cvea",)}, "expected models among ours, paper, vae"),
        ({"parts": ()}, "at least one part"),
    ],
)
def test_bad_settings_are_refused(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        run(SplitSettings(out=str(tmp_path), **wrong))


def test_style_is_kept_by_itself_and_lost_by_others() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.full((60, 1, 28, 28), -1.0)
    for image, top in zip(x, torch.randint(3, 12, (60,), generator=rng).tolist(), strict=True):
        image[:, 4:24, 8 : 8 + top // 2 + 1] = 1.0  # bars of several widths
    y = torch.arange(60) % 2
    assert _kept(x, y, x, y)["thickness"] == pytest.approx(1.0)
    assert abs(_kept(x, y, x[torch.randperm(60, generator=rng)], y)["thickness"]) < 0.5


def test_styles_come_from_images_of_another_label(rng: torch.Generator) -> None:
    y = torch.randint(3, (90,), generator=rng)
    assert (y[_others(y, rng)] != y).all()


def test_the_shipped_split_is_trained_as_the_first_one_of_the_experiment(tmp_path: Path) -> None:
    """Read as the command line reads it."""
    path = Path(__file__).parents[2] / "src" / "latentry" / "configs" / "digits-split.yaml"
    parser = ArgumentParser()
    parser.add_class_arguments(TrainLabelSplitSettings, "of")
    given = parser.instantiate(parser.parse_object({"of": yaml.safe_load(path.read_text())})).of
    model = _phases(SplitSettings())[0][0].settings
    expected = dataclasses.asdict(_split_settings(model, tmp_path, "cpu"))
    own = ("out", "device", "json")
    same = {name: value for name, value in dataclasses.asdict(given).items() if name not in own}
    assert same == {name: expected[name] for name in same}


def test_moons_are_balanced_and_lie_about_zero(rng: torch.Generator) -> None:
    x, y = three_moons(3000, rng)
    assert y.bincount().tolist() == [1000] * 3
    assert x.mean(0).abs().max() < 0.1
    assert x.abs().max() < 3


def scored(frechet: float, *, ours: bool = True) -> dict[str, Any]:
    """A result of a cell, with the numbers that tables read."""
    probe = {"accuracy": {"value": 0.2}, "leak": 0.1, "shuffled": 0.1, "chosen": "trees"}
    bounds = {"lower": 0.5, "upper": 1.0, "entropy": 2.3}
    samples = dict.fromkeys(("kernel_distance", "coverage", "diversity"), 0.1)
    result: dict[str, Any] = {
        "samples": {**samples, "frechet_distance": frechet, "label": {"value": 0.9}},
        "leak_of_draws": probe, "leak_of_means": probe, "style_information": bounds, "active": 4,
        "style_fit": {"passes": True}, "reconstruction": 0.05, "real": {"value": 0.99},
        "swap": {"success": {"value": 0.8}, "kept": {"thickness": 0.6, "slant": 0.8}},
    }  # fmt: skip
    if ours:
        result |= {
            "accuracy": {"value": 0.99}, "calibration": {"error": 0.02, "if_calibrated": 0.01}, "label_probe": probe,
            "label_information": {**bounds, "lower": -7.0}, "components_fit": [True, False],
        }  # fmt: skip
    return result


def test_tables_say_what_there_is_and_the_verdict_who_is_better() -> None:
    rows = {
        OURS: {seed: scored(1.0 + 0.01 * seed) for seed in range(3)},
        "cvae": {seed: scored(2.0 + 0.01 * seed, ours=False) for seed in range(3)},
        "cgan": {seed: {"samples": scored(0.5 + 0.01 * seed)["samples"]} for seed in range(3)},
    }
    table = models_table("toy", rows)
    assert table.rows[0][:6] == (
        "label split, ours", "99.0 [99.0, 99.0]", "+10.0 [+10.0, +10.0]", "+10.0 [+10.0, +10.0]", "80.0 [80.0, 80.0]",
        "0.70 [0.70, 0.70]",
    )  # fmt: skip
    assert table.rows[1][1] == "-"
    assert table.rows[2][2:6] == ("-", "-", "-", "-")
    codes = codes_table("toy", {name: rows[name] for name in (OURS, "cvae")})
    assert codes.rows[0][5:7] == ("0.50 to 1.00", "0.00 to 1.00")  # no information is below 0
    assert codes.rows[0][9] == "3 of 6"
    told = label_split_verdict("toy", rows)
    assert "below that of conditional VAE, above that of conditional GAN" in told
