"""Normal distributions with independent coordinates, one for each code of a batch: p(z | y), or a posterior."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import constraints

from latentry.numerics.edges import log_normal_cdf
from latentry.numerics.inputs import checked
from latentry.priors.distribution import CodeDistribution, checked_codes, sampled_shape

__all__ = ["DiagonalNormal"]


class DiagonalNormal(CodeDistribution):
    """N(loc, scale^2) with independent coordinates, `(*batch, d)`.

    `log_prob` is of whole codes; `cdf`, `icdf`, `log_cdf` and `log_sf` act per coordinate.

    Example:
        >>> p = DiagonalNormal(loc=torch.tensor([0.0, 1.0]), scale=torch.tensor([1.0, 2.0]))
        >>> p.to_normal(torch.tensor([0.0, 5.0]))
        tensor([0., 2.])
    """

    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Float[Tensor, "*b d"], scale: Float[Tensor, "*b d"]) -> None:
        self.loc = loc
        self.scale = scale
        super().__init__(loc.shape[-1], loc, loc.shape[:-1])

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "DiagonalNormal":
        """The same distribution for a batch of codes of this shape."""
        shape = (*batch_shape, *self.event_shape)
        return DiagonalNormal(self.loc.expand(shape), self.scale.expand(shape))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square()

    def entropy(self) -> Tensor:
        """Entropy of a whole code, in nats."""
        return (self.scale.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    @checked(differentiable=True)
    def rsample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, *batch, d)`; `rng` makes them reproducible."""
        return self._draw((*sampled_shape(sample_shape), *self.batch_shape), rng)

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Tensor:
        def density(z: Tensor) -> Tensor:
            parts = -0.5 * self._standard(z).square() - self.scale.log() - _LOG_SQRT_2PI
            return parts.sum(-1)

        return self._of_codes(value, density)

    @checked(differentiable=True, any_value=("value",))
    def cdf(self, value: Float[Tensor, "*n d"]) -> Tensor:
        return torch.special.ndtr(self._standard(value))

    @checked(differentiable=True, any_value=("value",))
    def icdf(self, value: Float[Tensor, "*n d"]) -> Tensor:
        return self.loc + self.scale * torch.special.ndtri(checked_codes(value, self.event_shape))

    @checked(differentiable=True, any_value=("value",))
    def log_cdf(self, value: Float[Tensor, "*n d"]) -> Tensor:
        return log_normal_cdf(self._standard(value))

    @checked(differentiable=True, any_value=("value",))
    def log_sf(self, value: Float[Tensor, "*n d"]) -> Tensor:
        return log_normal_cdf(-self._standard(value))

    @checked(differentiable=True, any_value=("z",))
    def to_normal(self, z: Float[Tensor, "*n d"]) -> Tensor:
        """Standard scores (z - loc) / scale: N(0, I) for codes of this distribution."""
        return self._standard(z)

    @checked(differentiable=True, any_value=("e",))
    def from_normal(self, e: Float[Tensor, "*n d"]) -> Tensor:
        """The codes with these standard scores."""
        return self.loc + self.scale * checked_codes(e, self.event_shape)

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        noise = torch.randn((*shape, *self.event_shape), generator=rng, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise

    def _standard(self, value: Tensor) -> Tensor:
        return (checked_codes(value, self.event_shape) - self.loc) / self.scale


_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
