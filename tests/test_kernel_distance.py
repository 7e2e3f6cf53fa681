"""The kernel distance by hand, on Gaussians where it has a closed form, and its interval."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics import kernel_distance as module
from latentry.numerics.jackknife import student_quantile
from latentry.numerics.kernel_distance import kernel_distance


def gaussian_kernel_mean(mean1: Tensor, s1: Tensor, mean2: Tensor, s2: Tensor) -> Tensor:
    """E (x . y / d + 1)^3 for x ~ N(mean1, s1), y ~ N(mean2, s2), from the first three moments of both."""
    d = len(mean1)

    def raw(m: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        third = torch.einsum("a,b,c->abc", m, m, m)
        for pattern in ("a,bc->abc", "b,ac->abc", "c,ab->abc"):
            third = third + torch.einsum(pattern, m, s)
        return s + torch.outer(m, m), third

    (second1, third1), (second2, third2) = raw(mean1, s1), raw(mean2, s2)
    return 1 + 3 * (mean1 @ mean2) / d + 3 * (second1 * second2).sum() / d**2 + (third1 * third2).sum() / d**3


def true_distance(d: int, std: float, shift: float) -> float:
    zero, one = torch.zeros(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)
    x, y = (zero + torch.eye(d, dtype=torch.float64)[0] * shift, std**2 * one), (zero, one)
    return (gaussian_kernel_mean(*x, *x) + gaussian_kernel_mean(*y, *y) - 2 * gaussian_kernel_mean(*x, *y)).item()


def pair(d: int, n: int, std: float, shift: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    x, y = torch.randn(2, n, d, dtype=torch.float64, generator=rng)
    x = x * std
    x[:, 0] += shift
    return x, y


def distance_by_loops(x: Tensor, y: Tensor) -> float:
    n, m, d = len(x), len(y), x.shape[1]

    def k(a: Tensor, b: Tensor) -> float:
        return float((a @ b / d + 1) ** 3)

    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_value_and_variance_are_those_of_loops_and_of_leaving_each_row_out(rng: torch.Generator) -> None:
    x, y = torch.randn(7, 3, dtype=torch.float64, generator=rng), torch.randn(5, 3, dtype=torch.float64, generator=rng) + 0.3
    found = kernel_distance(x, y)
    assert_close(found.value, distance_by_loops(x, y))
    rows = torch.arange(7)
    without_x = torch.tensor([distance_by_loops(x[rows != i], y) for i in range(7)], dtype=torch.float64)
    without_y = torch.tensor([distance_by_loops(x, y[rows[:5] != j]) for j in range(5)], dtype=torch.float64)
    assert_close(found.variance, (6 * without_x.var(correction=0) + 4 * without_y.var(correction=0)).item())


def test_tiles_change_nothing(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pair(4, 50, 1.1, 0.1, rng)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(module, "TILE", 16)
    tiled = kernel_distance(x, y)
    assert_close((tiled.value, tiled.variance), (whole.value, whole.variance))


@pytest.mark.parametrize(("std", "shift"), [(1.0, 0.0), (1.2, 0.3)], ids=["equal distributions", "other distribution"])
def test_the_mean_is_the_distance_of_the_distributions_and_the_interval_holds_it(
    std: float, shift: float, rng: torch.Generator
) -> None:
    """120 replicates at 95 %: 106 hits or fewer have probability 0.003 at most; the variance may be doubled."""
    truth = true_distance(8, std, shift)
    found = [kernel_distance(*pair(8, 120, std, shift, rng)) for _ in range(120)]
    values, errors = torch.tensor([(one.value, math.sqrt(one.variance)) for one in found]).T
    assert abs(values.mean() - truth) < 3.5 * values.std() / math.sqrt(120)
    assert ((values - truth).abs() <= 1.96 * errors).sum() >= 107
    assert errors.mean() < 1.7 * values.std()


def test_values_near_zero_have_both_signs(rng: torch.Generator) -> None:
    values = [kernel_distance(*pair(8, 60, 1.0, 0.0, rng)).value for _ in range(40)]
    assert 8 <= sum(value < 0 for value in values) <= 34


def test_too_few_rows_and_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="at least three rows"):
        kernel_distance(torch.zeros(2, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="one dimension, got 3 and 4"):
        kernel_distance(torch.zeros(5, 3), torch.zeros(5, 4))


def test_the_freedom_of_its_variance_falls_to_that_of_the_rows_that_rule_it(rng: torch.Generator) -> None:
    """Nearly all rows of an even sample count; where one row is far out, little more than one does."""
    x, y = pair(8, 200, 1.0, 1.0, rng)
    assert kernel_distance(x, y).freedom > 50
    x[0] *= 30
    assert kernel_distance(x, y).freedom < 4


@pytest.mark.parametrize("rows", [30, 60])
def test_the_interval_of_few_rows_holds_the_distance_as_often_as_it_says(rows: int, rng: torch.Generator) -> None:
    """1,500 replicates at 95 %, of distributions that differ by a deviation in each of 8 dimensions."""
    truth = true_distance(8, 1.0, 1.0)
    found = [kernel_distance(*pair(8, rows, 1.0, 1.0, rng)) for _ in range(1500)]
    held = [abs(one.value - truth) <= student_quantile(0.95, one.freedom) * math.sqrt(one.variance) for one in found]
    assert 0.935 < sum(held) / 1500 < 0.98
