"""Rotations in planes: by one angle, to one phase, along a path of planes, and in many planes at once."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.operators.vectors import check_orthonormal, dot
from latentry.numerics.inputs import checked

__all__ = ["phase", "rotate", "rotate_along", "rotate_to_phase", "rotation_matrix", "skew_rotation"]


@checked(differentiable=True)
def rotate(
    z: Float[Tensor, "n d"],
    plane: Float[Tensor, "2 d"] | Float[Tensor, "n 2 d"],
    angle: float | Float[Tensor, ""] | Float[Tensor, "n"],
    *,
    centre: Float[Tensor, "d"] | None = None,
) -> Float[Tensor, "n d"]:
    """Turn codes in a plane, from its first axis towards its second. The rest of each code stays.

    Reference: Golub and Van Loan (2013), section 5.1; R of the module's theory.

    Args:
        z: Codes.
        plane: Two orthonormal rows, one plane for all codes or one for each code.
        angle: Angle in radians, for all codes or for each; any sign and size.
        centre: The point of rotation, 0 by default. The distance to it is kept. Pass the mean of a prior whose mean is
            not 0. Do not pass the offset of a basis: a rotation about it changes the norm of codes.

    Raises:
        ValueError: The plane does not fit the codes or is not orthonormal, there are not as many angles as codes, or
            something is not finite.

    Example:
        >>> import torch, latentry as lt
        >>> z, plane = torch.tensor([[1.0, 0.0, 5.0]]), torch.eye(3)[:2]
        >>> lt.operators.rotate(z, plane, torch.pi / 6)
        tensor([[0.8660, 0.5000, 5.0000]])
    """
    a, b = _axes(z, plane)
    theta = torch.as_tensor(angle, dtype=z.dtype, device=z.device)
    if theta.shape not in ((), (len(z),)) or not theta.isfinite().all():
        raise ValueError(f"expected one finite angle, or one for each of {len(z)} codes, got shape {tuple(theta.shape)}")
    from_centre = z if centre is None else z - centre
    c_a, c_b = dot(from_centre, a), dot(from_centre, b)
    cos, sin = (part.reshape(-1, 1) for part in (theta.cos(), theta.sin()))
    return z + ((cos - 1) * c_a - sin * c_b) * a + ((cos - 1) * c_b + sin * c_a) * b


@checked(differentiable=True)
def rotation_matrix(plane: Float[Tensor, "2 d"], angle: float) -> Float[Tensor, "d d"]:
    """The matrix R of `rotate`: `rotate(z, plane, angle)` is `z @ rotation_matrix(plane, angle).mT`.

    Raises:
        ValueError: As in `rotate`.

    Example:
        >>> import torch, latentry as lt
        >>> lt.operators.rotation_matrix(torch.eye(2), torch.pi / 6)
        tensor([[ 0.8660, -0.5000],
                [ 0.5000,  0.8660]])
    """
    return rotate(torch.eye(plane.shape[1], dtype=plane.dtype, device=plane.device), plane, angle).mT


@checked(differentiable=True)
def phase(z: Float[Tensor, "n d"], plane: Float[Tensor, "2 d"] | Float[Tensor, "n 2 d"]) -> Float[Tensor, "n"]:
    """Angle of each code's component in a plane, in (-pi, pi], 0 along its first axis and pi / 2 along its second.

    Raises:
        ValueError: As in `rotate`.

    Example:
        >>> import torch, latentry as lt
        >>> z, plane = torch.tensor([[1.0, 1.0, 5.0]]), torch.eye(3)[:2]
        >>> lt.operators.phase(z, plane)  # pi / 4
        tensor([0.7854])
    """
    a, b = _axes(z, plane)
    return torch.atan2(dot(z, b), dot(z, a)).squeeze(1)


@checked(differentiable=True)
def rotate_to_phase(
    z: Float[Tensor, "n d"],
    plane: Float[Tensor, "2 d"] | Float[Tensor, "n 2 d"],
    angle: float = math.pi / 2,
    *,
    centre: Float[Tensor, "d"] | None = None,
) -> Float[Tensor, "n d"]:
    """Turn each code in a plane by its own angle, so that its phase there becomes `angle`.

    By default the component in the plane ends on the second axis. Codes that differ only in their phase become equal. One
    needs their old phases to undo the operator.

    Args:
        z, plane, centre: As in `rotate`.
        angle: The phase to reach, in radians.

    Raises:
        ValueError: As in `rotate`.

    Example:
        >>> import torch, latentry as lt
        >>> z, plane = torch.tensor([[3.0, 4.0, 5.0], [4.0, -3.0, 5.0]]), torch.eye(3)[:2]
        >>> lt.operators.rotate_to_phase(z, plane, torch.pi / 4)
        tensor([[3.5355, 3.5355, 5.0000],
                [3.5355, 3.5355, 5.0000]])
    """
    return rotate(z, plane, angle - phase(z if centre is None else z - centre, plane), centre=centre)


@checked(differentiable=True)
def rotate_along(
    z: Float[Tensor, "n d"], path: Float[Tensor, "k d"], t: float, *, centre: Float[Tensor, "d"] | None = None
) -> Float[Tensor, "n d"]:
    """Turn codes along a path through orthonormal vectors: t quarter turns, each from one vector onto the next.

    For a film in which each code takes the labels of the vectors one after another, start from
    `rotate_within(z, path, path[0])`.

    Args:
        z: Codes.
        path: Orthonormal rows, two or more, in the order of the path.
        t: Position on the path in [0, k - 1]: at 0 nothing is turned, at 1 the first vector is on the second.
        centre: As in `rotate`.

    Raises:
        ValueError: The rows do not fit the codes, are fewer than two or not orthonormal, or t is outside the path.

    Example:
        >>> import torch, latentry as lt
        >>> path = torch.eye(3)
        >>> lt.operators.rotate_along(path[:1], path, 1.5).abs()
        tensor([[0.0000, 0.7071, 0.7071]])
    """
    if len(path) < 2 or not 0 <= t <= len(path) - 1:
        raise ValueError(f"expected a path of two rows or more and t in [0, {len(path) - 1}], got {len(path)} rows, t = {t}")
    check_orthonormal(path)
    for start in range(math.ceil(t)):
        z = rotate(z, path[start : start + 2], min(1.0, t - start) * math.pi / 2, centre=centre)
    return z


@checked(differentiable=True)
def skew_rotation(z: Float[Tensor, "n d"], skew: Float[Tensor, "d d"], t: float = 1.0) -> Float[Tensor, "n d"]:
    """Turn codes by exp(t A) for a skew-symmetric A: a rotation in up to d / 2 planes at once.

    For :math:`A = b a^T - a b^T` it is `rotate` by the angle t.

    Raises:
        ValueError: The matrix does not fit the codes, is not skew-symmetric, or is too large for its exponential.

    Example:
        >>> import torch, latentry as lt
        >>> z, skew = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        >>> lt.operators.skew_rotation(z, skew, torch.pi / 6)
        tensor([[0.8660, 0.5000]])
    """
    d = z.shape[1]
    if skew.shape != (d, d) or not (skew + skew.mT).abs().max() <= 1e-5 * skew.abs().max():
        raise ValueError(
            f"expected a skew-symmetric matrix ({d}, {d}), got {tuple(skew.shape)}; take (A - A.mT) / 2 of a square one"
        )
    rotation = torch.linalg.matrix_exp(t * skew.double())
    if not rotation.isfinite().all():
        largest = t * skew.abs().max().item()
        raise ValueError(f"expected t A of moderate size, got elements up to {largest:.3g}; take a smaller t")
    return z @ rotation.mT.to(z)


def _axes(z: Tensor, plane: Tensor) -> tuple[Float[Tensor, "*n d"], Float[Tensor, "*n d"]]:
    if plane.shape not in ((2, z.shape[1]), (len(z), 2, z.shape[1])):
        raise ValueError(
            f"expected a plane of shape (2, {z.shape[1]}), or ({len(z)}, 2, {z.shape[1]}) for one each, "
            f"got {tuple(plane.shape)}"
        )
    check_orthonormal(plane)
    a, b = plane.to(z).unbind(-2)
    return a, b
