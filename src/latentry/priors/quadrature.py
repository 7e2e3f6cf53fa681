"""Expectations under the one distribution that a prior rests on: which that is, where its density is not smooth, and
nodes."""

import math
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.pair_density import WIDEST_SCORE, score_nodes
from latentry.priors.adapters import as_prior
from latentry.priors.description import Univariate
from latentry.priors.distribution import SampledDistribution
from latentry.priors.tabulated import TabulatedDistribution
from latentry.priors.univariate import HalfUniformHalfNormalDistribution

__all__ = ["edges", "distribution_nodes", "univariate_of", "pieces"]

_PIECES, _NODES = 8, 64


def univariate_of(prior: Any) -> tuple[SampledDistribution, int, bool]:
    """The distribution of a coordinate, or of the norm of isotropic codes; how many elements codes have; whether it is the
    norm.

    Raises:
        ValueError: The prior has neither independent coordinates of one distribution nor a uniform direction, or no density.

    Example:
        >>> from latentry.priors.radial import GammaRadius
        >>> univariate_of(GammaRadius(16))
        (NakagamiDistribution(shape=0.5, theta=2.0), 16, True)
    """
    found: Univariate = as_prior(prior).univariate()
    if not isinstance(found.distribution, SampledDistribution):
        raise ValueError(
            f"expected a distribution with a density, tails and a sampler, got {found.distribution}; give it log_prob, "
            "support, entropy and draw"
        )
    return found.distribution, found.latent_dim, found.of_norm


@singledispatch
def edges(distribution: Any) -> tuple[float, ...]:
    """Places where the density of a distribution is not smooth: the finite ends of its support, if nothing else is known.

    Example:
        >>> from latentry.priors.univariate import UniformDistribution
        >>> edges(UniformDistribution(0.0, 2.0)), edges(HalfUniformHalfNormalDistribution())
        ((0.0, 2.0), (-1.0, 0.0))
    """
    return tuple(end for end in distribution.support if math.isfinite(end))


@edges.register
def _(distribution: HalfUniformHalfNormalDistribution) -> tuple[float, ...]:
    return (-1.0, 0.0)


@singledispatch
def pieces(distribution: Any) -> list[float]:
    """Ends of the pieces of a bounded support in which the density is smooth, in increasing order.

    Example:
        >>> pieces(TabulatedDistribution((0.5, 0.5), 0.0, 1.0))
        [0.0, 0.5, 1.0]
    """
    return sorted({*distribution.support, *edges(distribution)})


@pieces.register
def _(distribution: TabulatedDistribution) -> list[float]:
    return torch.linspace(distribution.low, distribution.high, len(distribution.probs) + 1, dtype=torch.float64).tolist()


def distribution_nodes(
    distribution: Any, places: tuple[float, ...] = ()
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Values x of a distribution, their normal scores, and the probability that each stands for.

    Args:
        distribution: The distribution of a coordinate, or of a norm.
        places: Where the integrand is not smooth, beside the edges of the distribution itself.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> x, _, chances = distribution_nodes(NormalDistribution())
        >>> round((chances @ x.square()).item(), 6)
        1.0
    """
    kinks = torch.special.ndtri(distribution.cdf(torch.tensor([*edges(distribution), *places], dtype=torch.float64)))
    even = torch.linspace(-WIDEST_SCORE, WIDEST_SCORE, _PIECES + 1, dtype=torch.float64)
    scores, chances = score_nodes(torch.cat([kinks, even]), _NODES)
    return distribution.icdf(torch.special.ndtr(scores)), scores, chances
