"""Tails against exact sums, and the map between distributions against itself and scipy."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.testing import assert_close

from latentry.numerics.tails import carry, differentiable, log_beta_cdf, log_gamma_cdf, log_gamma_sf, tail_quantile
from latentry.priors.radius_distributions import CauchyRadiusDistribution, NakagamiDistribution
from latentry.priors.univariate import UniformDistribution


def chi(d: int) -> NakagamiDistribution:
    return NakagamiDistribution(d / 2, 2.0)


@pytest.mark.parametrize("x", [1e-200, 1e-3, 5.0, 700.0, 1e5])
def test_the_gamma_tails_of_whole_shapes_are_sums_of_poisson_terms(x: float) -> None:
    """Q(a, x) = P(N < a) for a Poisson number N of mean x."""
    for whole in (1, 3, 250):
        a = float(whole)
        terms = np.arange(whole) * math.log(x) - x - special.gammaln(np.arange(whole) + 1)
        assert_close(log_gamma_sf(a, np.array([x])).item(), float(special.logsumexp(terms)), rtol=1e-12, atol=1e-15)
        rest = np.arange(whole, whole + 3000) * math.log(x) - x - special.gammaln(np.arange(whole, whole + 3000) + 1)
        if x < 2000:
            assert_close(log_gamma_cdf(a, np.array([x])).item(), float(special.logsumexp(rest)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("x", [1e-300, 1e-100, 1e-10, 0.3, 0.49])
def test_the_beta_tail_of_one_half_is_the_arc_sine_and_of_whole_shapes_a_power(x: float) -> None:
    assert_close(
        log_beta_cdf(0.5, 0.5, np.array([x])).item(), math.log(2 / math.pi * math.asin(math.sqrt(x))), rtol=1e-12, atol=0
    )
    assert_close(log_beta_cdf(700.0, 1.0, np.array([x])).item(), 700 * math.log(x), rtol=1e-12, atol=0)


def test_tails_take_up_each_other_where_double_precision_ends() -> None:
    x = np.linspace(840.0, 860.0, 2001) + 256  # Q(256, x) falls below 1e-290 near 1100
    assert (np.abs(np.diff(log_gamma_sf(256.0, x), n=2)) < 1e-6).all()


@pytest.mark.parametrize("d", [2, 64, 512])
@pytest.mark.parametrize("source", [NakagamiDistribution(0.5, 2.0), NakagamiDistribution(3.0, 0.1), "cauchy"], ids=str)
def test_there_and_back_again_is_the_identity_at_any_distance(source: NakagamiDistribution | str, d: int) -> None:
    distribution = CauchyRadiusDistribution(d, 0.7) if isinstance(source, str) else source
    low = (
        -1 if isinstance(source, str) or distribution == NakagamiDistribution(3.0, 0.1) else -30
    )  # lower, a norm of 512 elements underflows
    r = torch.logspace(low, 7, 101, dtype=torch.float64).requires_grad_(True)
    there = carry(r, distribution, chi(d))
    back = carry(there, chi(d), distribution)
    assert_close(back, r, rtol=1e-9, atol=0)
    (slope,) = torch.autograd.grad(back.sum(), r)
    assert_close(slope[r < 3e3], torch.ones_like(r)[r < 3e3], rtol=1e-6, atol=0)
    assert (there.diff() > 0).all()


def test_quantiles_of_far_tails_agree_with_scipy() -> None:
    log_tail = torch.tensor([-20.0, -200.0, -600.0], dtype=torch.float64)
    near = torch.log1p(-log_tail.exp())
    upper, lower = tail_quantile(chi(5), near, log_tail), tail_quantile(chi(5), log_tail, near)
    assert_close(upper, torch.from_numpy(stats.chi(5).isf(log_tail.exp().numpy())), rtol=1e-12, atol=0)
    assert_close(lower, torch.from_numpy(stats.chi(5).ppf(log_tail.exp().numpy())), rtol=1e-12, atol=0)


def test_a_distribution_without_a_tail_ends_where_its_support_does() -> None:
    log_tail = torch.tensor([-1e4], dtype=torch.float64)
    distribution = UniformDistribution(0.5, 2.0)
    assert_close(tail_quantile(distribution, 0 * log_tail, log_tail).item(), 2.0)
    assert_close(tail_quantile(distribution, log_tail, 0 * log_tail).item(), 0.5)


def test_a_function_known_by_its_slope_has_gradients_of_all_orders() -> None:
    x = torch.linspace(0.5, 2, 5, dtype=torch.float64).requires_grad_(True)

    def root(x: torch.Tensor) -> torch.Tensor:
        return differentiable(x, torch.sqrt, lambda _, y: 0.5 / y)

    assert torch.autograd.gradcheck(root, x)
    assert torch.autograd.gradgradcheck(root, x)
