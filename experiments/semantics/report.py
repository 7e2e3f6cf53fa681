"""Tables and sentences of `python -m experiments semantics`: means over seeds with Student intervals."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch

from experiments.frame.over_seeds import Seeds, fine, number, over, percent, signed
from experiments.semantics.models import TITLES
from experiments.semantics.trials import sound
from latentry.evaluation.proportions import share
from latentry.evaluation.seeds import SeedInterval
from latentry.reports.tables import Table

__all__ = ["features_table", "models_table", "rates_table", "semantic_verdict", "stability_table", "tuning_table"]

_NONE = "-"
Rows = Mapping[str, Seeds]
"""Results of one data set by row and seed."""


def _worst_leakage(result: Mapping[str, Any]) -> float:
    return max(result["leakage"].values())


def _least_monotonicity(result: Mapping[str, Any]) -> float:
    return min(found["median"] for found in result["monotonicity"].values())


def _reversed(result: Mapping[str, Any], what: str = "reversed") -> float:
    return fmean(found[what]["value"] for found in result["reversal"].values())


def _nearer(result: Mapping[str, Any]) -> float:
    """Distance of reversed samples to the truth, as a share of that of neutral ones."""
    return fmean(found["distance_of_reversed"] / found["distance_of_neutral"] for found in result["reversal"].values())


def _measured(result: Mapping[str, Any]) -> bool:
    return bool(result.get("reversal")) and all("reversed" in found for found in result["reversal"].values())


def models_table(data: str, rows: Rows, title: str = "Models", short: bool = False) -> Table:
    """What each model does; the short form, for a console, has no intervals."""
    columns = (
        "model", "asked features, %", "worst leakage, points", "least monotonicity", "reverse beyond neutral, %",
        "its distance to the truth, of neutral's", "Frechet distance", "KID", "coverage, %", "error of images",
    )  # fmt: skip

    def row(name: str) -> tuple[str, ...]:
        seeds = rows[name]
        featured = all("accuracy" in result for result in seeds.values())
        measured = all(_measured(result) for result in seeds.values())
        scored = all("scores" in result for result in seeds.values())

        def entry(there: bool, shown: Any, read: Any) -> str:
            return shown(over(seeds, read), short) if there else _NONE

        return (
            TITLES[name],
            entry(featured, percent, lambda result: result["mean_accuracy"]),
            entry(featured, signed, _worst_leakage),
            entry(featured, number, _least_monotonicity),
            entry(measured, percent, _reversed),
            entry(measured, number, _nearer),
            number(over(seeds, lambda result: result["samples"]["frechet_distance"]), short),
            fine(over(seeds, lambda result: result["samples"]["kernel_distance"]), short),
            percent(over(seeds, lambda result: result["samples"]["coverage"]), short),
            entry(scored, fine, lambda result: result["scores"]["reconstruction"]),
        )

    note = (
        "Asked features: samples that show them, read by a classifier of all levels, a mean over features with the classes "
        "as one. Leakage: accuracy that others lose when one feature alone is moved. Monotonicity: median of Spearman's "
        "correlation along levels from -1.5 to 1.5, of the feature where it is least. Beyond neutral: beyond the tenth "
        "percentile of neutral training images of the class, which rewards fading; no reverse was ever shown. Distances: in "
        "the reader's features."
    )
    table = Table(f"{title}: {data}", columns, tuple(map(row, rows)), note)
    return table.only(0, 1, 2, 3, 4, 5, 6, 8) if short else table


def features_table(data: str, model: str, seeds: Seeds) -> Table:
    """Each feature of one model."""
    first = next(iter(seeds.values()))
    columns = (
        "feature",
        "shown as asked, %",
        "leakage, points",
        "monotonicity",
        "reverse beyond neutral, %",
        "of real ones, %",
    )

    def row(name: str) -> tuple[str, ...]:
        def entry(part: str, shown: Any, read: Any) -> str:
            return shown(over(seeds, read), False) if name in first.get(part, {}) else _NONE

        turned = name in first["reversal"] and "reversed" in first["reversal"][name]
        return (
            name,
            entry("accuracy", percent, lambda result: result["accuracy"][name]["value"]),
            entry("leakage", signed, lambda result: result["leakage"][name]),
            entry("monotonicity", number, lambda result: result["monotonicity"][name]["median"]),
            entry("reversal", percent, lambda result: result["reversal"][name]["reversed"]["value"]) if turned else _NONE,
            entry("reversal", percent, lambda result: result["reversal"][name]["truth"]["value"]) if turned else _NONE,
        )

    return Table(f"Features of {TITLES[model]}: {data}", columns, tuple(map(row, first["accuracy"])))


def rates_table(data: str, rows: Mapping[int, Mapping[str, Any]], pixels: int) -> Table:
    """What the length of a code buys: one row for each, of one seed."""
    body = tuple(
        (str(d), f"{pixels / d:.1f}", f"{found['reconstruction']:.4f}", f"{found['rate']:.1f}") for d, found in rows.items()
    )
    columns = ("latents", "pixels for each", "error of images", "nats of a code")
    note = "Nats: what a code tells of its image beyond its levels; they measure compression, pixels for each latent do not."
    return Table(f"Length of codes: {data}", columns, body, note)


def stability_table(data: str, rows: Mapping[str, Sequence[dict[str, Any]]]) -> Table:
    """Short trainings that neither diverged nor collapsed."""
    body = []
    for name, runs in rows.items():
        kept = [run for run in runs if not run["diverged"]]
        body.append(
            (
                TITLES[name],
                str(share(torch.tensor([sound(run) for run in runs]))),
                str(len(runs) - len(kept)),
                f"{min((run['coverage'] for run in kept), default=0.0):.2f}",
                f"{min((run.get('rarest', 1.0) for run in kept), default=0.0):.3f}",
            )
        )
    columns = ("model", "sound", "diverged", "least coverage", "rarest class, least share")
    return Table(f"Short trainings: {data}", columns, tuple(body), "Sound: coverage of 0.1 and every class at 0.01 or more.")


def tuning_table(data: str, rows: Mapping[tuple[str, float], Mapping[str, float]]) -> Table:
    """What each learning rate gives the GANs without a first stage: one seed, distances to validation images."""
    body = tuple(
        (TITLES[name], f"{rate:g}", f"{found['frechet_distance']:.1f}", f"{100 * found['coverage']:.1f}")
        for (name, rate), found in rows.items()
    )
    note = "A seed that no other table has; distances to validation images."
    return Table(f"Learning rates of the GANs: {data}", ("model", "rate", "Frechet distance", "coverage, %"), body, note)


def semantic_verdict(data: str, rows: Rows, model: str) -> str:
    """What a model reached against what was aimed at."""
    seeds = rows[model]

    def told(interval: SeedInterval, aim: str) -> str:
        return f"{percent(interval)} (aim {aim})"

    parts = [
        f"asked features are shown by {told(over(seeds, lambda result: result['mean_accuracy']), '95')} % of samples",
        f"the worst leakage is {signed(over(seeds, _worst_leakage))} points (aim 5)",
        f"the least monotonicity {number(over(seeds, _least_monotonicity))} (aim 0.95)",
    ]
    if all(_measured(result) for result in seeds.values()):
        parts.append(f"reverses lie beyond the neutral for {told(over(seeds, _reversed), '90')} %")
        parts.append(
            f"their distance to the truth is {number(over(seeds, _nearer))} of that of neutral samples (aim below 1)"
        )
    best = min(rows, key=lambda name: over(rows[name], lambda result: result["samples"]["frechet_distance"]).value)
    least = f"of the models in the table {TITLES[best]} has the least Frechet distance"
    return f"{data}, {TITLES[model]}: {', '.join(parts)}; {least}."
