"""`python -m experiments semantics`: features placed before training, and reverses that no generator was shown.

*Models* (Kim and Cho, 2019, as reconstructed). Stage 1, stage 2 as ours and as in the paper, a GAN and a conditional GAN
with the iterations of both stages, and ours with as many rounds against a discriminator as those: asked features, leakage,
monotonicity, reversal, samples.

*Ablations.* Ours without its parts, one at a time, on the first data set.

*Rates.* Stage 1 with codes of several lengths: error of images, and nats.

*Stability.* Short trainings of ours and of a GAN from many seeds.

*Tuning.* Learning rates of the GANs, on validation images of the first data set.

Reference: Kim and Cho, "Latent space-controllable generative adversarial network", 2019.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments.frame.cells import Cell
from experiments.frame.experiment import begin
from experiments.frame.step_cost import seconds_of_passes
from experiments.semantics.models import (
    ABLATIONS,
    ALONE,
    BASELINES,
    LONGER,
    OURS,
    VAE,
    GANCell,
    ReaderCell,
    VAECell,
    train_reader,
    train_stage_one,
    train_stage_two,
)
from experiments.semantics.report import (
    features_table,
    models_table,
    rates_table,
    semantic_verdict,
    stability_table,
    tuning_table,
)
from experiments.semantics.scores import ScoresCell, score_maker
from experiments.semantics.settings import SemanticsSettings
from experiments.semantics.trials import TUNING_SEED, StabilityCell, TuningCell, try_once, try_rate
from latentry.data.sources import load_dataset
from latentry.reports.page import Picture, write_page
from latentry.reports.tables import Table
from latentry.tasks.runs import command

__all__ = ["run"]

_PARTS = ("index.html", "cells", "pictures", "work", "stability", "tuning")
_OWN = (LONGER, OURS)
"""Rows that are held against the aims."""
_MODELS = (VAE, *_OWN, *BASELINES)

Found = Mapping[str, Mapping[str, dict[int, dict[str, Any]]]]
"""Scores by data set, row and seed."""


@command
def run(settings: SemanticsSettings) -> dict[str, Any]:
    """Write one file for each cell, then `index.html` and `results.json`; print the cost first and the tables last."""
    settings = _rehearsal(settings) if settings.quick else settings
    _check(settings)
    phases = _phases(settings)
    experiment = begin(settings, *_PARTS)
    folder, device = experiment.folder, experiment.device
    results = experiment.results(phases, partial(work, folder, str(device)), _costs(settings, device))
    cells = [cell for phase in phases for cell in phase]
    found = _by_data(cells, results)
    verdicts = [semantic_verdict(data, rows, name) for data, rows in found.items() for name in _OWN if name in rows]
    lasting = [*_rates(settings, cells, results), *_trials(cells, results), *_tuning(cells, results)]
    _write_page(folder, settings, cells, [*_tables(found, short=False), *lasting], verdicts)
    return experiment.finish({"verdicts": verdicts, "cells": results}, [*_tables(found, short=True), *lasting], verdicts)


def work(folder: Path, device: str, cell: Cell) -> dict[str, Any]:
    """The result of any of these cells."""
    do: dict[type, Callable[[Path, str, Any], dict[str, Any]]] = {
        ReaderCell: train_reader,
        VAECell: train_stage_one,
        GANCell: train_stage_two,
        ScoresCell: score_maker,
        StabilityCell: try_once,
        TuningCell: try_rate,
    }
    return do[type(cell.settings)](folder, device, cell.settings)


def _rehearsal(settings: SemanticsSettings) -> SemanticsSettings:
    parts = settings.parts if settings.parts != _ALL else ("models", "rates", "stability", "tuning")
    return dataclasses.replace(
        settings, data=settings.data[:1], held_out=settings.held_out[:1], latent_dims=(14,), parts=parts,
        models=settings.models or (VAE,), seeds=2, width=2, vae_steps=3, gan_steps=(3,), batch_size=20, reader_width=2,
        reader_steps=3, count=120, codes=10, rates=(12,), trials=2, trial_steps=2, gan_rates=settings.gan_rates[:1],
        workers=settings.workers or 1,
    )  # fmt: skip


_ALL = SemanticsSettings().parts


def _check(settings: SemanticsSettings) -> None:
    counts = (len(settings.held_out), len(settings.latent_dims), len(settings.gan_steps))
    if not settings.data or set(counts) != {len(settings.data)}:
        raise ValueError(
            f"expected one of --held_out, --latent_dims and --gan_steps for each of {len(settings.data)} data sets, got "
            f"{counts[0]}, {counts[1]} and {counts[2]}; name as many"
        )
    if unknown := set(settings.models) - set(_MODELS):
        raise ValueError(
            f"expected models among {', '.join(_MODELS)}, got {', '.join(sorted(unknown))}; choose some of these"
        )
    if not settings.parts:
        raise ValueError("expected at least one part, got none; leave --parts out for all")
    for data in settings.data:
        if Path(data).suffix == ".npz" and not Path(data).exists():
            raise ValueError(f"expected {data}, found none; `python scripts/build_type.py {data} --size 32` builds it")


def _phases(settings: SemanticsSettings) -> list[list[Cell]]:
    """All cells, those that others build on first; whole seeds one by one, so that a part of them says something."""
    readers = {
        data: ReaderCell(data, held_out, settings.reader_width, settings.reader_steps, 0)
        for data, held_out in zip(settings.data, settings.held_out, strict=True)
    }
    phases: list[list[Any]] = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        first: list[Any] = list(readers.values()) if seed == settings.seed else []
        second: list[Any] = []
        scoring: list[Any] = []
        for data, held_out, d, steps in zip(
            settings.data, settings.held_out, settings.latent_dims, settings.gan_steps, strict=True
        ):
            vae = _vae_cell(settings, data, held_out, d, seed, settings.vae_steps)
            first.append(vae)
            for row in _rows(settings, first=data == settings.data[0]):
                maker = vae if row == VAE else _gan_cell(settings, vae, row, steps)
                second += [] if row == VAE else [maker]
                scoring.append(ScoresCell(maker, readers[data], settings.count, settings.codes))
        phases += [first, second, scoring]
    phases.append([])
    data, held_out, d = settings.data[0], settings.held_out[0], settings.latent_dims[0]
    if "rates" in settings.parts:
        others = [other for other in settings.rates if other != d]
        phases[-1] += [_vae_cell(settings, data, held_out, other, settings.seed, settings.vae_steps) for other in others]
    if "stability" in settings.parts:
        for seed in range(settings.trials):
            half = _vae_cell(settings, data, held_out, d, seed, settings.trial_steps)
            pair = (_gan_cell(settings, half, model, settings.trial_steps) for model in (OURS, "gan"))
            phases[-1] += [StabilityCell(maker, readers[data], settings.count) for maker in pair]
    if "tuning" in settings.parts:
        vae = _vae_cell(settings, data, held_out, d, TUNING_SEED, settings.vae_steps)
        for model, rate in itertools.product(ALONE, settings.gan_rates):
            maker = GANCell(vae, model, settings.gan_steps[0], (rate, rate))
            phases[-1].append(TuningCell(maker, readers[data], settings.count))
    return [[Cell(asked.name, asked) for asked in phase] for phase in phases]


def _vae_cell(settings: SemanticsSettings, data: str, held_out: str, d: int, seed: int, steps: int) -> VAECell:
    return VAECell(
        data, held_out, seed, d, settings.separation, settings.deviation, settings.width, steps, settings.batch_size
    )


def _gan_cell(settings: SemanticsSettings, vae: VAECell, model: str, steps: int) -> GANCell:
    """A second stage of so many iterations; a GAN alone has those of both stages, and so have we if we are to be like it."""
    if model in (*ALONE, LONGER):
        return GANCell(vae, model, vae.steps + steps, (settings.gan_lr, settings.gan_lr))
    return GANCell(vae, model, steps, settings.lr)


def _rows(settings: SemanticsSettings, *, first: bool) -> list[str]:
    """Rows of both tables; ours stands in each. Ablations are of the first data set."""
    models = [name for name in _MODELS if name == OURS or not settings.models or name in settings.models]
    rows = models if "models" in settings.parts else [OURS]
    return [*rows, *(ABLATIONS if first and "ablations" in settings.parts else ())]


def _by_data(cells: Sequence[Cell], results: Mapping[str, dict[str, Any]]) -> Found:
    found: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for cell in cells:
        if isinstance(cell.settings, ScoresCell):
            asked = cell.settings
            row = asked.maker.model if isinstance(asked.maker, GANCell) else VAE
            of_row = found.setdefault(Path(asked.vae.data).stem, {}).setdefault(row, {})
            of_row[asked.seed] = results[asked.maker.name] | results[cell.name]
    return found


def _tables(found: Found, *, short: bool) -> list[Table]:
    tables = []
    for data, rows in found.items():
        models = {name: seeds for name, seeds in rows.items() if name not in ABLATIONS}
        tables.append(models_table(data, models, short=short))
        if not short:
            tables += [features_table(data, name, rows[name]) for name in _OWN if name in rows]
        if len(rows) > len(models):
            ablations = {name: seeds for name, seeds in rows.items() if name == OURS or name in ABLATIONS}
            tables.append(models_table(data, ablations, "Ablations", short))
    return tables


def _rates(settings: SemanticsSettings, cells: Sequence[Cell], results: Mapping[str, dict[str, Any]]) -> list[Table]:
    if "rates" not in settings.parts:
        return []
    data = settings.data[0]
    rows = {
        cell.settings.latent_dim: results[cell.name]["scores"]
        for cell in cells
        if isinstance(cell.settings, VAECell) and (cell.settings.data, cell.settings.seed) == (data, settings.seed)
    }
    shape = load_dataset(data).shape
    return [rates_table(Path(data).stem, dict(sorted(rows.items())), shape[0] * shape[1] * shape[2])]


def _trials(cells: Sequence[Cell], results: Mapping[str, dict[str, Any]]) -> list[Table]:
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for cell in cells:
        if isinstance(cell.settings, StabilityCell):
            maker = cell.settings.maker
            of_data = rows.setdefault(Path(maker.vae.data).stem, {})
            of_data.setdefault(maker.model, []).append(results[cell.name])
    return [stability_table(data, of) for data, of in rows.items()]


def _tuning(cells: Sequence[Cell], results: Mapping[str, dict[str, Any]]) -> list[Table]:
    found: dict[str, dict[tuple[str, float], dict[str, Any]]] = {}
    for cell in cells:
        if isinstance(cell.settings, TuningCell):
            maker = cell.settings.maker
            found.setdefault(Path(maker.vae.data).stem, {})[maker.model, maker.lr[0]] = results[cell.name]
    return [tuning_table(data, of) for data, of in found.items()]


def _costs(settings: SemanticsSettings, device: torch.device) -> Callable[[Cell], float]:
    """About the seconds of each cell, from an encoder's and a decoder's pass timed here and now."""
    one = seconds_of_passes(settings.data[0], settings.latent_dims[0], settings.width, settings.batch_size, device)

    def cost(cell: Cell) -> float:
        asked = cell.settings
        if isinstance(asked, ReaderCell):
            return asked.steps * 4 * one + 10
        if isinstance(asked, VAECell):
            return asked.steps * 1.2 * one + 10
        if isinstance(asked, GANCell):
            return asked.steps * 4 * one + 10
        if isinstance(asked, StabilityCell | TuningCell):
            return asked.maker.steps * 5 * one + 20
        return 60 + asked.count / settings.batch_size * 20 * one

    return cost


_PICTURES = (
    ("films", "Rows of codes for each feature, its level from -1.5 to 1.5 from left to right, neutral in the middle."),
    ("samples", "Samples."),
)


def _write_page(
    folder: Path,
    settings: SemanticsSettings,
    cells: Sequence[Cell],
    tables: Sequence[Table],
    verdicts: Sequence[str],
) -> None:
    blocks: list[Table | Picture] = list(tables)
    for cell in cells:
        if isinstance(cell.settings, ScoresCell) and cell.settings.seed == settings.seed:
            for what, caption in _PICTURES:
                path = folder / "pictures" / f"{cell.name}-{what}.png"
                if path.exists():
                    blocks.append(Picture(f"{cell.name.removeprefix('scores-')}: {what}", path.read_bytes(), caption))
    hidden = (f"{level} of {Path(data).stem}" for data, level in zip(settings.data, settings.held_out, strict=True))
    second = " or ".join(map(str, settings.gan_steps))
    facts = [
        ("networks", f"of Zheng and Sun (2019), width {settings.width}"),
        ("codes", " and ".join(map(str, settings.latent_dims)) + f" latents, features {settings.separation:g} apart"),
        ("training", f"{settings.vae_steps} and {second} iterations of {settings.batch_size} images"),
        ("held out", "; ".join(hidden)),
        ("seeds", str(settings.seeds)),
    ]
    lead = ["Features have their place before anything is trained, and their reverse is where nothing was shown."]
    write_page(folder / "index.html", "Pre-defined semantic latents", [*lead, *verdicts], blocks, facts)
