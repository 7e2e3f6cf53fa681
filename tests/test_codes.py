"""The report on codes: at its level on samples of the prior, and against codes with one known fault each."""

from collections.abc import Callable, Iterable

import pytest
import torch
from jaxtyping import Float, Int
from scipy import stats
from torch import Tensor
from torch.distributions import Normal as TorchNormal
from torch.testing import assert_close

from latentry.evaluation.code_distances import code_distances
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.coordinates import coordinates, lengths
from latentry.evaluation.fit_report import Check, GoodnessOfFit
from latentry.numerics.goodness_of_fit import LOG_TINY
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    Normal,
    NormalMixture,
    RadialPrior,
    SphericalCauchy,
    Uniform,
)
from latentry.priors.univariate import NormalDistribution, UniformDistribution

PRIORS = [Normal(64), Uniform(64), HalfUniformHalfNormal(64)]
prior_cases = pytest.mark.parametrize("prior", PRIORS, ids=repr)


class _TwoNormals(TorchNormal):
    """Per-coordinate normals with the log tails that goodness of fit asks for."""

    def log_cdf(self, value: Tensor) -> Tensor:
        return torch.special.log_ndtr((value - self.loc) / self.scale)

    def log_sf(self, value: Tensor) -> Tensor:
        return torch.special.log_ndtr((self.loc - value) / self.scale)


class TwoNormals:
    """A labelled prior with a known posterior: y = 1 with probability 0.3, then z ~ N(+shift, 1), else N(-shift, 0.8^2)."""

    def __init__(self, latent_dim: int, shift: float) -> None:
        self.latent_dim = latent_dim
        self.shift = shift

    def __call__(self, y: Int[Tensor, "n"]) -> _TwoNormals:
        one = (y == 1)[:, None].expand(-1, self.latent_dim)
        return _TwoNormals(torch.where(one, self.shift, -self.shift), torch.where(one, 1.0, 0.8))

    def posterior(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """P(y = 1 | z)."""
        ones = torch.ones(len(z), dtype=torch.int64)
        log_odds = self(ones).log_prob(z).sum(1) - self(0 * ones).log_prob(z).sum(1)
        return torch.sigmoid(log_odds + torch.logit(torch.tensor(0.3)))

    def sample_labels(self, z: Float[Tensor, "n d"], *, rng: torch.Generator | None = None) -> Int[Tensor, "n"]:
        return (torch.rand(len(z), generator=rng) < self.posterior(z)).long()

    def sample(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        y = (torch.rand(n, generator=rng) < 0.3).long()
        conditional = self(y)
        return conditional.loc + conditional.scale * torch.randn(n, self.latent_dim, generator=rng), y


def by_name(fit: GoodnessOfFit) -> dict[str, Check]:
    return {check.name: check for check in fit.checks}


def assert_levels(fits: Iterable[GoodnessOfFit]) -> None:
    """Every test rejects as often as its level says, and the report as a whole no more often than 1 %."""
    reports = list(fits)
    p = torch.tensor([[check.p_value for check in fit.checks] for fit in reports])
    for level in (0.01, 0.05, 0.1):
        # 11 tests, 3 levels, two ends: together these bounds fail by chance once in 1500 runs
        low, high = stats.binom.interval(1 - 2e-5, len(reports), level)
        counts = dict(zip(by_name(reports[0]), (p <= level).sum(0).tolist(), strict=True))
        assert all(low <= count <= high for count in counts.values()), (level, low, high, counts)
    assert sum(not fit.passes for fit in reports) <= stats.binom.isf(1e-4, len(reports), 0.01)


@pytest.mark.parametrize("prior", [Normal(16), Uniform(16), HalfUniformHalfNormal(16)], ids=repr)
def test_every_test_keeps_its_level_on_samples_of_the_prior(prior: IIDPrior, rng: torch.Generator) -> None:
    assert_levels(goodness_of_fit(prior.sample(24, rng=rng), prior, rng=rng) for _ in range(200))


@pytest.mark.parametrize("known", [True, False])
def test_every_test_keeps_its_level_on_a_labelled_prior(known: bool, rng: torch.Generator) -> None:
    prior = TwoNormals(8, shift=0.3)
    draws = [prior.sample(24, rng) for _ in range(150)]
    assert_levels(goodness_of_fit(z, prior, y if known else None, rng=rng) for z, y in draws)


RADIAL = [SphericalCauchy(16), GammaRadius(16), RadialPrior(16, UniformDistribution(0.5, 1.0))]
radial_cases = pytest.mark.parametrize("prior", RADIAL, ids=repr)


@radial_cases
def test_every_test_keeps_its_level_on_a_radial_prior(prior: RadialPrior, rng: torch.Generator) -> None:
    assert_levels(goodness_of_fit(prior.sample(24, rng=rng), prior, rng=rng) for _ in range(60))


@radial_cases
def test_the_norm_of_normal_coordinates_lies_where_the_norm_does(prior: RadialPrior, rng: torch.Generator) -> None:
    z = prior.double().sample(50, rng=rng)
    found = lengths(prior.to_normal(z), NormalDistribution())
    assert_close(found.under.u, prior.radius_distribution.cdf(z.norm(dim=1)), rtol=1e-6, atol=1e-9)


def test_codes_of_another_radius_fail_a_radial_prior(rng: torch.Generator) -> None:
    cauchy, gamma = SphericalCauchy(64), GammaRadius(64)
    normal = Normal(64).sample(64, rng=rng)
    assert goodness_of_fit(cauchy.sample(64, rng=rng), cauchy).passes
    assert goodness_of_fit(gamma.sample(64, rng=rng), gamma).passes
    for z, prior in ((normal, cauchy), (normal, gamma), (cauchy.sample(64, rng=rng), gamma)):
        fit = goodness_of_fit(z, prior)
        assert not fit.passes
        assert torch.tensor([check.statistic for check in fit.checks], dtype=torch.float64).isfinite().all()
    middle = (gamma.sample(256, rng=rng) + gamma.sample(256, rng=rng)) / 2
    assert "norm" in goodness_of_fit(middle, gamma).verdict or "elements" in goodness_of_fit(middle, gamma).verdict


def test_codes_of_one_direction_fail_a_radial_prior(rng: torch.Generator) -> None:
    prior = GammaRadius(16)
    z = prior.sample(64, rng=rng)
    one = z.norm(dim=1, keepdim=True) * torch.nn.functional.normalize(z[:1], dim=-1)
    assert not goodness_of_fit(one, prior).passes


def test_distances_of_radial_codes_are_those_of_the_report(rng: torch.Generator) -> None:
    prior = SphericalCauchy(16)
    z = prior.sample(100, rng=rng)
    assert_close(code_distances(z, prior)["AD"].p_value, goodness_of_fit(z, prior).code_ad_p_value)


def test_samples_of_a_mixture_pass_with_and_without_their_labels(rng: torch.Generator) -> None:
    loc = torch.zeros(3, 16)
    loc[:, :2] = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    prior = NormalMixture(loc, torch.ones(3, 16))
    y = torch.randint(0, 3, (256,), generator=rng)
    z = prior.sample((), y, rng=rng)
    assert goodness_of_fit(z, prior, y).passes
    assert goodness_of_fit(z, prior).passes
    assert not goodness_of_fit(z, prior, (y + 1) % 3).passes
    assert not goodness_of_fit(0.9 * z, prior).passes


def test_the_likeliest_labels_would_break_the_level(rng: torch.Generator) -> None:
    prior = TwoNormals(8, shift=0.3)
    z, y = prior.sample(2000, rng)
    likeliest = (prior.posterior(z) > 0.5).long()
    assert goodness_of_fit(z, prior, y).passes
    assert goodness_of_fit(z, prior, rng=rng).passes
    assert not goodness_of_fit(z, prior, likeliest).passes


def test_a_labelled_prior_states_the_moments_of_the_labels_that_it_is_given() -> None:
    prior = TwoNormals(8, shift=0.3)
    fit = goodness_of_fit(torch.zeros(4, 8), prior, torch.tensor([1, 1, 1, 0]))
    mean = 0.75 * 0.3 - 0.25 * 0.3
    assert_close(fit.prior_mean, mean, rtol=1e-6, atol=0)
    assert_close(fit.prior_std, (0.75 * (1 + 0.09) + 0.25 * (0.64 + 0.09) - mean**2) ** 0.5, rtol=1e-6, atol=0)


def test_codes_with_wrong_labels_fail(rng: torch.Generator) -> None:
    prior = TwoNormals(8, shift=1.0)
    z, y = prior.sample(64, rng)
    assert not goodness_of_fit(z, prior, 1 - y).passes


@prior_cases
def test_pooled_and_per_code_results_agree_with_scipy(prior: IIDPrior, rng: torch.Generator) -> None:
    z = 0.95 * prior.sample(20, rng=rng)
    fit = goodness_of_fit(z, prior)

    def cdf(x: object) -> object:
        return prior.marginal.cdf(torch.as_tensor(x)).numpy()

    pooled = stats.kstest(z.double().flatten().numpy(), cdf)
    assert_close(fit.statistic, float(pooled.statistic), rtol=0, atol=1e-9)
    assert_close(fit.p_value, float(pooled.pvalue), rtol=1e-6, atol=1e-12)
    mises = stats.cramervonmises(z.double().flatten().numpy(), cdf)
    assert_close(by_name(fit)["elements, CvM"].statistic, float(mises.statistic), rtol=0, atol=1e-9)
    for i, code in enumerate(z.double().numpy()):
        expected = stats.kstest(code, cdf)
        assert_close(fit.code_statistic[i].item(), float(expected.statistic), rtol=0, atol=1e-9)
        assert_close(fit.code_p_value[i].item(), float(expected.pvalue), rtol=1e-6, atol=1e-12)
        mises = stats.cramervonmises(code, cdf)
        assert_close(fit.code_cvm_p_value[i].item(), float(mises.pvalue), rtol=0, atol=1e-6)


@prior_cases
def test_distances_of_many_codes_are_those_of_the_report(prior: IIDPrior, rng: torch.Generator) -> None:
    z = prior.sample(2100, rng=rng)  # more than one piece
    distances, fit = code_distances(z, prior), goodness_of_fit(z, prior)
    assert_close(distances["KS"].statistic, fit.code_statistic)
    assert_close(distances["KS"].p_value, fit.code_p_value)
    assert_close(distances["CvM"].p_value, fit.code_cvm_p_value)
    assert_close(distances["AD"].p_value, fit.code_ad_p_value)


def test_the_wasserstein_distance_of_shifted_quantiles_is_the_shift() -> None:
    prior = Normal(64)
    z = prior.marginal.icdf((torch.arange(64 * 64) + 0.5) / 64**2).view(64, 64)
    assert_close(goodness_of_fit(z + 0.5, prior).wasserstein, 0.5, rtol=0, atol=1e-3)


@prior_cases
def test_the_bands_hold_true_samples_in_95_of_100_cases(prior: IIDPrior, rng: torch.Generator) -> None:
    fits = [goodness_of_fit(prior.sample(32, rng=rng), prior) for _ in range(60)]
    low, high = stats.binom.interval(0.9999, 60, 0.95)
    assert low <= sum(fit.null_band[0] <= fit.statistic <= fit.null_band[1] for fit in fits) <= high

    def within(fit: GoodnessOfFit) -> bool:
        ordered = fit.code_p_value.sort().values
        return bool(((fit.p_value_band[:, 0] <= ordered) & (ordered <= fit.p_value_band[:, 1])).all())

    assert low <= sum(map(within, fits)) <= high
    assert all(within(fit) == (fit.uniformity_p_value >= 0.05) for fit in fits)


@prior_cases
def test_shrunken_codes_fail(prior: IIDPrior, rng: torch.Generator) -> None:
    fit = goodness_of_fit(0.8 * prior.sample(64, rng=rng), prior)
    assert not fit.passes
    assert fit.p_value < 1e-3
    assert "narrower" in fit.verdict


@pytest.mark.parametrize("prior", [Normal(128), Uniform(128), HalfUniformHalfNormal(128)], ids=repr)
def test_a_std_of_98_percent_fails_with_256_codes_of_128_elements(prior: IIDPrior, rng: torch.Generator) -> None:
    fits = [goodness_of_fit(0.98 * prior.sample(256, rng=rng), prior) for _ in range(5)]
    assert sum(not fit.passes for fit in fits) >= 4
    assert "narrower" in fits[0].verdict


@prior_cases
def test_codes_on_the_quantiles_fail_for_being_too_regular(prior: IIDPrior, rng: torch.Generator) -> None:
    quantiles = prior.marginal.icdf((torch.arange(64) + 0.5) / 64)
    z = torch.stack([quantiles[torch.randperm(64, generator=rng)] for _ in range(64)])
    fit = goodness_of_fit(z, prior)
    assert fit.p_value > 0.9  # the one-sided test would praise them
    assert fit.rejected.value == 0
    assert not fit.passes
    assert "more regular" in fit.verdict


def one_on_the_quantiles(z: Tensor, rng: torch.Generator) -> Tensor:
    quantiles = NormalDistribution().icdf((torch.arange(64) + 0.5) / 64)
    return torch.cat([quantiles[torch.randperm(64, generator=rng)][None], z[1:]])


def one_far_off(z: Tensor, rng: torch.Generator) -> Tensor:
    return torch.cat([z[:1] + 0.8, z[1:]])


def one_factor(z: Tensor, rng: torch.Generator) -> Tensor:
    return (z + 0.2 * torch.randn(len(z), 1, generator=rng)) / 1.04**0.5


def whitened(z: Tensor, rng: torch.Generator) -> Tensor:
    return torch.linalg.qr(z).Q * len(z) ** 0.5


FAULTS: list[tuple[Callable[[Tensor, torch.Generator], Tensor], str]] = [
    (lambda z, rng: z + 0.1, "too high"),
    (lambda z, rng: z - 0.1, "too low"),
    (lambda z, rng: 1.05 * z, "wider"),
    (lambda z, rng: z.clamp(-2, 2), "narrower"),
    (one_on_the_quantiles, "a few of them"),
    (one_far_off, "a few of them"),
    (lambda z, rng: 8 * z / z.norm(dim=1, keepdim=True), "norms"),
    (one_factor, "coordinates are correlated"),
    (whitened, "less correlated"),
    (lambda z, rng: z[:1].expand(256, -1), "coordinates are correlated"),
]


@pytest.mark.parametrize(("fault", "named"), FAULTS, ids=[named for _, named in FAULTS])
def test_the_verdict_names_the_fault(
    fault: Callable[[Tensor, torch.Generator], Tensor], named: str, rng: torch.Generator
) -> None:
    prior = Normal(64)
    z = prior.sample(256, rng=rng)
    assert goodness_of_fit(z, prior).passes
    fit = goodness_of_fit(fault(z, rng), prior)
    assert not fit.passes
    assert named in fit.verdict
    assert fit.worst.name in fit.verdict


def test_one_clipped_code_of_256_elements_fails_by_itself(rng: torch.Generator) -> None:
    prior = Normal(256)
    z = prior.sample(1, rng=rng)
    assert goodness_of_fit(z, prior).passes
    assert not goodness_of_fit(z.clamp(-1, 1), prior).passes


def test_projections_see_dependence_without_correlation(rng: torch.Generator) -> None:
    z = torch.randn(2000, 1, generator=rng)
    signs = torch.randint(0, 2, (2000, 1), generator=rng) * 2 - 1
    checks = by_name(goodness_of_fit(torch.cat([z, signs * z], 1), Normal(2)))
    assert checks["correlation"].p_value > 0.01
    assert checks["elements, AD"].p_value > 0.01
    assert checks["projections, HC"].adjusted_p_value < 1e-6


def test_adjusted_p_values_are_holms(rng: torch.Generator) -> None:
    fit = goodness_of_fit(0.97 * Normal(64).sample(64, rng=rng), Normal(64))
    ordered = sorted(fit.checks, key=lambda check: check.p_value)
    assert_close(ordered[0].adjusted_p_value, min(1.0, len(ordered) * ordered[0].p_value))
    assert fit.worst == ordered[0]
    assert fit.passes == (ordered[0].adjusted_p_value >= 0.01)


def test_one_seed_gives_one_report_and_another_moves_the_projections_alone(rng: torch.Generator) -> None:
    z = Uniform(64).sample(16, rng=rng)
    first, again, other = (
        by_name(goodness_of_fit(z, Uniform(64), rng=torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)
    )
    assert first == again
    assert [name for name, check in first.items() if other[name] != check] == ["projections, HC"]


def test_one_code_has_a_report_of_its_own(rng: torch.Generator) -> None:
    fit = goodness_of_fit(Normal(64).sample(1, rng=rng), Normal(64))
    assert {"correlation", "projections, HC"}.isdisjoint(by_name(fit))
    assert_close(fit.statistic, fit.code_statistic.item())
    assert fit.passes


def test_one_element_is_tested_for_its_place(rng: torch.Generator) -> None:
    fit = goodness_of_fit(torch.tensor([[0.3]]), Normal(1))
    assert fit.passes
    assert_close(fit.statistic, float(stats.norm.cdf(0.3)))
    assert not goodness_of_fit(torch.tensor([[5.0]]), Normal(1)).passes


def test_a_few_elements_get_the_exact_test_alone(rng: torch.Generator) -> None:
    names = set(by_name(goodness_of_fit(Normal(3).sample(2, rng=rng), Normal(3))))
    assert names == {"elements, KS", "elements, scale", "codes, KS", "single codes, HC", "norm, KS", "correlation"}


@prior_cases
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_constant_codes_fail_with_finite_numbers(prior: IIDPrior, value: float) -> None:
    fit = goodness_of_fit(torch.full((16, 64), value), prior)
    assert not fit.passes
    numbers = [(check.statistic, check.p_value, check.adjusted_p_value) for check in fit.checks]
    assert torch.tensor(numbers, dtype=torch.float64).isfinite().all()


def test_codes_outside_the_support_fail_with_finite_numbers(rng: torch.Generator) -> None:
    z = Uniform(64).sample(64, rng=rng)
    z[:, 0] = 1.01
    fit = goodness_of_fit(z, Uniform(64))
    assert not fit.passes
    assert torch.tensor([check.statistic for check in fit.checks], dtype=torch.float64).isfinite().all()


def test_an_element_rounded_to_the_end_of_the_support_counts_as_inside() -> None:
    under = coordinates(torch.tensor([[-1.0, 1.0, -1.1, 1.1]]), UniformDistribution())
    half_a_step = 2.0**-23 * (1 + 3**-0.5) / 4
    assert_close(under.log_cdf[0, 0].exp().item(), half_a_step, rtol=1e-6, atol=0)
    assert_close(under.log_sf[0, 1].exp().item(), half_a_step, rtol=1e-6, atol=0)
    assert under.log_cdf[0, 2] == under.log_sf[0, 3] == -torch.inf
    assert under.log_cdf[0, 0] > LOG_TINY


def test_tails_are_finite_far_out() -> None:
    x = torch.tensor([[-9.0, 9.0]], dtype=torch.float64)
    under = coordinates(x, NormalDistribution())
    assert_close(under.log_cdf[0, 0], under.log_sf[0, 1])
    assert_close(under.log_sf[0, 1].item(), float(stats.norm.logsf(9)))
    assert_close(under.scores, x)


@prior_cases
def test_lengths_of_codes_lie_uniformly_in_their_distribution(prior: IIDPrior, rng: torch.Generator) -> None:
    found = lengths(prior.sample(4000, rng=rng).double(), prior.marginal)
    assert_close(found.ratio, 1.0, rtol=0, atol=0.01)
    assert stats.kstest(found.under.u.numpy(), "uniform").pvalue > 1e-3
    assert_close(found.under.u, 1 - found.under.log_sf.exp())


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (torch.zeros(4, 3), r"shape \(n, 64\)"),
        (torch.zeros(0, 64), "n >= 1"),
        (torch.full((2, 64), torch.nan), "NaN"),
    ],
)
def test_bad_codes_are_named(z: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        goodness_of_fit(z, Normal(64))


def test_missing_labels_are_named(rng: torch.Generator) -> None:
    with pytest.raises(ValueError, match="one label for each of 4 codes"):
        goodness_of_fit(torch.zeros(4, 8), TwoNormals(8, 0.3), torch.zeros(3, dtype=torch.int64))
