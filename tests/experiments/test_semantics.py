"""The experiment on semantic models, rehearsed: models, scores, the page, resuming, and what its numbers mean."""

import dataclasses
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

from experiments.semantics.baselines import plain_gan
from experiments.semantics.models import (
    ABLATIONS,
    ALONE,
    GANS,
    LONGER,
    OURS,
    VAE,
    GANCell,
    ReaderCell,
    VAECell,
    _gan_settings,
    _settings,
    images_of,
)
from experiments.semantics.report import models_table, semantic_verdict, stability_table, tuning_table
from experiments.semantics.reverse import real_reverses
from experiments.semantics.run import _phases, run
from experiments.semantics.scores import ScoresCell, _features, _Scene
from experiments.semantics.settings import SemanticsSettings
from experiments.semantics.trials import sound
from latentry.data import load_dataset
from latentry.data.features import featured
from latentry.models.level_reader import LevelHeads
from latentry.models.saving import load_model
from latentry.networks import Zheng2019Decoder
from latentry.priors import SemanticPlacement
from latentry.storage import read_json
from latentry.tasks.train_settings import TrainSemanticSettings

SIDE = 20


def rehearse(out: Path, **more: Any) -> dict[str, Any]:
    return run(SemanticsSettings(out=str(out), quick=True, device="cpu", json=True, **more))


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("semantic")
    return out, rehearse(out)


def test_the_rehearsal_leaves_a_page_and_numbers(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, content = rehearsed
    cells = content["result"]["cells"]
    assert {name for name in cells if name.startswith("scores")} == {
        f"scores-{kind}-{seed}" for kind in ("vae-stroke-digits-14", "gan-stroke-digits-ours") for seed in (0, 1)
    }
    ours = cells["scores-gan-stroke-digits-ours-0"]
    assert set(ours["accuracy"]) == {"thick", "slanted", "class"}
    assert set(ours["reversal"]) == {"thick"}
    assert 0.85 < cells["reader-stroke-digits"]["reverses"]["thick"]["truth"]["value"] <= 1
    page = (out / "index.html").read_text()
    assert all(said in page for said in ("stage 2, ours", "Length of codes", "Short trainings", "Learning rates", "films"))
    assert len(content["result"]["verdicts"]) == 1
    kept = load_model(out / "work" / "gan-stroke-digits-ours-0" / "gan" / "model")
    assert not (kept.prior.combinations[:, 0] == -1).any()


def test_it_goes_on_from_results_alone(rehearsed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Of a score that was lost together with all networks, those that it needs are trained again, and no others."""
    out, content = rehearsed
    shutil.copytree(out / "cells", tmp_path / "cells")
    lost = "scores-gan-stroke-digits-ours-1"
    (tmp_path / "cells" / f"{lost}.json").unlink()
    again = rehearse(tmp_path)
    assert again["result"]["cells"][lost] == content["result"]["cells"][lost]
    made = {path.name for path in (tmp_path / "work").iterdir()}
    assert made == {"reader-stroke-digits", "vae-stroke-digits-14-1", "gan-stroke-digits-ours-1"}


def test_it_goes_on_where_it_was(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    out, content = rehearsed
    lost = "scores-vae-stroke-digits-14-1"
    kept = out / "cells" / "scores-gan-stroke-digits-ours-0.json"
    before = read_json(kept)["seconds"]
    (out / "cells" / f"{lost}.json").unlink()
    again = rehearse(out)
    assert read_json(kept)["seconds"] == before
    assert again["result"]["cells"][lost] == content["result"]["cells"][lost]


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


def scene(bars: Path, generator: nn.Module) -> _Scene:
    class Reads(nn.Module):
        """Logits from what is drawn: the width alone."""

        def features(self, x: torch.Tensor) -> torch.Tensor:
            width = ((x + 1) / 2)[:, 0, SIDE // 2].sum(1, keepdim=True)
            return torch.cat([width, width.square()], 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            level = ((self.features(x)[:, :1] - 5.5) / 2).round()
            logits = -(level - torch.tensor([-1.0, 0.0, 1.0])).abs()
            return torch.cat([logits, torch.zeros(len(x), 2)], 1)

    images = images_of(str(bars), "thick=-1", "train")
    placement = SemanticPlacement(["thick", "0", "1"], 4, exclusive=["0", "1"], scale=[0.2, 1.0, 1.0, 1.0])
    heads = LevelHeads(placement.features, placement.exclusive)
    real = real_reverses(images.seen, images.unseen, images.held_out)
    return _Scene(
        generator, placement.observed(images.seen.a), Reads(), heads, images, real, torch.Generator().manual_seed(0)
    )


def scores(bars: Path, generator: nn.Module) -> dict[str, Any]:
    vae = VAECell(str(bars), "thick=-1", 0, 4, 4.0, 0.8, 2, 1, 1)
    asked = ScoresCell(vae, ReaderCell(str(bars), "thick=-1", 2, 1, 0), count=400, codes=20)
    return _features(scene(bars, generator), asked)


def test_a_generator_that_does_what_it_is_asked_has_full_marks(bars: Path) -> None:
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
    parted = images_of("stroke-digits", "thick=-1", "train")
    assert not (parted.seen.a[:, 0] == -1).any()
    assert (parted.unseen.a[:, 0] == -1).all()
    assert len(parted.seen) + len(parted.unseen) == 8000
    every = featured(load_dataset("stroke-digits").split("train"))
    assert set(parted.seen.images.items.tolist()).isdisjoint(parted.unseen.images.items.tolist())
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
    runs = [{"diverged": True}, {"diverged": False, "coverage": 0.5, "rarest": 0.05}]
    (row,) = stability_table("toys", {OURS: runs}).rows
    assert row[1].startswith("50.0%")
    assert row[2] == "1"


def test_the_table_of_rates_has_a_row_for_each_gan_and_rate() -> None:
    found = {
        ("gan", 5e-4): {"frechet_distance": 20.0, "coverage": 0.5},
        ("cgan", 2e-3): {"frechet_distance": 9.0, "coverage": 0.8},
    }
    assert [row[:3] for row in tuning_table("toys", found).rows] == [
        ("GAN", "0.0005", "20.0"), ("conditional GAN", "0.002", "9.0"),
    ]  # fmt: skip


def test_gans_beside_ours_are_no_smaller_and_as_long_as_both_stages_or_as_ours_at_its_longest() -> None:
    settings = SemanticsSettings()
    cells = [cell.settings for phase in _phases(replace(settings, data=("stroke-digits", "type.npz"))) for cell in phase]
    makers = [asked for asked in cells if isinstance(asked, GANCell)]
    alike = [asked for asked in makers if asked.model in (*ALONE, LONGER)]
    assert {(asked.steps - asked.vae.steps in settings.gan_steps, asked.lr) for asked in alike} == {(True, (2e-3, 2e-3))}
    seen = images_of("stroke-digits", "thick=-1", "train").seen
    alone = plain_gan(seen, settings.latent_dims[0], settings.width, settings.gan_lr, torch.device("cpu"))
    decoder = Zheng2019Decoder(settings.latent_dims[0], width=settings.width)
    assert sum(w.numel() for w in alone.networks["generator"].parameters()) > sum(w.numel() for w in decoder.parameters())


def test_tables_and_verdicts_have_a_dash_where_a_model_has_no_features(rehearsed: tuple[Path, dict[str, Any]]) -> None:
    cells = rehearsed[1]["result"]["cells"]
    ours = {
        seed: cells[f"gan-stroke-digits-ours-{seed}"] | cells[f"scores-gan-stroke-digits-ours-{seed}"] for seed in (0, 1)
    }
    plain = {seed: {"samples": result["samples"]} for seed, result in ours.items()}
    table = models_table("toys", {OURS: ours, "gan": plain})
    assert table.rows[1][1:6] == ("-",) * 5
    assert table.rows[0][4] != "-"
    assert "aim 95" in semantic_verdict("toys", {OURS: ours, "gan": plain}, OURS)


def test_the_shipped_letters_are_trained_as_the_first_long_ones_of_the_experiment(tmp_path: Path) -> None:
    """Read as the command line reads it."""
    path = Path(__file__).parents[2] / "src" / "latentry" / "configs" / "letters-semantic.yaml"
    parser = ArgumentParser()
    parser.add_class_arguments(TrainSemanticSettings, "of")
    given = dataclasses.asdict(parser.instantiate(parser.parse_object({"of": yaml.safe_load(path.read_text())})).of)
    cells = [cell.settings for phase in _phases(SemanticsSettings()) for cell in phase]
    makers = [asked for asked in cells if isinstance(asked, GANCell) and asked.model == LONGER]
    first = next(asked for asked in makers if asked.vae.data == given["data"])
    expected = dataclasses.asdict(_settings(first.vae, tmp_path, "cpu", _gan_settings(first)))
    assert all(given[name] == expected[name] for name in given if name not in ("out", "device", "json"))


def test_no_two_cells_share_a_name_and_every_row_is_trained() -> None:
    settings = replace(SemanticsSettings(), data=("stroke-digits", "type.npz"))
    names = [cell.name for phase in _phases(settings) for cell in phase]
    assert len(set(names)) == len(names)
    before: set[str] = set()
    for phase in _phases(settings):
        for cell in phase:
            assert set(getattr(cell.settings, "builds_on", ())) <= before
        before |= {cell.name for cell in phase}
    for row in (*GANS, VAE):
        assert any(f"-{row}-" in name for name in names)
    assert not any("type" in name and any(row in name for row in ABLATIONS) for name in names)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"held_out": ("thick=-1", "bold=-1", "x=1"), "quick": False}, "one of --held_out"),
        ({"models": ("wgan",)}, "among vae, longer, ours, paper, cgan, gan, got wgan"),
        ({"parts": ()}, "leave --parts out"),
        ({"data": ("missing.npz",), "held_out": ("thick=-1",), "latent_dims": (16,)}, "scripts/build_type.py missing.npz"),
    ],
)
def test_bad_settings_say_what_was_expected(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    settings = replace(SemanticsSettings(out=str(tmp_path / "out"), quick=True, json=True), **changed)
    with pytest.raises(ValueError, match=message):
        run(settings)
    assert not (tmp_path / "out").exists()
