r"""Statistical distances between the elements of a code and a distribution, in closed form.

A code :math:`z \in R^d` whose coordinates are independent draws from a distribution P has the empirical measure
:math:`\hat P_z = \frac{1}{d} \sum_j \delta_{z_j}`, which is close to P. How far it is from P is a loss that pulls a code
back into the prior without shrinking it (Cho, 2020). Cho compares with a fresh sample of P at every step; but P is known,
so nothing needs sampling. Let :math:`z_{(1)} \le \dots \le z_{(d)}` be the sorted elements, :math:`u_i = i / d`, F the
distribution function and M the partial mean of `numerics.univariate`. On the line, transport pairs the i-th element with the
i-th quantile cell :math:`(u_{i-1}, u_i]`, so that

.. math::
    W_1 &= \sum_i \int_{u_{i-1}}^{u_i} |z_{(i)} - F^{-1}(u)| \, du
         = \sum_i z_{(i)} (2 F(c_i) - u_{i-1} - u_i) + M(q_{i-1}) + M(q_i) - 2 M(c_i) \\
    W_2^2 &= \frac{1}{d} \sum_i (z_{(i)} - m_i)^2 + E X^2 - \frac{1}{d} \sum_i m_i^2,
         \qquad m_i = d \, (M(q_i) - M(q_{i-1})) \\
    \mathcal{E}^2 &= \frac{2}{d} \sum_i E|z_i - X| - \frac{1}{d^2} \sum_{i,k} |z_i - z_k| - E|X - X'|

with cell ends :math:`q_i = F^{-1}(u_i)`, cell means :math:`m_i`, and :math:`c_i` the element clipped to its cell: within a
cell the sign of :math:`z - F^{-1}(u)` turns at :math:`u = F(z)`, and beyond it there is but one sign. The pair sum takes a
sort: :math:`\sum_{i,k} |z_i - z_k| = 2 \sum_i (2 i - d - 1) z_{(i)}`.

Each is least, and its gradient zero, at a known code: :math:`W_1` and the energy distance at the quantiles
:math:`F^{-1}((i - 1/2) / d)`, :math:`W_2` at the cell means. That least value is below what true samples have, which is why
such a loss needs a weight and its codes a two-sided test.

References: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020; Szekely and Rizzo, "Energy
statistics", 2013; Santambrogio, "Optimal transport for applied mathematicians", 2015, ch. 2.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.sorting import sorted_elements
from latentry.numerics.univariate import UnivariateDistribution

__all__ = ["QuantileCells", "energy_distance", "quantile_cells", "wasserstein2_distance", "wasserstein_distance"]


@dataclass(frozen=True)
class QuantileCells:
    """The d cells of equal probability that a distribution is cut into; made once for all codes of length d.

    Example:
        >>> from latentry.priors.univariate import UniformDistribution
        >>> quantile_cells(UniformDistribution(0.0, 1.0), 2, torch.empty(0)).means
        tensor([0.2500, 0.7500])
    """

    ends: Float[Tensor, "d_plus_1"]
    """Cell ends q_0 .. q_d; infinite where the support is."""
    middles: Float[Tensor, "d"]
    """F(q_{i-1}) + F(q_i) = (2 i - 1) / d."""
    partial_means: Float[Tensor, "d"]
    """M(q_{i-1}) + M(q_i)."""
    means: Float[Tensor, "d"]
    """Mean of the distribution within each cell, m_i."""
    spread: float
    """Mean variance within the cells, E X^2 - mean m_i^2: the least W_2^2 of any code."""


def quantile_cells(distribution: UnivariateDistribution, d: int, like: Tensor) -> QuantileCells:
    """Cut `distribution` into `d` cells of equal probability, in the dtype and on the device of `like`.

    Computed in double precision on the CPU, whatever `like` is.

    Raises:
        ValueError: `d` is below 1.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> quantile_cells(NormalDistribution(), 3, torch.empty(0)).ends
        tensor([   -inf, -0.4307,  0.4307,     inf])
    """
    if d < 1:
        raise ValueError(f"expected codes of at least one element, got d = {d}")
    u = torch.arange(d + 1, dtype=torch.float64) / d
    ends = distribution.icdf(u)
    at_ends = distribution.partial_mean(ends)
    means = d * at_ends.diff()
    return QuantileCells(
        ends=ends.to(like),
        middles=(u[:-1] + u[1:]).to(like),
        partial_means=(at_ends[:-1] + at_ends[1:]).to(like),
        means=means.to(like),
        spread=distribution.variance + distribution.mean**2 - means.square().mean().item(),
    )


def wasserstein_distance(
    z: Float[Tensor, "*n d"], distribution: UnivariateDistribution, cells: QuantileCells
) -> Float[Tensor, "*n"]:
    """Exact 1-Wasserstein distance between the elements of each code and the continuous distribution; once differentiable.

    Reference: Cho (2020), there by sampling; closed form in the module's theory.

    Args:
        z: Codes; each row is one sample of d elements.
        distribution: The distribution of one coordinate.
        cells: `quantile_cells(distribution, d, z)`.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> z = torch.tensor([[-1.0, 0.0, 1.0], [4.0, 5.0, 6.0]])
        >>> cells = quantile_cells(NormalDistribution(), 3, z)
        >>> wasserstein_distance(z, NormalDistribution(), cells)
        tensor([0.3434, 5.0000])
    """
    z = sorted_elements(z)
    with torch.no_grad():  # the derivative with respect to c vanishes: c is where the sign turns, or an end of the cell
        clipped = z.clamp(cells.ends[:-1], cells.ends[1:])
        # an element beyond its cell has the mean distance to it, |z - m| / d, without loss of digits
        within, share = z == clipped, (z - clipped).sign() / z.shape[-1]
        slope = torch.where(within, 2 * distribution.cdf(clipped) - cells.middles, share)
        rest = torch.where(within, cells.partial_means - 2 * distribution.partial_mean(clipped), -share * cells.means)
    return (z * slope + rest).sum(-1)


def wasserstein2_distance(z: Float[Tensor, "*n d"], cells: QuantileCells) -> Float[Tensor, "*n"]:
    """Exact 2-Wasserstein distance between the elements of each code and the continuous distribution of `cells`.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> z = torch.tensor([[-1.0, 0.0, 1.0], [4.0, 5.0, 6.0]])
        >>> wasserstein2_distance(z, quantile_cells(NormalDistribution(), 3, z))
        tensor([0.4607, 5.0212])
    """
    z = sorted_elements(z)
    return ((z - cells.means).square().mean(-1) + cells.spread).sqrt()


def energy_distance(z: Float[Tensor, "*n d"], distribution: UnivariateDistribution) -> Float[Tensor, "*n"]:
    """Exact energy distance between the elements of each code and the continuous distribution; the root, as in scipy.

    Once differentiable, like `wasserstein_distance`.

    The terms nearly cancel for a good code, so they are added in double precision where the device has it.

    Reference: Cho (2020), there by sampling; Szekely and Rizzo (2013), eq. 1.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> energy_distance(torch.tensor([[-1.0, 0.0, 1.0], [4.0, 5.0, 6.0]]), NormalDistribution())
        tensor([0.2649, 2.8254])
    """
    d = z.shape[-1]
    z = sorted_elements(z)
    with torch.no_grad():  # d E|z - X| / dz = 2 F(z) - 1: what F and M add to it cancels
        ranks = torch.arange(1 - d, d, 2, dtype=z.dtype, device=z.device)
        slope = 2 * distribution.cdf(z) - 1 - ranks / d
        rest = 2 * distribution.partial_mean(z)
    precise = torch.float32 if z.device.type == "mps" else torch.float64
    squared = 2 * (z * slope - rest).sum(-1, dtype=precise) / d + 2 * distribution.mean - distribution.mean_difference
    return squared.clamp(min=math.ulp(1.0)).sqrt().to(z.dtype)
