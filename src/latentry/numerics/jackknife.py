r"""The jackknife: bias and variance of a statistic, from leaving out parts of the sample.

Cut n rows into g blocks of :math:`m_j` rows, and let :math:`\theta_{(-j)}` be the statistic without block j. With
:math:`h_j = n / m_j` and pseudo-values :math:`\tau_j = h_j \theta - (h_j - 1) \theta_{(-j)}`,

.. math::
    \theta_J = g \theta - \sum_j \Big(1 - \frac{m_j}{n}\Big) \theta_{(-j)}, \qquad
    v = \frac{1}{g} \sum_j \frac{(\tau_j - \theta_J)^2}{h_j - 1} .

:math:`\theta_J` is free of every bias of the form a / n: it is the line through the statistic at n and at
:math:`n (1 - 1/g)` rows, followed in 1/n to infinitely many. v estimates the variance of :math:`\theta`. It needs no
derivative, and for any symmetric statistic whatever it does not fall short on average (Efron and Stein, 1981): where the
statistic is quadratic, as every distance is near zero, v is about twice too large, and the interval is wide, never narrow.

The bootstrap is no substitute here. It draws rows with replacement, and duplicates have covariances with less rank, radii
of zero and kernels at their maximum; and a statistic with bias a / n has that bias once more in the bootstrap world, so
that the percentile interval lies one full bias above the estimate, which itself lies one above the truth.

References: Quenouille, 1956; Efron and Stein, "The jackknife estimate of variance", 1981; Shao and Wu, "A general theory for
jackknife variance estimation", 1989; Busing, Meijer, van der Leeden, "Delete-m jackknife for unequal m", 1999.
"""

from dataclasses import dataclass

from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

__all__ = ["Jackknife", "block_jackknife", "half_sample_variance", "student_quantile"]


@dataclass(frozen=True)
class Jackknife:
    """What leaving blocks of one sample out says of a statistic."""

    bias: float
    """Estimated bias, to be taken off."""
    variance: float
    """Estimated variance due to this sample."""
    freedom: int
    """Degrees of freedom of that variance: blocks - 1."""


def block_jackknife(theta: float, left_out: Float[Tensor, "g"], block_sizes: Float[Tensor, "g"]) -> Jackknife:
    """Bias and variance of a statistic from its values without one block each.

    Reference: Busing et al. (1999), eq. 5 and 6; Quenouille's where blocks are equal.

    Args:
        theta: The statistic on all rows.
        left_out: The statistic without block j.
        block_sizes: Rows in block j.

    Raises:
        ValueError: There are fewer than two blocks.
    """
    g = len(left_out)
    if g < 2:
        raise ValueError(f"expected at least two blocks, got {g}; a single one leaves nothing over")
    share = block_sizes / block_sizes.sum()
    corrected = g * theta - ((1 - share) * left_out).sum()
    pseudo = theta / share - (1 / share - 1) * left_out
    variance = ((pseudo - corrected).square() / (1 / share - 1)).mean()
    return Jackknife(bias=theta - corrected.item(), variance=variance.item(), freedom=g - 1)


def half_sample_variance(halves: Float[Tensor, "s"]) -> float:
    """Variance of a statistic from its values on random halves of the rows, drawn without replacement.

    The delete-d jackknife at d = n / 2: its factor (n - d) / d is one, so that it is the plain variance of the values.

    Reference: Shao and Wu (1989).

    Example:
        >>> import torch
        >>> half_sample_variance(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
        1.0
    """
    return halves.var(correction=1).item()


def student_quantile(level: float, freedom: int | float) -> float:
    """Half-width, in standard errors, of a two-sided Student interval.

    Example:
        >>> round(student_quantile(0.95, 9), 3), round(student_quantile(0.95, float("inf")), 3)
        (2.262, 1.96)
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    return float(stdtrit(freedom, (1 + level) / 2))
