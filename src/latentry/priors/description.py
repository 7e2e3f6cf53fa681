r"""The methods that every prior has beside those of a distribution, and how each kind of prior implements them.

Losses, solvers, tests and reports call these methods; none of them looks at the class of a prior.

========================  ==========================================================================================
`to_normal(z)`            coordinates in which the prior is N(0, I), and `from_normal(e)`, its inverse
`iid_coordinates(z)`      coordinates that are independent draws of one distribution, with it; `from_iid_coordinates(e)`
`univariate()`            the one distribution on the line that describes the prior: of a coordinate, or of the norm
`location_scale(like)`    median, scale and support of each coordinate
`standardization()`       coordinates of mean 0 and variance 1
`typical_norm()`          the norm near which codes lie
`mean_log_prob(z)`        log p(z) / d, continued outside the support
`mean_code(like)`         mean of each coordinate
`normal_coordinates`      whether there are `to_normal` and `from_normal`
`one_distribution`        whether `univariate()` describes the prior
`labelled`                whether the prior is a mixture p(z) = sum_y p(y) p(z | y) with `prior(y)` and `sample_labels(z)`
========================  ==========================================================================================

A prior of your own can inherit from one of the classes here and override what it knows better. One that has only
`latent_dim` and `sample` works where samples are enough: `latentry.priors.adapters.as_prior` gives it the methods of
`KnownBySamples`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.cdf_distances import overhang, reach
from latentry.numerics.dependence import normal_scores
from latentry.numerics.inputs import checked
from latentry.numerics.radial import log_sphere_area
from latentry.numerics.univariate import UnivariateDistribution
from latentry.priors.location_scale import (
    LocationScale,
    Standardization,
    location_scale_of_marginal,
    location_scale_of_samples,
    standardization_by_moments,
)
from latentry.priors.univariate import NormalDistribution

__all__ = [
    "KnownBySamples",
    "Univariate",
    "WithIndependentCoordinates",
    "WithLabels",
    "WithNormalCoordinates",
    "median_of",
]

LEAST_LOG_DENSITY = -100.0
"""Stands for the log density in a gap of the support."""
_MOMENTS_OF = 16384
"""Codes that moments are estimated from."""
_SCORES = 4097


@dataclass(frozen=True)
class Univariate:
    """The one distribution on the line that describes a prior.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> known = Normal(10).univariate()
        >>> known.distribution, known.of_norm, round(known.code_entropy, 3)
        (NormalDistribution(loc=0.0, scale=1.0), False, 14.189)
    """

    distribution: Any
    """Of each of the independent coordinates; or of the norm of codes with a uniform direction."""
    latent_dim: int
    """Elements d of a code."""
    of_norm: bool
    """Whether it is that of the norm."""

    @property
    def centre(self) -> float:
        """Mean of a coordinate; 0 for codes with a uniform direction, even where no mean exists."""
        return 0.0 if self.of_norm else self.distribution.mean

    @property
    def code_entropy(self) -> float:
        """Differential entropy of a whole code in nats."""
        d, entropy = self.latent_dim, self.distribution.entropy
        return entropy + log_sphere_area(d) + (d - 1) * _mean_log(self.distribution) if self.of_norm else d * entropy


class KnownBySamples:
    """A prior of which only samples are known. What samples can tell is estimated from them; the rest raises ValueError.

    Example:
        >>> class Shifted(KnownBySamples):
        ...     latent_dim = 2
        ...
        ...     def sample(self, shape=(), y=None, *, rng=None):
        ...         return 5 + torch.randn(*shape, 2, generator=rng)
        >>> Shifted().location_scale(torch.empty(0)).centre.round()
        tensor([5., 5.])
    """

    latent_dim: int
    labelled = False
    normal_coordinates = False
    one_distribution = False

    def sample(self, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Any:
        """Codes `(*shape, d)`."""
        raise NotImplementedError

    def to_normal(self, z: Tensor) -> Tensor:
        """Coordinates `(*n, d)` that are N(0, I) for codes of the prior."""
        raise ValueError(_no_normal_coordinates(self))

    def from_normal(self, e: Tensor) -> Tensor:
        """The codes with these normal coordinates."""
        raise ValueError(_no_normal_coordinates(self))

    def iid_coordinates(self, z: Tensor) -> tuple[Tensor, UnivariateDistribution]:
        """Coordinates `(*n, d)` that are independent draws of one distribution for codes of the prior, and it."""
        raise ValueError(_no_iid_coordinates(self))

    def from_iid_coordinates(self, e: Tensor) -> Tensor:
        """The codes whose independent coordinates these are: the inverse of `iid_coordinates`."""
        raise ValueError(_no_iid_coordinates(self))

    def univariate(self) -> Univariate:
        """The one distribution on the line that describes the prior."""
        raise ValueError(
            "expected a prior with independent coordinates of one distribution, or one with a uniform direction, got "
            f"{_named(self)}; with labels, take the prior of one of "
            "them; samples alone are not enough: give yours a `marginal` (latentry.interfaces.Prior)"
        )

    def location_scale(self, like: Tensor) -> LocationScale:
        """Median, scale and support of each coordinate, in the dtype and on the device of `like`."""
        return location_scale_of_samples(self, like)

    def mean_code(self, like: Tensor) -> Float[Tensor, "d"]:
        """Mean of each coordinate, by samples, in the dtype and on the device of `like`."""
        return self._moment_samples().mean(0).to(like)

    def standardization(self) -> Standardization:
        """Coordinates of mean 0 and variance 1, each for itself.

        Raises:
            ValueError: The prior has no finite mean and variance, and no normal coordinates either.
        """
        sample = self._moment_samples()
        return standardization_by_moments(sample.mean(0), sample.var(0), (-math.inf, math.inf), _original(self))

    def typical_norm(self) -> float:
        """The norm near which codes lie: the root of its mean square, or its median where it may have no moments."""
        raise ValueError(
            "expected a prior with independent coordinates of one distribution, a radial one or a NormalMixture, "
            f"got {_named(self)}; give it a method typical_norm, or the norm's distribution to RadialPrior"
        )

    def mean_log_prob(self, z: Tensor) -> Tensor:
        """log p(z) / d, `(n,)`: finite everywhere, with a gradient that leads back into a bounded support.

        Outside the support it is that of the nearest code inside, less the distance to it in interquartile ranges.
        """
        if not hasattr(self, "log_prob"):
            raise ValueError(f"expected a prior with a log_prob, got {_named(self)}; take L2, which needs none")
        density: Tensor = self.log_prob(z) / z.shape[-1]
        return density

    def _moment_samples(self) -> Tensor:
        rng = torch.Generator(self.sample((0,), rng=None).device).manual_seed(0)
        found: Tensor = self.sample((_MOMENTS_OF,), rng=rng)
        return found


class WithIndependentCoordinates(KnownBySamples):
    """Methods of a prior with independent coordinates of one distribution, its `marginal`.

    Example:
        >>> class Doubled(WithIndependentCoordinates):
        ...     latent_dim, marginal = 2, NormalDistribution(0.0, 2.0)
        >>> Doubled().to_normal(torch.tensor([[2.0, -4.0]]))
        tensor([[ 1., -2.]])
    """

    marginal: Any
    normal_coordinates = True
    one_distribution = True

    @checked(differentiable=True, any_value=("z",))
    def to_normal(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Normal scores of each coordinate, Phi^-1(F(z_j)); within +-37."""
        precise = z.double()
        return normal_scores(self.marginal.log_cdf(precise), self.marginal.log_sf(precise)).to(z.dtype)

    @checked(differentiable=True, any_value=("e",))
    def from_normal(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The codes with these normal scores, F^-1(Phi(e_j)); beyond 8, where Phi rounds to 1, that of 8."""
        rounding = torch.finfo(torch.float64).eps / 2
        u = torch.special.ndtr(e.double()).clamp(max=1 - rounding)
        return self.marginal.icdf(u).to(e.dtype)

    @checked(differentiable=True, any_value=("z",))
    def iid_coordinates(self, z: Float[Tensor, "*n d"]) -> tuple[Float[Tensor, "*n d"], UnivariateDistribution]:
        """The codes themselves, and the marginal."""
        return z, self.marginal

    def from_iid_coordinates(self, e: Tensor) -> Tensor:
        """The same again."""
        return e

    def univariate(self) -> Univariate:
        """The marginal."""
        return Univariate(self.marginal, self.latent_dim, of_norm=False)

    def location_scale(self, like: Tensor) -> LocationScale:
        """Quantiles and support of the marginal."""
        return location_scale_of_marginal(self.marginal, self.latent_dim, like)

    def standardization(self) -> Standardization:
        """By the mean and the variance of the marginal."""
        mean, variance = (torch.tensor(value, dtype=torch.float64) for value in (self.marginal.mean, self.marginal.variance))
        support = getattr(self.marginal, "support", (-math.inf, math.inf))
        return standardization_by_moments(mean, variance, support, _original(self))

    def typical_norm(self) -> float:
        r"""Root of the mean square of the norm, :math:`\sqrt{d \, E z_j^2}`."""
        return math.sqrt(self.latent_dim * (self.marginal.variance + self.marginal.mean**2))

    def mean_log_prob(self, z: Tensor) -> Tensor:
        """Mean of the marginal's log density, as in `KnownBySamples`."""
        known = reach(self.marginal)
        density: Tensor = self.marginal.log_prob(z.clamp(*known.bounds)).nan_to_num(neginf=LEAST_LOG_DENSITY).mean(-1)
        return density - overhang(z, known.bounds, known.scale)


class WithNormalCoordinates(KnownBySamples):
    """Methods of a prior with a bijection to N(0, I); a subclass defines `to_normal` and `from_normal`.

    Example:
        >>> class LogNormal(WithNormalCoordinates):
        ...     latent_dim = 2
        ...
        ...     def to_normal(self, z):
        ...         return z.log()
        ...
        ...     def from_normal(self, e):
        ...         return e.exp()
        >>> LogNormal().iid_coordinates(torch.ones(1, 2))
        (tensor([[0., 0.]]), NormalDistribution(loc=0.0, scale=1.0))
    """

    normal_coordinates = True

    @checked(differentiable=True, any_value=("z",))
    def iid_coordinates(self, z: Float[Tensor, "*n d"]) -> tuple[Float[Tensor, "*n d"], UnivariateDistribution]:
        """Normal coordinates, and N(0, 1)."""
        return self.to_normal(z), NormalDistribution()

    def from_iid_coordinates(self, e: Tensor) -> Tensor:
        """The codes with these normal coordinates."""
        return self.from_normal(e)

    def standardization(self) -> Standardization:
        """Normal coordinates, since the prior may have no variance (Gaussianization, Chen and Gopinath, 2000)."""
        return Standardization(self.to_normal, self.from_normal, lambda units: units)


class WithLabels(KnownBySamples):
    """Methods of a labelled prior, whose coordinates are independent given the label; see `interfaces.LabelledPrior`.

    Example:
        >>> from latentry.priors import Normal, NormalMixture
        >>> Normal(2).labelled, NormalMixture([[0.0], [1.0]], [[1.0], [1.0]]).labelled
        (False, True)
    """

    labelled = True


@lru_cache(maxsize=32)
def median_of(distribution: UnivariateDistribution) -> float:
    """Median of a distribution, worked out once.

    Example:
        >>> median_of(NormalDistribution(3.0, 1.0))
        3.0
    """
    return distribution.icdf(torch.tensor(0.5, dtype=torch.float64)).item()


@lru_cache(maxsize=64)
def _mean_log(distribution: UnivariateDistribution) -> float:
    """E log r, by the trapezoid rule in normal scores."""
    scores = torch.linspace(-8, 8, _SCORES, dtype=torch.float64)
    lower = distribution.icdf(torch.special.ndtr(scores)).log()
    return float((lower * torch.softmax(-0.5 * scores.square(), 0)).sum())


def _original(prior: Any) -> Any:
    return getattr(prior, "original", prior)


def _named(prior: Any) -> str:
    return type(_original(prior)).__name__


def _no_normal_coordinates(prior: Any) -> str:
    return (
        f"expected a prior that a bijection carries to N(0, I), got {_named(prior)}; take one with independent "
        "coordinates, a radial one, or one component of a labelled one"
    )


def _no_iid_coordinates(prior: Any) -> str:
    return (
        "expected a prior with independent coordinates of one distribution (Normal, Uniform, ...) or with normal "
        f"coordinates (to_normal, as radial priors have), got {_named(prior)}; with labels, take one component; "
        "samples alone are not enough: give yours a `marginal`, or `to_normal` and `from_normal` (latentry.interfaces)"
    )
