"""From the cells of `python -m experiments priors` to rows, intervals and sentences: arithmetic only.

A cell's result maps `prior` and `held_out` to numbers by metric, and each rule to steps to numbers. Ratios are of one
generator's distances, at the step and at its prior, so that what a seed does to both cancels; means and intervals are over
seeds (Student's t).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentry.evaluation.seeds import SeedInterval, difference_over_seeds, mean_over_seeds
from latentry.priors import Rule
from latentry.reports.tables import Table

__all__ = ["BASELINE", "METRICS", "RULES", "PriorRow", "comparison_table", "ratio", "rows", "short_table", "verdict"]

BASELINE = "normal"
RULES: tuple[Rule, ...] = ("lerp", "transport")
METRICS = ("frechet_distance", "frechet_distance_limit", "kernel_distance", "score", "coverage")
LEVEL = 0.95
NEAR = (0.9, 1.1)
"""Within 10 %: the whole interval of a ratio lies in here."""

CellResult = Mapping[str, Any]


@dataclass(frozen=True)
class PriorRow:
    """One prior on one data set, over seeds."""

    prior: dict[str, SeedInterval]
    """Every metric at the prior, against the training split."""
    held_out: dict[str, SeedInterval]
    """The same against the held-out split."""
    between: dict[str, dict[str, dict[str, SeedInterval]]]
    """Every metric by rule and step, and `frechet_ratio` and `kernel_ratio` to the same generator's at its prior."""
    against_baseline: SeedInterval
    """Frechet distance at the prior less that of the normal prior, paired by seed."""

    def within(self, rule: str, metric: str = "frechet_ratio") -> bool:
        """Whether the ratio is shown to lie within 10 % of 1 at every step."""
        ratios = [numbers[metric] for numbers in self.between[rule].values()]
        return all(NEAR[0] <= found.low and found.high <= NEAR[1] for found in ratios)

    def worst(self, rule: str, metric: str = "frechet_ratio") -> SeedInterval:
        """The largest ratio along the path."""
        return max((numbers[metric] for numbers in self.between[rule].values()), key=lambda found: found.value)


def ratio(result: CellResult, rule: str, step: str, metric: str) -> float:
    """A metric at a step over the same at the prior."""
    return float(result[rule][step][metric] / result["prior"][metric])


def rows(results: Mapping[str, Mapping[int, CellResult]]) -> dict[str, PriorRow]:
    """One row for each prior, from its results by seed.

    Raises:
        ValueError: There are fewer than two seeds, or a number is not finite.
    """
    baseline = results[BASELINE]
    return {name: _row(of_seed, baseline) for name, of_seed in results.items()}


def _row(of_seed: Mapping[int, CellResult], baseline: Mapping[int, CellResult]) -> PriorRow:
    def mean(read: Callable[[CellResult], float]) -> SeedInterval:
        return mean_over_seeds({seed: read(result) for seed, result in of_seed.items()}, LEVEL)

    def metric_at(place: Callable[[CellResult], Mapping[str, float]], metric: str) -> SeedInterval:
        return mean(lambda result: place(result)[metric])

    def at(place: Callable[[CellResult], Mapping[str, float]]) -> dict[str, SeedInterval]:
        return {metric: metric_at(place, metric) for metric in METRICS}

    def step_of(rule: str, step: str) -> dict[str, SeedInterval]:
        return at(lambda result: result[rule][step]) | {
            "frechet_ratio": mean(lambda result: ratio(result, rule, step, "frechet_distance")),
            "kernel_ratio": mean(lambda result: ratio(result, rule, step, "kernel_distance")),
        }

    first = next(iter(of_seed.values()))
    return PriorRow(
        prior=at(lambda result: result["prior"]),
        held_out=at(lambda result: result["held_out"]),
        between={rule: {step: step_of(rule, step) for step in first[rule]} for rule in RULES},
        against_baseline=difference_over_seeds(_at_the_prior(of_seed), _at_the_prior(baseline), LEVEL),
    )


def _at_the_prior(of_seed: Mapping[int, CellResult]) -> dict[int, float]:
    return {seed: result["prior"]["frechet_distance"] for seed, result in of_seed.items()}


def comparison_table(title: str, found: Mapping[str, PriorRow]) -> Table:
    """The table of the paper, for a page: every metric, with intervals."""
    steps = list(next(iter(found.values())).between[RULES[0]])
    ratios = [(rule, step) for rule in RULES for step in steps]
    along = (f"{rule} {step}" for rule, step in ratios)
    columns = ("prior", "Frechet", "held-out", *along, "KID", "lerp KID", "cover", "score")
    return Table(title, columns, tuple(_cells(name, row, ratios) for name, row in found.items()), _NOTE)


_NOTE = (
    "Frechet: distance to the training images at the prior; held-out: to the held-out split, followed to infinitely many "
    "samples. lerp and transport: ratio of the Frechet distance at that step to the one at the prior. KID at the prior, and "
    "its ratio at the first step of the straight line. cover and score: at the prior > at the first step of the straight "
    "line. Means over seeds, with 95 % intervals of Student's t."
)


def _cells(name: str, row: PriorRow, ratios: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    def shown(value: SeedInterval, digits: str = ".3g") -> str:
        return f"{value.value:{digits}} [{value.low:{digits}}, {value.high:{digits}}]"

    middle = next(iter(row.between["lerp"].values()))
    return (
        name,
        shown(row.prior["frechet_distance"]),
        shown(row.held_out["frechet_distance_limit"]),
        *(shown(row.between[rule][step]["frechet_ratio"], ".2f") for rule, step in ratios),
        shown(row.prior["kernel_distance"], ".2g"),
        shown(middle["kernel_ratio"], ".2f"),
        f"{row.prior['coverage'].value:.2f} > {middle['coverage'].value:.2f}",
        f"{row.prior['score'].value:.2f} > {middle['score'].value:.2f}",
    )


def short_table(title: str, found: Mapping[str, PriorRow]) -> Table:
    """The same for a console: Frechet distances alone, as means over seeds."""
    steps = list(next(iter(found.values())).between["lerp"])
    body = tuple(
        (
            name,
            f"{row.prior['frechet_distance'].value:.2f}",
            *(f"x{row.between['lerp'][step]['frechet_ratio'].value:.2f}" for step in steps),
            f"x{row.worst('transport').value:.2f}",
        )
        for name, row in found.items()
    )
    note = (
        "Frechet: distance to the training images at the prior. lerp: how much it grows at that step of the straight line. "
        "transport: the same with the transport rule, where it is largest."
    )
    return Table(title, ("prior", "Frechet", *(f"lerp {step}" for step in steps), "transport"), body, note)


def verdict(data: str, found: Mapping[str, PriorRow]) -> str:
    """What the rows say of the paper's claim and of ours, in three sentences."""
    lerp = {name: row.worst("lerp").value for name, row in found.items()}
    told = ", ".join(f"{name} x{value:.2f}" for name, value in lerp.items())
    held = [name for name, row in found.items() if row.within("lerp")]
    free = [name for name in held if _costs_nothing(found[name], found[BASELINE])]
    carried = [name for name, row in found.items() if row.within("transport")]
    return (
        f"{data}: on the straight line the Frechet distance grows at worst by {told}. Shown to stay within 10 % there: "
        f"{_listed(held)}; of these at most 10 % above the normal prior at the prior, and not shown to be worse: "
        f"{_listed(free)}. With the transport rule within 10 %: {_listed(carried)} (of {len(found)})."
    )


def _costs_nothing(row: PriorRow, baseline: PriorRow) -> bool:
    """Not shown to be worse at the prior, and not only for the width of its interval."""
    share = row.against_baseline.value / baseline.prior["frechet_distance"].value
    return row.against_baseline.low <= 0 and share <= NEAR[1] - 1


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
