"""Intervals against the distributions they claim to cover."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from latentry.evaluation.estimates import mean_estimate, median_estimate, ratio_estimate
from latentry.numerics.interval import Interval

REPEATS = 600
FEWEST, MOST = 549, 588  # of 600 at 95 %: outside with probability 0.0002 + 0.00002


def coverage(estimates: list[Interval], truth: float) -> int:
    return sum(estimate.low <= truth <= estimate.high for estimate in estimates)


@pytest.fixture
def skewed(rng: torch.Generator) -> Tensor:
    """Exponential observations, mean 1 and median log 2."""
    return -torch.rand(REPEATS, 40, generator=rng, dtype=torch.float64).log()


def test_the_mean_of_normal_observations_has_the_interval_of_scipy(rng: torch.Generator) -> None:
    a = torch.randn(12, generator=rng, dtype=torch.float64)
    expected = stats.ttest_1samp(a.numpy(), 0.0).confidence_interval(0.9)
    found = mean_estimate(a, 0.9)
    assert_close((found.low, found.high), (float(expected.low), float(expected.high)))


def test_the_median_of_a_skewed_distribution_is_covered_at_least_as_often_as_said(skewed: Tensor) -> None:
    estimates = [median_estimate(row) for row in skewed]
    assert coverage(estimates, math.log(2)) >= FEWEST


def test_the_ratio_of_dependent_means_is_covered(skewed: Tensor, rng: torch.Generator) -> None:
    noise = torch.randn(skewed.shape, generator=rng, dtype=torch.float64)
    b = skewed + 2  # mean 3
    estimates = [ratio_estimate(0.5 * row + 0.3 * e, row) for row, e in zip(b, noise, strict=True)]
    assert FEWEST <= coverage(estimates, 0.5) <= MOST
    alone = [mean_estimate(0.5 * row + 0.3 * e) for row, e in zip(b, noise, strict=True)]
    assert sum(e.high - e.low for e in estimates) < sum(e.high - e.low for e in alone)  # pairing pays


def test_the_median_interval_is_made_of_the_right_order_statistics() -> None:
    """For n = 10 the 95 % interval is from the second to the ninth: fewer than 2 of 10 coins have probability 0.011."""
    found = median_estimate(torch.arange(1.0, 11.0))
    assert found == Interval(5.5, 2.0, 9.0)
    assert stats.binom.cdf(1, 10, 0.5) < 0.025 < stats.binom.cdf(2, 10, 0.5)


def test_too_few_observations_for_a_median_leave_the_whole_support() -> None:
    found = median_estimate(torch.tensor([0.25, 0.5, 0.75]), support=(-1.0, 1.0))
    assert found == Interval(0.5, -1.0, 1.0)
    assert median_estimate(torch.tensor([0.25, 0.5])) == Interval(0.375, -math.inf, math.inf)


def test_observations_counted_twice_have_the_interval_of_those_counted_once(rng: torch.Generator) -> None:
    a = torch.randn(500, generator=rng)
    once, twice = mean_estimate(a), mean_estimate(a.repeat(2), variance_inflation=2.0)
    assert_close((twice.low, twice.high), (once.low, once.high), rtol=0.01, atol=0.001)
    b = a + 5
    once, twice = ratio_estimate(a, b), ratio_estimate(a.repeat(2), b.repeat(2), variance_inflation=2.0)
    assert_close((twice.low, twice.high), (once.low, once.high), rtol=0.01, atol=0.001)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mean_estimate(torch.ones(1)), "at least two"),
        (lambda: mean_estimate(torch.ones(3), 1.0), "level"),
        (lambda: median_estimate(torch.ones(0)), "at least one"),
        (lambda: ratio_estimate(torch.ones(3), torch.zeros(3)), "other than 0"),
    ],
)
def test_bad_input_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
