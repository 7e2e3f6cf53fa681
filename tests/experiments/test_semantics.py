"""The experiment on semantic models, rehearsed: models, scores, the page, resuming, and what its numbers mean."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import nn

from experiments.framework.results import Measured
from experiments.framework.settings import preset
from experiments.semantics.models import (
    ABLATIONS,
    ALONE,
    OURS,
    SHORT,
    STAGE_TWO,
    VAE,
    GeneratorCell,
)
from experiments.semantics.reverse import divided_images, real_reverses
from experiments.semantics.run import phases, run
from experiments.semantics.scores import FeatureScoring, ScoresCell
from experiments.semantics.settings import SemanticsSettings
from experiments.semantics.tables import semantic_tables, semantic_verdict, stability_table, tuning_table
from experiments.semantics.trials import sound
from latentry.data import load_dataset
from latentry.data.features import featured
from latentry.models.generative import GenerativeModel
from latentry.models.level_classifier import LevelHeads
from latentry.models.saving import load_model
from latentry.models.semantic import SemanticModel
from latentry.models.settings import SemanticGANSettings
from latentry.networks import DCGANGenerator, Zheng2019Decoder
from latentry.priors import SemanticPlacement
from latentry.storage import read_json
from latentry.tasks.train_settings import TrainSemanticSettings

ROOT = Path(__file__).parents[2]
SIDE = 20


QUICK = preset(SemanticsSettings, "quick")
EVERY = [cell for phase in phases(SemanticsSettings()) for cell in phase]


def rehearse(out: Path) -> dict[str, Any]:
    return run(replace(QUICK, out=str(out), device="cpu", json=True))


def cell(folder: Path, name: str) -> dict[str, Any]:
    return read_json(folder / "cells" / f"{name}.json")


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("semantics")
    return out, rehearse(out)


def test_the_rehearsal_leaves_a_page_and_numbers(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, content = rehearsed
    assert {path.stem for path in (out / "cells").glob("scores*")} == {
        f"scores-{kind}-{seed}" for kind in ("vae-stroke-digits-14", "gan-stroke-digits-ours-short") for seed in (0, 1)
    }
    ours = cell(out, "scores-gan-stroke-digits-ours-short-0")["result"]
    assert set(ours["accuracy"]) == {"thick", "slanted", "class"}
    assert set(ours["reversal"]) == {"thick"}
    assert 0.85 < cell(out, "classifier-stroke-digits")["result"]["reverses"]["thick"]["truth"]["value"] <= 1
    page = (out / "index.html").read_text()
    assert all(text in page for text in ("stage 2, ours", "Length of codes", "Short trainings", "Learning rates", "films"))
    assert len(content["result"]["verdicts"]) == 1
    kept = load_model(out / "work" / "gan-stroke-digits-ours-short-0" / "model", SemanticModel)
    assert not (kept.prior.combinations[:, 0] == -1).any()


def test_it_goes_on_from_results_alone(rehearsed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Of a score that was lost together with all networks, those that it needs are trained again, and no others."""
    out, _ = rehearsed
    shutil.copytree(out / "cells", tmp_path / "cells")
    lost = "scores-gan-stroke-digits-ours-short-1"
    (tmp_path / "cells" / f"{lost}.json").unlink()
    rehearse(tmp_path)
    assert cell(tmp_path, lost)["result"] == cell(out, lost)["result"]
    trained = {path.name for path in (tmp_path / "work").iterdir()}
    assert trained == {"classifier-stroke-digits", "vae-stroke-digits-14-1", "gan-stroke-digits-ours-short-1"}


def test_it_goes_on_where_it_was(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, _ = rehearsed
    lost, kept = "scores-vae-stroke-digits-14-1", "scores-gan-stroke-digits-ours-short-0"
    before = {name: cell(out, name) for name in (lost, kept)}
    (out / "cells" / f"{lost}.json").unlink()
    rehearse(out)
    assert cell(out, kept) == before[kept]
    assert cell(out, lost)["result"] == before[lost]["result"]


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upright bars of width 3 to 8, in thirds, and a class that nothing shows."""
    rng = np.random.default_rng(0)
    thick = rng.integers(-1, 2, 240)
    x = np.zeros((240, SIDE, SIDE), dtype=np.uint8)
    for image, level in zip(x, thick, strict=True):
        width = 5 + 2 * level + rng.integers(0, 2)
        image[2:-2, SIDE // 2 - width // 2 : SIDE // 2 - width // 2 + width] = 255
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    np.savez(path, x=x, y=rng.integers(0, 2, 240), attributes=thick[:, None], attribute_names=["thick"], zeros="neutral")
    return path


class Draws(nn.Module):
    """Codes (level of thick, classes) to bars whose width rises with it, by four pixels in two."""

    def __init__(self, slope: float = 2.0) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        half = (5.5 + self.slope * z[:, :1] / 4) / 2
        place = torch.arange(SIDE, dtype=z.dtype) - SIDE / 2 + 0.5
        inside = ((half - place.abs()) * 4).sigmoid()[:, None, :].expand(-1, SIDE - 4, -1)
        return nn.functional.pad(2 * inside - 1, (0, 0, 2, 2), value=-1)[:, None]


class Reads(nn.Module):
    """Logits from what is drawn: the width alone."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        width = ((x + 1) / 2)[:, 0, SIDE // 2].sum(1, keepdim=True)
        return torch.cat([width, width.square()], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = ((self.features(x)[:, :1] - 5.5) / 2).round()
        logits = -(level - torch.tensor([-1.0, 0.0, 1.0])).abs()
        return torch.cat([logits, torch.zeros(len(x), 2)], 1)


def scores(bars: Path, generator: nn.Module) -> dict[str, Any]:
    images = divided_images(str(bars), "thick=-1", "train")
    placement = SemanticPlacement(["thick", "0", "1"], 4, exclusive=["0", "1"], scale=[0.2, 1.0, 1.0, 1.0])
    placement = placement.observed(images.shown.a)
    heads = LevelHeads(placement.features, placement.exclusive)
    model = GenerativeModel(generator, placement)
    rng = torch.Generator().manual_seed(0)
    return FeatureScoring(model, placement, Reads(), heads, images, real_reverses(images), rng).scores(400, 20)


def test_a_generator_that_shows_given_features_has_full_marks(bars: Path) -> None:
    found = scores(bars, Draws())
    assert found["accuracy"]["thick"]["value"] > 0.95
    assert 0.4 < found["accuracy"]["class"]["value"] < 0.6  # nothing shows the class
    assert found["monotonicity"]["thick"]["median"] > 0.99
    reversal = found["reversal"]["thick"]
    assert reversal["reversed"]["value"] > 0.95
    assert reversal["neutral"]["value"] < 0.6
    assert reversal["truth"]["value"] == 1
    assert reversal["distance_of_reversed"] < 0.2 * reversal["distance_of_neutral"]
    assert abs(found["leakage"]["thick"]) < 0.1


def test_a_generator_that_goes_the_wrong_way_has_none(bars: Path) -> None:
    found = scores(bars, Draws(-2.0))
    assert found["accuracy"]["thick"]["value"] < 0.7
    assert found["monotonicity"]["thick"]["median"] < -0.99
    assert found["reversal"]["thick"]["reversed"]["value"] < 0.05
    assert found["reversal"]["thick"]["distance_of_reversed"] > found["reversal"]["thick"]["distance_of_neutral"]


def test_no_generator_sees_what_is_held_out() -> None:
    images = divided_images("stroke-digits", "thick=-1", "train")
    assert not (images.shown.a[:, 0] == -1).any()
    assert (images.withheld.a[:, 0] == -1).all()
    assert len(images.shown) + len(images.withheld) == 8000
    every = featured(load_dataset("stroke-digits").split("train"))
    assert set(images.shown.images.items.tolist()).isdisjoint(images.withheld.images.items.tolist())
    assert len(every) == 8000


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ({"diverged": True}, False),
        ({"diverged": False, "coverage": 0.5, "rarest": 0.05}, True),
        ({"diverged": False, "coverage": 0.05, "rarest": 0.05}, False),
        ({"diverged": False, "coverage": 0.5, "rarest": 0.001}, False),
        ({"diverged": False, "coverage": 0.5}, True),
    ],
)
def test_a_training_is_sound_if_it_neither_diverges_nor_collapses(result: dict[str, Any], verdict: bool) -> None:
    assert sound(result) is verdict


def test_the_table_of_trials_counts_the_sound_ones() -> None:
    measures = {"sound": {0: 0.0, 1: 1.0}, "diverged": {0: 1.0, 1: 0.0}, "coverage": {1: 0.5}, "rarest": {1: 0.05}}
    (row,) = stability_table("toys", {SHORT: Measured(SHORT, measures)}).rows
    assert row[1].startswith("50.0%")
    assert row[2:] == ("1", "0.50", "0.050")


def test_the_table_of_rates_has_a_row_for_each_gan_and_rate() -> None:
    found = {
        "gan 0.0005": {"frechet_distance": {100: 20.0}, "coverage": {100: 0.5}},
        "cgan 0.002": {"frechet_distance": {100: 9.0}, "coverage": {100: 0.8}},
    }
    rows = {name: Measured(name, measures) for name, measures in found.items()}
    assert [row[:3] for row in tuning_table("toys", rows).rows] == [
        ("GAN", "0.0005", "20.0"), ("conditional GAN", "0.002", "9.0"),
    ]  # fmt: skip


def test_gans_beside_ours_are_no_smaller_and_as_long_as_both_stages_or_as_ours_at_its_longest() -> None:
    settings = SemanticsSettings()
    alike = [cell for cell in EVERY if isinstance(cell, GeneratorCell) and cell.model in (*ALONE, OURS)]
    steps = {(cell.steps - cell.vae.steps in settings.gan_steps, cell.learning_rates) for cell in alike}
    assert steps == {(True, (2e-3, 2e-3))}
    generator = DCGANGenerator(settings.latent_dims[0], 28, 1, 2 * settings.width)
    decoder = Zheng2019Decoder(settings.latent_dims[0], width=settings.width)
    assert sum(w.numel() for w in generator.parameters()) > sum(w.numel() for w in decoder.parameters())


def test_tables_and_verdicts_have_a_dash_where_a_model_has_no_features(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    scores = next(cell for cell in EVERY if isinstance(cell, ScoresCell))
    ours: dict[str, dict[int, float]] = {}
    for seed in (0, 1):
        for measure, value in scores.measures(
            cell(rehearsed[0], f"scores-gan-stroke-digits-ours-short-{seed}")["result"]
        ).items():
            ours.setdefault(measure, {})[seed] = value
    plain = {name: values for name, values in ours.items() if name.startswith("samples.")}
    rows = {SHORT: Measured(SHORT, ours), "gan": Measured("gan", plain)}
    models = semantic_tables("toys", rows)[0]
    assert models.rows[1][1:6] == ("-",) * 5
    assert models.rows[0][4] != "-"
    assert "aim 95" in semantic_verdict("toys", rows, SHORT)


def test_the_shipped_letters_are_trained_as_the_first_of_ours_of_the_experiment() -> None:
    path = ROOT / "src" / "latentry" / "configs" / "letters-semantic.yaml"
    parser = ArgumentParser()
    parser.add_class_arguments(TrainSemanticSettings, "of")
    given = parser.instantiate(parser.parse_object({"of": yaml.safe_load(path.read_text())})).of
    models = [cell for cell in EVERY if isinstance(cell, GeneratorCell) and cell.model == OURS]
    first = next(cell for cell in models if cell.vae.data == given.data)
    vae = first.vae
    assert (given.seed, given.held_out, given.latent_dim) == (vae.seed, vae.held_out, vae.latent_dim)
    assert given.separation == vae.separation
    expected = vae.settings(SemanticGANSettings(**first.stage_two))
    assert {name: getattr(given, name) for name in vars(expected)} == vars(expected)


def test_no_two_cells_share_a_name_and_every_row_is_trained() -> None:
    names = [cell.name for cell in EVERY]
    assert len(set(names)) == len(names)
    before: set[str] = set()
    for phase in phases(SemanticsSettings()):
        for cell in phase:
            assert set(cell.builds_on) <= before
        before |= {cell.name for cell in phase}
    for row in (*STAGE_TWO, VAE):
        assert any(f"-{row}-" in name for name in names)
    ablations = [name for name in names if "type" in name and any(f"-{row}-" in name for row in ABLATIONS)]
    assert {name[-1] for name in ablations} == {"0", "1"}  # two seeds of letters


def test_the_results_in_evidence_are_those_of_the_full_preset() -> None:
    """Cells, names and settings; so that the page can be made again from them."""
    folder = ROOT / "evidence" / "semantics" / "cells"
    cells = {cell.name: cell for phase in phases(preset(SemanticsSettings, "full")) for cell in phase}
    assert {path.stem for path in folder.iterdir()} == set(cells)
    assert all(read_json(folder / f"{name}.json")["settings"] == cell.identity for name, cell in cells.items())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"held_out": ("thick=-1", "bold=-1", "x=1")}, "one value for each of --data, got 3"),
        ({"models": ("wgan",)}, "among vae, ours, ours-short, paper, cgan, gan, got wgan"),
        ({"parts": ()}, "leave --parts out"),
        ({"data": ("missing.npz",), "held_out": ("thick=-1",), "latent_dims": (16,)}, "scripts/build_type.py missing.npz"),
    ],
)
def test_bad_settings_say_what_was_expected(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    settings = replace(QUICK, out=str(tmp_path / "out"), json=True, **changed)
    with pytest.raises(ValueError, match=message):
        run(settings)
    assert not (tmp_path / "out").exists()
