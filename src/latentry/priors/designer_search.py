"""The optimisation of a designed prior: starts, grids from coarse to fine, and the stopping rule.

The problem that is searched is that of `priors.designer_problem`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from latentry.numerics.constrained import minimise_worst
from latentry.priors.design_report import Design, missed_by, objective_of, report_of
from latentry.priors.designer_feasibility import largest_std
from latentry.priors.designer_problem import FEASIBLE, Grid, Problem, centres

__all__ = ["Search", "grid_sizes", "search_masses"]

_COARSEST = 256
"""Grids up to this size are searched at once."""
_REFINEMENT = 4
_REVIVED = 0.01
"""Share of the start in what a finer grid starts from, so that no bin stays empty because a coarse one was."""


@dataclass(frozen=True)
class Search:
    """What a search found."""

    p: Tensor
    """Masses of the bins, `(n,)`."""
    design: Design
    """The report."""


def search_masses(
    problem: Problem, sizes: Sequence[int], starts: Sequence[Any], tolerance: float, max_iterations: int
) -> Search:
    reached: list[tuple[str, float]] = []
    iterations = evaluations = 0
    p: Tensor | None = None
    shares: Tensor | None = None
    for n in sizes:
        finest = n == sizes[-1]
        if p is None:
            candidates = [(_start_name(start), _start(start, problem, n)) for start in starts]
        else:
            spread = _start(starts[0], problem, n)
            candidates = [("", (1 - _REVIVED) * _regridded(p, n) + _REVIVED * spread)]
        if problem.hold_std and n == sizes[0] and _may_spread_further(problem):
            grid = Grid(problem, n)
            trial = minimise_worst(
                grid.evaluate,
                grid.family.free(candidates[0][1]),
                gradient_tolerance=1e-3,
                tolerance=1e-3,
                max_iterations=100,
            )
            iterations, evaluations = iterations + trial.iterations, evaluations + trial.evaluations
            if grid.price(trial) < 0 or grid.violation(grid.family(trial.x)) > 1e-2:
                problem = replace(problem, hold_std=False)
        grid = Grid(problem, n)
        found = [
            minimise_worst(
                grid.evaluate,
                grid.family.free(masses),
                gradient_tolerance=tolerance if finest else max(tolerance, 1e-4),
                tolerance=FEASIBLE / 2 if finest else 1e-4,
                max_iterations=max_iterations,
                shares=shares,
            )
            for _, masses in candidates
        ]
        iterations += sum(one.iterations for one in found)
        evaluations += sum(one.evaluations for one in found)
        best = min(found, key=lambda one: objective_of(one) + (missed_by(one) if missed_by(one) > 1e-3 else 0.0))
        p, shares = grid.family(best.x), best.shares
        if n == sizes[0]:
            reached = [(name, objective_of(one)) for (name, _), one in zip(candidates, found, strict=True)]
    assert p is not None
    return Search(p, report_of(problem, grid, p, best, iterations, evaluations, tuple(reached)))


def _may_spread_further(problem: Problem) -> bool:
    """Whether demands or extrapolation could call for more spread than is requested: an equality would hold it back."""
    demands = problem.moments or problem.constraints or problem.entropy_floor > -math.inf
    return bool(demands) or problem.density_ceiling < math.inf or any(min(w) < 0 for w in problem.combinations)


def grid_sizes(problem: Problem) -> list[int]:
    """Grids from coarse to fine; a coarse one that cannot meet the demands is left out."""
    sizes = [problem.bins]
    while sizes[0] > _COARSEST:
        coarser = -(-sizes[0] // _REFINEMENT)
        if largest_std(problem, coarser) < 1.05 * problem.std:
            break
        sizes.insert(0, coarser)
    return sizes


def _start_name(start: Any) -> str:
    return start if isinstance(start, str) else "given masses"


def _start(start: Any, problem: Problem, n: int) -> Tensor:
    if isinstance(start, Tensor):
        return _regridded(start.double() / start.double().sum(), n)
    x = (centres(problem, n) - sum(problem.support) / 2) / problem.width
    if start == "uniform":
        return torch.full((n,), 1 / n, dtype=torch.float64)
    if start == "laplace":
        p = (-(2**0.5) / problem.std * x.abs()).exp()
    elif start == "cauchy":
        scale = _cauchy_scale(problem.std)
        p = ((x + 0.5 / n) / scale).atan() - ((x - 0.5 / n) / scale).atan()
    else:
        raise ValueError(f"expected starts of 'cauchy', 'uniform', 'laplace' or masses, got {start!r}")
    return p / p.sum()


def _cauchy_scale(std: float) -> float:
    """The scale of the Cauchy distribution cut off at -1/2 and 1/2 with this standard deviation."""
    low, high = 1e-12, 10.0
    for _ in range(200):
        scale = math.sqrt(low * high)
        variance = scale / 2 / math.atan(0.5 / scale) - scale**2
        low, high = (scale, high) if variance < std**2 else (low, scale)
    return scale


def _regridded(p: Tensor, n: int) -> Tensor:
    """Masses on n bins of the distribution that is constant on each bin of p."""
    if n % len(p) == 0:
        return p.repeat_interleave(n // len(p)) * (len(p) / n)
    edges = torch.cat([p.new_zeros(1), p.cumsum(0)])
    place = torch.linspace(0, len(p), n + 1, dtype=p.dtype)
    cell = place.long().clamp(max=len(p) - 1)
    return (edges[cell] + p[cell] * (place - cell)).diff().clamp(min=0)
