r"""Precision, recall, density and coverage: how two samples lie among each other's nearest neighbours.

Around each row put the ball that reaches its k-th nearest neighbour in its own sample, :math:`B_k`. Then

.. math::
    \text{precision} &= \frac{1}{n} \sum_i 1\{g_i \in \cup_j B_k(r_j)\} &
    \text{recall} &= \frac{1}{m} \sum_j 1\{r_j \in \cup_i B_k(g_i)\} \\
    \text{density} &= \frac{1}{k n} \sum_{i,j} 1\{g_i \in B_k(r_j)\} &
    \text{coverage} &= \frac{1}{m} \sum_j 1\{\exists i: g_i \in B_k(r_j)\}

for generated rows g and reference rows r. Exchange the samples, and precision and recall change places. Density and coverage
never look at balls around generated rows, so that a stray one cannot pass for recall. For equal laws density is 1 on
average, coverage :math:`1 - \prod_{i<k} (m - 1 - i) / (n + m - 1 - i)`, about :math:`1 - 2^{-k}` for n = m, and precision
and recall have no such value.

None of them is a number of the two laws alone: a ball to the k-th of m neighbours shrinks as m grows. They can be compared
at equal n, m and k, and an interval is one for the average over samples of that size.

Distances are taken in float64, tile by tile. A row found more than k times has a ball of radius zero, which holds nothing.

References: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models", 2019; Naeem et al.,
"Reliable fidelity and diversity metrics for generative models", 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["NeighbourMetrics", "half_sample_neighbour_metrics", "neighbour_metrics"]

TILE = 1024
"""Rows of a tile against all others."""


@dataclass(frozen=True)
class NeighbourMetrics:
    """How two samples lie among each other's nearest neighbours."""

    precision: float
    """Share of generated rows inside the reference's balls."""
    recall: float
    """Share of reference rows inside the generated's balls."""
    density: float
    """Mean number of the reference's balls that hold a generated row, over k; 1 for equal laws."""
    coverage: float
    """Share of the reference's balls that hold a generated row."""


def neighbour_metrics(
    generated: Float[Tensor, "n d1"], reference: Float[Tensor, "m d2"], neighbours: int = 5
) -> NeighbourMetrics:
    """Precision, recall (Kynkaanniemi et al., 2019), density and coverage (Naeem et al., 2020), equal to the package prdc.

    Args:
        generated, reference: The two samples' features.
        neighbours: Which nearest neighbour a ball reaches, k.

    Raises:
        ValueError: The samples have different dimensions, or no more than k rows.
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
    origin = reference.double().mean(0)  # near the data, so that differences of squares lose fewer digits
    generated, reference = generated.detach().double() - origin, reference.detach().double() - origin
    generated_radii, reference_radii = _squared_radii(generated, neighbours), _squared_radii(reference, neighbours)

    balls_with_row = torch.zeros(len(generated), dtype=torch.int64, device=generated.device)
    recalled, covered = [], []
    for part, radii in zip(reference.split(TILE), reference_radii.split(TILE), strict=True):
        distances = _squared_distances(part, generated)
        inside = distances < radii[:, None]
        balls_with_row += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distances < generated_radii).any(1))
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
    """
    return [neighbour_metrics(generated[rows], reference[others], neighbours) for rows, others in halves]


def _squared_distances(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """|x_i - y_j|^2; what is zero but for rounding is zero."""
    sizes = x.square().sum(1)[:, None] + y.square().sum(1)
    distances = torch.addmm(sizes, x, y.mT, alpha=-2)
    return torch.where(distances < 64 * torch.finfo(x.dtype).eps * sizes, 0.0, distances)


def _squared_radii(x: Float[Tensor, "n d"], neighbours: int) -> Float[Tensor, "n"]:
    """Squared distance of each row to its k-th nearest neighbour, itself left out."""
    radii = []
    for start, part in zip(range(0, len(x), TILE), x.split(TILE), strict=True):
        distances = _squared_distances(part, x)
        rows = torch.arange(len(part), device=x.device)
        distances[rows, start + rows] = torch.inf
        radii.append(distances.topk(neighbours, dim=1, largest=False).values[:, -1])
    return torch.cat(radii)
