"""`python -m experiments semantics`: features placed before training, and reverses that no generator was shown.

*Models* (Kim and Cho, 2019, as reconstructed). Stage 1, stage 2 as ours and as in the paper, and GANs with and without
levels: requested features, leakage, monotonicity, reversal, samples.

*Ablations.* Ours, shorter, without its parts, one at a time.

*Lengths.* Stage 1 with codes of several lengths: error of images, and nats.

*Stability.* Short trainings of ours and of a GAN from many seeds.

*Tuning.* Learning rates of the GANs, on validation images of the first data set.

Reference: Kim and Cho, "Latent space-controllable generative adversarial network", 2019.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.framework.cell import Cell
from experiments.framework.results import Measured, measured
from experiments.framework.run import PARTS, Experiment, Report, begin, check_counts, check_known, check_parts
from experiments.semantics.models import (
    ABLATIONS,
    ALONE,
    MODELS,
    OURS,
    SHORT,
    VAE,
    GeneratorCell,
    LevelClassifierCell,
    VAECell,
)
from experiments.semantics.scores import ScoresCell
from experiments.semantics.settings import SemanticsSettings
from experiments.semantics.tables import (
    lengths_table,
    semantic_tables,
    semantic_verdict,
    stability_table,
    tuning_table,
)
from experiments.semantics.trials import TUNING_SEED, StabilityCell, TuningCell
from latentry.data.sources import load_dataset
from latentry.reports.page import Picture
from latentry.reports.tables import Table
from latentry.tasks.runs import Run, command

__all__ = ["phases", "run"]


@command(*PARTS, "stability", "tuning")
def run(settings: SemanticsSettings, current: Run) -> dict[str, Any]:
    """Work out all cells; write the table of results, the page and `results.json`."""
    check_counts(
        "value", data=settings.data, held_out=settings.held_out, latent_dims=settings.latent_dims,
        gan_steps=settings.gan_steps, ablation_seeds=settings.ablation_seeds,
    )  # fmt: skip
    check_known("models", settings.models, MODELS)
    check_parts(settings.parts)
    for data in settings.data:
        if Path(data).suffix == ".npz" and not Path(data).exists() and _unfinished(settings):
            raise ValueError(f"expected {data}, found none; `python scripts/build_type.py {data} --size 32` builds it")
    experiment = begin(settings, current)
    table, _ = experiment.results(phases(settings))
    return experiment.finish(_report(settings, experiment, table))


def _unfinished(settings: SemanticsSettings) -> bool:
    """Whether a cell is still to be worked out."""
    names = [cell.name for phase in phases(settings) for cell in phase]
    return not all((Path(settings.out) / "cells" / f"{name}.json").exists() for name in names)


def phases(settings: SemanticsSettings) -> list[list[Cell]]:
    """All cells, those that others build on first; seed by seed, so that the first cells to finish are complete seeds."""
    classifiers = {
        data: LevelClassifierCell(data, held_out, settings.classifier_width, settings.classifier_steps, 0)
        for data, held_out in zip(settings.data, settings.held_out, strict=True)
    }
    found: list[list[Cell]] = []
    for index, seed in enumerate(range(settings.seed, settings.seed + settings.seeds)):
        first: list[Cell] = [*classifiers.values()] if index == 0 else []
        second: list[Cell] = []
        scoring: list[Cell] = []
        for place, data in enumerate(settings.data):
            vae = _vae(settings, place, seed)
            first.append(vae)
            for row in _rows(settings, ablations=index < settings.ablation_seeds[place]):
                model = vae if row == VAE else _generator(settings, vae, row, settings.gan_steps[place])
                second += [] if row == VAE else [model]
                scoring.append(ScoresCell(model, classifiers[data], settings.count, settings.codes))
        found += [first, second, scoring]
    return [*found, _of_the_first_data_set(settings, classifiers[settings.data[0]])]


def _of_the_first_data_set(settings: SemanticsSettings, classifier: LevelClassifierCell) -> list[Cell]:
    """Lengths of codes, short trainings and learning rates."""
    found: list[Cell] = []
    if "lengths" in settings.parts:
        others = [other for other in settings.lengths if other != settings.latent_dims[0]]
        found += [_vae(settings, 0, settings.seed, latent_dim=other) for other in others]
    if "stability" in settings.parts:
        for seed, model in itertools.product(range(settings.trials), (SHORT, "gan")):
            vae = _vae(settings, 0, seed, steps=settings.trial_steps)
            short = _generator(settings, vae, model, settings.trial_steps)
            found.append(StabilityCell(short, classifier, settings.count))
    if "tuning" in settings.parts:
        vae = _vae(settings, 0, TUNING_SEED)
        for model, rate in itertools.product(ALONE, settings.tried_learning_rates):
            gan = GeneratorCell(vae, model, settings.gan_steps[0], (rate, rate))
            found.append(TuningCell(gan, classifier, settings.count))
    return found


def _vae(settings: SemanticsSettings, place: int, seed: int, latent_dim: int = 0, steps: int = 0) -> VAECell:
    return VAECell(
        settings.data[place], settings.held_out[place], seed, latent_dim or settings.latent_dims[place],
        settings.separation, settings.deviation, settings.width, steps or settings.vae_steps, settings.batch_size,
    )  # fmt: skip


def _generator(settings: SemanticsSettings, vae: VAECell, model: str, steps: int) -> GeneratorCell:
    """A second stage of so many iterations; GANs alone, and `ours` to be like them, have those of both stages."""
    if model in (*ALONE, OURS):
        rate = settings.gan_learning_rate
        return GeneratorCell(vae, model, vae.steps + steps, (rate, rate))
    return GeneratorCell(vae, model, steps, settings.learning_rates)


def _rows(settings: SemanticsSettings, *, ablations: bool) -> list[str]:
    """Rows of both tables; ours, shorter, stands in each."""
    models = [name for name in MODELS if name == SHORT or not settings.models or name in settings.models]
    rows = models if "models" in settings.parts else [SHORT]
    return [*rows, *(ABLATIONS if ablations and "ablations" in settings.parts else ())]


_PICTURES = {
    "films": "Rows of codes for each feature, its level from -1.5 to 1.5 from left to right, neutral in the middle.",
    "samples": "Samples.",
}


def _report(settings: SemanticsSettings, experiment: Experiment, table: pd.DataFrame) -> Report:
    found = _with_reconstructions(settings, table)
    stability, tuning = (measured(table, part) for part in ("stability", "tuning"))
    once: list[Table] = []
    if "lengths" in settings.parts:
        once += [_lengths(settings, table)]
    once += [stability_table(data, rows) for data, rows in stability.items()]
    once += [tuning_table(data, rows) for data, rows in tuning.items()]
    held_out = zip(settings.data, settings.held_out, strict=True)
    return Report(
        title="Pre-defined semantic latents",
        lead="Features have their place before anything is trained, and their reverse is where nothing was shown.",
        verdicts=[
            semantic_verdict(data, rows, name) for data, rows in found.items() for name in (OURS, SHORT) if name in rows
        ],
        blocks=[*_tables(found), *once, *_pictures(settings, experiment)],
        console=[*_tables(found, short=True), *once],
        facts=[
            ("networks", f"of Zheng and Sun (2019), width {settings.width}"),
            ("codes", f"{_either(settings.latent_dims)} latents, features {settings.separation:g} apart"),
            (
                "training",
                f"{settings.vae_steps} and {_either(settings.gan_steps)} iterations of {settings.batch_size} images",
            ),
            ("held out", "; ".join(f"{level} of {Path(data).stem}" for data, level in held_out)),
            ("seeds", str(settings.seeds)),
        ],
    )


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))


def _tables(found: Mapping[str, Mapping[str, Measured]], *, short: bool = False) -> list[Table]:
    return [table for data, rows in found.items() for table in semantic_tables(data, rows, short=short)]


def _with_reconstructions(settings: SemanticsSettings, table: pd.DataFrame) -> dict[str, dict[str, Measured]]:
    """Scores by data set and model, with those of the training of each."""
    stage_one, stage_two = measured(table, "stage-1"), measured(table, "stage-2")
    lengths = {Path(data).stem: str(d) for data, d in zip(settings.data, settings.latent_dims, strict=True)}
    found: dict[str, dict[str, Measured]] = {}
    for data, rows in measured(table, "scores").items():
        for name, row in rows.items():
            training = stage_one[data][lengths[data]] if name == VAE else stage_two[data][name]
            found.setdefault(data, {})[name] = Measured(name, {**row.measures, **training.measures})
    return found


def _lengths(settings: SemanticsSettings, table: pd.DataFrame) -> Table:
    data = Path(settings.data[0]).stem
    shape = load_dataset(settings.data[0]).shape
    return lengths_table(data, measured(table, "stage-1")[data], shape[0] * shape[1] * shape[2], settings.seed)


def _pictures(settings: SemanticsSettings, experiment: Experiment) -> list[Picture]:
    found: list[Picture] = []
    for cell in (cell for phase in phases(settings) for cell in phase):
        if isinstance(cell, ScoresCell) and cell.vae.seed == settings.seed:
            for what, caption in _PICTURES.items():
                title = f"{cell.name.removeprefix('scores-')}: {what}"
                found += experiment.pictures(f"{cell.name}-{what}", title, caption)
    return found
