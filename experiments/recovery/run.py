"""`python -m experiments recovery`: the paper's protocol under a fair grid, known codes against their cost, and provenance.

*The paper's protocol* (Cho, 2020; part `paper`). Least-squares GANs of 256 latents under three priors, on equal terms; real
held-out digits are recovered by every way to keep codes near their prior (`methods`), each tuned on the same grid by the
same rule on one seed and other images, then run on every seed.

*Known codes.* Codes drawn from the prior of trained generators, recovered from their images by Levenberg-Marquardt and by
Adam, from draws of the prior and from a learned start: the share that is found as a function of its cost.

*Provenance.* How well the recovery error tells a generator's own samples from real images and from another generator's.

Reference: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.framework.cell import Cell
from experiments.framework.results import measured
from experiments.framework.run import PARTS, Experiment, Report, begin, check_counts, check_known, check_parts
from experiments.recovery import known_codes, protocol
from experiments.recovery.known_codes import BUDGETS, ChunkCell, InverseCell, KnownCodesCell, ProvenanceCell, cost_of_found
from experiments.recovery.methods import METHODS
from experiments.recovery.protocol import GridCell, HeldOutCell, LeastSquaresGANCell, Protocol
from experiments.recovery.settings import RecoverySettings
from experiments.recovery.tables import (
    claim,
    inverse_table,
    known_codes_table,
    known_codes_verdict,
    method_table,
    provenance_table,
)
from latentry.reports.figures import found_figure, scatter_figure
from latentry.reports.page import Picture
from latentry.reports.tables import Table
from latentry.tasks.loading import load_with_unlabelled_prior
from latentry.tasks.runs import Run, command

__all__ = ["phases", "run", "short_name"]

_FEWEST = 8
"""Codes for which the report has every test that the rows show."""


@command(*PARTS, "codes")
def run(settings: RecoverySettings, current: Run) -> dict[str, Any]:
    """Work out what is missing; write and print the results."""
    _check(settings)
    generators = {short_name(name): name for name in settings.generators}
    fingerprints = {label: load_with_unlabelled_prior(name)[0].fingerprint for label, name in generators.items()}
    experiment = begin(settings, current, sources=generators)
    ordered = phases(settings, fingerprints)
    table, results = experiment.results(ordered)
    return experiment.finish(_report(settings, experiment, table, results, [cell for phase in ordered for cell in phase]))


def _report(
    settings: RecoverySettings,
    experiment: Experiment,
    table: pd.DataFrame,
    results: Mapping[str, Any],
    cells: Sequence[Cell],
) -> Report:
    methods, known = measured(table, protocol.PART), measured(table, known_codes.PART)
    starts = {label: rows["inverse"] for label, rows in measured(table, "learned-starts").items()}
    sources = {label: rows["recovery-error"] for label, rows in measured(table, "provenance").items()}
    blocks: list[Table | Picture] = [method_table(title, rows) for title, rows in methods.items()]
    if methods:
        points = {
            title: {METHODS[name].title: (row.value("l1"), row.value("ks")) for name, row in rows.items()}
            for title, rows in methods.items()
        }
        png = scatter_figure(points, "L1 on real images", "KS distance of all elements to the prior")
        caption = "Means over seeds. Lower left is better."
        blocks.append(experiment.chart("fit-and-l1", "What fit costs in reconstruction", png, caption))
    blocks += [known_codes_table(label, rows) for label, rows in known.items()]
    if known:
        curves: dict[str, dict[str, Any]] = {label: {} for label in known}
        for cell in cells:
            if isinstance(cell, KnownCodesCell):
                chunks = [results[chunk.name] for chunk in cell.chunks]
                curves[cell.first.generator][cell.first.method] = cost_of_found(chunks)
        budgets = ", ".join(f"{budget:,}" for budget in BUDGETS)
        caption = f"Starts that failed count; the training of learned starts does not. Dashed: {budgets}."
        png = found_figure(curves, BUDGETS)
        blocks.append(experiment.chart("found-by-cost", "Known codes found, by cost", png, caption))
    blocks += [inverse_table(starts)] if starts else []
    blocks += [provenance_table(sources)] if sources else []
    for cell in cells:
        if isinstance(cell, HeldOutCell) and cell.gan.seed == settings.seed:
            title = f"{cell.gan.prior}: {METHODS[cell.tuning.method].title}"
            blocks += experiment.pictures(cell.name, title)
    return Report(
        title="Latent code recovery",
        lead="Codes of given images, recovered in many ways, held against their prior and against the true codes.",
        verdicts=[
            *(claim(title, rows) for title, rows in methods.items()),
            *(known_codes_verdict(label, rows) for label, rows in known.items()),
        ],
        blocks=blocks,
        console=[
            *(method_table(title, rows, short=True) for title, rows in methods.items()),
            *(known_codes_table(label, rows, short=True) for label, rows in known.items()),
            *([provenance_table(sources)] if sources else []),
        ],
        facts=_facts(settings),
    )


def _facts(settings: RecoverySettings) -> list[tuple[str, str]]:
    rates, weights = settings.learning_rates, settings.weights
    return [
        ("networks", f"least-squares {settings.network}, width {settings.width}, {settings.latent_dim} latents"),
        ("training", f"{settings.gan_steps} iterations of {settings.batch_size} images of {settings.data}"),
        ("grid", f"rates {rates}, weights {weights}, on {settings.validation} validation images"),
        ("recovery", f"{settings.recovery_steps} steps, {settings.restarts} starts, {settings.seeds} seeds"),
        ("images", f"{settings.held_out}, for Levenberg-Marquardt {settings.damped_held_out}"),
        ("known codes", f"{settings.codes} of each generator, {settings.codes_beside} for Adam and for 8 bits"),
    ]


def _check(settings: RecoverySettings) -> None:
    fewest = min(settings.validation, settings.held_out, settings.damped_held_out)
    if fewest < _FEWEST:
        raise ValueError(
            f"expected at least {_FEWEST} validation and held-out images, which the report on codes needs, got {fewest}"
        )
    check_known("methods", settings.methods, METHODS)
    check_parts(settings.parts)
    if not settings.priors:
        raise ValueError("expected at least one prior, got none; leave --priors out for all")
    check_counts("data set", generators=settings.generators, generator_data=settings.generator_data)
    labels = [short_name(name) for name in settings.generators]
    if len(set(labels)) < len(labels):
        raise ValueError(f"expected generators of different names, got {', '.join(labels)}; rename a folder")


def short_name(name: str) -> str:
    """What reports call a generator: `runs/faces/model` is faces, as it would be if it were shipped by that name."""
    path = Path(name)
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def phases(settings: RecoverySettings, fingerprints: Mapping[str, str]) -> list[Sequence[Cell]]:
    """All cells, each phase building on those before it; seed by seed and chunk by chunk, so that a part says something."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    gans: dict[tuple[str, int], LeastSquaresGANCell] = {
        (prior, seed): LeastSquaresGANCell(
            settings.data, prior, seed, settings.network, settings.latent_dim, settings.width, settings.gan_steps,
            settings.batch_size, settings.learning_rate, settings.r1, settings.classifier,
        )
        for seed in seeds
        for prior in settings.priors
    }  # fmt: skip
    inverses = {
        label: InverseCell(
            label, fingerprint, settings.seed, settings.inverse_steps, settings.inverse_batch_size, settings.inverse_width
        )
        for label, fingerprint in fingerprints.items()
    }
    trained: list[LeastSquaresGANCell] = []
    tuned: list[GridCell] = []
    held_out: list[HeldOutCell] = []
    known: list[KnownCodesCell] = []
    provenance: list[ProvenanceCell] = []
    if "paper" in settings.parts:
        trained += gans.values()
        run = Protocol(
            settings.learning_rates, settings.weights, settings.recovery_steps, settings.restarts, settings.damped_steps
        )
        tuned += [
            GridCell(gans[prior, settings.seed], name, run, settings.validation)
            for prior in settings.priors
            for name in settings.methods or METHODS
        ]
        for seed in seeds:
            for cell in tuned:
                damped = METHODS[cell.method].damped
                images = settings.damped_held_out if damped else settings.held_out
                own = settings.damped_known if damped else settings.known
                held_out.append(HeldOutCell(cell, gans[cell.gan.prior, seed], images, own))
    if "known-codes" in settings.parts:
        known += _known_codes(settings, inverses)
    if "provenance" in settings.parts:
        first = gans[settings.priors[0], settings.seed]
        for (label, inverse), data in zip(inverses.items(), settings.generator_data, strict=True):
            other = first if data == settings.data else None
            trained += [other] if other is not None and other not in trained else []
            provenance.append(
                ProvenanceCell(
                    label, inverse.fingerprint, inverse, data, other, settings.provenance_images, settings.calibration,
                    settings.provenance_steps, settings.seed,
                )
            )  # fmt: skip
    learned = [*inverses.values()] if known or provenance else []
    chunks = [chunk for cell in known for chunk in cell.chunks]
    return [phase for phase in (learned, trained, chunks, known, tuned, held_out, provenance) if phase]


def _known_codes(settings: RecoverySettings, inverses: Mapping[str, InverseCell]) -> list[KnownCodesCell]:
    """What is claimed first: float images and Levenberg-Marquardt; then 8 bits, then Adam."""
    ways: list[tuple[Any, bool, bool, int]] = [
        ("levenberg-marquardt", True, False, settings.codes),
        ("levenberg-marquardt", False, False, settings.codes),
        ("levenberg-marquardt", True, True, settings.codes_beside),
        ("levenberg-marquardt", False, True, settings.codes_beside),
        ("adam", True, False, settings.codes_beside),
        ("adam", False, False, settings.codes_beside),
        ("adam", True, True, settings.codes_beside),
        ("adam", False, True, settings.codes_beside),
    ]
    cells = []
    for solver, learned, eight_bit, count in ways:
        adam = solver == "adam"
        steps = settings.code_adam_steps if adam else settings.code_steps
        starts = settings.code_starts if not adam else 1 if learned else settings.code_adam_starts
        for label, inverse in inverses.items():
            first = ChunkCell(
                label, inverse.fingerprint, solver, inverse if learned else None, eight_bit, steps, starts, 0,
                settings.chunk, settings.seed,
            )  # fmt: skip
            cells.append(KnownCodesCell(first, count))
    return cells
