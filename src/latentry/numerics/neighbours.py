r"""Precision, recall, density and coverage of samples, from nearest neighbours.

Around each row put the ball that reaches its k-th nearest neighbour in its own sample, :math:`B_k`. Then

.. math::
    \text{precision} &= \frac{1}{n} \sum_i 1\{g_i \in \cup_j B_k(r_j)\} &
    \text{recall} &= \frac{1}{m} \sum_j 1\{r_j \in \cup_i B_k(g_i)\} \\
    \text{density} &= \frac{1}{k n} \sum_{i,j} 1\{g_i \in B_k(r_j)\} &
    \text{coverage} &= \frac{1}{m} \sum_j 1\{\exists i: g_i \in B_k(r_j)\}

for generated rows g and reference rows r. Exchange the samples, and precision and recall change places. Density and coverage
never look at balls around generated rows, so that a stray one cannot pass for recall. For equal distributions density is 1
on average, coverage :math:`1 - \prod_{i<k} (m - 1 - i) / (n + m - 1 - i)`, about :math:`1 - 2^{-k}` for n = m, and precision
and recall have no such value.

None of them is a number of the two distributions alone: a ball to the k-th of m neighbours shrinks as m grows. They can be
compared at equal n, m and k, and an interval is one for the average over samples of that size.

A ball holds what is nearer than its radius. A row found more than k times has a ball of radius zero, which holds nothing. So
ties matter: on discrete features a third of all comparisons may be one. Distances are taken in float64, tile by tile, as
differences of squares about a row of the reference, with a bound on what rounding makes of them; pairs that are nearer to a
radius than that are taken again from the differences themselves. Where features are on a grid so coarse that all sums are
exact (whole numbers, half precision), that is all. Elsewhere, as for tenths, what the features' own rounding, in steps of
:math:`\epsilon`, may part counts as a tie: for a ball of radius r about y squares that differ by no more than
:math:`\epsilon r (4 |y| + 2 r)`.

References: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models", 2019; Naeem et al.,
"Reliable fidelity and diversity metrics for generative models", 2020; Higham, "Accuracy and stability of numerical
algorithms", 2002.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.numerics.inputs import checked

__all__ = ["NeighbourMetrics", "half_sample_neighbour_metrics", "neighbour_metrics"]

TILE = 1024
"""Rows of a tile against all others."""


@dataclass(frozen=True)
class NeighbourMetrics:
    """How two samples lie among each other's nearest neighbours.

    Example:
        >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
        >>> neighbour_metrics(x, x, 5).coverage
        1.0
    """

    precision: float
    """Share of generated rows inside the reference's balls."""
    recall: float
    """Share of reference rows inside the generated's balls."""
    density: float
    """Mean number of the reference's balls that hold a generated row, over k; 1 for equal distributions."""
    coverage: float
    """Share of the reference's balls that hold a generated row."""


@checked()
def neighbour_metrics(
    generated: Float[Tensor, "n d1"], reference: Float[Tensor, "m d2"], neighbours: int = 5
) -> NeighbourMetrics:
    """Precision, recall (Kynkaanniemi et al., 2019), density and coverage (Naeem et al., 2020), equal to the package prdc.

    Args:
        generated, reference: The two samples' features.
        neighbours: Which nearest neighbour a ball reaches, k.

    Raises:
        ValueError: The samples have different dimensions, or no more than k rows.

    Example:
        >>> x, y = torch.randn(2, 200, 4, generator=torch.Generator().manual_seed(0))
        >>> far = neighbour_metrics(x + 100, y, 5)
        >>> far.precision, far.recall
        (0.0, 0.0)
    """
    if generated.shape[1] != reference.shape[1]:
        raise ValueError(
            f"expected features of one dimension, got {generated.shape[1]} and {reference.shape[1]}; "
            "use one extractor for both samples"
        )
    if neighbours < 1 or min(len(generated), len(reference)) <= neighbours:
        raise ValueError(
            f"expected 1 <= neighbours < rows of each sample, got {neighbours} for {len(generated)} and {len(reference)}; "
            "take more samples or fewer neighbours"
        )
    made, known = _about_a_row(generated.detach(), reference.detach())
    made_balls, known_balls = _Balls.of(made, neighbours), _Balls.of(known, neighbours)

    balls_with_row = torch.zeros(len(generated), dtype=torch.int64, device=generated.device)
    recalled, covered = [], []
    for part, balls in zip(known.split(), known_balls.split(), strict=True):
        distances = _squared_distances(part, made)
        inside = balls.hold(distances.mT, made, part).mT
        balls_with_row += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append(made_balls.hold(distances, part, made).any(1))
    return NeighbourMetrics(
        precision=(balls_with_row > 0).double().mean().item(),
        recall=torch.cat(recalled).double().mean().item(),
        density=balls_with_row.double().mean().item() / neighbours,
        coverage=torch.cat(covered).double().mean().item(),
    )


def half_sample_neighbour_metrics(
    generated: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    neighbours: int,
    halves: Sequence[tuple[Int[Tensor, "a"], Int[Tensor, "b"]]],
) -> list[NeighbourMetrics]:
    """The metrics on halves of both samples, for their variance (`numerics.jackknife.half_sample_variance`).

    Args:
        generated, reference: The two samples' features.
        neighbours: k, the same for halves as for all.
        halves: Rows of either sample, half of them each and none twice, drawn by the caller.

    Example:
        >>> x, y = torch.randn(2, 100, 2, generator=torch.Generator().manual_seed(0))
        >>> half = torch.arange(50)
        >>> [found] = half_sample_neighbour_metrics(x, y, 5, [(half, half)])
        >>> found.precision == neighbour_metrics(x[:50], y[:50], 5).precision
        True
    """
    return [neighbour_metrics(generated[rows], reference[others], neighbours) for rows, others in halves]


@dataclass(frozen=True)
class _Rows:
    """Rows of a sample, in float64."""

    raw: Float[Tensor, "n d"]
    """As they came, not centred."""
    centred: Float[Tensor, "n d"]
    """Less the origin, which is a row of the reference."""
    rounding: float
    """Rounding step of the numbers as they came; 0 where all sums of squares are exact."""

    def split(self) -> list["_Rows"]:
        parts = zip(self.raw.split(TILE), self.centred.split(TILE), strict=True)
        return [_Rows(raw, centred, self.rounding) for raw, centred in parts]


def _about_a_row(generated: Tensor, reference: Tensor) -> tuple[_Rows, _Rows]:
    """Both samples about a row of the reference that lies in its middle."""
    rounding = torch.finfo(reference.dtype).eps
    raw = [generated.double(), reference.double()]
    few = raw[1][:: max(1, len(reference) // 100)]
    origin = few[(few - few.median(0).values).abs().sum(1).argmin()]
    centred = [rows - origin for rows in raw]
    exact = _on_a_grid(raw, centred, rounding)
    made, known = (_Rows(*rows, 0.0 if exact else rounding) for rows in zip(raw, centred, strict=True))
    return made, known


def _on_a_grid(raw: list[Tensor], centred: list[Tensor], rounding: float) -> bool:
    """Whether numbers are whole or on a grid far coarser than their rounding, and all sums of squares exact on it."""
    d = raw[0].shape[1]
    largest, largest_raw = (max(1e-150, *(rows.abs().max().item() for rows in both)) for both in (centred, raw))
    # four times d products of numbers on a grid of step 2^-bits fit into 53 digits
    bits = (53 - math.ceil(math.log2(4 * d * largest**2))) // 2
    coarse = min(bits, -math.ceil(math.log2(64 * rounding * largest_raw)), 500)

    def on_grid(bits: int) -> bool:
        return all(bool((part * 2.0**bits).frac().eq(0).all()) for rows in centred for part in (rows[:8], rows))

    return on_grid(coarse) or (bits >= 0 and on_grid(0))


def _squared_distances(x: _Rows, y: _Rows) -> Float[Tensor, "n m"]:
    """|x_i - y_j|^2, but for rounding."""
    sizes = x.centred.square().sum(1)[:, None] + y.centred.square().sum(1)
    return torch.addmm(sizes, x.centred, y.centred.mT, alpha=-2, out=sizes)


def _again(x: _Rows, y: _Rows, rows: Int[Tensor, "p"], columns: Int[Tensor, "p"]) -> Float[Tensor, "p"]:
    """Squared distances of single pairs from the differences themselves."""
    size = max(1, TILE * TILE // x.raw.shape[1])
    parts = zip(rows.split(size), columns.split(size), strict=True)
    return torch.cat([(x.raw[i] - y.raw[j]).square().sum(1) for i, j in parts])


def _errors(x: _Rows, squared_radii: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Bound on the rounding of squared distances from each row to others that are about as far as its radius.

    |x|^2 + |y|^2 - 2 x y is off by less than (d + 4) / 2 steps of |x|^2 + |y|^2 (Higham, 2002, section 3.1); with room.
    """
    if x.rounding == 0:
        return torch.zeros_like(squared_radii)
    norms = x.centred.norm(dim=1)
    furthest = norms + 2 * squared_radii.clamp(min=0).sqrt()
    steps = 4 * (x.raw.shape[1] + 8) * torch.finfo(torch.float64).eps
    return steps * (norms.square() + furthest.square())


@dataclass(frozen=True)
class _Balls:
    """Around each row a ball to its k-th nearest neighbour, itself left out."""

    limits: Float[Tensor, "n"]
    """Squared distances that are inside are smaller."""
    errors: Float[Tensor, "n"]
    """By how much rounding may have put a squared distance near the limit off; 0 where they are exact."""

    @staticmethod
    def of(x: _Rows, neighbours: int) -> "_Balls":
        radii = torch.cat([_squared_radii(part, x, start * TILE, neighbours) for start, part in enumerate(x.split())])
        r, norms = radii.sqrt(), x.raw.norm(dim=1)
        return _Balls(radii - x.rounding * r * (4 * norms + 2 * r), _errors(x, radii))

    def split(self) -> list["_Balls"]:
        return [_Balls(*parts) for parts in zip(self.limits.split(TILE), self.errors.split(TILE), strict=True)]

    def hold(self, distances: Float[Tensor, "m n"], others: _Rows, centres: _Rows) -> Bool[Tensor, "m n"]:
        """Whether each ball, a column, holds each other row."""
        inside = distances < self.limits - self.errors
        doubtful = inside ^ (distances < self.limits + self.errors)
        if doubtful.any():
            rows, columns = doubtful.nonzero(as_tuple=True)
            inside[rows, columns] = _again(others, centres, rows, columns) < self.limits[columns]
        return inside


def _squared_radii(part: _Rows, x: _Rows, start: int, neighbours: int) -> Float[Tensor, "n"]:
    """Squared distance of each row of a part to its k-th nearest neighbour among all; the part begins at `start`."""
    distances = _squared_distances(part, x)
    rows = torch.arange(len(part.raw), device=distances.device)
    distances[rows, start + rows] = torch.inf
    nearest = distances.topk(min(neighbours + 1, len(x.raw) - 1), dim=1, largest=False)
    found = nearest.values[:, neighbours - 1]
    if x.rounding == 0:
        return found
    errors = 2 * _errors(part, found)
    radii = _again(part, x, rows, nearest.indices[:, neighbours - 1])
    close = ((nearest.values - found[:, None]).abs() <= errors[:, None]).sum(1) > 1
    if close.any():  # which of several is the k-th, the differences say
        near = (distances[close] - found[close, None]).abs() <= errors[close, None]
        at, columns = near.nonzero(as_tuple=True)
        patched = distances[close]
        patched[at, columns] = _again(part, x, close.nonzero()[:, 0][at], columns)
        radii[close] = patched.topk(neighbours, dim=1, largest=False).values[:, -1]
    return radii
