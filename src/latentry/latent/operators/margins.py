"""Moves of each code until a linear classifier of codes gives a label with a margin: a rotation and a translation."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from latentry.latent.operators.rotations_towards import rotate_towards
from latentry.latent.operators.vectors import unit_directions
from latentry.numerics.inputs import checked

__all__ = ["rotate_to_margin", "translate_to_margin"]

_STEP = 0.02
"""Radians of one step of `rotate_to_margin`."""


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
        margin: Margin to reach, in units of the scores, for all codes or for each: the strength of the edit. A code that has
            this margin already stays. To reach a small margin first and a larger one later gives the same result as the
            larger margin at once.
        most: Largest angle in radians. A code that has not reached the margin by then stops there.

    Raises:
        ValueError: The classifier does not fit the codes, has one label only, a label is not one of its own, or margins are
            not as many as codes.

    Example:
        >>> import torch, latentry as lt
        >>> z, weights, bias = torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.zeros(2)
        >>> turned = lt.operators.rotate_to_margin(z, weights, bias, torch.tensor([1]), 0.5)
        >>> bool(turned[0, 1] - turned[0, 0] >= 0.5), round(turned.norm().item(), 3)
        (True, 1.0)
    """
    _check_classifier(z, weights, bias, y)
    margins = torch.as_tensor(margin, dtype=z.dtype, device=z.device)
    if margins.shape not in ((), (len(z),)):
        raise ValueError(f"expected one margin, or one for each of {len(z)} codes, got shape {tuple(margins.shape)}")
    w, is_y = weights.to(z), one_hot(y, len(weights)).bool()
    for _ in range(math.ceil(most / _STEP)):
        scores = z @ w.mT + bias.to(z)
        rivals = scores.masked_fill(is_y, -math.inf)
        short = scores[is_y] - rivals.amax(1) < margins
        if not short.any():
            break
        uphill = w[y] - rivals.softmax(1) @ w
        z = torch.where(short[:, None], rotate_towards(z, uphill, _STEP), z)
    return z


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
    r"""Move each code along a straight line until a linear classifier of codes gives a label with a margin.

    The direction is :math:`w_y` minus the mean of the other weights. Along it, the lead of label y over each other label is
    linear in the step, so the smallest sufficient step has a closed form. It is the edit of InterFaceGAN with a step for
    each code. Unlike `rotate_to_margin` it changes the norm.

    Args:
        z, weights, bias, y, margin: As in `rotate_to_margin`.
        most: Largest step. A code that would need a larger one is moved by this step.

    Raises:
        ValueError: As in `rotate_to_margin`.

    Example:
        >>> import torch, latentry as lt
        >>> z, weights, bias = torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.zeros(2)
        >>> lt.operators.translate_to_margin(z, weights, bias, torch.tensor([1]), 0.5)
        tensor([[0.2500, 0.7500]])
    """
    _check_classifier(z, weights, bias, y)
    w = weights.to(z)
    direction = w[y] - (w.sum(0) - w[y]) / (len(w) - 1)
    u = unit_directions(z, direction)
    scores, slopes = z @ w.mT + bias.to(z), u @ w.mT
    is_y = one_hot(y, len(w)).bool()
    lead, gain = scores[is_y][:, None] - scores, slopes[is_y][:, None] - slopes
    short = (margin - lead).masked_fill(is_y, 0).clamp(min=0)
    step = torch.where(short > 0, torch.where(gain > 0, short / gain, math.inf), 0).amax(1).clamp(max=most)
    return z + step[:, None] * u


def _check_classifier(z: Tensor, weights: Tensor, bias: Tensor, y: Tensor) -> None:
    k = len(weights)
    if weights.shape[1] != z.shape[1] or len(bias) != k or k < 2:
        raise ValueError(
            f"expected weights (k, {z.shape[1]}) and bias (k,), k >= 2, got {tuple(weights.shape)} and {tuple(bias.shape)}"
        )
    if len(y) != len(z) or not ((y >= 0) & (y < k)).all():
        raise ValueError(f"expected one label in 0..{k - 1} for each of {len(z)} codes, got {len(y)}")
