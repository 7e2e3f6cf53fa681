r"""Means, ratios and medians with intervals.

Of n independent observations, the mean has Student's interval :math:`\bar a \pm q_{n-1} s / \sqrt n`. The ratio of two means
over the same observations, :math:`r = \bar a / \bar b`, has by the delta method the standard error of the mean of
:math:`(a_i - r b_i) / \bar b`. The median lies between the order statistics :math:`x_{(l)}` and :math:`x_{(n+1-l)}` unless
fewer than l of n fair coins fall on one side, whatever the distribution; where even l = 1 is not safe enough (n < 6 at 95
%), no interval inside the possible values is.

References: Student, 1908; Cochran, "Sampling techniques", 1977, ch. 6 (ratios); Conover, "Practical nonparametric
statistics", 1999, ch. 3.2 (medians).
"""

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from latentry.numerics.interval import Interval

__all__ = ["mean_estimate", "median_estimate", "ratio_estimate"]


def mean_estimate(a: Float[Tensor, "n"], level: float = 0.95, *, variance_inflation: float = 1.0) -> Interval:
    """Mean of observations with Student's interval.

    Args:
        a: The observations.
        level: Level of the interval.
        variance_inflation: Variance of the mean over that of independent observations; 1 where they are.

    Raises:
        ValueError: There are fewer than two observations, or the level is outside (0, 1).

    Example:
        >>> mean_estimate(torch.tensor([1.0, 2.0, 3.0]))
        Interval(value=2.0, low=-0.4841377117503298, high=4.48413771175033)
    """
    if len(a) < 2 or not 0 < level < 1:
        raise ValueError(f"expected at least two observations and a level in (0, 1), got {len(a)} and {level}")
    a = a.double()
    mean = a.mean().item()
    half = float(stats.t.ppf((1 + level) / 2, len(a) - 1)) * a.std().item() * (variance_inflation / len(a)) ** 0.5
    return Interval(mean, mean - half, mean + half)


def ratio_estimate(
    a: Float[Tensor, "n"], b: Float[Tensor, "n"], level: float = 0.95, *, variance_inflation: float = 1.0
) -> Interval:
    """Ratio of two means over the same observations with its delta interval; for a mean of b well away from 0.

    Raises:
        ValueError: As in `mean_estimate`, or the mean of b is 0.

    Example:
        >>> print(ratio_estimate(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2.0, 4.0, 8.0])))
        0.5 [0.5, 0.5]
    """
    below = b.double().mean().item()
    if below == 0:
        raise ValueError("expected a denominator with a mean other than 0, got 0; a ratio to nothing is not defined")
    ratio = a.double().mean().item() / below
    error = mean_estimate((a.double() - ratio * b.double()) / below, level, variance_inflation=variance_inflation)
    return Interval(ratio, ratio + error.low, ratio + error.high)


def median_estimate(
    a: Float[Tensor, "n"], level: float = 0.95, *, support: tuple[float, float] = (-torch.inf, torch.inf)
) -> Interval:
    """Median of independent observations with its order-statistic interval; the whole support where they are too few.

    Raises:
        ValueError: There are no observations, or the level is outside (0, 1).

    Example:
        >>> print(median_estimate(torch.arange(21.0)))
        10 [5, 15]
    """
    if len(a) == 0 or not 0 < level < 1:
        raise ValueError(f"expected at least one observation and a level in (0, 1), got {len(a)} and {level}")
    ordered = a.double().sort().values.tolist()
    middle = (ordered[(len(a) - 1) // 2] + ordered[len(a) // 2]) / 2
    # the largest l with P(fewer than l of n coins) at most (1 - level) / 2
    depth = int(stats.binom.ppf((1 - level) / 2, len(a), 0.5))
    if depth == 0:
        return Interval(middle, *support)
    return Interval(middle, ordered[depth - 1], ordered[-depth])
