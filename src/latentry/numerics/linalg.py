r"""Symmetric matrices: an eigendecomposition with fixed order and signs, and products at half the cost.

An eigenvector is known up to its sign, and LAPACK's choice changes with the machine. Here eigenvalues fall, and the entry of
largest magnitude in each eigenvector is positive, so that a basis is the same wherever it is computed. Of entries of equal
magnitude, but for a part in ten thousand, the first one counts: an axis such as (1, -1) would else take its sign from
rounding. (Within a repeated eigenvalue any rotation is as good as another, and nothing can fix it.)

A product that is known to be symmetric needs only one triangle: half of :math:`X^T X`, and for a lower triangular L, by
strips of columns, a third of the two full products in :math:`L^T S L`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["congruent_lower", "gram", "symmetric_eigh", "with_fixed_signs"]

STRIP = 256
"""Columns worked on at once: enough for a matrix product at full speed, few enough to skip most of the other triangle."""

_TIE = 1e-4
"""Entries whose sizes differ by a smaller share are as large as each other."""


def symmetric_eigh(a: Float[Tensor, "d d"]) -> tuple[Float[Tensor, "d"], Float[Tensor, "d d"]]:
    """Eigenvalues of a symmetric matrix, largest first, and its eigenvectors as columns with their largest entry positive.

    Raises:
        ValueError: The matrix holds NaN or infinity.

    Example:
        >>> symmetric_eigh(torch.diag(torch.tensor([1.0, 3.0])))[0]
        tensor([3., 1.])
    """
    if not a.isfinite().all():
        raise ValueError("expected a finite symmetric matrix, got NaN or infinity; look for them in the data")
    values, vectors = torch.linalg.eigh(a)
    values, vectors = values.flip(-1), vectors.flip(-1)
    return values, with_fixed_signs(vectors.mT).mT


def with_fixed_signs(rows: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """Rows with the sign that makes their largest entry positive, the first of those that are as large.

    Example:
        >>> with_fixed_signs(torch.tensor([[-2.0], [1.0]]))
        tensor([[2.],
                [1.]])
    """
    if rows.numel() == 0:
        return rows
    sizes = rows.abs()
    first = (sizes >= (1 - _TIE) * sizes.amax(1, keepdim=True)).double().argmax(1, keepdim=True)
    return rows * torch.where(rows.gather(1, first) < 0, -1.0, 1.0).to(rows)


def gram(x: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """X^T X, on the CPU by numpy, which sees that both factors are one and computes one triangle; torch does not.

    Example:
        >>> gram(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        tensor([[2., 1.],
                [1., 1.]])
    """
    if x.device.type != "cpu":
        return x.mT @ x
    array = x.detach().numpy()
    return torch.from_numpy(array.T @ array)


def congruent_lower(lower: Float[Tensor, "d d"], s: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """Lower triangle of L^T S L for lower triangular L and symmetric S; what stands above it is undefined."""
    d = len(s)
    strips = [(start, min(start + STRIP, d)) for start in range(0, d, STRIP)]
    right = torch.empty_like(s)
    for start, stop in strips:  # L[:, start:stop] is zero above row `start`
        right[:, start:stop] = s[:, start:] @ lower[start:, start:stop]
    product = torch.empty_like(s)
    for start, stop in strips:
        product[start:stop, :stop] = lower[start:, start:stop].mT @ right[start:, :stop]
    return product
