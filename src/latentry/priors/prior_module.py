"""The base class of priors without labels: a module that returns a distribution and forwards to it."""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.display import Facts, Plottable
from latentry.numerics.inputs import checked
from latentry.priors.description import KnownBySamples

__all__ = ["PriorModule", "checked_latent_dim"]

_MOST_ELEMENTS = 2**31


class PriorModule(Plottable, nn.Module, KnownBySamples):
    """p(z) as a module; `forward` gives the distribution.

    Samples take the dtype and the device that the prior was moved to with `.to(...)`. Labels are passed over.

    Args:
        latent_dim: Number of coordinates d, at least 1.

    Raises:
        ValueError: `latent_dim` is no whole number of at least 1.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> prior = Normal(3).double()
        >>> prior.sample(2).dtype, prior().event_shape
        (torch.float64, torch.Size([3]))
    """

    _like: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = checked_latent_dim(latent_dim)
        self.register_buffer("_like", torch.empty(0), persistent=False)

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        raise NotImplementedError

    @checked(differentiable=True)
    def sample(
        self, shape: int | Sequence[int] = (), y: Int[Tensor, "..."] | None = None, *, rng: torch.Generator | None = None
    ) -> Float[Tensor, "*shape d"]:
        """Codes `(*shape, d)`; `rng` makes them reproducible."""
        return self(y).sample(shape, rng=rng)

    @checked(differentiable=True)
    def rsample(
        self, shape: int | Sequence[int] = (), y: Int[Tensor, "..."] | None = None, *, rng: torch.Generator | None = None
    ) -> Float[Tensor, "*shape d"]:
        """Codes `(*shape, d)` with a gradient to the prior's parameters, where it has any."""
        return self(y).rsample(shape, rng=rng)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def log_prob(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n"]:
        """log p(z) of whole codes; -inf outside the support."""
        return self(y).log_prob(z)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def cdf(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """F(z_j) of each coordinate alone; a ValueError where that has no closed form, as in the following three."""
        return self(y).cdf(z)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def icdf(self, u: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """F^-1(u_j) of each coordinate alone, for u in [0, 1]."""
        return self(y).icdf(u)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def log_cdf(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """log F(z_j) of each coordinate alone."""
        return self(y).log_cdf(z)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def log_sf(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """log(1 - F(z_j)) of each coordinate alone."""
        return self(y).log_sf(z)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.arguments().items())

    __repr__ = nn.Module.__repr__

    def _facts(self) -> Facts:
        return Facts(repr(self), (("elements of a code", f"{self.latent_dim:,}"),))

    def _draw(self, figure: Any) -> None:
        from latentry.priors.panels import draw_distribution

        draw_distribution(figure.subplots(), self)


def checked_latent_dim(latent_dim: Any) -> int:
    """The number of coordinates of a code, if it is one.

    Raises:
        ValueError: It is no whole number from 1 on, or larger than any code.

    Example:
        >>> checked_latent_dim(128)
        128
    """
    try:
        found = operator.index(latent_dim)
    except TypeError:
        found = 0
    if isinstance(latent_dim, bool) or not 1 <= found <= _MOST_ELEMENTS:
        raise ValueError(f"expected a whole number latent_dim >= 1, and at most {_MOST_ELEMENTS}, got {latent_dim!r}")
    return found
