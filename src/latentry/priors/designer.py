r"""Priors designed so that interpolated codes look like codes of the prior.

Between codes of a normal prior lie points that are no codes of it: in 100 coordinates the divergence of the prior from the
law of its midpoints is 15 nats. Singh et al. (2019) ask for the law p on a grid, of at least a given spread, that is nearest
to the law q_t of :math:`(1 - t) X_1 + t X_2`:

.. math:: \min_p \; \frac{1}{T} \sum_t KL(p \,||\, q_t) \quad \text{or} \quad \min_p \max_t KL(p \,||\, q_t),
    \qquad \operatorname{std}(p) \ge \sigma.

Without the last demand one single point would do. Spread is measured against the width of the support; the truncated Cauchy
law, whose tails are nearly kept by averaging, is the solution's plain relative, and where the search begins. The law q_t is
the exact one on the grid, in which midpoints between two bins count (`numerics.combination`). Theirs drops them, for t = 1/2
alone; `redesign_singh2019` solves their problem as they posed it.

The divergence is of one coordinate and adds up over coordinates. It cannot vanish: finite variance halves at the midpoint.

The search moves masses under their cap, with std, symmetry and empty regions built in (`numerics.masses`); other demands
enter by augmented Lagrangians (`numerics.constrained`). It is a local one: the problem is not convex. It runs on a coarse
grid first, from one start or several, and carries the best to finer ones.

References: Singh, Turaga, Jayasuriya, Garg, Braun, "Non-parametric priors for generative adversarial networks", 2019;
Lesniak, Sieradzki, Podolak, "Distribution-interpolation trade off in generative models", 2019.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentry.numerics.combination import GridCombination, continuous_divergence, even_midpoints
from latentry.numerics.constrained import Evaluation, Minimum, minimise_worst
from latentry.numerics.masses import Masses, largest_expectation, roughness
from latentry.priors.tabulated import Tabulated

__all__ = ["Constraint", "Design", "Designed", "Moment", "design_interpolable", "redesign_singh2019"]

Constraint = Callable[[Tensor, Tensor], Tensor]
"""A demand on masses `(n,)` and the bins' centres `(n,)`: differentiable in masses, and met where no value is above 0."""

PUBLISHED_STD = 27.7 / 1024
"""The spread of Singh et al. (2019), 27.7 of 1024 bins, as a fraction of the support's width."""

_COARSEST = 256
"""Grids up to this size are searched at once."""
_REFINEMENT = 4
_REVIVED = 0.01
"""Share of the start in what a finer grid starts from, so that no bin stays empty because a coarse one was."""
_FEASIBLE = 1e-6
"""Violation up to which a demand counts as met."""

Start = Literal["cauchy", "uniform", "laplace"]
_Divergence = Callable[[Tensor], tuple[float, Tensor]]


@dataclass(frozen=True)
class Moment:
    """A demand on E X^order, in the units of the support."""

    order: int
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if self.order < 1 or not self.low <= self.high:
            raise ValueError(f"expected an order of 1 or more and low <= high, got {self}; exchange the ends")


@dataclass(frozen=True)
class Design:
    """How a prior was designed, and what came of it."""

    combinations: tuple[tuple[float, ...], ...]
    """Weights of the codes that are combined, one tuple for each combination that was designed for."""
    divergence: tuple[float, ...]
    """KL(P || Q) of one coordinate on the grid for each of them, in nats; what is minimised."""
    continuous_divergence: tuple[float, ...]
    """The same of the law that is constant on each bin, which codes are drawn from."""
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
    """e^entropy: the width of the uniform law of equal entropy, in the units of the support."""
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


@dataclass(frozen=True)
class _Problem:
    """What is asked for, whatever the grid."""

    bins: int
    std: float
    combinations: tuple[tuple[float, ...], ...]
    shares: tuple[float, ...]
    worst: bool
    smoothness: float
    support: tuple[float, float]
    symmetric: bool
    density_ceiling: float
    entropy_floor: float
    forbidden: tuple[tuple[float, float], ...]
    moments: tuple[Moment, ...]
    constraints: tuple[Constraint, ...]
    hold_std: bool
    """Whether the spread is built in as an equality, else it is one more constraint."""
    even_midpoints: bool = False

    @property
    def width(self) -> float:
        return self.support[1] - self.support[0]


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
    """The prior of independent coordinates that is nearest to the laws of its own combinations.

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
        symmetric: Whether the law shall be symmetric about the support's middle.
        density_ceiling: Largest density, per unit of the support.
        entropy_floor: Least differential entropy of a coordinate in nats, in the units of the support.
        forbidden: Intervals without mass; a bin that reaches into one stays empty. With `symmetric`, its mirror image too.
        moments: Demands on E X^k.
        constraints: Demands of your own; they are asked on coarser grids too.
        starts: Laws to start from on the coarsest grid: names, or masses on any number of bins.
        coarse_to_fine: Whether coarser grids are searched first.
        tolerance: Largest gradient at the end, relative to the objective.
        max_iterations: Steps of the search on each grid.

    Raises:
        ValueError: An argument is out of its range, or the demands contradict each other; the message says what is feasible.
    """
    problem = _problem(
        bins, std, mix, combine, smoothness, points, support, shares, symmetric, density_ceiling, entropy_floor, forbidden,
        moments, constraints,
    )  # fmt: skip
    _check_feasible(problem)
    sizes = _sizes(problem) if coarse_to_fine else [bins]
    problem = replace(problem, hold_std=_can_hold_std(problem, sizes))
    search = _search(problem, sizes, starts, tolerance, max_iterations)
    if search.design.violation > _FEASIBLE:
        _explain_infeasible(problem, search.p)
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
        start: Where the search begins, the uniform law in their script.
        tolerance, max_iterations: As in `design_interpolable`.
    """
    problem = _problem(
        bins, math.sqrt(zeta / bins), (0.5,), "mean", 0.0, 2, (-2.0, 2.0), None, True, math.inf, -math.inf, (), (), ()
    )
    _check_feasible(problem)
    search = _search(replace(problem, even_midpoints=True), [bins], (start,), tolerance, max_iterations)
    return Designed(latent_dim, search.p, design=search.design)


def _problem(
    bins: int,
    std: float,
    mix: Sequence[float | Sequence[float]],
    combine: str,
    smoothness: float,
    points: int,
    support: tuple[float, float],
    shares: Sequence[float] | None,
    symmetric: bool,
    density_ceiling: float,
    entropy_floor: float,
    forbidden: Sequence[tuple[float, float]],
    moments: Sequence[Moment],
    constraints: Sequence[Constraint],
) -> _Problem:
    if bins < 3:
        raise ValueError(f"expected 3 bins or more, got {bins}")
    if not std > 0:
        raise ValueError(
            f"expected std > 0, a fraction of the support's width, got {std}; without spread one point would do"
        )
    if not (math.isfinite(support[0]) and math.isfinite(support[1]) and support[0] < support[1]):
        raise ValueError(f"expected finite ends of the support, low < high, got {support}")
    if combine not in ("mean", "max"):
        raise ValueError(f"expected combine='mean' or 'max', got {combine!r}")
    if smoothness < 0 or points < 2:
        raise ValueError(f"expected smoothness >= 0 and points >= 2, got {smoothness} and {points}")
    combinations = [(1 - t, t) if isinstance(t, int | float) else tuple(map(float, t)) for t in mix]
    if points > 2:
        combinations.append((1 / points,) * points)
    if not combinations:
        raise ValueError("expected something to combine codes by, got an empty mix; pass mix=(0.5,), or points above 2")
    for weights in combinations:
        if not all(map(math.isfinite, weights)) or abs(sum(weights) - 1) > 1e-9:
            raise ValueError(f"expected finite weights that sum to 1, got {weights}; divide them by their sum")
        if sum(w != 0 for w in weights) < 2:
            raise ValueError(f"expected two weights or more that are not 0, got {weights}; leave out t = 0 and t = 1")
    given = [1.0] * len(combinations) if shares is None else list(shares)
    if len(given) != len(combinations) or min(given) < 0 or sum(given) <= 0:
        raise ValueError(f"expected a share >= 0 for each of {len(combinations)} combinations, not all 0, got {shares}")
    if not density_ceiling > 0:
        raise ValueError(f"expected density_ceiling > 0, got {density_ceiling}")
    for low, high in forbidden:
        if not low < high:
            raise ValueError(f"expected forbidden intervals with low < high, got ({low}, {high})")
    return _Problem(
        bins,
        std,
        tuple(combinations),
        tuple(share / sum(given) for share in given),
        combine == "max" and len(combinations) > 1,
        smoothness,
        support,
        symmetric,
        density_ceiling,
        entropy_floor,
        tuple(forbidden),
        tuple(moments),
        tuple(constraints),
        hold_std=symmetric,
    )


@dataclass(frozen=True)
class _Search:
    p: Tensor
    design: Design


def _search(
    problem: _Problem, sizes: Sequence[int], starts: Sequence[Any], tolerance: float, max_iterations: int
) -> _Search:
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
            grid = _Grid(problem, n)
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
        grid = _Grid(problem, n)
        found = [
            minimise_worst(
                grid.evaluate,
                grid.family.free(masses),
                gradient_tolerance=tolerance if finest else max(tolerance, 1e-4),
                tolerance=_FEASIBLE / 2 if finest else 1e-4,
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


def _may_spread_further(problem: _Problem) -> bool:
    """Whether demands or extrapolation could call for more spread than is asked for: an equality would hold it back."""
    demands = problem.moments or problem.constraints or problem.entropy_floor > -math.inf
    return bool(demands) or problem.density_ceiling < math.inf or any(min(w) < 0 for w in problem.combinations)


def _objective(found: Minimum) -> float:
    return float(found.objectives.max())


def _missed(found: Minimum) -> float:
    return max([0.0, *found.constraints.tolist()])


class _Grid:
    """The problem on one grid."""

    def __init__(self, problem: _Problem, n: int) -> None:
        self.problem = problem
        self.centres = _centres(problem, n)
        cap = problem.density_ceiling * problem.width / n
        middle = sum(problem.support) / 2
        self.second_moment = ((self.centres - middle) / (problem.std * problem.width)).square()
        held = self.second_moment if problem.hold_std else None
        self.family = Masses(_allowed(problem, n), symmetric=problem.symmetric, cap=cap, held=held)
        self._divergences: list[_Divergence] = (
            [even_midpoints]
            if problem.even_midpoints
            else [GridCombination(n, weights).divergence for weights in problem.combinations]
        )
        # a smooth law has second differences that fall with the square of the bins' width
        self._smoothness = problem.smoothness * (n / problem.bins) ** 4
        self._shares = torch.tensor(problem.shares, dtype=torch.float64)
        self.demands = _demands(problem)

    def evaluate(self, x: Float[Tensor, "h"]) -> Evaluation:
        p, pullback = self.family.with_pullback(x)
        parts = [divergence(p) for divergence in self._divergences]
        values = torch.tensor([value for value, _ in parts], dtype=torch.float64)
        rough, rough_gradient = roughness(p) if self._smoothness else (0.0, torch.zeros_like(p))
        constraints, constraints_pullback = self.constraints(p)
        objectives = (values if self.problem.worst else (values @ self._shares).view(1)) + self._smoothness * rough
        gradients = [gradient for _, gradient in parts]
        pull = partial(self._pull, gradients, self._smoothness * rough_gradient, constraints_pullback, pullback)
        return Evaluation(objectives, constraints, pull)

    def _pull(
        self,
        gradients: list[Tensor],
        rough: Tensor,
        constraints_pullback: Callable[[Tensor], Tensor],
        pullback: Callable[[Tensor], Tensor],
        a: Tensor,
        b: Tensor,
    ) -> Tensor:
        each = a if self.problem.worst else a * self._shares
        total = constraints_pullback(b) + float(a.sum()) * rough
        for weight, gradient in zip(each.tolist(), gradients, strict=True):
            if weight:
                total = total + weight * gradient
        return pullback(total)

    def price(self, found: Minimum) -> float:
        """By how much the objective would rise with the spread that is held."""
        self.evaluate(found.x).pullback(found.shares, found.multipliers)
        return self.family.price

    def constraints(self, p: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        if not self.demands:
            return p.new_zeros(0), partial(_nothing, p)
        leaf = p.detach().requires_grad_()
        with torch.enable_grad():
            values = torch.cat([demand(leaf, self.centres).reshape(-1) for demand in self.demands])
        return values.detach(), partial(_vector_jacobian, values, leaf)

    def violation(self, p: Tensor) -> float:
        """The largest value of a demand, the spread's among them, or 0."""
        values = self.constraints(p)[0].tolist()
        return max([0.0, *values, 1 - float(p @ self.second_moment) ** 0.5 if self.problem.hold_std else 0.0])


def _nothing(p: Tensor, b: Tensor) -> Tensor:
    return torch.zeros_like(p)


def _vector_jacobian(values: Tensor, leaf: Tensor, b: Tensor) -> Tensor:
    return torch.autograd.grad(values, leaf, b, retain_graph=True)[0]


def _report(
    problem: _Problem,
    grid: _Grid,
    p: Tensor,
    found: Minimum,
    iterations: int,
    evaluations: int,
    starts: tuple[tuple[str, float], ...],
) -> Design:
    on_grid = [GridCombination(len(p), weights) for weights in problem.combinations]
    entropy = _entropy(p, problem.width / len(p)).item()
    violation = grid.violation(p)
    violation = 0.0 if violation < 1e-12 else violation
    return Design(
        combinations=problem.combinations,
        divergence=tuple(combination.divergence(p)[0] for combination in on_grid),
        continuous_divergence=tuple(continuous_divergence(p, weights) for weights in problem.combinations),
        outside=tuple(max(0.0, 1 - float(combination.masses(p).sum())) for combination in on_grid),
        objective=_objective(found),
        shares=tuple(found.shares.tolist()) if problem.worst else problem.shares,
        std=_variance(p, grid.centres).sqrt().item() / problem.width,
        entropy=entropy,
        effective_support=math.exp(entropy),
        violation=violation,
        converged=found.converged and violation <= _FEASIBLE,
        iterations=iterations,
        evaluations=evaluations,
        starts=starts,
    )


def _demands(problem: _Problem) -> list[Constraint]:
    """All that is not built into the masses, as constraints."""
    demands = list(problem.constraints)
    if not problem.hold_std:
        least = problem.std * problem.width
        # its logarithm: a variance is bounded below by 0, and a search could rest there
        demands.append(lambda p, x: math.log(least) - _variance(p, x).log() / 2)
    if problem.entropy_floor > -math.inf:
        demands.append(lambda p, x: problem.entropy_floor - _entropy(p, problem.width / len(p)))
    for moment in problem.moments:
        if moment.low > -math.inf:
            demands.append(lambda p, x, m=moment: m.low - p @ x**m.order)  # type: ignore[misc]
        if moment.high < math.inf:
            demands.append(lambda p, x, m=moment: p @ x**m.order - m.high)  # type: ignore[misc]
    return demands


def _variance(p: Tensor, x: Tensor) -> Tensor:
    return p @ (x - p @ x).square()


def _entropy(p: Tensor, width: float) -> Tensor:
    """Differential entropy of the density that is constant on bins."""
    return -(p * (p.clamp(min=1e-300) / width).log()).sum()


def _centres(problem: _Problem, n: int) -> Tensor:
    low, high = problem.support
    return low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n


def _allowed(problem: _Problem, n: int) -> Bool[Tensor, "n"]:
    centres, half = _centres(problem, n), problem.width / n / 2 * (1 - 1e-9)
    allowed = torch.ones(n, dtype=torch.bool)
    for low, high in problem.forbidden:
        allowed &= (centres + half <= low) | (centres - half >= high)
    return allowed & allowed.flip(0) if problem.symmetric else allowed


def _cap(problem: _Problem, n: int) -> Float[Tensor, "n"]:
    return torch.full((n,), problem.density_ceiling * problem.width / n, dtype=torch.float64)


def _sizes(problem: _Problem) -> list[int]:
    """Grids from coarse to fine; a coarse one that cannot meet the demands is left out."""
    sizes = [problem.bins]
    while sizes[0] > _COARSEST:
        coarser = -(-sizes[0] // _REFINEMENT)
        if _largest_std(problem, coarser) < 1.05 * problem.std:
            break
        sizes.insert(0, coarser)
    return sizes


def _start_name(start: Any) -> str:
    return start if isinstance(start, str) else "given masses"


def _start(start: Any, problem: _Problem, n: int) -> Tensor:
    if isinstance(start, Tensor):
        return _regridded(start.double() / start.double().sum(), n)
    x = (_centres(problem, n) - sum(problem.support) / 2) / problem.width
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
    """The scale of the Cauchy law cut off at -1/2 and 1/2 with this standard deviation."""
    low, high = 1e-12, 10.0
    for _ in range(200):
        scale = math.sqrt(low * high)
        variance = scale / 2 / math.atan(0.5 / scale) - scale**2
        low, high = (scale, high) if variance < std**2 else (low, scale)
    return scale


def _regridded(p: Tensor, n: int) -> Tensor:
    """Masses on n bins of the law that is constant on each bin of p."""
    if n % len(p) == 0:
        return p.repeat_interleave(n // len(p)) * (len(p) / n)
    edges = torch.cat([p.new_zeros(1), p.cumsum(0)])
    place = torch.linspace(0, len(p), n + 1, dtype=p.dtype)
    cell = place.long().clamp(max=len(p) - 1)
    return (edges[cell] + p[cell] * (place - cell)).diff().clamp(min=0)


def _largest_std(problem: _Problem, n: int) -> float:
    """The largest spread under ceiling and empty regions, as a fraction of the width; 0 where there is no room at all."""
    cap = torch.where(_allowed(problem, n), _cap(problem, n), 0.0).clamp(max=1)
    if cap.sum() < 1:
        return 0.0
    x = (_centres(problem, n) - sum(problem.support) / 2) / problem.width
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


def _smallest_std(problem: _Problem, n: int) -> float:
    """The least spread about the support's middle under ceiling and empty regions, as a fraction of the width."""
    cap = torch.where(_allowed(problem, n), _cap(problem, n), 0.0).clamp(max=1)
    x = (_centres(problem, n) - sum(problem.support) / 2) / problem.width
    return (-largest_expectation(-x.square(), cap)) ** 0.5


def _can_hold_std(problem: _Problem, sizes: Sequence[int]) -> bool:
    return problem.symmetric and all(_smallest_std(problem, n) < problem.std for n in sizes)


def _check_feasible(problem: _Problem) -> None:
    n = problem.bins
    room = float(_allowed(problem, n).double().mean()) * problem.width
    if not room:
        raise ValueError("expected room for mass, got forbidden intervals that reach into every bin; leave some bins out")
    if room * problem.density_ceiling < 1:
        raise ValueError(
            f"expected room for mass 1, got a ceiling of {problem.density_ceiling:g} over a width of {room:g}; "
            f"a ceiling of at least {1 / room:.6g} is feasible"
        )
    largest = _largest_std(problem, n)
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


def _check_moments(problem: _Problem) -> None:
    """Moments, ceiling and empty regions are linear: what they leave to each other is a linear program."""
    n = min(problem.bins, 1024)
    x = _centres(problem, n)
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
    problem: _Problem, s: Tensor, sign: int, moments: Sequence[Moment], *, with_std: bool = True
) -> float | None:
    """The least (sign 1) or largest (-1) expectation of s under the linear demands; None where there is no law at all."""
    from scipy.optimize import linprog

    n = len(s)
    x = _centres(problem, n)
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
    cap = torch.where(_allowed(problem, n), _cap(problem, n), 0.0).clamp(max=1)
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


def _largest_entropy(problem: _Problem) -> float:
    """The largest entropy under the other demands: concave, so that the search finds it."""
    n = min(problem.bins, 1024)
    free = replace(problem, entropy_floor=-math.inf, bins=n)
    best = -math.inf
    for hold in (True, False) if _can_hold_std(problem, [n]) else (False,):
        grid = _Grid(replace(free, hold_std=hold), n)

        def negative_entropy(x: Tensor, grid: _Grid = grid) -> Evaluation:
            p, pullback = grid.family.with_pullback(x)
            constraints, constraints_pullback = grid.constraints(p)
            log_density = (p.clamp(min=1e-300) * n / problem.width).log()
            return Evaluation(
                (p @ log_density).view(1),
                constraints,
                lambda a, b: pullback(a[0] * (log_density + 1) + constraints_pullback(b)),
            )

        found = minimise_worst(negative_entropy, grid.family.free(torch.full((n,), 1 / n, dtype=torch.float64)))
        if grid.violation(grid.family(found.x)) <= _FEASIBLE:
            best = max(best, -float(found.objectives))
    return best


def _explain_infeasible(problem: _Problem, p: Tensor) -> None:
    """Where the search could not meet the demands, look whether anything can; if not, say how near it gets."""
    grid = _Grid(problem, problem.bins)
    if not grid.demands:
        return

    def demands(x: Tensor) -> Evaluation:
        masses, pullback = grid.family.with_pullback(x)
        values, values_pullback = grid.constraints(masses)
        return Evaluation(values, values[:0], lambda a, b: pullback(values_pullback(a)))

    found = minimise_worst(demands, grid.family.free(p))
    nearest = float(found.objectives.max())
    if found.converged and nearest > _FEASIBLE:
        raise ValueError(
            f"expected demands that can be met together, got some that no law near the search's end meets: the largest of "
            f"them stays at {nearest:.3g} or above, where 0 is asked for; relax them by that much"
        )
