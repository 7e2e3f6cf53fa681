"""Translations along directions, and the rank-one transition of Toledo-Marin and Glazier."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.operators.projections import project_out
from latentry.latent.operators.vectors import ORTHONORMAL, dot, unit_directions
from latentry.numerics.inputs import checked

__all__ = ["conditional_direction", "transition", "translate"]


@checked(differentiable=True)
def translate(
    z: Float[Tensor, "n d"],
    direction: Float[Tensor, "d"] | Float[Tensor, "n d"],
    step: float | Float[Tensor, ""] | Float[Tensor, "n"],
) -> Float[Tensor, "n d"]:
    """Move codes along a direction by a length. Along the normal of a boundary, it is the edit of InterFaceGAN.

    The norm of the codes changes.

    Reference: Shen et al. (2020), section 2.3.

    Args:
        z: Codes.
        direction: A direction of any length, for all codes or for each.
        step: Length of the move, for all codes or for each. A negative one moves backwards.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite.

    Example:
        >>> import torch, latentry as lt
        >>> lt.operators.translate(torch.zeros(1, 2), torch.tensor([3.0, 4.0]), 10.0)
        tensor([[6., 8.]])
    """
    return z + torch.as_tensor(step, dtype=z.dtype, device=z.device).reshape(-1, 1) * unit_directions(z, direction)


@checked(differentiable=True)
def conditional_direction(direction: Float[Tensor, "*n d"], conditions: Float[Tensor, "k d"]) -> Float[Tensor, "*n d"]:
    """Unit vectors along directions from which other directions are projected out.

    A move along them does not change a code's components on the others.

    Reference: Shen et al. (2020), section 2.4, there for one condition.

    Raises:
        ValueError: The conditions do not fit, or a direction lies in their span.

    Example:
        >>> import torch, latentry as lt
        >>> direction, conditions = torch.tensor([3.0, 4.0]), torch.tensor([[1.0, 0.0]])
        >>> lt.operators.conditional_direction(direction, conditions)
        tensor([0., 1.])
    """
    rows = direction.reshape(-1, direction.shape[-1])
    left = project_out(rows, conditions)
    if not (left.norm(dim=1) > ORTHONORMAL * rows.norm(dim=1)).all():
        raise ValueError("expected directions outside the span of the conditions, got one within; leave a condition out")
    return (left / left.norm(dim=1, keepdim=True)).reshape(direction.shape)


@checked(differentiable=True)
def transition(
    z: Float[Tensor, "n d"], a: Float[Tensor, "d"], b: Float[Tensor, "d"], *, standardise: bool = True
) -> Float[Tensor, "n d"]:
    """The rank-one operator of Toledo-Marin and Glazier, T z = b <a, z>, for comparison.

    Reference: Toledo-Marin and Glazier (2023). In their films each code is standardised over its own elements after each T.

    Args:
        z: Codes, with a component along a.
        a, b: The vector to leave and the vector to reach.
        standardise: Whether each code is given mean 0 and standard deviation 1 over its elements.

    Raises:
        ValueError: The vectors do not fit the codes or are zero, or codes to standardise have fewer than two elements or
            nothing that differs.

    Example:
        >>> import torch, latentry as lt
        >>> z, a, b = torch.tensor([[2.0, 7.0]]), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> lt.operators.transition(z, a, b, standardise=False)
        tensor([[0., 2.]])
    """
    unit_directions(z, a), unit_directions(z, b)
    moved = dot(z, a.to(z)) * b.to(z)
    if not standardise:
        return moved
    if z.shape[1] < 2:
        raise ValueError("expected codes of two elements or more to standardise, got one; pass standardise=False")
    centred = moved - moved.mean(1, keepdim=True)
    std = (centred.square().sum(1, keepdim=True) / (z.shape[1] - 1)).sqrt()
    if not (std > 0).all():
        raise ValueError(
            f"expected codes with a component along a, and a b of elements that differ, got {int((std <= 0).sum())} of "
            f"{len(z)} with nothing to standardise; drop them, or pass standardise=False"
        )
    return centred / std
