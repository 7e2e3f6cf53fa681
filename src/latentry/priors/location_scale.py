"""Location and scale of a prior, coordinate by coordinate: the units in which solvers measure codes and steps.

They are quantiles, not moments, since some priors have no moments.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentry.interfaces import Prior
from latentry.numerics.univariate import UnivariateDistribution

__all__ = [
    "LocationScale",
    "Standardization",
    "location_scale_of_marginal",
    "location_scale_of_samples",
    "standardization_by_moments",
]

_BELOW, _ABOVE = 0.15865525393145707, 0.8413447460685429
"""Where a normal distribution has mean minus and mean plus one standard deviation."""
_SAMPLES = 4096
_AT_AN_END = 1e-6
"""How near to an end of the support, in units of the scale, a coordinate is at it."""


@dataclass(frozen=True)
class LocationScale:
    """Location, scale and support of each coordinate.

    Example:
        >>> from latentry.priors.iid import Uniform
        >>> location_scale = Uniform(2, low=0.0, high=4.0).location_scale(torch.empty(0))
        >>> location_scale.centre, location_scale.high
        (tensor([2., 2.]), tensor([4., 4.]))
        >>> location_scale.clamped(torch.tensor([5.0, -1.0]))
        tensor([4., 0.])
    """

    centre: Float[Tensor, "d"]
    """Median."""
    scale: Float[Tensor, "d"]
    """Half the distance between the quantiles that are two standard deviations apart in a normal distribution."""
    low: Float[Tensor, "d"]
    """Lower end of the support, or minus infinity."""
    high: Float[Tensor, "d"]
    """Upper end of the support, or infinity."""

    def standardized(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Codes, centred and in units of the scale."""
        return (z - self.centre) / self.scale

    def unstandardized(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Codes from what `standardized` gave."""
        return self.centre + self.scale * e

    def clamped(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The nearest codes in the support."""
        return z.clamp(self.low, self.high)

    def at_bound(self, z: Float[Tensor, "*n d"], downhill: Float[Tensor, "*n d"]) -> Bool[Tensor, "*n d"]:
        """Which coordinates are at an end of the support, and would leave it on the way downhill."""
        near = _AT_AN_END * self.scale
        return ((z <= self.low + near) & (downhill < 0)) | ((z >= self.high - near) & (downhill > 0))


@dataclass(frozen=True)
class Standardization:
    """Coordinates of mean 0 and variance 1, in which encoders work and errors of codes are reported.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> scale = Normal(1, loc=1.0, scale=2.0).standardization()
        >>> scale.units(torch.tensor([5.0])), scale.codes(torch.tensor([2.0]))
        (tensor([2.]), tensor([5.]))
    """

    units: Callable[[Tensor], Tensor]
    """Codes to coordinates."""
    codes: Callable[[Tensor], Tensor]
    """Coordinates to codes; those outside the support to its end."""
    inside: Callable[[Tensor], Tensor]
    """Coordinates to those of what `codes` makes of them."""


def location_scale_of_marginal(marginal: UnivariateDistribution, latent_dim: int, like: Tensor) -> LocationScale:
    """Location and scale of independent coordinates of one distribution, in the dtype and on the device of `like`.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> location_scale_of_marginal(NormalDistribution(1.0, 2.0), 2, torch.empty(0)).scale
        tensor([2., 2.])
    """
    levels = torch.tensor([0.0, _BELOW, 0.5, _ABOVE, 1.0], dtype=torch.float64)
    low, below, centre, above, high = (value.to(like).expand(latent_dim) for value in marginal.icdf(levels))
    return LocationScale(centre, (above - below) / 2, low, high)


def location_scale_of_samples(prior: Prior, like: Tensor) -> LocationScale:
    """Location and scale of any prior that can be sampled: quantiles of 4096 codes, and no ends of the support.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> location_scale_of_samples(Normal(2, scale=3.0), torch.empty(0)).scale.round()
        tensor([3., 3.])
    """
    rng = torch.Generator(prior.sample((0,), rng=None).device).manual_seed(0)
    samples = prior.sample((_SAMPLES,), rng=rng).to(like)
    below, centre, above = samples.quantile(samples.new_tensor([_BELOW, 0.5, _ABOVE]), 0)
    infinite = torch.full_like(centre, torch.inf)
    return LocationScale(centre, (above - below) / 2, -infinite, infinite)


def standardization_by_moments(
    mean: Tensor, variance: Tensor, support: tuple[float, float], prior: object
) -> Standardization:
    """Deviations from the mean over the standard deviation.

    Args:
        mean, variance: Of all coordinates `()`, or of each `(d,)`.
        support: Ends that codes are brought back to.
        prior: What is named in the message.

    Raises:
        ValueError: The mean or the variance is not finite, or the variance is 0.

    Example:
        >>> scale = standardization_by_moments(torch.tensor(1.0), torch.tensor(4.0), (0.0, 2.0), "a prior")
        >>> scale.units(torch.tensor(5.0)), scale.codes(torch.tensor(9.0))
        (tensor(2.), tensor(2.))
    """
    if not (mean.isfinite().all() and variance.isfinite().all() and (variance > 0).all()):
        raise ValueError(
            f"expected a prior with a finite mean and a variance above 0, got {prior!r}; give it normal coordinates "
            "(to_normal and from_normal, as radial priors have)"
        )
    deviation = variance.sqrt()

    def units(z: Tensor) -> Tensor:
        return (z - mean.to(z)) / deviation.to(z)

    def codes(units: Tensor) -> Tensor:
        return (mean.to(units) + deviation.to(units) * units).clamp(*support)

    return Standardization(units, codes, lambda found: units(codes(found)))
