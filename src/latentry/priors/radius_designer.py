r"""Radial priors designed so that interpolated codes have nearly the same norms as codes of the prior.

In many dimensions two codes are nearly orthogonal, and :math:`(1 - t) z_1 + t z_2` differs from a code mainly by its norm:
the mean of two codes is shorter by a factor of :math:`\sqrt 2`. A scale-free distribution of the norm would not change by
this factor. A bounded distribution cannot be scale-free, but its mismatch falls as the ratio high / low grows.
`design_radius` finds the distribution of log-norms on [log low, log high] that is nearest to those of its combinations, by
the mean or the largest Jensen-Shannon divergence (`numerics.radius_combination` has the reason for this divergence).
Without the bounds the solution would be a distribution without a mean, the spherical Cauchy codes of Lesniak et al. (2019).

The total variation between prior and combinations, in 128 dimensions for t = 0.1, 0.25, 0.5:

===========  ==================  =====================  ==========================  ====================
high / low   designed, t = 1/2   designed for all: 1/2  log-uniform, t = 1/2        mean divergence, all
===========  ==================  =====================  ==========================  ====================
2            0.42                0.60                   0.60                        0.209 nats
4            0.28                0.32                   0.35                        0.076
8            0.17                0.20                   0.30                        0.035
16           0.12                0.13                   0.28                        0.017
===========  ==================  =====================  ==========================  ====================

Reference: Lesniak, Sieradzki, Podolak, "Distribution-interpolation trade off in generative models", 2019.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.display import Described
from latentry.numerics.constrained import Evaluation, minimise_worst
from latentry.numerics.inputs import checked
from latentry.numerics.masses import Masses, roughness
from latentry.numerics.radius_combination import RadiusCombination
from latentry.priors.radial import RadialPrior
from latentry.priors.tabulated import TabulatedDistribution

__all__ = ["RadiusDesign", "design_radial", "design_radius"]


@dataclass(frozen=True, repr=False)
class RadiusDesign(Described):
    """A distribution of norms that `design_radius` made, and what came of it.

    Example:
        >>> design = design_radius(16, 0.5, 2.0, bins=8, max_iterations=20)
        >>> round(design.log_masses.sum().item(), 6)
        1.0
    """

    distribution: TabulatedDistribution
    """The distribution of the norm, for `RadialPrior(latent_dim, design.distribution)`."""
    log_masses: Float[Tensor, "n"]
    """Masses on equal bins of the log-norm, from log low to log high, on which it was designed."""
    mix: tuple[float, ...]
    """The t that it was designed for."""
    divergence: tuple[float, ...]
    """Jensen-Shannon divergence between the log-norms of codes and of combinations for each t, in nats, at most ln 2."""
    total_variation: tuple[float, ...]
    """Largest difference of their probabilities, for each t."""
    outside: tuple[float, ...]
    """Part of the combinations that is shorter than `low` (or longer than `high`), for each t."""
    objective: float
    """The mean or the largest divergence, with the penalty for roughness."""
    entropy: float
    """Differential entropy of the log-norm, in nats; log(log(high / low)) at most."""
    violation: float
    """By how much the entropy's floor is missed; 0 if it is kept."""
    converged: bool
    iterations: int


@checked()
def design_radius(
    latent_dim: int | None,
    low: float = 0.25,
    high: float = 1.0,
    bins: int = 128,
    mix: Sequence[float] = (0.1, 0.25, 0.5),
    combine: Literal["mean", "max"] = "mean",
    *,
    smoothness: float = 0.0,
    entropy_floor: float = -math.inf,
    distribution_bins: int = 2048,
    tolerance: float = 1e-5,
    max_iterations: int = 3000,
) -> RadiusDesign:
    """The distribution of norms between `low` and `high` that is nearest to those of its combinations.

    Args:
        latent_dim: d, for the exact distribution of the angle between two codes; None for orthogonal ones.
        low, high: Shortest and longest code.
        bins: Bins of the log-norm; time and memory grow with their square.
        mix: t for (1 - t) z1 + t z2.
        combine: Whether the mean of the divergences or the largest is minimised.
        smoothness: Weight of a penalty on second differences of the masses, as in `design_interpolable`.
        entropy_floor: Least differential entropy of the log-norm in nats.
        distribution_bins: Equal bins of the norm itself that the distribution is handed over on.
        tolerance: Largest gradient at the end, relative to the objective.
        max_iterations: Steps of the search.

    Raises:
        ValueError: An argument is out of its range, or no distribution has as much entropy as requested.

    Example:
        >>> design = design_radius(16, 0.5, 2.0, bins=8, max_iterations=20)
        >>> design.distribution.support
        (0.5, 2.0)
    """
    _check(latent_dim, low, high, bins, mix, combine, smoothness, distribution_bins)
    width = math.log(high / low) / bins
    most = math.log(bins * width)
    if entropy_floor > most:
        raise ValueError(
            f"expected an entropy within reach, got a floor of {entropy_floor:g} nats; up to {most:.6g} is feasible"
        )
    log_radii = math.log(low) + width * (torch.arange(bins, dtype=torch.float64) + 0.5)
    combinations = [RadiusCombination(log_radii, (1 - t, t), latent_dim) for t in mix]
    family = Masses(torch.ones(bins, dtype=torch.bool))
    evaluate = partial(_evaluate, family, combinations, combine == "max", smoothness, entropy_floor, width)
    start = family.free(torch.full((bins,), 1 / bins, dtype=torch.float64))
    found = minimise_worst(evaluate, start, gradient_tolerance=tolerance, tolerance=1e-7, max_iterations=max_iterations)
    p = family(found.x)
    return RadiusDesign(
        distribution=TabulatedDistribution(tuple(_on_norms(p, low, high, distribution_bins).tolist()), low, high),
        log_masses=p,
        mix=tuple(mix),
        divergence=tuple(combination.divergence(p)[0] for combination in combinations),
        total_variation=tuple(combination.total_variation(p) for combination in combinations),
        outside=tuple(max(0.0, 1 - float(combination.masses(p).sum())) for combination in combinations),
        objective=float(found.objectives.max()),
        entropy=-_negative_entropy(p, width),
        violation=max([0.0, *found.constraints.tolist()]),
        converged=found.converged,
        iterations=found.iterations,
    )


@checked()
def design_radial(latent_dim: int, spread: float = 16.0, scale: float = 1.0, bins: int = 128) -> RadialPrior:
    """A prior for straight lines: uniform directions, and norms designed by `design_radius` with its default steps.

    Args:
        latent_dim: Number of coordinates d.
        spread: Longest norm over shortest, above 1. More of it makes combined codes more like codes.
        scale: Root of the mean square of a coordinate, above 0.
        bins: As in `design_radius`.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> prior = design_radial(16, bins=8)
        >>> prior.sample(4).shape
        torch.Size([4, 16])
    """
    if not (spread > 1 and 0 < scale < math.inf):
        raise ValueError(f"expected spread > 1 and a finite scale > 0, got {spread} and {scale}")
    distribution = design_radius(latent_dim, 1.0, spread, bins).distribution
    unit = scale * math.sqrt(latent_dim / (distribution.variance + distribution.mean**2))
    return RadialPrior(
        latent_dim, TabulatedDistribution(distribution.probs, unit * distribution.low, unit * distribution.high)
    )


def _evaluate(
    family: Masses,
    combinations: list[RadiusCombination],
    worst: bool,
    smoothness: float,
    entropy_floor: float,
    width: float,
    x: Tensor,
) -> Evaluation:
    p, pullback = family.with_pullback(x)
    parts = [combination.divergence(p) for combination in combinations]
    values = torch.tensor([value for value, _ in parts], dtype=torch.float64)
    gradients = torch.stack([gradient for _, gradient in parts])
    rough, rough_gradient = roughness(p) if smoothness else (0.0, torch.zeros_like(p))
    if not worst:
        values, gradients = values.mean().view(1), gradients.mean(0, keepdim=True)
    floored = entropy_floor > -math.inf
    constraints = p.new_tensor([entropy_floor + _negative_entropy(p, width)] if floored else [])
    slopes = ((p.clamp(min=1e-300) / width).log() + 1).view(1, -1) if floored else p.new_zeros(0, len(p))
    pull = partial(_pull, pullback, gradients + smoothness * rough_gradient, slopes)
    return Evaluation(values + smoothness * rough, constraints, pull)


def _pull(pullback: Callable[[Tensor], Tensor], gradients: Tensor, slopes: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return pullback(a @ gradients + b @ slopes)


def _negative_entropy(p: Tensor, width: float) -> float:
    return float(p @ (p.clamp(min=1e-300) / width).log())


def _on_norms(p: Tensor, low: float, high: float, bins: int) -> Tensor:
    """Masses on equal bins of the norm of the distribution that is constant on each bin of the log-norm."""
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
    place = ((edges / low).log() / math.log(high / low) * len(p)).clamp(0, len(p))
    cell = place.long().clamp(max=len(p) - 1)
    below = torch.cat([p.new_zeros(1), p.cumsum(0)])[cell] + p[cell] * (place - cell)
    masses = below.diff().clamp(min=0)
    return masses / masses.sum()


def _check(
    latent_dim: int | None,
    low: float,
    high: float,
    bins: int,
    mix: Sequence[float],
    combine: str,
    smoothness: float,
    distribution_bins: int,
) -> None:
    if latent_dim is not None and latent_dim < 1:
        raise ValueError(f"expected latent_dim >= 1, got {latent_dim}; pass None for orthogonal codes")
    if not 0 < low < high < math.inf:
        raise ValueError(f"expected 0 < low < high, both finite, got {low} and {high}")
    if bins < 3 or distribution_bins < 1:
        raise ValueError(f"expected 3 bins or more and distribution_bins >= 1, got {bins} and {distribution_bins}")
    if not mix or not all(math.isfinite(t) and t not in (0, 1) for t in mix):
        raise ValueError(f"expected finite t that are neither 0 nor 1, at least one, got {tuple(mix)}")
    if combine not in ("mean", "max"):
        raise ValueError(f"expected combine='mean' or 'max', got {combine!r}")
    if smoothness < 0:
        raise ValueError(f"expected smoothness >= 0, got {smoothness}")
