"""`python -m experiments spectrum`: quasi-eigenvectors, operators on labels, and denoising, beside their neighbours.

*Bases* (Toledo-Marin and Glazier, 2023). For generators with the normal prior: the rank of a held-out image's true label
among the coefficients of its code, in the paper's basis, in ours and in those of others; what the vectors show.

*Operators.* From each label to each other one, every operator at the strength that gives the guide 95 % success on
validation codes: what else changes, whether the moved codes could still be the prior's, and whether there is a way back.

*Denoising.* Corrupted images through classical filters, through recovery, and through recovery filtered in the basis; every
method tuned on validation images and scored once on held-out ones, by a classifier that no network here was trained with.

Reference: Toledo-Marin and Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
2023.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.framework.cell import Cell
from experiments.framework.results import measured
from experiments.framework.run import PARTS, Experiment, Report, begin, check_counts, check_known, check_parts
from experiments.spectrum.bases import BASES, BasesCell
from experiments.spectrum.denoising import STRENGTHS, DenoiserCell, DenoisingCell
from experiments.spectrum.operators import OperatorsCell
from experiments.spectrum.settings import SpectrumSettings
from experiments.spectrum.spaces import EncoderCell, GuideCell, SpaceCell
from experiments.spectrum.tables import (
    bases_table,
    bases_verdict,
    denoising_table,
    denoising_verdict,
    operators_table,
    operators_verdict,
)
from latentry.latent.label_moves import LABEL_MOVES
from latentry.reports.page import Picture
from latentry.reports.tables import Table
from latentry.tasks.runs import Run, command

__all__ = ["phases", "run"]

_TRAIN = "train"


@command(*PARTS)
def run(settings: SpectrumSettings, current: Run) -> dict[str, Any]:
    """Work out all cells; write the table of results, the page and `results.json`."""
    _check(settings)
    experiment = begin(settings, current)
    table, _ = experiment.results(phases(settings))
    return experiment.finish(_report(settings, experiment, table))


def _check(settings: SpectrumSettings) -> None:
    check_counts(
        "name", data=settings.data, generators=settings.generators, guides=settings.guides,
        classifiers=settings.classifiers,
    )  # fmt: skip
    if same := [guide for guide, own in zip(settings.guides, settings.classifiers, strict=True) if guide == own]:
        raise ValueError(f"expected an evaluation classifier other than the guide, got {same[0]} twice; name another")
    check_parts(settings.parts)
    check_known("corruptions", settings.corruptions, STRENGTHS)
    check_known("bases", settings.bases, BASES)
    check_known("operators", settings.operators, LABEL_MOVES)
    if not settings.corruptions:
        raise ValueError("expected at least one corruption, got none; leave --corruptions out for all")
    most = min(map(len, STRENGTHS.values()))
    if not 1 <= settings.strengths <= most:
        raise ValueError(f"expected 1 to {most} strengths of each corruption, got {settings.strengths}")


def phases(settings: SpectrumSettings) -> list[list[Cell]]:
    """All cells, each phase building on those before it; seed by seed, so that first results are complete seeds."""
    sets = list(zip(settings.data, settings.generators, settings.guides, settings.classifiers, strict=True))
    guides: dict[str, str | GuideCell] = {
        data: GuideCell(data, settings.guide_steps) if guide == _TRAIN else guide for data, _, guide, _ in sets
    }
    first: list[Cell] = [guide for guide in guides.values() if isinstance(guide, GuideCell)]
    encoders: list[Cell] = []
    last: list[Cell] = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        for data, generator, _, classifier in sets:
            space = SpaceCell(
                data, seed, settings.latent_dim, settings.width, settings.gan_steps, settings.batch_size,
                settings.learning_rate, None if generator == _TRAIN else generator.replace("{seed}", str(seed)),
            )  # fmt: skip
            encoder = EncoderCell(
                space, guides[data], settings.per_label, settings.inverse_steps, settings.encoder_steps,
                settings.encoder_batch_size, settings.training_images,
            )  # fmt: skip
            first.append(space)
            encoders.append(encoder)
            if "bases" in settings.parts:
                bases = _chosen(settings.bases, BASES, "loewdin")
                last.append(BasesCell(encoder, classifier, settings.images, settings.codes, bases))
            if "operators" in settings.parts:
                operators = _chosen(settings.operators, LABEL_MOVES, "margin")
                last.append(OperatorsCell(encoder, classifier, settings.moved, settings.moved, operators))
            if "denoising" in settings.parts:
                denoiser = DenoiserCell(encoder, settings.corruptions, settings.strengths, settings.denoiser_steps)
                encoders.append(denoiser)
                last += [
                    DenoisingCell(
                        denoiser, classifier, kind, settings.samples, settings.recovery_steps, settings.denoised_validation,
                        settings.denoised,
                    )
                    for kind in settings.corruptions
                ]  # fmt: skip
    return [first, encoders, last]


def _chosen(chosen: Sequence[str], known: Mapping[str, Any], always: str) -> tuple[str, ...]:
    """Rows of a table, in its order."""
    return tuple(name for name in known if not chosen or name in chosen or name == always)


_PICTURES: Mapping[type, Mapping[str, tuple[str, str]]] = {
    SpaceCell: {"": ("samples", "Samples of the prior.")},
    BasesCell: {
        "": ("vectors", "Decoded label vectors, one row for each basis."),
        "-products": (
            "inner products",
            "Of class means and of the vectors made of them; a basis is as good as its diagonal is clear of the rest.",
        ),
        "-encoded": ("encoded images", "Held-out images and their decoded codes."),
    },
    OperatorsCell: {
        "": ("operators", "A code of each label; below, moved to the next label by each operator."),
        "-film": ("films", "From each label to the next: rotations of the label sub-domain by ninths of the way."),
    },
    DenoisingCell: {
        f"-{strength}": (f"strength {strength}", "Images by the best filter, recovery, and recovery in the basis.")
        for strength in (1, 2, 3)
    },
}


def _report(settings: SpectrumSettings, experiment: Experiment, table: pd.DataFrame) -> Report:
    bases, codes, operators, denoising = (measured(table, part) for part in ("bases", "codes", "operators", "denoising"))

    def tables(*, short: bool = False) -> list[Table]:
        return [
            *(bases_table(data, rows, codes[data]["encoded images"], short=short) for data, rows in bases.items()),
            *(operators_table(data, rows, short=short) for data, rows in operators.items()),
            *(denoising_table(data, rows, short=short) for data, rows in denoising.items()),
        ]

    return Report(
        title="Latent spectral decomposition",
        lead="Directions that bear labels, what is done with them, and whether it does what it says.",
        verdicts=[
            *(bases_verdict(data, rows, codes[data]["encoded images"]) for data, rows in bases.items()),
            *(operators_verdict(data, rows) for data, rows in operators.items()),
            *(denoising_verdict(data, rows) for data, rows in denoising.items()),
        ],
        blocks=[*tables(), *_pictures(settings, experiment)],
        console=tables(short=True),
        facts=[
            (
                "generators",
                f"DCGAN of width {settings.width}, {settings.latent_dim} normal latents, {settings.gan_steps} steps",
            ),
            ("guides", ", ".join(Path(guide).name for guide in settings.guides)),
            ("classifiers", ", ".join(Path(each).name for each in settings.classifiers)),
            ("encoders", f"{settings.inverse_steps} steps on pairs, {settings.encoder_steps} on images"),
            ("seeds", str(settings.seeds)),
        ],
    )


def _pictures(settings: SpectrumSettings, experiment: Experiment) -> list[Picture]:
    """Those of the first seed."""
    found: list[Picture] = []
    for cell in (cell for phase in phases(settings) for cell in phase):
        if cell.name.endswith(f"-{settings.seed}"):
            for ending, (what, caption) in _PICTURES.get(type(cell), {}).items():
                found += experiment.pictures(f"{cell.name}{ending}", f"{cell.name}: {what}", caption)
    return found
