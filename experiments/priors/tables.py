"""Tables and sentences of the experiment of priors: pivots of the table of results.

A ratio is of one generator's distances, at a step between two codes and at its prior, so that what a seed does to both
cancels; means and intervals are over seeds (Student's t).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.framework.cell import flat
from experiments.framework.results import Column, Measured, Show, mean, pivot, plain
from latentry.priors import Rule
from latentry.reports.tables import Table

__all__ = ["BASELINE", "METRICS", "RULES", "measures", "priors_table", "steps_of", "verdict", "within"]

BASELINE = "normal"
RULES: tuple[Rule, ...] = ("lerp", "transport")
METRICS = ("frechet_distance", "frechet_distance_limit", "kernel_distance", "score", "coverage")
NEAR = (0.9, 1.1)
"""Within 10 %: the whole interval of a ratio lies in here."""
_AT_THE_PRIOR = "prior.frechet_distance"
_NOTE = (
    "Frechet: distance to the training images at the prior; held-out: to the held-out split, followed to infinitely many "
    "samples. lerp and transport: ratio of the Frechet distance at that step to the one at the prior. KID at the prior, and "
    "its ratio at the first step of the straight line. cover and score: at the prior > at the first step of the straight "
    "line. Means over seeds, with 95 % intervals of Student's t."
)


def measures(result: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of a generator, and the ratios of its distances."""
    ratios = {
        f"{rule}.{step}.{kind}_ratio": numbers[f"{kind}_distance"] / result["prior"][f"{kind}_distance"]
        for rule in RULES
        for step, numbers in result[rule].items()
        for kind in ("frechet", "kernel")
    }
    return dict(flat(result)) | ratios


def steps_of(row: Measured, rule: str = "lerp") -> list[str]:
    """Steps between two codes, in the order of the settings."""
    ending = ".frechet_ratio"
    return [name.removesuffix(ending) for name in row.below(f"{rule}.") if name.endswith(ending)]


def priors_table(title: str, rows: Mapping[str, Measured], short: bool = False) -> Table:
    """The table of the paper, one row for each prior."""
    steps = steps_of(next(iter(rows.values())))
    first = f"lerp.{steps[0]}"
    columns = (
        Column("Frechet", mean(_AT_THE_PRIOR, ".3g"), console=True),
        Column("held-out", mean("held_out.frechet_distance_limit", ".3g")),
        *(
            Column(f"{rule} {step}", mean(f"{rule}.{step}.frechet_ratio"), console=rule == "lerp" or step == steps[0])
            for rule in RULES
            for step in steps
        ),
        Column("KID", mean("prior.kernel_distance", ".2g")),
        Column("lerp KID", mean(f"{first}.kernel_ratio")),
        Column("cover", _both("prior.coverage", f"{first}.coverage")),
        Column("score", _both("prior.score", f"{first}.score")),
    )
    return pivot(title, rows, columns, _NOTE, first="prior", short=short)


def _both(at_prior: str, between: str) -> Show:
    shown = [plain(measure, ".2f") for measure in (at_prior, between)]
    return lambda row, short: " > ".join(show(row, short) for show in shown)


def within(row: Measured, rule: str) -> bool:
    """Whether the Frechet ratio is shown to lie within 10 % of 1 at every step."""
    ratios = [row.mean(f"{rule}.{step}.frechet_ratio") for step in steps_of(row, rule)]
    return all(NEAR[0] <= ratio.low and ratio.high <= NEAR[1] for ratio in ratios)


def verdict(data: str, rows: Mapping[str, Measured]) -> str:
    """What the rows say of the paper's claim and of ours."""
    worst = {name: max(row.value(f"lerp.{step}.frechet_ratio") for step in steps_of(row)) for name, row in rows.items()}
    growth = ", ".join(f"{name} x{value:.2f}" for name, value in worst.items())
    straight, transported = ([name for name, row in rows.items() if within(row, rule)] for rule in RULES)
    free = [name for name in straight if _costs_nothing(rows[name], rows[BASELINE])]
    return (
        f"{data}: on the straight line the Frechet distance grows at worst by {growth}. Shown to stay within 10 % there: "
        f"{_listed(straight)}; of these at most 10 % above the normal prior at the prior, and not shown to be worse: "
        f"{_listed(free)}. With the transport rule within 10 %: {_listed(transported)} (of {len(rows)})."
    )


def _costs_nothing(row: Measured, baseline: Measured) -> bool:
    """Not shown to be worse at the prior, and not only for the width of its interval."""
    difference = row.less(baseline, _AT_THE_PRIOR)
    return difference.low <= 0 and difference.value <= (NEAR[1] - 1) * baseline.mean(_AT_THE_PRIOR).value


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
