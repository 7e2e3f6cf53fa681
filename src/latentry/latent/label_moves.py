"""Operators from one label to another behind one signature, so that they can be compared at equal success.

Each has a strength: an angle, a part of the way, a component, a margin of the scores, or a step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentry.latent.boundaries import LinearClassifier
from latentry.latent.operators import (
    conditional_direction,
    rotate,
    rotate_to_component,
    rotate_to_margin,
    rotate_within,
    transition,
    translate,
    translate_to_margin,
)
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis

__all__ = ["LABEL_MOVES", "LabelMove", "Move"]

Move = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""Codes, their labels, their target labels, and a strength, to moved codes."""


@dataclass(frozen=True)
class LabelMove:
    """An operator from label to label whose strength is open.

    Example:
        >>> import torch
        >>> from latentry.latent.boundaries import fit_linear_classifier
        >>> from latentry.latent.spectral import basis_from_codes
        >>> z, y = torch.randn(60, 4), torch.arange(60) % 3
        >>> move = LABEL_MOVES["within"].make(basis_from_codes(z, y), fit_linear_classifier(z, y))
        >>> moved = move(z, y, (y + 1) % 3, 0.5)
        >>> torch.allclose(moved.norm(dim=1), z.norm(dim=1), rtol=1e-4)
        True
    """

    title: str
    """What tables call it."""
    make: Callable[[QuasiEigenbasis, LinearClassifier], Move]
    """The move of a basis and of linear scores of the labels; each operator needs one of them."""
    low: float
    high: float
    """Between which its strength is searched."""


def _by_pair(move: Callable[[Tensor, int, int, float], Tensor]) -> Move:
    """A move that differs from pair to pair of labels."""

    def moved(z: Tensor, y: Tensor, target: Tensor, strength: float) -> Tensor:
        result = z.clone()
        for a, b in torch.stack([y, target], 1).unique(dim=0).tolist():
            rows = (y == a) & (target == b)
            result[rows] = move(z[rows], a, b, strength)
        return result

    return moved


def _plane(basis: QuasiEigenbasis, _: LinearClassifier) -> Move:
    return _by_pair(lambda z, a, b, angle: rotate(z, basis.plane(a, b), angle))


def _within(basis: QuasiEigenbasis, _: LinearClassifier) -> Move:
    rows = basis.vectors[: basis.num_labels]
    return lambda z, y, target, part: rotate_within(z, rows, rows[target], part)


def _component(basis: QuasiEigenbasis, _: LinearClassifier) -> Move:
    return lambda z, y, target, component: rotate_to_component(z, basis.vectors[target], component)


def _margin(_: QuasiEigenbasis, scores: LinearClassifier) -> Move:
    return lambda z, y, target, margin: rotate_to_margin(z, scores.weights, scores.bias, target, margin)


def _boundary(_: QuasiEigenbasis, scores: LinearClassifier) -> Move:
    w = scores.weights
    return _by_pair(lambda z, a, b, step: translate(z, w[b] - (w.sum(0) - w[b]) / (len(w) - 1), step))


def _boundary_conditional(_: QuasiEigenbasis, scores: LinearClassifier) -> Move:
    w = scores.weights

    def move(z: Tensor, a: int, b: int, step: float) -> Tensor:
        others = torch.cat([w[:b], w[b + 1 :]])
        return translate(z, conditional_direction(w[b], others - others.mean(0)), step)

    return _by_pair(move)


def _boundary_margin(_: QuasiEigenbasis, scores: LinearClassifier) -> Move:
    return lambda z, y, target, margin: translate_to_margin(z, scores.weights, scores.bias, target, margin)


def _added(basis: QuasiEigenbasis, _: LinearClassifier) -> Move:
    return lambda z, y, target, step: z + step * torch.nn.functional.normalize(basis.vectors[target], dim=1)


def _transition(basis: QuasiEigenbasis, _: LinearClassifier) -> Move:
    return _by_pair(lambda z, a, b, strength: transition(z, basis.vectors[a], basis.vectors[b]))


LABEL_MOVES: dict[str, LabelMove] = {
    "rotate": LabelMove("plane rotation by one angle", _plane, 0.0, 3.1),
    "within": LabelMove("rotation of the label sub-domain", _within, 0.0, 1.0),
    "component": LabelMove("rotation onto the vector", _component, 0.0, 10.0),
    "margin": LabelMove("rotation to a margin", _margin, 0.0, 12.0),
    "translate": LabelMove("translation across the boundary", _boundary, 0.0, 16.0),
    "translate-conditional": LabelMove("the same, other scores held", _boundary_conditional, 0.0, 16.0),
    "translate-margin": LabelMove("translation to a margin", _boundary_margin, 0.0, 12.0),
    "add": LabelMove("adding the vector", _added, 0.0, 16.0),
    "transition": LabelMove("the paper's transition", _transition, 0.0, 1.0),
}
"""Operators by name, in the order of the table."""
