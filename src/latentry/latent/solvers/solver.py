"""The protocol of solvers for the driver of recovery: states with one row for each code, and a step for all of them.

A state is a frozen dataclass of tensors, one row for each code, with the fields of `State` at least. The driver moves rows
in and out between two steps, so a solver may let nothing pass between the rows, nor remember anything outside them.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.solvers.objective import Objective

__all__ = ["Solver", "State", "check_halvings"]


class State(Protocol):
    """What every state holds."""

    @property
    def z(self) -> Float[Tensor, "n d"]:
        """Codes so far."""

    @property
    def loss(self) -> Float[Tensor, "n"]:
        """A loss that tells better codes from worse within one target, at the same step."""

    @property
    def step(self) -> Int[Tensor, "n"]:
        """Iterations done."""

    @property
    def done(self) -> Bool[Tensor, "n"]:
        """Whether nothing more is to be gained, or no more is allowed."""

    @property
    def evaluations(self) -> Int[Tensor, "n"]:
        """Cost so far: 1 for a forward pass or a column of a Jacobian, 2 for a gradient."""


@runtime_checkable
class Solver(Protocol):
    """A way to minimise the objective, with its settings."""

    @property
    def steps(self) -> int:
        """Most iterations of a start."""

    @property
    def halve_at(self) -> tuple[float, ...] | None:
        """Shares of the steps after which the worse half of a target's starts is given up; None tries one after another."""

    def begin(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> Any:
        """The state of these starts."""

    def finish(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> Any | None:
        """The state that leads a start to a minimum of the loss, from the best of data that none has met, or from one that
        nearly meets them; None where each start has been led there."""

    def advance(self, objective: Objective, state: Any, target: Target, rng: torch.Generator | None) -> Any:
        """One iteration of every row."""


def check_halvings(halve_at: tuple[float, ...] | None) -> None:
    """Make sure that a solver's `halve_at` is what it can be.

    Raises:
        ValueError: A share is outside (0, 1).
    """
    if halve_at is not None and not all(0 < share < 1 for share in halve_at):
        raise ValueError(f"expected shares of the steps in (0, 1), got halve_at = {halve_at}")
