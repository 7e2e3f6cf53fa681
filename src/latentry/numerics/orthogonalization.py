r"""Orthonormal rows: Gram-Schmidt, symmetric orthogonalization, and the orthogonal complement.

For linearly independent rows V:

- **Gram-Schmidt** subtracts from each row its projection onto the rows before it. The first row keeps its direction, and the
  result depends on the order of the rows. In the modified form the projection onto a new row is subtracted from all later
  rows at once. A second pass makes the result orthonormal to rounding, whatever the condition of V (Giraud et al., 2005).
- **Loewdin** treats all rows alike,

  .. math:: U = (V V^T)^{-1/2} V = A B^T \quad \text{for} \quad V = A S B^T,

  the orthonormal rows nearest to V in the Frobenius norm, and the orthogonal factor of the polar decomposition. A
  permutation of the rows of V permutes the rows of U.

Both compute in float64 and return the dtype of their argument.

References: Löwdin, "On the non-orthogonality problem connected with the use of atomic wave functions", 1950; Giraud, Langou,
Rozloznik, "The loss of orthogonality in the Gram-Schmidt orthogonalization process", 2005; Higham, "Computing the polar
decomposition, with applications", 1986.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["complete", "gram_schmidt", "loewdin", "orthogonal_complement"]

_DEPENDENT = 1e-10
"""Share of a row's length below which what is left of it is rounding."""


def gram_schmidt(v: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """Orthonormal rows of which the first i span what the first i rows of v span, each on the side of its own row.

    Reference: modified Gram-Schmidt, in two passes (Giraud et al., 2005).

    Raises:
        ValueError: A row is a combination of those before it, or not finite; the message names the first such row.

    Example:
        >>> gram_schmidt(torch.tensor([[2.0, 0.0], [2.0, 3.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    _check_rows(v)
    rows, independent = _orthonormal(v.double())
    if len(independent) < len(v):
        first = next(index for index in range(len(v)) if index not in independent)
        raise ValueError(
            f"expected linearly independent rows, but row {first} of {len(v)} is a combination of those before it; "
            "leave it out, or take more data"
        )
    return rows.to(v)


def loewdin(v: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """The orthonormal rows nearest to v, all treated alike: (V V^T)^(-1/2) V.

    Reference: Löwdin (1950).

    Raises:
        ValueError: The rows are linearly dependent or not finite.

    Example:
        >>> loewdin(torch.tensor([[1.0, 0.2], [0.2, 1.0]])).round(decimals=4).abs()
        tensor([[1., 0.],
                [0., 1.]])
    """
    _check_rows(v)
    left, sizes, right = torch.linalg.svd(v.double(), full_matrices=False)
    if sizes[-1] <= _DEPENDENT * sizes[0]:
        rank = int((sizes > _DEPENDENT * sizes[0]).sum())
        raise ValueError(
            f"expected linearly independent rows, got {len(v)} of rank {rank}; leave some out, or take more data"
        )
    return (left @ right).to(v)


def complete(rows: Float[Tensor, "k d"], candidates: Float[Tensor, "c d"]) -> Float[Tensor, "m d"]:
    """Orthonormal rows, and after them what is new in the candidates, made orthonormal in their order.

    Candidates that are combinations of what stands before them are passed over, so that there are never more than d rows.

    Raises:
        ValueError: The rows are not orthonormal, or rows or candidates are not finite.

    Example:
        >>> complete(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    together = torch.cat([rows.double(), candidates.double()])
    if not together.isfinite().all():
        raise ValueError("expected finite rows and candidates, got NaN or infinity")
    _check_orthonormal(rows)
    return torch.cat([rows, _orthonormal(together)[0][len(rows) :].to(rows)])


def orthogonal_complement(rows: Float[Tensor, "k d"]) -> Float[Tensor, "c d"]:
    """Orthonormal rows that span all directions orthogonal to the given ones, which may be dependent.

    Example:
        >>> orthogonal_complement(torch.tensor([[1.0, 0.0, 0.0]])).shape
        torch.Size([2, 3])
    """
    if len(rows) == 0:
        return torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    _, sizes, right = torch.linalg.svd(rows.double(), full_matrices=True)
    rank = int((sizes > _DEPENDENT * sizes[0]).sum())
    return right[rank:].to(rows)


def _orthonormal(v: Float[Tensor, "k d"]) -> tuple[Float[Tensor, "m d"], list[int]]:
    """Modified Gram-Schmidt without dependent rows, and the indices of the independent ones."""
    lengths = v.norm(dim=1)
    left = v.clone()
    rows = v.new_zeros(min(v.shape), v.shape[1])
    independent: list[int] = []
    for index, length in enumerate(lengths.tolist()):
        if len(independent) == v.shape[1]:
            break
        before = rows[: len(independent)]
        row = left[index] - (before @ left[index]) @ before  # the second pass
        size = row.norm()
        if size <= _DEPENDENT * length:
            continue
        rows[len(independent)] = row / size
        independent.append(index)
        left[index + 1 :] -= torch.outer(left[index + 1 :] @ rows[len(independent) - 1], rows[len(independent) - 1])
    return rows[: len(independent)], independent


def _check_rows(v: Tensor) -> None:
    if v.ndim != 2 or not 1 <= len(v) <= v.shape[1]:
        raise ValueError(f"expected 1 <= k <= d rows of length d, got shape {tuple(v.shape)}; more cannot be independent")
    if not v.isfinite().all():
        raise ValueError(f"expected finite rows, got NaN or infinity in {int((~v.isfinite()).any(1).sum())} of {len(v)}")


def _check_orthonormal(rows: Tensor) -> None:
    gap = (rows @ rows.mT - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).abs()
    if len(rows) and gap.max() > 100 * torch.finfo(rows.dtype).eps * rows.shape[1]:
        raise ValueError(f"expected orthonormal rows, got inner products off by up to {gap.max():.2g}; orthogonalise them")
