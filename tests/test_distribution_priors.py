"""Distributions of torch and zuko as priors: their density, their way to N(0, I), and all that takes a prior."""

import math
from typing import Any

import pytest
import torch
import zuko
from scipy import stats
from torch import Tensor
from torch import distributions as of_torch
from torch.testing import assert_close

import latentry as lt
from latentry.priors import MultivariateNormal, MultivariateNormalMixture, Normal, Uniform, as_prior
from latentry.priors.transports import transport_of

D = 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def positive(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5


def flow(make: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


TRIL = drawn(D, D).tril(-1) + torch.eye(D, dtype=torch.float64)
CLOSED: dict[str, Any] = {
    "normal": of_torch.Normal(torch.zeros(D), torch.ones(D)),
    "normal-unequal": of_torch.Normal(drawn(D), positive(D)),
    "independent": of_torch.Independent(of_torch.Normal(drawn(D), positive(D)), 1),
    "spatial": of_torch.Independent(of_torch.Normal(drawn(1, 2, 2), positive(1, 2, 2)), 3),
    "multivariate": of_torch.MultivariateNormal(drawn(D), scale_tril=TRIL),
    "low-rank": of_torch.LowRankMultivariateNormal(drawn(D), drawn(D, 2), positive(D)),
    "mixture": of_torch.MixtureSameFamily(
        of_torch.Categorical(positive(3)), of_torch.Independent(of_torch.Normal(3 * drawn(3, D), positive(3, D)), 1)
    ),
    "mixture-correlated": of_torch.MixtureSameFamily(
        of_torch.Categorical(positive(2)), of_torch.MultivariateNormal(3 * drawn(2, D), scale_tril=TRIL.expand(2, D, D))
    ),
    "mixtures-of-coordinates": of_torch.MixtureSameFamily(
        of_torch.Categorical(positive(D, 3)), of_torch.Normal(3 * drawn(D, 3), positive(D, 3))
    ),
    "log-normal": of_torch.LogNormal(drawn(D), positive(D)),
    "transformed": of_torch.TransformedDistribution(
        of_torch.MultivariateNormal(drawn(D), scale_tril=TRIL / 4), [of_torch.TanhTransform()]
    ),
    "beta": of_torch.Beta(positive(D), 2 * positive(D, seed=2)),
    "uniform": of_torch.Uniform(-positive(D), positive(D, seed=2)),
    "student": of_torch.StudentT(2 + positive(D)),
    "gamma": of_torch.Gamma(positive(D), positive(D)),
    "laplace": of_torch.Laplace(drawn(D), positive(D)),
    "cauchy": of_torch.Cauchy(drawn(D), positive(D)),
    "gumbel": of_torch.Gumbel(drawn(D), positive(D)),
    "half-normal": of_torch.HalfNormal(positive(D)),
    "exponential": of_torch.Exponential(positive(D)),
    "weibull": of_torch.Weibull(positive(D), positive(D)),
    "inverse-gamma": of_torch.InverseGamma(3 * positive(D), positive(D)),
    "flow": flow(lambda: zuko.flows.NSF(D, transforms=2).double()),
    "flow-called": flow(lambda: zuko.flows.MAF(D, transforms=2).double()()),
    "circular-flow": flow(lambda: zuko.flows.NCSF(D, transforms=2).double()),
    "lazy-mixture": flow(lambda: zuko.flows.GMM(D, components=2).double()),
    "joint": zuko.distributions.Joint(
        of_torch.Independent(of_torch.Gamma(positive(2), positive(2)), 1),
        zuko.distributions.DiagNormal(drawn(2), positive(2)),
    ),
}  # fmt: skip
SAMPLED = {
    "dirichlet": of_torch.Dirichlet(torch.ones(D)),
    "logistic-normal": of_torch.LogisticNormal(drawn(D - 1), positive(D - 1)),
}
all_closed = pytest.mark.parametrize("given", CLOSED.values(), ids=CLOSED)
all_given = pytest.mark.parametrize("given", [*CLOSED.values(), *SAMPLED.values()], ids=[*CLOSED, *SAMPLED])
MATRIX = drawn(D, 9, seed=3)


def generator(z: Tensor) -> Tensor:
    return z @ MATRIX.to(z)


def of(given: Any) -> Any:
    return given if isinstance(given, of_torch.Distribution) else given()


@all_given
def test_samples_and_density_are_those_of_the_distribution(given: Any, rng: torch.Generator) -> None:
    prior, distribution = as_prior(given), of(given)
    z = prior.sample((300,), rng=rng)
    x = z.reshape(300, *distribution.batch_shape, *distribution.event_shape)
    density = distribution.log_prob(x.to(distribution.sample().dtype)).reshape(300, -1).sum(1)
    assert_close(prior.log_prob(z.double()), density.double(), rtol=1e-5, atol=1e-5)
    assert prior.sample().shape == (D,)
    assert prior.sample(2).shape == (2, D)


@all_given
def test_a_seed_repeats_draws_and_leaves_the_generator_of_torch_alone(given: Any) -> None:
    prior, before = as_prior(given), torch.get_rng_state()
    first, second = (prior.sample((5,), rng=torch.Generator().manual_seed(7)) for _ in range(2))
    assert_close(first, second, rtol=0, atol=0)
    assert (torch.get_rng_state() == before).all()
    assert not (first == prior.sample((5,), rng=torch.Generator().manual_seed(8))).all()


@all_closed
def test_normal_coordinates_are_standard_normal_and_lead_back(given: Any, rng: torch.Generator) -> None:
    prior = as_prior(given)
    z = prior.sample((1000,), rng=rng).double()
    e = prior.to_normal(z)
    assert stats.kstest(e.flatten().numpy(), "norm").pvalue > 1e-3
    assert not e.requires_grad
    assert_close(prior.from_normal(e), z, rtol=1e-9, atol=1e-9)
    far = 4 * torch.ones(1, D, dtype=torch.float64)
    for score in (far, -far):
        assert_close(prior.to_normal(prior.from_normal(score)), score, rtol=1e-3, atol=0)


@all_closed
def test_the_density_is_the_normal_one_times_the_jacobian(given: Any, rng: torch.Generator) -> None:
    prior = as_prior(given)
    z = prior.sample((1,), rng=rng).double()
    jacobian = torch.autograd.functional.jacobian(prior.to_normal, z)[0, :, 0]
    e = prior.to_normal(z)
    density = torch.linalg.slogdet(jacobian)[1] - 0.5 * (e.square() + math.log(2 * math.pi)).sum()
    assert_close(density, prior.log_prob(z)[0], rtol=1e-6, atol=1e-5)
    back = torch.autograd.functional.jacobian(prior.from_normal, e)[0, :, 0]
    assert_close(back @ jacobian, torch.eye(D, dtype=torch.float64), rtol=1e-5, atol=1e-5)


@all_closed
def test_everything_takes_the_distribution_as_it_is(given: Any) -> None:
    rng = torch.Generator().manual_seed(5)
    prior = as_prior(given)
    z = prior.sample((256,), rng=rng).double()
    assert lt.goodness_of_fit(z, given, rng=rng).passes
    between = lt.interpolate(*prior.sample((2, 256), rng=rng).double(), 0.5, given)
    assert lt.goodness_of_fit(between, given, rng=rng).passes
    paths = lt.evaluate_paths(generator, given, count=64, t=(0.5,), rules=("lerp", "transport"), rng=rng)
    assert [point.rejected.value < 0.5 for point in paths if point.rule in (None, "transport")] == [True, True]
    assert lt.directions.random_directions(given, components=2, rng=rng).vectors.shape == (2, D)
    distance = lt.regularizers.StatisticalDistance()(z, given)
    assert distance.shape == (256,)
    assert distance.isfinite().all()
    found = lt.recover_codes(generator, generator(z[:3]), given, restarts=1, determination=False, rng=rng, progress=None)
    assert_close(found.z, z[:3], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["multivariate", "beta"])
def test_recovery_with_a_regularizer_lowers_it(name: str) -> None:
    rng, given = torch.Generator().manual_seed(5), CLOSED[name]
    z = as_prior(given).sample((2,), rng=rng).double()
    measured = lambda z: z[:, :2] @ MATRIX[:2].to(z)  # noqa: E731 - leaves half of a code open
    regularizer, solver = lt.regularizers.NegativeLogPrior(), lt.solvers.LevenbergMarquardt(steps=15)
    found = lt.recover_codes(
        measured, measured(z), given, solver=solver, regularizer=regularizer, restarts=1, rng=rng, progress=None
    )
    assert (regularizer(found.z, given) < regularizer(z, given) + 0.5).all()


@pytest.mark.parametrize("given", SAMPLED.values(), ids=SAMPLED)
def test_what_needs_more_than_samples_and_a_density_says_so(given: Any, rng: torch.Generator) -> None:
    z = as_prior(given).sample((4,), rng=rng)
    assert transport_of(given) is None
    with pytest.raises(ValueError, match="samples alone are not enough"):
        lt.goodness_of_fit(z, given)
    with pytest.raises(ValueError, match="samples alone are not enough"):
        lt.interpolate(z[:2], z[2:], 0.5, given)
    found = lt.recover_codes(generator, generator(z.double()), given, restarts=1, rng=rng, progress=None)
    assert_close(found.z, z.double(), rtol=1e-3, atol=1e-3)


def test_normal_and_uniform_distributions_become_the_priors_that_they_are() -> None:
    assert repr(as_prior(of_torch.Normal(torch.full((3,), 1.0), torch.full((3,), 2.0)))) == repr(Normal(3, 1.0, 2.0))
    assert repr(as_prior(of_torch.Uniform(torch.zeros(3), torch.ones(3)))) == repr(Uniform(3, 0.0, 1.0))
    for prior in (
        Normal(3),
        Uniform(3),
        lt.priors.SphericalCauchy(3),
        lt.priors.NormalMixture([[0.0], [1.0]], [[1.0], [1.0]]),
    ):
        assert type(as_prior(prior())).__name__ in {type(prior).__name__, "IIDPrior", "RadialPrior"}
    assert isinstance(as_prior(CLOSED["low-rank"]), MultivariateNormal)
    assert isinstance(as_prior(CLOSED["mixture-correlated"]), MultivariateNormalMixture)


def test_the_tails_of_univariate_distributions_are_those_of_scipy() -> None:
    prior = as_prior(of_torch.StudentT(torch.full((2,), 3.0, dtype=torch.float64)))
    z = torch.tensor([[-1e5, 1e5]], dtype=torch.float64)
    right = stats.norm.isf(stats.t(3).sf(1e5))
    assert_close(prior.to_normal(z), torch.tensor([[-right, right]]), rtol=1e-9, atol=0)


def test_outside_the_support_the_density_is_nothing_and_its_mean_leads_back() -> None:
    given = of_torch.Beta(torch.full((2,), 2.0), torch.full((2,), 2.0))
    prior = as_prior(given)
    z = torch.tensor([[0.5, 0.5], [0.5, 3.0], [math.nan, 0.5]], requires_grad=True)
    assert prior.log_prob(z)[1] == -math.inf
    assert prior.log_prob(z)[2].isnan()
    (slope,) = torch.autograd.grad(prior.mean_log_prob(z[:2]).sum(), z)
    assert slope[1, 1] < 0
    assert slope[:2].isfinite().all()
    scale = prior.location_scale(torch.empty(0))
    assert (scale.low == 0).all()
    assert (scale.high == 1).all()


def test_a_flow_is_taken_as_it_is_now() -> None:
    trained = flow(lambda: zuko.flows.NSF(2, transforms=1))
    prior, z = as_prior(trained), torch.zeros(1, 2)
    before = prior.log_prob(z)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1)
    assert_close(prior.log_prob(z), before, rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in trained.parameters())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (of_torch.Poisson(torch.ones(2)), "got the discrete Poisson"),
        (of_torch.Normal(0.0, 1.0), "of a single number"),
        (of_torch.MultivariateNormal(torch.zeros(3, 2), torch.eye(2)), "Independent"),
        (flow(lambda: zuko.flows.NSF(2, 3)), "without a condition"),
        (lt.priors.Normal, "expected a prior, got Normal"),
        ("normal", "expected a prior, got str"),
    ],
)
def test_what_is_no_prior_is_refused_in_a_sentence(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        as_prior(given)
    with pytest.raises(ValueError, match=said):
        lt.goodness_of_fit(torch.zeros(3, 2), given)
