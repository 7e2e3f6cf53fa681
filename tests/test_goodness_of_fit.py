"""Tests against a known distribution, in batches: against scipy, published quantiles, and samples of the distribution
itself."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.goodness_of_fit import (
    ad_p_value,
    ad_statistic,
    cvm_p_value,
    cvm_statistic,
    ks_p_value,
    ks_quantile,
    ks_statistic,
    two_sided,
)

TESTS = {
    "KS": (ks_statistic, ks_p_value),
    "CvM": (cvm_statistic, cvm_p_value),
    "AD": (lambda u: ad_statistic(u.log(), torch.log1p(-u)), ad_p_value),
}
kind_cases = pytest.mark.parametrize("name", TESTS)
size_cases = pytest.mark.parametrize("size", [1, 2, 8, 64, 500])


def uniform(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=rng, dtype=torch.float64)


@size_cases
def test_kolmogorov_smirnov_agrees_with_scipy(size: int, rng: torch.Generator) -> None:
    u = uniform((20, size), rng) ** 1.2
    statistic = ks_statistic(u)
    expected = [stats.ks_1samp(row.numpy(), stats.uniform.cdf) for row in u]
    assert_close(statistic, torch.tensor([float(e.statistic) for e in expected], dtype=torch.float64), rtol=0, atol=1e-12)
    p = torch.tensor([float(e.pvalue) for e in expected], dtype=torch.float64)
    assert_close(ks_p_value(statistic, size), p, rtol=0, atol=1e-6)


@size_cases
def test_cramer_von_mises_agrees_with_scipy(size: int, rng: torch.Generator) -> None:
    u = uniform((20, size), rng) ** 1.2
    statistic = cvm_statistic(u)
    if size == 1:
        assert_close(statistic, 1 / 12 + (u[:, 0] - 0.5).square())  # scipy asks for two values
        return
    expected = [stats.cramervonmises(row.numpy(), "uniform") for row in u]
    assert_close(statistic, torch.tensor([float(e.statistic) for e in expected], dtype=torch.float64), rtol=0, atol=1e-12)
    if size >= 64:  # below, scipy's tails are continued otherwise
        p = torch.tensor([float(e.pvalue) for e in expected], dtype=torch.float64)
        assert_close(cvm_p_value(statistic, size), p, rtol=0, atol=1e-6)


@size_cases
def test_anderson_darling_agrees_with_its_textbook_formula_and_scipy(size: int, rng: torch.Generator) -> None:
    x = torch.randn(3, size, generator=rng, dtype=torch.float64)
    statistic = ad_statistic(torch.special.log_ndtr(x), torch.special.log_ndtr(-x))
    i = np.arange(1, size + 1)
    for row, found in zip(np.sort(x.numpy()), statistic.tolist(), strict=True):
        textbook = -size - np.mean((2 * i - 1) * (stats.norm.logcdf(row) + stats.norm.logsf(row[::-1])))
        assert_close(found, float(textbook), rtol=1e-12, atol=1e-12)
        if size > 1:
            known = {"loc": 0.0, "scale": 1.0}
            oracle = stats.goodness_of_fit(stats.norm, row, known_params=known, statistic="ad", n_mc_samples=1, rng=0)
            assert_close(found, float(oracle.statistic), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("p_value", "quantiles"),
    [
        (cvm_p_value, {0.34730: 0.1, 0.46136: 0.05, 0.74346: 0.01}),  # Anderson and Darling (1952)
        (ad_p_value, {1.9330: 0.1, 2.4924: 0.05, 3.8781: 0.01}),  # Marsaglia and Marsaglia (2004)
    ],
)
def test_limits_have_their_published_quantiles(p_value: object, quantiles: dict[float, float]) -> None:
    p = p_value(torch.tensor(list(quantiles), dtype=torch.float64), 10**9)  # type: ignore[operator]
    assert_close(p, torch.tensor(list(quantiles.values()), dtype=torch.float64), rtol=0, atol=6e-6)  # they are rounded


@kind_cases
@pytest.mark.parametrize("size", [1, 8, 64])
def test_p_values_of_the_distribution_are_uniform(name: str, size: int, rng: torch.Generator) -> None:
    statistic, p_value = TESTS[name]
    count = 20_000
    p = p_value(statistic(uniform((count, size), rng)), size)
    for level in (0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.99):
        assert abs((p <= level).double().mean().item() - level) < 4.5 * math.sqrt(level * (1 - level) / count), level
    for level in (0.01, 0.05, 0.1):
        both = (two_sided(p) <= level).double().mean().item()
        assert abs(both - level) < 4.5 * math.sqrt(level * (1 - level) / count), level


@kind_cases
@pytest.mark.parametrize("size", [1, 2, 8, 64, 4096])
def test_p_values_fall_from_one_to_zero(name: str, size: int) -> None:
    largest = {"KS": 1.0, "CvM": size / 3, "AD": 300.0}[name]
    least = {"KS": 1 / (2 * size), "CvM": 1 / (12 * size), "AD": math.log(4) - 1 if size == 1 else 1e-3}[name]
    p = TESTS[name][1](torch.logspace(math.log10(least), math.log10(largest), 3000, dtype=torch.float64), size)
    assert (p.diff() <= 0).all()
    assert_close(p[0].item(), 1.0, rtol=0, atol=1e-6)
    assert 0 <= p[-1] < 1e-6


@pytest.mark.parametrize("size", [16, 31, 64, 141, 256, 1000, 4096])
def test_the_table_of_kolmogorov_smirnov_is_off_by_less_than_a_millionth(size: int) -> None:
    d = torch.linspace(0.3, 3.5, 97, dtype=torch.float64) / size**0.5
    exact = stats.kstwo.sf(d.numpy(), size)
    assert_close(ks_p_value(d, size).numpy(), exact, rtol=0, atol=1e-6)


def test_tails_keep_their_relative_accuracy() -> None:
    # far out the limit of W^2 is that of its first term: sqrt(2) P(chi^2_1 > pi^2 x), Zolotarev (1961)
    x = torch.tensor([10.0], dtype=torch.float64)
    assert_close(cvm_p_value(x, 10**9).item(), 2**0.5 * float(stats.chi2.sf(math.pi**2 * 10, 1)), rtol=0.01, atol=0)
    assert_close(ad_p_value(x, 10**9).item(), 3**0.5 * float(stats.chi2.sf(2 * 10, 1)), rtol=0.05, atol=0)


@kind_cases
def test_quantiles_of_the_distribution_are_too_regular(name: str) -> None:
    statistic, p_value = TESTS[name]
    u = ((torch.arange(64, dtype=torch.float64) + 0.5) / 64).flip(0)[None]
    assert two_sided(p_value(statistic(u), 64)).item() < 1e-7


def test_an_element_outside_the_support_leaves_the_statistic_finite_and_the_sample_rejected() -> None:
    u = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    u[0] = 0.0
    statistic = ad_statistic(u.log(), torch.log1p(-u))
    assert statistic.isfinite()
    assert ad_p_value(statistic, 64) < 1e-4


@kind_cases
def test_statistics_have_the_gradient_of_their_formula(name: str, rng: torch.Generator) -> None:
    u = uniform((2, 5), rng).requires_grad_(True)
    assert torch.autograd.gradcheck(TESTS[name][0], u)


def test_the_statistic_of_one_value_is_its_distance_to_the_further_end() -> None:
    assert_close(ks_statistic(torch.tensor([[0.3]])), torch.tensor([0.7]))


def test_the_quantile_inverts_the_p_value() -> None:
    d = torch.tensor([ks_quantile(0.95, 64)], dtype=torch.float64)
    assert_close(ks_p_value(d, 64).item(), 0.05, rtol=1e-6, atol=1e-9)
    assert_close(two_sided(torch.tensor([0.01, 0.99])), torch.tensor([0.02, 0.02]))
