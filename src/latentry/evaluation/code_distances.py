"""Kolmogorov-Smirnov, Cramer-von Mises and Anderson-Darling distances of values to their distribution, with p-values.

The statistics and the accuracy of their p-values are those of `numerics.goodness_of_fit`; here they are taken of whole sets
of codes at once.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.evaluation.coordinates import Coordinates, coordinates_of_prior
from latentry.interfaces import Prior
from latentry.numerics.goodness_of_fit import (
    ad_p_value,
    ad_statistic,
    cvm_p_value,
    cvm_statistic,
    ks_p_value,
    ks_statistic,
)
from latentry.numerics.inputs import checked

__all__ = ["Distance", "FEWEST_VALUES", "accurate_tests", "code_distances", "distances_of", "kolmogorov_distance"]

FEWEST_VALUES = 8
"""Values that Cramer-von Mises and Anderson-Darling need for p-values accurate to 6e-4; fewer get Kolmogorov-Smirnov."""
_PIECE = 2**16
"""Elements that are looked at at once where there may be many."""


@dataclass(frozen=True)
class Distance:
    """Distances of one kind between samples and their distribution.

    Example:
        >>> from latentry.priors import Normal
        >>> code_distances(torch.zeros(2, 16), Normal(16))["KS"].statistic
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    statistic: Float[Tensor, "*n"]
    """The distances."""
    p_value: Float[Tensor, "*n"]
    """Chance that a sample of the distribution is as far from it or further."""


@checked()
def code_distances(z: Float[Tensor, "n d"], prior: Prior) -> dict[str, Distance]:
    """Kolmogorov-Smirnov ("KS"), Cramer-von Mises ("CvM") and Anderson-Darling ("AD") distance of each code to its prior.

    These tests alone, for codes in great numbers: in pieces that stay in the processor's cache, and so in constant memory
    beside the codes.

    Example:
        >>> from latentry.priors import Normal
        >>> found = code_distances(torch.zeros(2, 16), Normal(16))
        >>> [*found], (found["AD"].p_value < 1e-3).tolist()
        (['KS', 'CvM', 'AD'], [True, True])
    """
    rows = max(1, _PIECE // z.shape[1])
    pieces = [_statistics(coordinates_of_prior(piece, prior)) for piece in z.detach().cpu().split(rows)]
    return _with_p_values(torch.cat(pieces, 1), z.shape[1])


def distances_of(under: Coordinates, weight: float = 1.0) -> dict[str, Distance]:
    """All three distances along the last axis; `weight` as in `Lengths`.

    Example:
        >>> from latentry.evaluation.coordinates import coordinates
        >>> from latentry.priors.univariate import NormalDistribution
        >>> distances_of(coordinates(torch.zeros(1, 8), NormalDistribution()))["KS"].statistic
        tensor([0.5000], dtype=torch.float64)
    """
    return _with_p_values(_statistics(under), under.u.shape[-1], weight)


def _statistics(under: Coordinates) -> Float[Tensor, "3 *n"]:
    """Kolmogorov-Smirnov, Cramer-von Mises and Anderson-Darling."""
    return torch.stack([ks_statistic(under.u), cvm_statistic(under.u), ad_statistic(under.log_cdf, under.log_sf)])


def _with_p_values(statistics: Float[Tensor, "3 *n"], size: int, weight: float = 1.0) -> dict[str, Distance]:
    ks, cvm, ad = weight**0.5 * statistics[0], weight * statistics[1], weight * statistics[2]
    return {
        "KS": Distance(ks, ks_p_value(ks, size)),
        "CvM": Distance(cvm, cvm_p_value(cvm, size)),
        "AD": Distance(ad, ad_p_value(ad, size)),
    }


def kolmogorov_distance(u: Float[Tensor, "n"]) -> Distance:
    """Kolmogorov-Smirnov distance of numbers to the uniform distribution on [0, 1].

    Example:
        >>> kolmogorov_distance(torch.tensor([0.25, 0.5, 0.75])).statistic
        tensor(0.2500)
    """
    statistic = ks_statistic(u)
    return Distance(statistic, ks_p_value(statistic, len(u)))


def accurate_tests(size: int) -> tuple[str, ...]:
    """Distances whose p-values are accurate for samples of `size` values, the most sensitive last.

    Example:
        >>> accurate_tests(4), accurate_tests(100)
        (('KS',), ('KS', 'CvM', 'AD'))
    """
    return ("KS", "CvM", "AD") if size >= FEWEST_VALUES or size == 1 else ("KS",)
