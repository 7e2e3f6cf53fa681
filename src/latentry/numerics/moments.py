r"""Count, mean and scatter of a sample, which can be computed in parts and merged.

Two parts with counts :math:`n_a, n_b`, means :math:`m_a, m_b` and scatters :math:`M_a, M_b` (sums of
:math:`(x - m)(x - m)^T`) merge exactly:

.. math::
    n = n_a + n_b, \quad \delta = m_b - m_a, \quad
    m = m_a + \frac{n_b}{n} \delta, \quad
    M = M_a + M_b + \frac{n_a n_b}{n} \delta \delta^T .

So a million rows need the memory of one batch and one d x d matrix. Everything is in float64, and each part is centred
before it is squared: features far from the origin lose no digits.

Reference: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.linalg import gram

__all__ = ["Moments", "merge_all", "merge_moments", "moments"]


@dataclass(frozen=True)
class Moments:
    """First two moments of a sample.

    Example:
        >>> moments(torch.tensor([[0.0, 1.0], [2.0, 1.0]])).mean
        tensor([1., 1.], dtype=torch.float64)
    """

    count: int
    """Number of rows, n."""
    mean: Float[Tensor, "d"]
    """Their mean, in float64."""
    scatter: Float[Tensor, "d d"]
    """Sum of (x - mean)(x - mean)^T, in float64."""

    @property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Unbiased covariance, scatter / (n - 1)."""
        if self.count < 2:
            raise ValueError(f"expected at least two rows for a covariance, got {self.count}; take more samples")
        return self.scatter / (self.count - 1)


def moments(x: Float[Tensor, "n d"]) -> Moments:
    """Moments of the rows of x.

    Raises:
        ValueError: There are no rows, or they hold NaN or infinity.

    Example:
        >>> moments(torch.tensor([[0.0, 1.0], [2.0, 1.0]])).covariance
        tensor([[2., 0.],
                [0., 0.]], dtype=torch.float64)
    """
    if len(x) == 0:
        raise ValueError("expected at least one row, got none; leave empty batches out")
    x = x.detach().double()
    mean = x.mean(0)
    if not mean.isfinite().all():  # as one bad value makes it, and far cheaper to look at
        raise ValueError(f"expected finite rows, got NaN or infinity in {int((~x.isfinite()).any(1).sum())} of {len(x)}")
    return Moments(len(x), mean, gram(x - mean))


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Moments of both samples together; exact, whatever the split.

    Example:
        >>> x = torch.arange(12.0).view(6, 2)
        >>> merged = merge_moments(moments(x[:2]), moments(x[2:]))
        >>> merged.count, torch.allclose(merged.mean, x.double().mean(0))
        (6, True)
    """
    count = a.count + b.count
    step = b.mean - a.mean
    scatter = torch.addr(a.scatter + b.scatter, step, step, alpha=a.count * b.count / count)
    return Moments(count, a.mean + (b.count / count) * step, scatter)


def merge_all(parts: Iterable[Moments]) -> Moments:
    """Moments of one or more samples together.

    Example:
        >>> x = torch.arange(12.0).view(6, 2)
        >>> merge_all(moments(part) for part in x.split(2)).mean
        tensor([5., 6.], dtype=torch.float64)
    """
    return reduce(merge_moments, parts)
