r"""Minimax problems: the largest of several objectives is minimised under inequalities, by augmented Lagrangians.

.. math:: \min_x \max_k f_k(x) \quad \text{subject to} \quad c_j(x) \le 0

for smooth functions of many variables x. The maximum is not smooth. So one variable s is added, and :math:`\min s` subject
to :math:`f_k(x) \le s` is solved. With multipliers :math:`\lambda_j \ge 0` and a penalty :math:`\mu`, the augmented
Lagrangian

.. math:: L(x) = f(x) + \frac{1}{2 \mu} \sum_j \left( (\lambda_j + \mu c_j(x))_+^2 - \lambda_j^2 \right)

is minimised by L-BFGS, then the multipliers are updated, :math:`\lambda_j \leftarrow (\lambda_j + \mu c_j)_+`. This is one
round, and several follow. The penalty :math:`\mu` grows if the violation of the constraints does not fall fast enough.
Objectives are divided by their size at the start, and constraints by the norm of their gradient there, so that one penalty
suits all.

References: Hestenes, "Multiplier and gradient methods", 1969; Conn, Gould, Toint, "A globally convergent augmented
Lagrangian algorithm", 1991; Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989 (scipy's
L-BFGS-B).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Evaluation", "Minimum", "minimise_worst"]

_SCALED_ONE_BY_ONE = 32
"""Number of constraints up to which each is scaled by its own gradient."""
_VANISHED = 1e-8
"""Norm of a gradient below which a constraint is not scaled."""
_FLATTEST = 1e-4
"""Smallest norm of a gradient that a constraint is divided by."""
_OUT_OF_STEPS = 1
"""scipy's status of a search that ended by its limit of steps."""
_ROUNDING = 100
"""A search that finds no lower point has converged if its gradient is below this multiple of the tolerance: the rest is
rounding."""
_PATIENCE = 3
"""Rounds without a step after which the search ends."""
_LARGEST_PENALTY = 1e7
"""Penalty at which the search ends: constraints that are not met by then cannot be met."""


@dataclass(frozen=True)
class Evaluation:
    """Objectives and constraints at one point."""

    objectives: Float[Tensor, "k"]
    constraints: Float[Tensor, "m"]
    pullback: Callable[[Tensor, Tensor], Tensor]
    """The gradient of a . objectives + b . constraints in x, from a `(k,)` and b `(m,)`."""


@dataclass(frozen=True)
class Minimum:
    """Where the search ended."""

    x: Float[Tensor, "n"]
    objectives: Float[Tensor, "k"]
    constraints: Float[Tensor, "m"]
    shares: Float[Tensor, "k"]
    """Multipliers of the objectives, which sum to 1; above 0 only for objectives that attain the maximum."""
    multipliers: Float[Tensor, "m"]
    """Multipliers of the constraints: decrease of the largest objective per unit by which a constraint is relaxed."""
    converged: bool
    """Whether the violation fell below its tolerance and the gradient below its own, or within rounding of it."""
    iterations: int
    """Steps of L-BFGS, over all multipliers."""
    evaluations: int
    """Evaluations at the points it tried."""


def minimise_worst(
    evaluate: Callable[[Float[Tensor, "n"]], Evaluation],
    start: Float[Tensor, "n"],
    *,
    gradient_tolerance: float = 1e-5,
    tolerance: float = 1e-8,
    max_iterations: int = 3000,
    rounds: int = 20,
    penalty: float = 10.0,
    shares: Float[Tensor, "k"] | None = None,
    multipliers: Float[Tensor, "m"] | None = None,
) -> Minimum:
    """A local minimum of the largest objective among the x with no constraint above 0.

    Args:
        evaluate: Objectives, constraints and gradient at x; smooth, and finite wherever a step may lead.
        start: Where the search begins; need not be feasible.
        gradient_tolerance: Largest entry of the gradient at the end, for objectives divided by the largest one at the start.
            Objectives that attain the maximum together agree up to this tolerance.
        tolerance: Largest constraint at the end.
        max_iterations: Steps of L-BFGS in all.
        rounds: Updates of the multipliers at most.
        penalty: The first mu.
        shares, multipliers: Those of the solution of a similar problem, as initial values.
    """
    from scipy.optimize import minimize

    done = (0, 0)
    if shares is not None and len(shares) > 1:  # with known shares, begin with their weighted mean, which is smooth
        mean = minimise_worst(
            partial(_averaged, evaluate, shares),
            start,
            gradient_tolerance=10 * gradient_tolerance,
            tolerance=10 * tolerance,
            max_iterations=max_iterations,
            rounds=rounds,
            penalty=penalty,
            multipliers=multipliers,
        )
        start, multipliers, done = mean.x, mean.multipliers, (mean.iterations, mean.evaluations)
    first = evaluate(start)
    k, m = len(first.objectives), len(first.constraints)
    unit = 1 / max(float(first.objectives.abs().max()), 1e-12)
    scale = _scales(first)
    weight = torch.full((k,), 1 / k, dtype=start.dtype) if shares is None else shares.clone()
    if multipliers is None:
        multipliers = torch.zeros(m, dtype=start.dtype)
    lam: Tensor = multipliers * unit / scale
    several = k > 1
    iterations, evaluations = done

    def lagrangian(point: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal evaluations
        evaluations += 1
        x = torch.from_numpy(point)
        there = evaluate(x[: len(start)])
        pull = (lam + penalty * scale * there.constraints).clamp(min=0)
        value = float((pull.square() - lam.square()).sum()) / (2 * penalty)
        f = unit * there.objectives
        if several:
            lift = (weight + penalty * (f - x[-1])).clamp(min=0)
            value += float(x[-1]) + float((lift.square() - weight.square()).sum()) / (2 * penalty)
            slope = (1 - lift.sum()).view(1)
        else:
            lift, slope = torch.ones_like(f), f.new_zeros(0)
            value += float(f)
        gradient = there.pullback(unit * lift, scale * pull)
        return value, torch.cat([gradient, slope]).numpy()

    x = torch.cat([start, unit * first.objectives.max().view(-1)]) if several else start
    stuck, goal, before, converged = 0, 10 * gradient_tolerance**0.5, float("inf"), False
    for _ in range(rounds):
        goal = max(gradient_tolerance, goal / 10)
        options = {
            "maxiter": max(max_iterations - iterations, 1),
            "maxfun": 10**9,
            "maxcor": 20,
            "gtol": goal,
            "ftol": 1e-14,
        }
        found = minimize(lagrangian, x.numpy(), jac=True, method="L-BFGS-B", options=options)
        x = torch.from_numpy(found.x)
        iterations += int(found.nit)
        there = evaluate(x[: len(start)])
        # change of the multipliers in units of the tolerance; 0 for inactive constraints
        moved = _updated(lam, penalty * scale * there.constraints) - lam
        unsettled = float((moved / scale).abs().max()) / penalty / tolerance if m else 0.0
        lam = lam + moved
        if several:
            moved = _updated(weight, penalty * (unit * there.objectives - x[-1])) - weight
            unsettled = max(unsettled, float(moved.abs().max()) / penalty / gradient_tolerance)
            weight = weight + moved
        steepest = float(np.abs(found.jac).max())
        stopped = found.status != _OUT_OF_STEPS
        flat = steepest <= gradient_tolerance or (stopped and steepest <= _ROUNDING * gradient_tolerance)
        if flat and unsettled <= 1 and goal == gradient_tolerance:
            converged = True
            break
        stuck = stuck + 1 if goal == gradient_tolerance and found.nit <= 1 else 0
        if iterations >= max_iterations or stuck == _PATIENCE or penalty > _LARGEST_PENALTY:
            break
        if unsettled > max(before / 10, 1):
            penalty *= 4
        before = unsettled
    total = weight.sum().clamp(min=1e-12)
    return Minimum(
        x[: len(start)].clone(),
        there.objectives,
        there.constraints,
        weight / total,
        lam * scale / unit,
        converged,
        iterations,
        evaluations,
    )


def _averaged(evaluate: Callable[[Tensor], Evaluation], shares: Tensor, x: Tensor) -> Evaluation:
    there = evaluate(x)
    pullback = partial(_averaged_pullback, there.pullback, shares)
    return Evaluation((shares @ there.objectives).view(1), there.constraints, pullback)


def _averaged_pullback(pullback: Callable[[Tensor, Tensor], Tensor], shares: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return pullback(a * shares, b)


def _updated(multipliers: Tensor, push: Tensor) -> Tensor:
    return (multipliers + push).clamp(min=0)


def _scales(first: Evaluation) -> Tensor:
    """One over the size of each constraint's gradient."""
    m, none = len(first.constraints), torch.zeros_like(first.objectives)
    if m > _SCALED_ONE_BY_ONE:
        return torch.ones_like(first.constraints)
    sizes = [float(first.pullback(none, one).norm()) for one in torch.eye(m, dtype=first.constraints.dtype)]
    # a gradient of 0 at the start gives no scale
    return first.constraints.new_tensor([1 / max(size, _FLATTEST) if size > _VANISHED else 1.0 for size in sizes])
