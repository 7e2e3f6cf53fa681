r"""`torch.distributions.kl_divergence` between the distributions of priors, in nats for a whole code.

With independent coordinates it is d times the divergence of one coordinate. Between isotropic priors it is the divergence of
their norms; N(0, scale^2) is isotropic too. From an isotropic prior to a normal prior it is

.. math:: KL(p \,\|\, N(\mu, \sigma^2)) = -H(p) + \frac{d}{2} \log 2 \pi \sigma^2 + \frac{E \|z - \mu\|^2}{2 \sigma^2} .

One-dimensional divergences without a closed form are integrals over pieces in which both densities are smooth, by Gauss's
rule, or in normal scores where the support is unbounded. They are infinite where p has mass outside the support of q, and
where it would need moments that p does not have.
"""

import math
from functools import lru_cache
from typing import Any

import torch
from scipy import special
from torch import Tensor
from torch.distributions.kl import register_kl

from latentry.priors.diagonal_normal import DiagonalNormal
from latentry.priors.distribution import IIDDistribution, SampledDistribution
from latentry.priors.quadrature import distribution_nodes, edges, pieces
from latentry.priors.radial_distribution import RadialDistribution
from latentry.priors.radius_distributions import CauchyRadiusDistribution, NakagamiDistribution
from latentry.priors.univariate import NormalDistribution

__all__ = ["univariate_divergence"]

_PIECES, _NODES = 64, 16


@lru_cache(maxsize=256)
def univariate_divergence(p: SampledDistribution, q: SampledDistribution) -> float:
    """KL(p || q) of two distributions on the line.

    Example:
        >>> from latentry.priors.univariate import UniformDistribution
        >>> round(univariate_divergence(NormalDistribution(), NormalDistribution(0.0, 2.0)), 4)
        0.3181
        >>> univariate_divergence(NormalDistribution(), UniformDistribution())
        inf
    """
    if isinstance(p, NormalDistribution) and isinstance(q, NormalDistribution):
        return math.log(q.scale / p.scale) + (p.variance + (p.loc - q.loc) ** 2) / (2 * q.variance) - 0.5
    if p == q:
        return 0.0
    if p.support[0] < q.support[0] or p.support[1] > q.support[1]:
        return math.inf
    if not math.isfinite(p.variance) and not isinstance(q, CauchyRadiusDistribution):
        return math.inf
    x, chances = _bounded_nodes(p, q) if all(map(math.isfinite, p.support)) else _unbounded_nodes(p, q)
    positive = chances > 0
    difference = p.log_prob(x[positive]) - q.log_prob(x[positive])
    return max(0.0, (chances[positive] @ difference).item())


def _bounded_nodes(p: SampledDistribution, q: SampledDistribution) -> tuple[Tensor, Tensor]:
    """Nodes in the support of p and the probability that each stands for, between all places where a density bends."""
    low, high = p.support
    places = torch.linspace(0, 1, _PIECES + 1, dtype=torch.float64)
    ends = [torch.tensor([*pieces(p), *(pieces(q) if all(map(math.isfinite, q.support)) else edges(q))]).double()]
    ends += [p.icdf(places), q.icdf(places)]
    ends = [part[(part >= low) & (part <= high)] for part in ends]
    breaks = torch.cat([*ends, torch.tensor([low, high], dtype=torch.float64)]).unique()
    at, weights = (torch.from_numpy(part) for part in special.roots_legendre(_NODES))
    half = breaks.diff()[:, None] / 2
    x = (breaks[:-1, None] + half * (1 + at)).flatten()
    return x, p.log_prob(x).exp() * (half * weights).flatten()


def _unbounded_nodes(p: SampledDistribution, q: SampledDistribution) -> tuple[Tensor, Tensor]:
    x, _, chances = distribution_nodes(p, tuple(edges(q)))
    return x, chances


def _as_norms(distribution: Any) -> SampledDistribution | None:
    """The distribution of the norm of codes with a uniform direction; None for others."""
    if isinstance(distribution, RadialDistribution):
        return distribution.radius_distribution
    marginal = distribution.marginal
    if isinstance(marginal, NormalDistribution) and marginal.loc == 0:
        return NakagamiDistribution(distribution.event_shape[0] / 2, 2 * marginal.variance)
    return None


def _checked_lengths(p: Any, q: Any) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"expected codes of one length, got {p.event_shape[0]} and {q.event_shape[0]}; build one prior anew"
        )


def _as_batch(value: float, p: Any, q: Any) -> Tensor:
    shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    return p._constant(value, of_codes=False).expand(shape).clone()


def _iid(p: IIDDistribution, q: IIDDistribution) -> Tensor:
    _checked_lengths(p, q)
    return _as_batch(p.event_shape[0] * univariate_divergence(p.marginal, q.marginal), p, q)


def _radial(p: RadialDistribution, q: RadialDistribution) -> Tensor:
    _checked_lengths(p, q)
    return _as_batch(univariate_divergence(p.radius_distribution, q.radius_distribution), p, q)


def _radial_from_iid(p: RadialDistribution, q: IIDDistribution) -> Tensor:
    _checked_lengths(p, q)
    if not isinstance(q.marginal, NormalDistribution):
        raise NotImplementedError(f"no divergence of {p} from {q} is known; draw codes for it")
    d, variance = p.event_shape[0], q.marginal.variance
    square = p.radius_distribution.variance + p.radius_distribution.mean**2 + d * q.marginal.loc**2
    cross = d / 2 * math.log(2 * math.pi * variance) + square / (2 * variance)
    return _as_batch(cross - p.nats, p, q)


def _iid_from_radial(p: IIDDistribution, q: RadialDistribution) -> Tensor:
    _checked_lengths(p, q)
    norms = _as_norms(p)
    if norms is None:
        raise NotImplementedError(f"no divergence of {p} from {q} is known; draw codes for it")
    return _as_batch(univariate_divergence(norms, q.radius_distribution), p, q)


def _normal(p: DiagonalNormal, q: DiagonalNormal) -> Tensor:
    _checked_lengths(p, q)
    return _of_normals(p.loc, p.scale, q.loc, q.scale)


def _normal_from_iid(p: DiagonalNormal, q: IIDDistribution) -> Tensor:
    _checked_lengths(p, q)
    if not isinstance(q.marginal, NormalDistribution):
        raise NotImplementedError(f"no divergence of normal codes from {q} is known; draw codes for it")
    return _of_normals(p.loc, p.scale, p.loc.new_tensor(q.marginal.loc), p.loc.new_tensor(q.marginal.scale))


def _iid_from_normal(p: IIDDistribution, q: DiagonalNormal) -> Tensor:
    _checked_lengths(p, q)
    square = p.marginal.variance + (p.marginal.mean - q.loc).square()
    cross = q.scale.log() + 0.5 * math.log(2 * math.pi) + square / (2 * q.scale.square())
    return cross.sum(-1) - p.event_shape[0] * p.marginal.entropy


def _of_normals(loc: Tensor, scale: Tensor, other_loc: Tensor, other_scale: Tensor) -> Tensor:
    ratio = (scale / other_scale).square()
    return 0.5 * (ratio + ((loc - other_loc) / other_scale).square() - 1 - ratio.log()).sum(-1)


for _divergence in (_iid, _radial, _radial_from_iid, _iid_from_radial, _normal, _normal_from_iid, _iid_from_normal):
    register_kl(*(_divergence.__annotations__[name] for name in "pq"))(_divergence)
