"""Expectations under the law of a coordinate: where its density is not smooth, and nodes in between."""

import math
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.pair_density import WIDEST_SCORE, score_nodes
from latentry.priors.laws import HalfUniformHalfNormalLaw

__all__ = ["edges", "law_nodes"]

_PIECES, _NODES = 8, 64


@singledispatch
def edges(law: Any) -> tuple[float, ...]:
    """Places where the density of a law is not smooth: the finite ends of its support, if nothing else is known."""
    return tuple(end for end in law.support if math.isfinite(end))


@edges.register
def _(law: HalfUniformHalfNormalLaw) -> tuple[float, ...]:
    return (-1.0, 0.0)


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
