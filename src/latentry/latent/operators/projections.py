"""Projections onto a subspace and out of it, and the reflection at a hyperplane."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.operators.vectors import dot, unit_directions
from latentry.numerics.inputs import checked

__all__ = ["project_onto", "project_out", "reflect"]


@checked(differentiable=True)
def project_onto(z: Float[Tensor, "n d"], rows: Float[Tensor, "k d"]) -> Float[Tensor, "n d"]:
    """The component of codes in the span of rows. The rows may be dependent and need not be orthogonal.

    Raises:
        ValueError: The rows do not fit the codes, or are not finite.

    Example:
        >>> import torch, latentry as lt
        >>> lt.operators.project_onto(torch.tensor([[1.0, 2.0, 3.0]]), torch.eye(3)[:2])
        tensor([[1., 2., 0.]])
    """
    if len(rows) == 0 or rows.shape[1] != z.shape[1] or not rows.isfinite().all():
        raise ValueError(f"expected finite rows of shape (k, {z.shape[1]}), k >= 1, got {tuple(rows.shape)}")
    _, singular, axes = torch.linalg.svd(rows.double(), full_matrices=False)
    span = axes[singular > singular[0] * max(rows.shape) * torch.finfo(rows.dtype).eps].to(z)
    return z @ span.mT @ span


@checked(differentiable=True)
def project_out(z: Float[Tensor, "n d"], rows: Float[Tensor, "k d"]) -> Float[Tensor, "n d"]:
    """The component of codes that is orthogonal to all rows.

    Raises:
        ValueError: As in `project_onto`.

    Example:
        >>> import torch, latentry as lt
        >>> lt.operators.project_out(torch.tensor([[1.0, 2.0, 3.0]]), torch.eye(3)[:2])
        tensor([[0., 0., 3.]])
    """
    return z - project_onto(z, rows)


@checked(differentiable=True)
def reflect(z: Float[Tensor, "n d"], normal: Float[Tensor, "d"] | Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Mirror codes at the hyperplane through 0 with this normal, which may have any length.

    The reflection is its own inverse and keeps the norm.

    Reference: Householder, 1958; Golub and Van Loan (2013), section 5.1.

    Raises:
        ValueError: The normal does not fit the codes, is zero or not finite.

    Example:
        >>> import torch, latentry as lt
        >>> lt.operators.reflect(torch.tensor([[1.0, 2.0]]), torch.tensor([3.0, 0.0]))
        tensor([[-1.,  2.]])
    """
    u = unit_directions(z, normal)
    return z - 2 * dot(z, u) * u
