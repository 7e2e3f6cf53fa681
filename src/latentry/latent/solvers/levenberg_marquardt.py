r"""Levenberg-Marquardt, batched over codes: the solver that finds the true code.

With residuals r and their Jacobian J at a code (means over m residuals understood), a step solves

.. math:: (J^T J + \mu \, \ell I + \lambda \, \ell I) \, \delta = -(J^T r + \lambda \, \ell \, e + \tfrac{1}{2} \nabla w R),
          \qquad \ell = |r|^2 / d

in coordinates e of the code, centred and scaled by the prior's quantiles. Five things make it find codes where gradient
descent finds none:

1. *Damping and prior follow the residual.* Both are measured in the loss itself, so that they vanish as it does, and
   convergence to a code that makes the data is superlinear. Far from it the term :math:`\lambda \ell |e|^2` keeps the path
   within the bulk of the prior: a homotopy from the prior to the data whose pace the data set. For data that no code makes
   :math:`\lambda` is faded out over the steps.
2. *Several dampings are tried* for each Jacobian, smaller, equal and larger: they cost a forward pass each where the
   Jacobian cost d; the best is kept, if it lowers the loss.
3. *Secant steps.* Further steps are taken from the same Jacobian, brought up to date by Broyden's formula with what the
   step before has shown: in a curved valley that is just the direction in which the Jacobian has changed.
4. *Residuals before the squashing* (`solvers.objective`) where the generator ends in one, until they can be lowered no
   more. Data that no start has met are finished with plain ones, from the best.
5. *A start that is stuck gives up its place.* It leaves a loss that falls no more, and the driver goes on with the next.

One eigendecomposition of :math:`J^T J` serves all dampings. Memory is bounded by taking a few codes at a time, and for long
data by a sketch: a random signed sum of residuals into a fixed number of cells, which keeps :math:`J^T J` and
:math:`J^T r` in expectation.

References: Levenberg, "A method for the solution of certain non-linear problems in least squares", 1944; Marquardt, "An
algorithm for least-squares estimation of nonlinear parameters", 1963; Broyden, "A class of methods for solving nonlinear
simultaneous equations", 1965; Fan and Yuan, "On the quadratic convergence of the
Levenberg-Marquardt method without nonsingularity assumption", 2005 (damping by the residual); Clarkson and Woodruff, "Low
rank approximation and regression in input sparsity time", 2013 (sketch).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.solvers.jacobian import jacobian
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import choose, put, take
from latentry.numerics.inputs import check_fields

__all__ = ["LevenbergMarquardt"]

_MULTIPLES = (0.2, 1.0, 5.0)
_REFUSED = 20.0
"""What damping is multiplied by when every trial was worse."""
_LEAST_DAMPING, _MOST_DAMPING = 1e-6, 1e8
_SETTLED = 1e-9
"""Mean squared move of a code, in units of the prior's spread, below which it has arrived."""
_WINDOW = 5
"""Steps over which it is seen whether a loss still falls."""
_LEAST_GAIN, _LEAST_GAIN_UNSQUASHED = 0.02, 0.1
"""A loss that fell by less than this part of itself falls no more. Before the squashing starts that arrive fall fast: of 59
that did on two generators two fell by less than a tenth in between, and those that did not ran three times as long."""
_NOTHING = 1e-14
"""Loss that is rounding alone."""
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
    """Most Jacobians of a start; one costs d + 1 forward passes, and 3 for each step taken from it."""
    secant_steps: int = 3
    """Further steps from each Jacobian, which is brought up to date by what the steps show."""
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
        check_fields(self)
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
        return self._state(z, objective.squashing is not None, 0)

    def finish(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> LevenbergMarquardtState | None:
        """Plain residuals from here, with three quarters of the steps; None if they were plain before."""
        return None if objective.squashing is None else self._state(z, False, self.steps // 4)

    def _state(self, z: Float[Tensor, "n d"], unsquashed: bool, step: int) -> LevenbergMarquardtState:
        n = len(z)
        never = torch.zeros(n, dtype=torch.bool, device=z.device)
        count = torch.zeros(n, dtype=torch.int64, device=z.device)
        infinite = z.new_full((n,), torch.inf)
        return LevenbergMarquardtState(
            z=z,
            loss=infinite,
            damping=z.new_full((n,), self.damping),
            recent=infinite[:, None].expand(n, _WINDOW).clone(),
            unsquashed=torch.full_like(never, unsquashed),
            step=count + step,
            done=never,
            converged=never,
            evaluations=count,
        )

    def advance(
        self, objective: Objective, state: LevenbergMarquardtState, target: Target, rng: torch.Generator
    ) -> LevenbergMarquardtState:
        """One Jacobian and the best of its steps, for a few codes at a time."""
        at_once, phase = max(1, self.rows // state.z.shape[1]), state.unsquashed
        for unsquashed in phase.unique().tolist():
            for part in (phase == unsquashed).nonzero().flatten().split(at_once):
                state = put(state, part, self._step(objective, take(state, part), take(target, part), unsquashed))
        return state

    def _step(
        self, objective: Objective, state: LevenbergMarquardtState, target: Target, unsquashed: bool
    ) -> LevenbergMarquardtState:
        """One Jacobian, a step from it, and secant steps."""
        frame, share, z = objective.frame, state.step.to(state.z) / self.steps, state.z
        residuals = objective.unsquashed_residuals if unsquashed else objective.residuals
        model = self._linearised(lambda codes: residuals(codes, target), z, objective)
        pull = self.prior_pull * model.loss / z.shape[1] * (1 - share / _FADE).clamp(min=0)
        damping = state.damping
        for _ in range(1 + self.secant_steps):
            model, damping = self._improved(model, damping, pull, share, objective, residuals, target)

        moved = (model.e - frame.inward(z)).square().mean(1)
        z = frame.outward(model.e)
        loss = (model.loss + objective.penalty(z, share)).nan_to_num(nan=torch.inf)
        recent = torch.cat([state.recent[:, 1:], loss[:, None]], 1)
        broken = ~model.loss.isfinite()
        least_gain = _LEAST_GAIN_UNSQUASHED if unsquashed else _LEAST_GAIN
        falls_no_more = recent[:, -1] >= (1 - least_gain) * recent[:, 0]
        settled = ((moved > 0) & (moved < _SETTLED)) | (model.loss < _NOTHING)
        arrived = (falls_no_more | settled | (damping > _MOST_DAMPING)) & ~broken
        stuck = arrived & (model.loss > _MET) if unsquashed else torch.zeros_like(arrived)
        return LevenbergMarquardtState(
            z=z,
            loss=loss,
            damping=damping.clamp(_LEAST_DAMPING, _MOST_DAMPING),
            recent=recent,
            unsquashed=state.unsquashed,
            step=state.step + 1,
            done=arrived | broken | (state.step + 1 >= self.steps),
            converged=arrived & ~stuck,
            evaluations=state.evaluations + z.shape[1] + 1 + (1 + self.secant_steps) * len(_MULTIPLES),
        )

    def _linearised(self, residuals: Callable[[Tensor], Tensor], z: Tensor, objective: Objective) -> "_Linearisation":
        r, columns = jacobian(residuals, z, objective.jacobian_mode)
        r, columns = r.detach(), columns.detach() * objective.frame.scale[:, None] / math.sqrt(r.shape[1])
        columns = self._seen(columns)
        return _Linearisation(objective.frame.inward(z), r.square().mean(1), self._scaled(r), columns, columns @ columns.mT)

    def _improved(
        self,
        model: "_Linearisation",
        damping: Float[Tensor, "n"],
        pull: Float[Tensor, "n"],
        share: Float[Tensor, "n"],
        objective: Objective,
        residuals: Callable[[Tensor, Target], Tensor],
        target: Target,
    ) -> tuple["_Linearisation", Float[Tensor, "n"]]:
        """The model at the best of several trials where one is better, with its Jacobian brought up to date, and the
        damping that goes with it."""
        frame, (n, d), k = objective.frame, model.e.shape, len(_MULTIPLES)
        row = torch.arange(n, device=model.e.device)
        dampings = damping[:, None] * model.e.new_tensor(_MULTIPLES)
        penalty, slope = objective.penalty_slope(frame.outward(model.e), share)
        downhill = -(model.gradient + frame.scale * slope / 2 + pull[:, None] * model.e)
        moves = _damped_steps(model.jtj, downhill, pull[:, None] + dampings * model.loss[:, None] / d)
        trials = frame.within(frame.outward(model.e[:, None] + moves))

        again = row.repeat_interleave(k)
        with torch.no_grad():
            r = residuals(trials.flatten(0, 1), take(target, again)).unflatten(0, (n, k))
            penalties = objective.penalty(trials.flatten(0, 1), share[again]).view(n, k)
        e, loss = frame.inward(trials), r.square().mean(2)
        value = loss + penalties + pull[:, None] * e.square().sum(2)
        after, best = value.nan_to_num(nan=torch.inf).min(1)
        better = after < model.loss + penalty + pull * model.e.square().sum(1)
        updated = model.moved(e[row, best], loss[row, best], self._scaled(r[row, best]))
        kept = _Linearisation(
            *(choose(better, getattr(updated, field.name), getattr(model, field.name)) for field in fields(model))
        )
        return kept, torch.where(better, dampings[row, best], _REFUSED * damping)

    def _scaled(self, r: Float[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        """Residuals whose squares sum to the loss, sketched where there are many."""
        return self._seen(r / math.sqrt(r.shape[1]))

    def _seen(self, columns: Float[Tensor, "*n m"]) -> Float[Tensor, "*n k"]:
        long = self.sketch is not None and columns.shape[-1] > self.sketch
        return _sketched(columns, self.sketch or 0) if long else columns


@dataclass(frozen=True)
class _Linearisation:
    """Residuals as a linear function of codes in the frame's coordinates; one row for each code."""

    e: Float[Tensor, "n d"]
    """Where."""
    loss: Float[Tensor, "n"]
    """Mean squared residual there."""
    r: Float[Tensor, "n k"]
    """Residuals there, divided by the root of their number; perhaps sketched."""
    columns: Float[Tensor, "n d k"]
    """Jacobian, transposed, divided likewise."""
    jtj: Float[Tensor, "n d d"]
    """J^T J."""

    @property
    def gradient(self) -> Float[Tensor, "n d"]:
        """J^T r."""
        return (self.columns @ self.r[:, :, None])[..., 0]

    def moved(self, e: Float[Tensor, "n d"], loss: Float[Tensor, "n"], r: Float[Tensor, "n k"]) -> "_Linearisation":
        """At another place, with the least change of J that agrees with the residuals seen there (Broyden, 1965)."""
        s = e - self.e
        length = s.square().sum(1).clamp(min=torch.finfo(s.dtype).tiny)
        missed = r - self.r - (s[:, None] @ self.columns)[:, 0]
        u = missed / length[:, None]
        across = (self.columns @ u[:, :, None])[..., 0]
        turn = across[:, :, None] * s[:, None] + u.square().sum(1)[:, None, None] / 2 * s[:, :, None] * s[:, None]
        return _Linearisation(e, loss, r, self.columns + s[:, :, None] * u[:, None], self.jtj + turn + turn.mT)


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
