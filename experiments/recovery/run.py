"""`python -m experiments recovery`: the paper's protocol under a fair grid, known codes against their cost, and provenance.

*The paper's protocol* (Cho, 2020). Least-squares GANs of 256 latents under three priors, on equal terms; real held-out
digits are recovered by every way to keep codes near their prior (`recovery_methods`), each tuned on the same grid by the
same rule (`recovery_comparison`) on one seed and other images, then run on every seed.

*Known codes.* Codes drawn from the prior of trained generators, recovered from their images by Levenberg-Marquardt and by
Adam, from draws of the prior and from a learned start: the share that is found as a function of its cost (`known_codes`).

*Provenance.* How well the recovery error tells a generator's own samples from real images and from another generator's.

All of it is made of cells; a run that was stopped goes on, and parts may be worked out one by one in the same folder.

Reference: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments.frame.cells import Cell
from experiments.frame.experiment import begin
from experiments.recovery.cells import (
    GANCell,
    HeldOutCell,
    InverseCell,
    KnownCell,
    Places,
    Protocol,
    ProvenanceCell,
    TuningCell,
    recovered_codes,
    work,
)
from experiments.recovery.comparison import MethodRow, claim, method_rows, method_table, short_method_table
from experiments.recovery.cost import seconds_of
from experiments.recovery.known_codes import (
    BUDGETS,
    KnownRow,
    found_curve,
    known_row,
    known_table,
    known_verdict,
    short_known_table,
)
from experiments.recovery.methods import METHODS
from experiments.recovery.settings import RecoverySettings
from latentry.evaluation.codes import goodness_of_fit
from latentry.reports.figures import found_figure, scatter_figure
from latentry.reports.page import Picture, write_page
from latentry.reports.tables import Table
from latentry.tasks.runs import command, load_generator

__all__ = ["run"]

_PARTS = ("index.html", "cells", "pictures", "codes", "work")
_FEWEST = 8
"""Codes for which the report has every test that the rows show."""

Results = Mapping[str, Mapping[str, Any]]


@command
def run(settings: RecoverySettings) -> dict[str, Any]:
    """Write one file for each cell, then `index.html` and `results.json`; print the cost first and the tables last."""
    settings = _full(settings) if settings.full else settings
    settings = _rehearsal(settings) if settings.quick else settings
    _check(settings)
    generators = {_label(name): name for name in settings.generators}
    fingerprints = {label: load_generator(name)[0].fingerprint for label, name in generators.items()}
    experiment = begin(settings, *_PARTS)
    folder = experiment.folder
    places = Places(folder, str(experiment.device), generators)

    phases = _phases(settings, fingerprints)
    results = experiment.results(phases, partial(work, places), partial(seconds_of, places))

    methods = _method_rows(settings, results) if "paper" in settings.parts else {}
    known = _known_rows(folder, phases, results, generators)
    verdicts = [
        *(claim(prior, rows) for prior, rows in methods.items()),
        *(known_verdict(label, rows) for label, rows in known.items()),
    ]
    _write_page(folder, settings, phases, results, methods, known, verdicts)
    result = {
        "paper": {prior: {name: dataclasses.asdict(row) for name, row in of.items()} for prior, of in methods.items()},
        "known_codes": {label: {name: row.numbers() for name, row in of.items()} for label, of in known.items()},
        "provenance": _of_kind(phases, results, ProvenanceCell),
        "inverses": _of_kind(phases, results, InverseCell),
        "generators": fingerprints,
        "verdicts": verdicts,
        "cells": results,
    }
    tables = [
        *(short_method_table(prior, rows) for prior, rows in methods.items()),
        *(short_known_table(label, rows) for label, rows in known.items()),
        *_provenance_tables(phases, results),
    ]
    return experiment.finish(result, tables, verdicts)


def _rehearsal(settings: RecoverySettings) -> RecoverySettings:
    return dataclasses.replace(
        settings, priors=settings.priors[:1], seeds=2, latent_dim=8, width=2, gan_steps=2, batch_size=16,
        learning_rates=(0.1,), weights=(0.1,), recovery_steps=2, restarts=2, damped_steps=2, validation=8, held_out=8,
        known=4, damped_held_out=8, damped_known=4, generators=settings.generators[:1],
        generator_data=settings.generator_data[:1], codes=8, codes_beside=4, chunk=4, code_steps=1, code_adam_steps=2,
        code_starts=1, code_adam_starts=1, inverse_steps=2, inverse_batch_size=8, inverse_width=2, provenance_images=2,
        provenance_steps=1, calibration=19, workers=settings.workers or 1,
    )  # fmt: skip


def _full(settings: RecoverySettings) -> RecoverySettings:
    return dataclasses.replace(
        settings, network="cho2020", width=128, gan_steps=375_000, batch_size=32, lr=1e-5, r1=0.0,
        learning_rates=(1e-4, 1e-3, 1e-2, 1e-1), restarts=16, validation=128, held_out=1000, known=500,
        damped_held_out=1000, damped_known=500, damped_steps=40,
    )  # fmt: skip


def _check(settings: RecoverySettings) -> None:
    fewest = min(settings.validation, settings.held_out, settings.damped_held_out)
    if fewest < _FEWEST:
        raise ValueError(
            f"expected at least {_FEWEST} validation and held-out images, which the report on codes needs, got {fewest}"
        )
    unknown = set(settings.methods) - METHODS.keys()
    if unknown:
        raise ValueError(
            f"expected methods among {', '.join(METHODS)}, got {', '.join(sorted(unknown))}; choose some of these"
        )
    if not settings.parts or not settings.priors:
        raise ValueError("expected at least one part and one prior, got none; leave --parts and --priors out for all")
    if len(settings.generators) != len(settings.generator_data) or not settings.generators:
        raise ValueError(
            f"expected one data set for each generator, got {len(settings.generator_data)} for {len(settings.generators)}; "
            "name as many with --generator_data"
        )
    labels = [_label(name) for name in settings.generators]
    if len(set(labels)) < len(labels):
        raise ValueError(f"expected generators of different names, got {', '.join(labels)}; rename a folder")


def _label(name: str) -> str:
    """What reports call a generator: `runs/faces/model` is faces, as it would be if it were shipped by that name."""
    path = Path(name)
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def _phases(settings: RecoverySettings, fingerprints: Mapping[str, str]) -> list[list[Cell]]:
    """All cells, each phase building on those before it; seed by seed and chunk by chunk, so that a part says something."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    gans = {(prior, seed): _gan_cell(settings, prior, seed) for seed in seeds for prior in settings.priors}
    first = gans[settings.priors[0], settings.seed]
    inverses = {label: _inverse_cell(settings, label, mark) for label, mark in fingerprints.items()}
    trained: list[Any] = []
    tuned: list[Any] = []
    held_out: list[Any] = []
    known: list[Any] = []
    provenance: list[Any] = []
    if "paper" in settings.parts:
        trained += gans.values()
        tunings = {
            (prior, name): TuningCell(gans[prior, settings.seed], name, _protocol(settings), settings.validation)
            for prior in settings.priors
            for name in settings.methods or METHODS
        }
        tuned += tunings.values()
        for seed in seeds:
            for (prior, name), tuning in tunings.items():
                few = METHODS[name].damped
                images = settings.damped_held_out if few else settings.held_out
                own = settings.damped_known if few else settings.known
                held_out.append(HeldOutCell(tuning, gans[prior, seed], images, own))
    if "known-codes" in settings.parts:
        known += _known_cells(settings, fingerprints, inverses)
    if "provenance" in settings.parts:
        for (label, mark), data in zip(fingerprints.items(), settings.generator_data, strict=True):
            other = first if data == settings.data else None
            trained += [other] if other is not None and other not in trained else []
            asked = ProvenanceCell(
                label, mark, inverses[label], data, other, settings.provenance_images, settings.calibration,
                settings.provenance_steps, settings.seed,
            )  # fmt: skip
            provenance.append(asked)
    learned = list(inverses.values()) if known or provenance else []
    phases = [learned, trained, known, tuned, held_out, provenance]
    return [[Cell(asked.name, asked) for asked in phase] for phase in phases if phase]


def _gan_cell(settings: RecoverySettings, prior: str, seed: int) -> GANCell:
    return GANCell(
        settings.data, prior, seed, settings.network, settings.latent_dim, settings.width, settings.gan_steps,
        settings.batch_size, settings.lr, settings.r1, settings.classifier,
    )  # fmt: skip


def _protocol(settings: RecoverySettings) -> Protocol:
    return Protocol(
        settings.learning_rates, settings.weights, settings.recovery_steps, settings.restarts, settings.damped_steps
    )


def _inverse_cell(settings: RecoverySettings, label: str, fingerprint: str) -> InverseCell:
    return InverseCell(
        label, fingerprint, settings.seed, settings.inverse_steps, settings.inverse_batch_size, settings.inverse_width
    )


def _known_cells(
    settings: RecoverySettings, fingerprints: Mapping[str, str], inverses: Mapping[str, InverseCell]
) -> list[KnownCell]:
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
    return [
        KnownCell(
            label, mark, solver, inverses[label] if learned else None, eight_bit,
            settings.code_adam_steps if solver == "adam" else settings.code_steps,
            settings.code_starts if solver != "adam" else 1 if learned else settings.code_adam_starts,
            chunk, min(settings.chunk, count - chunk * settings.chunk), settings.seed,
        )
        for solver, learned, eight_bit, count in ways
        for label, mark in fingerprints.items()
        for chunk in range(-(-count // settings.chunk))
    ]  # fmt: skip


def _method_rows(settings: RecoverySettings, results: Results) -> dict[str, dict[str, MethodRow]]:
    seeds = range(settings.seed, settings.seed + settings.seeds)
    return {
        prior: method_rows(
            {
                name: {seed: results[f"held-out-{prior}-{name}-{seed}"] for seed in seeds}
                for name in settings.methods or METHODS
            }
        )
        for prior in settings.priors
    }


def _chunks(phases: Sequence[Sequence[Cell]], label: str) -> dict[str, list[Cell]]:
    """The cells of known codes of one generator, by method."""
    chunks: dict[str, list[Cell]] = {}
    for cells in phases:
        for cell in cells:
            if isinstance(cell.settings, KnownCell) and cell.settings.generator == label:
                chunks.setdefault(cell.settings.method, []).append(cell)
    return chunks


def _known_rows(
    folder: Path, phases: Sequence[Sequence[Cell]], results: Results, generators: Mapping[str, str]
) -> dict[str, dict[str, KnownRow]]:
    rows: dict[str, dict[str, KnownRow]] = {}
    for label, name in generators.items():
        prior = load_generator(name)[1]
        for method, cells in _chunks(phases, label).items():
            codes = torch.cat([recovered_codes(folder, cell.name) for cell in cells])
            row = known_row([results[cell.name] for cell in cells], goodness_of_fit(codes, prior))
            rows.setdefault(label, {})[method] = row
    return rows


def _of_kind(phases: Sequence[Sequence[Cell]], results: Results, kind: type) -> dict[str, Any]:
    """Results of the cells of one kind, by generator."""
    found = [cell for cells in phases for cell in cells if isinstance(cell.settings, kind)]
    return {cell.settings.generator: results[cell.name] for cell in found}


def _provenance_tables(phases: Sequence[Sequence[Cell]], results: Results) -> list[Table]:
    body = tuple(
        (
            label,
            kind,
            f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]",
            f"{result['rejected'][kind]:.0%}",
            f"{result['rejected']['own']:.0%}",
        )
        for label, result in _of_kind(phases, results, ProvenanceCell).items()
        for kind, area in result["auc"].items()
    )
    columns = ("generator", "own against", "AUC", "told, %", "own told, %")
    note = (
        "AUC: chance that an image of the other kind has the larger recovery error, all of them rounded to 8 bits, with 95 "
        "% interval. Told: p-value of 0.05 or less; about 5 % of own ones should be."
    )
    return [Table("Provenance", columns, body, note)] if body else []


def _inverse_tables(phases: Sequence[Sequence[Cell]], results: Results) -> list[Table]:
    body = tuple(
        (label, f"{report['code_error']:.3f}", f"{report['forwards']:,}", f"{report['seconds'] / 60:.1f}")
        for label, report in _of_kind(phases, results, InverseCell).items()
    )
    note = "Code error of the start itself on fresh codes, over the prior's variance. Not part of any evaluations above."
    columns = ("generator", "code error", "generator forwards", "minutes")
    return [Table("What the learned starts took", columns, body, note)] if body else []


def _write_page(
    folder: Path,
    settings: RecoverySettings,
    phases: Sequence[Sequence[Cell]],
    results: Results,
    methods: Mapping[str, Mapping[str, MethodRow]],
    known: Mapping[str, Mapping[str, KnownRow]],
    verdicts: Sequence[str],
) -> None:
    blocks: list[Table | Picture] = [method_table(prior, rows) for prior, rows in methods.items()]
    if methods:
        points = {
            prior: {METHODS[name].title: (row.means["l1"].value, row.means["ks"].value) for name, row in rows.items()}
            for prior, rows in methods.items()
        }
        png = scatter_figure(points, "L1 on real images", "KS distance of all elements to the prior")
        blocks.append(Picture("What fit costs in reconstruction", png, "Means over seeds. Lower left is better."))
    blocks += [known_table(label, rows) for label, rows in known.items()]
    if known:
        curves = {
            label: {
                name: found_curve([results[cell.name] for cell in cells]) for name, cells in _chunks(phases, label).items()
            }
            for label in known
        }
        caption = "Starts that failed count; the training of learned starts does not. Dashed: " + ", ".join(
            f"{budget:,}" for budget in BUDGETS
        )
        blocks.append(Picture("Known codes found, by cost", found_figure(curves, BUDGETS), f"{caption}."))
    blocks += [*_inverse_tables(phases, results), *_provenance_tables(phases, results)]
    for cell in (cell for cells in phases for cell in cells):
        asked, picture = cell.settings, folder / "pictures" / f"{cell.name}.png"
        if isinstance(asked, HeldOutCell) and asked.gan.seed == settings.seed and picture.exists():
            title = f"{asked.gan.prior}: {METHODS[asked.tuning.method].title}"
            blocks.append(Picture(title, picture.read_bytes(), "Above: real digits; below: what was recovered."))
    lead = ["Codes of given images, recovered in every way at hand, held against their prior and against the true codes."]
    facts = []
    if methods:
        rates, weights = settings.learning_rates, settings.weights
        facts += [
            ("networks", f"least-squares {settings.network}, width {settings.width}, {settings.latent_dim} latents"),
            ("training", f"{settings.gan_steps} iterations of {settings.batch_size} images of {settings.data}"),
            ("grid", f"rates {rates}, weights {weights}, on {settings.validation} validation images"),
            ("recovery", f"{settings.recovery_steps} steps, {settings.restarts} starts, {settings.seeds} seeds"),
            ("images", f"{settings.held_out}, for Levenberg-Marquardt {settings.damped_held_out}"),
        ]
    if known:
        facts.append(("known codes", f"{settings.codes} of each generator, {settings.codes_beside} for Adam and for 8 bits"))
    write_page(folder / "index.html", "Latent code recovery", [*lead, *verdicts], blocks, facts)
