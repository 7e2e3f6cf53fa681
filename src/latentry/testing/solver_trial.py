"""Problems with known answers, on which a solver is tried, and the way in which the driver of recovery runs one.

The generator G(z) = A z has the least-squares code :math:`A^+ x`; where pixels are hidden, that of the rows that are left;
with the regularizer :math:`w |z|^2 / d`, that of ridge regression. G(z) = tanh(A z) has no closed form, but no code may end
worse than it began.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.latent.differences import Difference, Norm, Target
from latentry.latent.regularizers import Regularizer
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import take
from latentry.priors.iid import Normal

__all__ = [
    "WEIGHT",
    "Counter",
    "Ended",
    "counted_generator",
    "data",
    "led_to_the_end",
    "matrix",
    "objective",
    "starts",
]

_DIMENSIONS, _PIXELS, _CODES = 6, 20, 6
WEIGHT = 0.3
"""Of a regularizer."""


def matrix(dtype: torch.dtype = torch.float64) -> Float[Tensor, "m d"]:
    """A, of independent normal numbers, so that a normal code makes pixels of variance 1.

    Example:
        >>> matrix().shape
        torch.Size([20, 6])
    """
    return (_drawn(_PIXELS, _DIMENSIONS, seed=1) / _DIMENSIONS**0.5).to(dtype)


def data() -> Float[Tensor, "n m"]:
    """Data that no code makes."""
    return _drawn(_CODES, _PIXELS, seed=2)


def starts() -> Float[Tensor, "n d"]:
    """Where the search begins."""
    return 2 * _drawn(_CODES, _DIMENSIONS, seed=3)


def _drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(
    generator: Callable[[Tensor], Tensor],
    *,
    regularizer: Regularizer | None = None,
    norm: Norm = "l2",
    dtype: torch.dtype = torch.float64,
) -> Objective:
    """What is minimised, as `recover_codes` makes it for such a generator.

    Example:
        >>> found = objective(lambda z: z @ matrix().mT)
        >>> found.difference.norm, found.regularizer is None
        ('l2', True)
    """
    prior = Normal(_DIMENSIONS).to(dtype)
    return Objective(
        generator,
        prior,
        Difference(norm),
        regularizer,
        lambda share: 0.0 if regularizer is None else WEIGHT,
        prior.location_scale(torch.empty(0, dtype=dtype)),
        jacobian_mode="forward",
    )


class Counter:
    """Evaluations of a generator: 1 for each row of a forward pass, 2 for each row of a gradient."""

    def __init__(self) -> None:
        self.evaluations = 0


class _Counted(torch.autograd.Function):
    """Codes as they are, counted."""

    @staticmethod
    def forward(z: Tensor, counter: Counter) -> Tensor:
        counter.evaluations += len(z)
        return z.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.counter = inputs[1]

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        ctx.counter.evaluations += 2 * len(slopes[0])
        return slopes[0], None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return tangents[0].clone()


def counted_generator(counter: Counter) -> Callable[[Tensor], Tensor]:
    """G(z) = A z, whose evaluations are counted.

    Example:
        >>> counter = Counter()
        >>> counted_generator(counter)(starts().requires_grad_()).sum().backward()
        >>> counter.evaluations
        18
    """
    a = matrix()

    def generator(z: Tensor) -> Tensor:
        codes: Tensor = _Counted.apply(z, counter)  # type: ignore[no-untyped-call]
        return codes @ a.mT

    return generator


@dataclass(frozen=True)
class Ended:
    """What became of a search."""

    z: Float[Tensor, "n d"]
    loss: Float[Tensor, "n"]
    """The solver's own loss at the end."""
    evaluations: Int[Tensor, "n"]
    """As the solver counts them."""
    advances: Int[Tensor, "n"]
    """Iterations until each code was done; -1 for one that was not."""


def led_to_the_end(solver: Any, state: Any, problem: Objective, target: Target, seed: int = 0) -> Ended:
    """Advance until all codes are done, each leaving the batch when it is; twice the solver's steps at most.

    Args:
        solver: What is looked at.
        state: Its state of some codes.
        problem: What is minimised.
        target: The data of these codes.
        seed: Of what it draws.
    """
    rng = torch.Generator().manual_seed(seed)
    z, loss, evaluations = state.z.clone(), state.loss.clone(), state.evaluations.clone()
    advances = torch.full((len(z),), -1)
    left = torch.arange(len(z))
    for advance in range(1, 2 * solver.steps + 1):
        state = solver.advance(problem, state, target, rng)
        z[left], loss[left], evaluations[left] = state.z, state.loss, state.evaluations
        advances[left[state.done]] = advance
        going = ~state.done
        left, state, target = left[going], take(state, going), take(target, going)
        if not len(left):
            break
    return Ended(z, loss, evaluations, advances)
