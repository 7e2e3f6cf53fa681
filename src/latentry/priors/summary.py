"""A prior in a few numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import nn

from latentry.display import Told
from latentry.interfaces import Prior
from latentry.numerics.inputs import checked
from latentry.priors.quadrature import law_nodes, law_of
from latentry.priors.radial import RadialPrior
from latentry.priors.tabulated import TabulatedLaw

__all__ = ["Summary", "summarize"]

_LEVELS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


@dataclass(frozen=True, repr=False)
class Summary(Told):
    """Numbers of the law of one coordinate; of the law of the norm for isotropic codes, whose coordinates are dependent."""

    law: str
    """The law and its parameters."""
    of_norm: bool
    """Whether the numbers are of the norm."""
    latent_dim: int
    """Elements d of a code."""
    support: tuple[float, float]
    """Ends of the support, possibly infinite."""
    mean: float
    """Mean; infinite where there is none."""
    std: float
    """Standard deviation, possibly infinite."""
    kurtosis: float
    """Fourth central moment over the squared variance, 3 for a normal law; NaN where there is none."""
    entropy: float
    """Differential entropy in nats."""
    code_entropy: float
    """Differential entropy of a whole code in nats."""
    quantiles: dict[float, float]
    """Quantiles by their probability."""


@checked()
def summarize(prior: Prior | nn.Module, levels: Sequence[float] = _LEVELS) -> Summary:
    """A prior in a few numbers.

    Args:
        prior: Any prior with independent coordinates of one law, or an isotropic one.
        levels: Probabilities of the quantiles.

    Raises:
        ValueError: The prior is of another kind.
    """
    law, d, of_norm = law_of(prior)
    places = law.icdf(torch.tensor([*levels], dtype=torch.float64)).tolist()
    return Summary(
        law=repr(law),
        of_norm=of_norm,
        latent_dim=d,
        support=law.support,
        mean=law.mean,
        std=math.sqrt(law.variance),
        kurtosis=kurtosis(law) if math.isfinite(law.variance) else math.nan,
        entropy=law.entropy,
        code_entropy=prior().entropy().item() if isinstance(prior, RadialPrior) else d * law.entropy,
        quantiles=dict(zip(levels, places, strict=True)),
    )


@singledispatch
def kurtosis(law: Any) -> float:
    """Fourth central moment over the squared variance, by quadrature in normal scores."""
    x, _, chances = law_nodes(law)
    held = chances > 0
    return (chances[held] @ (x[held] - law.mean).pow(4)).item() / law.variance**2


@kurtosis.register
def _(law: TabulatedLaw) -> float:
    centred = torch.linspace(law.low, law.high, len(law.probs) + 1, dtype=torch.float64) - law.mean
    masses = torch.tensor(law.probs, dtype=torch.float64)
    return (masses @ centred.pow(5).diff()).item() / (5 * law.width) / law.variance**2
