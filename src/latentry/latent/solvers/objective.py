r"""What recovery minimises, as solvers see it.

For data x, a generator G and a prior p(z), each code minimises :math:`L(z) = dif(x, G(z)) + w R(z)`, with the difference of
`latent.differences` and a regularizer R of `latent.regularizers`. A solver of least squares reads the residuals of the
difference instead, and may read them *before the squashing*: most generators end in tanh (or a sigmoid), and where an image
is black or white the tanh is flat, so that codes that differ leave almost no trace. For data made by such a generator

.. math:: \operatorname{artanh}((1 - \epsilon) G(z)) - \operatorname{artanh}((1 - \epsilon) x)

vanishes at the same codes as G(z) - x does, but its Jacobian is that of the network without its last flat step, far better
conditioned. The price is that noise in x is magnified where x is near the ends, by :math:`1 / (2 \epsilon)` at most: so
:math:`\epsilon` is small for exact data and one level for data of eight bits, and data that no code makes are finished on
plain residuals.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.interfaces import Generator, SampledPrior
from latentry.latent.differences import Difference, Target
from latentry.latent.regularizers import Regularizer
from latentry.latent.solvers.jacobian import JacobianMode
from latentry.latent.solvers.prior_frame import PriorFrame

__all__ = ["Objective", "Squashing", "squashing_of"]

_EXACT, _EIGHT_BIT = 1e-6, 1 / 255
_CLOSE = 0.9
"""How near to an end of its range a squashed output comes now and then."""


@dataclass(frozen=True)
class Squashing:
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


@dataclass(frozen=True)
class Objective:
    """The loss of codes, its gradient and its residuals."""

    generator: Generator
    prior: SampledPrior
    difference: Difference
    regularizer: Regularizer | None
    weight: Callable[[float], float]
    """w by the share of the steps done."""
    frame: PriorFrame
    """Where the bulk of the prior lies."""
    squashing: Squashing | None = None
    """What residuals may be freed of, where the difference is one of pixels."""
    jacobian_mode: JacobianMode = "batched"
    """How solvers get at the Jacobian."""

    def loss(self, z: Float[Tensor, "n d"], target: Target, share: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """L of each code, with the weight it has after its share of the steps."""
        return self.difference.loss(self.residuals(z, target)) + self.penalty(z, share)

    def slope(
        self, z: Float[Tensor, "n d"], target: Target, share: Float[Tensor, "n"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n d"]]:
        """L of each code, and its gradient."""
        return _value_and_gradient(lambda codes: self.loss(codes, target, share), z)

    def difference_slope(self, z: Float[Tensor, "n d"], target: Target) -> tuple[Float[Tensor, "n"], Float[Tensor, "n d"]]:
        """The difference of each code to the data, without the regularizer, and its gradient."""
        return _value_and_gradient(lambda codes: self.difference.loss(self.residuals(codes, target)), z)

    def penalty(self, z: Float[Tensor, "n d"], share: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """w R of each code."""
        if self.regularizer is None:
            return z.new_zeros(len(z))
        return z.new_tensor([self.weight(part) for part in share.tolist()]) * self.regularizer(z, self.prior)

    def penalty_slope(
        self, z: Float[Tensor, "n d"], share: Float[Tensor, "n"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n d"]]:
        """w R of each code, and its gradient."""
        if self.regularizer is None:
            return z.new_zeros(len(z)), torch.zeros_like(z)
        return _value_and_gradient(lambda codes: self.penalty(codes, share), z)

    def residuals(self, z: Float[Tensor, "n d"], target: Target) -> Float[Tensor, "n m"]:
        """Residuals of the difference."""
        return self.difference.residuals(self.generator(z), target)

    def unsquashed_residuals(self, z: Float[Tensor, "n d"], target: Target) -> Float[Tensor, "n m"]:
        """Residuals of the difference, before the squashing."""
        assert self.squashing is not None, "only objectives with a squashing have these"
        x_hat, x = self.squashing.undo(self.generator(z)), self.squashing.undo(target.x)
        return ((x_hat - x) * target.seen).flatten(1) * target.scale[:, None]

    def reconstruction_error(self, x_hat: Float[Tensor, "n *s"], target: Target) -> Float[Tensor, "n"]:
        """Mean squared error over what is seen, in the units of the data or of their measurements."""
        made = x_hat if self.difference.operator is None else self.difference.operator(x_hat)
        error = ((made - target.x) * target.seen).flatten(1).square().sum(1)
        return error / target.seen.flatten(1).sum(1)


def _value_and_gradient(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        value = loss(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def squashing_of(
    x_own: Float[Tensor, "n *s"], x: Float[Tensor, "k *s"], difference: Difference, eight_bit: bool
) -> Squashing | None:
    """The squashing that a generator's outputs and the data both show signs of, for a plain difference of pixels.

    Args:
        x_own: Some of the generator's own outputs.
        x: The data.
        difference: What is compared.
        eight_bit: Whether the data have eight bits.
    """
    if difference.norm != "l2" or difference.operator is not None or difference.extractor is not None:
        return None
    for low in (-1.0, 0.0):
        reach = (2 * x_own - low - 1) / (1 - low)
        if _CLOSE < reach.abs().max() <= 1 and x_own.min() < (low + 1) / 2 and low <= x.min() and x.max() <= 1:
            return Squashing(low, 1.0, _EIGHT_BIT if eight_bit else _EXACT)
    return None
