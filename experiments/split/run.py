"""`python -m experiments split`: codes that say what it is beside codes that say how it looks, and what each part is for.

*Models* (Zheng and Sun, 2019). Our label split, that with the paper's losses, and conditional models of the same networks,
trained for as many iterations on the same batches: labels by z_s, leakage of z_u, swaps, samples, codes and their
distributions.

*Ablations.* Ours without its parts, one at a time, on the first data set.

*Moons.* The toy in two dimensions, as a figure.

Reference: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments.frame.cells import Cell
from experiments.frame.experiment import begin
from experiments.frame.step_cost import seconds_of_passes
from experiments.split.models import ABLATIONS, CONDITIONAL, OURS, ModelCell, train_model
from experiments.split.moons import MoonsCell, learn_moons
from experiments.split.report import codes_table, label_split_verdict, models_table
from experiments.split.scores import ScoresCell, score_model
from experiments.split.settings import SplitSettings
from latentry.reports.page import Picture, write_page
from latentry.reports.tables import Table
from latentry.tasks.runs import command

__all__ = ["run"]

_PARTS = ("index.html", "cells", "pictures", "work")
_MODELS = (OURS, "paper", *CONDITIONAL)
_MOONS = 6000


@command
def run(settings: SplitSettings) -> dict[str, Any]:
    """Write one file for each cell, then `index.html` and `results.json`; print the cost first and the tables last."""
    settings = _rehearsal(settings) if settings.quick else settings
    _check(settings)
    experiment = begin(settings, *_PARTS)
    folder, device = experiment.folder, experiment.device

    phases = _phases(settings)
    results = experiment.results(phases, partial(work, folder, str(device)), _costs(settings, device))

    found = _by_data(settings, phases[-1], results)
    verdicts = [label_split_verdict(data, rows) for data, rows in found.items()]
    _write_page(folder, settings, found, verdicts)
    return experiment.finish({"verdicts": verdicts, "cells": results}, _tables(found, short=True), verdicts)


def work(folder: Path, device: str, cell: Cell) -> dict[str, Any]:
    """The result of any of these cells."""
    do: dict[type, Callable[[Path, str, Any], dict[str, Any]]] = {
        ModelCell: train_model,
        MoonsCell: learn_moons,
        ScoresCell: score_model,
    }
    return do[type(cell.settings)](folder, device, cell.settings)


def _rehearsal(settings: SplitSettings) -> SplitSettings:
    return dataclasses.replace(
        settings, data=settings.data[:1], readers=settings.readers[:1], models=settings.models or ("cvae",),
        parts=settings.parts if settings.parts != _ALL else ("models", "moons"), seeds=2, width=2, label_dim=9, style_dim=4,
        steps=3, batch_size=20, flow_steps=3, count=120, codes=100, images=60, moons_steps=20,
        workers=settings.workers or 1,
    )  # fmt: skip


_ALL = SplitSettings().parts


def _check(settings: SplitSettings) -> None:
    if len(settings.data) != len(settings.readers) or not settings.data:
        raise ValueError(
            f"expected one reader for each data set, got {len(settings.readers)} for {len(settings.data)}; "
            "name as many with --readers"
        )
    if unknown := set(settings.models) - set(_MODELS):
        raise ValueError(
            f"expected models among {', '.join(_MODELS)}, got {', '.join(sorted(unknown))}; choose some of these"
        )
    if not settings.parts:
        raise ValueError("expected at least one part, got none; leave --parts out for all")


def _phases(settings: SplitSettings) -> list[list[Cell]]:
    """All cells, those that train first; seed by seed, so that a part of them says something."""
    training: list[Any] = []
    scoring: list[Any] = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        for data, reader in zip(settings.data, settings.readers, strict=True):
            for row in _rows(settings, first=data == settings.data[0]):
                model = ModelCell(
                    data, OURS if row == ABLATIONS[0] else row, seed, settings.width, settings.label_dim,
                    settings.style_dim, settings.steps, settings.batch_size, settings.lr, settings.flow_steps,
                )  # fmt: skip
                if row != ABLATIONS[0]:
                    training.append(model)
                scoring.append(
                    ScoresCell(model, reader, row != ABLATIONS[0], settings.count, settings.codes, settings.images)
                )
    if "moons" in settings.parts:
        training.append(MoonsCell(settings.seed, _MOONS, settings.moons_steps))
    return [[Cell(asked.name, asked) for asked in phase] for phase in (training, scoring)]


def _rows(settings: SplitSettings, *, first: bool) -> list[str]:
    """Rows of both tables; ours stands in each. Ablations are of the first data set."""
    models = [name for name in _MODELS if name == OURS or not settings.models or name in settings.models]
    rows = models if "models" in settings.parts else [OURS]
    return [*rows, *(ABLATIONS if first and "ablations" in settings.parts else ())]


def _by_data(
    settings: SplitSettings, scoring: Sequence[Cell], results: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, dict[int, dict[str, Any]]]]:
    """Scores by data set, row and seed."""
    found: dict[str, dict[str, dict[int, dict[str, Any]]]] = {Path(data).name: {} for data in settings.data}
    for cell in scoring:
        asked: ScoresCell = cell.settings
        row = asked.model.model if asked.flow else ABLATIONS[0]
        found[Path(asked.model.data).name].setdefault(row, {})[asked.model.seed] = results[cell.name]
    return found


def _tables(found: Mapping[str, Mapping[str, dict[int, dict[str, Any]]]], *, short: bool) -> list[Table]:
    tables = []
    for data, rows in found.items():
        groups = {
            "Models": {name: seeds for name, seeds in rows.items() if name not in ABLATIONS},
            "Ablations": {name: seeds for name, seeds in rows.items() if name == OURS or name in ABLATIONS},
        }
        for title, group in groups.items():
            if len(group) > 1 or title == "Models":
                tables.append(models_table(data, group, title, short))
                coded = {name: seeds for name, seeds in group.items() if "leak_of_draws" in next(iter(seeds.values()))}
                tables += [] if short else [codes_table(data, coded, f"{title}, their codes")]
    return tables


def _costs(settings: SplitSettings, device: torch.device) -> Callable[[Cell], float]:
    """About the seconds of each cell, from an encoder's and a decoder's pass timed here and now."""
    one = seconds_of_passes(settings.data[0], settings.style_dim, settings.width, settings.batch_size, device)

    def cost(cell: Cell) -> float:
        if isinstance(cell.settings, MoonsCell):
            return 2 * cell.settings.steps * 6e-3
        if isinstance(cell.settings, ScoresCell):
            return 40 + settings.count / settings.batch_size * 2 * one
        times = 6 if cell.settings.model in CONDITIONAL else 9
        return cell.settings.steps * times * one + cell.settings.flow_steps * 0.03

    return cost


_PICTURES = (
    ("labels", "In each row an image, and its style under every label."),
    ("swaps", "In threes: the image that gives z_s, the one that gives z_u, and what is made of both."),
    ("parts", "Codes of held-out images by label, in the plane by t-SNE: z_s in clusters, z_u mixed."),
    ("samples", "Samples of the prior, one column for each label."),
)


def _write_page(
    folder: Path,
    settings: SplitSettings,
    found: Mapping[str, Mapping[str, dict[int, dict[str, Any]]]],
    verdicts: Sequence[str],
) -> None:
    blocks: list[Table | Picture] = list(_tables(found, short=False))
    for data, rows in found.items():
        for row in rows:
            for what, caption in _PICTURES:
                path = folder / "pictures" / f"scores-{data}-{row}-{settings.seed}-{what}.png"
                if path.exists() and (what in ("samples", "labels") or row == OURS):
                    blocks.append(Picture(f"{data}, {row}: {what}", path.read_bytes(), caption))
    moons = folder / "pictures" / "moons.png"
    if moons.exists():
        blocks.append(Picture("Three moons", moons.read_bytes(), "Points, codes, and what is made of them, by class."))
    facts = [
        ("networks", f"of Zheng and Sun (2019), width {settings.width}"),
        ("codes", f"{settings.label_dim} latents for labels, {settings.style_dim} for styles"),
        ("training", f"{settings.steps} iterations of {settings.batch_size} images, {settings.seeds} seeds"),
        ("readers", ", ".join(settings.readers)),
    ]
    lead = ["One part of a code says what an image shows, the other how it looks; none of either in the other."]
    write_page(folder / "index.html", "Label-relevant and label-irrelevant dimensions", [*lead, *verdicts], blocks, facts)
