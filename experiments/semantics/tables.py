"""Tables and sentences of `python -m experiments semantics`, from the long table of results."""

from collections.abc import Mapping

import torch

from experiments.framework.results import Column, Measured, mean, percent, pivot, points
from experiments.semantics.models import ABLATIONS, OURS, SHORT, VAE
from latentry.evaluation.proportions import share
from latentry.reports.tables import Table

__all__ = ["lengths_table", "semantic_tables", "semantic_verdict", "stability_table", "tuning_table"]

Rows = Mapping[str, Measured]
"""Numbers of one data set by model."""

_TITLES: Mapping[str, str] = {
    VAE: "stage 1, the VAE",
    OURS: "stage 2, ours",
    SHORT: "stage 2, ours, shorter",
    "paper": "stage 2, as in the paper",
    "cgan": "conditional GAN",
    "gan": "GAN",
    "fresh": "without starting from the decoder",
    "no-consistency": "without the encoder's loss",
    "no-reversed": "without reversed codes",
    "whole-code": "with the encoder's loss on the whole code",
    "trained-encoder": "with an encoder that is trained further",
}
_MODELS = (
    Column("requested features shown, %", percent("mean_accuracy"), console=True),
    Column("largest leakage, points", points("largest_leakage"), console=True),
    Column("lowest monotonicity", mean("lowest_monotonicity"), console=True),
    Column("reverse beyond neutral, %", percent("reversed"), console=True),
    Column("its distance to real reversed images, of that of neutral samples", mean("distance_of_neutral's"), console=True),
    Column("Frechet distance", mean("samples.frechet_distance"), console=True),
    Column("KID", mean("samples.kernel_distance", ".4f")),
    Column("coverage, %", percent("samples.coverage"), console=True),
    Column("error of images", mean("scores.reconstruction", ".4f")),
)
_NOTE = (
    "Requested features: samples that show them, read by a classifier of all levels, a mean over features with the classes "
    "as one. Leakage: accuracy that others lose when one feature alone is moved. Monotonicity: median of Spearman's "
    "correlation along levels from -1.5 to 1.5, of the feature where it is least. Beyond neutral: beyond the tenth "
    "percentile of neutral training images of the class, which rewards fading; no reverse was ever shown. Distances: in "
    "the classifier's features. Means over seeds with 95 % Student intervals."
)


def semantic_tables(data: str, rows: Rows, *, short: bool = False) -> list[Table]:
    """Tables of models and of ablations, and one of the features of each of ours; the short form has no features."""
    models = {name: row for name, row in rows.items() if name not in ABLATIONS}
    tables = [_models_table(f"Models: {data}", models, short)]
    if not short:
        tables += [_features_table(data, name, rows[name]) for name in (OURS, SHORT) if name in rows]
    if ablations := {name: row for name, row in rows.items() if name in ABLATIONS}:
        seeds = next(iter(ablations.values())).seeds
        ablations = {SHORT: _only(rows[SHORT], seeds), **ablations}
        tables.append(_models_table(f"Ablations: {data}", ablations, short))
    return tables


def _models_table(title: str, rows: Rows, short: bool) -> Table:
    return pivot(title, rows, _MODELS, _NOTE, first="model", titles=_TITLES, short=short)


def _only(row: Measured, seeds: tuple[int, ...]) -> Measured:
    """The numbers of these seeds."""
    return Measured(row.method, {name: {seed: of[seed] for seed in seeds} for name, of in row.measures.items()})


def _features_table(data: str, model: str, row: Measured) -> Table:
    columns = {
        "shown as requested, %": (percent, "accuracy", ".value"),
        "leakage, points": (points, "leakage", ""),
        "monotonicity": (mean, "monotonicity", ".median"),
        "reverse beyond neutral, %": (percent, "reversal", ".reversed.value"),
        "of real ones, %": (percent, "reversal", ".truth.value"),
    }
    features = dict.fromkeys(name.partition(".")[0] for name in row.below("accuracy."))
    body = tuple(
        (feature, *(show(f"{part}.{feature}{ending}")(row, False) for show, part, ending in columns.values()))
        for feature in features
    )
    return Table(f"Features of {_TITLES[model]}: {data}", ("feature", *columns), body)


def lengths_table(data: str, rows: Rows, pixels: int, seed: int) -> Table:
    """What the length of a code costs and buys: one row for each, of one seed."""

    def of_seed(measure: str, digits: str) -> Column:
        heading = {"reconstruction": "error of images", "rate": "nats of a code"}[measure]
        return Column(heading, lambda row, short: f"{row[f'scores.{measure}'][seed]:{digits}}", console=True)

    columns = (
        Column("pixels for each", lambda row, short: f"{pixels / int(row.method):.1f}", console=True),
        of_seed("reconstruction", ".4f"),
        of_seed("rate", ".1f"),
    )
    note = "Nats: what a code tells of its image beyond its levels; they measure compression, pixels for each latent do not."
    ordered = dict(sorted(rows.items(), key=lambda row: int(row[0])))
    return pivot(f"Length of codes: {data}", ordered, columns, note, first="latents")


def stability_table(data: str, rows: Rows) -> Table:
    """Short trainings that neither diverged nor collapsed."""

    def least(measure: str, empty: float, digits: str) -> Column:
        heading = {"coverage": "least coverage", "rarest": "rarest class, least share"}[measure]
        return Column(heading, lambda row, short: f"{min(row.measures.get(measure, {0: empty}).values()):{digits}}")

    columns = (
        Column("sound", lambda row, short: str(share(torch.tensor([bool(each) for each in row["sound"].values()])))),
        Column("diverged", lambda row, short: f"{sum(row['diverged'].values()):.0f}"),
        least("coverage", 0.0, ".2f"),
        least("rarest", 1.0, ".3f"),
    )
    note = "Sound: coverage of 0.1 and every class at 0.01 or more."
    return pivot(f"Short trainings: {data}", rows, columns, note, first="model", titles=_TITLES)


def tuning_table(data: str, rows: Rows) -> Table:
    """What each learning rate gives the GANs without a first stage: one seed, distances to validation images."""

    def of(measure: str, digits: str, scale: float = 1.0) -> Column:
        heading = {"frechet_distance": "Frechet distance", "coverage": "coverage, %"}[measure]
        return Column(heading, lambda row, short: f"{scale * next(iter(row[measure].values())):{digits}}")

    columns = (
        Column("rate", lambda row, short: row.method.partition(" ")[2]),
        of("frechet_distance", ".1f"),
        of("coverage", ".1f", 100.0),
    )
    titles = {name: _TITLES[name.partition(" ")[0]] for name in rows}
    note = "A seed that no other table has; distances to validation images."
    return pivot(f"Learning rates of the GANs: {data}", rows, columns, note, first="model", titles=titles)


def semantic_verdict(data: str, rows: Rows, model: str) -> str:
    """What a model reached against what was aimed at."""
    row = rows[model]
    parts = [
        f"requested features are shown by {percent('mean_accuracy')(row, False)} (aim 95) % of samples",
        f"the largest leakage is {points('largest_leakage')(row, False)} points (aim 5)",
        f"the lowest monotonicity {mean('lowest_monotonicity')(row, False)} (aim 0.95)",
    ]
    if "reversed" in row:
        parts.append(f"reverses are beyond the neutral for {percent('reversed')(row, False)} (aim 90) %")
        distance = mean("distance_of_neutral's")(row, False)
        parts.append(f"their distance to real reversed images is {distance} of that of neutral samples (aim below 1)")
    best = min(rows, key=lambda name: rows[name].mean("samples.frechet_distance").value)
    least = f"of the models in the table {_TITLES[best]} has the least Frechet distance"
    return f"{data}, {_TITLES[model]}: {', '.join(parts)}; {least}."
