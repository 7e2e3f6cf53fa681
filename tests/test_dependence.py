"""Normal scores and the test of uncorrelated coordinates on normal draws with and without correlation."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from latentry.numerics.dependence import correlation_p_value, correlation_statistic, normal_scores


def test_normal_scores_invert_the_normal_distribution_far_into_both_tails() -> None:
    x = torch.linspace(-36, 36, 289, dtype=torch.float64)
    scores = normal_scores(torch.special.log_ndtr(x), torch.special.log_ndtr(-x))
    assert_close(scores, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(20, 5), (5, 20)])
def test_the_statistic_sums_squared_cosines_of_columns(n: int, d: int, rng: torch.Generator) -> None:
    scores = torch.randn(n, d, generator=rng, dtype=torch.float64)
    cosines = torch.nn.functional.cosine_similarity(scores[:, :, None], scores[:, None, :], dim=0)
    assert_close(correlation_statistic(scores), cosines.triu(1).square().sum().item())


def test_of_two_coordinates_it_is_the_test_of_one_correlation(rng: torch.Generator) -> None:
    scores = torch.randn(12, 2, generator=rng, dtype=torch.float64)
    r = torch.nn.functional.cosine_similarity(scores[:, 0], scores[:, 1], dim=0).item()
    t = r * math.sqrt(11 / (1 - r**2))  # without centring there are 11 degrees of freedom
    assert_close(correlation_p_value(correlation_statistic(scores), 12, 2), 2 * float(stats.t.sf(abs(t), 11)))


@pytest.mark.parametrize(("n", "d", "count"), [(8, 2, 6000), (8, 8, 6000), (4, 50, 4000), (64, 16, 4000)])
def test_uncorrelated_coordinates_are_rejected_at_the_level(n: int, d: int, count: int, rng: torch.Generator) -> None:
    draws = torch.randn(count, n, d, generator=rng, dtype=torch.float64)
    p = torch.tensor([correlation_p_value(correlation_statistic(scores), n, d) for scores in draws])
    for level in (0.01, 0.05, 0.1, 0.9, 0.95, 0.99):
        assert abs((p <= level).double().mean().item() - level) < 4 * math.sqrt(level * (1 - level) / count), level


def test_one_common_factor_is_seen(rng: torch.Generator) -> None:
    scores = torch.randn(256, 64, generator=rng, dtype=torch.float64)
    scores = (scores + 0.2 * torch.randn(256, 1, generator=rng, dtype=torch.float64)) / 1.04**0.5
    assert correlation_p_value(correlation_statistic(scores), 256, 64) < 1e-6


def test_whitened_codes_have_a_p_value_near_one(rng: torch.Generator) -> None:
    scores = torch.linalg.qr(torch.randn(256, 64, generator=rng, dtype=torch.float64)).Q * 16
    assert correlation_p_value(correlation_statistic(scores), 256, 64) > 1 - 1e-9


@pytest.mark.parametrize(("n", "d"), [(1, 5), (5, 1)])
def test_too_few_are_named(n: int, d: int) -> None:
    with pytest.raises(ValueError, match="at least two"):
        correlation_p_value(0.0, n, d)
