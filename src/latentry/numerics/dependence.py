r"""Tests of dependence between coordinates of codes.

Let :math:`s_{ij} = \Phi^{-1}(F(z_{ij}))` be normal scores: independent N(0, 1) where the codes are from their prior. The n
scores of coordinate j, made a unit vector :math:`h_j`, are then uniform on a sphere in :math:`R^n`, and

.. math:: Q = \sum_{j < k} r_{jk}^2, \qquad r_{jk} = \langle h_j, h_k \rangle,

sums correlations that are independent in pairs, with :math:`r^2 \sim B(1/2, (n - 1) / 2)`. Only triangles depend, with
:math:`E[r_{12}^2 r_{23}^2 r_{13}^2] = (n + 8) / (n^2 (n + 2)^2)`. So the mean, the variance and the third moment of Q are
known exactly, and a shifted gamma distribution with these three (Pearson III) serves as its distribution.

A large Q means correlated coordinates, be it one pair or all a little; a small one means codes that were whitened.

References: Schott, "Testing for complete independence in high dimensions", 2005 (Q and its first two moments).
"""

import math

import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

from latentry.numerics.edges import log_normal_cdf

__all__ = ["correlation_p_value", "correlation_statistic", "far_normal_scores", "normal_scores"]

_FAR = -300.0
_NEWTON_STEPS = 4
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def normal_scores(log_cdf: Float[Tensor, "*s"], log_sf: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Phi^-1(F(x)) from the logarithms of F(x) and 1 - F(x), each used where it is the smaller; within +-37.

    Example:
        >>> u = torch.tensor([0.5, 0.8413447])
        >>> normal_scores(u.log(), (-u).log1p()).round(decimals=4).abs()
        tensor([0., 1.])
    """
    smaller = torch.minimum(log_cdf, log_sf).clamp(min=-690).exp()
    return torch.special.ndtri(smaller) * torch.where(log_cdf < log_sf, 1, -1)


def far_normal_scores(log_cdf: Float[Tensor, "*s"], log_sf: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """The same without bound: beyond a tail of exp(-300) by Newton's method for log Phi, with a gradient everywhere.

    Example:
        >>> x = torch.tensor([-100.0, 2.0])
        >>> far_normal_scores(log_normal_cdf(x), log_normal_cdf(-x)).round()
        tensor([-100.,    2.])
    """
    tail = torch.minimum(log_cdf, log_sf)
    far = tail.clamp(max=_FAR)
    x = (-2 * far).sqrt()
    for _ in range(_NEWTON_STEPS):
        below = log_normal_cdf(-x)
        x = x + (below - far) * (below + 0.5 * x.square() + _LOG_SQRT_2PI).exp()  # over the slope of log Phi(-x)
    size = torch.where(tail < _FAR, x, -normal_scores(tail.clamp(min=_FAR), torch.zeros_like(tail)))
    return size * torch.where(log_cdf < log_sf, -1, 1)


def correlation_statistic(scores: Float[Tensor, "n d"]) -> float:
    """Sum of the squared correlations of all pairs of coordinates, about a mean known to be 0.

    Reference: Schott (2005), without centring.

    Example:
        >>> scores = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
        >>> round(correlation_statistic(scores), 6)  # of two coordinates with correlation 1
        1.0
    """
    unit = scores / scores.norm(dim=0).clamp(min=1e-300)
    gram = unit.mT @ unit if scores.shape[1] <= scores.shape[0] else unit @ unit.mT  # same sum of squares
    return ((gram.square().sum() - unit.square().sum(0).square().sum()) / 2).item()


def correlation_p_value(statistic: float, n: int, d: int) -> float:
    """Probability that n codes of d independent normal scores have a Q at least this large.

    Exact for two coordinates, else Pearson III with the exact first three moments; see the module's theory.

    Raises:
        ValueError: There are fewer than two codes or coordinates.

    Example:
        >>> correlation_p_value(0.0, n=10, d=2)
        1.0
    """
    if n < 2 or d < 2:
        raise ValueError(f"expected at least two codes of at least two coordinates, got {n} of {d}")
    if d == 2:
        return float(special.betaincc(0.5, (n - 1) / 2, min(1.0, statistic)))
    first, second, third = 1 / n, 3 / (n * (n + 2)), 15 / (n * (n + 2) * (n + 4))
    pairs, triangles = d * (d - 1) / 2, d * (d - 1) * (d - 2) / 6
    mean = pairs * first
    variance = pairs * (second - first**2)
    skew = pairs * (third - 3 * first * second + 2 * first**3)
    skew += 6 * triangles * ((n + 8) / (n**2 * (n + 2) ** 2) - 1 / n**3)
    scale, shape = skew / (2 * variance), 4 * variance**3 / skew**2
    return float(special.gammaincc(shape, max(0.0, (statistic - mean) / scale + shape)))
