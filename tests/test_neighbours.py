"""Precision, recall, density and coverage where they can be counted by hand, and their distributions where samples are
equal."""

from math import comb

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics import neighbours as module
from latentry.numerics.neighbours import NeighbourMetrics, half_sample_neighbour_metrics, neighbour_metrics


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def counted(generated: Tensor, reference: Tensor, k: int) -> NeighbourMetrics:
    """The definitions, with all distances at once; sorting puts a row itself first."""
    g, r = generated.double().numpy(), reference.double().numpy()
    radius_g, radius_r = np.sort(cdist(g, g), 1)[:, k], np.sort(cdist(r, r), 1)[:, k]
    across = cdist(r, g)
    in_reference, in_generated = across < radius_r[:, None], across < radius_g[None, :]
    return NeighbourMetrics(
        precision=float(in_reference.any(0).mean()),
        recall=float(in_generated.any(1).mean()),
        density=float(in_reference.sum(0).mean() / k),
        coverage=float(in_reference.any(1).mean()),
    )


def test_on_a_line_they_can_be_counted() -> None:
    """Reference 0, 1, 3: radii 1, 1, 2. Generated 0.5, 9, 10: radii 8.5, 1, 1; the first ball reaches all."""
    found = neighbour_metrics(column(0.5, 9, 10), column(0, 1, 3), neighbours=1)
    assert_close(found.precision, 1 / 3)
    assert_close(found.recall, 1.0)
    assert_close(found.density, 2 / 3)  # 0.5 lies in the balls of 0 and 1, not in that of 3 with radius 2
    assert_close(found.coverage, 2 / 3)


@pytest.mark.parametrize(("n", "m", "d", "k"), [(40, 30, 2, 3), (33, 70, 6, 5), (20, 20, 50, 1)])
def test_tiled_values_are_the_definitions(
    n: int, m: int, d: int, k: int, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TILE", 16)
    generated = torch.randn(n, d, generator=rng) * 0.9 + 0.2 + 100  # off the origin, in single precision
    reference = torch.randn(m, d, generator=rng) + 100
    assert neighbour_metrics(generated, reference, k) == counted(generated, reference, k)


def in_whole_numbers(generated: Tensor, reference: Tensor, k: int) -> NeighbourMetrics:
    """The definitions for whole numbers, whose squared distances are whole numbers too."""
    g, r = generated.long(), reference.long()
    squares = [(a[:, None] - b).square().sum(2) for a, b in ((g, g), (r, r), (r, g))]
    radius_g, radius_r = (own.sort(1).values[:, k] for own in squares[:2])
    in_reference, in_generated = squares[2] < radius_r[:, None], squares[2] < radius_g
    return NeighbourMetrics(
        precision=in_reference.any(0).double().mean().item(),
        recall=in_generated.any(1).double().mean().item(),
        density=in_reference.sum(0).double().mean().item() / k,
        coverage=in_reference.any(1).double().mean().item(),
    )


def keeps(dtype: torch.dtype, unit: float, shift: float) -> bool:
    """Whether values stay where they are in this dtype: in half precision exactly, else up to a thousandth of a unit."""
    values = unit * torch.arange(4, dtype=torch.float64) + shift
    moved = (values.to(dtype).double() - values).abs().max()
    return bool(moved == 0 if dtype.itemsize == 2 else moved < 1e-3 * unit)


@pytest.mark.parametrize(
    ("dtype", "unit", "shift"),
    [
        (dtype, unit, shift)
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
        for unit in (1.0, 0.1, 1 / 3, 0.125)
        for shift in (0.0, 0.7, -1 / 3, 100.0, 1e4)
        if keeps(dtype, unit, shift)
    ],
)
def test_ties_of_discrete_features_are_ties_wherever_they_lie(
    dtype: torch.dtype, unit: float, shift: float, rng: torch.Generator
) -> None:
    """Equal to arithmetic in whole numbers, in every unit and after every shift that leaves the values apart."""
    for d, k in ((2, 1), (3, 5), (12, 3)):
        generated, reference = (torch.randint(0, 4, (rows, d), generator=rng) for rows in (60, 70))
        found = neighbour_metrics(*((unit * rows.double() + shift).to(dtype) for rows in (generated, reference)), k)
        assert found == in_whole_numbers(generated, reference, k)


def test_distances_keep_their_digits_far_from_the_rest(rng: torch.Generator) -> None:
    """Clusters that lie a hundred million apart, and one row far out: squares of these have no digits left for distances."""
    generated, reference = (torch.randint(0, 100, (rows, 3), generator=rng) for rows in (60, 70))
    expected = in_whole_numbers(generated, reference, 3)
    for rows in (generated, reference):
        rows[::2, 0] += 10**8
    apart = in_whole_numbers(generated, reference, 3)
    assert apart != expected
    tenths = [rows.double() / 10 for rows in (generated, reference)]
    assert neighbour_metrics(*tenths, 3) == apart
    for rows, more in ((generated, 5 * 10**8), (reference, -5 * 10**8)):
        rows[5] += more
    tenths = [rows.double() / 10 for rows in (generated, reference)]
    assert neighbour_metrics(*tenths, 3) == in_whole_numbers(generated, reference, 3)


def test_features_that_are_not_finite_are_refused() -> None:
    x = torch.randn(12, 2)
    for bad in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match=r"expected .*generated"):
            neighbour_metrics(x.clone().index_fill_(0, torch.tensor([3]), bad), x, 2)


def test_exchanging_the_samples_exchanges_precision_and_recall(rng: torch.Generator) -> None:
    generated, reference = torch.randn(50, 3, generator=rng) * 0.5, torch.randn(60, 3, generator=rng)
    there, back = neighbour_metrics(generated, reference), neighbour_metrics(reference, generated)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert there.precision > there.recall


def test_for_equal_distributions_density_is_one_and_coverage_has_its_closed_form(rng: torch.Generator) -> None:
    n, m, k = 60, 80, 4
    found = [neighbour_metrics(torch.randn(n, 3, generator=rng), torch.randn(m, 3, generator=rng), k) for _ in range(200)]
    uncovered = comb(m - 1, k) / comb(n + m - 1, k)  # the k nearest of all others are all reference rows
    assert_close(sum(one.density for one in found) / 200, 1.0, rtol=0, atol=0.03)
    assert_close(sum(one.coverage for one in found) / 200, 1 - uncovered, rtol=0, atol=0.01)


def test_a_collapsed_sample_recalls_nothing_and_samples_apart_share_nothing(rng: torch.Generator) -> None:
    reference = torch.randn(40, 2, generator=rng)
    collapsed = neighbour_metrics(torch.zeros(30, 2), reference)
    assert collapsed.recall == 0
    assert collapsed.precision == 1
    assert neighbour_metrics(reference + 50, reference) == NeighbourMetrics(0.0, 0.0, 0.0, 0.0)


def test_repeated_rows_have_balls_that_hold_nothing() -> None:
    """A third of a float has no exact square: the radius must be zero and not what rounding leaves."""
    found = neighbour_metrics(torch.full((20, 7), 1 / 3), torch.full((20, 7), 1 / 3))
    assert found == NeighbourMetrics(0.0, 0.0, 0.0, 0.0)


def test_halves_are_the_metrics_of_their_rows(rng: torch.Generator) -> None:
    x, y = torch.randn(20, 2, generator=rng), torch.randn(16, 2, generator=rng)
    rows, others = torch.randperm(20, generator=rng)[:10], torch.randperm(16, generator=rng)[:8]
    assert half_sample_neighbour_metrics(x, y, 3, [(rows, others)]) == [neighbour_metrics(x[rows], y[others], 3)]


@pytest.mark.parametrize("neighbours", [0, 10, 11])
def test_a_ball_needs_more_rows_than_neighbours(neighbours: int) -> None:
    with pytest.raises(ValueError, match="fewer neighbours"):
        neighbour_metrics(torch.zeros(12, 2), torch.zeros(10, 2), neighbours)


def test_features_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        neighbour_metrics(torch.zeros(12, 2), torch.zeros(10, 3))
