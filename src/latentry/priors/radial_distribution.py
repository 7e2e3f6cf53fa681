r"""The distribution of codes with a uniform direction and a norm of its own, and the way to normal coordinates and back.

With :math:`F_R` the distribution function of the norm,

.. math:: e = \frac{z}{\|z\|} \, F_{\chi_d}^{-1}(F_R(\|z\|))

is exactly N(0, I) for z from the prior. Both ways are accurate at any distance and have gradients (`numerics.tails`).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import normalize

from latentry.numerics.edges import log_of_probability, quantile_within
from latentry.numerics.inputs import checked
from latentry.numerics.radial import log_sphere_area
from latentry.numerics.tails import carry
from latentry.priors.description import Univariate
from latentry.priors.distribution import (
    CodeDistribution,
    SampledDistribution,
    at_least_single,
    checked_codes,
    sampled_shape,
)
from latentry.priors.radius_distributions import CauchyRadiusDistribution, NakagamiDistribution

__all__ = ["RadialDistribution"]

_LEAST_NORM = 1e-37
_ROUNDING = 4
"""Rounding steps that the norm of a true code may lie beyond the end of its distribution."""


class _Norms(constraints.Constraint):
    """Codes whose norm lies within the support of its distribution, but for rounding."""

    event_dim = 1

    def __init__(self, low: int | float, high: int | float, rounding: float) -> None:
        self.low, self.high, self.rounding = low, high, rounding
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        step = max(_ROUNDING * torch.finfo(value.dtype).eps, self.rounding)
        r = value.double().norm(dim=-1)
        return (r >= self.low * (1 - step)) & (r <= self.high * (1 + step)) & r.isfinite()


class RadialDistribution(CodeDistribution):
    """p(z) of codes with a uniform direction and a norm from `radius_distribution`.

    `log_prob` is of whole codes, `(..., d)` to `(...)`. There is a `cdf` per coordinate for the spherical Cauchy
    distribution alone, where each coordinate is a Cauchy number; coordinates are not independent under any radial
    distribution but the normal one.

    Example:
        >>> from latentry.priors.univariate import UniformDistribution
        >>> p = RadialDistribution(UniformDistribution(1.0, 2.0), latent_dim=3, like=torch.empty(0))
        >>> p.sample(100).norm(dim=1).clamp(1, 2).shape
        torch.Size([100])
        >>> p.to_normal(torch.tensor([1.5, 0.0, 0.0]))
        tensor([1.5382, 0.0000, 0.0000])
    """

    has_rsample = True

    def __init__(
        self, radius_distribution: SampledDistribution, latent_dim: int, like: Tensor, batch_shape: Sequence[int] = ()
    ) -> None:
        self.radius_distribution = radius_distribution
        super().__init__(latent_dim, like, batch_shape)

    @property
    def support(self) -> constraints.Constraint:
        low, high = self.radius_distribution.support
        return (
            constraints.real_vector
            if low == 0 and high == math.inf
            else _Norms(low, high, torch.finfo(self._like.dtype).eps)
        )

    @property
    def mean(self) -> Tensor:
        """Zeros, or NaN where the norm has no mean."""
        return self._constant(0.0 if math.isfinite(self.radius_distribution.mean) else math.nan)

    @property
    def variance(self) -> Tensor:
        """Of each coordinate; infinite where the norm has none."""
        return self._constant((self.radius_distribution.variance + self.radius_distribution.mean**2) / self.event_shape[0])

    def entropy(self) -> Tensor:
        """Entropy of a whole code, in nats."""
        return self._constant(self.nats, of_codes=False)

    @property
    def nats(self) -> float:
        """The entropy as a number."""
        return Univariate(self.radius_distribution, self.event_shape[0], of_norm=True).code_entropy

    @checked(differentiable=True)
    def rsample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, *batch, d)`; `rng` makes them reproducible."""
        return self._draw((*sampled_shape(sample_shape), *self.batch_shape), rng)

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "..."]:
        d = self.event_shape[0]
        low, high = self.radius_distribution.support

        def density(z: Tensor) -> Tensor:
            r = _norm(z)
            r = torch.where(self._beyond(z, r) == 0, r.clamp(max(low, _LEAST_NORM), high), r)
            return (self.radius_distribution.log_prob(r) - (d - 1) * r.log() - log_sphere_area(d)).to(z.dtype)

        return self._of_codes(value, density)

    @checked(differentiable=True, any_value=("value",))
    def cdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self._of_coordinates(value, lambda x: torch.atan2(torch.ones_like(x), -x) / math.pi)

    @checked(differentiable=True, any_value=("value",))
    def icdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        def quantile(u: Tensor) -> Tensor:
            near = math.pi * torch.where(u < 0.5, u, 1 - u).clamp(min=0)  # from the near end, where it keeps its digits
            size = self._cauchy().scale / near.tan()
            return quantile_within(-math.inf, math.inf, u, torch.where(u < 0.5, -size, size))

        return quantile(checked_codes(value, self.event_shape))

    @checked(differentiable=True, any_value=("value",))
    def log_cdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self._of_coordinates(value, _log_cauchy_cdf)

    @checked(differentiable=True, any_value=("value",))
    def log_sf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self._of_coordinates(value, lambda x: _log_cauchy_cdf(-x))

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        like = at_least_single(self._like)
        noise = torch.randn((*shape, *self.event_shape), generator=rng, dtype=like.dtype, device=like.device)
        codes = self.radius_distribution.draw(shape, rng, like)[..., None] * normalize(noise, dim=-1)
        return codes.to(self._like.dtype)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def to_normal(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The normal coordinates of codes; see the module's theory.

        A norm that the distribution never takes is put beyond every sample's: beyond a tail of exp(-690), in proportion.
        """
        low, high = self.radius_distribution.support
        r = _norm(checked_codes(z, self.event_shape))
        step = min(self._rounding(z), 1.0 if high == math.inf else (high - low) / (4 * high))
        inside = r.clamp(max(low * (1 + step), _LEAST_NORM), high * (1 - step))
        beyond = self._beyond(z, r)
        length = carry(inside, self.radius_distribution, _chi(z.shape[-1]), beyond=beyond)
        return (z * (length / inside)[..., None]).to(z.dtype)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def from_normal(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Codes with these normal coordinates, the inverse of `to_normal` for codes of the prior."""
        length = _norm(checked_codes(e, self.event_shape))
        return (e * (carry(length, _chi(e.shape[-1]), self.radius_distribution) / length)[..., None]).to(e.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.radius_distribution}, latent_dim={self.event_shape[0]})"

    def _rounding(self, z: Tensor) -> float:
        """How far rounding may carry a norm out of the support, relative to it: of codes as given or as drawn."""
        return max(_ROUNDING * torch.finfo(z.dtype).eps, torch.finfo(self._like.dtype).eps)

    def _beyond(self, z: Tensor, r: Tensor) -> Tensor:
        """1 for norms above the support, -1 below it, and 0 within or so near that rounding may have moved them."""
        (low, high), step = self.radius_distribution.support, self._rounding(z)
        return (r > high * (1 + step)).to(r.dtype) - (r < low * (1 - step)).to(r.dtype)

    def _cauchy(self) -> CauchyRadiusDistribution:
        distribution = self.radius_distribution
        if not isinstance(distribution, CauchyRadiusDistribution) or distribution.latent_dim != self.event_shape[0]:
            raise ValueError(
                "expected a prior whose single coordinates have a distribution in closed form, got norms from "
                f"{distribution}; take to_normal(z), whose coordinates are independent N(0, 1)"
            )
        return distribution

    def _of_coordinates(self, value: Any, function: Callable[[Tensor], Tensor]) -> Tensor:
        scale = self._cauchy().scale
        return function(checked_codes(value, self.event_shape) / scale)


def _log_cauchy_cdf(x: Tensor) -> Tensor:
    """log F(x) of a Cauchy number, either tail from its own end."""
    below, above = (torch.atan2(torch.ones_like(x), tail.clamp(min=0)) / math.pi for tail in (-x, x))
    return torch.where(x < 0, log_of_probability(below), torch.log1p(-above))


def _chi(d: int) -> NakagamiDistribution:
    """The norm of a standard normal code."""
    return NakagamiDistribution(d / 2, 2.0)


def _norm(z: Tensor) -> Tensor:
    """Norms in double precision, above 0 so that one can divide by them."""
    return z.double().norm(dim=-1).clamp(min=_LEAST_NORM)
