r"""Weighted means of groups and the scatter within them, which can be computed in parts and merged.

Row i belongs to group l with weight :math:`w_{il} \ge 0`, :math:`\sum_l w_{il} = 1`: 0 or 1 where labels are known, else
class probabilities. With :math:`W_l = \sum_i w_{il}`, group means :math:`\eta_l = W_l^{-1} \sum_i w_{il} x_i` and the mean m
of all rows, the scatter of all rows parts into that of the means and that within groups,

.. math::
    \sum_i (x_i - m)(x_i - m)^T = \sum_l W_l (\eta_l - m)(\eta_l - m)^T
        + \sum_{il} w_{il} (x_i - \eta_l)(x_i - \eta_l)^T ,

so that sums over rows are enough, and a stream of any length needs the memory of one part.

Reference: Fisher, "The use of multiple measurements in taxonomic problems", 1936 (both scatters).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.numerics.moments import Moments, merge_moments, moments

__all__ = ["GroupMoments", "group_moments", "merge_all_groups", "merge_groups"]


@dataclass(frozen=True)
class GroupMoments:
    """Means of groups and scatter within them.

    Example:
        >>> group_moments(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]])).means
        tensor([[2.],
                [2.]], dtype=torch.float64)
    """

    counts: Int[Tensor, "k"]
    """Rows that belong to each group more than to any other."""
    weights: Float[Tensor, "k"]
    """Total weight of each group, in float64."""
    sums: Float[Tensor, "k d"]
    """Weighted sum of the rows of each group, in float64."""
    whole: Moments
    """Moments of all rows together."""

    @property
    def means(self) -> Float[Tensor, "k d"]:
        """Weighted mean of each group; NaN for one without weight."""
        return self.sums / self.weights[:, None]

    @property
    def within(self) -> Float[Tensor, "d d"]:
        """Scatter of rows about the means of their groups."""
        filled = self.weights > 0
        between = self.means[filled] - self.whole.mean
        return self.whole.scatter - (self.weights[filled, None] * between).mT @ between


def group_moments(x: Float[Tensor, "n d"], weights: Float[Tensor, "n k"]) -> GroupMoments:
    """Moments of the rows of x in k groups.

    Args:
        x: Rows.
        weights: How far each row belongs to each group; each row of it sums to 1.

    Raises:
        ValueError: There are no rows, they are not finite, or weights are no shares.

    Example:
        >>> found = group_moments(torch.tensor([[0.0], [2.0], [9.0]]), torch.eye(2)[[0, 0, 1]])
        >>> found.means, found.counts
        (tensor([[1.],
                [9.]], dtype=torch.float64), tensor([2, 1]))
    """
    if not ((weights >= 0).all() and (weights.sum(1) - 1).abs().max() < 1e-3):  # NaN too
        raise ValueError("expected weights >= 0 that sum to 1 in each row; take a softmax of logits")
    heavy = weights.double()
    counts = torch.bincount(weights.argmax(1), minlength=weights.shape[1])
    return GroupMoments(counts, heavy.sum(0), heavy.mT @ x.detach().double(), moments(x))


def merge_groups(a: GroupMoments, b: GroupMoments) -> GroupMoments:
    """Moments of both samples together; exact, whatever the split.

    Example:
        >>> x, groups = torch.arange(4.0)[:, None], torch.eye(2)[[0, 0, 1, 1]]
        >>> merge_groups(group_moments(x[:2], groups[:2]), group_moments(x[2:], groups[2:])).means
        tensor([[0.5000],
                [2.5000]], dtype=torch.float64)
    """
    return GroupMoments(a.counts + b.counts, a.weights + b.weights, a.sums + b.sums, merge_moments(a.whole, b.whole))


def merge_all_groups(parts: Iterable[GroupMoments]) -> GroupMoments:
    """Moments of one or more samples together, one part in memory at a time.

    Example:
        >>> x, groups = torch.arange(4.0)[:, None], torch.eye(2)[[0, 0, 1, 1]]
        >>> merge_all_groups(group_moments(x[i : i + 2], groups[i : i + 2]) for i in (0, 2)).counts
        tensor([2, 2])
    """
    return reduce(merge_groups, parts)
