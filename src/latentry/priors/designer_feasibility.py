"""Whether the constraints on a designed prior can be met together; if not, the error says what is feasible."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latentry.numerics.constrained import Evaluation, minimise_worst
from latentry.numerics.masses import largest_expectation
from latentry.priors.designer_problem import FEASIBLE, Grid, Moment, Problem, centres, largest_masses, open_bins

__all__ = ["can_hold_std", "check_feasible", "explain_infeasible", "largest_std"]


def largest_std(problem: Problem, n: int) -> float:
    """The largest spread under ceiling and empty regions, as a fraction of the width; 0 where there is no room at all."""
    cap = largest_masses(problem, n)
    if cap.sum() < 1:
        return 0.0
    x = (centres(problem, n) - sum(problem.support) / 2) / problem.width
    if problem.symmetric:
        return largest_expectation(x.square(), cap) ** 0.5
    # the largest variance: by minimax, the least over m of the largest E (X - m)^2, which is convex in m
    low, high = -0.5, 0.5
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if largest_expectation((x - a).square(), cap) < largest_expectation((x - b).square(), cap):
            high = b
        else:
            low = a
    return largest_expectation((x - (low + high) / 2).square(), cap) ** 0.5


def _smallest_std(problem: Problem, n: int) -> float:
    """The least spread about the support's middle under ceiling and empty regions, as a fraction of the width."""
    cap = largest_masses(problem, n)
    x = (centres(problem, n) - sum(problem.support) / 2) / problem.width
    return (-largest_expectation(-x.square(), cap)) ** 0.5


def can_hold_std(problem: Problem, sizes: Sequence[int]) -> bool:
    return problem.symmetric and all(_smallest_std(problem, n) < problem.std for n in sizes)


def check_feasible(problem: Problem) -> None:
    n = problem.bins
    room = float(open_bins(problem, n).double().mean()) * problem.width
    if not room:
        raise ValueError("expected room for mass, got forbidden intervals that reach into every bin; leave some bins out")
    if room * problem.density_ceiling < 1:
        raise ValueError(
            f"expected room for mass 1, got a ceiling of {problem.density_ceiling:g} over a width of {room:g}; "
            f"a ceiling of at least {1 / room:.6g} is feasible"
        )
    largest = largest_std(problem, n)
    if problem.std > largest:
        raise ValueError(
            f"expected a std within reach, got {problem.std:g} of the support's width; under this ceiling and with these "
            f"empty regions 0 to {largest:.6g} is feasible"
        )
    if problem.moments:
        _check_moments(problem)
    if problem.entropy_floor > -math.inf:
        largest = _largest_entropy(problem)
        if problem.entropy_floor > largest:
            raise ValueError(
                f"expected an entropy within reach, got a floor of {problem.entropy_floor:g} nats; with the other demands "
                f"up to {largest:.6g} is feasible"
            )


def _check_moments(problem: Problem) -> None:
    """Moments, ceiling and empty regions are linear: what they leave to each other is a linear program."""
    n = min(problem.bins, 1024)
    x = centres(problem, n)
    second = ((x - sum(problem.support) / 2) / problem.width).square()
    for index, moment in enumerate(problem.moments):
        others = problem.moments[:index]
        low, high = (_extreme_expectation(problem, x**moment.order, sign, others) for sign in (1, -1))
        if low is None or high is None or moment.low > high or moment.high < low:
            raise ValueError(
                f"expected moments within reach, got {moment}; with the demands before it "
                f"{f'{low:.6g} to {high:.6g}' if low is not None and high is not None else 'nothing'} is feasible"
            )
    largest = _extreme_expectation(problem, second, -1, problem.moments, with_std=False)
    if largest is not None and problem.symmetric and problem.std > largest**0.5 * (1 + 1e-6):
        raise ValueError(
            f"expected a std within reach, got {problem.std:g} of the support's width; with these moments 0 to "
            f"{largest**0.5:.6g} is feasible"
        )


def _extreme_expectation(
    problem: Problem, s: Tensor, sign: int, moments: Sequence[Moment], *, with_std: bool = True
) -> float | None:
    """The least (sign 1) or largest (-1) expectation of s under the linear demands; None where there is no distribution at
    all."""
    from scipy.optimize import linprog

    n = len(s)
    x = centres(problem, n)
    rows, bounds = [], []
    for moment in moments:
        for side, bound in ((1, moment.high), (-1, -moment.low)):
            if math.isfinite(bound):
                rows.append((side * x**moment.order).numpy())
                bounds.append(bound)
    if with_std and problem.symmetric:
        second = ((x - sum(problem.support) / 2) / problem.width / problem.std).square()
        rows.append(-second.numpy())
        bounds.append(-1.0)
    equal, totals = [torch.ones(n, dtype=torch.float64).numpy()], [1.0]
    if problem.symmetric:
        half = n // 2
        mirror = torch.eye(n, dtype=torch.float64)[:half] - torch.eye(n, dtype=torch.float64).flip(0)[:half]
        equal, totals = [*equal, *mirror.numpy()], [*totals, *[0.0] * half]
    cap = largest_masses(problem, n)
    found = linprog(
        (sign * s).numpy(),
        A_ub=rows or None,
        b_ub=bounds or None,
        A_eq=equal,
        b_eq=totals,
        bounds=[(0.0, float(c)) for c in cap],
        method="highs",
    )
    return sign * float(found.fun) if found.success else None


def _largest_entropy(problem: Problem) -> float:
    """The largest entropy under the other demands: concave, so that the search finds it."""
    n = min(problem.bins, 1024)
    free = replace(problem, entropy_floor=-math.inf, bins=n)
    best = -math.inf
    for hold in (True, False) if can_hold_std(problem, [n]) else (False,):
        grid = Grid(replace(free, hold_std=hold), n)

        def negative_entropy(x: Tensor, grid: Grid = grid) -> Evaluation:
            p, pullback = grid.family.with_pullback(x)
            constraints, constraints_pullback = grid.constraints(p)
            log_density = (p.clamp(min=1e-300) * n / problem.width).log()
            return Evaluation(
                (p @ log_density).view(1),
                constraints,
                lambda a, b: pullback(a[0] * (log_density + 1) + constraints_pullback(b)),
            )

        found = minimise_worst(negative_entropy, grid.family.free(torch.full((n,), 1 / n, dtype=torch.float64)))
        if grid.violation(grid.family(found.x)) <= FEASIBLE:
            best = max(best, -float(found.objectives))
    return best


def explain_infeasible(problem: Problem, p: Tensor) -> None:
    """Where the search could not meet the demands, look whether anything can; if not, say how near it gets."""
    grid = Grid(problem, problem.bins)
    if not grid.demands:
        return

    def demands(x: Tensor) -> Evaluation:
        masses, pullback = grid.family.with_pullback(x)
        values, values_pullback = grid.constraints(masses)
        return Evaluation(values, values[:0], lambda a, b: pullback(values_pullback(a)))

    found = minimise_worst(demands, grid.family.free(p))
    nearest = float(found.objectives.max())
    if found.converged and nearest > FEASIBLE:
        raise ValueError(
            "expected demands that can be met together, got some that no distribution near the search's end meets: the "
            f"largest of them stays at {nearest:.3g} or above, where 0 is requested; relax them by that much"
        )
