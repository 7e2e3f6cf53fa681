r"""The distribution of :math:`(1 - t) z + t z'` for two independent codes, of a coordinate or of the norm.

In closed form for normal, uniform and tabulated marginals and for norms of spherical Cauchy codes; by quadrature and tables
for others (`numerics.pair_density`, `numerics.transport`, `numerics.radial`).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.pair_density import (
    WIDEST_SCORE,
    divergences,
    end_nodes,
    isotropic_pair_log_density,
    pair_log_density,
    score_nodes,
    table_divergences,
    table_pair_cdf,
    table_pair_density,
    weighed_pair_log_density,
)
from latentry.numerics.radial import norm_table
from latentry.numerics.transport import combination_table
from latentry.priors.distribution import SampledDistribution
from latentry.priors.quadrature import distribution_nodes, edges, pieces
from latentry.priors.radius_distributions import CauchyRadiusDistribution
from latentry.priors.tabulated import TabulatedDistribution
from latentry.priors.univariate import NormalDistribution, UniformDistribution

__all__ = [
    "cdf_between",
    "coordinate_divergences",
    "density_between",
    "norm_cdf_between",
    "norm_divergences",
    "norm_log_density",
]

_RADIUS_SCORE = 6.0
"""Norms further out than this normal score (probability 1e-9) are left out."""
_RADIUS_PIECES, _RADIUS_NODES = 6, 20
_FEWEST_LENGTHS, _LENGTHS, _MOST_LENGTHS, _SUM_NORMS = 64, 320, 2000, 97


@singledispatch
def coordinate_divergences(distribution: Any, t: float) -> tuple[float, float]:
    """Divergence and total variation of one coordinate; for any distribution, by quadrature.

    Example:
        >>> divergence, variation = coordinate_divergences(NormalDistribution(), 0.5)
        >>> round(divergence, 4), round(variation, 4)
        (0.1534, 0.1661)
    """
    a, b = _weights(t)
    x, scores, chances = distribution_nodes(
        distribution, tuple(a * first + b * second for first in edges(distribution) for second in edges(distribution))
    )
    log_q = pair_log_density(distribution.log_prob, distribution.cdf, distribution.icdf, edges(distribution), a, b, x)
    return divergences(distribution.log_prob(x), log_q, scores, chances)


@coordinate_divergences.register
def _(distribution: NormalDistribution, t: float) -> tuple[float, float]:
    # the mean is kept, and the variance is v times that of the prior
    v = (1 - t) ** 2 + t**2
    # the densities cross at +- x, with x^2 (1 - 1/v) = log v: beyond them the one, between them the other is larger
    crossing = math.sqrt(math.log(v) / (1 - 1 / v))
    inside, as_between = (math.erf(crossing / math.sqrt(2 * scale)) for scale in (1.0, v))
    return 0.5 * (math.log(v) + 1 / v - 1), abs(inside - as_between)


@coordinate_divergences.register
def _(distribution: UniformDistribution, t: float) -> tuple[float, float]:
    return table_divergences(torch.ones(1, dtype=torch.float64), distribution.low, distribution.high, *_weights(t))


@coordinate_divergences.register
def _(distribution: TabulatedDistribution, t: float) -> tuple[float, float]:
    return table_divergences(_masses(distribution), distribution.low, distribution.high, *_weights(t))


@singledispatch
def density_between(distribution: Any, t: float, x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Density at x of (1 - t) X + t X' for independent X, X' of this distribution; for any, by quadrature.

    Example:
        >>> x = torch.tensor([0.0], dtype=torch.float64)
        >>> density_between(UniformDistribution(-1.0, 1.0), 0.5, x).round(decimals=4)
        tensor([1.], dtype=torch.float64)
    """
    a, b = _weights(t)
    if b == 0:
        return distribution.log_prob(x).exp()
    return pair_log_density(distribution.log_prob, distribution.cdf, distribution.icdf, edges(distribution), a, b, x).exp()


@density_between.register
def _(distribution: NormalDistribution, t: float, x: Tensor) -> Tensor:
    return _normal_between(distribution, t).log_prob(x).exp()


@density_between.register
def _(distribution: TabulatedDistribution, t: float, x: Tensor) -> Tensor:
    a, b = _weights(t)
    if b == 0:
        return distribution.log_prob(x).exp()
    return table_pair_density(_masses(distribution), distribution.low, distribution.high, a, b, x)


@singledispatch
def cdf_between(distribution: Any, t: float) -> Callable[[Tensor], Tensor]:
    """Distribution function of (1 - t) X + t X'; for any distribution, by a table.

    Example:
        >>> cdf_between(NormalDistribution(), 0.5)(torch.tensor([0.0]))
        tensor([0.5000])
    """
    return distribution.cdf if t in (0, 1) else combination_table(distribution, (1 - t, t)).cdf


@cdf_between.register
def _(distribution: NormalDistribution, t: float) -> Callable[[Tensor], Tensor]:
    return _normal_between(distribution, t).cdf


@cdf_between.register
def _(distribution: TabulatedDistribution, t: float) -> Callable[[Tensor], Tensor]:
    if t in (0, 1):
        return distribution.cdf
    return table_pair_cdf(_masses(distribution), distribution.low, distribution.high, *_weights(t))


def _normal_between(distribution: NormalDistribution, t: float) -> NormalDistribution:
    return NormalDistribution(distribution.loc, distribution.scale * math.hypot(1 - t, t))


@singledispatch
def norm_divergences(distribution: Any, d: int, t: float) -> tuple[float, float]:
    """Divergence and total variation of the norm, which are those of the code; for any distribution, by quadrature.

    Example:
        >>> norm_divergences(CauchyRadiusDistribution(8), 8, 0.5)
        (0.0, 0.0)
    """
    if math.isfinite(distribution.support[1]):
        norm, scores, chances = distribution_nodes(distribution, tuple(pieces(distribution)))
    else:
        breaks = torch.linspace(-_RADIUS_SCORE, _RADIUS_SCORE, _RADIUS_PIECES + 1, dtype=torch.float64)
        scores, chances = score_nodes(breaks, _RADIUS_NODES)
        inner = (scores.abs() < _RADIUS_SCORE) & (chances > 0)
        scores, chances = scores[inner], chances[inner]
        norm = distribution.icdf(torch.special.ndtr(scores))
    return divergences(distribution.log_prob(norm), norm_log_density(distribution, d, t, norm), scores, chances)


@norm_divergences.register
def _(distribution: CauchyRadiusDistribution, d: int, t: float) -> tuple[float, float]:
    if distribution.latent_dim == d and 0 <= t <= 1:
        return 0.0, 0.0  # weights that sum to 1 in absolute value make a code again
    return norm_divergences.dispatch(object)(distribution, d, t)


def norm_log_density(distribution: SampledDistribution, d: int, t: float, norm: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Log density of the norm between two codes, at these norms.

    Example:
        >>> from latentry.priors.radius_distributions import NakagamiDistribution
        >>> norm = torch.tensor([1.0], dtype=torch.float64)
        >>> norm_log_density(NakagamiDistribution(1.0, 2.0), 2, 0.0, norm)
        tensor([-0.5000], dtype=torch.float64)
    """
    a, b = _weights(t)
    if b == 0:
        return distribution.log_prob(norm)
    if math.isfinite(distribution.support[1]) and d > 1:
        return _bounded_norm_log_density(distribution, d, a, b, norm)
    ends = torch.tensor([-WIDEST_SCORE, WIDEST_SCORE], dtype=torch.float64)
    shortest, longest = distribution.icdf(torch.special.ndtr(ends)).tolist()
    return isotropic_pair_log_density(distribution.log_prob, d, a, b, norm, math.log(longest / shortest))


def _bounded_norm_log_density(
    distribution: SampledDistribution, d: int, a: float, b: float, norm: Float[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """By pairs of lengths, at a few norms, and between them by interpolation: the density of a sum is smooth."""
    from scipy.interpolate import CubicSpline

    # in probability, where a density that jumps does no harm
    many = min(_MOST_LENGTHS, max(_LENGTHS, math.ceil(3 * abs(a / b) * math.sqrt(d))))
    (u, share), (v, part) = end_nodes(many), end_nodes(max(_FEWEST_LENGTHS, _LENGTHS**2 // many))
    first, second = abs(a) * distribution.icdf(u), abs(b) * distribution.icdf(v)
    low, high = distribution.support
    angle = math.pi * (torch.arange(_SUM_NORMS, dtype=torch.float64) + 0.5) / _SUM_NORMS
    at = (low + high - (high - low) * angle.cos()) / 2
    found = weighed_pair_log_density(first, share, second, part, d, at)
    place = (1 - 2 * (norm.clamp(at[0].item(), at[-1].item()) - low) / (high - low)).acos()
    return torch.from_numpy(CubicSpline(angle.numpy(), found.numpy())(place.numpy()))


@singledispatch
def norm_cdf_between(distribution: Any, d: int, t: float) -> Callable[[Tensor], Tensor]:
    """Distribution function of the norm between two codes; for any distribution, by a table.

    Example:
        >>> halfway = norm_cdf_between(CauchyRadiusDistribution(8), 8, 0.5)
        >>> norm = torch.tensor([3.0], dtype=torch.float64)
        >>> torch.equal(halfway(norm), CauchyRadiusDistribution(8).cdf(norm))
        True
    """
    table = norm_table(distribution, d, (1 - t, t))
    return lambda norm: table.cdf(norm.log())


@norm_cdf_between.register
def _(distribution: CauchyRadiusDistribution, d: int, t: float) -> Callable[[Tensor], Tensor]:
    if distribution.latent_dim != d:
        return norm_cdf_between.dispatch(object)(distribution, d, t)
    return replace(distribution, scale=distribution.scale * (abs(1 - t) + abs(t))).cdf


def _masses(distribution: TabulatedDistribution) -> Float[Tensor, "n"]:
    masses = torch.tensor(distribution.probs, dtype=torch.float64)
    return masses / masses.sum()


def _weights(t: float) -> tuple[float, float]:
    """The two weights, the one of larger modulus first."""
    return (1 - t, t) if abs(1 - t) >= abs(t) else (t, 1 - t)
