r"""The norm of a weighted sum of independent isotropic codes.

A code is isotropic if its direction is uniform on the sphere whatever its norm. So is a weighted sum of independent ones,
and of the sum :math:`Y_k = Y_{k-1} + w_k Z_k` only the norm is to be found:

.. math:: |Y_k|^2 = a^2 + b^2 + 2 a b c, \qquad a = |Y_{k-1}|, \; b = |w_k| \, |Z_k|,

with c the cosine of the angle of two random directions, of density proportional to :math:`(1 - c^2)^{(d-3)/2}`. With F the
distribution of a, extended to an odd function, and :math:`q^2 = s^2 - b^2 (1 - c^2)`,

.. math:: P(|Y_k| \le s) = \frac12 E_{b,c} \left[ F(q + b |c|) + F(q - b |c|) \right], \qquad
          b \sqrt{1 - c^2} \le s,

one weight after the other, the largest first. The expectation over c takes Gauss-Legendre nodes in its angle; that over b
runs in normal scores of b, up to the end where q = 0, and there in the square root of the distance to it, so that the root
in q does no harm. Nodes of b are doubled until that changes F by less than 5e-6.

Measured against distributions that are known, the error of F is below 1e-5 for smooth distributions in 8 dimensions or more
(normal codes: 2e-6; spherical Cauchy codes: 9e-6) and below 6e-5 in fewer; for a radius with edges, as U(0.5, 1), it is 1e-4
from 64 dimensions on, 3e-4 in 16 and 2e-3 in 2. A table takes 0.3 s a weight, up to 4 s where the distribution has edges.

Reference: Agustsson et al., "Optimal transport maps for distribution preserving operations on latent spaces of generative
models", 2019 (the map that a table serves).
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

from latentry.numerics.batches import in_batches
from latentry.numerics.transport import ScoreTable
from latentry.numerics.univariate import UnivariateDistribution

__all__ = ["log_sphere_area", "norm_table"]

_WIDEST_SCORE = 7.5
_FINE, _TABLE, _COARSE = 8193, 1025, 128
"""Nodes of what is looked up, of the result, and of the rough look before."""
_COSINES, _NODES, _MOST_NODES = 16, 64, 256
_TOLERANCE = 5e-6
_LEAST_PROBABILITY = 2.0**-53
_PIECE = 2**20
"""Elements that are looked at at once."""


def log_sphere_area(d: int) -> float:
    r"""Log of the area of the unit sphere in :math:`R^d`, :math:`2 \pi^{d/2} / \Gamma(d / 2)`.

    Example:
        >>> round(math.exp(log_sphere_area(2)) / math.pi, 6)
        2.0
    """
    return math.log(2) + 0.5 * d * math.log(math.pi) - math.lgamma(d / 2)


@lru_cache(maxsize=64)
def norm_table(distribution: UnivariateDistribution, d: int, weights: tuple[float, ...]) -> ScoreTable:
    r"""The distribution function of :math:`\log |\sum_i w_i Z_i|` for independent isotropic codes of d elements.

    Computed in double precision on the CPU and kept for the next call.

    Args:
        distribution: The distribution of the norm of one code.
        d: Elements of a code.
        weights: Any real numbers; their signs do not matter.

    Raises:
        ValueError: All weights are zero, or one is not finite.

    Example:
        >>> from latentry.priors.radius_distributions import NakagamiDistribution
        >>> halfway = norm_table(NakagamiDistribution(8.0, 2.0), 16, (0.5, 0.5))
        >>> halfway.cdf(torch.tensor([8.0], dtype=torch.float64).sqrt().log()).round(decimals=2)
        tensor([0.5500], dtype=torch.float64)
    """
    if not any(weights) or not all(map(math.isfinite, weights)):
        raise ValueError(f"expected finite weights that are not all zero, got {weights}")
    largest, *others = sorted(map(abs, filter(None, weights)), reverse=True)
    scores = torch.linspace(-_WIDEST_SCORE, _WIDEST_SCORE, _FINE, dtype=torch.float64)
    quantiles = distribution.icdf(torch.special.ndtr(scores))
    table = _table(largest * quantiles, torch.special.ndtr(scores))
    longest = largest * quantiles
    for weight in others:
        b = weight * quantiles
        longest = longest + b  # no sum is longer than that of aligned codes, and aligned ones of equal rank spread widest
        cancelling = longest[_FINE // 2] * torch.logspace(-10, 0, _COARSE, dtype=torch.float64)
        trial = torch.cat([cancelling, longest[:: _FINE // _COARSE]]).sort().values
        nodes = _NODES if d > 1 else 16 * _NODES  # of one cosine instead of 16
        below, again = (_norm_cdf(table, b, scores, d, trial, count) for count in (nodes, 2 * nodes))
        while (below - again).abs().max() > _TOLERANCE and nodes < _MOST_NODES:
            nodes *= 2
            below, again = again, _norm_cdf(table, b, scores, d, trial, 2 * nodes)
        x = _quantiles(_table(trial, again), torch.linspace(-_WIDEST_SCORE, _WIDEST_SCORE, _TABLE, dtype=torch.float64))
        table = _table(x, _norm_cdf(table, b, scores, d, x, nodes))
    return table


def _norm_cdf(
    table: ScoreTable, b: Float[Tensor, "m"], scores: Float[Tensor, "m"], d: int, s: Float[Tensor, "n"], nodes: int
) -> Float[Tensor, "n"]:
    """P(|A + B| <= s) for A with this table of norms, and B whose norm has these quantiles at these scores."""
    c, chance = _cosines(d)
    x, share = _legendre(nodes)
    sine = (1 - c.square()).sqrt()
    a, below = _quantiles(table, scores), torch.special.ndtr(scores)

    def piece(s: Tensor) -> Tensor:
        end = _interpolate(b, scores, s[:, None] / sine)[..., None]  # of b, beyond which no sum is as short as s
        length = end + _WIDEST_SCORE
        score = end - length * x.square()
        b_now = _interpolate_evenly(scores, b, score)
        q = (s[:, None, None].square() - (b_now * sine[:, None]).square()).clamp(min=0).sqrt()
        along = b_now * c[:, None]
        inner = q - along
        both = _interpolate(a, below, q + along) + inner.sign() * _interpolate(a, below, inner.abs())
        mass = 2 * length * x * torch.exp(-0.5 * score.square()) / math.sqrt(2 * math.pi) * share
        return 0.5 * ((both * mass).sum(-1) @ chance)

    return in_batches(piece, s, size=max(1, _PIECE // (len(c) * nodes)))


def _cosines(d: int) -> tuple[Tensor, Tensor]:
    """Nodes in [0, 1] and weights for E f(|c|), c = sin(angle)."""
    if d == 1:
        return torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    x, share = _legendre(_COSINES)
    widest = min(math.pi / 2, _WIDEST_SCORE / math.sqrt(d))
    chance = share * (widest * x).cos() ** (d - 2)
    return (widest * x).sin(), chance / chance.sum()


def _legendre(count: int) -> tuple[Tensor, Tensor]:
    """Gauss's nodes and weights for the integral over (0, 1)."""
    x, weight = special.roots_legendre(count)
    return torch.from_numpy(x + 1) / 2, torch.from_numpy(weight) / 2


def _table(x: Tensor, probability: Tensor) -> ScoreTable:
    keep = (x > 0) & torch.cat([torch.tensor([True]), x.diff() > 0])
    inside = probability.clamp(_LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return ScoreTable(x[keep].log(), torch.special.ndtri(inside).cummax(0).values[keep])


def _quantiles(table: ScoreTable, scores: Tensor) -> Tensor:
    return _interpolate(table.score, table.x, scores).exp()


def _interpolate(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """y at `at`, linear between nodes x in non-decreasing order, and constant beyond them."""
    cell = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    left, right = x[cell - 1], x[cell]
    share = ((at - left) / (right - left).clamp(min=torch.finfo(x.dtype).tiny)).clamp(0, 1)
    return torch.lerp(y[cell - 1], y[cell], share)


def _interpolate_evenly(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """The same for equidistant nodes."""
    place = ((at - x[0]) / (x[1] - x[0])).clamp(0, len(x) - 1)
    cell = place.long().clamp(max=len(x) - 2)
    return torch.lerp(y[cell], y[cell + 1], place - cell)
