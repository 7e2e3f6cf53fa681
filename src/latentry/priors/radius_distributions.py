r"""Distributions of the norm of a code, from which the radial priors are made.

If :math:`r^2` has a gamma distribution of this shape and scale :math:`\theta`, r has the Nakagami distribution; for shape d
/ 2 and
:math:`\theta = 2` that is the norm of a standard normal code of d elements, :math:`\chi_d`. If z is a spherical Cauchy code,
a normal one over the modulus of one more normal number, :math:`r^2 / (1 + r^2)` has the distribution Beta(d/2, 1/2) and
:math:`r^2 / d` the distribution F(d, 1): r has no mean.

A norm that is uniform in its logarithm knows no scale but the ends of its support: what shortens codes by a factor, as the
mean of two does, shifts it by the factor's logarithm and changes nothing else within.

As the distributions of `priors.univariate`, each is a frozen set of numbers with elementwise functions on the whole line.
Values come from scipy in double precision on the CPU, and gradients from densities. Tails are accurate as logarithms at any
distance (`numerics.tails`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

from latentry.numerics.edges import log_density_on, log_of_probability, quantile_within
from latentry.numerics.tails import Array, differentiable, log_beta_cdf, log_gamma_cdf, log_gamma_sf
from latentry.priors.numbers import set_scale

__all__ = ["CauchyRadiusDistribution", "LogUniformDistribution", "NakagamiDistribution"]


class _RadiusDistribution:
    """What both distributions share: how scipy's values meet tensors and gradients."""

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, math.inf)

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        raise NotImplementedError

    def _of(self, value: Tensor, function: Callable[[Array], Array]) -> Tensor:
        """A function of r >= 0 by scipy; what lies below 0 counts as 0."""
        r = value.detach().cpu().double().clamp(min=0).reshape(-1).numpy()
        return torch.from_numpy(function(r)).to(value).view(value.shape)

    def _probability(self, value: Tensor, function: Callable[[Array], Array], sign: int) -> Tensor:
        return differentiable(value, lambda x: self._of(x, function), lambda x, _: sign * self.log_prob(x).exp())

    def _log_tail(self, value: Tensor, function: Callable[[Array], Array], sign: int) -> Tensor:
        return differentiable(value, lambda x: self._of(x, function), lambda x, y: sign * (self.log_prob(x) - y).exp())

    def _quantile(self, value: Tensor, function: Callable[[Array], Array]) -> Tensor:
        found = differentiable(value.clamp(0, 1), lambda u: self._of(u, function), lambda _, x: (-self.log_prob(x)).exp())
        return quantile_within(0, math.inf, value, found)


@dataclass(frozen=True)
class NakagamiDistribution(_RadiusDistribution):
    """r = sqrt(g) for g from a gamma distribution.

    Example:
        >>> norm = NakagamiDistribution(shape=50.0, theta=2.0)
        >>> round(norm.mean, 2), round(norm.variance, 2)
        (9.98, 0.5)
    """

    shape: float
    """Shape of the gamma distribution of r^2, above 0."""
    theta: float
    """Scale of the gamma distribution of r^2, above 0."""

    def __post_init__(self) -> None:
        set_scale(self, "shape", least=1e-6, most=1e9)  # beyond, the variance is lost to rounding
        set_scale(self, "theta")

    @property
    def mean(self) -> float:
        return math.sqrt(self.theta) * float(special.poch(self.shape, 0.5))

    @property
    def variance(self) -> float:
        return self.shape * self.theta - self.mean**2

    @property
    def mean_difference(self) -> float:
        # E max(R, R') = 2 E[R F(R)] = 2 E[R] P(G <= G*), with G* of shape + 1/2 and so G / (G + G*) of a beta distribution
        return self.mean * (4 * float(special.betainc(self.shape, self.shape + 0.5, 0.5)) - 2)

    @property
    def entropy(self) -> float:
        digamma = float(special.digamma(self.shape))
        of_square = self.shape + math.log(self.theta) + math.lgamma(self.shape) + (1 - self.shape) * digamma
        return of_square - math.log(2) - 0.5 * (digamma + math.log(self.theta))

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        r = _positive(value)
        constant = math.log(2) - math.lgamma(self.shape) - self.shape * math.log(self.theta)
        density = constant + (2 * self.shape - 1) * r.log() - r.square() / self.theta
        return log_density_on(0, math.inf, value, _at_zero(value, density, 2 * self.shape - 1))

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self._probability(value, lambda r: special.gammainc(self.shape, r**2 / self.theta), 1)

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self._log_tail(value, lambda r: log_gamma_cdf(self.shape, r**2 / self.theta), 1)

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self._log_tail(value, lambda r: log_gamma_sf(self.shape, r**2 / self.theta), -1)

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self._quantile(value, lambda u: np.sqrt(self.theta * special.gammaincinv(self.shape, u)))

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        def below(r: Array) -> Array:
            return self.mean * special.gammainc(self.shape + 0.5, r**2 / self.theta)

        return differentiable(value, lambda x: self._of(x, below), lambda x, _: x * self.log_prob(x).exp())

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        if self.shape == 0.5:
            return math.sqrt(self.theta / 2) * torch.randn(shape, generator=rng, dtype=like.dtype, device=like.device).abs()
        shapes = torch.full(shape, self.shape, dtype=like.dtype, device=like.device)
        return (self.theta * torch._standard_gamma(shapes, generator=rng)).sqrt()  # what torch's own Gamma draws by


@dataclass(frozen=True)
class CauchyRadiusDistribution(_RadiusDistribution):
    """The norm of a spherical Cauchy code.

    Example:
        >>> norm = CauchyRadiusDistribution(latent_dim=16)
        >>> norm.mean, norm.icdf(torch.tensor(0.5, dtype=torch.float64)).item() > 1
        (inf, True)
    """

    latent_dim: int
    """Elements d of a code, at least 1."""
    scale: float = 1.0
    """Scale of each element, above 0."""

    def __post_init__(self) -> None:
        if not self.latent_dim >= 1:
            raise ValueError(f"expected latent_dim >= 1, got {self.latent_dim}")
        set_scale(self, "scale")

    @property
    def mean(self) -> float:
        return math.inf

    @property
    def variance(self) -> float:
        return math.inf

    @property
    def mean_difference(self) -> float:
        return math.inf

    @property
    def entropy(self) -> float:
        a, digamma = self.latent_dim / 2, special.digamma
        of_share = float(self._log_beta - (a - 1) * digamma(a) + 0.5 * digamma(0.5) + (a - 1.5) * digamma(a + 0.5))
        log_share, log_rest = digamma(a) - digamma(a + 0.5), digamma(0.5) - digamma(a + 0.5)
        return of_share - math.log(2) - 0.5 * float(log_share + 3 * log_rest) + math.log(self.scale)

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        r = _positive(value) / self.scale
        length = torch.hypot(r, torch.ones_like(r))
        density = (self.latent_dim - 1) * (r / length).log() - 2 * length.log()
        density = density + math.log(2 / self.scale) - self._log_beta
        return log_density_on(0, math.inf, value, _at_zero(value, density, self.latent_dim - 1))

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self._probability(value, lambda r: special.betainc(self.latent_dim / 2, 0.5, self._share(r)), 1)

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        def log_below(r: Array) -> Array:
            above = special.betainc(0.5, self.latent_dim / 2, self._rest(r))
            far = log_beta_cdf(self.latent_dim / 2, 0.5, self._share(r))
            return np.where(above < 0.5, np.log1p(-np.minimum(above, 0.5)), far)

        return self._log_tail(value, log_below, 1)

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self._log_tail(value, lambda r: log_beta_cdf(0.5, self.latent_dim / 2, self._rest(r)), -1)

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        def quantile(u: Array) -> Array:
            share, rest = (
                special.betaincinv(self.latent_dim / 2, 0.5, u),
                special.betainccinv(0.5, self.latent_dim / 2, u),
            )
            with np.errstate(divide="ignore"):
                return self.scale * np.sqrt(np.where(share < 0.5, share / (1 - share), (1 - rest) / rest))

        return self._quantile(value, quantile)

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        def below(r: Array) -> Array:
            # the integral of s^(a - 1) / (1 - s) up to the share s, from that for a = 1 or 1/2 up to a = (d + 1) / 2
            share, odd = self._share(r), self.latent_dim % 2 == 1
            powers = np.arange(1, self.latent_dim // 2 + 1) - (0 if odd else 0.5)
            with np.errstate(divide="ignore"):
                first = -np.log(self._rest(r)) if odd else 2 * np.arctanh(np.sqrt(share))
            total = first - (share[..., None] ** powers / powers).sum(-1)
            return self.scale * np.exp(-self._log_beta) * np.maximum(total, 0)

        return differentiable(value, lambda x: self._of(x, below), lambda x, _: x * self.log_prob(x).exp())

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        halves = torch.full(shape, self.latent_dim / 2, dtype=like.dtype, device=like.device)
        length = (2 * torch._standard_gamma(halves, generator=rng)).sqrt()
        over = torch.randn(shape, generator=rng, dtype=like.dtype, device=like.device).abs()
        return self.scale * length / over.clamp(min=1e-12)  # a rounded 0 would make a code infinite

    @property
    def _log_beta(self) -> float:
        return float(special.betaln(self.latent_dim / 2, 0.5))

    def _share(self, r: Array) -> Array:
        """r^2 / (1 + r^2)."""
        with np.errstate(divide="ignore"):
            inverse: Array = np.hypot(1, self.scale / r)
        return inverse**-2.0

    def _rest(self, r: Array) -> Array:
        """1 / (1 + r^2)."""
        return np.hypot(1, r / self.scale) ** -2.0


@dataclass(frozen=True)
class LogUniformDistribution:
    """log r uniform on (log low, log high).

    Example:
        >>> LogUniformDistribution(1.0, 4.0).cdf(torch.tensor([1.0, 2.0, 4.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """

    low: float
    """Lower end of the support, above 0."""
    high: float
    """Upper end of the support, above `low`."""

    def __post_init__(self) -> None:
        set_scale(self, "low", "high")
        if not self.low < self.high:
            raise ValueError(f"expected 0 < low < high < inf, got {self.low} and {self.high}")

    @property
    def support(self) -> tuple[float, float]:
        return (self.low, self.high)

    @property
    def mean(self) -> float:
        return (self.high - self.low) / self._length

    @property
    def variance(self) -> float:
        return (self.high**2 - self.low**2) / (2 * self._length) - self.mean**2

    @property
    def mean_difference(self) -> float:
        # E max(R, R') = 2 E[R F(R)], and E R
        a, b, length = self.low, self.high, self._length
        return 4 * (b * length - (b - a)) / length**2 - 2 * self.mean

    @property
    def entropy(self) -> float:
        return math.log(self._length) + (math.log(self.low) + math.log(self.high)) / 2

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        density = -value.clamp(self.low, self.high).log() - math.log(self._length)
        return log_density_on(self.low, self.high, value, density)

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        inside = value.clamp(self.low, self.high)
        below = ((inside - self.low) / self.low).log1p() / self._length
        return torch.where(value >= self.high, 1, below.clamp(0, 1))

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return log_of_probability(self.cdf(value))

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        inside = value.clamp(self.low, self.high)
        above = -((inside - self.high) / self.high).log1p() / self._length
        return log_of_probability(torch.where(value <= self.low, 1, above.clamp(0, 1)))

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return quantile_within(self.low, self.high, value, self.low * (self._length * value).exp())

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return (value.clamp(self.low, self.high) - self.low) / self._length

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        return self.icdf(torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device)).clamp(self.low, self.high)

    @property
    def _length(self) -> float:
        """Length of the support of log r."""
        return math.log(self.high / self.low)


def _positive(value: Tensor) -> Tensor:
    """Norms above 0, whose logarithm is finite."""
    return value.clamp(min=torch.finfo(value.dtype).tiny, max=torch.finfo(value.dtype).max)


def _at_zero(value: Tensor, log_density: Tensor, power: int | float) -> Tensor:
    """A log density that goes as r^power near 0, with its limit there."""
    return log_density if power == 0 else torch.where(value == 0, -math.copysign(math.inf, power), log_density)
