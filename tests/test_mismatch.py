"""How far codes between codes are from their prior, against closed forms, quadrature and samples."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.testing import assert_close

from latentry.numerics.norm_distribution import squared_norm_cdf
from latentry.numerics.pair_density import isotropic_pair_log_density, pair_log_density, table_pair_density
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    LogUniformRadius,
    Normal,
    NormalMixture,
    RadialPrior,
    SphericalCauchy,
    Tabulated,
    TruncatedCauchy,
    Uniform,
    density_curves,
    norm_curves,
    summarize,
)
from latentry.priors.between_codes import coordinate_divergences
from latentry.priors.mismatch import mismatch
from latentry.priors.quadrature import edges
from latentry.priors.radius_distributions import CauchyRadiusDistribution
from latentry.priors.tabulated import TabulatedDistribution
from latentry.priors.univariate import UniformDistribution

STEPS = [0.5, 0.25, 0.1, -0.5, 1.7]
IID = [
    Normal(20, 0.3, 2.0),
    Uniform(20),
    HalfUniformHalfNormal(20),
    TruncatedCauchy(20),
    Tabulated(20, [0.1, 0.0, 0.5, 0.3, 0.1]),
]
iid = pytest.mark.parametrize("prior", IID, ids=lambda prior: type(prior).__name__)


def normal_divergence(t: float) -> float:
    v = (1 - t) ** 2 + t**2
    return 0.5 * (math.log(v) + 1 / v - 1)


def test_the_mid_point_of_a_normal_prior_is_half_of_1_minus_ln_2_nats_away_in_each_coordinate() -> None:
    found = mismatch(Normal(100), 0.5)
    assert found.coordinate_divergence.item() == pytest.approx((1 - math.log(2)) / 2, abs=1e-14)
    assert found.divergence.item() == pytest.approx(50 * (1 - math.log(2)), abs=1e-12)
    assert found.t.shape == found.norm_distance.shape == ()


@pytest.mark.parametrize("t", STEPS)
def test_a_normal_prior_has_the_total_variation_of_two_normal_distributions(t: float) -> None:
    apart = lambda x: abs(stats.norm.pdf(x) - stats.norm.pdf(x, scale=math.hypot(t, 1 - t)))  # noqa: E731
    exact = integrate.quad(apart, 0, 20, limit=200)[0]  # half of twice the integral over one side
    assert mismatch(Normal(1, 0.7, 3.0), t).coordinate_total_variation.item() == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize("t", STEPS)
def test_quadrature_finds_the_closed_forms(t: float) -> None:
    for prior in (Normal(1), Uniform(1, 0.5, 2.0)):
        exact = mismatch(prior, t)
        divergence, variation = coordinate_divergences.dispatch(object)(prior.marginal, t)
        assert divergence == pytest.approx(exact.coordinate_divergence.item(), abs=1e-7)
        assert variation == pytest.approx(exact.coordinate_total_variation.item(), abs=2e-5)


def test_the_mid_point_of_a_uniform_prior_has_a_triangle_as_its_density() -> None:
    found = mismatch(Uniform(3, -2.0, 5.0), 0.5)
    assert found.coordinate_divergence.item() == pytest.approx(1 - math.log(2), abs=1e-12)
    assert found.coordinate_total_variation.item() == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize("t", [0.5, 0.3, -0.5])
@pytest.mark.parametrize("prior", [HalfUniformHalfNormal(1), TruncatedCauchy(1, 0.5, 4.0)], ids=["hybrid", "cauchy"])
def test_densities_between_codes_agree_with_adaptive_quadrature(prior: IIDPrior, t: float) -> None:
    distribution, (a, b) = prior.marginal, sorted((1 - t, t), key=abs, reverse=True)
    density = lambda x: distribution.log_prob(torch.tensor(x, dtype=torch.float64)).exp().item()  # noqa: E731
    y = torch.tensor([-0.9, -0.2, 0.05, 0.7, 2.5], dtype=torch.float64)
    found = pair_log_density(distribution.log_prob, distribution.cdf, distribution.icdf, edges(distribution), a, b, y).exp()
    for place, value in zip(y.tolist(), found.tolist(), strict=True):
        low, high = max(-9.0, distribution.support[0]), min(9.0, distribution.support[1])
        breaks = [x for x in (0.0, place, *((place - a * edge) / b for edge in edges(distribution))) if low < x < high]
        exact = integrate.quad(
            lambda x, place=place: density(x) * density((place - b * x) / a), low, high, points=breaks, limit=300
        )[0]
        assert value == pytest.approx(exact / abs(a), abs=1e-6)


@pytest.mark.parametrize("t", [0.5, 0.25, -0.5])
def test_the_divergence_of_a_table_is_that_of_a_fine_sum(t: float, rng: torch.Generator) -> None:
    prior = Tabulated(7, torch.rand(9, generator=rng, dtype=torch.float64).softmax(0), -1.0, 3.0)
    a, b = sorted((1 - t, t), key=abs, reverse=True)
    y = torch.linspace(-1, 3, 9 * 4000 + 1, dtype=torch.float64)
    y = (y[1:] + y[:-1]) / 2
    p, q = prior.marginal.log_prob(y).exp(), table_pair_density(prior.probs, -1.0, 3.0, a, b, y)
    found = mismatch(prior, t)
    assert found.coordinate_divergence.item() == pytest.approx((p * (p / q).log()).mean().item() * 4, abs=3e-5)
    assert found.coordinate_total_variation.item() == pytest.approx((p - q).clamp(min=0).mean().item() * 4, abs=1e-7)


def test_a_table_with_gaps_has_a_finite_divergence() -> None:
    found = mismatch(Tabulated(2, [0.5, 0.0, 0.0, 0.0, 0.5]), 0.5)
    # each half of P keeps a quarter of Q, as a triangle over its own bin
    assert found.coordinate_divergence.item() == pytest.approx(math.log(2) + 1 - math.log(2), abs=1e-12)


def test_steps_that_are_no_fractions_change_nothing_abruptly() -> None:
    prior = Tabulated(5, [0.1, 0.4, 0.2, 0.3])
    at, beside = mismatch(prior, 0.3), mismatch(prior, 0.3 + 1e-7 * math.sqrt(2))
    assert_close(at.coordinate_divergence, beside.coordinate_divergence, rtol=0, atol=1e-6)
    assert_close(at.coordinate_total_variation, beside.coordinate_total_variation, rtol=0, atol=1e-6)


@iid
def test_densities_between_codes_are_densities_and_those_samples_have(prior: IIDPrior, rng: torch.Generator) -> None:
    curves = density_curves(prior, (0.3, 0.0))
    assert_close(curves.between[1], curves.prior)
    assert norm_curves(prior, 1.0).distance < 1e-12
    z = prior.sample((2, 10_000), rng=rng).double()
    y = (0.7 * z[0] + 0.3 * z[1]).flatten()
    low, high = curves.x[0].item(), curves.x[-1].item()
    inside = ((y >= low) & (y <= high)).double().mean().item()
    assert torch.trapezoid(curves.between[0], curves.x).item() == pytest.approx(inside, abs=5e-3)
    middle = len(curves.x) // 2
    below = ((y >= low) & (y <= curves.x[middle].item())).double().mean().item()
    assert torch.trapezoid(curves.between[0][: middle + 1], curves.x[: middle + 1]).item() == pytest.approx(below, abs=8e-3)


@iid
def test_codes_themselves_are_no_distance_away_and_both_ends_are_alike(prior: IIDPrior) -> None:
    ends, ways = mismatch(prior, [0.0, 1.0]), mismatch(prior, [0.2, 0.8])
    assert not ends.divergence.any()
    assert not ends.norm_distance.any()
    assert_close(ways.divergence[0], ways.divergence[1], rtol=1e-6, atol=1e-9)
    assert_close(ways.norm_distance[0], ways.norm_distance[1], rtol=0, atol=1e-6)
    assert ways.divergence[0] > 0


@iid
def test_bounds_of_the_total_variation_are_in_order_and_meet_in_one_dimension(prior: IIDPrior) -> None:
    found = mismatch(prior, [0.5, -0.5])
    assert (found.total_variation_low <= found.total_variation_high).all()
    assert (found.total_variation_low >= found.norm_distance - 1e-12).all()
    assert (found.total_variation_high <= 1).all()
    single = mismatch(type(prior)(**{**prior.arguments(), "latent_dim": 1}), 0.5)
    assert single.total_variation_high.item() == pytest.approx(single.coordinate_total_variation.item())
    assert single.total_variation_low.item() == pytest.approx(single.coordinate_total_variation.item(), abs=1e-4)


@pytest.mark.parametrize("d", [1, 2, 10, 100, 1000])
def test_norms_of_a_normal_prior_are_as_far_apart_as_two_chi_distributions(d: int) -> None:
    x = np.linspace(0, 3 * d + 40, 200_001)
    exact = np.abs(stats.chi2.cdf(x, d) - stats.chi2.cdf(2 * x, d)).max()
    assert mismatch(Normal(d), 0.5).norm_distance.item() == pytest.approx(exact, abs=1e-5)


def test_the_norm_at_the_mid_point_of_100_normal_coordinates_is_no_norm_of_the_prior() -> None:
    assert mismatch(Normal(100), 0.5).norm_distance.item() == pytest.approx(0.985, abs=5e-4)


@iid
def test_norms_have_the_distribution_that_samples_show(prior: IIDPrior, rng: torch.Generator) -> None:
    curves = norm_curves(prior, 0.4)
    assert (curves.norm.diff() > 0).all()
    z = prior.sample((2, 20_000), rng=rng).double()
    for distribution, codes in ((curves.prior, z[0]), (curves.between, 0.6 * z[0] + 0.4 * z[1])):
        place = torch.searchsorted(curves.norm, codes.norm(dim=1).sort().values).clamp(max=len(distribution) - 1)
        empirical = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
        assert (distribution[place] - empirical).abs().max() < 1.63 / math.sqrt(20_000)  # the 1 % point


def test_a_grid_may_end_below_most_of_the_mass() -> None:
    cdf = Normal(1).marginal.cdf
    short, long = squared_norm_cdf(cdf, 10, 5.0, 4096), squared_norm_cdf(cdf, 10, 40.0, 2**15)
    assert_close(short, long[:4096], rtol=0, atol=1e-6)


@pytest.mark.parametrize("d", [3, 10, 100])
def test_a_radial_prior_with_norms_of_normal_codes_is_a_normal_prior(d: int) -> None:
    radial, normal = mismatch(GammaRadius(d, d / 2), [0.5, 0.1, -0.5]), mismatch(Normal(d), [0.5, 0.1, -0.5])
    assert radial.coordinate_divergence is None
    assert_close(radial.divergence, normal.divergence, rtol=1e-6, atol=1e-6)
    assert_close(radial.norm_distance, normal.norm_distance, rtol=0, atol=2e-4)
    # normal distributions of two variances differ in their norms alone
    assert_close(radial.total_variation_high, normal.norm_distance, rtol=0, atol=2e-4)


@pytest.mark.parametrize("d", [2, 3, 50])
def test_a_spherical_cauchy_code_stays_one_between_codes_and_grows_beyond(d: int) -> None:
    found = mismatch(SphericalCauchy(d, 2.0), [0.5, 0.1])
    assert not found.divergence.any()
    assert found.norm_distance.max() < 1e-9
    distribution = CauchyRadiusDistribution(d)
    norm = torch.logspace(-0.3, 3, 9, dtype=torch.float64) * math.sqrt(d)
    for t, scale in ((0.3, 1.0), (-0.5, 2.0)):
        density = isotropic_pair_log_density(distribution.log_prob, d, 1 - t, t, norm, 40.0)
        assert_close(density, CauchyRadiusDistribution(d, scale).log_prob(norm), rtol=0, atol=1e-6 if d > 2 else 1e-3)


def test_the_gamma_radius_costs_0_523_nats_in_many_dimensions_whatever_its_scale() -> None:
    # the distribution of the mid-point's squared norm goes to Gamma(1, theta / 4)
    digamma = float(stats.gamma(0.5).expect(np.log))
    limit = -math.lgamma(0.5) + (0.5 - 1) * digamma - 0.5 + math.log(1 / 4) + 0.5 * 4
    assert limit == pytest.approx(0.523, abs=5e-4)
    few, many, wide = (
        mismatch(GammaRadius(d, theta=theta), 0.5).divergence.item() for d, theta in ((50, 2.0), (400, 2.0), (400, 9.0))
    )
    assert many == pytest.approx(wide, abs=1e-9)
    assert many == pytest.approx(limit, abs=0.005)
    assert abs(few - limit) > abs(many - limit)


def test_divergences_of_norms_agree_with_a_histogram_of_samples(rng: torch.Generator) -> None:
    prior = GammaRadius(5, 1.5)
    z = prior.sample((2, 400_000), rng=rng).double()
    edges_of_bins = prior.radius_distribution.icdf(torch.linspace(0, 1, 31, dtype=torch.float64))
    counts = torch.histogram((0.75 * z[0] + 0.25 * z[1]).norm(dim=1), edges_of_bins[:-1].contiguous()).hist
    q = torch.cat([counts, 400_000 - counts.sum().view(1)]) / 400_000
    merged = -(30 * q).log().mean().item()
    whole = mismatch(prior, 0.25).divergence.item()
    assert merged <= whole + 2e-3
    assert merged == pytest.approx(whole, rel=0.1)


BOUNDED = [
    RadialPrior(3, distribution)
    for distribution in (UniformDistribution(1.0, 2.0), TabulatedDistribution((0.7, 0.1, 0.2), 0.0, 2.0))
]


@pytest.mark.parametrize("prior", [*BOUNDED, LogUniformRadius(3)], ids=["uniform", "table", "log-uniform"])
def test_bounded_norms_move_by_as_much_as_samples_show(prior: RadialPrior, rng: torch.Generator) -> None:
    z = prior.sample((2, 200_000), rng=rng).double()
    bins = prior.radius_distribution.icdf(torch.linspace(0, 1, 31, dtype=torch.float64))
    q = torch.histogram((0.9 * z[0] + 0.1 * z[1]).norm(dim=1), bins).hist / 200_000
    found = mismatch(prior, 0.1)
    assert found.total_variation_high.item() == pytest.approx((1 / 30 - q).clamp(min=0).sum().item(), abs=0.01)
    merged = -(30 * q).log().mean().item()
    assert merged <= found.divergence.item() + 5e-3
    assert merged == pytest.approx(found.divergence.item(), rel=0.3)  # the divergence within the last bin is large


def test_several_steps_have_tensors_of_their_shape() -> None:
    found = mismatch(Uniform(4), torch.tensor([[0.5, 0.25], [0.1, 2.0]]))
    assert found.t.shape == found.coordinate_divergence.shape == found.total_variation_low.shape == (2, 2)
    assert found.divergence[0, 1].item() == mismatch(Uniform(4), 0.25).divergence.item()


@pytest.mark.parametrize("t", [math.nan, math.inf])
def test_steps_must_be_finite(t: float) -> None:
    with pytest.raises(ValueError, match="finite steps"):
        mismatch(Normal(3), t)
    with pytest.raises(ValueError, match="finite step"):
        norm_curves(Normal(3), t)
    with pytest.raises(ValueError, match="one finite step"):
        density_curves(Normal(3), (t,))
    with pytest.raises(ValueError, match="one finite step"):
        density_curves(Normal(3), ())


def test_a_prior_of_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="independent coordinates of one distribution, or one with a uniform direction"):
        mismatch(NormalMixture([[0.0]], [[1.0]]))


@pytest.mark.parametrize(
    ("prior", "kurtosis"),
    [
        (Normal(2, 1.0, 3.0), 3.0),
        (Uniform(2), 1.8),
        (Tabulated(2, [1.0]), 1.8),
        (Tabulated(2, [0.5, *[0.0] * 8, 0.5], -1.0, 1.0), None),
        (GammaRadius(4, 2.0), None),
    ],
)
def test_a_summary_has_the_moments_of_the_distribution(prior: IIDPrior | RadialPrior, kurtosis: float | None) -> None:
    found = summarize(prior, levels=(0.5,))
    distribution = prior.radius_distribution if isinstance(prior, RadialPrior) else prior.marginal
    if kurtosis is None:
        u = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
        x = distribution.icdf(u)
        kurtosis = ((x - x.mean()).pow(4).mean() / x.var(correction=0) ** 2).item()
    assert found.kurtosis == pytest.approx(kurtosis, rel=2e-3)
    assert found.std == pytest.approx(math.sqrt(distribution.variance))
    assert distribution.cdf(torch.tensor(found.quantiles[0.5], dtype=torch.float64)).item() == pytest.approx(0.5)
    assert found.of_norm == isinstance(prior, RadialPrior)
