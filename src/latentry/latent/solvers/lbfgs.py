r"""L-BFGS, batched over codes: a quasi-Newton method that estimates the curvature of the loss from gradients.

With the moves s = e' - e of the last h steps and the changes y of the gradient g along them, the inverse Hessian H is
approximated by the BFGS formula, from :math:`\gamma I` on, :math:`\gamma = s^T y / y^T y`, and the direction
:math:`p = -H g` by the two-loop recursion, in coordinates e of the code, centred and scaled by the prior's quantiles. Along
it a length t is sought that lowers the loss by enough and is not too short (weak Wolfe conditions),

.. math:: L(e + t p) \le L(e) + c_1 t \, g^T p, \qquad g(e + t p)^T p \ge c_2 \, g^T p,

by keeping an interval whose lower end meets the first and whose upper end does not. The next length is where the line
through two slopes is zero, held inside the interval. A pair with :math:`s^T y \le 0` is left out, which keeps H positive
definite; where no length lowers the loss the memory is cleared, and where gradient descent does not lower it either the code
is done.

Each code has its own memory, its own interval and its own length. Gradients are all that is needed, so that any difference
and any regularizer will do; but where the loss has kinks (l1, the Wasserstein distance) it may come to rest on one, a
percent above the minimum. A weight that changes between steps does no harm: the difference to the data is remembered by
itself, and both ends of a move are compared under one weight.

Where the generator ends in an output activation, the difference is taken before it first (`solvers.output_activation`). When
it falls no more, or after half of the steps, the plain difference takes its place.

References: Nocedal, "Updating quasi-Newton matrices with limited storage", 1980; Liu and Nocedal, "On the limited memory
BFGS method for large scale optimization", 1989; Lewis and Overton, "Nonsmooth optimization via quasi-Newton methods", 2013
(line search); Li and Fukushima, "On the global convergence of the BFGS method for nonconvex unconstrained optimization
problems", 2001 (pairs left out).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import choose, put, take
from latentry.latent.solvers.solver import check_halvings
from latentry.numerics.inputs import check_fields

__all__ = ["LBFGS"]

_FALL, _FLATTEN = 1e-4, 0.9
"""c_1 and c_2 of the module's theory."""
_FIRST_MOVE = 0.1
"""Root mean square of the first move that is tried, in units of the prior's spread."""
_LEAST_CURVATURE = 1e-8
"""Cosine of the angle between a move and the change of the gradient, below which the pair is left out."""
_STILL = 1e-7
"""Part of its first size below which a gradient counts as gone."""
_WINDOW, _LEAST_GAIN = 5, 1e-9
"""A loss that fell by less than this part of itself over so many steps falls no more."""
_GROWTH = (2.0, 10.0)
"""How many times the last length the next one is, while every length lowers the loss."""
_INSIDE = 0.1
"""Part of the interval that the next length keeps from its ends."""


@dataclass(frozen=True)
class LBFGSState:
    """One row for each code."""

    z: Float[Tensor, "n d"]
    loss: Float[Tensor, "n"]
    difference: Float[Tensor, "n"]
    """Difference to the data, without the regularizer."""
    difference_slope: Float[Tensor, "n d"]
    """Its gradient in z."""
    moves: Float[Tensor, "n h d"]
    """s of the last steps, the newest last; zero where there are none."""
    bends: Float[Tensor, "n h d"]
    """y of the last steps."""
    recent: Float[Tensor, "n w"]
    """Losses after the last steps, the newest last."""
    steepness: Float[Tensor, "n"]
    """Norm of the first gradient."""
    preactivation: Bool[Tensor, "n"]
    """Whether the difference is taken before the output activation."""
    step: Int[Tensor, "n"]
    done: Bool[Tensor, "n"]
    evaluations: Int[Tensor, "n"]


@dataclass(frozen=True)
class _Point:
    """Codes, with the loss there; one row for each."""

    z: Float[Tensor, "n d"]
    difference: Float[Tensor, "n"]
    difference_slope: Float[Tensor, "n d"]
    loss: Float[Tensor, "n"]
    gradient: Float[Tensor, "n d"]
    """Gradient of the loss in standardized coordinates."""


@dataclass(frozen=True)
class _Interval:
    """Lengths among which one is sought; one row for each code."""

    low: Float[Tensor, "n"]
    """Lowers the loss by enough."""
    high: Float[Tensor, "n"]
    """Does not; infinite while every length did."""
    length: Float[Tensor, "n"]
    """To be tried next."""
    slope_at_low: Float[Tensor, "n"]


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS, each code with its own memory and its own line search.

    Raises:
        ValueError: A number is outside its range.

    Example:
        >>> import torch, latentry as lt
        >>> solver, z = lt.solvers.LBFGS(steps=20), torch.ones(2, 3)
        >>> found = lt.recover_codes(lambda z: 2 * z, 2 * z, lt.priors.Normal(3), solver=solver)
        >>> found.met
        tensor([True, True])
    """

    steps: int = 100
    """Most iterations of a start; one costs 3 evaluations for each length that is tried, most often a single one."""
    history: int = 10
    """h: steps that are remembered."""
    trials: int = 10
    """Most lengths that are tried in one step."""
    halve_at: tuple[float, ...] | None = ()
    """Shares of the steps after which the worse half of a target's starts is given up; None tries one after another."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.steps < 1 or self.history < 1 or self.trials < 1:
            raise ValueError(f"expected steps, history and trials >= 1, got {self.steps}, {self.history} and {self.trials}")
        check_halvings(self.halve_at)

    def begin(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> LBFGSState:
        """The state of these starts."""
        return self._state(objective, z, target, preactivation=objective.output_activation is not None)

    def finish(self, objective: Objective, z: Float[Tensor, "n d"], target: Target) -> LBFGSState:
        """The difference as it is, from here."""
        return self._state(objective, z, target, preactivation=False)

    def _state(self, objective: Objective, z: Tensor, target: Target, *, preactivation: bool) -> LBFGSState:
        n, d = z.shape
        never = torch.zeros(n, dtype=torch.bool, device=z.device)
        count = torch.zeros(n, dtype=torch.int64, device=z.device)
        infinite = z.new_full((n,), torch.inf)
        none = z.new_zeros(n, self.history, d)
        difference, slope = objective.difference_slope(z, target, preactivation=preactivation)
        return LBFGSState(
            z=z,
            loss=infinite,
            difference=difference,
            difference_slope=slope,
            moves=none,
            bends=none,
            recent=infinite[:, None].expand(n, _WINDOW),
            steepness=infinite,
            preactivation=torch.full_like(never, preactivation),
            step=count,
            done=never,
            evaluations=count + 3,
        )

    def advance(self, objective: Objective, state: LBFGSState, target: Target, rng: torch.Generator | None) -> LBFGSState:
        """One direction of every code and a length along it. Codes done before the output activation go on after it."""
        for preactivation in state.preactivation.unique().tolist():
            part = (state.preactivation == preactivation).nonzero().flatten()
            state = put(state, part, self._step(objective, take(state, part), take(target, part), preactivation))
        behind = (state.preactivation & (state.done | (state.step >= self.steps // 2))).nonzero().flatten()
        if len(behind):
            before = take(state, behind)
            fresh = self.finish(objective, before.z, take(target, behind))
            done = ~before.loss.isfinite() | (before.step >= self.steps)
            unchanged = {"step": before.step, "evaluations": before.evaluations + fresh.evaluations, "done": done}
            state = put(state, behind, replace(fresh, **unchanged))
        return state

    def _step(self, objective: Objective, state: LBFGSState, target: Target, preactivation: bool) -> LBFGSState:
        share = state.step.to(state.z) / self.steps
        here = _with_penalty(objective, state.z, state.difference, state.difference_slope, share)
        remembers = state.moves[:, -1].any(1)
        direction = -_inverse_hessian_times(here.gradient, state.moves, state.bends)
        there, tried = self._search(objective, target, share, here, direction, preactivation)

        move, bend = (there.z - here.z) / objective.location_scale.scale, there.gradient - here.gradient
        lowered = move.any(1)
        curved = (move * bend).sum(1) > _LEAST_CURVATURE * move.norm(dim=1) * bend.norm(dim=1)
        moves = choose(curved, _pushed(state.moves, move), state.moves)
        bends = choose(curved, _pushed(state.bends, bend), state.bends)

        broken = ~(here.loss.isfinite() & here.gradient.isfinite().all(1))
        recent = torch.cat([state.recent[:, 1:], there.loss[:, None]], 1)
        steepness = torch.where(state.steepness.isinf(), here.gradient.norm(dim=1), state.steepness)
        gone = there.gradient.norm(dim=1) <= _STILL * steepness
        flat = lowered & (recent[:, -1] >= (1 - _LEAST_GAIN) * recent[:, 0])
        nothing_left = gone | flat | (~lowered & ~remembers)
        return LBFGSState(
            z=there.z,
            loss=there.loss.nan_to_num(nan=torch.inf),
            difference=there.difference,
            difference_slope=there.difference_slope,
            moves=choose(lowered, moves, torch.zeros_like(moves)),
            bends=choose(lowered, bends, torch.zeros_like(bends)),
            recent=recent,
            steepness=steepness,
            preactivation=state.preactivation,
            step=state.step + 1,
            done=nothing_left | broken | (state.step + 1 >= self.steps),
            evaluations=state.evaluations + 3 * tried,
        )

    def _search(
        self,
        objective: Objective,
        target: Target,
        share: Float[Tensor, "n"],
        here: _Point,
        direction: Float[Tensor, "n d"],
        preactivation: bool,
    ) -> tuple[_Point, Int[Tensor, "n"]]:
        """The last point along each direction that lowered the loss by enough, or none but here; and the lengths tried."""
        descent = (here.gradient * direction).sum(1)
        interval = _Interval(
            low=torch.zeros_like(descent),
            high=torch.full_like(descent, torch.inf),
            length=torch.ones_like(descent),
            slope_at_low=descent,
        )
        best, tried = here, torch.zeros_like(descent, dtype=torch.int64)
        searching = (descent < 0).nonzero().flatten()  # none where NaN
        for _ in range(self.trials):
            if not len(searching):
                break
            at, within, way = take(here, searching), take(interval, searching), direction[searching]
            z = at.z + within.length[:, None] * objective.location_scale.scale * way
            data = objective.difference_slope(z, take(target, searching), preactivation=preactivation)
            point = _with_penalty(objective, z, *data, share[searching])
            tried[searching] += 1

            slope = (point.gradient * way).sum(1)
            falls = (point.loss <= at.loss + _FALL * within.length * descent[searching]) & slope.isfinite()
            best = put(best, searching[falls], take(point, falls))
            interval = put(interval, searching, _narrowed(within, slope, falls))
            searching = searching[~(falls & (slope >= _FLATTEN * descent[searching]))]
        return best, tried


def _with_penalty(
    objective: Objective,
    z: Float[Tensor, "n d"],
    difference: Float[Tensor, "n"],
    difference_slope: Float[Tensor, "n d"],
    share: Float[Tensor, "n"],
) -> _Point:
    """Codes whose difference to the data is known, with the loss that the weight of the share makes of it."""
    penalty, slope = objective.penalty_slope(z, share)
    gradient = objective.location_scale.scale * (difference_slope + slope)
    return _Point(z, difference, difference_slope, difference + penalty, gradient)


def _inverse_hessian_times(
    gradient: Float[Tensor, "n d"], moves: Float[Tensor, "n h d"], bends: Float[Tensor, "n h d"]
) -> Float[Tensor, "n d"]:
    """H g by the two-loop recursion; without memory, a short way along g."""
    curvature = (moves * bends).sum(2)
    remembered = curvature > 0
    inverse = torch.where(remembered, 1 / curvature, 0.0)
    product, shares = gradient, []
    for i in reversed(range(moves.shape[1])):
        shares.append(inverse[:, i] * (moves[:, i] * product).sum(1))
        product = product - shares[-1][:, None] * bends[:, i]

    short = _FIRST_MOVE * moves.shape[2] ** 0.5 / gradient.norm(dim=1)
    gamma = torch.where(remembered[:, -1], curvature[:, -1] / bends[:, -1].square().sum(1), short)
    product = gamma[:, None] * product
    for i in range(moves.shape[1]):
        share = shares.pop() - inverse[:, i] * (bends[:, i] * product).sum(1)
        product = product + share[:, None] * moves[:, i]
    return product


def _narrowed(interval: _Interval, slope: Float[Tensor, "n"], falls: Bool[Tensor, "n"]) -> _Interval:
    """What is left of the interval once its length was tried, and the length to try next."""
    low = torch.where(falls, interval.length, interval.low)
    high = torch.where(falls, interval.high, interval.length)
    width, (least, most) = high - low, _GROWTH
    bend = slope - interval.slope_at_low
    root = interval.length - slope * (interval.length - interval.low) / bend
    root = torch.where((bend > 0) & root.isfinite(), root, torch.where(high.isinf(), torch.inf, low + width / 2))
    ends = (
        torch.where(high.isinf(), least * low, low + _INSIDE * width),
        torch.where(high.isinf(), most * low, high - _INSIDE * width),
    )
    return _Interval(low, high, root.clamp(*ends), torch.where(falls, slope, interval.slope_at_low))


def _pushed(memory: Float[Tensor, "n h d"], newest: Float[Tensor, "n d"]) -> Float[Tensor, "n h d"]:
    return torch.cat([memory[:, 1:], newest[:, None]], 1)
