r"""Levenberg-Marquardt, batched over codes: the solver that finds the true code.

With residuals r and their Jacobian J at a code (means over m residuals understood), a step solves

.. math:: (J^T J + \mu \, \ell I + \lambda \, \ell I) \, \delta = -(J^T r + \lambda \, \ell \, e + \tfrac{1}{2} \nabla w R),
          \qquad \ell = |r|^2 / d

in coordinates e of the code, centred and scaled by the prior's quantiles. Four things make it find codes where gradient
descent finds none:

1. *Damping and prior follow the residual.* Both are measured in the loss itself, so that they vanish as it does, and
   convergence to a code that makes the data is superlinear. Far from it the term :math:`\lambda \ell |e|^2` keeps the path
   within the bulk of the prior: a homotopy from the prior to the data whose pace the data set. For data that no code makes
   :math:`\lambda` is faded out over the steps.
2. *Several dampings are tried* for each Jacobian, smaller, equal and larger: they cost a forward pass each where the
   Jacobian cost d; the best is kept, if it lowers the loss.
3. *Residuals before the squashing* (`latent.objective`) where the generator ends in one, until they can be lowered no
   more; then, where the data are not met, plain ones.
4. *A start that is stuck gives up its place.* It leaves a loss that falls no more, and the driver goes on with the next.

One eigendecomposition of :math:`J^T J` serves all dampings. Memory is bounded by taking a few codes at a time, and for long
data by a sketch: a random signed sum of residuals into a fixed number of cells, which keeps :math:`J^T J` and
:math:`J^T r` in expectation.

References: Levenberg, "A method for the solution of certain non-linear problems in least squares", 1944; Marquardt, "An
algorithm for least-squares estimation of nonlinear parameters", 1963; Fan and Yuan, "On the quadratic convergence of the
Levenberg-Marquardt method without nonsingularity assumption", 2005 (damping by the residual); Clarkson and Woodruff, "Low
rank approximation and regression in input sparsity time", 2013 (sketch).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.jacobian import jacobian
from latentry.latent.objective import Objective
from latentry.latent.rows import choose, put, take

__all__ = ["LevenbergMarquardt"]

_MULTIPLES = (0.2, 1.0, 5.0)
_REFUSED = 20.0
"""What damping is multiplied by when every trial was worse."""
_LEAST_DAMPING, _MOST_DAMPING = 1e-6, 1e8
_SETTLED = 1e-9
"""Mean squared move of a code, in units of the prior's spread, below which it has arrived."""
_WINDOW, _LEAST_GAIN = 5, 0.01
"""A loss that fell by less than this part of itself over so many steps falls no more."""
_MET = 1e-5
"""Loss before the squashing below which a code makes its data."""
_FADE = 0.7
"""Share of the steps after which the prior's pull is gone."""


@dataclass(frozen=True)
class LevenbergMarquardtState:
    """One row for each code."""

    z: Float[Tensor, "n d"]
    loss: Float[Tensor, "n"]
    damping: Float[Tensor, "n"]
    recent: Float[Tensor, "n w"]
    """Losses after the last steps, the newest last."""
    unsquashed: Bool[Tensor, "n"]
    """Whether residuals are taken before the squashing."""
    step: Int[Tensor, "n"]
    done: Bool[Tensor, "n"]
    converged: Bool[Tensor, "n"]
    evaluations: Int[Tensor, "n"]


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Damped least squares with the prior's pull, each code with its own damping.

    Raises:
        ValueError: A number is outside its range.
    """

    steps: int = 40
    """Most iterations of a start; one costs d + 4 forward passes."""
    prior_pull: float = 0.2
    """lambda of the module's theory; 0 leaves the path free."""
    damping: float = 1.0
    """mu at the start."""
    sketch: int | None = 65536
    """Most residuals that J is held for; more of them are summed into as many cells. None never sketches."""
    rows: int = 512
    """Most columns of Jacobians worked out at once."""
    halve_at: None = None
    """Starts are tried one after another."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rows < 1 or (self.sketch is not None and self.sketch < 1):
            raise ValueError(f"expected steps, rows and sketch >= 1, got {self.steps}, {self.rows} and {self.sketch}")
        if not (self.prior_pull >= 0 and self.damping > 0):
            raise ValueError(f"expected prior_pull >= 0 and damping > 0, got {self.prior_pull} and {self.damping}")

    def begin(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> LevenbergMarquardtState:
        """The state of these starts.

        Raises:
            ValueError: The difference is no mean of squares.
        """
        if objective.difference.norm != "l2":
            raise ValueError("expected an l2 difference for Levenberg-Marquardt, got l1; use solver=Adam()")
        n = len(z)
        never = torch.zeros(n, dtype=torch.bool, device=z.device)
        count = torch.zeros(n, dtype=torch.int64, device=z.device)
        infinite = z.new_full((n,), torch.inf)
        return LevenbergMarquardtState(
            z=z,
            loss=infinite,
            damping=z.new_full((n,), self.damping),
            recent=infinite[:, None].expand(n, _WINDOW).clone(),
            unsquashed=~never if objective.squashing is not None else never,
            step=count,
            done=never,
            converged=never,
            evaluations=count,
        )

    def advance(
        self, objective: Objective, state: LevenbergMarquardtState, target: Target, rng: torch.Generator
    ) -> LevenbergMarquardtState:
        """One Jacobian and the best of its steps, for a few codes at a time."""
        for unsquashed in (True, False):
            members = (state.unsquashed == unsquashed).nonzero().flatten()
            for part in members.split(max(1, self.rows // state.z.shape[1])):
                if len(part) == 0:
                    continue
                state = put(state, part, self._step(objective, take(state, part), take(target, part), unsquashed))
        return state

    def _step(
        self, objective: Objective, state: LevenbergMarquardtState, target: Target, unsquashed: bool
    ) -> LevenbergMarquardtState:
        n, d = state.z.shape
        k, row = len(_MULTIPLES), torch.arange(n, device=state.z.device)
        frame, share = objective.frame, state.step / self.steps
        residuals = objective.unsquashed_residuals if unsquashed else objective.residuals
        r, jtj, jtr = self._normal_equations(lambda z: residuals(z, target), state.z, objective)
        data_loss = r.square().mean(1)
        penalty, slope = objective.penalty_slope(state.z, share)

        e, pace = frame.inward(state.z), data_loss / d
        pull = self.prior_pull * pace * (1 - share / _FADE).clamp(min=0)
        dampings = state.damping[:, None] * state.z.new_tensor(_MULTIPLES)
        downhill = -(jtr + frame.scale * slope / 2 + pull[:, None] * e)
        moves = _damped_steps(jtj, downhill, pull[:, None] + dampings * pace[:, None])
        trials = frame.within(frame.outward(e[:, None] + moves))

        again = row.repeat_interleave(k)
        with torch.no_grad():
            flat = trials.flatten(0, 1)
            trial_data_loss = residuals(flat, take(target, again)).square().mean(1)
            trial_loss = trial_data_loss + objective.penalty(flat, share[again])
        pulled = trial_loss.view(n, k) + pull[:, None] * frame.inward(trials).square().sum(2)
        after, best = pulled.nan_to_num(nan=torch.inf).min(1)
        better = after < data_loss + penalty + pull * e.square().sum(1)

        z = choose(better, trials[row, best], state.z)
        loss = torch.where(better, trial_loss.view(n, k)[row, best], data_loss + penalty).nan_to_num(nan=torch.inf)
        damping = torch.where(better, dampings[row, best], _REFUSED * state.damping)
        recent = torch.cat([state.recent[:, 1:], loss[:, None]], 1)
        settled = better & ((frame.inward(z) - e).square().mean(1) < _SETTLED)
        flat_loss = recent[:, -1] >= (1 - _LEAST_GAIN) * recent[:, 0]
        broken = ~data_loss.isfinite()
        arrived = (settled | flat_loss | (damping > _MOST_DAMPING)) & ~broken
        met = torch.where(better, trial_data_loss.view(n, k)[row, best], data_loss) < _MET
        # before the squashing, what makes its data is done; anything else goes on with plain residuals
        left = arrived & ~met if unsquashed else torch.zeros_like(arrived)
        out_of_steps = state.step + 1 >= self.steps
        return LevenbergMarquardtState(
            z=z,
            loss=loss,
            damping=torch.where(left, self.damping, damping.clamp(_LEAST_DAMPING, _MOST_DAMPING)),
            recent=torch.where(left[:, None], torch.inf, recent),
            unsquashed=state.unsquashed & ~left,
            step=state.step + 1,
            done=(arrived & ~left) | broken | out_of_steps,
            converged=arrived & ~left,
            evaluations=state.evaluations + d + 1 + k,
        )

    def _normal_equations(
        self, residuals: Callable[[Tensor], Tensor], z: Tensor, objective: Objective
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals, J^T J and J^T r in the frame's coordinates, means over residuals."""
        r, columns = jacobian(residuals, z, objective.jacobian_mode)
        r, columns = r.detach(), columns.detach()
        m, seen = r.shape[1], r
        if self.sketch is not None and m > self.sketch:
            seen, columns = _sketched(r, self.sketch), _sketched(columns, self.sketch)
        columns = columns * objective.frame.scale[:, None]
        return r, columns @ columns.mT / m, (columns @ seen[:, :, None])[..., 0] / m


def _damped_steps(
    jtj: Float[Tensor, "n d d"], downhill: Float[Tensor, "n d"], dampings: Float[Tensor, "n k"]
) -> Float[Tensor, "n k d"]:
    """(J^T J + mu I)^-1 g for every mu, in double precision, from one eigendecomposition."""
    usable = jtj.isfinite().flatten(1).all(1)
    values, vectors = torch.linalg.eigh(choose(usable, jtj, torch.zeros_like(jtj)).double())
    along = (vectors.mT @ downhill.double()[..., None])[:, None, :, 0]
    shrunk = along / (values.clamp(min=0)[:, None] + dampings.double()[..., None])
    return (shrunk @ vectors.mT).to(jtj)


def _sketched(columns: Float[Tensor, "*n m"], cells: int) -> Float[Tensor, "*n k"]:
    """Residuals with random signs, summed into cells; the same signs and cells each time."""
    m = columns.shape[-1]
    rng = torch.Generator().manual_seed(0)
    order = torch.randperm(m, generator=rng).to(columns.device)
    signs = (torch.randint(2, (m,), generator=rng) * 2 - 1).to(columns)
    padded = torch.nn.functional.pad((columns * signs)[..., order], (0, -m % cells))
    return padded.unflatten(-1, (-1, cells)).sum(-2)
