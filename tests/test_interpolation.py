"""Combinations of codes against the distributions they must have: exact sums, scipy's quadrature, and the prior itself."""

import inspect
import itertools
import math
from typing import get_args

import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor, nn
from torch.testing import assert_close

import latentry as lt
from latentry.numerics.goodness_of_fit import ks_p_value, ks_statistic
from latentry.numerics.radial import norm_table
from latentry.numerics.transport import combination_table, uniform_pair_transport
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    Normal,
    RadialPrior,
    Rule,
    SphericalCauchy,
    Uniform,
    combine,
    interpolate,
)
from latentry.priors.radius_distributions import CauchyRadiusDistribution, NakagamiDistribution
from latentry.priors.tabulated import TabulatedDistribution
from latentry.priors.univariate import HalfUniformHalfNormalDistribution, NormalDistribution, UniformDistribution

RULES = get_args(Rule)
LEVEL = 1e-4  # 65 tests of true samples below: one of them is below this with probability 0.7 %
PRIORS = [Normal(6), Normal(6, -0.4, 2.5), Uniform(6), Uniform(6, 0.5, 3.0), HalfUniformHalfNormal(6)]
WEIGHTS = [(0.5, 0.5), (0.9, 0.1), (0.999, 0.001), (1.4, -0.4), (0.3, 0.3, 0.4), (-1.0, 1.0, 1.0), (0.2,) * 5]
prior_cases = pytest.mark.parametrize("prior", PRIORS, ids=repr)
rule_cases = pytest.mark.parametrize("rule", RULES)
weight_cases = pytest.mark.parametrize("weights", WEIGHTS, ids=str)


def codes(prior: IIDPrior, count: int, n: int, rng: torch.Generator) -> Tensor:
    return prior.to(torch.float64).sample((count, n), rng=rng)


def irwin_hall_cdf(y: Tensor, weights: tuple[float, ...]) -> Tensor:
    """P(sum w_i U_i <= y) for U_i uniform on (-1, 1): the volume of a cube's corner, by inclusion and exclusion."""
    corners = [torch.tensor(signs, dtype=y.dtype) for signs in itertools.product((-1, 1), repeat=len(weights))]
    width = torch.tensor(weights, dtype=y.dtype).abs()
    volume = sum(signs.prod() * (y + signs @ width).clamp(min=0) ** len(weights) for signs in corners)
    return volume / (math.factorial(len(weights)) * 2 ** len(weights) * width.prod())


@weight_cases
def test_the_table_is_the_normal_distribution_of_a_sum_of_normals(weights: tuple[float, ...]) -> None:
    y = torch.linspace(-6.5, 6.5, 401, dtype=torch.float64)
    loc, scale = 0.3 * sum(weights), 1.7 * math.hypot(*weights)
    table = combination_table(NormalDistribution(0.3, 1.7), weights)
    assert_close(table.cdf(loc + scale * y), torch.special.ndtr(y), rtol=1e-9, atol=1e-12)


@weight_cases
def test_the_table_is_the_exact_distribution_of_a_sum_of_uniforms(weights: tuple[float, ...]) -> None:
    y = torch.linspace(-1.1, 1.1, 1001, dtype=torch.float64) * sum(map(abs, weights))
    exact = irwin_hall_cdf(y, weights)
    assert_close(combination_table(UniformDistribution(), weights).cdf(y), exact, rtol=0, atol=5e-6)


def test_the_table_knows_sums_that_land_in_a_gap_of_the_distribution() -> None:
    distribution = TabulatedDistribution((0.5, 0.0, 0.0, 0.0, 0.5), 0.0, 5.0)
    y = torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0], dtype=torch.float64)
    exact = torch.tensor([1, 1, 1, 2, 3, 3, 3], dtype=torch.float64) / 4
    assert_close(combination_table(distribution, (0.5, 0.5)).cdf(y), exact, rtol=0, atol=2e-3)


@pytest.mark.parametrize("weights", [pair for pair in WEIGHTS if len(pair) == 2], ids=str)
def test_the_table_of_the_hybrid_distribution_agrees_with_adaptive_quadrature(weights: tuple[float, float]) -> None:
    distribution, (a, b) = HalfUniformHalfNormalDistribution(), weights

    def integrand(x: float, y: float) -> float:
        below = distribution.cdf(torch.tensor((y - b * x) / a, dtype=torch.float64)).item()
        density = 0.5 if x < 0 else stats.norm.pdf(x)
        return density * (below if a > 0 else 1 - below)

    def exact(y: float) -> float:
        kinks = [x for x in (y / b, (y + a) / b) if -1 < x < 9]
        ends = sorted([-1, 0, 9, *kinks])
        return sum(integrate.quad(integrand, *piece, args=(y,), epsabs=1e-10)[0] for piece in itertools.pairwise(ends))

    y = torch.tensor([-0.8, -0.3, 0.0, 0.2, 0.7, 1.9], dtype=torch.float64)
    expected = torch.tensor([exact(value) for value in y.tolist()], dtype=torch.float64)
    assert_close(combination_table(distribution, weights).cdf(y), expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.75, 0.25), (1.0, 1e-9), (1.5, 0.5)], ids=str)
def test_the_trapezoid_is_the_exact_distribution_of_two_uniforms(weights: tuple[float, float]) -> None:
    y = torch.linspace(-1, 1, 501, dtype=torch.float64) * sum(weights)
    carried = uniform_pair_transport(y, torch.tensor(weights[0]).double(), torch.tensor(weights[1]).double())
    assert_close(carried, 2 * irwin_hall_cdf(y, weights) - 1, rtol=0, atol=1e-6 if weights[1] < 1e-6 else 1e-12)


def test_the_middle_of_two_uniform_codes_has_the_published_map() -> None:
    """T(y) = (1 + y)^2 - 1 below 0 and 1 - (1 - y)^2 above, for the mean of two (Agustsson et al., 2019)."""
    y = torch.linspace(-1, 1, 101, dtype=torch.float64)[:, None]
    expected = torch.where(y < 0, (1 + y) ** 2 - 1, 1 - (1 - y) ** 2)
    assert_close(interpolate(y, y, 0.5, Uniform(1)), expected)


@prior_cases
@rule_cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_a_path_are_the_codes_themselves(
    prior: IIDPrior, rule: Rule, dtype: torch.dtype, rng: torch.Generator
) -> None:
    z_a, z_b = codes(prior, 2, 50, rng).to(dtype)
    path = interpolate(z_a, z_b, torch.tensor([0.0, 0.3, 1.0]), prior, rule)
    assert torch.equal(path[0], z_a)
    assert torch.equal(path[2], z_b)
    assert torch.equal(interpolate(z_a, z_b, 1.0, prior, rule), z_b)
    assert path.dtype == dtype


@prior_cases
@pytest.mark.parametrize("t", [0.1, 0.25, 0.5, 0.97, -0.5, 1.3])
def test_transport_between_independent_codes_stays_in_the_prior(prior: IIDPrior, t: float, rng: torch.Generator) -> None:
    z = interpolate(*codes(prior, 2, 20_000, rng), t, prior)
    p_value = ks_p_value(ks_statistic(prior.cdf(z).flatten()), z.numel())
    assert p_value.item() > LEVEL  # of 120,000 elements: a distance of 0.007 fails
    straight = interpolate(*codes(prior, 2, 20_000, rng), t, prior, "lerp")
    assert ks_p_value(ks_statistic(prior.cdf(straight).flatten()), z.numel()).item() < 1e-6


@prior_cases
@weight_cases
def test_transport_of_many_independent_codes_stays_in_the_prior(
    prior: IIDPrior, weights: tuple[float, ...], rng: torch.Generator
) -> None:
    z = combine(codes(prior, len(weights), 10_000, rng), weights, prior)
    assert ks_p_value(ks_statistic(prior.cdf(z).flatten()), z.numel()).item() > LEVEL


@pytest.mark.parametrize("prior", PRIORS[:2], ids=repr)
@weight_cases
def test_for_a_normal_prior_transport_is_the_variance_correction(
    prior: IIDPrior, weights: tuple[float, ...], rng: torch.Generator
) -> None:
    z = codes(prior, len(weights), 20, rng)
    distribution = prior.marginal
    y = sum(w * (z_i - distribution.mean) for w, z_i in zip(weights, z, strict=True))
    assert_close(combine(z, weights, prior), distribution.mean + y / math.hypot(*weights))
    assert_close(combine(z, weights, prior, "variance-corrected"), combine(z, weights, prior))


@prior_cases
def test_transport_keeps_the_order_of_combinations(prior: IIDPrior) -> None:
    y = prior.marginal.icdf(torch.linspace(0.01, 0.99, 60, dtype=torch.float64)).view(10, 6)
    carried = interpolate(y, y, 0.4, prior).flatten()
    assert (carried.diff() > 0).all()


@prior_cases
@rule_cases
def test_combinations_are_differentiable(prior: IIDPrior, rule: Rule, rng: torch.Generator) -> None:
    z = codes(prior, 2, 3, rng).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda z: interpolate(*z, torch.tensor([-0.2, 0.35]), prior, rule), z, atol=1e-4)


@pytest.mark.parametrize("prior", PRIORS[:4], ids=repr)
def test_closed_forms_are_differentiable_in_the_step(prior: IIDPrior, rng: torch.Generator) -> None:
    z_a, z_b = codes(prior, 2, 3, rng)
    t = torch.tensor([0.2, 0.8], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: interpolate(z_a, z_b, t, prior), t)


def test_slerp_on_a_circle_turns_by_the_share_of_the_angle() -> None:
    z_a, z_b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    t = torch.tensor([-0.5, 0.25, 0.5, 2.0])
    turned = interpolate(z_a, z_b, t, Normal(2), "slerp")[:, 0]
    assert_close(turned, torch.stack([(t * math.pi / 2).cos(), (t * math.pi / 2).sin()], 1))
    shifted = interpolate(z_a + 3, z_b + 3, t, Normal(2, loc=3.0), "slerp")[:, 0]
    assert_close(shifted, turned + 3)  # about the prior's mean


def test_slerp_of_equal_codes_is_that_code_with_a_finite_gradient() -> None:
    z = torch.tensor([[0.3, -1.2]], requires_grad=True)
    same = interpolate(z, z, 0.3, Normal(2), "slerp")
    assert_close(same, z)
    (gradient,) = torch.autograd.grad(same.sum(), z)
    assert_close(gradient, torch.ones(1, 2))


def test_steps_stand_before_the_axes_of_the_codes() -> None:
    prior = HalfUniformHalfNormal(4)
    one, many = prior.sample(), prior.sample((3, 5))
    t = torch.rand(2, 7)
    path = interpolate(one, many, t, prior)
    assert path.shape == (2, 7, 3, 5, 4)
    assert_close(path[1, 6, 2, 4], interpolate(one, many[2, 4], t[1, 6], prior))
    assert combine(prior.sample(3), [0.2, 0.2, 0.6], prior).shape == (4,)


@prior_cases
def test_codes_far_outside_stay_finite(prior: IIDPrior) -> None:
    far = interpolate(torch.full((1, 6), 60.0), torch.full((1, 6), 40.0), 0.3, prior)
    assert far.isfinite().all()
    assert (far > prior.marginal.icdf(torch.tensor(0.9999)).item()).all()


def test_codes_of_whole_numbers_are_refused_and_not_rounded() -> None:
    with pytest.raises(ValueError, match="floating type"):
        inspect.unwrap(combine)(torch.ones(2, 2, dtype=torch.int64), [0.5, 0.5], Normal(2))


def test_interpolate_is_found_at_the_front_door() -> None:
    assert lt.interpolate is interpolate


RADIAL = [
    SphericalCauchy(6, scale=1.5),
    GammaRadius(6),
    GammaRadius(16, theta=0.3),
    RadialPrior(16, UniformDistribution(0.5, 1.0)),
]
RADIAL_WEIGHTS = [(0.5, 0.5), (0.9, 0.1), (1.4, -0.4), (-1.0, 1.0, 1.0)]
radial_cases = pytest.mark.parametrize("prior", RADIAL, ids=repr)


@pytest.mark.parametrize("d", [1, 2, 3, 8, 64, 512])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.3, 0.3, -0.4)], ids=str)
def test_the_norm_of_a_sum_of_normal_codes_is_chi(d: int, weights: tuple[float, ...]) -> None:
    u = torch.linspace(0.0005, 0.9995, 999, dtype=torch.float64)
    norm = math.hypot(*weights) * NakagamiDistribution(d / 2, 2.0).icdf(u)
    found = norm_table(NakagamiDistribution(d / 2, 2.0), d, weights).cdf(norm.log())
    assert_close(found, u, rtol=0, atol=2.5e-5 if d < 3 else 1e-5)


@pytest.mark.parametrize("d", [3, 64])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (1.4, -0.4)], ids=str)
def test_the_norm_of_a_sum_of_cauchy_codes_is_that_of_one(d: int, weights: tuple[float, ...]) -> None:
    u = torch.linspace(0.0005, 0.9995, 999, dtype=torch.float64)
    norm = sum(map(abs, weights)) * CauchyRadiusDistribution(d).icdf(u)
    assert_close(norm_table(CauchyRadiusDistribution(d), d, weights).cdf(norm.log()), u, rtol=0, atol=1e-5)


@pytest.mark.parametrize("d", [2, 3, 16])
def test_the_norm_of_a_sum_agrees_with_adaptive_quadrature(d: int) -> None:
    """P(|aV + bV'| <= s) is a beta probability for given norms; half-normal norms are integrated over."""
    (a, b), s = (0.7, 0.3), 0.8

    def density(x: float) -> float:
        return math.sqrt(2 / math.pi) * math.exp(-0.5 * x * x)

    def given(x: float, y: float) -> float:
        cosine = min(1.0, max(-1.0, (s * s - (a * x) ** 2 - (b * y) ** 2) / (2 * a * b * x * y)))
        return float(special.betainc((d - 1) / 2, (d - 1) / 2, (1 + cosine) / 2))

    def inner(y: float) -> float:
        low, high = abs(s - b * y) / a, (s + b * y) / a
        sure = 2 * special.ndtr(low) - 1 if s > b * y else 0.0
        return density(y) * (sure + integrate.quad(lambda x: density(x) * given(x, y), low, high, epsabs=1e-7)[0])

    exact = sum(integrate.quad(inner, *ends, epsabs=1e-7)[0] for ends in ((1e-9, s / b), (s / b, 8.0)))
    found = norm_table(NakagamiDistribution(0.5, 2.0), d, (a, b)).cdf(torch.tensor(s, dtype=torch.float64).log())
    assert_close(found.item(), exact, rtol=0, atol=1e-5)


@radial_cases
@pytest.mark.parametrize("weights", RADIAL_WEIGHTS, ids=str)
def test_transport_of_radial_codes_stays_in_the_prior(
    prior: RadialPrior, weights: tuple[float, ...], rng: torch.Generator
) -> None:
    z = combine(prior.double().sample((len(weights), 8000), rng=rng), weights, prior)
    norms = z.norm(dim=-1)
    assert ks_p_value(ks_statistic(prior.radius_distribution.cdf(norms)), len(norms)).item() > LEVEL
    e = prior.to_normal(z)
    assert ks_p_value(ks_statistic(torch.special.ndtr(e).flatten()), e.numel()).item() > LEVEL


def test_the_spherical_cauchy_prior_is_carried_by_a_scaling(rng: torch.Generator) -> None:
    prior = SphericalCauchy(6).double()
    z_a, z_b = prior.sample((2, 10), rng=rng)
    assert_close(interpolate(z_a, z_b, 0.3, prior), interpolate(z_a, z_b, 0.3, prior, "lerp"))  # weights sum to 1
    assert_close(interpolate(z_a, z_b, 1.5, prior), (1.5 * z_b - 0.5 * z_a) / 2)
    t = torch.tensor([0.2, 1.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: interpolate(z_a, z_b, t, prior), t)


def test_a_radius_of_chi_is_carried_as_the_normal_prior_is(rng: torch.Generator) -> None:
    z_a, z_b = torch.randn(2, 10, 6, generator=rng)
    assert_close(interpolate(z_a, z_b, 0.3, GammaRadius(6, shape=3.0)), interpolate(z_a, z_b, 0.3, Normal(6)))


@radial_cases
@rule_cases
def test_radial_paths_end_at_their_codes_with_gradients(prior: RadialPrior, rule: Rule, rng: torch.Generator) -> None:
    z_a, z_b = z = prior.double().sample((2, 3), rng=rng).requires_grad_(True)
    path = interpolate(z_a, z_b, torch.tensor([0.0, 0.3, 1.0]), prior, rule)
    assert torch.equal(path[0], z_a)
    assert torch.equal(path[2], z_b)
    (gradient,) = torch.autograd.grad(path.sum(), z)
    assert gradient.isfinite().all()
    assert torch.autograd.gradcheck(lambda z: interpolate(*z, 0.35, prior, rule), z, rtol=1e-2, atol=1e-3)


@radial_cases
def test_radial_codes_that_cancel_stay_finite(prior: RadialPrior) -> None:
    z = torch.ones(1, prior.latent_dim, requires_grad=True)
    middle = interpolate(z, -z, 0.5, prior.float())
    assert torch.equal(middle.detach(), torch.zeros_like(z))
    assert torch.autograd.grad(middle.sum(), z)[0].isfinite().all()


@radial_cases
def test_the_variance_correction_of_radial_codes_is_a_scaling(prior: RadialPrior, rng: torch.Generator) -> None:
    z_a, z_b = prior.double().sample((2, 3), rng=rng)
    corrected = interpolate(z_a, z_b, 0.5, prior, "variance-corrected")
    assert_close(corrected, (z_a + z_b) / 2**0.5)


class Ring(nn.Module):
    """Codes of norm 1: a prior without independent coordinates."""

    latent_dim = 2

    def sample(self, shape: int = 1, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(shape, 2, generator=rng), dim=-1)


ZEROS = torch.zeros(1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: interpolate(ZEROS, ZEROS, 0.5, Normal(3)), "length 3, got 2"),
        (lambda: interpolate(ZEROS, ZEROS / 0, 0.5, Normal(2)), "finite codes"),
        (lambda: interpolate(ZEROS, ZEROS, math.nan, Normal(2)), "finite codes and weights"),
        (lambda: combine(torch.zeros(3, 2), [0.5, 0.5], Normal(2)), "each of 3 codes"),
        (lambda: combine(torch.zeros(2, 2), [0.0, 0.0], Uniform(2)), "not all zero"),
        (lambda: combine(torch.zeros(3, 2), [0.5, 0.25, 0.25], Normal(2), "slerp"), "two codes with weights"),
        (lambda: combine(torch.zeros(2, 2), [0.5, 0.9], Normal(2), "slerp"), "two codes with weights"),
        (lambda: interpolate(ZEROS + 1, ZEROS - 1, 0.5, Normal(2), "slerp"), "opposite"),
        (
            lambda: interpolate(ZEROS, ZEROS, torch.tensor(0.5, requires_grad=True), HalfUniformHalfNormal(2)),
            "weights without a gradient",
        ),
        (
            lambda: interpolate(ZEROS, ZEROS, torch.tensor(0.5, requires_grad=True), GammaRadius(2)),
            "weights without a gradient",
        ),
        (lambda: combination_table(NormalDistribution(), (0.0, 0.0)), "not all zero"),
        (lambda: norm_table(UniformDistribution(0.0, 1.0), 3, (0.0, 0.0)), "not all zero"),
        (lambda: interpolate(ZEROS, ZEROS, 0.5, Ring()), "uniform direction, got Ring"),
    ],
)
def test_bad_input_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
