"""The report of a designed prior."""

import math
from dataclasses import dataclass

from torch import Tensor

from latentry.display import Described
from latentry.numerics.combination import GridCombination, continuous_divergence
from latentry.numerics.constrained import Minimum
from latentry.priors.designer_problem import FEASIBLE, Grid, Problem, entropy, variance

__all__ = ["Design", "missed_by", "objective_of", "report_of"]


@dataclass(frozen=True, repr=False)
class Design(Described):
    """How a prior was designed, and what came of it.

    Example:
        >>> from latentry.priors.designer import design_interpolable
        >>> design = design_interpolable(16, bins=32, std=0.1, max_iterations=50).design
        >>> design.violation < 1e-3, design.iterations > 0
        (True, True)
    """

    combinations: tuple[tuple[float, ...], ...]
    """Weights of the codes that are combined, one tuple for each combination that was designed for."""
    divergence: tuple[float, ...]
    """KL(P || Q) of one coordinate on the grid for each of them, in nats; what is minimised."""
    continuous_divergence: tuple[float, ...]
    """The same of the distribution that is constant on each bin, which codes are drawn from."""
    outside: tuple[float, ...]
    """Mass of each combination outside the support, from weights below 0 or above 1."""
    objective: float
    """The mean or the largest divergence, with the penalty for roughness."""
    shares: tuple[float, ...]
    """Weight of each combination in the mean, or how much of the largest divergence each holds up."""
    std: float
    """Standard deviation of the bins' centres, as a fraction of the support's width."""
    entropy: float
    """Differential entropy of one coordinate in nats, in the units of the support."""
    effective_support: float
    """e^entropy: the width of the uniform distribution of equal entropy, in the units of the support."""
    violation: float
    """By how much the demands are missed at most, each in units of its own, std relative to the demand; 0 if all are met."""
    converged: bool
    """Whether the search on the finest grid ended with a flat objective and all demands met."""
    iterations: int
    """Steps of the search, over all grids and starts."""
    evaluations: int
    """Evaluations of the objective and its gradient, over all grids and starts."""
    starts: tuple[tuple[str, float], ...]
    """Where the search began on the coarsest grid, and the objective reached there."""


def objective_of(found: Minimum) -> float:
    """The largest of the objectives that a search ended with."""
    return float(found.objectives.max())


def missed_by(found: Minimum) -> float:
    """By how much the demands were missed at most."""
    return max([0.0, *found.constraints.tolist()])


def report_of(
    problem: Problem,
    grid: Grid,
    p: Tensor,
    found: Minimum,
    iterations: int,
    evaluations: int,
    starts: tuple[tuple[str, float], ...],
) -> Design:
    """The report on the masses p that a search found."""
    on_grid = [GridCombination(len(p), weights) for weights in problem.combinations]
    nats = entropy(p, problem.width / len(p)).item()
    violation = grid.violation(p)
    violation = 0.0 if violation < 1e-12 else violation
    return Design(
        combinations=problem.combinations,
        divergence=tuple(combination.divergence(p)[0] for combination in on_grid),
        continuous_divergence=tuple(continuous_divergence(p, weights) for weights in problem.combinations),
        outside=tuple(max(0.0, 1 - float(combination.masses(p).sum())) for combination in on_grid),
        objective=objective_of(found),
        shares=tuple(found.shares.tolist()) if problem.worst else problem.shares,
        std=variance(p, grid.centres).sqrt().item() / problem.width,
        entropy=nats,
        effective_support=math.exp(nats),
        violation=violation,
        converged=found.converged and violation <= FEASIBLE,
        iterations=iterations,
        evaluations=evaluations,
        starts=starts,
    )
