"""The experiment on label splits, rehearsed: models, scores, the page, and going on after a kill."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from experiments.framework.cell import Place
from experiments.framework.results import Measured
from experiments.framework.settings import preset
from experiments.split.models import ABLATIONS, CONDITIONAL, OURS, ModelCell
from experiments.split.run import phases, run
from experiments.split.scores import ScoresCell, other_labels
from experiments.split.settings import SplitSettings
from experiments.split.tables import split_tables, split_verdict
from latentry.models.saving import load_model
from latentry.storage import read_json
from latentry.tasks.train_settings import TrainLabelSplitSettings

ROOT = Path(__file__).parents[2]


QUICK = preset(SplitSettings, "quick")


def rehearse(out: Path) -> dict[str, Any]:
    return run(dataclasses.replace(QUICK, out=str(out), device="cpu", json=True))


def cell(folder: Path, name: str) -> dict[str, Any]:
    return read_json(folder / "cells" / f"{name}.json")


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("split")
    return out, rehearse(out)


def test_the_rehearsal_leaves_a_page_and_numbers(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, content = rehearsed
    assert {path.stem for path in (out / "cells").glob("scores*")} == {
        f"scores-digits-{model}-{seed}" for model in (OURS, "cvae") for seed in (0, 1)
    }
    ours = cell(out, "scores-digits-ours-0")["result"]
    assert set(ours["leak_of_draws"]["by_probe"]) == {"logistic", "neighbours", "perceptron", "deep perceptron", "trees"}
    assert 0 <= ours["swap"]["success"]["value"] <= 1
    assert "accuracy" not in cell(out, "scores-digits-cvae-0")["result"]  # which is given the labels
    page = (out / "index.html").read_text()
    assert all(text in page for text in ("label split, ours", "Three moons", "z_s in clusters"))
    assert len(content["result"]["verdicts"]) == 1


def test_it_goes_on_where_it_was(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, _ = rehearsed
    kept, lost = "scores-digits-ours-0", "scores-digits-cvae-1"
    before = {name: cell(out, name) for name in (kept, lost)}
    (out / "cells" / f"{lost}.json").unlink()
    rehearse(out)
    assert cell(out, kept) == before[kept]
    assert cell(out, lost)["result"] == before[lost]["result"]


def test_ours_is_kept_with_a_flow_and_scored_without_too(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    place = Place(rehearsed[0], "cpu")
    model = phases(QUICK)[0][0]
    assert isinstance(model, ModelCell)
    assert load_model(place.home(model.name) / "model").flow is not None
    with_it, without = (model.load(place, flow=flow) for flow in (True, False))
    x, y = torch.rand(3, 1, 28, 28), torch.tensor([0, 1, 2])
    z, raw = with_it.posterior_mean(x, y), without.posterior_mean(x, y)
    torch.testing.assert_close(with_it.decode(z), without.decode(raw), atol=1e-4, rtol=1e-3)
    assert (z[:, 9:] - raw[:, 9:]).abs().max() > 1e-3


def test_there_are_all_rows_by_default_and_all_models_come_before_their_scores() -> None:
    models, scores = phases(SplitSettings())
    both = 2 + len(CONDITIONAL)
    assert len(scores) == 3 * (2 * both + len(ABLATIONS))
    assert len(models) == 3 * (2 * both + len(ABLATIONS) - 1) + 1
    assert {name for each in scores for name in each.builds_on} <= {each.name for each in models}


def test_the_results_in_evidence_are_those_of_the_full_preset() -> None:
    """Cells, names and settings; so that the page can be made again from them."""
    folder = ROOT / "evidence" / "split" / "cells"
    cells = {each.name: each for phase in phases(preset(SplitSettings, "full"))
             for each in phase}  # fmt: skip
    assert {path.stem for path in folder.iterdir()} == set(cells)
    assert all(read_json(folder / f"{name}.json")["settings"] == each.identity for name, each in cells.items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"classifiers": ("digits-evaluator",)}, "one classifier for each of --data, got 1 for 2"),
        ({"models": ("cvea",)}, "expected models among ours, paper, vae"),
        ({"parts": ()}, "at least one part"),
    ],
)
def test_bad_settings_are_refused(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        run(SplitSettings(out=str(tmp_path), **wrong))


def test_styles_come_from_images_of_another_label(rng: torch.Generator) -> None:
    y = torch.randint(3, (90,), generator=rng)
    assert (y[other_labels(y, rng)] != y).all()


def test_the_shipped_split_is_trained_as_the_first_one_of_the_experiment() -> None:
    path = ROOT / "src" / "latentry" / "configs" / "digits-split.yaml"
    parser = ArgumentParser()
    parser.add_class_arguments(TrainLabelSplitSettings, "of")
    given = parser.instantiate(parser.parse_object({"of": yaml.safe_load(path.read_text())})).of
    model = phases(SplitSettings())[0][0]
    assert isinstance(model, ModelCell)
    assert (given.data, given.seed) == (model.data, model.seed)
    expected = dataclasses.asdict(model.split_settings)
    assert {name: dataclasses.asdict(given)[name] for name in expected} == expected


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


def row(name: str, frechet: float, **of: Any) -> Measured:
    """A row of the table of a model, from three seeds."""
    scores = phases(SplitSettings())[1][0]
    assert isinstance(scores, ScoresCell)
    measures: dict[str, dict[int, float]] = {}
    for seed in range(3):
        result = scored(frechet + 0.01 * seed, **of)
        for measure, value in scores.measures(result if name != "cgan" else {"samples": result["samples"]}).items():
            measures.setdefault(measure, {})[seed] = value
    return Measured(name, measures)


def test_tables_say_what_there_is_and_the_verdict_who_is_better() -> None:
    rows = {OURS: row(OURS, 1.0), "cvae": row("cvae", 2.0, ours=False), "cgan": row("cgan", 0.5)}
    models, codes = split_tables("toy", rows)
    assert models.rows[0][:6] == (
        "label split, ours", "99.0 [99.0, 99.0]", "+10.0 [+10.0, +10.0]", "+10.0 [+10.0, +10.0]", "80.0 [80.0, 80.0]",
        "0.70 [0.70, 0.70]",
    )  # fmt: skip
    assert models.rows[1][1] == "-"
    assert models.rows[2][2:6] == ("-", "-", "-", "-")
    assert len(codes.rows) == 2
    assert codes.rows[0][4:7] == ("trees", "0.50 to 1.00", "0.00 to 1.00")  # no information is below 0
    assert codes.rows[0][9] == "3 of 6"
    verdict = split_verdict("toy", rows)
    assert "below that of conditional VAE, above that of conditional GAN" in verdict
