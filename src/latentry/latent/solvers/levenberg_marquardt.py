r"""Levenberg-Marquardt, batched over codes: the default solver.

With residuals r and their Jacobian J at a code (means over m residuals understood), a step solves

.. math:: (J^T J + \mu \, \ell I + \lambda \, \ell I) \, \delta = -(J^T r + \lambda \, \ell \, e + \tfrac{1}{2} \nabla w R),
          \qquad \ell = |r|^2 / d

in coordinates e of the code, centred and scaled by the prior's quantiles. Five things make it find codes where gradient
descent finds none:

1. *Damping and pull are proportional to the loss.* They vanish with it, so the convergence to a code that makes the data is
   superlinear. Far from such a code the term :math:`\lambda \ell |e|^2` keeps the path within the bulk of the prior: a
   homotopy from the prior to the data. The pull is no part of the loss that is minimised. It ends (:math:`\lambda = 0`)
   where the loss falls no more, or after a share of the steps.
2. *Several dampings are tried* for each Jacobian: smaller, equal and larger. Each costs one forward pass, the Jacobian costs
   d. The best one is taken, if it lowers the loss.
3. *Secant steps.* Further steps use the same Jacobian, updated by Broyden's formula with the change of the residuals in the
   step before. In a curved valley this is the direction in which the Jacobian has changed.
4. *Residuals before the output activation* (`solvers.objective`), where the generator has one, until they fall no more.
5. *A start that is stuck is given up.* Its loss falls no more, and the driver begins with the next start.

Data that no start has met are *finished* from the best start: with plain residuals, without the pull, and to a stationary
point of the loss. There a full Gauss-Newton step would lower the loss by no more than a few roundings,

.. math:: g^T (J^T J)^+ g \le 8 \epsilon \, |r|^2, \qquad g = J^T r + \tfrac{1}{2} \nabla w R.

For :math:`w = 0` the ratio of the two sides is the squared cosine of the angle between the residuals and the range of the
Jacobian. Coordinates at an end of the prior's support that would leave it are held there, in each step (Bertsekas, 1982).

`solvers.linearization` holds the linear model and its algebra, in double precision. Memory is bounded: a few codes are
taken at a time, and long residuals are sketched.

References: Levenberg, "A method for the solution of certain non-linear problems in least squares", 1944; Marquardt, "An
algorithm for least-squares estimation of nonlinear parameters", 1963; Broyden, "A class of methods for solving nonlinear
simultaneous equations", 1965; Bertsekas, "Projected Newton methods for optimization problems with simple constraints", 1982;
Bates and Watts, "A relative offset orthogonality convergence criterion for nonlinear least squares", 1981; Fan and Yuan, "On
the quadratic convergence of the Levenberg-Marquardt method without nonsingularity assumption", 2005 (damping by the
residual); Clarkson and Woodruff, "Low rank approximation and regression in input sparsity time", 2013 (sketch)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.solvers.jacobian import jacobian
from latentry.latent.solvers.linearization import (
    Linearization,
    damped_steps,
    penalty_at,
    rounding_threshold,
    sketched,
    spectrum,
    within_support,
)
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import choose, put, take
from latentry.numerics.inputs import check_fields

__all__ = ["LevenbergMarquardt"]

_MULTIPLES = (0.2, 1.0, 5.0)
_REFUSED = 20.0
"""What damping is multiplied by when every trial was worse."""
_LEAST_DAMPING, _LEAST_DAMPING_AT_THE_END, _MOST_DAMPING = 1e-6, 1e-30, 1e8
_SETTLED = 1e-9
"""Mean squared move of a code, in units of the prior's spread, below which it has arrived."""
_WINDOW = 5
"""Steps over which a loss has to fall."""
_LEAST_GAIN, _LEAST_GAIN_PREACTIVATION = 0.02, 0.1
"""A loss that fell by less than this share of itself falls no more. Before the output activation, the loss of starts that
succeed falls fast: of 59 on two generators, two fell by less than a tenth in between. Others took three times as long."""
_NOTHING, _NOTHING_PREACTIVATION = 1e-14, 1e-8
"""Loss, as a part of the variance of the generator's samples, at which the search has found the code; and the same before
the output activation, from where plain residuals in double precision take two steps."""
_ROUNDINGS = 16.0
"""Mean squared rounding of the generator, so many times, that is as near to the data as it gets."""
_HARDLY_LESS = 0.99
"""Part of the loss that a Jacobian and its steps leave where the Jacobian they end with is trusted to tell a stationary
point."""
_STATIONARY = 8
"""Roundings of the loss that a full step may still promise at a stationary point."""
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
    preactivation: Bool[Tensor, "n"]
    """Whether residuals are taken before the output activation."""
    pulled: Bool[Tensor, "n"]
    """Whether the prior still pulls."""
    last: Bool[Tensor, "n"]
    """Whether this start is led to a stationary point of the loss."""
    step: Int[Tensor, "n"]
    done: Bool[Tensor, "n"]
    evaluations: Int[Tensor, "n"]


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Damped least squares, drawn to the prior on the way, each code with its own damping.

    Raises:
        ValueError: A number is outside its range.

    Example:
        >>> import torch, latentry as lt
        >>> solver, z = lt.solvers.LevenbergMarquardt(steps=20), torch.ones(2, 3)
        >>> found = lt.recover_codes(torch.tanh, z.tanh(), lt.priors.Normal(3), solver=solver)
        >>> found.met
        tensor([True, True])
    """

    steps: int = 40
    """Most Jacobians of a start; one costs d + 1 forward passes, and 3 for each step taken from it."""
    secant_steps: int = 3
    """Further steps from each Jacobian, which is brought up to date by what the steps show."""
    prior_pull: float = 0.2
    """lambda of the module's theory, for the search alone; 0 leaves the path free. To keep codes near the prior, name a
    regularizer."""
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
        return self._state(z, preactivation=objective.output_activation is not None, pulled=True, last=False)

    def finish(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> LevenbergMarquardtState:
        """Plain residuals from here, with half of the steps, to a stationary point of the loss."""
        searched_otherwise = objective.output_activation is not None
        return self._state(z, preactivation=False, pulled=searched_otherwise, last=True)

    def _state(self, z: Tensor, *, preactivation: bool, pulled: bool, last: bool) -> LevenbergMarquardtState:
        n = len(z)
        never = torch.zeros(n, dtype=torch.bool, device=z.device)
        count = torch.zeros(n, dtype=torch.int64, device=z.device)
        infinite = z.new_full((n,), torch.inf)
        return LevenbergMarquardtState(
            z=z,
            loss=infinite,
            damping=z.new_full((n,), self.damping, dtype=torch.float64),
            recent=infinite[:, None].expand(n, _WINDOW).clone(),
            preactivation=torch.full_like(never, preactivation),
            pulled=torch.full_like(never, pulled),
            last=torch.full_like(never, last),
            step=count + (self.steps // 2 if last else 0),
            done=never,
            evaluations=count,
        )

    def advance(
        self, objective: Objective, state: LevenbergMarquardtState, target: Target, rng: torch.Generator | None
    ) -> LevenbergMarquardtState:
        """One Jacobian and the best of its steps, for a few codes at a time."""
        at_once, phase = max(1, self.rows // state.z.shape[1]), state.preactivation
        for preactivation in phase.unique().tolist():
            for part in (phase == preactivation).nonzero().flatten().split(at_once):
                state = put(state, part, self._step(objective, take(state, part), take(target, part), preactivation))
        return state

    def _step(
        self, objective: Objective, state: LevenbergMarquardtState, target: Target, preactivation: bool
    ) -> LevenbergMarquardtState:
        """One Jacobian, a step from it, and secant steps."""
        share, z = state.step.to(state.z) / self.steps, state.z
        residuals = objective.preactivation_residuals if preactivation else objective.residuals
        model = self._linearised(lambda codes: residuals(codes, target), z, objective)
        pull = self.prior_pull * model.loss / z.shape[1] * (1 - share / _FADE).clamp(min=0) * state.pulled
        stationary = self._is_stationary(model, objective) & (pull == 0)
        here, before, damping = model.e, model.loss, state.damping
        for _ in range(1 + self.secant_steps):
            model, damping = self._improved(model, damping, pull, share, objective, residuals, target)

        z = objective.location_scale.clamped(model.z(objective.location_scale))
        loss = (model.loss.to(z) + objective.penalty(z, share)).nan_to_num(nan=torch.inf)
        recent = torch.cat([state.recent[:, 1:], loss[:, None]], 1)
        moved = (model.e - here).square().mean(1)
        least_gain = _LEAST_GAIN_PREACTIVATION if preactivation else _LEAST_GAIN
        found = model.loss < (_NOTHING_PREACTIVATION if preactivation else _NOTHING * objective.variance)
        arrived = (recent[:, -1] >= (1 - least_gain) * recent[:, 0]) | ((moved > 0) & (moved < _SETTLED)) | found
        stuck = damping > _MOST_DAMPING
        stationary |= (model.loss >= _HARDLY_LESS * before) & self._is_stationary(model, objective) & (pull == 0)
        let_go = state.last & state.pulled & (arrived | stuck)
        at_the_end = stationary | (stuck & ~state.pulled) | (model.loss <= _ROUNDINGS * objective.rounding)
        ended = torch.where(state.last, at_the_end, arrived | stuck)
        least = torch.where(state.last, _LEAST_DAMPING_AT_THE_END, _LEAST_DAMPING).to(damping)
        return LevenbergMarquardtState(
            z=z,
            loss=loss,
            damping=torch.where(let_go, self.damping, torch.maximum(damping, least).clamp(max=_MOST_DAMPING)),
            recent=recent,
            preactivation=state.preactivation,
            pulled=state.pulled & ~let_go,
            last=state.last,
            step=state.step + 1,
            done=ended | ~model.loss.isfinite() | (state.step + 1 >= self.steps),
            evaluations=state.evaluations + z.shape[1] + 1 + (1 + self.secant_steps) * len(_MULTIPLES),
        )

    def _is_stationary(self, model: Linearization, objective: Objective) -> Bool[Tensor, "n"]:
        """Whether a full step promises no more than roundings of the loss, or of the data that it is made of.

        Under the weight that the regularizer has at the end.
        """
        at_the_end = torch.ones_like(model.loss)
        penalty = penalty_at(model, at_the_end, objective)
        jtj, downhill = within_support(model, penalty.curvature, -(model.gradient + penalty.slope), objective.location_scale)
        values, along = spectrum(jtj, downhill)[:2]
        undetermined = values <= model.least[:, None]
        # without a regularizer, undetermined directions hold nothing but rounding
        components = along if objective.regularizer is not None else torch.where(undetermined, 0.0, along)
        promised = (components.square() / torch.maximum(values, model.least[:, None])).sum(1)
        epsilon, loss = torch.finfo(objective.location_scale.scale.dtype).eps, model.loss + penalty.value
        return promised <= _STATIONARY * epsilon * loss + (loss * objective.rounding).sqrt()

    def _linearised(self, residuals: Callable[[Tensor], Tensor], z: Tensor, objective: Objective) -> Linearization:
        r, columns = jacobian(residuals, z, objective.jacobian_mode)
        noise = torch.finfo(columns.dtype).eps
        r, columns = r.detach().double(), self._sketched_where_long(columns.detach()).double()
        columns *= objective.location_scale.scale[:, None] / math.sqrt(r.shape[1])
        jtj = columns @ columns.mT
        least = rounding_threshold(jtj, noise)
        return Linearization(
            objective.location_scale.standardized(z.double()), r.square().mean(1), self._scaled(r), columns, jtj, least
        )

    def _improved(
        self,
        model: Linearization,
        damping: Float[Tensor, "n"],
        pull: Float[Tensor, "n"],
        share: Float[Tensor, "n"],
        objective: Objective,
        residuals: Callable[[Tensor, Target], Tensor],
        target: Target,
    ) -> tuple[Linearization, Float[Tensor, "n"]]:
        """The model at the best of several trials where one is better, with its Jacobian brought up to date, and the
        damping that goes with it."""
        location_scale, (n, d), k = objective.location_scale, model.e.shape, len(_MULTIPLES)
        row = torch.arange(n, device=model.e.device)
        dampings = damping[:, None] * model.e.new_tensor(_MULTIPLES)
        penalty = penalty_at(model, share, objective)
        downhill = -(model.gradient + penalty.slope + pull[:, None] * model.e)
        jtj, downhill = within_support(model, penalty.curvature, downhill, location_scale)
        size = (model.loss + penalty.value)[:, None] / d
        moves = damped_steps(jtj, downhill, pull[:, None] + dampings * size, model.least)
        trials = location_scale.clamped(
            location_scale.unstandardized(model.e[:, None] + moves).to(location_scale.scale)
        ).flatten(0, 1)

        again = row.repeat_interleave(k)
        with torch.no_grad():
            r = residuals(trials, take(target, again)).double().unflatten(0, (n, k))
            penalties = objective.penalty(trials, share[again]).view(n, k)
        e, loss = location_scale.standardized(trials.double()).unflatten(0, (n, k)), r.square().mean(2)
        value = loss + penalties + pull[:, None] * e.square().sum(2)
        after, best = value.nan_to_num(nan=torch.inf).min(1)
        better = after < model.loss + penalty.value + pull * model.e.square().sum(1)
        updated = model.moved(e[row, best], loss[row, best], self._scaled(r[row, best]))
        accepted = Linearization(
            *(choose(better, getattr(updated, field.name), getattr(model, field.name)) for field in fields(model))
        )
        return accepted, torch.where(better, dampings[row, best], _REFUSED * damping)

    def _scaled(self, r: Float[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        """Residuals whose squares sum to the loss, sketched where there are many."""
        return self._sketched_where_long(r / math.sqrt(r.shape[1]))

    def _sketched_where_long(self, columns: Float[Tensor, "*n m"]) -> Float[Tensor, "*n k"]:
        long = self.sketch is not None and columns.shape[-1] > self.sketch
        return sketched(columns, self.sketch or 0) if long else columns
