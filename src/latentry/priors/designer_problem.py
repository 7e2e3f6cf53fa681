"""The optimisation problem of a designed prior, and its discretisation: masses, divergences, constraints."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentry.numerics.combination import GridCombination, even_midpoints
from latentry.numerics.constrained import Evaluation, Minimum
from latentry.numerics.masses import Masses, roughness

__all__ = [
    "FEASIBLE",
    "Constraint",
    "Grid",
    "Moment",
    "Problem",
    "centres",
    "entropy",
    "largest_masses",
    "open_bins",
    "pose",
    "variance",
]

Constraint = Callable[[Tensor, Tensor], Tensor]
"""A demand on masses `(n,)` and the bins' centres `(n,)`: differentiable in masses, and met where no value is above 0."""

FEASIBLE = 1e-6
"""Violation up to which a demand counts as met."""

_Divergence = Callable[[Tensor], tuple[float, Tensor]]


@dataclass(frozen=True)
class Moment:
    """A demand on E X^order, in the units of the support.

    Example:
        >>> Moment(4, high=0.02)
        Moment(order=4, low=-inf, high=0.02)
    """

    order: int
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if self.order < 1 or not self.low <= self.high:
            raise ValueError(f"expected an order of 1 or more and low <= high, got {self}; exchange the ends")


@dataclass(frozen=True)
class Problem:
    """The problem, whatever the grid."""

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


def pose(
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
) -> Problem:
    """The problem that arguments of `design_interpolable` describe.

    Raises:
        ValueError: One of them is out of its range.

    Example:
        >>> problem = pose(4, 0.2, (0.5,), "mean", 0.0, 2, (-2.0, 2.0), None, True, math.inf, -math.inf, (), (), ())
        >>> problem.combinations, problem.width
        (((0.5, 0.5),), 4.0)
    """
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
    share_weights = [1.0] * len(combinations) if shares is None else list(shares)
    if len(share_weights) != len(combinations) or min(share_weights) < 0 or sum(share_weights) <= 0:
        raise ValueError(f"expected a share >= 0 for each of {len(combinations)} combinations, not all 0, got {shares}")
    if not density_ceiling > 0:
        raise ValueError(f"expected density_ceiling > 0, got {density_ceiling}")
    for low, high in forbidden:
        if not low < high:
            raise ValueError(f"expected forbidden intervals with low < high, got ({low}, {high})")
    return Problem(
        bins,
        std,
        tuple(combinations),
        tuple(share / sum(share_weights) for share in share_weights),
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


class Grid:
    """The problem on one grid."""

    def __init__(self, problem: Problem, n: int) -> None:
        self.problem = problem
        self.centres = centres(problem, n)
        cap = problem.density_ceiling * problem.width / n
        middle = sum(problem.support) / 2
        self.second_moment = ((self.centres - middle) / (problem.std * problem.width)).square()
        fixed_statistic = self.second_moment if problem.hold_std else None
        self.family = Masses(open_bins(problem, n), symmetric=problem.symmetric, cap=cap, fixed_statistic=fixed_statistic)
        self._divergences: list[_Divergence] = (
            [even_midpoints]
            if problem.even_midpoints
            else [GridCombination(n, weights).divergence for weights in problem.combinations]
        )
        # a smooth distribution has second differences that fall with the square of the bins' width
        self._smoothness = problem.smoothness * (n / problem.bins) ** 4
        self._shares = torch.tensor(problem.shares, dtype=torch.float64)
        self.demands = _demands(problem)

    def evaluate(self, x: Float[Tensor, "h"]) -> Evaluation:
        """Divergences and demands of the masses that the free parameters x stand for."""
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
        """Values of the demands on masses p, met where not above 0, and the product of a vector with their Jacobian."""
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


def _demands(problem: Problem) -> list[Constraint]:
    """All that is not built into the masses, as constraints."""
    demands = list(problem.constraints)
    if not problem.hold_std:
        least = problem.std * problem.width
        # its logarithm: a variance is bounded below by 0, and a search could rest there
        demands.append(lambda p, x: math.log(least) - variance(p, x).log() / 2)
    if problem.entropy_floor > -math.inf:
        demands.append(lambda p, x: problem.entropy_floor - entropy(p, problem.width / len(p)))
    for moment in problem.moments:
        if moment.low > -math.inf:
            demands.append(lambda p, x, m=moment: m.low - p @ x**m.order)  # type: ignore[misc]
        if moment.high < math.inf:
            demands.append(lambda p, x, m=moment: p @ x**m.order - m.high)  # type: ignore[misc]
    return demands


def variance(p: Tensor, x: Tensor) -> Tensor:
    """Of the distribution with masses p at the points x.

    Example:
        >>> variance(torch.tensor([0.5, 0.5]), torch.tensor([-1.0, 1.0]))
        tensor(1.)
    """
    return p @ (x - p @ x).square()


def entropy(p: Tensor, width: float) -> Tensor:
    """Differential entropy of the density that is constant on bins.

    Example:
        >>> entropy(torch.full((4,), 0.25), 0.5)
        tensor(0.6931)
    """
    return -(p * (p.clamp(min=1e-300) / width).log()).sum()


def centres(problem: Problem, n: int) -> Float[Tensor, "n"]:
    """The middle of each of n bins, in the units of the support.

    Example:
        >>> problem = pose(4, 0.2, (0.5,), "mean", 0.0, 2, (-2.0, 2.0), None, True, math.inf, -math.inf, (), (), ())
        >>> centres(problem, 4)
        tensor([-1.5000, -0.5000,  0.5000,  1.5000], dtype=torch.float64)
    """
    low, high = problem.support
    return low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n


def open_bins(problem: Problem, n: int) -> Bool[Tensor, "n"]:
    """Bins that reach into no forbidden interval."""
    middles, half = centres(problem, n), problem.width / n / 2 * (1 - 1e-9)
    open_ = torch.ones(n, dtype=torch.bool)
    for low, high in problem.forbidden:
        open_ &= (middles + half <= low) | (middles - half >= high)
    return open_ & open_.flip(0) if problem.symmetric else open_


def largest_masses(problem: Problem, n: int) -> Float[Tensor, "n"]:
    """The most that each bin may hold under ceiling and empty regions."""
    return open_bins(problem, n).double() * min(1.0, problem.density_ceiling * problem.width / n)
