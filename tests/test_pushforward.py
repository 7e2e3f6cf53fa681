"""Priors as N(0, I) pushed through a bijection: their densities, moments, files and fits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import integrate, stats
from torch.testing import assert_close

import latentry as lt
from latentry.numerics.dependence import far_normal_scores
from latentry.numerics.edges import log_normal_cdf
from latentry.priors import Copula, Flow, MultivariateNormal, MultivariateNormalMixture, load_prior, save_prior
from latentry.priors.encoded import decoded, double, encoded

CODES = torch.randn(800, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) @ torch.tensor(
    [[1.0, 0.6], [0.0, 0.8]], dtype=torch.float64
)
SKEWED = torch.stack([CODES[:, 0].exp(), CODES[:, 1].sinh()], 1)

BASE = {d: MultivariateNormal(torch.zeros(d), torch.eye(d)) for d in (1, 2)}


def of_length(d: int) -> dict[str, Callable[[], Any]]:
    tril = torch.tensor([[1.0, 0.0], [0.7, 0.5]])[:d, :d]
    loc, deviations = [[-2.0, 0.0][:d], [1.0, 1.0][:d]], [[1.0, 0.5][:d], [0.3, 1.0][:d]]
    return {
        "normal": lambda: MultivariateNormal([0.3, -1.0][:d], tril),
        "normal-independent": lambda: MultivariateNormal([0.3, -1.0][:d], [0.5, 2.0][:d]),
        "copula": lambda: Copula.fitted(SKEWED[:, :d]),
        "mixture": lambda: MultivariateNormalMixture(loc, torch.stack([tril, tril / 2]), [0.3, 0.7]),
        "mixture-independent": lambda: MultivariateNormalMixture(loc, deviations),
        "flow": lambda: bent(d),
    }


def bent(d: int) -> Flow:
    """A flow with weights far from those at the start."""
    prior = Flow(BASE[d], transforms=2, hidden=(16,))
    rng = torch.Generator().manual_seed(0)
    weights = {
        name: value + 0.2 * torch.randn(value.shape, generator=rng, dtype=value.dtype)
        if value.is_floating_point()
        else value
        for name, value in prior.networks[0].state_dict().items()
    }
    return Flow(BASE[d], transforms=2, hidden=(16,), weights=weights)


every = pytest.mark.parametrize("name", of_length(2))


@every
def test_the_density_of_one_coordinate_integrates_to_one(name: str) -> None:
    prior = of_length(1)[name]()
    ends = prior.sample(20_000, rng=torch.Generator().manual_seed(0)).aminmax()
    x = torch.linspace(ends.min.item() - 5, ends.max.item() + 20, 40_001, dtype=torch.float64)
    assert integrate.simpson(prior.log_prob(x[:, None]).exp().numpy(), x=x.numpy()) == pytest.approx(1, abs=1e-4)


@every
def test_the_density_of_two_coordinates_integrates_to_one(name: str) -> None:
    prior = of_length(2)[name]()
    ends = prior.sample(20_000, rng=torch.Generator().manual_seed(0)).aminmax(dim=0)
    x, y = (
        torch.linspace(low - 1, high + 1, 241, dtype=torch.float64) for low, high in torch.stack([ends.min, ends.max], 1)
    )
    density = prior.log_prob(torch.cartesian_prod(x, y)).exp().view(241, 241).numpy()
    assert integrate.simpson(integrate.simpson(density, x=y.numpy()), x=x.numpy()) == pytest.approx(1, abs=5e-3)


@every
@pytest.mark.parametrize("d", [1, 2])
def test_draws_have_the_density_and_lead_back(name: str, d: int, rng: torch.Generator) -> None:
    prior = of_length(d)[name]().double()
    z = prior.sample(2000, rng=rng)
    e = prior.to_normal(z)
    assert stats.kstest(e.flatten().numpy(), "norm").pvalue > 1e-3
    assert_close(prior.from_normal(e), z, rtol=0, atol=1e-9)
    assert_close(prior().mean, z.mean(0), rtol=0.1, atol=0.15)
    assert_close(prior().variance, z.var(0), rtol=0.35, atol=0.1)
    far = 10 * z[:50]
    assert prior.log_prob(far).isfinite().all()
    assert prior.to_normal(far).isfinite().all()


@every
def test_a_file_gives_the_prior_again_to_the_last_bit(name: str, tmp_path: Path) -> None:
    prior = of_length(2)[name]()
    save_prior(tmp_path / "prior.json", prior)
    again = load_prior(tmp_path / "prior.json")
    z = prior.sample(20, rng=torch.Generator().manual_seed(0)).double()
    assert type(again) is type(prior)
    assert_close(again.log_prob(z), prior.log_prob(z), rtol=0, atol=0)
    assert_close(again.sample(20, rng=torch.Generator().manual_seed(0)).double(), z, rtol=0, atol=0)
    assert repr(again) == repr(prior)
    with pytest.raises(ValueError, match="expected latent_dim=2"):
        load_prior(tmp_path / "prior.json", 3)


def test_a_prior_keeps_its_digits_when_its_samples_become_single() -> None:
    prior, z = bent(2), torch.ones(1, 2, dtype=torch.float64)
    before = prior.to_normal(z)
    assert_close(prior.float().to_normal(z), before, rtol=0, atol=0)
    assert prior.sample().dtype == torch.float32
    assert prior.double().sample().dtype == torch.float64


def test_scores_beyond_every_double_are_found_from_logarithms() -> None:
    x = torch.tensor([-1e4, -30.0, -1.0, 5.0, 25.0, 1e3], dtype=torch.float64, requires_grad=True)
    score = far_normal_scores(log_normal_cdf(x), log_normal_cdf(-x))
    assert_close(score, x, rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(score.sum(), x)
    assert_close(slope, torch.ones_like(x), rtol=1e-6, atol=0)


def test_a_mixture_with_one_component_is_the_normal_prior() -> None:
    tril = [[1.0, 0.0], [0.7, 0.5]]
    one, normal = MultivariateNormalMixture([[1.0, 2.0]], [tril]), MultivariateNormal([1.0, 2.0], tril)
    z = 30 * CODES[:100]
    assert_close(one.to_normal(z), normal.to_normal(z), rtol=1e-9, atol=1e-9)
    assert_close(one.log_prob(z), normal.log_prob(z), rtol=1e-9, atol=1e-9)


def test_a_fitted_normal_prior_has_the_moments_of_the_codes() -> None:
    prior = MultivariateNormal.fitted(CODES)
    assert_close(prior.loc, CODES.mean(0))
    assert_close(prior.scale @ prior.scale.mT, CODES.mT.cov(correction=0), rtol=0.02, atol=0.02)


def test_fewer_codes_than_elements_make_a_regular_covariance() -> None:
    z = torch.randn(30, 100, generator=torch.Generator().manual_seed(0))
    prior = MultivariateNormal.fitted(z)
    held_out = torch.randn(200, 100, generator=torch.Generator().manual_seed(1))
    assert prior.log_prob(held_out).mean() > lt.priors.Normal(100).log_prob(held_out).mean() - 20


def test_a_copula_finds_marginals_and_correlation(rng: torch.Generator) -> None:
    prior = Copula.fitted(SKEWED)
    z = prior.sample(20_000, rng=rng).double()
    right = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    for found, true in zip(z.quantile(right, 0).unbind(1), SKEWED.quantile(right, 0).unbind(1), strict=True):
        assert_close(found, true, rtol=0.1, atol=0.05)
    correlation = stats.spearmanr(z.numpy()).statistic
    assert correlation == pytest.approx(stats.spearmanr(SKEWED.numpy()).statistic, abs=0.03)


def test_heavy_tails_have_a_proper_density_and_finite_coordinates() -> None:
    z = torch.distributions.Cauchy(0.0, 1.0).sample((2000, 1)).double()
    prior = Copula.fitted(z)
    far = torch.tensor([[1e8]], dtype=torch.float64)
    assert prior.to_normal(far).isfinite().all()
    assert prior.log_prob(far).isfinite().all()
    assert_close(prior.from_normal(prior.to_normal(far)), far)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MultivariateNormal([0.0], [-1.0]), "above 0"),
        (lambda: MultivariateNormal([0.0, 1.0], [[1.0, 1.0], [0.0, 1.0]]), "lower triangular"),
        (lambda: MultivariateNormal([0.0], [[1.0, 0.0]]), "mean"),
        (lambda: MultivariateNormalMixture([[0.0]], [[1.0]], [0.5]), "sum to 1"),
        (lambda: Copula([[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]), "increasing"),
        (lambda: Flow(BASE[1], weights={"a": torch.zeros(1)}), "weights of a flow"),
        (lambda: decoded("no tensors"), "save_prior"),
        (lambda: double("loc", [float("nan")]), "finite"),
    ],
)
def test_numbers_that_make_no_prior_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_text_holds_tensors_to_the_last_bit() -> None:
    tensors = {"a": CODES, "b": torch.arange(3)}
    again = decoded(encoded(tensors))
    assert all((again[name] == value).all() and again[name].dtype == value.dtype for name, value in tensors.items())
