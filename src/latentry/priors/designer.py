r"""Priors designed so that interpolated codes look like codes of the prior.

Between codes of a normal prior lie points that are no codes of it: in 100 coordinates the divergence of the prior from the
distribution of its midpoints is 15 nats. Singh et al. (2019) ask for the distribution p on a grid, of at least a given
spread, that is nearest to the distribution q_t of :math:`(1 - t) X_1 + t X_2`:

.. math:: \min_p \; \frac{1}{T} \sum_t KL(p \,||\, q_t) \quad \text{or} \quad \min_p \max_t KL(p \,||\, q_t),
    \qquad \operatorname{std}(p) \ge \sigma.

Without the last demand one single point would do. Spread is measured against the width of the support; the truncated Cauchy
distribution, whose tails are nearly kept by averaging, is the solution's plain relative, and where the search begins. The
distribution q_t is the exact one on the grid, in which midpoints between two bins count (`numerics.combination`). Theirs
drops them, for t = 1/2 alone; `redesign_singh2019` solves their problem as they posed it.

The divergence is of one coordinate and adds up over coordinates. It cannot vanish: finite variance halves at the midpoint.

The search moves masses under their cap, with std, symmetry and empty regions built in (`numerics.masses`); other demands
enter by augmented Lagrangians (`numerics.constrained`). It is a local one: the problem is not convex. It runs on a coarse
grid first, from one start or several, and carries the best to finer ones.

References: Singh, Turaga, Jayasuriya, Garg, Braun, "Non-parametric priors for generative adversarial networks", 2019;
Lesniak, Sieradzki, Podolak, "Distribution-interpolation trade off in generative models", 2019.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.display import Told
from latentry.numerics.combination import GridCombination, continuous_divergence
from latentry.numerics.constrained import Minimum, minimise_worst
from latentry.numerics.inputs import checked
from latentry.priors.designer_feasibility import can_hold_std, check_feasible, explain_infeasible, largest_std
from latentry.priors.designer_problem import FEASIBLE, Constraint, Grid, Moment, Problem, centres, entropy, pose, variance
from latentry.priors.tabulated import Tabulated

__all__ = ["Constraint", "Design", "Designed", "Moment", "design_interpolable", "redesign_singh2019"]

PUBLISHED_STD = 27.7 / 1024
"""The spread of Singh et al. (2019), 27.7 of 1024 bins, as a fraction of the support's width."""

_COARSEST = 256
"""Grids up to this size are searched at once."""
_REFINEMENT = 4
_REVIVED = 0.01
"""Share of the start in what a finer grid starts from, so that no bin stays empty because a coarse one was."""

Start = Literal["cauchy", "uniform", "laplace"]


@dataclass(frozen=True, repr=False)
class Design(Told):
    """How a prior was designed, and what came of it."""

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


class Designed(Tabulated):
    """A tabulated prior that `design_interpolable` made, with the report of its making.

    Args:
        latent_dim, probs, low, high, standardize: As for `Tabulated`.
        design: The report; a prior read from a file has none.
    """

    def __init__(
        self,
        latent_dim: int,
        probs: Sequence[float] | Float[Tensor, "n"],
        low: float = -2.0,
        high: float = 2.0,
        *,
        standardize: bool = False,
        design: Design | None = None,
    ) -> None:
        super().__init__(latent_dim, probs, low, high, standardize=standardize)
        self.design = design


@checked()
def design_interpolable(
    latent_dim: int,
    bins: int = 1024,
    std: float = PUBLISHED_STD,
    mix: Sequence[float | Sequence[float]] = (0.1, 0.25, 0.5),
    combine: Literal["mean", "max"] = "mean",
    smoothness: float = 0.0,
    points: int = 2,
    support: tuple[float, float] = (-2.0, 2.0),
    *,
    shares: Sequence[float] | None = None,
    symmetric: bool = True,
    density_ceiling: float = math.inf,
    entropy_floor: float = -math.inf,
    forbidden: Sequence[tuple[float, float]] = (),
    moments: Sequence[Moment] = (),
    constraints: Sequence[Constraint] = (),
    starts: Sequence[Start | Float[Tensor, "n"]] = ("cauchy",),
    coarse_to_fine: bool = True,
    tolerance: float = 1e-5,
    max_iterations: int = 3000,
) -> Designed:
    """The prior of independent coordinates that is nearest to the distributions of its own combinations.

    Deterministic: equal arguments give equal masses.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        bins: Number of equal bins of the support.
        std: Least standard deviation, as a fraction of the support's width.
        mix: What codes are combined by: t for (1 - t) z1 + t z2, or the weights of several codes, summing to 1.
        combine: Whether the mean of the divergences or the largest is minimised.
        smoothness: Weight of a penalty on second differences, sum (p_{k-1} - 2 p_k + p_{k+1})^2 / sum p_k^2, in [0, 16]
            before it is weighted. It tells peaks of one bin from smooth ones.
        points: Above 2, the mean of this many codes joins the combinations.
        support: Ends of the grid.
        shares: Weight of each combination in the mean, of that of `points` last; equal by default.
        symmetric: Whether the distribution shall be symmetric about the support's middle.
        density_ceiling: Largest density, per unit of the support.
        entropy_floor: Least differential entropy of a coordinate in nats, in the units of the support.
        forbidden: Intervals without mass; a bin that reaches into one stays empty. With `symmetric`, its mirror image too.
        moments: Demands on E X^k.
        constraints: Demands of your own; they are asked on coarser grids too.
        starts: Distributions to start from on the coarsest grid: names, or masses on any number of bins.
        coarse_to_fine: Whether coarser grids are searched first.
        tolerance: Largest gradient at the end, relative to the objective.
        max_iterations: Steps of the search on each grid.

    Raises:
        ValueError: An argument is out of its range, or the demands contradict each other; the message says what is feasible.
    """
    problem = pose(
        bins, std, mix, combine, smoothness, points, support, shares, symmetric, density_ceiling, entropy_floor, forbidden,
        moments, constraints,
    )  # fmt: skip
    check_feasible(problem)
    sizes = _sizes(problem) if coarse_to_fine else [bins]
    problem = replace(problem, hold_std=can_hold_std(problem, sizes))
    search = _search(problem, sizes, starts, tolerance, max_iterations)
    if search.design.violation > FEASIBLE:
        explain_infeasible(problem, search.p)
    return Designed(latent_dim, search.p, *support, design=search.design)


def redesign_singh2019(
    latent_dim: int,
    bins: int = 1024,
    zeta: float = 0.75,
    start: Start = "uniform",
    *,
    tolerance: float = 1e-5,
    max_iterations: int = 5000,
) -> Designed:
    r"""The problem of Singh et al. (2019) as they posed it, solved again: a reproduction, not a recommendation.

    Midpoints alone, those between two bins dropped and the rest renormalised; the variance at least `zeta` times n in units
    of bins; symmetry is not asked for, though from a symmetric start there is none to break it. The design's `objective` is
    their divergence; `divergence` is that on the exact grid.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        bins: n, 1024 in the paper.
        zeta: 0.75 in the paper.
        start: Where the search begins, the uniform distribution in their script.
        tolerance, max_iterations: As in `design_interpolable`.
    """
    problem = pose(
        bins, math.sqrt(zeta / bins), (0.5,), "mean", 0.0, 2, (-2.0, 2.0), None, True, math.inf, -math.inf, (), (), ()
    )
    check_feasible(problem)
    search = _search(replace(problem, even_midpoints=True), [bins], (start,), tolerance, max_iterations)
    return Designed(latent_dim, search.p, design=search.design)


@dataclass(frozen=True)
class _Search:
    p: Tensor
    design: Design


def _search(problem: Problem, sizes: Sequence[int], starts: Sequence[Any], tolerance: float, max_iterations: int) -> _Search:
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
        best = min(found, key=lambda one: _objective(one) + (_missed(one) if _missed(one) > 1e-3 else 0.0))
        p, shares = grid.family(best.x), best.shares
        if n == sizes[0]:
            reached = [(name, _objective(one)) for (name, _), one in zip(candidates, found, strict=True)]
    assert p is not None
    return _Search(p, _report(problem, grid, p, best, iterations, evaluations, tuple(reached)))


def _may_spread_further(problem: Problem) -> bool:
    """Whether demands or extrapolation could call for more spread than is asked for: an equality would hold it back."""
    demands = problem.moments or problem.constraints or problem.entropy_floor > -math.inf
    return bool(demands) or problem.density_ceiling < math.inf or any(min(w) < 0 for w in problem.combinations)


def _objective(found: Minimum) -> float:
    return float(found.objectives.max())


def _missed(found: Minimum) -> float:
    return max([0.0, *found.constraints.tolist()])


def _report(
    problem: Problem,
    grid: Grid,
    p: Tensor,
    found: Minimum,
    iterations: int,
    evaluations: int,
    starts: tuple[tuple[str, float], ...],
) -> Design:
    on_grid = [GridCombination(len(p), weights) for weights in problem.combinations]
    nats = entropy(p, problem.width / len(p)).item()
    violation = grid.violation(p)
    violation = 0.0 if violation < 1e-12 else violation
    return Design(
        combinations=problem.combinations,
        divergence=tuple(combination.divergence(p)[0] for combination in on_grid),
        continuous_divergence=tuple(continuous_divergence(p, weights) for weights in problem.combinations),
        outside=tuple(max(0.0, 1 - float(combination.masses(p).sum())) for combination in on_grid),
        objective=_objective(found),
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


def _sizes(problem: Problem) -> list[int]:
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
