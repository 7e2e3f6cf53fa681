r"""Shares with intervals.

Of n independent trials k succeed. The Wilson interval holds the values p that a two-sided score test does not reject:

.. math:: \Big| \frac{k}{n} - p \Big| \le q \sqrt{p (1 - p) / n}.

It stays inside [0, 1] and keeps its level for shares near 0 or 1, where the usual interval
:math:`\hat p \pm q \sqrt{\hat p (1 - \hat p) / n}` collapses.

Where trials are dependent, so that the variance of their share is larger than that by a known factor, it enters with it.

Reference: Wilson, "Probable inference, the distribution of succession, and statistical inference", 1927.
"""

import math
from dataclasses import dataclass

from jaxtyping import Bool
from scipy.special import ndtri
from torch import Tensor

from latentry.numerics.interval import Interval

__all__ = ["Share", "share", "wilson_interval"]


@dataclass(frozen=True)
class Share(Interval):
    """A share in [0, 1] and its Wilson interval.

    Example:
        >>> print(Share(0.25, 0.2, 0.3, trials=100))
        25.0% [20.0%, 30.0%]
    """

    trials: int
    """Number of trials."""

    def __str__(self) -> str:
        return f"{self:.1%}"


def wilson_interval(estimate: float, trials: float, quantile: float) -> tuple[float, float]:
    """Ends of the Wilson interval of a share.

    Args:
        estimate: The share, in [0, 1].
        trials: Number of trials; for shares of dependent trials, the number of independent ones with the same variance.
        quantile: Half-width in standard errors, q.

    Example:
        >>> low, high = wilson_interval(1.0, trials=20.0, quantile=1.96)
        >>> round(low, 3), round(high, 3)
        (0.839, 1.0)
    """
    q2 = quantile**2 / trials
    centre = (estimate + q2 / 2) / (1 + q2)
    half = math.sqrt(q2 * (estimate * (1 - estimate) + q2 / 4)) / (1 + q2)
    return max(0.0, centre - half), min(1.0, centre + half)


def share(successes: Bool[Tensor, "n"], level: float = 0.95, *, variance_inflation: float = 1.0) -> Share:
    """Share of true entries with its Wilson interval at the given level.

    Args:
        successes: One entry for each trial.
        level: Level of the interval.
        variance_inflation: Variance of the share over that of independent trials; 1 where they are.

    Raises:
        ValueError: There are no trials, or the level is outside (0, 1).

    Example:
        >>> import torch
        >>> print(share(torch.tensor([True, True, False, True])))
        75.0% [30.1%, 95.4%]
    """
    trials = len(successes)
    if trials == 0 or not 0 < level < 1:
        raise ValueError(f"expected at least one trial and a level in (0, 1), got {trials} and {level}")
    estimate = successes.double().mean().item()
    low, high = wilson_interval(estimate, trials / variance_inflation, float(ndtri((1 + level) / 2)))
    return Share(estimate, low, high, trials)
