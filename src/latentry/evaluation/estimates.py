r"""Means, ratios and medians with intervals.

For n independent observations:

- **Mean**: Student's interval :math:`\bar a \pm q_{n-1} s / \sqrt n`, with the quantile q of the t distribution and the
  standard deviation s.
- **Ratio of two means** over the same observations, :math:`r = \bar a / \bar b`: by the delta method its standard error is
  that of the mean of :math:`(a_i - r b_i) / \bar b`.
- **Median**: the interval from the order statistic :math:`x_{(l)}` to :math:`x_{(n+1-l)}`. Each observation is below the
  median with probability 1/2, so the interval misses it with probability :math:`2 P(B < l)` for B binomial with n trials,
  whatever the distribution. l is the largest one that is allowed by the level. If there is none (n < 6 at 95 %), the
  interval is all possible values.

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
        variance_inflation: Variance of the mean, divided by the variance for independent observations; 1 if they are.

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
    """Ratio of two means over the same observations, with an interval by the delta method.

    The mean of b should be several standard errors away from 0; nearer to 0 the interval is too short.

    Raises:
        ValueError: As in `mean_estimate`, or the mean of b is 0.

    Example:
        >>> print(ratio_estimate(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2.0, 4.0, 8.0])))
        0.5 [0.5, 0.5]
    """
    denominator = b.double().mean().item()
    if denominator == 0:
        raise ValueError("expected a denominator with a mean other than 0, got 0; the ratio is not defined")
    ratio = a.double().mean().item() / denominator
    error = mean_estimate((a.double() - ratio * b.double()) / denominator, level, variance_inflation=variance_inflation)
    return Interval(ratio, ratio + error.low, ratio + error.high)


def median_estimate(
    a: Float[Tensor, "n"], level: float = 0.95, *, support: tuple[float, float] = (-torch.inf, torch.inf)
) -> Interval:
    """Median of independent observations, with an interval between order statistics.

    Args:
        a: The observations.
        level: Level of the interval.
        support: The possible values: the interval where there are too few observations for a shorter one.

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
    # the largest l with P(B < l) at most (1 - level) / 2
    rank = int(stats.binom.ppf((1 - level) / 2, len(a), 0.5))
    if rank == 0:
        return Interval(middle, *support)
    return Interval(middle, ordered[rank - 1], ordered[-rank])
