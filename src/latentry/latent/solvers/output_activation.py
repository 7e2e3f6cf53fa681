r"""The output activation of a generator, and residuals before it.

Most generators end in tanh or a sigmoid, perhaps scaled and shifted. Where an image is black or white these are flat:
different codes give almost the same image. For data made by such a generator, with its range brought to (-1, 1), the
residuals

.. math:: \operatorname{artanh}((1 - \epsilon) G(z)) - \operatorname{artanh}((1 - \epsilon) x)

vanish at the same codes as G(z) - x. Their Jacobian is that of the network without its last flat layer, which is far better
conditioned. The price is that noise in x is magnified where x is near the ends, by :math:`1 / (2 \epsilon)` at most. So
:math:`\epsilon` is small for exact data, and one level for data of eight bits. Data that no code makes are finished with
plain residuals.

The activation is read from autograd's graph of some outputs, not from the values of samples. The graph leads back from the
outputs to the last operation of more than one input. On this path there must be a tanh or a sigmoid, and the operations
after it must be one affine map for all elements.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.differences import Difference

__all__ = ["OutputActivation", "range_of_last_layer", "output_activation_of"]

_EXACT, _EIGHT_BIT = 1e-6, 1 / 255
_CLOSE = 0.9
"""How near to an end of its range a squashed output comes now and then."""
_AFFINE = 1e-4
"""Largest deviation from an affine map, over the width of the range, that rounding may make."""
_LOWEST = {"TanhBackward0": -1.0, "SigmoidBackward0": 0.0}
"""Lower ends of what squashes, by the name of its backward step; the upper ends are 1."""


@dataclass(frozen=True)
class OutputActivation:
    """The range that a generator's last layer squashes into."""

    low: float
    """Its lower end."""
    high: float
    """Its upper end."""
    epsilon: float
    """How far short of the ends values are drawn in."""

    def undo(self, x: Tensor) -> Tensor:
        """artanh of values in the range, brought to (-1, 1)."""
        unit = (2 * x - self.low - self.high) / (self.high - self.low)
        return torch.atanh((1 - self.epsilon) * unit.clamp(-1, 1))


def output_activation_of(
    ends: tuple[float, float] | None,
    x_own: Float[Tensor, "n *s"],
    x: Float[Tensor, "k *s"],
    difference: Difference,
    eight_bit: bool,
) -> OutputActivation | None:
    """The generator's output activation, where the data are in its range and the difference is one of plain pixels.

    Args:
        ends: What `range_of_last_layer` says of it.
        x_own: Some of the generator's own outputs.
        x: The data.
        difference: What is compared.
        eight_bit: Whether the data have eight bits.
    """
    if ends is None or difference.norm != "l2" or difference.operator is not None or difference.extractor is not None:
        return None
    low, high = ends
    slack = _AFFINE * (high - low)
    comes_near = ((2 * x_own - low - high) / (high - low)).abs().max() > _CLOSE
    if comes_near and low - slack <= x.min() and x.max() <= high + slack:
        return OutputActivation(low, high, _EIGHT_BIT if eight_bit else _EXACT)
    return None


def range_of_last_layer(x_own: Float[Tensor, "n *s"]) -> tuple[float, float] | None:
    """Both ends of what a generator can make, where it ends in tanh or a sigmoid; None where it does not, or none shows.

    Args:
        x_own: Some of its outputs, with their graph.
    """
    for step in _way_back(x_own):
        lowest = _LOWEST.get(step.name())
        if lowest is not None:
            return _affine_ends(step._saved_result.detach(), x_own.detach(), lowest)
    return None


def _way_back(x: Tensor) -> Iterator[Any]:
    """The steps of a graph from its end to the last one that joined several inputs."""
    step: Any = x.grad_fn
    while step is not None:
        yield step
        before = [one for one, _ in step.next_functions if one is not None]
        step = before[0] if len(before) == 1 else None


def _affine_ends(squashed: Tensor, x: Tensor, lowest: float) -> tuple[float, float] | None:
    """What an affine map that turns `squashed` into x makes of the ends `lowest` and 1; None where there is no such map."""
    if squashed.numel() != x.numel():
        return None
    s, made = squashed.flatten().double(), x.flatten().double()
    first, last = s.argmin(), s.argmax()
    slope = (made[last] - made[first]) / (s[last] - s[first])
    if not (slope.isfinite() and slope != 0):
        return None
    offset = made[first] - slope * s[first]
    if (made - slope * s - offset).abs().max() > _AFFINE * slope.abs():
        return None
    ends = [(slope * end + offset).item() for end in (lowest, 1.0)]
    return min(ends), max(ends)
