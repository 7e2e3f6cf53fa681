"""Tables and sentences of `python -m experiments split`: means over seeds with Student intervals."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from experiments.frame.over_seeds import Seeds, fine, number, over, percent, signed
from experiments.split.models import CONDITIONAL, OURS, TITLES
from latentry.evaluation.seeds import SeedInterval, difference_over_seeds
from latentry.reports.tables import Table

__all__ = ["codes_table", "label_split_verdict", "models_table"]

_NONE = "-"

Rows = Mapping[str, Seeds]
"""Results of one data set by row and seed."""
Read = Callable[[Mapping[str, Any]], float]


def _entry(seeds: Seeds, needs: str, read: Read, shown: Callable[[SeedInterval, bool], str], short: bool) -> str:
    """A number where the model has what it needs."""
    return shown(over(seeds, read), short) if all(needs in result for result in seeds.values()) else _NONE


def _kept(result: Mapping[str, Any]) -> float:
    return fmean(result["swap"]["kept"].values())


def _part(*path: str) -> Read:
    """Reads a number by its path in the result of a cell."""

    def read(result: Mapping[str, Any]) -> float:
        found: Any = result
        for name in path:
            found = found[name]
        return float(found)

    return read


def models_table(data: str, rows: Rows, title: str = "Models", short: bool = False) -> Table:
    """What each model does; the short form, for a console, has no intervals."""
    columns = (
        "model", "z_s names the label, %", "leak of z_u, points (draws)", "the same (means)", "swap, % (means)",
        "style kept", "samples bear their label, %", "Frechet distance", "KID", "coverage, %", "diversity",
        "error of images",
    )  # fmt: skip

    def row(name: str) -> tuple[str, ...]:
        seeds = rows[name]

        def entry(needs: str, read: Read, shown: Callable[[SeedInterval, bool], str]) -> str:
            return _entry(seeds, needs, read, shown, short)

        labelled = all("label" in result["samples"] for result in seeds.values())
        bearing, spread = (
            over(seeds, _part("samples", *path)) if labelled else None for path in (("label", "value"), ("diversity",))
        )
        return (
            TITLES[name],
            entry("accuracy", _part("accuracy", "value"), percent),
            entry("leak_of_draws", _part("leak_of_draws", "leak"), signed),
            entry("leak_of_means", _part("leak_of_means", "leak"), signed),
            entry("swap", _part("swap", "success", "value"), percent),
            entry("swap", _kept, number),
            _NONE if bearing is None else percent(bearing, short),
            entry("samples", _part("samples", "frechet_distance"), number),
            entry("samples", _part("samples", "kernel_distance"), fine),
            entry("samples", _part("samples", "coverage"), percent),
            _NONE if spread is None else number(spread, short),
            entry("reconstruction", _part("reconstruction"), fine),
        )

    first = next(iter(next(iter(rows.values())).values()))
    real = f", {100 * first['real']['value']:.1f} % of real images" if "real" in first else ""
    note = (
        "Held-out images. Leak: accuracy of the probe that is best on validation, on z_u, beyond the commonest class: of "
        "draws from the posterior, and of posterior means. Swaps are of posterior means. "
        f"Swap: the reader{real} names the label of the image that gave z_s. Style kept: mean correlation of "
        "thickness, slant, size and ink with the image that gave z_u, less the means of classes. Diversity: spread of "
        "features within classes, over that of data. Conditional models are told the labels of images. Means over seeds "
        "with 95 % Student intervals."
    )
    table = Table(f"{title}: {data}", columns, tuple(map(row, rows)), note)
    return table.only(0, 1, 2, 3, 4, 5, 7, 11) if short else table


def codes_table(data: str, rows: Rows, title: str = "Codes") -> Table:
    """What the parts of codes hold, for models that have codes of images."""
    columns = (
        "model", "leak of draws, points", "of means", "shuffled, %", "best probe", "I(z_u; c), nats", "I(z_s; c), nats",
        "active", "z_u fits", "components fit", "calibration error, % (if right)", "probe of z_s, %",
    )  # fmt: skip

    def row(name: str) -> tuple[str, ...]:
        seeds = rows[name]
        results = list(seeds.values())

        def told(read: Read, shown: Callable[[SeedInterval, bool], str]) -> str:
            return _entry(seeds, "accuracy", read, shown, False)

        fitting = sum(result["style_fit"]["passes"] for result in results)
        calibrated = _NONE
        if "calibration" in results[0]:
            error, right = (100 * over(seeds, _part("calibration", part)).value for part in ("error", "if_calibrated"))
            calibrated = f"{error:.1f} ({right:.1f})"
        components = [passes for result in results for passes in result.get("components_fit", [])]
        return (
            TITLES[name],
            signed(over(seeds, _part("leak_of_draws", "leak"))),
            signed(over(seeds, _part("leak_of_means", "leak"))),
            percent(over(seeds, _part("leak_of_draws", "shuffled")), short=True),
            ", ".join(sorted({result["leak_of_draws"]["chosen"] for result in results})),
            _bounds(seeds, "style_information"),
            _bounds(seeds, "label_information") if "label_information" in results[0] else _NONE,
            f"{over(seeds, _part('active')).value:.0f}",
            f"{fitting} of {len(results)}",
            f"{sum(components)} of {len(components)}" if components else _NONE,
            calibrated,
            told(_part("label_probe", "accuracy", "value"), percent),
        )

    entropy = next(iter(next(iter(rows.values())).values()))["style_information"]["entropy"]
    note = (
        f"Of {entropy:.2f} nats that labels have. Bounds of the information take the distributions of codes as normal. "
        "Means: of the encoder's distributions, which are no codes and hold more than the decoder has ever seen. Fits: the "
        "report of goodness of fit on held-out draws, for z_u as a whole and for z_s class by class."
    )
    return Table(f"{title}: {data}", columns, tuple(map(row, rows)), note)


def _bounds(seeds: Seeds, part: str) -> str:
    low, high = (over(seeds, _part(part, end)).value for end in ("lower", "upper"))
    return f"{max(0.0, low):.2f} to {high:.2f}"  # no information is below 0, however loose the bound


def label_split_verdict(data: str, rows: Rows) -> str:
    """What the table says of our label split, against what was aimed at."""
    ours = rows[OURS]
    leak, of_means = (over(ours, _part(code, "leak")) for code in ("leak_of_draws", "leak_of_means"))
    distances = {
        name: {seed: result["samples"]["frechet_distance"] for seed, result in seeds.items()} for name, seeds in rows.items()
    }
    others = [name for name in CONDITIONAL if name in rows]
    gaps = {name: difference_over_seeds(distances[OURS], distances[name]) for name in others}
    better = [TITLES[name] for name, gap in gaps.items() if gap.high < 0]
    worse = [TITLES[name] for name, gap in gaps.items() if gap.low > 0]
    accuracy = percent(over(ours, _part("accuracy", "value")))
    success = percent(over(ours, _part("swap", "success", "value")))
    return (
        f"{data}: z_s names {accuracy} % of held-out labels; draws of z_u leak {signed(leak)} points, posterior means "
        f"{signed(of_means)}; {success} % of swaps of posterior means bear the label of z_s. The Frechet distance is below "
        f"that of {', '.join(better) or 'none'}, above that of "
        f"{', '.join(worse) or 'none'}."
    )
