"""Radial priors against scipy, and their normal coordinates against the normal prior."""

import json
import math

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import Distribution
from torch.testing import assert_close

from latentry.interfaces import IndependentPrior, LabelledPrior, PushforwardPrior
from latentry.priors import GammaRadius, LogUniformRadius, Normal, RadialPrior, SphericalCauchy
from latentry.priors.distribution import SampledDistribution
from latentry.priors.radius_distributions import CauchyRadiusDistribution, LogUniformDistribution, NakagamiDistribution
from latentry.priors.univariate import NormalDistribution, UniformDistribution

LEVEL = 1e-4
DISTRIBUTIONS = [
    (NakagamiDistribution(0.5, 2.0), stats.halfnorm()),
    (NakagamiDistribution(0.3, 0.7), stats.nakagami(0.3, scale=0.21**0.5)),
    (NakagamiDistribution(32.0, 2.0), stats.chi(64)),
    (CauchyRadiusDistribution(1, 2.0), stats.halfcauchy(scale=2.0)),
    (CauchyRadiusDistribution(2), None),
    (CauchyRadiusDistribution(3, 0.5), None),
    (CauchyRadiusDistribution(64), None),
]
PRIORS = [
    SphericalCauchy(5),
    SphericalCauchy(6, scale=2.5),
    GammaRadius(5),
    GammaRadius(6, shape=2.0, theta=0.3),
    RadialPrior(6, UniformDistribution(0.5, 1.0)),
    LogUniformRadius(6),
]
distribution_cases = pytest.mark.parametrize(
    ("distribution", "twin"), DISTRIBUTIONS, ids=lambda thing: repr(thing) if isinstance(thing, SampledDistribution) else ""
)
prior_cases = pytest.mark.parametrize("prior", PRIORS, ids=repr)


def at(function: object, x: float) -> float:
    return function(torch.tensor(x, dtype=torch.float64)).item()  # type: ignore[operator]


@distribution_cases
def test_radius_distributions_are_the_integrals_they_claim(distribution: SampledDistribution, twin: object) -> None:
    def density(r: float) -> float:
        return math.exp(at(distribution.log_prob, r))

    assert isinstance(distribution, SampledDistribution)
    for r in (0.4, 1.7, 9.0):
        inside = integrate.quad(density, 0, r, epsabs=1e-12, limit=200)[0]
        assert_close(at(distribution.cdf, r), inside, rtol=1e-8, atol=1e-10)
        assert_close(
            at(distribution.partial_mean, r), integrate.quad(lambda x: x * density(x), 0, r)[0], rtol=1e-8, atol=1e-9
        )
        assert_close(math.exp(at(distribution.log_cdf, r)) + math.exp(at(distribution.log_sf, r)), 1.0)
    u = torch.tensor([1e-6, 0.2, 0.5, 0.999], dtype=torch.float64)
    assert_close(distribution.cdf(distribution.icdf(u)), u)
    assert_close(distribution.entropy, -stats_mean(distribution, distribution.log_prob), rtol=1e-6, atol=1e-6)
    if math.isfinite(distribution.variance):
        assert_close(distribution.mean, stats_mean(distribution, lambda r: r), rtol=1e-9, atol=0)
        assert_close(distribution.variance + distribution.mean**2, stats_mean(distribution, torch.square), rtol=1e-9, atol=0)
        both = (
            2 * integrate.quad(lambda r: at(distribution.cdf, r) * math.exp(at(distribution.log_sf, r)), 0, 20, limit=200)[0]
        )
        assert_close(distribution.mean_difference, both, rtol=1e-7, atol=0)


def stats_mean(distribution: SampledDistribution, function: object) -> float:
    """E f(r), by the trapezoid rule in normal scores."""
    scores = torch.linspace(-8, 8, 8001, dtype=torch.float64)
    values = function(distribution.icdf(torch.special.ndtr(scores)))  # type: ignore[operator]
    return (values @ torch.softmax(-0.5 * scores.square(), 0)).item()


@distribution_cases
def test_radius_distributions_agree_with_scipy(distribution: SampledDistribution, twin: stats.rv_continuous) -> None:
    if twin is None:
        assert isinstance(distribution, CauchyRadiusDistribution)  # of its square over d: F(d, 1)
        r = torch.logspace(-1, 6, 40, dtype=torch.float64)
        square = (r / distribution.scale).square().numpy() / distribution.latent_dim
        f = stats.f(distribution.latent_dim, 1)
        assert_close(distribution.cdf(r), torch.from_numpy(f.cdf(square)))
        assert_close(distribution.log_sf(r), torch.from_numpy(f.logsf(square)), rtol=1e-8, atol=1e-12)
        return
    r = torch.linspace(0.05, 12, 40, dtype=torch.float64)
    assert_close(distribution.cdf(r), torch.from_numpy(twin.cdf(r)))
    assert_close(distribution.log_prob(r), torch.from_numpy(twin.logpdf(r)), rtol=1e-9, atol=1e-9)
    assert_close(distribution.icdf(distribution.cdf(r[:10])), r[:10])


@distribution_cases
def test_the_slopes_of_radius_distributions_are_their_densities(distribution: SampledDistribution, twin: object) -> None:
    r = torch.tensor([0.6, 1.3, 4.0], dtype=torch.float64).requires_grad_(True)
    for function in (distribution.cdf, distribution.log_cdf, distribution.log_sf, distribution.partial_mean):
        assert torch.autograd.gradcheck(function, r, atol=1e-6)
    u = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(distribution.icdf, u, atol=1e-4)
    assert distribution.log_prob(torch.tensor([-1.0])).item() == -math.inf
    assert distribution.cdf(torch.tensor([-1.0])).item() == 0


@pytest.mark.parametrize("d", [1, 2, 5, 64])
def test_the_spherical_cauchy_density_is_the_multivariate_t_of_one_degree(d: int, rng: torch.Generator) -> None:
    prior = SphericalCauchy(d, scale=1.7).double()
    z = torch.cat([prior.sample(20, rng=rng), torch.zeros(1, d)])
    twin = stats.multivariate_t(shape=1.7**2 * torch.eye(d).double().numpy(), df=1)
    assert_close(prior.log_prob(z), torch.from_numpy(twin.logpdf(z.numpy()).reshape(-1)), rtol=1e-9, atol=1e-9)


def test_its_coordinates_are_cauchy_numbers(rng: torch.Generator) -> None:
    prior = SphericalCauchy(4, scale=2.0).double()
    z = torch.tensor([[-1e9, -3.0, 0.4, 1e7]], dtype=torch.float64)
    twin = stats.cauchy(scale=2.0)
    for ours, theirs in ((prior.cdf, twin.cdf), (prior.log_cdf, twin.logcdf), (prior.log_sf, twin.logsf)):
        assert_close(ours(z), torch.from_numpy(theirs(z.numpy())), rtol=1e-9, atol=1e-15)
    u = torch.tensor([[1e-12, 0.2, 0.5, 0.9]], dtype=torch.float64)
    assert_close(prior.icdf(u), torch.from_numpy(twin.ppf(u.numpy())), rtol=1e-9, atol=1e-12)
    assert stats.kstest(prior.sample(2000, rng=rng)[:, 2].numpy(), twin.cdf).pvalue > LEVEL


def test_a_radius_of_chi_is_the_normal_prior(rng: torch.Generator) -> None:
    prior, normal = GammaRadius(7, shape=3.5).double(), Normal(7).double()
    z = prior.sample(50, rng=rng)
    assert_close(prior.log_prob(z), normal.log_prob(z))
    assert_close(prior().entropy(), normal().entropy())
    assert_close(prior().variance, normal().variance)
    assert_close(prior.to_normal(z), z)


@prior_cases
def test_the_density_is_that_of_the_norm_over_the_sphere(prior: RadialPrior, rng: torch.Generator) -> None:
    """E_p[q / p] = 1 for a normal density q, with draws of p; and the entropy is -E log p."""
    prior = prior.double()
    z = 0.75 * torch.nn.functional.normalize(torch.randn(9, prior.latent_dim, generator=rng, dtype=torch.float64), dim=-1)
    assert_close(prior.log_prob(z), prior.log_prob(z)[:1].expand(9))
    d = prior.latent_dim
    area = 2 * math.pi ** (d / 2) / math.gamma(d / 2)
    total = integrate.quad(
        lambda r: area * r ** (d - 1) * math.exp(prior.log_prob(torch.tensor([[r] + [0.0] * (d - 1)]).double()).item()),
        0, 1, points=[0.5],
    )[0]  # fmt: skip
    assert_close(total, at(prior.radius_distribution.cdf, 1.0), rtol=1e-7, atol=1e-9)
    draws = prior.log_prob(prior.sample(20_000, rng=rng))
    assert abs(prior().entropy().item() + draws.mean().item()) < 5 * draws.std().item() / 20_000**0.5


@prior_cases
def test_samples_have_uniform_directions_and_norms_of_the_distribution(prior: RadialPrior, rng: torch.Generator) -> None:
    z = prior.double().sample(4000, rng=rng)
    norms = z.norm(dim=-1)
    assert stats.kstest(prior.radius_distribution.cdf(norms).numpy(), "uniform").pvalue > LEVEL
    share = (z[:, 0] / norms).square().numpy()
    assert stats.kstest(share, stats.beta(0.5, (prior.latent_dim - 1) / 2).cdf).pvalue > LEVEL


@prior_cases
def test_normal_coordinates_of_samples_are_standard_normal(prior: RadialPrior, rng: torch.Generator) -> None:
    e = prior.float().to_normal(prior.sample(3000, rng=rng))
    assert e.dtype == torch.float32
    assert stats.kstest(e.flatten().numpy(), "norm").pvalue > LEVEL
    assert stats.kstest(e.double().square().sum(1).numpy(), stats.chi2(prior.latent_dim).cdf).pvalue > LEVEL


@pytest.mark.parametrize("make", [SphericalCauchy, GammaRadius], ids=["cauchy", "gamma"])
@pytest.mark.parametrize("d", [2, 64, 512])
def test_normal_coordinates_and_back_are_the_code_at_any_norm(make: type[RadialPrior], d: int, rng: torch.Generator) -> None:
    prior = make(d).double()
    directions = torch.nn.functional.normalize(torch.randn(9, d, generator=rng, dtype=torch.float64), dim=-1)
    z = (torch.logspace(-1, 6, 9)[:, None].double() * directions).requires_grad_(True)
    e = prior.to_normal(z)
    back = prior.from_normal(e)
    assert_close(back, z, rtol=1e-9, atol=1e-15)
    (gradient,) = torch.autograd.grad(back.sum(), z)
    assert_close(gradient, torch.ones_like(z), rtol=0, atol=2e-3)  # at norms of 1e6
    order = e.norm(dim=-1).diff()
    assert (order > 0).all()


@prior_cases
def test_normal_coordinates_are_differentiable(prior: RadialPrior, rng: torch.Generator) -> None:
    z = prior.double().sample(3, rng=rng).requires_grad_(True)
    assert torch.autograd.gradcheck(prior.to_normal, z, atol=1e-5)
    e = torch.randn(3, prior.latent_dim, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(prior.from_normal, e, rtol=1e-2, atol=1e-4)


@prior_cases
def test_densities_change_by_the_volume_of_the_map(prior: RadialPrior, rng: torch.Generator) -> None:
    z = prior.double().sample(1, rng=rng)[0]
    jacobian = torch.autograd.functional.jacobian(lambda z: prior.to_normal(z[None])[0], z)
    expected = Normal(prior.latent_dim).double().log_prob(prior.to_normal(z)) + torch.linalg.slogdet(jacobian).logabsdet
    assert_close(prior.log_prob(z), expected, rtol=1e-6, atol=1e-6)


def test_the_origin_and_codes_outside_the_support_have_finite_coordinates_and_gradients() -> None:
    prior = RadialPrior(8, UniformDistribution(0.5, 1.0)).double()
    z = torch.tensor([0.0, 1e-30, 0.3, 0.5, 1.0, 1.2, 50.0], dtype=torch.float64)[:, None] * torch.ones(8) / 8**0.5
    z.requires_grad_(True)
    e = prior.to_normal(z)
    (gradient,) = torch.autograd.grad(e.square().sum(), z)
    assert e.isfinite().all()
    assert gradient.isfinite().all()
    norms = e.norm(dim=1)
    assert norms[2] < 1e-10 < norms[3]
    assert norms[4] < 11
    assert 36 < norms[5] < norms[6]
    for other in (SphericalCauchy(8), GammaRadius(8)):
        assert torch.equal(other.to_normal(torch.zeros(2, 8)), torch.zeros(2, 8))


def test_a_norm_rounded_beyond_its_end_counts_as_inside() -> None:
    prior = RadialPrior(8, UniformDistribution(0.5, 1.0))
    z = torch.full((1, 8), 8**-0.5) * (1 + 2.0**-23)
    assert prior.to_normal(z).norm() < 12


@prior_cases
def test_shapes_follow_torch_distributions(prior: RadialPrior, rng: torch.Generator) -> None:
    prior = prior.float()
    d = prior.latent_dim
    assert isinstance(prior(), Distribution)
    assert prior().event_shape == (d,)
    assert prior.sample().shape == (d,)
    assert prior.sample((2, 3), rng=rng).shape == prior.rsample((2, 3)).shape == (2, 3, d)
    assert prior.log_prob(prior.sample((2, 3))).shape == (2, 3)
    assert prior().mean.shape == prior().variance.shape == (d,)
    assert prior.sample(2).dtype == prior.log_prob(prior.sample(2)).dtype == torch.float32
    first, second = (prior.sample(4, rng=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


@prior_cases
def test_arguments_make_the_same_prior_again(prior: RadialPrior) -> None:
    arguments = json.loads(json.dumps(prior.arguments()))
    assert repr(type(prior)(**arguments)) == repr(prior)
    assert type(prior)(**arguments).radius_distribution == prior.radius_distribution


def test_radial_priors_promise_normal_coordinates_and_no_more() -> None:
    prior, z = SphericalCauchy(4), torch.ones(2, 4)
    assert isinstance(prior, PushforwardPrior)
    assert not isinstance(prior, IndependentPrior | LabelledPrior)
    assert torch.equal(prior.iid_coordinates(z)[0], prior.to_normal(z))
    assert torch.equal(Normal(4).iid_coordinates(z)[0], z)


def test_a_cauchy_code_has_no_mean() -> None:
    assert SphericalCauchy(3)().mean.isnan().all()
    assert SphericalCauchy(3)().variance.isinf().all()
    assert_close(GammaRadius(4)().variance, torch.full((4,), 0.25))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SphericalCauchy(0), "latent_dim >= 1"),
        (lambda: SphericalCauchy(3, scale=0.0), "scale > 0"),
        (lambda: GammaRadius(3, shape=0.0), "shape > 0"),
        (lambda: GammaRadius(3, theta=math.inf), "theta > 0"),
        (lambda: RadialPrior(3, NormalDistribution()), r"distribution on \[0, inf\)"),
        (lambda: RadialPrior(3, {"class": "os", "arguments": {}}), "name of a distribution among"),
        (lambda: GammaRadius(3).cdf(torch.zeros(2, 3)), "to_normal"),
        (lambda: GammaRadius(3).to_normal(torch.zeros(2, 4)), r"shape \(\.\.\., 3\)"),
    ],
)
def test_bad_input_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_samples_are_tensors_of_the_right_length(rng: torch.Generator) -> None:
    z: Tensor = GammaRadius(16).sample(100_000, rng=rng)
    assert_close(z.square().sum(1).mean().item(), 1.0, rtol=0, atol=0.03)


def test_the_log_uniform_distribution_is_that_of_scipy_and_ends_where_it_ends() -> None:
    distribution, twin = LogUniformDistribution(0.5, 2.0), stats.loguniform(0.5, 2.0)
    r = torch.linspace(0.501, 1.999, 31, dtype=torch.float64)
    for ours, theirs in (
        (distribution.cdf, twin.cdf),
        (distribution.log_cdf, twin.logcdf),
        (distribution.log_sf, twin.logsf),
        (distribution.log_prob, twin.logpdf),
    ):
        assert_close(ours(r), torch.from_numpy(theirs(r.numpy())))
    assert_close(distribution.icdf(distribution.cdf(r)), r)
    assert_close(
        [distribution.mean, distribution.variance, distribution.entropy],
        [float(twin.mean()), float(twin.var()), float(twin.entropy())],
    )
    assert_close(distribution.mean_difference, 2 * integrate.quad(lambda x: twin.cdf(x) * twin.sf(x), 0.5, 2.0)[0])
    assert_close(at(distribution.partial_mean, 1.3), integrate.quad(lambda x: x * twin.pdf(x), 0.5, 1.3)[0])
    outside = torch.tensor([0.0, 0.4, 2.1])
    assert_close(distribution.cdf(outside), torch.tensor([0.0, 0.0, 1.0]))
    assert (distribution.log_prob(outside) == -math.inf).all()
    with pytest.raises(ValueError, match="low > 0"):
        LogUniformDistribution(0.0, 1.0)


def test_log_uniform_norms_have_the_spread_and_the_scale_that_were_asked_for(rng: torch.Generator) -> None:
    prior = LogUniformRadius(50, spread=8.0, scale=0.5)
    low, high = prior.radius_distribution.support
    assert_close(high / low, 8.0)
    z = prior.to(torch.float64).sample(20_000, rng=rng)
    assert_close(z.square().mean().item(), 0.25, rtol=0.03, atol=0)
    assert_close(prior().variance, torch.full((50,), 0.25, dtype=torch.float64))
    with pytest.raises(ValueError, match="spread > 1"):
        LogUniformRadius(5, spread=1.0)


def test_most_straight_lines_between_log_uniform_codes_stay_within_their_lengths(rng: torch.Generator) -> None:
    """The middle of two codes of the lower end is shorter than any code by sqrt 2; few pairs are that short."""
    prior = LogUniformRadius(100)
    low, high = prior.radius_distribution.support
    a, b = prior.sample((2, 20_000), rng=rng)
    norm = ((a + b) / 2).norm(dim=1)
    # (x^2 + y^2) / 4 < low^2 for norms x, y uniform in log from low to 4 low
    assert ((norm > low) & (norm < high)).float().mean() > 0.88
    assert (norm > low / 1.55).float().mean() > 0.999


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("spread", [1.001, 6.0])
def test_samples_of_any_precision_are_of_the_support(spread: float, dtype: torch.dtype, rng: torch.Generator) -> None:
    prior = LogUniformRadius(3, spread).to(dtype)
    z = prior.sample(20_000, rng=rng)
    assert prior.log_prob(z).isfinite().all()
    assert prior().support.check(z).all()
