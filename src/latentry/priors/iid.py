"""Priors with independent coordinates of one distribution.

A prior is a module: `prior()` returns a `torch.distributions.Distribution`, and `prior.sample`, `log_prob`, `cdf` and the
rest forward to it, so that a prior with labels, `prior(y)`, will be no special case.
"""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from latentry.numerics.inputs import checked
from latentry.priors.description import WithIndependentCoordinates
from latentry.priors.distribution import IIDDistribution, SampledDistribution
from latentry.priors.prior_module import PriorModule
from latentry.priors.univariate import (
    HalfUniformHalfNormalDistribution,
    NormalDistribution,
    TruncatedCauchyDistribution,
    UniformDistribution,
)

__all__ = ["HalfUniformHalfNormal", "IIDPrior", "Normal", "TruncatedCauchy", "Uniform"]


class IIDPrior(WithIndependentCoordinates, PriorModule):
    """p(z) with `latent_dim` independent coordinates of `marginal`.

    Raises:
        ValueError: `latent_dim` is below 1.

    Example:
        >>> import torch
        >>> prior = IIDPrior(3, UniformDistribution(0.0, 1.0))
        >>> prior.sample(5).shape, prior.log_prob(torch.full((3,), 0.5))
        (torch.Size([5, 3]), tensor(0.))
    """

    def __init__(self, latent_dim: int, marginal: SampledDistribution) -> None:
        super().__init__(latent_dim)
        self.marginal = marginal

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {"latent_dim": self.latent_dim, **vars(self.marginal)}

    def forward(self, y: Int[Tensor, "..."] | None = None) -> IIDDistribution:
        """The distribution p(z); these priors know no labels and pass over `y`."""
        return IIDDistribution(self.marginal, self.latent_dim, self._like)


class Normal(IIDPrior):
    """Independent N(loc, scale^2) coordinates.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        loc: Mean of each coordinate.
        scale: Standard deviation of each coordinate, above 0.

    Example:
        >>> import torch
        >>> prior = Normal(128)
        >>> z = prior.sample(4, rng=torch.Generator().manual_seed(0))
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([4, 128]), torch.Size([4]))
    """

    marginal: NormalDistribution

    def __init__(self, latent_dim: int, loc: float = 0.0, scale: float = 1.0) -> None:
        super().__init__(latent_dim, NormalDistribution(loc, scale))

    @checked(differentiable=True, any_value=("z",))
    def to_normal(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """(z - loc) / scale."""
        return (z - self.marginal.loc) / self.marginal.scale

    @checked(differentiable=True, any_value=("e",))
    def from_normal(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """loc + scale e."""
        return self.marginal.loc + self.marginal.scale * e


class Uniform(IIDPrior):
    """Independent U(low, high) coordinates.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        low: Lower end of the support.
        high: Upper end of the support, above `low`.

    Example:
        >>> import torch
        >>> prior = Uniform(2, low=0.0, high=2.0)
        >>> prior.cdf(torch.tensor([[0.5, 3.0]]))
        tensor([[0.2500, 1.0000]])
        >>> prior.to_normal(torch.tensor([[1.0, 1.0]])).abs()
        tensor([[0., 0.]])
    """

    def __init__(self, latent_dim: int, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(latent_dim, UniformDistribution(low, high))


class HalfUniformHalfNormal(IIDPrior):
    """Coordinates uniform on (-1, 0) with probability 1/2, else half-normal: the hybrid of Cho (2020).

    Args:
        latent_dim: Number of coordinates d, at least 1.

    Example:
        >>> import torch
        >>> HalfUniformHalfNormal(4).log_prob(torch.full((4,), -0.5)).exp()
        tensor(0.0625)
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim, HalfUniformHalfNormalDistribution())


class TruncatedCauchy(IIDPrior):
    """Independent Cauchy coordinates about 0, cut off at -bound and bound.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        scale: Half-width of the Cauchy marginal at half its height, above 0.
        bound: Where it is cut off, above 0. Without a bound there would be no mean, and no distance to hold codes against.

    Example:
        >>> TruncatedCauchy(4, bound=5.0).sample(1000).abs().max().item() <= 5
        True
    """

    def __init__(self, latent_dim: int, scale: float = 1.0, bound: float = 20.0) -> None:
        super().__init__(latent_dim, TruncatedCauchyDistribution(scale, bound))
