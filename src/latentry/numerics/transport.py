r"""The distribution of a weighted sum of independent draws, and the monotone map that carries it to the distribution of one
draw.

Let :math:`Y = \sum_i w_i X_i` for independent :math:`X_i` with distribution function F. On the line, the map that carries
the distribution of Y to F with least displacement is the increasing one,

.. math:: T_w = F^{-1} \circ F_Y.

For X uniform on (-1, 1) and two weights :math:`a \ge b \ge 0` in absolute value, Y has a trapezoid as its density, and

.. math:: T_w(y) = \begin{cases} y / a & |y| \le a - b \\
    \operatorname{sign}(y) \left(1 - \frac{(a + b - |y|)_+^2}{4 a b}\right) & \text{else.} \end{cases}

For any other distribution :math:`F_Y` is worked out one weight after the other, the largest first, by

.. math:: F_k(y) = E \, F_{k-1}(y - w_k X_k) = \int F_{k-1}(y - w_k F^{-1}(\Phi(s))) \, \varphi(s) \, ds,

the integral by the trapezoid rule in normal scores s: for smooth integrands its error falls faster than any power of the
step, at kinks with its square, and a small :math:`w_k` costs nothing. That is deterministic, and within 5e-6 of
:math:`F_Y` for sums of uniforms; a Monte Carlo table is still 1e-3 off with 10^6 draws. A distribution with gaps, across
which its quantiles jump, costs digits, down to 2e-3 for two narrow peaks. Between nodes, :math:`\Phi^{-1}(F_k)` is
interpolated
linearly: it is a straight line for a normal distribution, and it keeps its digits far out in the tails.

References: Agustsson et al., "Optimal transport maps for distribution preserving operations on latent spaces of generative
models", 2019; Trefethen and Weideman, "The exponentially convergent trapezoidal rule", 2014.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.univariate import UnivariateDistribution

__all__ = ["ScoreTable", "combination_table", "uniform_pair_transport"]

_WIDEST_SCORE = 7.5
"""Quantiles further out than this normal score (probability 3e-14) are not distinguished."""
_QUADRATURE_NODES = 1025
_TABLE_NODES = 2049
_EVEN_NODES = 1025
_LEAST_PROBABILITY = 2.0**-53


@dataclass(frozen=True)
class ScoreTable:
    """An increasing table of a distribution function F: normal scores of F(x) at nodes x, linear between them."""

    x: Float[Tensor, "m"]
    """Nodes, in increasing order."""
    score: Float[Tensor, "m"]
    """The normal quantile of F at the nodes, non-decreasing."""

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """F, with a gradient; beyond the first and last node it keeps the value that it has there."""
        x, score = self.x.to(value), self.score.to(value)
        cell = torch.searchsorted(x, value.detach().contiguous()).clamp(1, len(x) - 1)
        slope = (score.diff() / x.diff())[cell - 1]
        inside = value.clamp(self.x[0].item(), self.x[-1].item())
        return torch.special.ndtr(score[cell - 1] + slope * (inside - x[cell - 1]))


@lru_cache(maxsize=256)
def combination_table(distribution: UnivariateDistribution, weights: tuple[float, ...]) -> ScoreTable:
    r"""The distribution function of :math:`\sum_i w_i X_i`, for independent :math:`X_i` from `distribution`.

    Computed in double precision on the CPU and kept for the next call.

    Raises:
        ValueError: All weights are zero, or one is not finite.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> halfway = combination_table(NormalDistribution(), (0.5, 0.5))
        >>> halfway.cdf(torch.tensor([0.0, 0.5**0.5], dtype=torch.float64)).round(decimals=4)
        tensor([0.5000, 0.8413], dtype=torch.float64)
    """
    if not any(weights) or not all(map(math.isfinite, weights)):
        raise ValueError(f"expected finite weights that are not all zero, got {weights}")
    largest, *others = sorted(filter(None, weights), key=abs, reverse=True)
    quantiles = distribution.icdf(torch.special.ndtr(_scores(_TABLE_NODES)))
    x = _increasing(largest * quantiles)
    table = _table(x, _scaled_cdf(distribution, largest, x))

    scores = _scores(_QUADRATURE_NODES)
    draws, masses = distribution.icdf(torch.special.ndtr(scores)), torch.softmax(-0.5 * scores.square(), 0)
    for index, weight in enumerate(others):
        # the comonotone sum spreads wider than the independent one, so its quantiles cover the sum's
        x = x + _increasing(weight * quantiles)
        nodes = _with_even_ones(x)
        shifted = nodes[:, None] - weight * draws
        before = _scaled_cdf(distribution, largest, shifted) if index == 0 else table.cdf(shifted)
        table = _table(nodes, before @ masses)
    return table


def uniform_pair_transport(
    y: Float[Tensor, "*s"], larger: Float[Tensor, "*#s"], smaller: Float[Tensor, "*#s"]
) -> Float[Tensor, "*s"]:
    """Carry the distribution of a X + b X', X and X' uniform on (-1, 1), to the uniform distribution on (-1, 1).

    Args:
        y: Values of the sum.
        larger, smaller: |a| and |b|, with a > 0 and |b| <= |a|.

    Example:
        >>> half = torch.tensor(0.5)
        >>> uniform_pair_transport(torch.tensor([0.0, 0.5]), half, half)
        tensor([0.0000, 0.7500])
    """
    positive = torch.where(smaller > 0, smaller, 1)
    flank = y.sign() * (1 - (larger + smaller - y.abs()).clamp(min=0).square() / (4 * larger * positive))
    flat = (y / larger).clamp(-1, 1)  # reaches +-1 only where b = 0, where there is no flank
    return torch.where((y.abs() <= larger - smaller) | (smaller == 0), flat, flank)


def _scores(count: int) -> Tensor:
    return torch.linspace(-_WIDEST_SCORE, _WIDEST_SCORE, count, dtype=torch.float64)


def _increasing(values: Tensor) -> Tensor:
    return values if values[0] <= values[-1] else values.flip(0)


def _with_even_ones(x: Tensor) -> Tensor:
    """Increasing nodes with equidistant ones among them: a sum may have mass where its comonotone copy has a gap."""
    return torch.cat([x, torch.linspace(x[0].item(), x[-1].item(), _EVEN_NODES, dtype=x.dtype)]).sort().values


def _scaled_cdf(distribution: UnivariateDistribution, weight: float, value: Tensor) -> Tensor:
    """Distribution function of w X."""
    below = distribution.cdf(value / weight)
    return below if weight > 0 else 1 - below


def _table(x: Tensor, probability: Tensor) -> ScoreTable:
    keep = torch.cat([torch.tensor([True]), x.diff() > 0])  # nodes coincide where the distribution's quantiles do
    inside = probability.clamp(_LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return ScoreTable(x[keep], torch.special.ndtri(inside).cummax(0).values[keep])
