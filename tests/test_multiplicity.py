"""Holm and higher criticism against hand computation and uniform p-values."""

import math

import pytest
import torch
from torch.testing import assert_close

from latentry.numerics.multiplicity import higher_criticism, higher_criticism_p_value, holm


def test_holm_multiplies_by_the_tests_that_are_left() -> None:
    adjusted = holm(torch.tensor([0.04, 0.01, 0.03, 0.9]))
    assert_close(adjusted, torch.tensor([0.09, 0.04, 0.09, 0.9]))  # 2 * 0.04 = 0.08 may not fall below 3 * 0.03


def test_holm_keeps_the_chance_of_any_false_rejection(rng: torch.Generator) -> None:
    p = torch.rand(4000, 6, generator=rng, dtype=torch.float64)
    any_rejected = torch.stack([holm(row).min() <= 0.05 for row in p]).double().mean().item()
    assert abs(any_rejected - (1 - (1 - 0.05 / 6) ** 6)) < 4 * math.sqrt(0.05 * 0.95 / 4000)


def test_higher_criticism_is_the_largest_standardised_excess() -> None:
    p = torch.tensor([0.9, 0.01, 0.2, 0.5], dtype=torch.float64)
    first, second = ((k / 4 - q) * 2 / math.sqrt(q * (1 - q)) for k, q in ((1, 0.01), (2, 0.2)))
    assert_close(higher_criticism(p), max(first, second))


@pytest.mark.parametrize("p", [1e-12, 0.02, 0.7])
def test_of_one_p_value_it_is_the_p_value(p: float) -> None:
    assert_close(higher_criticism_p_value(higher_criticism(torch.tensor([p], dtype=torch.float64)), 1), p)


def test_of_two_p_values_it_asks_for_the_smaller() -> None:
    p = torch.tensor([0.03, 0.6], dtype=torch.float64)
    assert_close(higher_criticism_p_value(higher_criticism(p), 2), 1 - 0.97**2)


@pytest.mark.parametrize(("n", "count"), [(7, 8000), (64, 4000), (256, 1500)])
def test_its_p_value_is_exact(n: int, count: int, rng: torch.Generator) -> None:
    draws = torch.rand(count, n, generator=rng, dtype=torch.float64)
    found = torch.tensor([higher_criticism_p_value(higher_criticism(p), n) for p in draws])
    for level in (0.01, 0.05, 0.1, 0.5):
        assert abs((found <= level).double().mean().item() - level) < 4 * math.sqrt(level * (1 - level) / count), level


def test_p_values_meet_where_exact_computation_hands_over_to_the_union_bound() -> None:
    h = torch.logspace(3, 4.5, 60, dtype=torch.float64)  # p about 64 / (64 h^2): 1e-6 to 1e-9
    p = torch.tensor([higher_criticism_p_value(x, 64) for x in h.tolist()], dtype=torch.float64)
    assert p[0] > 1e-7 > p[-1] > 0
    assert (p.diff() < 0).all()
    assert_close(p, h**-2, rtol=0.01, atol=0)


def test_a_few_small_p_values_among_many_are_seen_and_large_ones_are_not(rng: torch.Generator) -> None:
    p = torch.rand(1000, generator=rng, dtype=torch.float64)
    p[:20] = 1e-4
    assert higher_criticism_p_value(higher_criticism(p), 1000) < 1e-3
    regular = (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    assert higher_criticism_p_value(higher_criticism(regular), 1000) == 1.0
