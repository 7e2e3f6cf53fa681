"""Tables and sentences of `python -m experiments split`, from the long table of results."""

from collections.abc import Mapping

from experiments.framework.results import Column, Measured, Show, count, mean, percent, pivot, plain, points
from experiments.split.models import ABLATIONS, CONDITIONAL, OURS
from latentry.reports.tables import Table

__all__ = ["split_tables", "split_verdict"]

Rows = Mapping[str, Measured]
"""Scores of one data set by model."""

_TITLES: Mapping[str, str] = {
    OURS: "label split, ours",
    "paper": "label split, the paper's losses",
    "vae": "VAE",
    "cvae": "conditional VAE",
    "cgan": "conditional GAN",
    "cvae-gan": "conditional VAE with GAN",
    "no-flow": "without the flow",
    "no-adversary": "without the adversary",
    "dependence": "HSIC instead of the adversary",
    "no-likelihood": "without the mixture's likelihood",
    "no-discriminator": "without the discriminator",
}


def _bounds(part: str) -> Show:
    """Bounds of the information in a part of a code; it is never below 0, however loose the bound."""

    def show(row: Measured, short: bool) -> str:
        if f"{part}.lower" not in row:
            return "-"
        low, high = (row.mean(f"{part}.{end}").value for end in ("lower", "upper"))
        return f"{max(0.0, low):.2f} to {high:.2f}"

    return show


def _components(row: Measured, short: bool) -> str:
    if "components" not in row:
        return "-"
    return f"{sum(row['components_that_fit'].values()):.0f} of {sum(row['components'].values()):.0f}"


def _calibration(row: Measured, short: bool) -> str:
    if "calibration.error" not in row:
        return "-"
    error, right = (100 * row.mean(f"calibration.{name}").value for name in ("error", "if_calibrated"))
    return f"{error:.1f} ({right:.1f})"


_MODELS = (
    Column("z_s predicts the label, %", percent("accuracy.value"), console=True),
    Column("leak of z_u, points (draws)", points("leak_of_draws.leak"), console=True),
    Column("the same (means)", points("leak_of_means.leak"), console=True),
    Column("swap, % (means)", percent("swap.success.value"), console=True),
    Column("style kept", mean("swap.mean_kept"), console=True),
    Column("samples show their label, %", percent("samples.label.value")),
    Column("Frechet distance", mean("samples.frechet_distance"), console=True),
    Column("KID", mean("samples.kernel_distance", ".4f")),
    Column("coverage, %", percent("samples.coverage")),
    Column("diversity", mean("samples.diversity")),
    Column("error of images", mean("reconstruction", ".4f"), console=True),
)
_CODES = (
    Column("leak of draws, points", points("leak_of_draws.leak")),
    Column("of means", points("leak_of_means.leak")),
    Column("shuffled, %", plain("leak_of_draws.shuffled", ".1f", 100.0)),
    Column("best probe", lambda row, short: ", ".join(sorted(row.below("leak_of_draws.chosen.")))),
    Column("I(z_u; c), nats", _bounds("style_information")),
    Column("I(z_s; c), nats", _bounds("label_information")),
    Column("active", plain("active")),
    Column("z_u fits", count("style_fit.passes")),
    Column("components fit", _components),
    Column("calibration error, % (if right)", _calibration),
    Column("probe of z_s, %", percent("label_probe.accuracy.value")),
)


def split_tables(data: str, rows: Rows, *, short: bool = False) -> list[Table]:
    """Tables of models and of ablations, each with one of their codes; the short form, for a console, has no codes."""
    groups = {
        "Models": {name: row for name, row in rows.items() if name not in ABLATIONS},
        "Ablations": {name: row for name, row in rows.items() if name == OURS or name in ABLATIONS},
    }
    tables = []
    for title, group in groups.items():
        if len(group) > 1 or title == "Models":
            tables.append(_table(f"{title}: {data}", group, _MODELS, _models_note(group), short))
            if not short:
                coded = {name: row for name, row in group.items() if "leak_of_draws.leak" in row}
                tables.append(_table(f"{title}, their codes: {data}", coded, _CODES, _codes_note(coded)))
    return tables


def _table(title: str, rows: Rows, columns: tuple[Column, ...], note: str, short: bool = False) -> Table:
    return pivot(title, rows, columns, note, first="model", titles=_TITLES, short=short)


def _models_note(rows: Rows) -> str:
    first = next(iter(rows.values()))
    real = f", {100 * next(iter(first['real.value'].values())):.1f} % of real images" if "real.value" in first else ""
    return (
        "Held-out images. Leak: accuracy of the probe that is best on validation, on z_u, above the majority class: of "
        "draws from the posterior, and of posterior means. Swaps are of posterior means. "
        f"Swap: the evaluation classifier{real} predicts the label of the image that gave z_s. Style kept: mean "
        "correlation of thickness, slant, size and ink with the image that gave z_u, less the means of classes. "
        "Diversity: spread of features within classes, over that of data. Conditional models are given the labels of "
        "images. Means over seeds with 95 % Student intervals."
    )


def _codes_note(rows: Rows) -> str:
    entropy = next(iter(next(iter(rows.values()))["style_information.entropy"].values()))
    return (
        f"Of {entropy:.2f} nats that labels have. Bounds of the information take the distributions of codes as normal. "
        "Means: posterior means, which hold more of an image than any code that the decoder has seen. Fits: the report of "
        "goodness of fit on held-out draws, for z_u as a whole and for z_s class by class."
    )


def split_verdict(data: str, rows: Rows) -> str:
    """What the table says of our label split, against what was aimed at."""
    ours = rows[OURS]
    gaps = {name: ours.less(rows[name], "samples.frechet_distance") for name in CONDITIONAL if name in rows}
    better = [_TITLES[name] for name, gap in gaps.items() if gap.high < 0]
    worse = [_TITLES[name] for name, gap in gaps.items() if gap.low > 0]
    accuracy, success = (percent(f"{name}.value")(ours, False) for name in ("accuracy", "swap.success"))
    draws, means = (points(f"leak_of_{codes}.leak")(ours, False) for codes in ("draws", "means"))
    return (
        f"{data}: z_s predicts {accuracy} % of held-out labels; draws of z_u leak {draws} points, posterior means "
        f"{means}; {success} % of swaps of posterior means show the label of z_s. The Frechet distance is below "
        f"that of {', '.join(better) or 'none'}, above that of "
        f"{', '.join(worse) or 'none'}."
    )
