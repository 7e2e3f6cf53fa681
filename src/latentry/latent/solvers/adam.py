r"""Adam, batched over codes and their starts: gradient descent as the papers on recovery use it.

Each code has its own moments, its own step number and hence its own place in the schedule, so that codes may come and go.
Between two steps elements may be drawn anew (`latent.resampling`), or codes projected.

`Adam(steps=200, learning_rate=0.01, schedule="constant", betas=(0.9, 0.999))` is the protocol of Cho (2020), with its traps
mended: there, one optimiser served all images and corrected the bias of its moments for the first alone, so that from the
second image on a step was three to six times the nominal rate; and the codes that were kept were one step, and one
resampling, away from the losses by which they were chosen.

References: Kingma and Ba, "Adam: a method for stochastic optimization", 2015; Cho, "Latent code recovery by statistical
distance latent regulation loss", 2020; Lipton and Tripathi, "Precise recovery of latent vectors from generative adversarial
networks", 2017.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.solver import check_halvings
from latentry.numerics.inputs import check_fields

__all__ = ["Adam"]

Schedule = Literal["cosine", "constant"]

_WARM_UP = 0.05
_SMALL = 1e-8
"""Epsilon of torch's Adam. It has the unit of the slope: data whose values are all below about 1e-3 are better scaled."""


@dataclass(frozen=True)
class AdamState:
    """One row for each code."""

    z: Float[Tensor, "n d"]
    loss: Float[Tensor, "n"]
    first: Float[Tensor, "n d"]
    second: Float[Tensor, "n d"]
    step: Int[Tensor, "n"]
    done: Bool[Tensor, "n"]
    evaluations: Int[Tensor, "n"]


@dataclass(frozen=True)
class Adam:
    """Adam on all starts of all data at once.

    Raises:
        ValueError: A number is outside its range, or there is no such schedule.

    Example:
        >>> import torch, latentry as lt
        >>> solver, z = lt.solvers.Adam(steps=300), torch.ones(2, 3)
        >>> found = lt.recover_codes(lambda z: 2 * z, 2 * z, lt.priors.Normal(3), solver=solver)
        >>> found.z.round(decimals=2)
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    steps: int = 200
    """Iterations of each start, each a forward pass and a gradient."""
    learning_rate: float = 0.1
    """Highest learning rate."""
    schedule: Schedule = "cosine"
    """`cosine`: warmed up over the first twentieth of the steps, then lowered along a cosine; or `constant`."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay rates of the two moments."""
    resampling: Callable[[Tensor, Any, torch.Generator | None], Tensor] | None = None
    """What is done to codes after each step, `(z, prior, rng)` to z, as in `latent.resampling`."""
    halve_at: tuple[float, ...] | None = ()
    """Shares of the steps after which the worse half of a target's starts is given up; None tries one after another."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(f"expected steps >= 1 and learning_rate > 0, got {self.steps} and {self.learning_rate}")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"expected a schedule among {get_args(Schedule)}, got {self.schedule!r}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"expected betas in [0, 1), got {self.betas}")
        check_halvings(self.halve_at)

    def begin(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> AdamState:
        """The state of these starts."""
        n = len(z)
        never = torch.zeros(n, dtype=torch.bool, device=z.device)
        count = torch.zeros(n, dtype=torch.int64, device=z.device)
        infinite = z.new_full((n,), math.inf)
        return AdamState(z, infinite, torch.zeros_like(z), torch.zeros_like(z), count, never, count)

    def finish(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> None:
        """Nothing: each start has been led to its end."""

    def advance(self, objective: Objective, state: AdamState, target: Target, rng: torch.Generator | None) -> AdamState:
        """One step of every code."""
        share = state.step.to(state.z) / self.steps
        loss, gradient = objective.slope(state.z, target, share)
        step = state.step + 1
        power = step.to(state.z)  # whole numbers would bring torch's default dtype in
        slow, fast = self.betas
        first = slow * state.first + (1 - slow) * gradient
        second = fast * state.second + (1 - fast) * gradient.square()
        unbiased = first / (1 - slow**power)[:, None]
        spread = (second / (1 - fast**power)[:, None]).sqrt() + _SMALL
        z = state.z - (self.learning_rate * self._rate_factor(share))[:, None] * unbiased / spread
        if self.resampling is not None:
            z = self.resampling(z, objective.prior, rng)

        broken = ~loss.isfinite()
        return AdamState(
            z=z,
            loss=loss.nan_to_num(nan=math.inf),
            first=first,
            second=second,
            step=step,
            done=broken | (step >= self.steps),
            evaluations=state.evaluations + 3,
        )

    def _rate_factor(self, share: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Learning rate after this share of the steps, as a part of the highest."""
        if self.schedule == "constant":
            return torch.ones_like(share)
        warm = ((share + 1e-2) / _WARM_UP).clamp(max=1)
        return warm * 0.5 * (1 + (math.pi * share).cos())
