"""Cramer-von Mises and Anderson-Darling distances against scipy, the direct formula and their known minima."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.cdf_distances import anderson_darling_distance, cramer_von_mises_distance, overhang, reach
from latentry.priors.distribution import SampledDistribution
from latentry.priors.tabulated import TabulatedDistribution
from latentry.priors.univariate import (
    HalfUniformHalfNormalDistribution,
    NormalDistribution,
    TruncatedCauchyDistribution,
    UniformDistribution,
)

DISTRIBUTIONS = [
    NormalDistribution(),
    NormalDistribution(0.4, 2.5),
    UniformDistribution(-0.5, 3.0),
    HalfUniformHalfNormalDistribution(),
    TruncatedCauchyDistribution(),
    TabulatedDistribution((0.0, 0.1, 0.4, 0.2, 0.3, 0.0)),
]
DISTANCES = [cramer_von_mises_distance, anderson_darling_distance]
distribution_cases = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
distance_cases = pytest.mark.parametrize("distance", DISTANCES)


def codes(distribution: SampledDistribution, n: int, d: int, rng: torch.Generator) -> Tensor:
    return distribution.draw((n, d), rng, torch.empty(0, dtype=torch.float64))


def quantiles(distribution: SampledDistribution, d: int) -> Tensor:
    return distribution.icdf((torch.arange(d, dtype=torch.float64) + 0.5) / d)


@distribution_cases
def test_the_square_of_cramer_von_mises_times_d_is_scipys_statistic(
    distribution: SampledDistribution, rng: torch.Generator
) -> None:
    for row in codes(distribution, 4, 30, rng) * 0.9:
        expected = stats.cramervonmises(row.numpy(), lambda x: distribution.cdf(torch.as_tensor(x)).numpy()).statistic
        assert_close(30 * cramer_von_mises_distance(row, distribution).square().item(), float(expected))


@distribution_cases
def test_the_square_of_anderson_darling_is_its_integral(distribution: SampledDistribution, rng: torch.Generator) -> None:
    """Of (F_d - F)^2 / (F (1 - F)) over F, piece by piece between the elements, where F_d is constant."""

    def piece(k: float, a: float, b: float) -> float:
        lower = k**2 * math.log(b / a) if k > 0 else 0.0
        upper = (1 - k) ** 2 * math.log((1 - a) / (1 - b)) if k < 1 else 0.0
        return lower + upper - (b - a)

    d = 25
    for row in codes(distribution, 4, d, rng) * 0.9:
        u = np.concatenate([[0.0], np.sort(distribution.cdf(row).numpy()), [1.0]])
        expected = sum(piece(i / d, u[i], u[i + 1]) for i in range(d + 1))
        assert_close(anderson_darling_distance(row, distribution).square().item(), expected)


@distance_cases
@distribution_cases
def test_gradients_agree_with_finite_differences(
    distance: object, distribution: SampledDistribution, rng: torch.Generator
) -> None:
    z = codes(distribution, 2, 12, rng) * 1.1
    assert torch.autograd.gradcheck(lambda z: distance(z, distribution), z.requires_grad_(), eps=1e-8, atol=1e-5)  # type: ignore[operator]


@pytest.mark.parametrize("distance", DISTANCES)
@distribution_cases
def test_the_quantiles_have_zero_gradient_and_nothing_is_below_them(
    distance: object, distribution: SampledDistribution, rng: torch.Generator
) -> None:
    best = quantiles(distribution, 32)
    z = best.clone().requires_grad_(True)
    least = distance(z, distribution)  # type: ignore[operator]
    (gradient,) = torch.autograd.grad(least, z)
    assert gradient.abs().max() < 1e-9
    for size in (1e-2, 0.3):
        moved = best + size * torch.randn(50, 32, dtype=torch.float64, generator=rng)
        assert (distance(moved, distribution) > least).all()  # type: ignore[operator]


def test_true_codes_have_the_sizes_the_theory_states(rng: torch.Generator) -> None:
    d = 200
    z = codes(NormalDistribution(), 4000, d, rng)
    assert_close(cramer_von_mises_distance(z, NormalDistribution()).square().mean().item(), 1 / (6 * d), rtol=0.06, atol=0)
    assert_close(anderson_darling_distance(z, NormalDistribution()).square().mean().item(), 1 / d, rtol=0.06, atol=0)


@distance_cases
def test_moving_the_distribution_with_the_code_moves_nothing(distance: object, rng: torch.Generator) -> None:
    z = codes(NormalDistribution(), 5, 40, rng)
    assert_close(distance(3 * z + 2, NormalDistribution(2.0, 3.0)), distance(z, NormalDistribution()))  # type: ignore[operator]


def test_anderson_darling_follows_the_log_tail_of_an_unbounded_distribution_without_a_second_term() -> None:
    """One element: A^2 = -1 - log F - log(1 - F), at eight deviations and at thirty."""
    z = torch.tensor([[-8.0], [30.0]], dtype=torch.float64)
    expected = torch.from_numpy(-1 - stats.norm.logcdf(z) - stats.norm.logsf(z)).sqrt()[:, 0]
    assert_close(anderson_darling_distance(z, NormalDistribution()), expected)


def test_beyond_a_support_the_distance_to_it_is_added() -> None:
    distribution = UniformDistribution(0.0, 4.0)  # interquartile range 2
    z = torch.tensor([[1.0, 2.0, 9.0]], dtype=torch.float64)
    further = z + torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)
    for distance in DISTANCES:
        assert_close((distance(further, distribution) - distance(z, distribution)).item(), 3.0 / 3 / 2)
    assert_close(overhang(z, (0.0, 4.0), 2.0).item(), 5 / 3 / 2)


def test_no_element_of_a_large_true_sample_reaches_the_second_term(rng: torch.Generator) -> None:
    for distribution in DISTRIBUTIONS:
        z = codes(distribution, 1, 10_000, rng)
        assert overhang(z, reach(distribution).body, 1.0).item() == 0


@distance_cases
@distribution_cases
def test_single_precision_is_close_to_double(
    distance: object, distribution: SampledDistribution, rng: torch.Generator
) -> None:
    z = codes(distribution, 8, 256, rng)
    assert_close(distance(z.float(), distribution).double(), distance(z, distribution), rtol=2e-4, atol=1e-6)  # type: ignore[operator]


def test_the_best_code_of_many_elements_has_a_distance_in_single_precision() -> None:
    """Where the terms cancel to the last digit."""
    z = quantiles(NormalDistribution(), 16384).float()[None].requires_grad_(True)
    loss = anderson_darling_distance(z, NormalDistribution())
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert 0 <= loss.item() < 1e-3
    assert gradient.isfinite().all()
