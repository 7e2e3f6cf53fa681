r"""Squared maximum mean discrepancy with the cubic kernel, without bias: the kernel (inception) distance, KID.

With :math:`k(x, y) = (x \cdot y / d + 1)^3` and samples :math:`x_1 .. x_n` and :math:`y_1 .. y_m`,

.. math::
    \widehat{MMD}^2 = \frac{1}{n (n-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m (m-1)} \sum_{i \ne j} k(y_i, y_j)
                      - \frac{2}{n m} \sum_{i, j} k(x_i, y_j)

is a U-statistic: its mean is the distance of the distributions at every sample size, and it is negative about as often as
positive where they are equal. The kernel sees the first three moments and no more.

All pairs are used, tile by tile, rather than a hundred random subsets of a thousand: fewer pairs are only noise, and the
spread over overlapping subsets is no standard error. That comes from the jackknife, which a U-statistic has in closed form:
without row i its sums lose the i-th row sum, so that leaving out every row costs nothing on top. It tends to the usual
:math:`4 \zeta_1 / n` of a U-statistic, and where the distributions are equal and :math:`\zeta_1 = 0`, it is about twice too
large rather than zero. A variance from few rows is itself uncertain, the more so the fewer rows rule it; so an interval
takes Student's quantile, with the freedom that the kurtosis of the terms gives: of n terms, :math:`2 n / (\kappa - 1)`,
which is n for normal ones, and of both samples as Satterthwaite has it.

References: Gretton et al., "A kernel two-sample test", 2012, eq. 3; Binkowski et al., "Demystifying MMD GANs", 2018;
Arvesen, "Jackknifing U-statistics", 1969.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["KernelDistance", "kernel_distance"]

TILE = 2048
"""Rows of a tile: three of them in float64 take 100 MB."""


@dataclass(frozen=True)
class KernelDistance:
    """An unbiased squared kernel distance and its variance.

    Example:
        >>> x, y = torch.randn(2, 200, 4, generator=torch.Generator().manual_seed(0))
        >>> abs(kernel_distance(x, y).value) < 0.1
        True
    """

    value: float
    """Unbiased squared MMD; negative values are near zero."""
    variance: float
    """Delete-one jackknife variance, both samples together."""
    freedom: float
    """Degrees of freedom of that variance, from how unequal its terms are: few where some rows rule it."""


def kernel_distance(generated: Float[Tensor, "n d1"], reference: Float[Tensor, "m d2"]) -> KernelDistance:
    """Unbiased squared MMD with the cubic kernel between two samples of features, over all pairs.

    Reference: Binkowski et al. (2018), section 4.

    Raises:
        ValueError: The samples have different dimensions, or one has fewer than three rows.

    Example:
        >>> x, y = torch.randn(2, 200, 4, generator=torch.Generator().manual_seed(0))
        >>> kernel_distance(x, y + 2).value > kernel_distance(x, y).value
        True
    """
    if generated.shape[1] != reference.shape[1]:
        raise ValueError(
            f"expected features of one dimension, got {generated.shape[1]} and {reference.shape[1]}; "
            "use one extractor for both samples"
        )
    n, m = len(generated), len(reference)
    if min(n, m) < 3:
        raise ValueError(f"expected at least three rows in each sample, got {n} and {m}; take more samples")
    x, y = generated.detach().double(), reference.detach().double()
    within_x, within_y = _kernel_sums(x, x)[0] - _kernel_of_itself(x), _kernel_sums(y, y)[0] - _kernel_of_itself(y)
    across_x, across_y = _kernel_sums(x, y)

    mean_x, mean_y, mean_xy = within_x.sum() / (n * (n - 1)), within_y.sum() / (m * (m - 1)), across_x.sum() / (n * m)
    without_x = (within_x.sum() - 2 * within_x) / ((n - 1) * (n - 2)) - 2 * (across_x.sum() - across_x) / ((n - 1) * m)
    without_y = (within_y.sum() - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (across_y.sum() - across_y) / ((m - 1) * n)
    parts = [(n - 1) * without_x.var(correction=0), (m - 1) * without_y.var(correction=0)]
    variance = (parts[0] + parts[1]).item()
    spread = sum(
        (part**2 * _relative_variance(rows)).item() for part, rows in zip(parts, (without_x, without_y), strict=True)
    )
    freedom = 2 * variance**2 / spread if spread > 0 else float(n + m - 2)
    return KernelDistance((mean_x + mean_y - 2 * mean_xy).item(), variance, max(1.0, min(freedom, n + m - 2.0)))


def _relative_variance(a: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Variance of the variance of n independent numbers, over its square: (kurtosis - 1) / n, 2 / n for normal ones."""
    squares = (a - a.mean()).square()
    return (squares.square().mean() / squares.mean().square().clamp(min=1e-300) - 1).clamp(min=0) / len(a)


def _kernel_sums(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "m"]]:
    """Sums of k(x_i, y_j) over j, for each i, and over i, for each j."""
    over_y, over_x = x.new_zeros(len(x)), x.new_zeros(len(y))
    for rows, part in zip(over_y.split(TILE), x.split(TILE), strict=True):
        for columns, other in zip(over_x.split(TILE), y.split(TILE), strict=True):
            kernel = torch.mm(part, other.mT).div_(x.shape[1]).add_(1).pow_(3)
            rows += kernel.sum(1)
            columns += kernel.sum(0)
    return over_y, over_x


def _kernel_of_itself(x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    return (x.square().mean(1) + 1).pow(3)
