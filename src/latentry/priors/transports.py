r"""The ways of distributions of `torch.distributions` and zuko to N(0, I) and back, where there are any.

==============================  ====================================================================================
univariate                      :math:`\Phi^{-1}(F(x))` of each coordinate, with either tail from its own end (scipy)
mixture of univariate normals   the same, its quantiles by bisection and Newton's method
normal of any covariance        :math:`L^{-1} (x - \mu)` by a triangular solve
transformed                     the inverse of the transforms, then the way of the base
normalizing flow (zuko)         its own transform, then the way of the base
joint (zuko)                    one after another
==============================  ====================================================================================

A distribution without a way (a Dirichlet, a copula of one's own) is known by its samples and its density alone.

Reference: Rosenblatt, "Remarks on a multivariate transformation", 1952.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor
from torch import distributions as of_torch

from latentry.numerics.dependence import normal_scores
from latentry.numerics.tails import differentiable
from latentry.priors.normal_mixture import mixture_quantile, mixture_score

__all__ = ["Transport", "transport_of"]


@runtime_checkable
class Transport(Protocol):
    """A bijection between data `(n, *shape)` of a distribution and N(0, I) numbers of that shape."""

    @property
    def coordinatewise(self) -> bool:
        """Whether each coordinate goes on its own, in increasing or decreasing order."""

    def to_normal(self, x: Tensor) -> Tensor:
        """Normal coordinates, with a gradient."""

    def from_normal(self, e: Tensor) -> Tensor:
        """The data with these normal coordinates, with a gradient."""


@singledispatch
def transport_of(distribution: Any) -> Transport | None:
    """The way of a distribution to N(0, I); None where there is none.

    Example:
        >>> way = transport_of(of_torch.Gamma(torch.tensor([2.0]), torch.tensor([1.0])))
        >>> e = way.to_normal(torch.tensor([[3.0]]))
        >>> way.from_normal(e)
        tensor([[3.]])
    """
    if hasattr(distribution, "marginals"):  # zuko's Joint
        return _joint(distribution.marginals)
    if hasattr(distribution, "transform") and hasattr(distribution, "base"):  # zuko's NormalizingFlow
        base = transport_of(distribution.base)
        return None if base is None else _Transformed(distribution.transform.inv, base)
    if not distribution.event_shape and all(_answers(distribution, name) for name in ("cdf", "icdf")):
        return _ByOwnQuantiles(distribution)
    return None


@dataclass(frozen=True)
class _ByQuantiles:
    """Coordinates of univariate distributions that scipy knows, each parameter an array of the shape of a datum."""

    known: Any
    distribution: Any
    coordinatewise = True

    def to_normal(self, x: Tensor) -> Tensor:
        def value(x: Tensor) -> Tensor:
            with np.errstate(all="ignore"):
                places = x.detach().cpu().double().numpy()
                below, above = self.known.logcdf(places), self.known.logsf(places)
            tails = (torch.from_numpy(np.nan_to_num(np.asarray(tail), nan=-math.inf)) for tail in (below, above))
            return torch.where(x.isnan(), x, normal_scores(*tails).to(x))

        return differentiable(x, value, lambda x, e: (_log_density(self.distribution, x) + 0.5 * e.square()).exp() * _ROOT)

    def from_normal(self, e: Tensor) -> Tensor:
        def value(e: Tensor) -> Tensor:
            score = e.detach().cpu().double().numpy()
            tail = special.ndtr(-np.abs(score))
            with np.errstate(all="ignore"):
                found = np.where(score < 0, self.known.ppf(tail), self.known.isf(tail))
            return torch.from_numpy(np.asarray(found)).to(e)

        return differentiable(e, value, lambda e, x: (-_log_density(self.distribution, x) - 0.5 * e.square()).exp() / _ROOT)


@dataclass(frozen=True)
class _ByOwnQuantiles:
    """Coordinates of univariate distributions that know their own quantiles; no farther out than rounding lets them."""

    distribution: Any
    coordinatewise = True

    def to_normal(self, x: Tensor) -> Tensor:
        u = self.distribution.cdf(x)
        least = torch.finfo(u.dtype).eps / 2
        return torch.special.ndtri(u.clamp(least, 1 - least))

    def from_normal(self, e: Tensor) -> Tensor:
        least = torch.finfo(e.dtype).eps / 2
        return self.distribution.icdf(torch.special.ndtr(e).clamp(least, 1 - least))


@dataclass(frozen=True)
class _Mixtures:
    """Coordinates that are mixtures of normal distributions, each of its own; parameters are `(k, *shape)`."""

    log_weights: Tensor
    loc: Tensor
    scale: Tensor
    coordinatewise = True

    def to_normal(self, x: Tensor) -> Tensor:
        return mixture_score(x, *self._beside(x))[0]

    def from_normal(self, e: Tensor) -> Tensor:
        bounded = e.clamp(-_FARTHEST, _FARTHEST)
        return torch.where(e.isinf(), e, mixture_quantile(bounded, *self._beside(e)))

    def _beside(self, x: Tensor) -> tuple[Tensor, ...]:
        parts = (self.log_weights, self.loc, self.scale)
        return tuple(part.to(x)[:, None].expand(-1, *x.shape) for part in parts)


@dataclass(frozen=True)
class _Affine:
    """Normal coordinates, each with a mean and a standard deviation."""

    loc: Tensor
    scale: Tensor
    coordinatewise = True

    def to_normal(self, x: Tensor) -> Tensor:
        return (x - self.loc.to(x)) / self.scale.to(x)

    def from_normal(self, e: Tensor) -> Tensor:
        return self.loc.to(e) + self.scale.to(e) * e


@dataclass(frozen=True)
class _Triangular:
    """Normal data of any covariance L L^T, along the last axis."""

    loc: Tensor
    tril: Tensor
    coordinatewise = False

    def to_normal(self, x: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.tril.to(x), (x - self.loc.to(x))[..., None], upper=False)[..., 0]

    def from_normal(self, e: Tensor) -> Tensor:
        return self.loc.to(e) + (self.tril.to(e) @ e[..., None])[..., 0]


@dataclass(frozen=True)
class _Transformed:
    """What a transform made of numbers that have a way of their own."""

    transform: Any
    base: Transport

    @property
    def coordinatewise(self) -> bool:
        return (
            self.base.coordinatewise and getattr(self.transform, "codomain", of_torch.constraints.real_vector).event_dim == 0
        )

    def to_normal(self, x: Tensor) -> Tensor:
        return self.base.to_normal(self.transform.inv(x))

    def from_normal(self, e: Tensor) -> Tensor:
        return self.transform(self.base.from_normal(e))


@dataclass(frozen=True)
class _Joint:
    """Parts that lie one after another along the last axis."""

    parts: tuple[Transport, ...]
    sizes: tuple[int, ...]

    @property
    def coordinatewise(self) -> bool:
        return all(part.coordinatewise for part in self.parts)

    def to_normal(self, x: Tensor) -> Tensor:
        return self._each(x, [part.to_normal for part in self.parts])

    def from_normal(self, e: Tensor) -> Tensor:
        return self._each(e, [part.from_normal for part in self.parts])

    def _each(self, x: Tensor, ways: list[Callable[[Tensor], Tensor]]) -> Tensor:
        return torch.cat([way(part) for way, part in zip(ways, x.split(self.sizes, -1), strict=True)], -1)


@transport_of.register(of_torch.Independent)
def _(distribution: Any) -> Transport | None:
    return transport_of(distribution.base_dist)


@transport_of.register
def _(distribution: of_torch.Normal) -> Transport | None:
    return _Affine(distribution.loc.detach().double(), distribution.scale.detach().double())


@transport_of.register
def _(distribution: of_torch.MultivariateNormal) -> Transport | None:
    return _Triangular(distribution.loc.detach().double(), distribution.scale_tril.detach().double())


@transport_of.register
def _(distribution: of_torch.LowRankMultivariateNormal) -> Transport | None:
    return _Triangular(distribution.loc.detach().double(), torch.linalg.cholesky(low_rank_covariance(distribution)))


@transport_of.register
def _(distribution: of_torch.MixtureSameFamily) -> Transport | None:
    parts = distribution.component_distribution
    if not isinstance(parts, of_torch.Normal):
        return None
    log_weights = distribution.mixture_distribution.logits.log_softmax(-1).expand(parts.loc.shape)
    return _Mixtures(*(part.detach().double().movedim(-1, 0) for part in (log_weights, parts.loc, parts.scale)))


@transport_of.register
def _(distribution: of_torch.TransformedDistribution) -> Transport | None:
    transform = of_torch.ComposeTransform(distribution.transforms)
    base = transport_of(distribution.base_dist)
    one_to_one = base is not None and transform.bijective and _shape(distribution) == _shape(distribution.base_dist)
    return _Transformed(transform, base) if base is not None and one_to_one else None


def _by_scipy(kind: Any, known: Callable[[Any], Any]) -> None:
    def transport(distribution: Any) -> Transport | None:
        return _ByQuantiles(known(distribution), distribution)

    transport_of.register(kind, transport)


def _array(value: Tensor) -> Any:
    return value.detach().cpu().double().numpy()


_by_scipy(of_torch.Beta, lambda p: stats.beta(_array(p.concentration1), _array(p.concentration0)))
_by_scipy(of_torch.Cauchy, lambda p: stats.cauchy(_array(p.loc), _array(p.scale)))
_by_scipy(of_torch.Chi2, lambda p: stats.chi2(_array(p.df)))
_by_scipy(of_torch.Exponential, lambda p: stats.expon(scale=1 / _array(p.rate)))
_by_scipy(of_torch.FisherSnedecor, lambda p: stats.f(_array(p.df1), _array(p.df2)))
_by_scipy(of_torch.Gamma, lambda p: stats.gamma(_array(p.concentration), scale=1 / _array(p.rate)))
_by_scipy(
    of_torch.GeneralizedPareto,
    lambda p: stats.genpareto(_array(p.concentration), _array(p.loc), _array(p.scale)),
)
_by_scipy(of_torch.Gumbel, lambda p: stats.gumbel_r(_array(p.loc), _array(p.scale)))
_by_scipy(of_torch.HalfCauchy, lambda p: stats.halfcauchy(scale=_array(p.scale)))
_by_scipy(of_torch.HalfNormal, lambda p: stats.halfnorm(scale=_array(p.scale)))
_by_scipy(of_torch.Laplace, lambda p: stats.laplace(_array(p.loc), _array(p.scale)))
_by_scipy(of_torch.Pareto, lambda p: stats.pareto(_array(p.alpha), scale=_array(p.scale)))
_by_scipy(of_torch.StudentT, lambda p: stats.t(_array(p.df), _array(p.loc), _array(p.scale)))
_by_scipy(of_torch.Uniform, lambda p: stats.uniform(_array(p.low), _array(p.high - p.low)))
_by_scipy(of_torch.Weibull, lambda p: stats.weibull_min(_array(p.concentration), scale=_array(p.scale)))


def low_rank_covariance(distribution: of_torch.LowRankMultivariateNormal) -> Tensor:
    """The whole covariance, in double precision."""
    factor, diagonal = distribution.cov_factor.detach().double(), distribution.cov_diag.detach().double()
    return factor @ factor.mT + torch.diag_embed(diagonal)


def _joint(marginals: Any) -> Transport | None:
    ways = [transport_of(marginal) for marginal in marginals]
    known = tuple(way for way in ways if way is not None)
    if len(known) < len(ways) or any(len(_shape(marginal)) != 1 for marginal in marginals):
        return None
    return _Joint(known, tuple(_shape(marginal)[0] for marginal in marginals))


def _shape(distribution: Any) -> tuple[int, ...]:
    return (*distribution.batch_shape, *distribution.event_shape)


def _answers(distribution: Any, name: str) -> bool:
    """Whether a distribution has a method of its own, and not only what all inherit."""
    return getattr(type(distribution), name, None) is not getattr(of_torch.Distribution, name)


def _log_density(distribution: Any, x: Tensor) -> Tensor:
    """log p of each coordinate; -inf outside the support."""
    inside = distribution.support.check(x)
    safe = torch.where(inside, x, distribution.sample().to(x).expand(x.shape))
    return torch.where(inside, distribution.log_prob(safe), -math.inf)


_FARTHEST = 1e6
"""Normal score beyond which quantiles of mixtures are not looked for."""
_ROOT = math.sqrt(2 * math.pi)
