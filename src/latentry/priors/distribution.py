"""The distribution that a prior returns: `torch.distributions` in every name, with per-coordinate functions beside."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from latentry.numerics.inputs import checked
from latentry.numerics.law import Law

__all__ = ["IIDDistribution", "SampledLaw", "checked_codes"]


@runtime_checkable
class SampledLaw(Law, Protocol):
    """A law that also has a density, tails in the log domain and a sampler."""

    @property
    def support(self) -> tuple[float, float]:
        """Ends of the support, possibly infinite."""

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """Log density, -inf outside the support."""

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        """Independent draws in the dtype and on the device of `like`."""


class IIDDistribution(Distribution):
    """p(z) with `latent_dim` independent coordinates of one law.

    `log_prob` is of whole codes, `(..., d)` to `(...)`. `cdf`, `icdf`, `log_cdf` and `log_sf` act per coordinate, `(..., d)`
    to `(..., d)`, and are defined outside the support too.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = True

    def __init__(self, law: SampledLaw, latent_dim: int, like: Tensor) -> None:
        self.law = law
        self._like = like
        super().__init__(event_shape=torch.Size([latent_dim]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        low, high = self.law.support
        return constraints.independent(constraints.interval(low, high), 1)

    @property
    def mean(self) -> Tensor:
        return self._like.new_full(self.event_shape, self.law.mean)

    @property
    def variance(self) -> Tensor:
        return self._like.new_full(self.event_shape, self.law.variance)

    def entropy(self) -> Tensor:
        """Entropy of a whole code, in nats."""
        return self._like.new_tensor(self.event_shape[0] * self.law.entropy)

    def rsample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, d)`; `rng` makes them reproducible."""
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return self.law.draw((*shape, *self.event_shape), rng, self._like)

    def sample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, d)` without a gradient; `rng` makes them reproducible."""
        with torch.no_grad():
            return self.rsample(sample_shape, rng=rng)

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        return self.law.log_prob(checked_codes(value, self.event_shape)).sum(-1)

    @checked(differentiable=True, any_value=("value",))
    def cdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.law.cdf(checked_codes(value, self.event_shape))

    @checked(differentiable=True, any_value=("value",))
    def icdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.law.icdf(checked_codes(value, self.event_shape))

    @checked(differentiable=True, any_value=("value",))
    def log_cdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.law.log_cdf(checked_codes(value, self.event_shape))

    @checked(differentiable=True, any_value=("value",))
    def log_sf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.law.log_sf(checked_codes(value, self.event_shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.law}, latent_dim={self.event_shape[0]})"


def checked_codes(value: Any, event_shape: torch.Size) -> Tensor:
    """The codes themselves, if they are as long as the prior's.

    Raises:
        ValueError: They are not.
    """
    if value.shape[-1:] != event_shape:
        raise ValueError(
            f"expected codes of shape (..., {event_shape[0]}), got {tuple(value.shape)}; check the prior's latent_dim"
        )
    return value
