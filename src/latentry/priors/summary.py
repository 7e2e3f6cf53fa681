"""A prior summarised in a few numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch

from latentry.display import Described
from latentry.interfaces import Prior
from latentry.numerics.inputs import checked
from latentry.priors.description import Univariate
from latentry.priors.quadrature import distribution_nodes, univariate_of
from latentry.priors.tabulated import TabulatedDistribution

__all__ = ["Summary", "summarize"]

_LEVELS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


@dataclass(frozen=True, repr=False)
class Summary(Described):
    """Numbers of the distribution of one coordinate; of the distribution of the norm for isotropic codes, whose coordinates
    are dependent.

    Example:
        >>> from latentry.priors.iid import Uniform
        >>> summarize(Uniform(10)).std
        0.5773502691896257
    """

    distribution: str
    """The distribution and its parameters."""
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
    """Fourth central moment over the squared variance, 3 for a normal distribution; NaN where there is none."""
    entropy: float
    """Differential entropy in nats."""
    code_entropy: float
    """Differential entropy of a whole code in nats."""
    quantiles: dict[float, float]
    """Quantiles by their probability."""


@checked()
def summarize(prior: Prior, levels: Sequence[float] = _LEVELS) -> Summary:
    """A prior in a few numbers.

    Args:
        prior: Any prior with independent coordinates of one distribution, or an isotropic one.
        levels: Probabilities of the quantiles.

    Raises:
        ValueError: The prior is of another kind.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> found = summarize(Normal(10), levels=[0.5])
        >>> found.kurtosis, found.quantiles
        (2.9999999999945706, {0.5: 0.0})
    """
    distribution, d, of_norm = univariate_of(prior)
    places = distribution.icdf(torch.tensor([*levels], dtype=torch.float64)).tolist()
    return Summary(
        distribution=repr(distribution),
        of_norm=of_norm,
        latent_dim=d,
        support=distribution.support,
        mean=distribution.mean,
        std=math.sqrt(distribution.variance),
        kurtosis=kurtosis(distribution) if math.isfinite(distribution.variance) else math.nan,
        entropy=distribution.entropy,
        code_entropy=Univariate(distribution, d, of_norm).code_entropy,
        quantiles=dict(zip(levels, places, strict=True)),
    )


@singledispatch
def kurtosis(distribution: Any) -> float:
    """Fourth central moment over the squared variance, by quadrature in normal scores."""
    x, _, chances = distribution_nodes(distribution)
    positive = chances > 0
    return (chances[positive] @ (x[positive] - distribution.mean).pow(4)).item() / distribution.variance**2


@kurtosis.register
def _(distribution: TabulatedDistribution) -> float:
    centred = (
        torch.linspace(distribution.low, distribution.high, len(distribution.probs) + 1, dtype=torch.float64)
        - distribution.mean
    )
    masses = torch.tensor(distribution.probs, dtype=torch.float64)
    return (masses @ centred.pow(5).diff()).item() / (5 * distribution.width) / distribution.variance**2
