"""Priors against their scipy twins and their own identities."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Distribution
from torch.testing import assert_close

from latentry.priors import HalfUniformHalfNormal, IIDDistribution, IIDPrior, Normal, Uniform

PRIORS = [Normal(5), Normal(5, loc=-0.3, scale=1.7), Uniform(5), Uniform(5, low=0.5, high=2.0), HalfUniformHalfNormal(5)]
TWINS = [(Normal(5), stats.norm()), (Normal(5, -0.3, 1.7), stats.norm(-0.3, 1.7)), (Uniform(5), stats.uniform(-1, 2))]
prior_cases = pytest.mark.parametrize("prior", PRIORS, ids=repr)


@prior_cases
def test_cdf_and_icdf_are_inverse(prior: IIDPrior) -> None:
    u = torch.linspace(0.001, 0.999, 55, dtype=torch.float64).view(11, 5)
    assert_close(prior.cdf(prior.icdf(u)), u)
    z = prior.to(torch.float64).sample(11)
    assert_close(prior.icdf(prior.cdf(z)), z, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("prior", "twin"), TWINS, ids=["normal", "shifted", "uniform"])
def test_per_coordinate_functions_agree_with_scipy(prior: IIDPrior, twin: stats.rv_continuous) -> None:
    z = torch.linspace(-3.1, 3.3, 55, dtype=torch.float64).view(11, 5)
    u = torch.linspace(0.01, 0.99, 55, dtype=torch.float64).view(11, 5)
    with torch.no_grad():
        assert_close(prior.cdf(z), torch.from_numpy(twin.cdf(z)))
        assert_close(prior.icdf(u), torch.from_numpy(twin.ppf(u)))
        assert_close(prior.log_cdf(z), torch.from_numpy(twin.logcdf(z)))
        assert_close(prior.log_sf(z), torch.from_numpy(twin.logsf(z)))
        assert_close(prior.log_prob(z), torch.from_numpy(twin.logpdf(z).sum(1)))
    assert_close(prior().entropy().item(), 5 * float(twin.entropy()), rtol=1e-6, atol=1e-6)


@prior_cases
def test_the_density_is_the_derivative_of_the_cdf(prior: IIDPrior) -> None:
    z = prior.to(torch.float64).sample(11).requires_grad_(True)
    (density,) = torch.autograd.grad(prior.cdf(z).sum(), z)
    assert_close(density, prior.law.log_prob(z).exp())


@prior_cases
def test_moments_and_closed_forms_are_the_integrals_they_claim(prior: IIDPrior) -> None:
    law = prior.law
    low, high = law.icdf(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    breaks = [x for x in (low, 0.0, high) if low <= x <= high]

    def integral(function: object, until: float = math.inf) -> float:
        ends = [*[x for x in breaks if x < until], min(until, high)]
        return sum((integrate.quad(function, a, b)[0] for a, b in pairwise(ends)), 0.0)

    def at(function: object, x: float) -> float:
        return function(torch.tensor(x, dtype=torch.float64)).item()  # type: ignore[operator]

    def density(x: float) -> float:
        return math.exp(at(law.log_prob, x))

    assert_close(integral(density), 1.0)
    assert_close(law.mean, integral(lambda x: x * density(x)))
    assert_close(law.variance, integral(lambda x: (x - law.mean) ** 2 * density(x)))
    assert_close(law.mean_difference, 2 * integral(lambda x: at(law.cdf, x) * (1 - at(law.cdf, x))))
    assert_close(law.entropy, -integral(lambda x: density(x) * at(law.log_prob, x) if density(x) > 0 else 0.0))
    for x in (-0.7, 0.2, 0.9):
        below = integral(lambda t: t * density(t), until=x)
        assert_close(at(law.partial_mean, x), below, rtol=1e-6, atol=1e-7)
    ends = law.partial_mean(torch.tensor([low, high], dtype=torch.float64))
    assert_close(ends, torch.tensor([0.0, law.mean], dtype=torch.float64))


@prior_cases
def test_samples_pass_a_test_against_their_own_cdf(prior: IIDPrior, rng: torch.Generator) -> None:
    z = prior.to(torch.float64).sample(4000, rng=rng)
    assert stats.kstest(z.flatten().numpy(), lambda x: prior.law.cdf(torch.from_numpy(x)).numpy()).pvalue > 0.01


@prior_cases
def test_shapes_follow_torch_distributions(prior: IIDPrior, rng: torch.Generator) -> None:
    distribution = prior.to(torch.float32)()
    assert isinstance(distribution, Distribution)
    assert isinstance(distribution, IIDDistribution)
    assert distribution.event_shape == (5,)
    assert prior.sample().shape == (5,)
    assert prior.sample(3, rng=rng).shape == (3, 5)
    assert prior.sample((2, 3), rng=rng).shape == (2, 3, 5)
    assert prior.rsample((2, 3)).dtype == torch.float32
    assert prior.to(torch.float64).sample(2).dtype == torch.float64
    assert distribution.mean.shape == distribution.variance.shape == (5,)
    assert distribution.support.check(distribution.sample(20)).all()


@prior_cases
def test_equal_seeds_give_equal_codes(prior: IIDPrior) -> None:
    first, second = (prior.sample(4, rng=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_outside_the_support_cdf_is_0_or_1_and_the_density_0() -> None:
    outside = torch.tensor([[-4.0, 4.0]])
    assert torch.equal(Uniform(2).cdf(outside), torch.tensor([[0.0, 1.0]]))
    assert Uniform(2).log_prob(outside).item() == -math.inf
    assert HalfUniformHalfNormal(2).cdf(outside)[0, 0] == 0
    assert HalfUniformHalfNormal(2).log_prob(outside).item() == -math.inf


def test_the_tails_of_the_normal_stay_finite_in_the_log_domain() -> None:
    z = torch.tensor([[-8.0, 8.0, 20.0]])
    assert Normal(3).log_cdf(z).isfinite().all()
    assert Normal(3).log_sf(z).isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(0), "latent_dim >= 1"),
        (lambda: Normal(3, scale=0.0), "scale > 0"),
        (lambda: Uniform(3, low=1.0, high=1.0), "low < high"),
        (lambda: Normal(3).log_prob(torch.zeros(2, 4)), r"shape \(\.\.\., 3\)"),
    ],
)
def test_bad_input_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
