r"""Intervals over seeds: how much a result would change if everything were trained again.

A sampling interval (`evaluation.samples`) says how well one model's number is known from finitely many samples. It says
nothing of another seed. Trained with seeds :math:`s_1 .. s_k`, the numbers themselves are the sample, and few: Student's t,

.. math:: \bar v \pm t_{k-1} \frac{s}{\sqrt{k}} .

Two methods compared on the same seeds share what the seed decides (data order, initialisation), so their differences are
taken seed by seed first. The two kinds of interval are of different types here and are never mixed.

Reference: Student, "The probable error of a mean", 1908.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from latentry.numerics.interval import Interval
from latentry.numerics.jackknife import student_quantile

__all__ = ["SeedInterval", "difference_over_seeds", "mean_over_seeds"]


@dataclass(frozen=True)
class SeedInterval(Interval):
    """A mean over seeds with its Student interval.

    Example:
        >>> mean_over_seeds({0: 1.0, 1: 2.0, 2: 3.0}).seeds
        (0, 1, 2)
    """

    level: float
    """How often such an interval holds the mean over all seeds."""
    seeds: tuple[int, ...]
    """The seeds."""
    paired: bool
    """Whether this is the mean of differences taken seed by seed."""

    def __str__(self) -> str:
        return f"{self:.4g} over {len(self.seeds)} seeds"


def mean_over_seeds(values: Mapping[int, float], level: float = 0.95) -> SeedInterval:
    """Mean of a number over seeds, with a Student interval.

    Args:
        values: The number for each seed.
        level: Confidence level.

    Raises:
        ValueError: There are fewer than two seeds, a value is not finite, or the level is outside (0, 1).

    Example:
        >>> print(mean_over_seeds({0: 0.91, 1: 0.93, 2: 0.92}))
        0.92 [0.8952, 0.9448] over 3 seeds
    """
    return _interval(values, level, paired=False)


def difference_over_seeds(first: Mapping[int, float], second: Mapping[int, float], level: float = 0.95) -> SeedInterval:
    """Mean of first - second over the seeds of both, paired by seed, with a Student interval.

    Raises:
        ValueError: The seeds differ, are fewer than two, a value is not finite, or the level is outside (0, 1).

    Example:
        >>> found = difference_over_seeds({0: 0.9, 1: 0.8}, {0: 0.7, 1: 0.6})
        >>> found.paired, round(found.value, 6)
        (True, 0.2)
    """
    if first.keys() != second.keys():
        raise ValueError(
            f"expected the same seeds on both sides, got {sorted(first)} and {sorted(second)}; "
            "run the missing ones, or leave those out that only one side has"
        )
    return _interval({seed: first[seed] - second[seed] for seed in first}, level, paired=True)


def _interval(values: Mapping[int, float], level: float, *, paired: bool) -> SeedInterval:
    if len(values) < 2 or not all(math.isfinite(value) for value in values.values()):
        raise ValueError(f"expected finite values for at least two seeds, got {dict(values)}; run more seeds")
    seeds = sorted(values)
    numbers = [values[seed] for seed in seeds]
    centre = fmean(numbers)
    half = student_quantile(level, len(seeds) - 1) * stdev(numbers) / math.sqrt(len(seeds))
    return SeedInterval(centre, centre - half, centre + half, level, tuple(seeds), paired)
