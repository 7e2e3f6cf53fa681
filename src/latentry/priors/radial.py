r"""Radial priors: z = r v, with v uniform on the sphere, and a norm r with any distribution.

The mean of two normal codes is shorter than any code in many dimensions. Priors that put more weight on short codes suffer
less from that: of Kilcher et al. (2018) with :math:`r^2` of a gamma distribution, of Lesniak et al. (2019) with a Cauchy
distribution so wide that a linear combination with weights that sum to 1 in absolute value *is* a code again, for the price
of a mean.

The coordinates of such codes depend on each other, but the norm tells all: with :math:`F_R` the distribution of r,

.. math:: e = \frac{z}{\|z\|} \, F_{\chi_d}^{-1}(F_R(\|z\|))

is exactly N(0, I) for z from the prior, and a bijection. So every test of a normal code is a test of a radial one:
its :math:`\Phi(e_j)` are independent and uniform. `to_normal` and `from_normal` are accurate at any distance and have
gradients.

References: Kilcher, Lucchi, Hofmann, "Semantic interpolation in implicit models", 2018; Lesniak, Sieradzki, Podolak,
"Distribution-interpolation trade off in generative models", 2019; Chen and Gopinath, "Gaussianization", 2000.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from latentry.numerics.cdf_distances import overhang, reach
from latentry.numerics.inputs import checked
from latentry.priors.description import LEAST_LOG_DENSITY, Univariate, WithNormalCoordinates, median_of
from latentry.priors.distribution import (
    SampledDistribution,
)
from latentry.priors.numbers import checked_number
from latentry.priors.prior_module import PriorModule, checked_latent_dim
from latentry.priors.radial_distribution import RadialDistribution
from latentry.priors.radius_distributions import CauchyRadiusDistribution, LogUniformDistribution, NakagamiDistribution
from latentry.priors.tabulated import TabulatedDistribution
from latentry.priors.univariate import HalfUniformHalfNormalDistribution, NormalDistribution, UniformDistribution
from latentry.records import class_name, rebuilt

__all__ = ["GammaRadius", "LogUniformRadius", "RadialPrior", "SphericalCauchy"]

_DISTRIBUTIONS: dict[str, type] = {
    distribution.__name__: distribution
    for distribution in (
        CauchyRadiusDistribution,
        HalfUniformHalfNormalDistribution,
        LogUniformDistribution,
        NakagamiDistribution,
        NormalDistribution,
        TabulatedDistribution,
        UniformDistribution,
    )
}
"""Distributions that a saved prior may name."""
_LEAST_LENGTH = 1e-12
"""Of codes that are brought back into the support."""
_LEAST_SPREAD = 1e-4
"""Of norms, above 1: nearer, the variance of norms is lost to rounding."""


class RadialPrior(WithNormalCoordinates, PriorModule):
    """p(z) with a uniform direction and a norm from any distribution on [0, inf).

    Args:
        latent_dim: Number of coordinates d, at least 1.
        radius_distribution: Distribution of the norm; or its name and arguments, as `arguments()` gives them.

    Raises:
        ValueError: `latent_dim` is below 1, the distribution reaches below 0 or there is no distribution of that name.

    Example:
        >>> import torch
        >>> prior = RadialPrior(16, UniformDistribution(1.0, 2.0))
        >>> prior.sample(4).shape
        torch.Size([4, 16])
        >>> e = prior.to_normal(torch.ones(1, 16) / 4 * 1.5)
        >>> round(e.norm().item(), 2), round(prior.typical_norm(), 2)
        (3.92, 1.5)
    """

    one_distribution = True

    def __init__(self, latent_dim: int, radius_distribution: SampledDistribution | Mapping[str, Any]) -> None:
        super().__init__(latent_dim)
        distribution = (
            _distribution_by_name(radius_distribution) if isinstance(radius_distribution, Mapping) else radius_distribution
        )
        if distribution.support[0] < 0:
            raise ValueError(
                f"expected a distribution on [0, inf), as norms have, got {distribution} on {distribution.support}"
            )
        self.radius_distribution: SampledDistribution = distribution

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        distribution: Any = self.radius_distribution
        class_name(
            distribution,
            _DISTRIBUTIONS,
            "latentry.priors",
            "a distribution of your own cannot be saved; save a table of it (TabulatedDistribution)",
        )
        return {
            "latent_dim": self.latent_dim,
            "radius_distribution": {"class": type(distribution).__name__, "arguments": dataclasses.asdict(distribution)},
        }

    def forward(self, y: Int[Tensor, "..."] | None = None) -> RadialDistribution:
        """The distribution p(z); these priors know no labels and pass over `y`."""
        return RadialDistribution(self.radius_distribution, self.latent_dim, self._like)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def to_normal(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Normal coordinates: N(0, I) for codes of the prior."""
        return self().to_normal(z)

    @checked(differentiable=True, any_value=("z", "u", "e"))
    def from_normal(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The codes with these normal coordinates."""
        return self().from_normal(e)

    def univariate(self) -> Univariate:
        """The distribution of the norm."""
        return Univariate(self.radius_distribution, self.latent_dim, of_norm=True)

    def typical_norm(self) -> float:
        """Median of the norm, which exists where the mean does not."""
        return median_of(self.radius_distribution)

    def mean_log_prob(self, z: Tensor) -> Tensor:
        """log p(z) / d, `(n,)`; where the norm is outside its support, that of the nearest code less the distance to it."""
        known = reach(self.radius_distribution)
        low, high = known.bounds if self.radius_distribution.support[0] > 0 else (0.0, known.bounds[1])
        r = z.norm(dim=-1, keepdim=True).clamp(min=_LEAST_LENGTH)
        density = self.log_prob(z * (r.clamp(low, high) / r)).nan_to_num(neginf=LEAST_LOG_DENSITY) / z.shape[-1]
        return density - overhang(r, (low, high), known.scale)


class SphericalCauchy(RadialPrior):
    r"""Codes `n / |n_0|` of d + 1 standard normal numbers: density :math:`\propto (1 + \|z\|^2)^{-(d+1)/2}`.

    A linear combination has exactly the distribution of :math:`\sum_i |w_i|` times a code. No mean exists.

    Reference: Lesniak, Sieradzki, Podolak (2019).

    Args:
        latent_dim: Number of coordinates d, at least 1.
        scale: Scale of each coordinate, above 0.

    Example:
        >>> import torch
        >>> prior = SphericalCauchy(3)
        >>> prior.cdf(torch.tensor([[-1.0, 0.0, 1.0]]))
        tensor([[0.2500, 0.5000, 0.7500]])
    """

    def __init__(self, latent_dim: int, scale: float = 1.0) -> None:
        super().__init__(latent_dim, CauchyRadiusDistribution(checked_latent_dim(latent_dim), scale))

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        distribution: Any = self.radius_distribution
        return {"latent_dim": self.latent_dim, "scale": distribution.scale}


class GammaRadius(RadialPrior):
    r"""Codes with :math:`\|z\|^2` from a gamma distribution; :math:`\|z\|` is the modulus of a normal number by default.

    Reference: Kilcher, Lucchi, Hofmann (2018).

    Args:
        latent_dim: Number of coordinates d, at least 1.
        shape: Shape of the gamma distribution, above 0; d / 2 makes a normal prior.
        theta: Its scale, above 0; the mean of the squared norm is shape times theta.

    Example:
        >>> prior = GammaRadius(100, shape=50.0)
        >>> round(prior.typical_norm(), 2)
        9.97
    """

    def __init__(self, latent_dim: int, shape: float = 0.5, theta: float = 2.0) -> None:
        super().__init__(latent_dim, NakagamiDistribution(shape, theta))

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {"latent_dim": self.latent_dim, **vars(self.radius_distribution)}


class LogUniformRadius(RadialPrior):
    r"""Codes whose norm is uniform in its logarithm: a prior for straight lines.

    In many dimensions two codes are nearly orthogonal, and :math:`\|(1-t) z_1 + t z_2\|^2 \approx (1-t)^2 \|z_1\|^2 + t^2
    \|z_2\|^2`: a straight line shortens codes, by :math:`\sqrt 2` in the middle if they are equally long, and leaves their
    direction uniform. A generator that has seen every length from low to high in every direction has seen most codes between
    codes. Only those of two short codes lie below the support. Unlike the gamma distribution this one has no codes near 0,
    where all directions come together and a continuous generator can make but one thing.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        spread: Longest norm over shortest, above 1.
        scale: Root of the mean square of a coordinate, above 0.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> prior = LogUniformRadius(100, spread=4.0)
        >>> low, high = prior.radius_distribution.support
        >>> round(high / low, 6)
        4.0
    """

    def __init__(self, latent_dim: int, spread: float = 4.0, scale: float = 1.0) -> None:
        spread, scale = checked_number("spread", spread), checked_number("scale", scale)
        if not spread >= 1 + _LEAST_SPREAD:
            raise ValueError(f"expected spread > 1, by {_LEAST_SPREAD:g} at least, got {spread}")
        # E r^2 = (high^2 - low^2) / (2 log spread) = d scale^2
        low = scale * math.sqrt(2 * checked_latent_dim(latent_dim) * math.log(spread) / (spread**2 - 1))
        super().__init__(latent_dim, LogUniformDistribution(low, spread * low))
        self.spread, self.scale = spread, scale

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {"latent_dim": self.latent_dim, "spread": self.spread, "scale": self.scale}


def _distribution_by_name(record: Mapping[str, Any]) -> SampledDistribution:
    if not isinstance(record.get("class"), str) or record["class"] not in _DISTRIBUTIONS:
        raise ValueError(f"expected the name of a distribution among {sorted(_DISTRIBUTIONS)}, got {record.get('class')!r}")
    arguments = record.get("arguments")
    if isinstance(arguments, Mapping):  # JSON gives tuples back as lists
        arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    distribution: SampledDistribution = rebuilt(
        {"class": record["class"], "arguments": arguments}, _DISTRIBUTIONS, "distribution of norms"
    )
    return distribution
