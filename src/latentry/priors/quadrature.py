"""Expectations under the one law that a prior rests on: which that is, where its density is not smooth, and nodes."""

import math
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.pair_density import WIDEST_SCORE, score_nodes
from latentry.priors.distribution import SampledLaw
from latentry.priors.laws import HalfUniformHalfNormalLaw
from latentry.priors.radial import RadialPrior
from latentry.priors.tabulated import TabulatedLaw

__all__ = ["edges", "law_nodes", "law_of", "pieces"]

_PIECES, _NODES = 8, 64


def law_of(prior: Any) -> tuple[SampledLaw, int, bool]:
    """The law of a coordinate, or of the norm of isotropic codes; how many elements codes have; whether it is the norm.

    Raises:
        ValueError: The prior has neither independent coordinates of one law nor a uniform direction.
    """
    if isinstance(prior, RadialPrior):
        return prior.radius_law, prior.latent_dim, True
    if not isinstance(getattr(prior, "law", None), SampledLaw):
        raise ValueError(
            f"expected a prior with independent coordinates of one law, or one with a uniform direction, got "
            f"{type(prior).__name__}; with labels, take the prior of one of them"
        )
    return prior.law, prior.latent_dim, False


@singledispatch
def edges(law: Any) -> tuple[float, ...]:
    """Places where the density of a law is not smooth: the finite ends of its support, if nothing else is known."""
    return tuple(end for end in law.support if math.isfinite(end))


@edges.register
def _(law: HalfUniformHalfNormalLaw) -> tuple[float, ...]:
    return (-1.0, 0.0)


@singledispatch
def pieces(law: Any) -> list[float]:
    """Ends of the pieces of a bounded support in which the density is smooth, in increasing order."""
    return sorted({*law.support, *edges(law)})


@pieces.register
def _(law: TabulatedLaw) -> list[float]:
    return torch.linspace(law.low, law.high, len(law.probs) + 1, dtype=torch.float64).tolist()


def law_nodes(law: Any, places: tuple[float, ...] = ()) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Values x of a law, their normal scores, and the probability that each stands for.

    Args:
        law: The law of a coordinate, or of a norm.
        places: Where the integrand is not smooth, beside the edges of the law itself.
    """
    kinks = torch.special.ndtri(law.cdf(torch.tensor([*edges(law), *places], dtype=torch.float64)))
    even = torch.linspace(-WIDEST_SCORE, WIDEST_SCORE, _PIECES + 1, dtype=torch.float64)
    scores, chances = score_nodes(torch.cat([kinks, even]), _NODES)
    return law.icdf(torch.special.ndtr(scores)), scores, chances
