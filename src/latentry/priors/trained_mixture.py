"""A normal mixture whose means and precisions are parameters, while they are trained."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.priors.diagonal_normal import DiagonalNormal
from latentry.priors.labelled import NormalMixture

__all__ = ["TrainedMixture"]


class TrainedMixture(nn.Module):
    """Means and precisions (inverse variances) of a normal mixture as parameters, while they are trained.

    Precisions are `softplus(raw)`, 1 at first. Their logarithm enters likelihoods without bound, so that codes that draw
    together would make them grow for ever: `limit_()` after each update keeps them in a range.

    Reference: Zheng and Sun (2019), whose code calls the precisions covariances.

    Args:
        num_classes: Number of components K.
        latent_dim: Number of coordinates d.
        precision_range: Least and largest precision.

    Raises:
        ValueError: A number is below 1, or the range does not hold 1.

    Example:
        >>> mixture = TrainedMixture(num_classes=3, latent_dim=2)
        >>> mixture.precision.shape, mixture.settled()
        (torch.Size([3, 2]), NormalMixture(latent_dim=2, num_classes=3))
    """

    def __init__(self, num_classes: int, latent_dim: int, precision_range: tuple[float, float] = (1e-2, 1e2)) -> None:
        super().__init__()
        if num_classes < 1 or latent_dim < 1:
            raise ValueError(f"expected num_classes and latent_dim of at least 1, got {num_classes} and {latent_dim}")
        low, high = precision_range
        if not 0 < low <= 1 <= high < math.inf:
            raise ValueError(f"expected a range of precisions about 1, above 0, got {precision_range}")
        self.precision_range = (low, high)
        self.loc = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_classes, latent_dim)))
        self.raw = nn.Parameter(torch.full((num_classes, latent_dim), _inverse_softplus(1.0)))

    @property
    def precision(self) -> Float[Tensor, "k d"]:
        """Inverse variances of the components."""
        return nn.functional.softplus(self.raw)

    def forward(self, y: Int[Tensor, "n"]) -> DiagonalNormal:
        """p(z | y): the component of each label."""
        return DiagonalNormal(self.loc[y], self.precision[y].rsqrt())

    def limit_(self) -> None:
        """Bring precisions that left the range back to its ends."""
        low, high = self.precision_range
        with torch.no_grad():
            self.raw.clamp_(_inverse_softplus(low), _inverse_softplus(high))

    def settled(self, probs: Float[Tensor, "k"] | None = None) -> NormalMixture:
        """The prior that these parameters describe, equal probabilities by default."""
        return NormalMixture(self.loc, self.precision.rsqrt(), probs)


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))
