r"""Rank statistics: p-values from known scores, and the area under the ROC curve.

*Conformal p-value.* If a score s and k known ones are exchangeable, the rank of s is uniform, so that

.. math:: p = \frac{1 + \#\{s_i \ge s\}}{k + 1}

is at most :math:`\alpha` with probability at most :math:`\alpha`, whatever the distribution of the scores; without ties it
is uniform on 1/(k+1), ..., 1. It is never zero: k known scores cannot say more than 1/(k+1).

*Area under the ROC curve.* A = P(X > Y) + P(X = Y) / 2 for a positive X and a negative Y. For m and n scores that are
exponential, or monotone functions of such, and :math:`N = (m + n) / 2`, the Mann-Whitney estimate has about the variance

.. math:: V(A) = \frac{A (1 - A)}{m n} \Big[ 1 + (N - 1) \Big( \frac{1 - A}{2 - A} + \frac{A}{1 + A} \Big) \Big].

The interval holds the A that :math:`|\hat A - A| \le q \sqrt{V(A)}` does not reject: Wilson's idea. It stays inside [0, 1],
and does not collapse where the scores are parted, as an interval with the variance at :math:`\hat A` (DeLong's too) does.

References: Vovk, Gammerman, Shafer, "Algorithmic learning in a random world", 2005; Hanley and McNeil, "The meaning and use
of the area under a ROC curve", 1982; Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
statistic, part 2", 2006, method 5.
"""

import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor

from latentry.numerics.inputs import checked
from latentry.numerics.interval import Interval

__all__ = ["conformal_p_value", "roc_auc"]

_HALVINGS = 60
"""Of an interval of length 1: below the rounding of float64."""


@checked(any_value=("score", "known"))
def conformal_p_value(score: Float[Tensor, "n"], known: Float[Tensor, "k"]) -> Float[Tensor, "n"]:
    """Chance that a score exchangeable with the known ones is as high; ties count against it, infinite scores are ranked.

    Reference: Vovk et al. (2005), section 2.2.

    Example:
        >>> conformal_p_value(torch.tensor([0.5, 9.0]), torch.arange(9.0))
        tensor([0.9000, 0.1000])
    """
    below = torch.searchsorted(known.sort().values, score.contiguous())
    return (1 + len(known) - below).to(score.dtype) / (len(known) + 1)


@checked(any_value=("positive", "negative"))
def roc_auc(positive: Float[Tensor, "m"], negative: Float[Tensor, "n"], level: float = 0.95) -> Interval:
    """Area under the ROC curve of scores that should be high for positives, with an interval.

    It is the chance that a positive scores higher than a negative, ties counting half; 0.5 for scores that say nothing.

    Reference: Newcombe (2006), method 5, on the variance of Hanley and McNeil (1982).

    Args:
        positive, negative: Scores of independent items; infinite ones are ranked.
        level: Level of the interval.

    Raises:
        ValueError: One sample is empty or holds NaN, or the level is outside (0, 1).

    Example:
        >>> print(f"{roc_auc(torch.tensor([2.0, 3.0, 4.0]), torch.tensor([0.0, 1.0, 2.5])):.2f}")
        0.89 [0.40, 0.99]
    """
    m, n = len(positive), len(negative)
    if m == 0 or n == 0:
        raise ValueError(f"expected scores of both kinds, got {m} positive and {n} negative ones")
    if positive.isnan().any() or negative.isnan().any():
        raise ValueError("expected scores without NaN, got some; give items without a score the worst one, infinity")
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    ordered, positive = negative.sort().values, positive.contiguous()
    beaten, not_beaten = (torch.searchsorted(ordered, positive, right=right).double() for right in (False, True))
    value = (beaten + not_beaten).mean().item() / (2 * n)
    quantile = float(ndtri((1 + level) / 2))
    return Interval(value, _lower_end(value, m, n, quantile), 1 - _lower_end(1 - value, m, n, quantile))


def _lower_end(value: float, m: int, n: int, quantile: float) -> float:
    """Least A that is not rejected; V(A) = V(1 - A) makes it serve for the upper end too."""
    rejected, accepted = 0.0, value
    for _ in range(_HALVINGS):
        middle = (rejected + accepted) / 2
        if (value - middle) ** 2 > quantile**2 * _variance(middle, m, n):
            rejected = middle
        else:
            accepted = middle
    return accepted


def _variance(area: float, m: int, n: int) -> float:
    """V(A) of the module's theory."""
    dependence = (1 - area) / (2 - area) + area / (1 + area)
    return area * (1 - area) / (m * n) * (1 + ((m + n) / 2 - 1) * dependence)
