"""Mean codes of labels, orthonormalised, and directions orthogonal to them: the start of every basis of labels."""

import math

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from latentry.latent.label_draws import Labelled
from latentry.numerics.group_moments import group_moments, merge_all_groups
from latentry.numerics.linalg import symmetric_eigh, with_fixed_signs
from latentry.numerics.orthogonalization import orthogonal_complement

__all__ = ["check_dimensions", "labelled_by", "lifted", "principal_rest"]

_AT_ONCE = 4096
"""Codes whose moments are taken at once."""


def labelled_by(z: Float[Tensor, "n d"], y: Int[Tensor, "labels"] | Float[Tensor, "labels k"]) -> Labelled:
    """Moments of given codes by label.

    Raises:
        ValueError: There is not one label or row of probabilities for each code, a label is negative, or codes hold NaN.
    """
    if len(z) == 0 or len(y) != len(z):
        raise ValueError(f"expected one label for each of the codes, got {len(y)} for {len(z)}")
    if y.ndim == 1 and y.min() < 0:
        raise ValueError(f"expected labels from 0 up, got {int(y.min())}; number the classes anew")
    weights = one_hot(y.long()).to(z) if y.ndim == 1 else y.to(z)
    parts = zip(z.split(_AT_ONCE), weights.split(_AT_ONCE), strict=True)
    return Labelled(merge_all_groups(group_moments(*part) for part in parts), z[:_AT_ONCE])


def lifted(centred_means: Float[Tensor, "k d"], within: Float[Tensor, "d d"]) -> Float[Tensor, "k d"]:
    """Centred means, lifted along the direction beside them in which codes of one label vary least, until independent."""
    k = len(centred_means)
    along = principal_rest(centred_means[:-1], within)[-1]  # the last mean is minus the sum of the others
    radius = centred_means.square().sum(1).mean().sqrt()
    return centred_means + radius / math.sqrt(k - 1) * along


def principal_rest(rows: Float[Tensor, "k d"], scatter: Float[Tensor, "d d"]) -> Float[Tensor, "c d"]:
    """Orthonormal principal directions of a scatter beside given rows, the widest first, with their largest entry positive.

    Signs are set here: those of axes in the complement depend on its basis, which is any.
    """
    beside = orthogonal_complement(rows)
    if len(beside) == 0:
        return beside
    _, axes = symmetric_eigh(beside @ scatter @ beside.mT)
    return with_fixed_signs(axes.mT @ beside)


def check_dimensions(num_labels: int, d: int, fewest: int = 2) -> None:
    """Make sure that there are labels to tell apart, and room for all of them."""
    if num_labels < fewest:
        raise ValueError(f"expected {fewest} labels or more, got {num_labels}; a basis needs something to tell apart")
    if d < num_labels:
        raise ValueError(
            f"expected at least as many dimensions as labels, got codes of length {d} for {num_labels} labels; "
            "merge labels, or use directions that need none (latentry.latent.directions)"
        )
