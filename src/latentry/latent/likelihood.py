r"""Regularizers that ask how likely a code is, or how long.

The negative log-prior :math:`-\frac{1}{d} \log p(z)` makes recovery the search for the likeliest code given the data. It is
least at the mode of the prior, which for a normal prior is zero and in many dimensions is nowhere near a sample. The norm of
a sample is near one value instead, and the shell

.. math:: R(z) = \left( \frac{\|z\|}{r} - 1 \right)^2

holds a code there and says nothing of its direction. For independent coordinates :math:`r^2 = d \, E z_j^2`; for a radial
prior r is the median of the norm, which exists when the mean does not.

Outside a bounded support the log density is :math:`-\infty` and has no gradient. There the nearest code with a density is
asked instead, and the distance to it, in interquartile ranges, is added.

References: Bora, Jalal, Price, Dimakis, "Compressed sensing using generative models", 2017 (the normal log-prior); Menon et
al., "PULSE: self-supervised photo upsampling via latent space exploration of generative models", 2020 (the shell).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.interfaces import Prior, SampledPrior
from latentry.numerics.cdf_distances import overhang, reach
from latentry.numerics.inputs import checked
from latentry.numerics.univariate import UnivariateDistribution
from latentry.priors.labelled import NormalMixture
from latentry.priors.radial import RadialPrior

__all__ = ["NegativeLogPrior", "NormShell"]

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_LEAST_LOG_DENSITY = -100.0
"""Stands for the log density in a gap of the support."""
_LEAST_NORM = 1e-12


@dataclass(frozen=True)
class NegativeLogPrior:
    """-log p(z) for each element of a code, less log(2 pi) / 2: for N(0, I) half the mean square.

    Takes any prior with a `log_prob`: with independent coordinates, radial or labelled.

    Raises:
        ValueError: The prior has no density.
    """

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: SampledPrior) -> Float[Tensor, "n"]:
        if isinstance(prior, Prior):
            distribution: Any = prior.marginal
            known = reach(distribution)
            density = distribution.log_prob(z.clamp(*known.bounds)).nan_to_num(neginf=_LEAST_LOG_DENSITY).mean(-1)
            outside = overhang(z, known.bounds, known.scale)
        elif isinstance(prior, RadialPrior):
            known = reach(prior.radius_distribution)
            low, high = known.bounds if prior.radius_distribution.support[0] > 0 else (0.0, known.bounds[1])
            r = z.norm(dim=-1, keepdim=True).clamp(min=_LEAST_NORM)
            density = prior.log_prob(z * (r.clamp(low, high) / r)).nan_to_num(neginf=_LEAST_LOG_DENSITY) / z.shape[-1]
            outside = overhang(r, (low, high), known.scale)
        elif hasattr(prior, "log_prob"):
            density = prior.log_prob(z) / z.shape[-1]
            outside = torch.zeros_like(density)
        else:
            raise ValueError(f"expected a prior with a log_prob, got {type(prior).__name__}; take L2, which needs none")
        return outside - density - _LOG_SQRT_2PI


@dataclass(frozen=True)
class NormShell:
    """Squared distance of a code's norm from the norm of a typical code, in units of that.

    Raises:
        ValueError: The prior has neither independent coordinates of one distribution nor a distribution of the norm nor
            normal components.
    """

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: SampledPrior) -> Float[Tensor, "n"]:
        return (z.norm(dim=-1) / _typical_norm(prior) - 1).square()


def _typical_norm(prior: SampledPrior) -> float:
    if isinstance(prior, Prior):
        return math.sqrt(prior.latent_dim * (prior.marginal.variance + prior.marginal.mean**2))
    if isinstance(prior, RadialPrior):
        return _median(prior.radius_distribution)
    if isinstance(prior, NormalMixture):
        mixture = prior()
        return math.sqrt((mixture.variance + mixture.mean.square()).sum().item())
    raise ValueError(
        f"expected a prior with independent coordinates of one distribution, a radial one or a NormalMixture, "
        f"got {type(prior).__name__}; give the norm's distribution to RadialPrior"
    )


@lru_cache(maxsize=32)
def _median(distribution: UnivariateDistribution) -> float:
    return distribution.icdf(torch.tensor(0.5, dtype=torch.float64)).item()
