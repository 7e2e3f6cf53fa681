"""Kolmogorov-Smirnov in batches against scipy, and the report on codes against samples with a known fault."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from latentry.evaluation.codes import goodness_of_fit
from latentry.numerics.goodness_of_fit import ks_p_value, ks_quantile, ks_statistic, two_sided
from latentry.priors import HalfUniformHalfNormal, IIDPrior, Normal, Uniform

PRIORS = [Normal(64), Uniform(64), HalfUniformHalfNormal(64)]
prior_cases = pytest.mark.parametrize("prior", PRIORS, ids=repr)


@prior_cases
def test_pooled_and_per_code_results_agree_with_scipy(prior: IIDPrior, rng: torch.Generator) -> None:
    z = 0.95 * prior.sample(20, rng=rng)
    fit = goodness_of_fit(z, prior)

    def cdf(x: object) -> object:
        return prior.law.cdf(torch.as_tensor(x)).numpy()

    pooled = stats.kstest(z.double().flatten().numpy(), cdf)
    assert_close(fit.statistic, float(pooled.statistic), rtol=0, atol=1e-9)
    assert_close(fit.p_value, float(pooled.pvalue), rtol=1e-6, atol=1e-12)
    for code, statistic, p_value in zip(z.double(), fit.code_statistic, fit.code_p_value, strict=True):
        expected = stats.kstest(code.numpy(), cdf)
        assert_close(statistic.item(), float(expected.statistic), rtol=0, atol=1e-9)
        assert_close(p_value.item(), float(expected.pvalue), rtol=1e-6, atol=1e-12)


@prior_cases
def test_true_samples_pass_at_about_the_nominal_rate(prior: IIDPrior, rng: torch.Generator) -> None:
    fits = [goodness_of_fit(prior.sample(32, rng=rng), prior) for _ in range(60)]
    assert sum(fit.passes for fit in fits) >= 57  # at 1 % over both tests, 4 failures of 60 have probability 0.003
    inside = sum(fit.null_band[0] <= fit.statistic <= fit.null_band[1] for fit in fits)
    assert 50 <= inside <= 60
    assert 0.02 < sum(fit.rejected.value for fit in fits) / len(fits) < 0.08


@prior_cases
def test_shrunken_codes_fail(prior: IIDPrior, rng: torch.Generator) -> None:
    fit = goodness_of_fit(0.8 * prior.sample(64, rng=rng), prior)
    assert not fit.passes
    assert fit.p_value < 1e-3
    assert "narrower" in fit.verdict


@prior_cases
def test_codes_on_the_quantiles_fail_for_being_too_regular(prior: IIDPrior, rng: torch.Generator) -> None:
    quantiles = prior.law.icdf((torch.arange(64) + 0.5) / 64)
    z = torch.stack([quantiles[torch.randperm(64, generator=rng)] for _ in range(64)])
    fit = goodness_of_fit(z, prior)
    assert fit.p_value > 0.9  # the one-sided test would praise them
    assert fit.rejected.value == 0
    assert not fit.passes
    assert "more regular" in fit.verdict


def test_the_statistic_of_one_value_is_its_distance_to_the_further_end() -> None:
    assert_close(ks_statistic(torch.tensor([[0.3]])), torch.tensor([0.7]))


def test_the_quantile_inverts_the_p_value() -> None:
    d = torch.tensor([ks_quantile(0.95, 64)], dtype=torch.float64)
    assert_close(ks_p_value(d, 64).item(), 0.05, rtol=1e-6, atol=1e-9)
    assert_close(two_sided(torch.tensor([0.01, 0.99])), torch.tensor([0.02, 0.02]))


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (torch.zeros(4, 3), r"shape \(n, 64\)"),
        (torch.zeros(0, 64), "n >= 1"),
        (torch.full((2, 64), torch.nan), "NaN"),
    ],
)
def test_bad_codes_are_named(z: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        goodness_of_fit(z, Normal(64))
