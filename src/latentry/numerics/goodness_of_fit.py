r"""Tests of many samples at once against a distribution that is fully known: Kolmogorov-Smirnov, Cramer-von Mises,
Anderson-Darling.

For a sample of n values with :math:`u_j = F(x_j)`, sorted, the three distances of its distribution function from F are

.. math::
    D &= \max_i \max\left( \frac{i}{n} - u_{(i)}, \; u_{(i)} - \frac{i - 1}{n} \right)
       = \frac{1}{2 n} + \max_i \left| u_{(i)} - \frac{2 i - 1}{2 n} \right| \\
    W^2 &= \frac{1}{12 n} + \sum_i \left( u_{(i)} - \frac{2 i - 1}{2 n} \right)^2 \\
    A^2 &= -n - \frac{1}{n} \sum_i (2 i - 1) \left( \log u_{(i)} + \log(1 - u_{(n + 1 - i)}) \right).

D looks at the worst place, :math:`W^2` at all places alike, :math:`A^2` at the tails. Under the distribution none of them
depends on F. D has an exact distribution for every n: scipy's `kstwo` (Simard and L'Ecuyer, 2011). :math:`W^2` and
:math:`A^2` tend to
:math:`\sum_j \chi^2_{1, j} / \mu_j` with :math:`\mu_j = (j \pi)^2` and :math:`j (j + 1)`, whose tail Smirnov gave as

.. math:: P(\cdot > x) = \frac{1}{\pi} \sum_{k \ge 1} (-1)^{k+1} \int_{\mu_{2k-1}}^{\mu_{2k}}
    \frac{e^{-x y / 2}}{y \sqrt{|\Delta(y)|}} \, dy,
    \qquad \Delta(y) = \prod_j \Big( 1 - \frac{y}{\mu_j} \Big)
    = \frac{\sin \sqrt{y}}{\sqrt{y}} \;\text{ and }\; -\frac{\cos(\frac{\pi}{2} \sqrt{1 + 4 y})}{\pi y}.

Gauss-Chebyshev nodes take the inverse roots at the ends of the intervals; the first term alone rules the tail, so that it
has relative accuracy. To this a correction :math:`\delta_n` of order 1 / n is added: for :math:`W^2` the term of Csorgo and
Faraway, as in scipy, for :math:`A^2` the fit of Marsaglia and Marsaglia. Where a correction would take more than half of a
tail it is continued as an exponential, so that no tail turns negative; a single value has its exact distribution.

Against 5 million simulated samples (`benchmarks/goodness_of_fit_power.py --samples 5000000`) the corrected p-values of both
are off by at most 6e-4 from n = 8 on, which is what so many samples resolve; at n = 4 by 0.004, at n = 2 by 0.03.

A p-value near 0 says that the sample is not from the distribution. A p-value near 1 says that it is *too* regular: codes
that sit on the quantiles of the prior have D near 0, and no sample of that size does. So the other tail counts as well:
:math:`p_\pm = 2 \min(p, 1 - p)`.

References: Kolmogorov, 1933; Smirnov, 1937; Anderson and Darling, "Asymptotic theory of certain goodness of fit criteria
based on stochastic processes", 1952; Csorgo and Faraway, "The exact and asymptotic distributions of Cramer-von Mises
statistics", 1996; Marsaglia and Marsaglia, "Evaluating the Anderson-Darling distribution", 2004; Simard and L'Ecuyer,
"Computing the two-sided Kolmogorov-Smirnov distribution", 2011.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy import special, stats
from torch import Tensor

from latentry.numerics.tail_tables import LogSpline, TailTable, log_spline, tail_table

__all__ = [
    "LOG_TINY",
    "ad_p_value",
    "ad_statistic",
    "cvm_p_value",
    "cvm_statistic",
    "ks_p_value",
    "ks_quantile",
    "ks_statistic",
    "two_sided",
]

LOG_TINY = math.log(math.ulp(0.0))
"""Floor of a log tail, -744.4: an element outside the support, whose tail is empty, counts as the least number above 0."""

_EXACT_BELOW, _TABLES_TO = 16, 4096
"""Sizes for which many Kolmogorov-Smirnov p-values are read from a table; smaller are cheap, larger come one by one."""


def ks_statistic(u: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """Kolmogorov-Smirnov distance D between each row of u = F(x) and the uniform distribution on [0, 1].

    Example:
        >>> ks_statistic(torch.tensor([[0.25, 0.75], [0.9, 0.95]]))
        tensor([0.2500, 0.9000])
    """
    return torch.linalg.vector_norm(_deviations(u), math.inf, dim=-1) + 1 / (2 * u.shape[-1])


def cvm_statistic(u: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """Cramer-von Mises distance W^2 between each row of u = F(x) and the uniform distribution on [0, 1].

    Example:
        >>> cvm_statistic(torch.tensor([[0.25, 0.75], [0.9, 0.95]]))
        tensor([0.0417, 0.5042])
    """
    return torch.linalg.vector_norm(_deviations(u), dim=-1).square() + 1 / (12 * u.shape[-1])


def ad_statistic(log_cdf: Float[Tensor, "*n d"], log_sf: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """Anderson-Darling distance A^2 of each row of x from the distribution, given log F(x) and log(1 - F(x)).

    Given as logarithms so that an element eight deviations out still counts for what it is. One outside the support, whose
    log tail is -inf, counts with `LOG_TINY`, so that the statistic is finite.

    Example:
        >>> u = torch.tensor([[0.25, 0.75], [0.9, 0.95]])
        >>> ad_statistic(u.log(), (-u).log1p())
        tensor([0.2493, 3.0814])
    """
    dtype = log_cdf.dtype
    if dtype.itemsize == 2:
        log_cdf, log_sf = log_cdf.float(), log_sf.float()
    d = log_cdf.shape[-1]
    odd = torch.arange(1, 2 * d, 2, dtype=log_cdf.dtype, device=log_cdf.device) / d
    # 1 - F falls where F rises: in ascending order its i-th value belongs to the i-th largest element
    lower, upper = _ascending(log_cdf), _ascending(log_sf)
    if torch.minimum(lower[..., 0], upper[..., 0]).isneginf().any():
        lower, upper = lower.clamp(min=LOG_TINY), upper.clamp(min=LOG_TINY)
    return (-d - (lower @ odd + upper @ odd)).to(dtype)


def ks_p_value(statistic: Float[Tensor, "*n"], size: int) -> Float[Tensor, "*n"]:
    """Probability that a sample of `size` values from the distribution has a D at least this large.

    One value is exact. Many are read from a table of the exact distribution, made once for each size and off by less than
    1e-6; there p-values keep within [1e-40, 1 - 1e-8].

    Example:
        >>> ks_p_value(torch.tensor([0.05, 0.2], dtype=torch.float64), 100)
        tensor([9.5322e-01, 5.5519e-04], dtype=torch.float64)
    """
    statistic = _statistic(statistic, size)
    if statistic.numel() == 1 or not _EXACT_BELOW <= size <= _TABLES_TO:
        p = torch.as_tensor(stats.kstwo.sf(statistic.numpy(), size), dtype=torch.float64)
    else:
        p = _ks_table(size).sf(statistic)
    return _within_range(statistic, p, 1 / (2 * size), 1.0)


@lru_cache(maxsize=256)
def ks_quantile(probability: float, size: int) -> float:
    """The D that a sample of `size` values from the distribution stays below with this probability; exact.

    Example:
        >>> round(ks_quantile(0.95, 100), 4)
        0.134
    """
    return float(stats.kstwo.ppf(probability, size))


def cvm_p_value(statistic: Float[Tensor, "*n"], size: int) -> Float[Tensor, "*n"]:
    """Probability that a sample of `size` values from the distribution has a W^2 at least this large.

    Reference: Csorgo and Faraway (1996), eq. 1.8; agrees with `scipy.stats.cramervonmises` but for its tails.

    Example:
        >>> cvm_p_value(torch.tensor([0.46136], dtype=torch.float64), 10_000).round(decimals=3)
        tensor([0.0500], dtype=torch.float64)
    """
    statistic = _statistic(statistic, size)
    least = 1 / (12 * size)
    if size == 1:
        return (1 - 2 * (statistic - least).clamp(min=0).sqrt()).clamp(0, 1)
    distribution, change = _cvm_table()
    sf = distribution.sf(statistic)
    corrected = _corrected(distribution, statistic, change(statistic) * sf * (1 - sf) / size)
    return _within_range(statistic, corrected, least, size / 3)


def ad_p_value(statistic: Float[Tensor, "*n"], size: int) -> Float[Tensor, "*n"]:
    """Probability that a sample of `size` values from the distribution has an A^2 at least this large.

    Reference: Marsaglia and Marsaglia (2004), their `errfix`; below 1e-3, where it was not fitted, with the ratio it has
    there.

    Example:
        >>> ad_p_value(torch.tensor([2.492], dtype=torch.float64), 10_000).round(decimals=3)
        tensor([0.0500], dtype=torch.float64)
    """
    statistic = _statistic(statistic, size)
    if size == 1:
        return 1 - (1 - 4 * torch.exp(-1 - statistic)).clamp(min=0).sqrt()
    distribution = _ad_table()
    sf = distribution.sf(statistic)
    change = -_ad_correction(1 - sf.clamp(min=1e-3), size) * (sf / 1e-3).clamp(max=1)
    return _within_range(statistic, _corrected(distribution, statistic, change), _ad_least(size), math.inf)


def two_sided(p: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """p-value that is small in both tails: too far from the distribution, or too close to it.

    Example:
        >>> two_sided(torch.tensor([0.01, 0.5, 0.99]))
        tensor([0.0200, 1.0000, 0.0200])
    """
    return 2 * torch.minimum(p, 1 - p)


def _statistic(statistic: Tensor, size: int) -> Tensor:
    if size < 1:
        raise ValueError(f"expected a sample of at least one value, got a size of {size}")
    return statistic.detach().double().cpu()


def _within_range(statistic: Tensor, p: Tensor, least: float, largest: float) -> Tensor:
    """p-values, 1 up to the least value that a statistic can have, 0 from the largest on, and NaN for NaN."""
    p = torch.where(statistic <= least, 1.0, torch.where(statistic >= largest, 0.0, p))
    return torch.where(statistic.isnan(), math.nan, p)


@lru_cache(maxsize=256)
def _ad_least(size: int) -> float:
    """A^2 of a sample on the quantiles (2 i - 1) / (2 n), which is the least; of large samples 0 stands for it."""
    if size > _TABLES_TO:
        return 0.0
    middles = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    return ad_statistic(middles.log(), torch.log1p(-middles)).item() * (1 - 1e-12)


def _deviations(u: Tensor) -> Tensor:
    """Sorted u less the middles of its steps; D is the largest, and half a step."""
    d = u.shape[-1]
    return _ascending(u).sub_((torch.arange(d, dtype=u.dtype, device=u.device) + 0.5) / d)


def _ascending(x: Tensor) -> Tensor:
    """Rows in ascending order; numpy sorts on a CPU about ten times as fast as torch, which is needed for gradients."""
    if x.requires_grad or x.device.type != "cpu":
        return x.sort(dim=-1).values
    return torch.from_numpy(np.sort(x.numpy(), axis=-1))


def _corrected(distribution: TailTable, x: Tensor, change: Tensor) -> Tensor:
    """1 - F(x) + change; a change that would take more than half of the smaller tail takes an exponential part of it."""

    def grown(tail: Tensor, by: Tensor) -> Tensor:
        ratio = by / tail
        return tail * torch.where(ratio > -0.5, 1 + ratio, 0.5 * torch.exp(1 + 2 * ratio))

    log_odds = distribution.log_odds(x)
    sf, cdf = log_odds.sigmoid(), (-log_odds).sigmoid()
    return torch.where(log_odds < 0, grown(sf, change), 1 - grown(cdf, -change)).clamp(0, 1)


@lru_cache(maxsize=64)
def _ks_table(size: int, nodes: int = 256) -> TailTable:
    log_x = np.linspace(math.log(0.22), math.log(min(6.8, 0.999 * math.sqrt(size))), nodes)  # of sqrt(n) D
    d = np.exp(log_x) / math.sqrt(size)
    sf, cdf = stats.kstwo.sf(d, size), stats.kstwo.cdf(d, size)
    inside = (cdf > 1e-8) & (sf > 1e-40)
    return tail_table(log_x[inside] - math.log(size) / 2, sf[inside], cdf[inside])


def _smirnov(x: np.ndarray, ends: Callable[[int], float], log_delta: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """P(sum_j chi^2_1 / mu_j > x) by the formula of the module's theory."""
    nodes = np.cos((np.arange(96) + 0.5) * np.pi / 96)
    total = np.zeros_like(x)
    for k in range(1, 61):
        low, high = ends(2 * k - 1), ends(2 * k)
        y = (low + high) / 2 + (high - low) / 2 * nodes
        weights = np.exp((np.log((y - low) * (high - y)) - log_delta(y)) / 2) / y
        total += (-1) ** (k + 1) * np.exp(-x[:, None] * y / 2) @ weights / len(nodes)
    return total


@lru_cache(maxsize=1)
def _ad_table() -> TailTable:
    log_x = np.linspace(math.log(0.03), math.log(600), 1024)

    def log_delta(y: np.ndarray) -> np.ndarray:
        return np.log(np.abs(np.cos(np.pi / 2 * np.sqrt(1 + 4 * y))) / (np.pi * y))

    sf = _smirnov(np.exp(log_x), lambda j: j * (j + 1.0), log_delta)
    inside = sf < 1 - 1e-11
    return tail_table(log_x[inside], sf[inside], 1 - sf[inside])


@lru_cache(maxsize=1)
def _cvm_table() -> tuple[TailTable, LogSpline]:
    """The limit distribution, and n times its correction over (1 - F) F; beyond 1e-9 the latter keeps its value."""
    log_x = np.linspace(math.log(0.005), math.log(130), 1024)
    x = np.exp(log_x)
    sf = _smirnov(x, lambda j: (j * np.pi) ** 2, lambda y: np.log(np.abs(np.sin(np.sqrt(y))) / np.sqrt(y)))
    inside = sf < 1 - 1e-11
    distribution = tail_table(log_x[inside], sf[inside], 1 - sf[inside])
    known = (sf > 1e-9) & (1 - sf > 1e-9)
    ratio = _cvm_correction(x[known], 1 - sf[known]) / (sf[known] * (1 - sf[known]))
    return distribution, log_spline(log_x[known], ratio)


def _cvm_correction(x: np.ndarray, limit_cdf: np.ndarray) -> np.ndarray:
    """n times the change of 1 - F at n values: -(V / 12 + psi), Csorgo and Faraway (1996), eq. 1.8 and 1.10."""

    def second(y: np.ndarray) -> np.ndarray:
        z = y**2 / 4
        return np.exp(-z) * (y / 2) ** 1.5 * (special.kv(0.25, z) + special.kv(0.75, z)) / math.sqrt(np.pi)

    def third(y: np.ndarray) -> np.ndarray:
        z = y**2 / 4
        bessel = 2 * special.kv(0.25, z) + 3 * special.kv(0.75, z) - special.kv(1.25, z)
        return np.exp(-z) * (y / 2) ** 2.5 * bessel / math.sqrt(np.pi)

    total = limit_cdf / 12
    for k in range(20):
        near, middle, far = ((4 * k + j) / (2 * np.sqrt(x)) for j in (1, 3, 5))
        seconds = (16 * second(middle) + 7 * second(near) + 7 * second(far)) * (2 * k + 1) / (144 * x**0.75)
        thirds = (third(near) + 6 * (2 * k + 1) * (2 * k + 3) * third(far)) / (72 * x**1.25)
        total = total - special.gamma(k + 0.5) / (np.pi * special.gamma(k + 1)) * (seconds + thirds)
    return -total


def _ad_correction(cdf: Float[Tensor, "*n"], n: int) -> Float[Tensor, "*n"]:
    """What Marsaglia and Marsaglia (2004) add to the limit of P(A^2 < x) at n values."""
    cut = 0.01265 + 0.1757 / n
    low = (cdf / cut).clamp(0, 1)
    low = low.sqrt() * (1 - low) * (49 * low - 102)
    middle = (cdf - cut) / (0.8 - cut)
    return torch.where(
        cdf > 0.8,
        _polynomial(cdf, -130.2137, 745.2337, -1705.091, 1950.646, -1116.360, 255.7844) / n,
        torch.where(
            cdf < cut,
            low * (0.0037 / n**2 + 0.00078 / n + 0.00006) / n,
            _polynomial(middle, -0.00022633, 6.54034, -14.6538, 14.458, -8.259, 1.91864) * (0.04213 + 0.01365 / n) / n,
        ),
    )


def _polynomial(x: Tensor, *coefficients: float) -> Tensor:
    """Lowest power first."""
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total
