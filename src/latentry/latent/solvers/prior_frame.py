"""Where the bulk of a prior lies, coordinate by coordinate: the units in which solvers measure codes and their moves.

Quantiles, not moments, as some priors have none.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentry.interfaces import Prior, SampledPrior

__all__ = ["PriorFrame", "prior_frame"]

_BELOW, _ABOVE = 0.15865525393145707, 0.8413447460685429
"""Where a normal distribution has mean minus and mean plus one standard deviation."""
_SAMPLES = 4096
_AT_AN_END = 1e-6
"""How near to an end of the support, in units of the scale, a coordinate is at it."""


@dataclass(frozen=True)
class PriorFrame:
    """Centre, scale and support of each coordinate."""

    centre: Float[Tensor, "d"]
    """Median."""
    scale: Float[Tensor, "d"]
    """Half the distance between the quantiles that are two standard deviations apart in a normal distribution."""
    low: Float[Tensor, "d"]
    """Lower end of the support, or minus infinity."""
    high: Float[Tensor, "d"]
    """Upper end of the support, or infinity."""

    def inward(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Codes, centred and in units of the scale."""
        return (z - self.centre) / self.scale

    def outward(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Codes from what `inward` gave."""
        return self.centre + self.scale * e

    def within(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The nearest codes in the support."""
        return z.clamp(self.low, self.high)

    def held(self, z: Float[Tensor, "*n d"], downhill: Float[Tensor, "*n d"]) -> Bool[Tensor, "*n d"]:
        """Which coordinates are at an end of the support, and would leave it on the way downhill."""
        near = _AT_AN_END * self.scale
        return ((z <= self.low + near) & (downhill < 0)) | ((z >= self.high - near) & (downhill > 0))


def prior_frame(prior: SampledPrior, like: Tensor) -> PriorFrame:
    """The frame of a prior, in the dtype and on the device of `like`; sampled where coordinates are not independent."""
    d = prior.latent_dim
    if isinstance(prior, Prior):
        levels = torch.tensor([0.0, _BELOW, 0.5, _ABOVE, 1.0], dtype=torch.float64)
        low, below, centre, above, high = (value.to(like).expand(d) for value in prior.marginal.icdf(levels))
        return PriorFrame(centre, (above - below) / 2, low, high)
    device = prior.sample(0).device
    samples = prior.sample(_SAMPLES, rng=torch.Generator(device).manual_seed(0)).to(like)
    below, centre, above = samples.quantile(samples.new_tensor([_BELOW, 0.5, _ABOVE]), 0)
    infinite = torch.full_like(centre, torch.inf)
    return PriorFrame(centre, (above - below) / 2, -infinite, infinite)
