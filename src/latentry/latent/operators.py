r"""Operators on codes: rotations first, and what they are compared with.

A rotation keeps the norm of every code and the distribution N(0, I) as a whole: R z is from the prior wherever z is, if R
does not depend on z. In the plane of two orthonormal vectors a and b,

.. math:: R = I + (\cos\theta - 1)(a a^T + b b^T) + \sin\theta \, (b a^T - a b^T)

turns a towards b and leaves the other d - 2 dimensions alone. It costs O(d) a code; no matrix is built. Every rotation is
a product of such ones, and the exponential of a skew-symmetric matrix, :math:`R(t) = e^{t A}`, :math:`A^T = -A`.

*From label a to label b.* A code has components :math:`(c_a, c_b) = r (\cos\varphi, \sin\varphi)` in the plane of two label
vectors, and its phase :math:`\varphi` may be anything. There are several rotations that may be meant by a -> b:

=========================  =========================================================================================
`rotate`                   by one angle for all codes, 90 degrees from a to b: the operator that takes :math:`\xi_a` to
                           :math:`\xi_b`. A code whose phase is not 0 ends elsewhere than on b. Undone by the same angle
                           backwards.
`rotate_to_phase`          by each code's own angle, so that the phase ends on b. All of r is then b's; but r is the length
                           of two coordinates among d, and labels other than a and b keep theirs.
`rotate_within`            of the whole label sub-domain: the component of a code in the span of all label vectors is turned
                           onto :math:`\xi_b`, by the shortest way or part of it. No label is left to contradict b.
`rotate_towards`,          of the whole code towards a direction, in the plane of both, by an angle or until its component
`rotate_to_component`      along the direction is large enough.
`rotate_to_margin`         until a linear classifier of codes gives b with a margin, uphill all the way; each code moves as
                           little as its own start asks for.
=========================  =========================================================================================

The last four do not move all codes alike. They keep each norm exactly, but the moved codes together have more of b than
codes of the prior, as codes with the label b have.

*Along a path* :math:`\xi_0 \to \xi_1 \to \dots`, t from 0 to k - 1 is the composition of quarter turns

.. math::
    R(t) = R_{j, j+1}\big((t - j) \pi / 2\big) \, R_{j-1, j}(\pi / 2) \cdots R_{0, 1}(\pi / 2), \qquad j = \lfloor t \rfloor,

which carries :math:`\xi_0` through all of them and all of the rest of a code along. A code of label 0 has components on the
other label vectors too, and they say their own; after `rotate_within` onto :math:`\xi_0` all it says of labels is on the
path.

The *transition* of Toledo-Marin and Glazier is :math:`T = \xi_b \xi_a^T`, of rank one, after which each code is standardised
over its own elements. Every code ends on plus or minus one and the same vector: the label is reached, all else is lost.
*Translation* along the normal of a linear boundary is the edit of Shen et al.; a direction from which others are projected
out does not move along these. It changes the norm.

All operators are differentiable in codes, vectors and angles. They take what `numerics.inputs` says, numpy arrays among it.

References: Toledo-Marin and Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
2023; Golub and Van Loan, "Matrix computations", 2013, ch. 5 (rotations, reflections); Shen et al., "Interpreting the latent
space of GANs for semantic face editing", 2020 (InterFaceGAN: translation, conditional directions).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from latentry.numerics.inputs import checked

__all__ = [
    "conditional_direction",
    "phase",
    "project_onto",
    "project_out",
    "reflect",
    "rotate",
    "rotate_along",
    "rotate_to_component",
    "rotate_to_margin",
    "rotate_to_phase",
    "rotate_towards",
    "rotate_within",
    "rotation_matrix",
    "skew_rotation",
    "transition",
    "translate",
    "translate_to_margin",
]

_ORTHONORMAL = 1e-3
"""Largest error of a scalar product among rows that count as orthonormal."""

_STEP = 0.02
"""Radians that `rotate_to_margin` goes at once."""


@checked(differentiable=True)
def rotate(
    z: Float[Tensor, "n d"],
    plane: Float[Tensor, "2 d"] | Float[Tensor, "n 2 d"],
    angle: float | Float[Tensor, ""] | Float[Tensor, "n"],
    *,
    centre: Float[Tensor, "d"] | None = None,
) -> Float[Tensor, "n d"]:
    """Turn codes in a plane, from its first axis towards its second; the rest of each code stays.

    Reference: Golub and Van Loan (2013), section 5.1; R of the module's theory.

    Args:
        z: Codes.
        plane: Two orthonormal rows, for all codes or for each of its own.
        angle: Angle in radians, for all codes or for each; any sign and size.
        centre: What is turned about, the mean of the prior; None for 0. The distance to it is kept. (The offset of a basis
            is no such centre: turned about that, codes change their norm.)

    Raises:
        ValueError: The plane does not fit the codes or is not orthonormal, there are not as many angles as codes, or
            something is not finite.
    """
    a, b = _axes(z, plane)
    theta = torch.as_tensor(angle, dtype=z.dtype, device=z.device)
    if theta.shape not in ((), (len(z),)) or not theta.isfinite().all():
        raise ValueError(f"expected one finite angle, or one for each of {len(z)} codes, got shape {tuple(theta.shape)}")
    from_centre = z if centre is None else z - centre
    c_a, c_b = _component(from_centre, a), _component(from_centre, b)
    cos, sin = (part.reshape(-1, 1) for part in (theta.cos(), theta.sin()))
    return z + ((cos - 1) * c_a - sin * c_b) * a + ((cos - 1) * c_b + sin * c_a) * b


@checked(differentiable=True)
def rotation_matrix(plane: Float[Tensor, "2 d"], angle: float) -> Float[Tensor, "d d"]:
    """The matrix R of `rotate`: `rotate(z, plane, angle)` is `z @ rotation_matrix(plane, angle).mT`.

    Raises:
        ValueError: As in `rotate`.
    """
    return rotate(torch.eye(plane.shape[1], dtype=plane.dtype, device=plane.device), plane, angle).mT


@checked(differentiable=True)
def phase(z: Float[Tensor, "n d"], plane: Float[Tensor, "2 d"] | Float[Tensor, "n 2 d"]) -> Float[Tensor, "n"]:
    """Angle of each code's component in a plane, in (-pi, pi], 0 along its first axis and pi / 2 along its second.

    Raises:
        ValueError: As in `rotate`.
    """
    a, b = _axes(z, plane)
    return torch.atan2(_component(z, b), _component(z, a)).squeeze(1)


@checked(differentiable=True)
def rotate_to_phase(
    z: Float[Tensor, "n d"],
    plane: Float[Tensor, "2 d"] | Float[Tensor, "n 2 d"],
    angle: float = math.pi / 2,
    *,
    centre: Float[Tensor, "d"] | None = None,
) -> Float[Tensor, "n d"]:
    """Turn each code in a plane by its own angle until its phase there is `angle`: on the second axis by default.

    Codes that differed by their phase alone are then the same: unlike `rotate` it is undone only with their old phases.

    Args:
        z, plane, centre: As in `rotate`.
        angle: The phase to reach, in radians.

    Raises:
        ValueError: As in `rotate`.
    """
    return rotate(z, plane, angle - phase(z if centre is None else z - centre, plane), centre=centre)


@checked(differentiable=True)
def rotate_towards(
    z: Float[Tensor, "n d"],
    target: Float[Tensor, "d"] | Float[Tensor, "n d"],
    angle: float | Float[Tensor, ""] | Float[Tensor, "n"],
) -> Float[Tensor, "n d"]:
    """Turn each code towards a direction in the plane of both, and no further than onto it.

    A code along the direction or against it has no such plane, and stays.

    Args:
        z: Codes.
        target: A direction of any length, for all codes or for each.
        angle: Angle in radians, at least 0, for all codes or for each.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite, or an angle is negative.
    """
    theta = torch.as_tensor(angle, dtype=z.dtype, device=z.device)
    if theta.shape not in ((), (len(z),)) or not (theta >= 0).all():
        raise ValueError(
            f"expected an angle >= 0, or one for each of {len(z)} codes, got shape {tuple(theta.shape)}; to turn away, pass "
            "the opposite direction"
        )
    u = _directions(z, target)
    along, norm = _component(z, u), z.norm(dim=1, keepdim=True)
    apart = torch.atan2((z - along * u).norm(dim=1, keepdim=True), along)
    return _at_angle(z, u, norm, (apart - theta.reshape(-1, 1)).clamp(min=0))


@checked(differentiable=True)
def rotate_to_component(
    z: Float[Tensor, "n d"], target: Float[Tensor, "d"] | Float[Tensor, "n d"], component: float
) -> Float[Tensor, "n d"]:
    """Turn each code towards a direction until its component along it, in units of length, is `component`.

    Codes that have as much already stay; those that are shorter than that end on the direction.

    Args:
        z, target: As in `rotate_towards`.
        component: The scalar product with the unit vector to be reached; the strength of the edit.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite.
    """
    u = _directions(z, target)
    along, norm = _component(z, u), z.norm(dim=1, keepdim=True)
    wanted = (component / norm.clamp(min=torch.finfo(z.dtype).tiny)).clamp(-1, 1).acos()
    return torch.where(along >= component, z, _at_angle(z, u, norm, wanted))


@checked(differentiable=True)
def rotate_within(
    z: Float[Tensor, "n d"],
    rows: Float[Tensor, "k d"],
    target: Float[Tensor, "d"] | Float[Tensor, "n d"],
    share: float = 1.0,
) -> Float[Tensor, "n d"]:
    """Turn the component of each code in a subspace towards a direction of it, by part of the angle between the two.

    What lies outside the subspace stays as it is, and so does the norm inside: for the label vectors of a basis and one of
    them as the target, all that a code says about labels says that one.

    Args:
        z: Codes.
        rows: Vectors that span the subspace, orthogonal or not.
        target: A direction, for all codes or for each; what of it is outside the subspace is left out.
        share: How much of the angle between component and direction: 0 for nothing, 1 for all of it.

    Raises:
        ValueError: The rows or the direction do not fit the codes, the direction has nothing inside, or the share is
            outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share of the angle in [0, 1], got {share}")
    inside = project_onto(z, rows)
    u = _directions(z, project_onto(target.reshape(-1, z.shape[1]).to(z), rows))
    along = _component(inside, u)
    apart = torch.atan2((inside - along * u).norm(dim=1, keepdim=True), along)
    return z - inside + _at_angle(inside, u, inside.norm(dim=1, keepdim=True), (1 - share) * apart)


@checked(differentiable=True)
def rotate_to_margin(
    z: Float[Tensor, "n d"],
    weights: Float[Tensor, "k d"],
    bias: Float[Tensor, "k"],
    y: Int[Tensor, "n"],
    margin: float | Float[Tensor, ""] | Float[Tensor, "n"],
    *,
    most: float = math.pi / 2,
) -> Float[Tensor, "n d"]:
    r"""Turn each code, uphill on the sphere of its norm, until a linear classifier of codes gives a label with a margin.

    With scores :math:`s_k(z) = \langle w_k, z \rangle + b_k` and :math:`q` the softmax of the scores of all labels but y,
    each step is a small rotation towards :math:`w_y - \sum_k q_k w_k`, the gradient of the soft margin
    :math:`s_y - \log \sum_{k \ne y} e^{s_k}`. A code stops where :math:`s_y - \max_{k \ne y} s_k \ge` `margin`.

    Args:
        z: Codes.
        weights, bias: The linear classifier, such as a logistic regression of labels on codes.
        y: The label each code shall have.
        margin: Margin to reach in units of the scores, for all codes or for each; the strength of the edit. A code that has
            it already stays. Smaller margins on the way to a larger one are stages of the same way.
        most: Longest way in radians; a code that has no such margin there ends where it is.

    Raises:
        ValueError: The classifier does not fit the codes, has one label only, a label is not one of its own, or margins are
            not as many as codes.
    """
    _check_classifier(z, weights, bias, y)
    wanted = torch.as_tensor(margin, dtype=z.dtype, device=z.device)
    if wanted.shape not in ((), (len(z),)):
        raise ValueError(f"expected one margin, or one for each of {len(z)} codes, got shape {tuple(wanted.shape)}")
    w, is_y = weights.to(z), one_hot(y, len(weights)).bool()
    for _ in range(math.ceil(most / _STEP)):
        scores = z @ w.mT + bias.to(z)
        rivals = scores.masked_fill(is_y, -math.inf)
        short = scores[is_y] - rivals.amax(1) < wanted
        if not short.any():
            break
        uphill = w[y] - rivals.softmax(1) @ w
        z = torch.where(short[:, None], rotate_towards(z, uphill, _STEP), z)
    return z


@checked(differentiable=True)
def rotate_along(
    z: Float[Tensor, "n d"], path: Float[Tensor, "k d"], t: float, *, centre: Float[Tensor, "d"] | None = None
) -> Float[Tensor, "n d"]:
    """Turn codes along a path through orthonormal vectors: by t quarter turns, each from one vector onto the next.

    For a film in which each code has the label of each vector in turn, start at `rotate_within(z, path, path[0])`.

    Args:
        z: Codes.
        path: Orthonormal rows, two or more, in the order of the path.
        t: Place on the path in [0, k - 1]: 0 for nothing, 1 for the first vector on the second, k - 1 for the end.
        centre: As in `rotate`.

    Raises:
        ValueError: The rows do not fit the codes, are fewer than two or not orthonormal, or t is outside the path.
    """
    if len(path) < 2 or not 0 <= t <= len(path) - 1:
        raise ValueError(f"expected a path of two rows or more and t in [0, {len(path) - 1}], got {len(path)} rows, t = {t}")
    _check_orthonormal(path)
    for start in range(math.ceil(t)):
        z = rotate(z, path[start : start + 2], min(1.0, t - start) * math.pi / 2, centre=centre)
    return z


@checked(differentiable=True)
def skew_rotation(z: Float[Tensor, "n d"], skew: Float[Tensor, "d d"], t: float = 1.0) -> Float[Tensor, "n d"]:
    """Turn codes by exp(t A) for a skew-symmetric A: a rotation in up to d / 2 planes at once.

    For :math:`A = b a^T - a b^T` it is `rotate` by the angle t.

    Raises:
        ValueError: The matrix does not fit the codes, is not skew-symmetric, or is too large for its exponential.
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


@checked(differentiable=True)
def transition(
    z: Float[Tensor, "n d"], a: Float[Tensor, "d"], b: Float[Tensor, "d"], *, standardise: bool = True
) -> Float[Tensor, "n d"]:
    """The rank-one operator of Toledo-Marin and Glazier, T z = b <a, z>, for comparison.

    Reference: Toledo-Marin and Glazier (2023); in their films each code is standardised over its own elements after each T.

    Args:
        z: Codes, with a component along a.
        a, b: From which vector to which.
        standardise: Whether each code is given mean 0 and standard deviation 1 over its elements.

    Raises:
        ValueError: The vectors do not fit the codes or are zero, or codes to standardise have fewer than two elements or
            nothing that differs.
    """
    _directions(z, a), _directions(z, b)
    moved = _component(z, a.to(z)) * b.to(z)
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


@checked(differentiable=True)
def translate(
    z: Float[Tensor, "n d"],
    direction: Float[Tensor, "d"] | Float[Tensor, "n d"],
    step: float | Float[Tensor, ""] | Float[Tensor, "n"],
) -> Float[Tensor, "n d"]:
    """Move codes along a direction by a length; for a boundary's normal the edit of InterFaceGAN. The norm changes.

    Reference: Shen et al. (2020), section 2.3.

    Args:
        z: Codes.
        direction: A direction of any length, for all codes or for each.
        step: How far, in units of length, for all codes or for each; any sign.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite.
    """
    return z + torch.as_tensor(step, dtype=z.dtype, device=z.device).reshape(-1, 1) * _directions(z, direction)


@checked(differentiable=True)
def conditional_direction(direction: Float[Tensor, "*n d"], conditions: Float[Tensor, "k d"]) -> Float[Tensor, "*n d"]:
    """Unit vectors along what is left of directions when others are projected out: moves that leave those alone.

    Reference: Shen et al. (2020), section 2.4, there for one condition.

    Raises:
        ValueError: The conditions do not fit, or nothing of a direction is left.
    """
    rows = direction.reshape(-1, direction.shape[-1])
    left = project_out(rows, conditions)
    if not (left.norm(dim=1) > _ORTHONORMAL * rows.norm(dim=1)).all():
        raise ValueError("expected directions outside the span of the conditions, got one within; leave a condition out")
    return (left / left.norm(dim=1, keepdim=True)).reshape(direction.shape)


@checked(differentiable=True)
def translate_to_margin(
    z: Float[Tensor, "n d"],
    weights: Float[Tensor, "k d"],
    bias: Float[Tensor, "k"],
    y: Int[Tensor, "n"],
    margin: float,
    *,
    most: float = 16.0,
) -> Float[Tensor, "n d"]:
    r"""Move each code straight across the boundary of a label, until a linear classifier gives the label with a margin.

    The direction is :math:`w_y` less the mean of the other weights; along it the lead over each rival is linear in the step,
    so that the least step is known. It is the edit of InterFaceGAN with a step of its own for each code, the straight
    neighbour of `rotate_to_margin`; it changes the norm.

    Args:
        z, weights, bias, y, margin: As in `rotate_to_margin`.
        most: Longest step; a code that has no such margin within it takes it whole.

    Raises:
        ValueError: As in `rotate_to_margin`.
    """
    _check_classifier(z, weights, bias, y)
    w = weights.to(z)
    direction = w[y] - (w.sum(0) - w[y]) / (len(w) - 1)
    u = _directions(z, direction)
    scores, slopes = z @ w.mT + bias.to(z), u @ w.mT
    is_y = one_hot(y, len(w)).bool()
    lead, gain = scores[is_y][:, None] - scores, slopes[is_y][:, None] - slopes
    short = (margin - lead).masked_fill(is_y, 0).clamp(min=0)
    step = torch.where(short > 0, torch.where(gain > 0, short / gain, math.inf), 0).amax(1).clamp(max=most)
    return z + step[:, None] * u


@checked(differentiable=True)
def reflect(z: Float[Tensor, "n d"], normal: Float[Tensor, "d"] | Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Mirror codes at the hyperplane through 0 with this normal, of any length; its own inverse, and keeps the norm.

    Reference: Householder, 1958; Golub and Van Loan (2013), section 5.1.

    Raises:
        ValueError: The normal does not fit the codes, is zero or not finite.
    """
    u = _directions(z, normal)
    return z - 2 * _component(z, u) * u


@checked(differentiable=True)
def project_onto(z: Float[Tensor, "n d"], rows: Float[Tensor, "k d"]) -> Float[Tensor, "n d"]:
    """The component of codes in the span of rows, which need be neither orthogonal nor independent.

    Raises:
        ValueError: The rows do not fit the codes, or are not finite.
    """
    if len(rows) == 0 or rows.shape[1] != z.shape[1] or not rows.isfinite().all():
        raise ValueError(f"expected finite rows of shape (k, {z.shape[1]}), k >= 1, got {tuple(rows.shape)}")
    _, singular, axes = torch.linalg.svd(rows.double(), full_matrices=False)
    span = axes[singular > singular[0] * max(rows.shape) * torch.finfo(rows.dtype).eps].to(z)
    return z @ span.mT @ span


@checked(differentiable=True)
def project_out(z: Float[Tensor, "n d"], rows: Float[Tensor, "k d"]) -> Float[Tensor, "n d"]:
    """What of codes is orthogonal to rows.

    Raises:
        ValueError: As in `project_onto`.
    """
    return z - project_onto(z, rows)


def _component(z: Float[Tensor, "n d"], u: Float[Tensor, "*n d"]) -> Float[Tensor, "n 1"]:
    return (z * u).sum(1, keepdim=True)


def _at_angle(
    z: Float[Tensor, "n d"], u: Float[Tensor, "n d"], norm: Float[Tensor, "n 1"], angle: Float[Tensor, "n 1"]
) -> Float[Tensor, "n d"]:
    """The code of this norm at this angle to u, in the half-plane of u and z; z itself where it is along u."""
    beside = z - _component(z, u) * u
    length = beside.norm(dim=1, keepdim=True)
    # rounding leaves a remainder without a direction
    flat = length <= 8 * torch.finfo(z.dtype).eps * norm
    turned = norm * (angle.cos() * u + angle.sin() * beside / torch.where(flat, 1, length))
    return torch.where(flat, z, turned)


def _directions(z: Tensor, direction: Tensor) -> Float[Tensor, "n d"]:
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


def _check_classifier(z: Tensor, weights: Tensor, bias: Tensor, y: Tensor) -> None:
    k = len(weights)
    if weights.shape[1] != z.shape[1] or len(bias) != k or k < 2:
        raise ValueError(
            f"expected weights (k, {z.shape[1]}) and bias (k,), k >= 2, got {tuple(weights.shape)} and {tuple(bias.shape)}"
        )
    if len(y) != len(z) or not ((y >= 0) & (y < k)).all():
        raise ValueError(f"expected one label in 0..{k - 1} for each of {len(z)} codes, got {len(y)}")


def _axes(z: Tensor, plane: Tensor) -> tuple[Float[Tensor, "*n d"], Float[Tensor, "*n d"]]:
    if plane.shape not in ((2, z.shape[1]), (len(z), 2, z.shape[1])):
        raise ValueError(
            f"expected a plane of shape (2, {z.shape[1]}), or ({len(z)}, 2, {z.shape[1]}) for one each, "
            f"got {tuple(plane.shape)}"
        )
    _check_orthonormal(plane)
    a, b = plane.to(z).unbind(-2)
    return a, b


def _check_orthonormal(rows: Float[Tensor, "*n k d"]) -> None:
    products = rows @ rows.mT
    error = (products - torch.eye(rows.shape[-2], dtype=rows.dtype, device=rows.device)).abs()
    if not (error <= _ORTHONORMAL).all():  # NaN too
        raise ValueError(
            f"expected orthonormal rows, got scalar products off by up to {error.max().item():.3g}; take "
            "`basis.plane(a, b)`, or orthonormalise them with torch.linalg.qr(rows.mT).Q.mT"
        )
