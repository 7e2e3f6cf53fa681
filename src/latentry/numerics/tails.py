r"""Distribution functions that stay accurate in the tails, where the plain functions round to 0 or 1.

The gamma distribution has :math:`F(x) = P(a, x)` and the beta distribution :math:`F(x) = I_x(a, b)`. Below 1e-290, where
scipy's functions come near the end of double precision, their logarithms go on as

.. math::
    \log P(a, x) &= a \log x - x - \log \Gamma(a + 1) + \log {}_1F_1(1; a + 1; x) \\
    \log Q(a, x) &= a \log x - x - \log \Gamma(a) - \log \left(x + 1 - a - \frac{1 (1 - a)}{x + 3 - a -}
                    \frac{2 (2 - a)}{x + 5 - a - \dots}\right) \\
    \log I_x(a, b) &= a \log x + b \log (1 - x) - \log (a B(a, b)) + \log {}_2F_1(a + b, 1; a + 1; x).

*Carrying.* The increasing map :math:`g = F_T^{-1} \circ F_S` takes one distribution to another. With a tail that is kept as
its logarithm it is the same there and back again, to 1e-9, from 1e-30 to 1e8 deviations from the centre. Its slope is the
quotient of the two densities, whatever is done to find its value, good to 1e-6 up to 1e4 deviations. The quantile of a tail
p beyond 1e-6 is sought by Newton's method for :math:`\log(-\log p)` as a function of :math:`\log x`, which is nearly a
straight line for tails that fall as a power or as the exponential of one.

Reference: NIST Digital Library of Mathematical Functions, sections 8.7, 8.9 and 8.17.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

from latentry.numerics.univariate import UnivariateDistribution

__all__ = [
    "LOG_LEAST",
    "DensityDistribution",
    "carry",
    "differentiable",
    "log_beta_cdf",
    "log_gamma_cdf",
    "log_gamma_sf",
    "tail_quantile",
]

LOG_LEAST = -690.0
"""Stands for the log of a tail without any probability in it."""

_UNDERFLOW = 1e-290
_TERMS = 400
_NEWTON_STEPS = 60
_CENTRAL = math.log(1e-6)

Array = np.ndarray[Any, np.dtype[np.float64]]


class DensityDistribution(UnivariateDistribution, Protocol):
    """A distribution that also has a density."""

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """Log density, -inf outside the support."""


def log_gamma_cdf(a: float, x: Array) -> Array:
    """log P(a, x) for x >= 0 and a > 0.

    Example:
        >>> np.exp(log_gamma_cdf(1.0, np.array([math.log(2)]))).round(6)
        array([0.5])
    """
    with np.errstate(divide="ignore"):
        near = np.log(special.gammainc(a, x))
        small = np.minimum(x, a)  # P underflows only there
        far = a * np.log(small) - small - special.gammaln(a + 1) + np.log(special.hyp1f1(1, a + 1, small))
    return np.where(near > math.log(_UNDERFLOW), near, far)


def log_gamma_sf(a: float, x: Array) -> Array:
    """log Q(a, x) for x >= 0; -inf at infinity.

    Example:
        >>> log_gamma_sf(1.0, np.array([5.0, 5000.0]))
        array([   -5., -5000.])
    """
    upper = special.gammaincc(a, x)
    if np.all(upper > _UNDERFLOW):
        return np.log(upper)
    beyond = np.clip(x, a + 30, 1e300)  # what lies nearer is not taken from the fraction, which is no good there
    fraction = beyond + 2 * _TERMS + 1 - a
    for term in range(_TERMS, 0, -1):
        fraction = beyond + 2 * term - 1 - a - term * (term - a) / fraction
    with np.errstate(divide="ignore"):
        far = a * np.log(beyond) - beyond - special.gammaln(a) - np.log(fraction)
        return np.where(upper > _UNDERFLOW, np.log(upper), np.where(x == math.inf, -math.inf, far))


def log_beta_cdf(a: float, b: float, x: Array) -> Array:
    """log I_x(a, b) for x in [0, 1].

    Example:
        >>> np.exp(log_beta_cdf(1.0, 1.0, np.array([0.25])))
        array([0.25])
    """
    below = special.betainc(a, b, x)
    small = np.minimum(x, 0.5)  # I underflows only there, unless a is above 900
    with np.errstate(divide="ignore"):
        series = np.log(special.hyp2f1(a + b, 1, a + 1, small))
        far = a * np.log(x) + b * np.log1p(-small) - math.log(a) - special.betaln(a, b) + series
        return np.where(below > _UNDERFLOW, np.log(below), far)


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Callable[[Tensor], Tensor], slope: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        y = value(x)
        ctx.save_for_backward(x, y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, y = ctx.saved_tensors
        slope = ctx.slope(x, y)
        return gradients[0] * torch.where(slope.isfinite(), slope, 0), None, None


def differentiable(
    x: Float[Tensor, "*s"], value: Callable[[Tensor], Tensor], slope: Callable[[Tensor, Tensor], Tensor]
) -> Float[Tensor, "*s"]:
    """y = f(x), elementwise, by a function without a gradient; `slope(x, y)` is f'(x), itself differentiable.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> differentiable(x, lambda x: x.detach() ** 2, lambda x, y: 2 * x).backward()
        >>> x.grad
        tensor(6.)
    """
    return _Known.apply(x, value, slope)  # type: ignore[no-untyped-call]


def tail_quantile(
    distribution: DensityDistribution, log_cdf: Float[Tensor, "*s"], log_sf: Float[Tensor, "*s"]
) -> Float[Tensor, "*s"]:
    """F^-1 of a distribution on [0, inf), from the logarithms of F and 1 - F, each used where it is the smaller; no
    gradient.

    A tail that the distribution has nowhere is taken as the end of its support.

    Example:
        >>> from latentry.priors.radius_distributions import NakagamiDistribution
        >>> rayleigh = NakagamiDistribution(1.0, 2.0)
        >>> x = torch.tensor([3.0], dtype=torch.float64)
        >>> tail_quantile(rayleigh, rayleigh.log_cdf(x), rayleigh.log_sf(x))
        tensor([3.0000], dtype=torch.float64)
    """
    lower = log_cdf < log_sf
    log_tail = torch.minimum(log_cdf, log_sf).double()
    tail = log_tail.exp()
    x = distribution.icdf(torch.where(lower, tail, 1 - tail).clamp(2.0**-1000, 1 - 2.0**-53))
    far = log_tail < _CENTRAL
    if far.any():
        x[far] = _newton(distribution, x[far], log_tail[far], lower[far])
    return x


def _newton(distribution: DensityDistribution, x: Tensor, log_tail: Tensor, lower: Tensor) -> Tensor:
    """Solve for the quantile of far tails from a start, for log(-log p) over log x; a step that does not help is halved."""
    aim = (-log_tail).log()

    def missed(x: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.where(lower, distribution.log_cdf(x), distribution.log_sf(x))
        slope = torch.where(lower, 1, -1) * x * torch.exp(distribution.log_prob(x) - found) / found
        return (-found).log() - aim, slope

    error, slope = missed(x)
    length = torch.ones_like(x)
    for _ in range(_NEWTON_STEPS):
        step = (error / slope).clamp(-50, 50)
        trial = x * torch.exp(-length * step)
        there = missed(trial)
        better = there[0].abs() < error.abs()
        x, error, slope = (torch.where(better, *pair) for pair in zip((trial, *there), (x, error, slope), strict=True))
        length = torch.where(better, 1.0, length / 2)
        if (error.abs() < 1e-15).all() or (not better.any() and (length < 1e-3).all()):
            break
    return x


def carry(
    value: Float[Tensor, "*s"], source: DensityDistribution, target: DensityDistribution, *, beyond: Tensor | None = None
) -> Float[Tensor, "*s"]:
    """g = F_T^-1(F_S(value)) for distributions on [0, inf), in double precision, differentiable in the value.

    Args:
        value: Where to carry from.
        source, target: The distributions S and T. Where S has no tail at all, on the end of its support, it counts as
            exp(-690).
        beyond: 1 where the value is to count as above all of S and -1 where below, so that g is the quantile of T at a tail
            of exp(-690); elsewhere 0.

    Example:
        >>> from latentry.priors.radius_distributions import NakagamiDistribution
        >>> one, twice = NakagamiDistribution(1.0, 2.0), NakagamiDistribution(1.0, 8.0)
        >>> carry(torch.tensor([1.0, 50.0]), one, twice)
        tensor([  2.0000, 100.0000], dtype=torch.float64)
    """

    def carried(x: Tensor) -> Tensor:
        log_cdf, log_sf = (tail(x).nan_to_num(neginf=LOG_LEAST) for tail in (source.log_cdf, source.log_sf))
        if beyond is not None:
            log_cdf, log_sf = (
                torch.where(beyond == side, LOG_LEAST, torch.where(beyond == -side, 0.0, tail))
                for side, tail in ((-1, log_cdf), (1, log_sf))
            )
        return tail_quantile(target, log_cdf, log_sf)

    def slope(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(source.log_prob(x) - target.log_prob(y))

    return differentiable(value.double(), carried, slope)
