r"""Statistical distances between the elements of a code and a distribution, from the cumulative distribution function.

With :math:`u_{(i)} = F(z_{(i)})` for the sorted elements of a code of length d, and :math:`F_d` their empirical
distribution function, the distances of Cramer-von Mises and of Anderson-Darling are

.. math::
    \omega^2 &= \int (F_d - F)^2 \, dF
              = \frac{1}{12 d^2} + \frac{1}{d} \sum_i \left( u_{(i)} - \frac{2 i - 1}{2 d} \right)^2 \\
    \alpha^2 &= \int \frac{(F_d - F)^2}{F (1 - F)} \, dF
              = -1 - \frac{1}{d^2} \sum_i (2 i - 1) \left( \log F(z_{(i)}) + \log(1 - F(z_{(d + 1 - i)})) \right).

They are the statistics of the tests over d; here their roots are taken, as of the energy distance, so that a true code has
a distance near :math:`1 / \sqrt{6 d}` and :math:`1 / \sqrt{d}`, of the size of the others. Both are least, and flat, at the
quantiles :math:`F^{-1}((i - 1/2) / d)`. The other distances are in units of z, these in units of probability: scaling
the distribution with its code changes nothing.

That has a price far out. The gradient of :math:`\omega` is that of F, the density, which is gone where an element needs it
most; that of :math:`\alpha` is that of a log tail, which grows outward, but beyond a bounded support there is no tail to
speak of. So an element beyond the :math:`10^{-6}` quantile of a tail counts as if it lay there and adds how far beyond it
is, :math:`\frac{1}{d} \sum_j |z_j - \bar z_j|`, in interquartile ranges of the distribution: for :math:`\omega` in either
tail, for
:math:`\alpha` where the support is bounded. Of a million elements of true codes two are touched by that.

References: Cramer, 1928; von Mises, 1931; Anderson and Darling, "Asymptotic theory of certain goodness of fit criteria based
on stochastic processes", 1952.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.sorting import sorted_elements
from latentry.numerics.univariate import UnivariateDistribution

__all__ = ["Reach", "anderson_darling_distance", "cramer_von_mises_distance", "overhang", "reach"]

_TAIL = 1e-6


@dataclass(frozen=True)
class Reach:
    """Where the elements of a distribution's samples lie.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> reach(NormalDistribution()).bounds
        (-inf, inf)
    """

    body: tuple[float, float]
    """The quantiles at 1e-6 and 1 - 1e-6."""
    bounds: tuple[float, float]
    """The same, but infinite where the support is."""
    scale: float
    """Interquartile range."""


@lru_cache(maxsize=64)
def reach(distribution: UnivariateDistribution) -> Reach:
    """Where the elements of samples of `distribution` lie; worked out once for each distribution.

    Example:
        >>> from latentry.priors.univariate import UniformDistribution
        >>> found = reach(UniformDistribution(0.0, 4.0))
        >>> [round(end, 3) for end in found.bounds], found.scale
        ([0.0, 4.0], 2.0)
    """
    u = torch.tensor([0, _TAIL, 0.25, 0.75, 1 - _TAIL, 1], dtype=torch.float64)
    lowest, low, lower, upper, high, highest = distribution.icdf(u).tolist()
    bounds = (low if math.isfinite(lowest) else -math.inf, high if math.isfinite(highest) else math.inf)
    return Reach((low, high), bounds, upper - lower)


def overhang(z: Float[Tensor, "*n d"], ends: tuple[float, float], scale: float) -> Float[Tensor, "*n"]:
    """Mean distance of each code's elements to the interval between `ends`, over `scale`.

    Example:
        >>> overhang(torch.tensor([[0.0, 3.0]]), (-1.0, 1.0), 2.0)
        tensor([0.5000])
    """
    return (z - z.clamp(*ends)).abs().mean(-1) / scale


def cramer_von_mises_distance(z: Float[Tensor, "*n d"], distribution: UnivariateDistribution) -> Float[Tensor, "*n"]:
    """Root of the Cramer-von Mises statistic over d, for each code; beyond the distribution's body, the distance to it
    besides.

    Args:
        z: Codes; each row is one sample of d elements.
        distribution: The distribution of one coordinate.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> cramer_von_mises_distance(torch.tensor([[-1.0, 0.0, 1.0], [4.0, 5.0, 6.0]]), NormalDistribution())
        tensor([0.0964, 0.9463])
    """
    if z.dtype.itemsize == 2:  # half precision is computed in single
        return cramer_von_mises_distance(z.float(), distribution).to(z.dtype)
    d, known = z.shape[-1], reach(distribution)
    u = distribution.cdf(sorted_elements(z.clamp(*known.body)))
    middles = torch.arange(1, 2 * d, 2, dtype=z.dtype, device=z.device) / (2 * d)
    squared = (u - middles).square().mean(-1) + 1 / (12 * d**2)
    return squared.sqrt() + overhang(z, known.body, known.scale)


def anderson_darling_distance(z: Float[Tensor, "*n d"], distribution: UnivariateDistribution) -> Float[Tensor, "*n"]:
    """Root of the Anderson-Darling statistic over d, for each code; beyond a bounded support, the distance to it besides.

    The terms nearly cancel for a good code, so they are added in double precision where the device has it.

    Args:
        z: Codes; each row is one sample of d elements.
        distribution: The distribution of one coordinate.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> anderson_darling_distance(torch.tensor([[-1.0, 0.0, 1.0], [4.0, 5.0, 6.0]]), NormalDistribution())
        tensor([0.2513, 3.4758])
    """
    if z.dtype.itemsize == 2:
        return anderson_darling_distance(z.float(), distribution).to(z.dtype)
    d, known = z.shape[-1], reach(distribution)
    inside = sorted_elements(z.clamp(*known.bounds))
    precise = torch.float32 if z.device.type == "mps" else torch.float64
    odd = torch.arange(1, 2 * d, 2, dtype=precise, device=z.device) / d
    tails = distribution.log_cdf(inside).to(precise) + distribution.log_sf(inside).to(precise).flip(-1)
    squared = -1 - (odd * tails).mean(-1)
    return squared.clamp(min=math.ulp(1.0)).sqrt().to(z.dtype) + overhang(z, known.bounds, known.scale)
