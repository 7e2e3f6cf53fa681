"""Rotations of each code towards a direction, in the plane of both."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.operators.projections import project_onto
from latentry.latent.operators.vectors import dot, unit_directions
from latentry.numerics.inputs import checked

__all__ = ["rotate_to_component", "rotate_towards", "rotate_within"]


@checked(differentiable=True)
def rotate_towards(
    z: Float[Tensor, "n d"],
    target: Float[Tensor, "d"] | Float[Tensor, "n d"],
    angle: float | Float[Tensor, ""] | Float[Tensor, "n"],
) -> Float[Tensor, "n d"]:
    """Turn each code towards a direction, in the plane of both, but not beyond it.

    A code that is parallel or antiparallel to the direction spans no plane with it. It stays as it is.

    Args:
        z: Codes.
        target: A direction of any length, for all codes or for each.
        angle: Angle in radians, at least 0, for all codes or for each.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite, or an angle is negative.

    Example:
        >>> import torch, latentry as lt
        >>> z, target = torch.tensor([[2.0, 0.0]]), torch.tensor([0.0, 9.0])
        >>> lt.operators.rotate_towards(z, target, torch.pi / 6)
        tensor([[1.7321, 1.0000]])
    """
    theta = torch.as_tensor(angle, dtype=z.dtype, device=z.device)
    if theta.shape not in ((), (len(z),)) or not (theta >= 0).all():
        raise ValueError(
            f"expected an angle >= 0, or one for each of {len(z)} codes, got shape {tuple(theta.shape)}; to turn away, pass "
            "the opposite direction"
        )
    u = unit_directions(z, target)
    along, norm = dot(z, u), z.norm(dim=1, keepdim=True)
    apart = torch.atan2((z - along * u).norm(dim=1, keepdim=True), along)
    return _at_angle(z, u, norm, (apart - theta.reshape(-1, 1)).clamp(min=0))


@checked(differentiable=True)
def rotate_to_component(
    z: Float[Tensor, "n d"], target: Float[Tensor, "d"] | Float[Tensor, "n d"], component: float
) -> Float[Tensor, "n d"]:
    """Turn each code towards a direction until its component along it, in units of length, is `component`.

    Codes whose component is large enough stay. Codes whose norm is smaller than `component` end on the direction.

    Args:
        z, target: As in `rotate_towards`.
        component: Scalar product with the unit vector that is to be reached. It is the strength of the edit.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite.

    Example:
        >>> import torch, latentry as lt
        >>> z, target = torch.tensor([[5.0, 0.0], [0.0, 5.0]]), torch.tensor([0.0, 1.0])
        >>> lt.operators.rotate_to_component(z, target, 4.0)  # the second code has more already
        tensor([[3., 4.],
                [0., 5.]])
    """
    u = unit_directions(z, target)
    along, norm = dot(z, u), z.norm(dim=1, keepdim=True)
    angle = (component / norm.clamp(min=torch.finfo(z.dtype).tiny)).clamp(-1, 1).acos()
    return torch.where(along >= component, z, _at_angle(z, u, norm, angle))


@checked(differentiable=True)
def rotate_within(
    z: Float[Tensor, "n d"],
    rows: Float[Tensor, "k d"],
    target: Float[Tensor, "d"] | Float[Tensor, "n d"],
    share: float = 1.0,
) -> Float[Tensor, "n d"]:
    """Turn the component of each code in a subspace towards a direction there, by a share of the angle between them.

    The component outside the subspace stays, and so does the norm of the component inside. With the label vectors of a basis
    as rows and one of them as the target, the code has no component left on any other label vector.

    Args:
        z: Codes.
        rows: Vectors that span the subspace, orthogonal or not.
        target: A direction, for all codes or for each. Only its component in the subspace counts.
        share: Share of the angle between component and direction, from 0 (no rotation) to 1 (onto the direction).

    Raises:
        ValueError: The rows or the direction do not fit the codes, the direction has nothing inside, or the share is
            outside [0, 1].

    Example:
        >>> import torch, latentry as lt
        >>> z, labels = torch.tensor([[3.0, 4.0, 7.0]]), torch.eye(3)[:2]
        >>> lt.operators.rotate_within(z, labels, labels[0])
        tensor([[5., 0., 7.]])
    """
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share of the angle in [0, 1], got {share}")
    inside = project_onto(z, rows)
    u = unit_directions(z, project_onto(target.reshape(-1, z.shape[1]).to(z), rows))
    along = dot(inside, u)
    apart = torch.atan2((inside - along * u).norm(dim=1, keepdim=True), along)
    return z - inside + _at_angle(inside, u, inside.norm(dim=1, keepdim=True), (1 - share) * apart)


def _at_angle(
    z: Float[Tensor, "n d"], u: Float[Tensor, "n d"], norm: Float[Tensor, "n 1"], angle: Float[Tensor, "n 1"]
) -> Float[Tensor, "n d"]:
    """The code of this norm at this angle to u, in the half-plane of u and z; z itself where it is along u."""
    beside = z - dot(z, u) * u
    length = beside.norm(dim=1, keepdim=True)
    # rounding leaves a remainder without a direction
    flat = length <= 8 * torch.finfo(z.dtype).eps * norm
    turned = norm * (angle.cos() * u + angle.sin() * beside / torch.where(flat, 1, length))
    return torch.where(flat, z, turned)
