"""Unit vectors, components along them, and orthonormal rows, as arguments of the operators."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["ORTHONORMAL", "check_orthonormal", "dot", "unit_directions"]

ORTHONORMAL = 1e-3
"""Largest error of a scalar product among rows that count as orthonormal."""


def dot(z: Float[Tensor, "n d"], u: Float[Tensor, "*n d"]) -> Float[Tensor, "n 1"]:
    """Scalar product of each code with a vector."""
    return (z * u).sum(1, keepdim=True)


def unit_directions(z: Tensor, direction: Tensor) -> Float[Tensor, "n d"]:
    """Unit vectors, one for each code or one for all."""
    rows = direction.reshape(-1, direction.shape[-1]).to(z)
    if rows.shape[1] != z.shape[1] or len(rows) not in (1, len(z)):
        raise ValueError(
            f"expected one direction of length {z.shape[1]}, or one for each of {len(z)} codes, got {tuple(direction.shape)}"
        )
    norm = rows.norm(dim=1, keepdim=True)
    if not (norm.isfinite() & (norm > 0)).all():
        raise ValueError("expected finite directions other than 0, got one that is zero or not finite")
    return (rows / norm).expand(z.shape)


def check_orthonormal(rows: Float[Tensor, "*n k d"]) -> None:
    products = rows @ rows.mT
    error = (products - torch.eye(rows.shape[-2], dtype=rows.dtype, device=rows.device)).abs()
    if not (error <= ORTHONORMAL).all():  # NaN too
        raise ValueError(
            f"expected orthonormal rows, got scalar products off by up to {error.max().item():.3g}; take "
            "`basis.plane(a, b)`, or orthonormalise them with torch.linalg.qr(rows.mT).Q.mT"
        )
