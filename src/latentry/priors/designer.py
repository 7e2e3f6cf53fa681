r"""Priors designed so that interpolated codes have nearly the same distribution as codes of the prior.

Midpoints between codes of a normal prior are not distributed like codes: in 100 coordinates the divergence of the prior from
the distribution of its midpoints is 15 nats. Singh et al. (2019) search the distribution p on a grid, with at least a given
standard deviation, that is nearest to the distribution q_t of :math:`(1 - t) X_1 + t X_2`:

.. math:: \min_p \; \frac{1}{T} \sum_t KL(p \,||\, q_t) \quad \text{or} \quad \min_p \max_t KL(p \,||\, q_t),
    \qquad \operatorname{std}(p) \ge \sigma.

Without the constraint a single point would be optimal. The standard deviation is a fraction of the width of the support. The
search starts at the truncated Cauchy distribution, whose shape averaging nearly keeps. The distribution q_t is exact on the
grid: midpoints between two bins count (`numerics.combination`). Singh et al. leave these out, and consider t = 1/2 alone;
`redesign_singh2019` solves their problem as they state it.

The divergence is that of one coordinate, and adds up over coordinates. It cannot be 0, since a finite variance halves at the
midpoint.

The search is over probability masses below a cap; standard deviation, symmetry and empty regions hold by construction
(`numerics.masses`), and other constraints enter by augmented Lagrangians (`numerics.constrained`). The problem is not
convex, so the search finds a local minimum. It runs on a coarse grid first, from one or several starts, and refines the
best result on finer grids.

References: Singh, Turaga, Jayasuriya, Garg, Braun, "Non-parametric priors for generative adversarial networks", 2019;
Lesniak, Sieradzki, Podolak, "Distribution-interpolation trade off in generative models", 2019.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from latentry.numerics.inputs import checked
from latentry.priors.design_report import Design
from latentry.priors.designer_feasibility import can_hold_std, check_feasible, explain_infeasible
from latentry.priors.designer_problem import FEASIBLE, Constraint, Moment, pose
from latentry.priors.designer_search import grid_sizes, search_masses
from latentry.priors.tabulated import Tabulated

__all__ = ["Designed", "PUBLISHED_STD", "Start", "design_interpolable", "redesign_singh2019"]

PUBLISHED_STD = 27.7 / 1024
"""The spread of Singh et al. (2019), 27.7 of 1024 bins, as a fraction of the support's width."""
Start = Literal["cauchy", "uniform", "laplace"]


class Designed(Tabulated):
    """A tabulated prior that `design_interpolable` made, with the report of its making.

    Args:
        latent_dim, probs, low, high, standardize: As for `Tabulated`.
        design: The report; a prior read from a file has none.

    Example:
        >>> prior = design_interpolable(16, bins=32, std=0.1, max_iterations=50)
        >>> type(prior).__name__, prior.design.objective < 0.3
        ('Designed', True)
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
        constraints: Constraints of your own; they are imposed on coarser grids too.
        starts: Distributions to start from on the coarsest grid: names, or masses on any number of bins.
        coarse_to_fine: Whether coarser grids are searched first.
        tolerance: Largest gradient at the end, relative to the objective.
        max_iterations: Steps of the search on each grid.

    Raises:
        ValueError: An argument is out of its range, or the demands contradict each other; the message says what is feasible.

    Example:
        >>> prior = design_interpolable(16, bins=32, std=0.1, max_iterations=50)
        >>> round(prior.design.std, 6), len(prior.probs)
        (0.1, 32)
    """
    problem = pose(
        bins, std, mix, combine, smoothness, points, support, shares, symmetric, density_ceiling, entropy_floor, forbidden,
        moments, constraints,
    )  # fmt: skip
    check_feasible(problem)
    sizes = grid_sizes(problem) if coarse_to_fine else [bins]
    problem = replace(problem, hold_std=can_hold_std(problem, sizes))
    search = search_masses(problem, sizes, starts, tolerance, max_iterations)
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
    of bins; symmetry is not requested, though from a symmetric start there is none to break it. The design's `objective` is
    their divergence; `divergence` is that on the exact grid.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        bins: n, 1024 in the paper.
        zeta: 0.75 in the paper.
        start: Where the search begins, the uniform distribution in their script.
        tolerance, max_iterations: As in `design_interpolable`.

    Example:
        >>> prior = redesign_singh2019(16, bins=64, max_iterations=50)
        >>> round(prior.marginal.mean, 6), len(prior.probs)
        (0.0, 64)
    """
    problem = pose(
        bins, math.sqrt(zeta / bins), (0.5,), "mean", 0.0, 2, (-2.0, 2.0), None, True, math.inf, -math.inf, (), (), ()
    )
    check_feasible(problem)
    search = search_masses(replace(problem, even_midpoints=True), [bins], (start,), tolerance, max_iterations)
    return Designed(latent_dim, search.p, design=search.design)
