"""A prior's own scale: coordinates of mean 0 and variance 1, in which encoders work and errors of codes are told.

Deviations from the mean over the standard deviation, or normal coordinates where the prior has these (Gaussianization, Chen
and Gopinath, 2000), since it may have no variance. A code outside the support of a distribution is brought back to its end.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentry.interfaces import Prior, PushforwardPrior, SampledPrior
from latentry.priors.distribution import SampledDistribution

__all__ = ["Scale", "scale_of"]

_ESTIMATION_CODES = 16384


@dataclass(frozen=True)
class Scale:
    """The prior's own scale: coordinates of mean 0 and variance 1."""

    units: Callable[[Tensor], Tensor]
    """Codes to coordinates."""
    codes: Callable[[Tensor], Tensor]
    """Coordinates to codes; those outside the support to its end."""
    inside: Callable[[Tensor], Tensor]
    """Coordinates to those of what `codes` makes of them."""


def scale_of(prior: SampledPrior) -> Scale:
    """The scale of a prior; of one with labels, or of a stranger's, by moments of a sample.

    Raises:
        ValueError: The prior has no finite mean and variance, and no normal coordinates either.
    """
    if isinstance(prior, PushforwardPrior) and not isinstance(prior, Prior):
        return Scale(prior.to_normal, prior.from_normal, lambda units: units)
    low, high = -math.inf, math.inf
    if isinstance(prior, Prior):
        mean, variance = (
            torch.tensor(value, dtype=torch.float64) for value in (prior.marginal.mean, prior.marginal.variance)
        )
        if isinstance(prior.marginal, SampledDistribution):
            low, high = prior.marginal.support
    else:  # with labels, or a stranger's
        rng = torch.Generator(prior.sample(0).device).manual_seed(0)
        sample = prior.sample(_ESTIMATION_CODES, rng=rng)
        mean, variance = sample.mean(0), sample.var(0)
    if not (mean.isfinite().all() and variance.isfinite().all() and (variance > 0).all()):
        raise ValueError(
            f"expected a prior with a finite mean and a variance above 0, got {prior!r}; give it normal coordinates "
            "(to_normal and from_normal, as radial priors have)"
        )
    deviation = variance.sqrt()

    def units(z: Tensor) -> Tensor:
        return (z - mean.to(z)) / deviation.to(z)

    def codes(units: Tensor) -> Tensor:
        return (mean.to(units) + deviation.to(units) * units).clamp(low, high)

    return Scale(units, codes, lambda found: units(codes(found)))
