"""Priors with independent coordinates of one law.

A prior is a module: `prior()` returns a `torch.distributions.Distribution`, and `prior.sample`, `log_prob`, `cdf` and the
rest forward to it, so that a prior with labels, `prior(y)`, will be no special case.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.priors.distribution import IIDDistribution, SampledLaw
from latentry.priors.laws import HalfUniformHalfNormalLaw, NormalLaw, TruncatedCauchyLaw, UniformLaw

__all__ = ["HalfUniformHalfNormal", "IIDPrior", "Normal", "TruncatedCauchy", "Uniform"]


class IIDPrior(nn.Module):
    """p(z) with `latent_dim` independent coordinates of `law`.

    Samples take the dtype and the device that the prior was moved to with `.to(...)`.

    Raises:
        ValueError: `latent_dim` is below 1.
    """

    _like: Tensor

    def __init__(self, latent_dim: int, law: SampledLaw) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"expected latent_dim >= 1, got {latent_dim}")
        self.latent_dim = latent_dim
        self.law = law
        self.register_buffer("_like", torch.empty(0), persistent=False)

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {"latent_dim": self.latent_dim, **vars(self.law)}

    def forward(self, y: Int[Tensor, "..."] | None = None) -> IIDDistribution:
        """The distribution p(z); these priors know no labels and pass over `y`."""
        return IIDDistribution(self.law, self.latent_dim, self._like)

    def sample(
        self, shape: int | Sequence[int] = (), y: Int[Tensor, "..."] | None = None, *, rng: torch.Generator | None = None
    ) -> Float[Tensor, "*shape d"]:
        """Codes `(*shape, d)`; `rng` makes them reproducible."""
        return self(y).sample(shape, rng=rng)

    def rsample(
        self, shape: int | Sequence[int] = (), y: Int[Tensor, "..."] | None = None, *, rng: torch.Generator | None = None
    ) -> Float[Tensor, "*shape d"]:
        """Codes `(*shape, d)` with a gradient to the prior's parameters, where it has any."""
        return self(y).rsample(shape, rng=rng)

    def log_prob(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n"]:
        """log p(z) of whole codes; -inf outside the support."""
        return self(y).log_prob(z)

    def cdf(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """F(z_j) per coordinate, in [0, 1]."""
        return self(y).cdf(z)

    def icdf(self, u: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """F^-1(u_j) per coordinate, for u in [0, 1]."""
        return self(y).icdf(u)

    def log_cdf(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """log F(z_j) per coordinate."""
        return self(y).log_cdf(z)

    def log_sf(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "*n d"]:
        """log(1 - F(z_j)) per coordinate."""
        return self(y).log_sf(z)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.arguments().items())


class Normal(IIDPrior):
    """Independent N(loc, scale^2) coordinates.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        loc: Mean of each coordinate.
        scale: Standard deviation of each coordinate, above 0.
    """

    def __init__(self, latent_dim: int, loc: float = 0.0, scale: float = 1.0) -> None:
        super().__init__(latent_dim, NormalLaw(loc, scale))


class Uniform(IIDPrior):
    """Independent U(low, high) coordinates.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        low: Lower end of the support.
        high: Upper end of the support, above `low`.
    """

    def __init__(self, latent_dim: int, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(latent_dim, UniformLaw(low, high))


class HalfUniformHalfNormal(IIDPrior):
    """Coordinates uniform on (-1, 0) with probability 1/2, else half-normal: the hybrid of Cho (2020).

    Args:
        latent_dim: Number of coordinates d, at least 1.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim, HalfUniformHalfNormalLaw())


class TruncatedCauchy(IIDPrior):
    """Independent Cauchy coordinates about 0, cut off at -bound and bound.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        scale: Half-width of the Cauchy law at half its height, above 0.
        bound: Where it is cut off, above 0. Without a bound there would be no mean, and no distance to hold codes against.
    """

    def __init__(self, latent_dim: int, scale: float = 1.0, bound: float = 20.0) -> None:
        super().__init__(latent_dim, TruncatedCauchyLaw(scale, bound))
