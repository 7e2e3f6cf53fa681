r"""Distributions of one coordinate, from which the iid priors are made.

Each is a frozen set of numbers with elementwise functions of tensors, on the whole line and not only on the support: a
code that leaves the support must still have a distance to it and a gradient back. Tails are kept in the log domain
(`log_cdf`, `log_sf`), where a code eight deviations out is still finite.

Each distribution also knows the three closed forms that turn a statistical distance into arithmetic (see
`numerics.univariate`): its mean, its partial mean :math:`M(x) = E[X 1\{X \le x\}]` and Gini's mean difference :math:`E|X -
X'|`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.edges import log_density_on, log_normal_cdf, log_of_probability, quantile_within
from latentry.priors.numbers import set_location, set_scale

__all__ = ["HalfUniformHalfNormalDistribution", "NormalDistribution", "TruncatedCauchyDistribution", "UniformDistribution"]

_SQRT_2PI = math.sqrt(2 * math.pi)


def _standard_normal_density(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x.square()) / _SQRT_2PI


@dataclass(frozen=True)
class NormalDistribution:
    """N(loc, scale^2).

    Example:
        >>> NormalDistribution(1.0, 2.0).cdf(torch.tensor([1.0, 3.0]))
        tensor([0.5000, 0.8413])
        >>> NormalDistribution().log_sf(torch.tensor(40.0))
        tensor(-804.6085)
    """

    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        set_location(self, "loc")
        set_scale(self, "scale")

    @property
    def support(self) -> tuple[float, float]:
        return (-math.inf, math.inf)

    @property
    def mean(self) -> float:
        return self.loc

    @property
    def variance(self) -> float:
        return self.scale**2

    @property
    def mean_difference(self) -> float:
        return 2 * self.scale / math.sqrt(math.pi)

    @property
    def entropy(self) -> float:
        return 0.5 + math.log(self.scale * _SQRT_2PI)

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        density = -0.5 * self._standard(value).square() - math.log(self.scale * _SQRT_2PI)
        return log_density_on(-math.inf, math.inf, value, density)

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return torch.special.ndtr(self._standard(value))

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self.loc + self.scale * torch.special.ndtri(value)

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return log_normal_cdf(self._standard(value))

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return log_normal_cdf(-self._standard(value))

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        standard = self._standard(value)
        return self.loc * torch.special.ndtr(standard) - self.scale * _standard_normal_density(standard)

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        noise = torch.randn(shape, generator=rng, dtype=like.dtype, device=like.device)
        return self.loc + self.scale * noise

    def _standard(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale


@dataclass(frozen=True)
class UniformDistribution:
    """U(low, high).

    Example:
        >>> uniform = UniformDistribution(0.0, 4.0)
        >>> uniform.mean, uniform.icdf(torch.tensor(0.25))
        (2.0, tensor(1.))
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        set_location(self, "low", "high")
        if not self.low < self.high:
            raise ValueError(f"expected finite low < high, got {self.low} and {self.high}")

    @property
    def support(self) -> tuple[float, float]:
        return (self.low, self.high)

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> float:
        return (self.high - self.low) ** 2 / 12

    @property
    def mean_difference(self) -> float:
        return (self.high - self.low) / 3

    @property
    def entropy(self) -> float:
        return math.log(self.high - self.low)

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        # zero times the value: a density without a slope still has a gradient, which is zero
        return log_density_on(self.low, self.high, value, 0 * value - math.log(self.high - self.low))

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return quantile_within(self.low, self.high, value, self.low + (self.high - self.low) * value)

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return log_of_probability(self.cdf(value))

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return log_of_probability(((self.high - value) / (self.high - self.low)).clamp(0, 1))

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        inside = value.clamp(self.low, self.high)
        return (inside.square() - self.low**2) / (2 * (self.high - self.low))

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        return self.icdf(torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device))


@dataclass(frozen=True)
class HalfUniformHalfNormalDistribution:
    """Uniform on (-1, 0) with probability 1/2, else the absolute value of a standard normal.

    Reference: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020 (the third prior compared).

    Example:
        >>> HalfUniformHalfNormalDistribution().cdf(torch.tensor([-1.0, -0.5, 0.0]))
        tensor([0.0000, 0.2500, 0.5000])
    """

    @property
    def support(self) -> tuple[float, float]:
        return (-1.0, math.inf)

    @property
    def mean(self) -> float:
        return -0.25 + 1 / _SQRT_2PI

    @property
    def variance(self) -> float:
        return 1 / 6 + 1 / 2 - self.mean**2

    @property
    def mean_difference(self) -> float:
        # E|X - X'| split by the halves that X and X' come from: both uniform, both half-normal, one of each (twice)
        both_uniform = 1 / 3
        both_normal = 4 / math.sqrt(math.pi) - 2 * math.sqrt(2 / math.pi)
        one_of_each = 1 / 2 + math.sqrt(2 / math.pi)
        return both_uniform / 4 + both_normal / 4 + one_of_each / 2

    @property
    def entropy(self) -> float:
        return (math.log(2) + 0.5 + math.log(_SQRT_2PI)) / 2

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        upper = -0.5 * value.clamp(min=0).square() - math.log(_SQRT_2PI)
        return log_density_on(-1, math.inf, value, torch.where(value < 0, 0 * value - math.log(2), upper))

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return torch.where(value < 0, (1 + value.clamp(min=-1)) / 2, torch.special.ndtr(value))

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        upper = torch.special.ndtri(value.clamp(min=0.5))  # clamped before, so that its gradient is finite where unused
        return quantile_within(-1, math.inf, value, torch.where(value < 0.5, 2 * value - 1, upper))

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return torch.where(value < 0, log_of_probability((1 + value.clamp(-1, 0)) / 2), log_normal_cdf(value.clamp(min=0)))

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        lower = ((1 - value.clamp(-1, 0)) / 2).log()
        return torch.where(value < 0, lower, log_normal_cdf(-value.clamp(min=0)))

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        uniform_part = (value.clamp(-1, 0).square() - 1) / 4
        normal_part = 1 / _SQRT_2PI - _standard_normal_density(value.clamp(min=0))
        return uniform_part + normal_part

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        upper = torch.randn(shape, generator=rng, dtype=like.dtype, device=like.device).abs()
        lower = -torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device)
        below = torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device) < 0.5
        return torch.where(below, lower, upper)


@dataclass(frozen=True)
class TruncatedCauchyDistribution:
    """The Cauchy distribution about 0 with half-width `scale`, cut off at -bound and bound.

    Example:
        >>> cauchy = TruncatedCauchyDistribution(scale=1.0, bound=20.0)
        >>> cauchy.support, cauchy.cdf(torch.tensor(0.0))
        ((-20.0, 20.0), tensor(0.5000))
    """

    scale: float = 1.0
    bound: float = 20.0

    def __post_init__(self) -> None:
        set_scale(self, "scale", "bound")
        if not 1e-3 <= self.bound / self.scale <= 1e6:
            raise ValueError(f"expected a bound > 0, from 1e-3 to 1e6 scales, got {self.bound} for scale {self.scale}")

    @property
    def support(self) -> tuple[float, float]:
        return (-self.bound, self.bound)

    @property
    def mean(self) -> float:
        return 0.0

    @property
    def variance(self) -> float:
        return self.scale * (self.bound / self._angle - self.scale)

    @property
    def mean_difference(self) -> float:
        return self.scale * _cauchy_mean_difference(self.bound / self.scale)

    @property
    def entropy(self) -> float:
        return math.log(2 * self._angle * self.scale) + _cauchy_mean_log(self.bound / self.scale)

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        ratio = value.clamp(-self.bound, self.bound) / self.scale
        density = -ratio.square().log1p() - math.log(2 * self._angle * self.scale)
        return log_density_on(-self.bound, self.bound, value, density)

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        # measured from the near end, where it keeps its digits
        inside = value.clamp(-self.bound, self.bound)
        below, above = self._tail((-inside).clamp(min=0)), self._tail(inside.clamp(min=0))
        return torch.where(value < 0, below, 1 - above)

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        below = log_of_probability(self._tail((-value).clamp(0, self.bound)))
        return torch.where(value < 0, below, (-self._tail(value.clamp(0, self.bound))).log1p())

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return self.log_cdf(-value)

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        # tan(a - b) from the near end at angle a, where it keeps its digits
        slope = torch.tan(2 * self._angle * torch.where(value < 0.5, value, 1 - value).clamp(0, 0.5))
        size = (self.bound - self.scale * slope) / (1 + self.bound / self.scale * slope)
        return quantile_within(-self.bound, self.bound, value, torch.where(value < 0.5, -size, size))

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        ratio = value.clamp(-self.bound, self.bound) / self.scale
        end = math.log1p((self.bound / self.scale) ** 2)
        return (ratio.square().log1p() - end) * self.scale / (4 * self._angle)

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        return self.icdf(torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device))

    @property
    def _angle(self) -> float:
        """Half the angle under which the support is seen from (0, scale)."""
        return math.atan2(self.bound, self.scale)

    def _tail(self, distance: Tensor) -> Tensor:
        """P(X > distance) for distances in [0, bound]: the difference of two arc tangents, as one."""
        # atan b - atan x = atan((b - x) / (1 + b x)) in units of the scale
        angle = torch.atan2(self.scale * (self.bound - distance), self.scale**2 + self.bound * distance)
        return angle / (2 * self._angle)


@lru_cache(maxsize=64)
def _cauchy_mean_difference(bound: float) -> float:
    """E|X - X'| of two standard Cauchy draws cut off at the bound: twice the integral of F (1 - F)."""
    from scipy.integrate import quad

    angle = math.atan(bound)
    # in the angle a = atan x, F is a straight line
    found, _ = quad(
        lambda a: (1 / 4 - (a / (2 * angle)) ** 2) / math.cos(a) ** 2, 0, angle, epsabs=0, epsrel=1e-11, limit=200
    )
    return float(4 * found)


@lru_cache(maxsize=64)
def _cauchy_mean_log(bound: float) -> float:
    """E log(1 + X^2) of a standard Cauchy draw cut off at the bound."""
    from scipy.integrate import quad

    angle = math.atan(bound)
    found, _ = quad(lambda a: -2 * math.log(math.cos(a)), 0, angle, epsabs=0, epsrel=1e-11, limit=200)
    return float(found / angle)
