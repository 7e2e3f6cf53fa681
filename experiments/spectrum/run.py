"""`python -m experiments spectrum`: quasi-eigenvectors, operators on labels, and denoising, beside their neighbours.

*Bases* (Toledo-Marin and Glazier, 2023). For generators with the normal prior: where the true label of a held-out image
stands among the coefficients of its code, in the paper's basis, in ours and in those of others; what the vectors show.

*Operators.* From each label to each other one, every operator at the strength that gives the guide 95 % success on
validation codes: what else changes, whether the moved codes could still be the prior's, and whether there is a way back.

*Denoising.* Corrupted images through classical filters, through recovery, and through recovery filtered in the basis; every
method tuned on validation images and scored once on held-out ones, by a classifier that no network here was trained with.

Reference: Toledo-Marin and Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
2023.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.frame.cells import Cell
from experiments.frame.experiment import begin
from experiments.spectrum.bases import BASES, BasesCell, hold_bases
from experiments.spectrum.denoisers import STRENGTHS
from experiments.spectrum.denoising_cells import DenoiserCell, DenoisingCell, denoise, fit_denoiser
from experiments.spectrum.operators import OPERATORS, OperatorsCell, compare_operators
from experiments.spectrum.report import (
    bases_table,
    denoising_table,
    operators_table,
    spectral_verdicts,
)
from experiments.spectrum.settings import SpectrumSettings
from experiments.spectrum.spaces import (
    EncoderCell,
    GuideCell,
    Places,
    SpaceCell,
    fit_real_encoder,
    train_generator,
    train_guide,
)
from latentry.data.sources import load_dataset
from latentry.models.classifier import Classifier
from latentry.models.saving import load_model
from latentry.networks import DCGANGenerator, channels_last
from latentry.reports.page import Picture, write_page
from latentry.reports.tables import Table
from latentry.tasks.runs import command

__all__ = ["run"]

_PARTS = ("index.html", "cells", "pictures", "work")
_TRAINED = "train"
_REHEARSED = "digits-generator"
_BATCH = 64


@command
def run(settings: SpectrumSettings) -> dict[str, Any]:
    """Write one file for each cell, then `index.html` and `results.json`; print the cost first and the tables last."""
    settings = _rehearsal(settings) if settings.quick else settings
    _check(settings)
    experiment = begin(settings, *_PARTS)
    folder, device = experiment.folder, experiment.device
    places = Places(folder, str(device), settings.trained)

    phases = _phases(settings)
    costs = _costs(settings, device)
    results = experiment.results(phases, partial(work, places), lambda cell: costs[type(cell.settings)])

    found = _by_data(phases, results)
    kinds = ((BasesCell, bases_table), (OperatorsCell, operators_table), (DenoisingCell, denoising_table))

    def tables(short: bool) -> list[Table]:
        return [make(data, seeds, short) for kind, make in kinds for data, seeds in found.get(kind, {}).items()]

    verdicts = spectral_verdicts(found.get(BasesCell, {}), found.get(OperatorsCell, {}), found.get(DenoisingCell, {}))
    _write_page(folder, settings, phases, tables(short=False), verdicts)
    return experiment.finish({"verdicts": verdicts, "cells": results}, tables(short=True), verdicts)


def work(places: Places, cell: Cell) -> dict[str, Any]:
    """The result of any of these cells."""
    do: dict[type, Callable[[Places, Any], dict[str, Any]]] = {
        SpaceCell: train_generator,
        GuideCell: train_guide,
        EncoderCell: fit_real_encoder,
        BasesCell: hold_bases,
        OperatorsCell: compare_operators,
        DenoiserCell: fit_denoiser,
        DenoisingCell: denoise,
    }
    return do[type(cell.settings)](places, cell.settings)


def _rehearsal(settings: SpectrumSettings) -> SpectrumSettings:
    return dataclasses.replace(
        settings, data=settings.data[:1], generators=(_REHEARSED,), guides=settings.guides[:1], readers=settings.readers[:1],
        seeds=2, bases=("random",), operators=("translate-margin",), per_label=20, inverse_steps=2, encoder_steps=2,
        encoder_batch_size=8, training_images=100, images=100, codes=60, moved=2, corruptions=settings.corruptions[:1],
        strengths=1, denoiser_steps=2, samples=30, recovery_steps=2, denoised_validation=2, denoised=2,
        workers=settings.workers or 1,
    )  # fmt: skip


def _check(settings: SpectrumSettings) -> None:
    counts = [len(named) for named in (settings.generators, settings.guides, settings.readers)]
    if not settings.data or set(counts) != {len(settings.data)}:
        raise ValueError(
            f"expected one generator, one guide and one reader for each of {len(settings.data)} data sets, got {counts[0]}, "
            f"{counts[1]} and {counts[2]}; name as many with --generators, --guides and --readers"
        )
    if same := [guide for guide, reader in zip(settings.guides, settings.readers, strict=True) if guide == reader]:
        raise ValueError(f"expected a reader other than the guide, got {same[0]} twice; none shall be its own examiner")
    if not settings.parts:
        raise ValueError("expected at least one part, got none; leave --parts out for all")
    unknown = set(settings.corruptions) - STRENGTHS.keys()
    if unknown or not settings.corruptions:
        raise ValueError(
            f"expected corruptions among {', '.join(STRENGTHS)}, got {', '.join(sorted(unknown)) or 'none'}; choose of these"
        )
    for what, asked, known in (("bases", settings.bases, BASES), ("operators", settings.operators, OPERATORS)):
        if strange := set(asked) - known.keys():
            raise ValueError(f"expected {what} among {', '.join(known)}, got {', '.join(sorted(strange))}; choose of these")
    most = min(map(len, STRENGTHS.values()))
    if not 1 <= settings.strengths <= most:
        raise ValueError(f"expected 1 to {most} strengths of each corruption, got {settings.strengths}")


def _phases(settings: SpectrumSettings) -> list[list[Cell]]:
    """All cells, each phase building on those before it; seed by seed, so that a part of them says something."""
    sets = list(zip(settings.data, settings.generators, settings.guides, settings.readers, strict=True))
    guides: dict[str, Any] = {
        data: GuideCell(data, settings.guide_steps) if guide == _TRAINED else guide for data, _, guide, _ in sets
    }
    first: list[Any] = [guide for guide in guides.values() if isinstance(guide, GuideCell)]
    encoders: list[Any] = []
    last: list[Any] = []
    bases = _chosen(settings.bases, BASES, "loewdin")
    operators = _chosen(settings.operators, OPERATORS, "margin")
    for seed in range(settings.seed, settings.seed + settings.seeds):
        for data, generator, _, reader in sets:
            space = SpaceCell(
                data,
                seed,
                settings.latent_dim,
                settings.width,
                settings.gan_steps,
                settings.batch_size,
                settings.lr,
                None if generator == _TRAINED else generator,
            )
            encoder = EncoderCell(
                space, guides[data], settings.per_label, settings.inverse_steps, settings.encoder_steps,
                settings.encoder_batch_size, settings.training_images,
            )  # fmt: skip
            first.append(space)
            encoders.append(encoder)
            if "bases" in settings.parts:
                last.append(BasesCell(encoder, reader, settings.images, settings.codes, bases))
            if "operators" in settings.parts:
                last.append(OperatorsCell(encoder, reader, settings.moved, settings.moved, operators))
            if "denoising" in settings.parts:
                denoiser = DenoiserCell(encoder, settings.corruptions, settings.strengths, settings.denoiser_steps)
                encoders.append(denoiser)
                last += [
                    DenoisingCell(
                        denoiser, reader, kind, settings.samples, settings.recovery_steps, settings.denoised_validation,
                        settings.denoised,
                    )
                    for kind in settings.corruptions
                ]  # fmt: skip
    return [[Cell(asked.name, asked) for asked in phase] for phase in (first, encoders, last)]


def _chosen(asked: Sequence[str], known: Mapping[str, Any], always: str) -> tuple[str, ...]:
    """Rows of a table, in its order."""
    return tuple(name for name in known if not asked or name in asked or name == always)


def _space_of(asked: Any) -> SpaceCell:
    space: SpaceCell = asked.encoder.space
    return space


def _by_data(
    phases: Sequence[Sequence[Cell]], results: Mapping[str, dict[str, Any]]
) -> dict[type, dict[str, dict[int, dict[str, Any]]]]:
    """Results of the last phase by kind of cell, data set and seed; those of all corruptions joined."""
    found: dict[type, dict[str, dict[int, dict[str, Any]]]] = {}
    for cell in phases[-1]:
        space = _space_of(cell.settings)
        of_seed = found.setdefault(type(cell.settings), {}).setdefault(Path(space.data).name, {})
        of_seed[space.seed] = of_seed.get(space.seed, {}) | results[cell.name]
    return found


def _costs(settings: SpectrumSettings, device: torch.device) -> dict[type, float]:
    """About the seconds of each kind of cell, from a few passes timed here and now; guesses from trials beside."""
    channels, side, _ = load_dataset(settings.data[0]).shape
    generator = channels_last(DCGANGenerator(settings.latent_dim, side, channels, settings.width)).to(device).eval()
    reader = load_model(settings.readers[0], Classifier).network.to(device).eval()
    z = torch.randn(_BATCH, settings.latent_dim, device=device)
    made = _passes(generator, z)
    seen = made + _passes(reader, generator(z).detach())
    pairs = settings.encoder_batch_size * 8 * made  # an encoder costs more than what it inverts
    edits = 90 * settings.moved
    looked_at = settings.denoised_validation + settings.denoised
    return {
        SpaceCell: settings.gan_steps * settings.batch_size * 14 * made,
        GuideCell: settings.guide_steps * 64 * 4 * (seen - made),
        EncoderCell: settings.inverse_steps * pairs
        + settings.encoder_steps * (pairs + settings.encoder_batch_size * 3 * seen)
        + 25 * settings.per_label * seen,
        BasesCell: 30 + seen * (10 * settings.per_label + 25 * min(200, settings.per_label) * settings.latent_dim + 20_000),
        OperatorsCell: 20 + 9 * edits * (16 * seen + 2e-3),
        DenoiserCell: settings.denoiser_steps * pairs,
        DenoisingCell: settings.strengths
        * (settings.samples * made + looked_at * (0.3 + settings.recovery_steps * 18 * made)),
    }


def _passes(network: nn.Module, x: torch.Tensor) -> float:
    """Seconds of a forward pass of one."""
    seconds = []
    with torch.no_grad():
        for _ in range(3):
            began = time.perf_counter()
            network(x)
            seconds.append(time.perf_counter() - began)
    return min(seconds) / len(x)


_PICTURES: dict[type, tuple[tuple[str, str, str], ...]] = {
    SpaceCell: (("", "samples", "Samples of the prior."),),
    BasesCell: (
        ("", "vectors", "Decoded label vectors, one row for each basis in the order of the table."),
        (
            "-products",
            "inner products",
            "Of class means and of the vectors made of them; a basis is as good as its diagonal is clear of the rest.",
        ),
        ("-encoded", "encoded images", "Held-out images and what the generator makes of their codes, in pairs."),
    ),
    OperatorsCell: (
        (
            "",
            "operators",
            "A code of each label; below, moved to the next label by each operator, in the table's order.",
        ),
        ("-film", "films", "From each label to the next: rotations of the label sub-domain by ninths of the way."),
    ),
}


def _write_page(
    folder: Path,
    settings: SpectrumSettings,
    phases: Sequence[Sequence[Cell]],
    tables: Sequence[Table],
    verdicts: Sequence[str],
) -> None:
    blocks: list[Table | Picture] = list(tables)
    for cell in (cell for cells in phases for cell in cells):
        seed = getattr(cell.settings, "seed", None) if isinstance(cell.settings, SpaceCell) else None
        if not isinstance(cell.settings, SpaceCell | GuideCell | EncoderCell | DenoiserCell):
            seed = _space_of(cell.settings).seed
        if seed != settings.seed:
            continue
        for ending, what, caption in _PICTURES.get(type(cell.settings), ()):
            path = folder / "pictures" / f"{cell.name}{ending}.png"
            blocks.append(Picture(f"{cell.name}: {what}", path.read_bytes(), caption))
        if isinstance(cell.settings, DenoisingCell):
            caption = (
                "Clean, corrupted (1 weak, 3 strong), and by the best filter, recovery, and recovery in the basis; "
                "image by image."
            )
            for path in sorted((folder / "pictures").glob(f"{cell.name}-*.png")):
                blocks.append(Picture(path.stem, path.read_bytes(), caption))
    facts = [
        ("generators", f"DCGAN of width {settings.width}, {settings.latent_dim} normal latents, {settings.gan_steps} steps"),
        ("guides", ", ".join(settings.guides)),
        ("readers", ", ".join(settings.readers)),
        ("encoders", f"{settings.inverse_steps} steps on pairs, {settings.encoder_steps} on images"),
        ("seeds", str(settings.seeds)),
    ]
    lead = ["Directions that bear labels, what is done with them, and whether it does what it says."]
    write_page(folder / "index.html", "Latent spectral decomposition", [*lead, *verdicts], blocks, facts)
