r"""Projection of codes onto their prior, in place of a penalty.

The elements of a code keep their order and become exactly the quantiles of the distribution, :math:`F^{-1}((i - 1/2) / d)`
for the i-th smallest. It is the limit of the 1-Wasserstein distance under an infinite weight. A projected code is described
by the order of its elements alone. Samples of the prior are less regular, and a two-sided goodness-of-fit test rejects
projected codes.

For a radial prior this is done in normal coordinates, which fixes the norm too.

Reference: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020 (the distance of which it is the
limit).
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.interfaces import Prior
from latentry.numerics.inputs import checked
from latentry.numerics.univariate import UnivariateDistribution
from latentry.priors.adapters import as_prior

__all__ = ["quantile_projection"]


@checked()
def quantile_projection(z: Float[Tensor, "*n d"], prior: Prior) -> Float[Tensor, "*n d"]:
    """Codes with the ranks of `z` and exactly the quantiles of the prior; equal elements are ranked by their place.

    There is no gradient: small moves change nothing.

    Raises:
        ValueError: The prior has neither independent coordinates of one distribution nor normal ones.

    Example:
        >>> import torch, latentry as lt
        >>> lt.solvers.quantile_projection(torch.tensor([[5.0, -7.0, 0.1, 0.2]]), lt.priors.Uniform(4))
        tensor([[ 0.7500, -0.7500, -0.2500,  0.2500]])
    """
    known = as_prior(prior)
    coordinates, distribution = known.iid_coordinates(z.detach())
    ranks = coordinates.argsort(dim=-1, stable=True).argsort(dim=-1)
    return known.from_iid_coordinates(_quantiles(distribution, z.shape[-1]).to(z)[ranks])


@lru_cache(maxsize=32)
def _quantiles(distribution: UnivariateDistribution, d: int) -> Tensor:
    """F^-1((i - 1/2) / d)."""
    return distribution.icdf((torch.arange(d, dtype=torch.float64) + 0.5) / d)
