"""All priors through one list of theorems: edges, tails, gradients, digits, samples and the vocabulary of torch."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from scipy import stats
from torch.distributions import Distribution, kl_divergence
from torch.distributions import Normal as TorchNormal
from torch.distributions import Uniform as TorchUniform
from torch.testing import assert_close

from latentry.numerics.cdf_distances import anderson_darling_distance
from latentry.numerics.goodness_of_fit import ad_p_value, ad_statistic, cvm_p_value, ks_p_value
from latentry.priors import (
    Designed,
    GammaRadius,
    HalfUniformHalfNormal,
    LogUniformRadius,
    Normal,
    NormalMixture,
    RadialPrior,
    SemanticPlacement,
    SphericalCauchy,
    Tabulated,
    TruncatedCauchy,
    Uniform,
)
from latentry.priors.distribution import SampledDistribution, checked_codes
from latentry.priors.radius_distributions import CauchyRadiusDistribution, LogUniformDistribution, NakagamiDistribution
from latentry.priors.tabulated import TabulatedDistribution
from latentry.priors.univariate import NormalDistribution, UniformDistribution

D = 3
INF, NAN = math.inf, math.nan
IID: dict[str, Callable[[], Any]] = {
    "normal": lambda: Normal(D),
    "normal-moved": lambda: Normal(D, -0.3, 1.7),
    "uniform": lambda: Uniform(D),
    "uniform-odd": lambda: Uniform(D, 0.1, 0.7),
    "hybrid": lambda: HalfUniformHalfNormal(D),
    "cauchy": lambda: TruncatedCauchy(D),
    "cauchy-narrow": lambda: TruncatedCauchy(D, 0.1, 2.0),
    "cauchy-wide": lambda: TruncatedCauchy(D, 1.0, 1e6),
    "table": lambda: Tabulated(D, [0.1, 0.0, 0.4, 0.2, 0.3], standardize=True),
    "table-empty-ends": lambda: Tabulated(D, [0.0, 0.5, 0.0, 0.5, 0.0], 0.0, 5.0),
    "designed": lambda: Designed(D, [0.2, 0.3, 0.5], -1.0, 1.0),
}
RADIAL: dict[str, Callable[[], Any]] = {
    "spherical-cauchy": lambda: SphericalCauchy(D, 1.5),
    "gamma": lambda: GammaRadius(D),
    "gamma-small": lambda: GammaRadius(D, 0.3, 0.7),
    "log-uniform": lambda: LogUniformRadius(D),
    "shell": lambda: RadialPrior(D, UniformDistribution(0.5, 1.0)),
    "shell-table": lambda: RadialPrior(D, TabulatedDistribution((0.25, 0.75), 1.0, 2.0)),
}
LABELLED: dict[str, Callable[[], Any]] = {
    "mixture": lambda: NormalMixture([[0.0, 1.0, 2.0], [3.0, -1.0, 0.0]], [[1.0, 2.0, 1.0], [0.5, 1.0, 1.0]], [0.3, 0.7]),
    "placed": lambda: SemanticPlacement(["a", "b"], D),
}
ALL = IID | RADIAL | LABELLED
DISTRIBUTIONS: dict[str, SampledDistribution] = {name: make().marginal for name, make in IID.items()} | {
    "chi": NakagamiDistribution(3.5, 2.0),
    "half-normal": NakagamiDistribution(0.5, 2.0),
    "nakagami-small": NakagamiDistribution(0.3, 0.7),
    "cauchy-norm-1": CauchyRadiusDistribution(1, 2.0),
    "cauchy-norm-7": CauchyRadiusDistribution(7),
    "log-uniform": LogUniformDistribution(0.3, 1.9),
}


def table(entries: dict[str, Any], *others: str) -> Any:
    return pytest.mark.parametrize("make", [*entries.values(), *(ALL[name] for name in others)], ids=[*entries, *others])


all_priors, iid_priors, radial_priors = table(ALL), table(IID), table(RADIAL)
all_marginals = pytest.mark.parametrize("marginal", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def exact_tails(marginal: SampledDistribution, x: float) -> tuple[Any, Any]:
    """F(x) and 1 - F(x) with 60 digits."""
    v: Any = mpmath.mpf(x)
    a: Any = marginal
    if isinstance(marginal, NormalDistribution):
        t = (v - mpmath.mpf(a.loc)) / mpmath.mpf(a.scale)
        return mpmath.erfc(-t / mpmath.sqrt(2)) / 2, mpmath.erfc(t / mpmath.sqrt(2)) / 2
    if isinstance(marginal, NakagamiDistribution):
        square = v**2 / mpmath.mpf(a.theta)
        shape = mpmath.mpf(a.shape)
        return mpmath.gammainc(shape, 0, square, regularized=True), mpmath.gammainc(shape, square, regularized=True)
    if isinstance(marginal, CauchyRadiusDistribution):
        ratio = (v / mpmath.mpf(a.scale)) ** 2
        half = mpmath.mpf(a.latent_dim) / 2
        share, rest = ratio / (1 + ratio), 1 / (1 + ratio)
        return (
            mpmath.betainc(half, mpmath.mpf("0.5"), 0, share, regularized=True),
            mpmath.betainc(mpmath.mpf("0.5"), half, 0, rest, regularized=True),
        )
    low, high = (mpmath.mpf(end) for end in marginal.support)
    if isinstance(marginal, UniformDistribution):
        return (v - low) / (high - low), (high - v) / (high - low)
    if isinstance(marginal, LogUniformDistribution):
        return mpmath.log(v / low) / mpmath.log(high / low), mpmath.log(high / v) / mpmath.log(high / low)
    if type(marginal).__name__ == "TruncatedCauchyDistribution":
        scale, end = mpmath.mpf(a.scale), mpmath.atan(high / mpmath.mpf(a.scale))
        angle = mpmath.atan(v / scale)
        return (angle + end) / (2 * end), (end - angle) / (2 * end)
    if isinstance(marginal, TabulatedDistribution):
        width = (mpmath.mpf(marginal.high) - mpmath.mpf(marginal.low)) / len(marginal.probs)
        edges = [mpmath.mpf(marginal.low) + k * width for k in range(len(marginal.probs))]
        shares = [min(max((v - edge) / width, 0), 1) for edge in edges]
        return (
            mpmath.fsum(mpmath.mpf(p) * share for p, share in zip(marginal.probs, shares, strict=True)),
            mpmath.fsum(mpmath.mpf(p) * (1 - share) for p, share in zip(marginal.probs, shares, strict=True)),
        )
    below = (1 + v) / 2 if v < 0 else mpmath.erfc(-v / mpmath.sqrt(2)) / 2
    return below, 1 - below if v < 0 else mpmath.erfc(v / mpmath.sqrt(2)) / 2


def places(marginal: SampledDistribution) -> list[float]:
    """Values in the body of a marginal and far out in both its tails: where they are 1e-3 to 1e-300, as far as there are
    any."""
    low, high = marginal.support
    found = marginal.icdf(torch.tensor([1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999], dtype=torch.float64)).tolist()
    if math.isfinite(low):
        found += [low + t * max(1.0, abs(low)) for t in ([1e-3, 1e-9] if low else [1e-3, 1e-9, 1e-40, 1e-100])]
    else:
        found += [-4.0, -9.0, -37.0, -63.0]
    if math.isfinite(high):
        found += [high - t * max(1.0, abs(high)) for t in (1e-3, 1e-9)]
    elif isinstance(marginal, CauchyRadiusDistribution):
        found += [1e3, 1e20, 1e150]
    else:
        found += [4.0, 9.0, 20.0, 30.0]
    return [x for x in found if low < x < high]


@all_marginals
def test_both_tails_are_those_of_exact_arithmetic_however_small(marginal: SampledDistribution) -> None:
    x = torch.tensor(places(marginal), dtype=torch.float64)
    with mpmath.workdps(60):
        below, above = zip(*(exact_tails(marginal, value) for value in x.tolist()), strict=True)
        logs = [[float(mpmath.log(p)) if p > 0 else -INF for p in side] for side in (below, above)]
        cdf = [float(p) for p in below]
    # a value next to an end of a support is itself known to 1e-16 of its size only
    near_ends = 1e-6
    assert_close(marginal.cdf(x), torch.tensor(cdf, dtype=torch.float64), rtol=1e-9, atol=1e-15)
    assert_close(marginal.log_cdf(x), torch.tensor(logs[0], dtype=torch.float64), rtol=1e-9, atol=near_ends)
    assert_close(marginal.log_sf(x), torch.tensor(logs[1], dtype=torch.float64), rtol=1e-9, atol=near_ends)
    body = x[:7].float()
    assert_close(marginal.log_cdf(body).double(), marginal.log_cdf(body.double()), rtol=1e-4, atol=1e-5)


@all_marginals
@both_types
def test_values_at_and_beyond_the_ends(marginal: SampledDistribution, dtype: torch.dtype) -> None:
    ends = torch.tensor([-INF, INF, NAN], dtype=dtype)
    assert_close(marginal.cdf(ends), torch.tensor([0.0, 1.0, NAN], dtype=dtype), equal_nan=True)
    assert_close(marginal.log_cdf(ends), torch.tensor([-INF, 0.0, NAN], dtype=dtype), equal_nan=True)
    assert_close(marginal.log_sf(ends), torch.tensor([0.0, -INF, NAN], dtype=dtype), equal_nan=True)
    assert_close(marginal.log_prob(ends), torch.tensor([-INF, -INF, NAN], dtype=dtype), equal_nan=True)
    low, high = marginal.support
    u = torch.tensor([-INF, -0.1, -1e-30, 0.0, 1.0, 1.1, INF, NAN], dtype=dtype)
    expected = torch.tensor([NAN, NAN, NAN, low, high, NAN, NAN, NAN], dtype=dtype)
    assert_close(marginal.icdf(u), expected, rtol=0, atol=0, equal_nan=True)
    for end, mine in ((0.0, marginal.log_cdf), (1.0, marginal.log_sf)):
        if math.isfinite(low if end == 0 else high):
            at = marginal.icdf(torch.tensor([end], dtype=dtype))
            assert (marginal.log_prob(at) > -INF) | (
                at == 0
            )  # the ends belong to the support; at 0 a norm may have no density
            assert mine(at).item() == -INF
    outside = [end + side * max(1.0, abs(end)) for end, side in ((low, -1), (high, 1)) if math.isfinite(end)]
    assert (marginal.log_prob(torch.tensor(outside, dtype=dtype)) == -INF).all()


@all_marginals
@both_types
def test_cdf_rises_and_icdf_undoes_it(marginal: SampledDistribution, dtype: torch.dtype) -> None:
    u = torch.linspace(0, 1, 201, dtype=dtype)
    x = marginal.icdf(u)
    assert (x.diff() >= 0).all()
    step = 2000 * torch.finfo(dtype).eps
    inner = x[1:-1]
    spread = step * (1 + inner.double().abs() * marginal.log_prob(inner.double()).exp().clamp(max=1e3))
    assert ((marginal.cdf(inner) - u[1:-1]).abs().double() <= spread).all()
    low, high = x[1].item(), x[-2].item()
    grid = torch.linspace(low - 1, high + 1, 999, dtype=dtype)
    assert (marginal.cdf(grid).diff() >= -4 * torch.finfo(dtype).eps).all()
    assert ((marginal.cdf(grid) >= 0) & (marginal.cdf(grid) <= 1)).all()


@all_marginals
def test_gradients_are_densities_and_their_quotients(marginal: SampledDistribution) -> None:
    low, high = marginal.icdf(torch.tensor([0.02, 0.98], dtype=torch.float64)).tolist()
    x = torch.linspace(low, high, 23, dtype=torch.float64)
    x = torch.cat([x + 1e-4 * (high - low), x.new_zeros(int(marginal.support[0] < 0))]).requires_grad_(True)
    density = marginal.log_prob(x).exp()
    for function, expected in (
        (marginal.cdf, density),
        (marginal.log_cdf, density / marginal.cdf(x)),
        (marginal.log_sf, -density / marginal.log_sf(x).exp()),
        (marginal.partial_mean, x * density),
    ):
        (slope,) = torch.autograd.grad(function(x).sum(), x)
        assert_close(slope, expected.detach(), rtol=1e-7, atol=1e-9)
    u = torch.linspace(0.031, 0.973, 11, dtype=torch.float64).requires_grad_(True)
    (slope,) = torch.autograd.grad(marginal.icdf(u).sum(), u)
    assert_close(slope, (-marginal.log_prob(marginal.icdf(u))).exp().detach(), rtol=1e-6, atol=1e-9)
    far = torch.tensor([-1e3, 1e3, -INF, INF], dtype=torch.float64).requires_grad_(True)
    for function in (marginal.log_cdf, marginal.log_sf, marginal.cdf):
        (slope,) = torch.autograd.grad(function(far)[:2].sum(), far)
        assert slope[:2].isfinite().all()


@pytest.mark.parametrize(
    "marginal",
    [NormalDistribution(), NormalDistribution(2.0, 0.5), DISTRIBUTIONS["hybrid"]],
    ids=["normal", "moved", "hybrid"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_slopes_of_normal_log_tails_keep_their_digits_far_out(marginal: SampledDistribution, dtype: torch.dtype) -> None:
    """-phi / Q at t deviations is -(t + 1/t) / scale, but for terms of t^-3."""
    a: Any = marginal
    scale, loc = getattr(a, "scale", 1.0), getattr(a, "loc", 0.0)
    t = torch.tensor([50.0, 1e3, 1e4, 1e6], dtype=dtype)
    x = (loc + scale * t).requires_grad_(True)
    (slope,) = torch.autograd.grad(marginal.log_sf(x).sum(), x)
    assert_close(slope, -(t + 1 / t) / scale, rtol=1e-5, atol=0)
    z = torch.tensor([[1e5, 0.0, -1.0], [1e6, 0.5, 1.0]], dtype=dtype).requires_grad_(True)
    (pull,) = torch.autograd.grad(anderson_darling_distance(z, marginal).sum(), z)
    assert pull.isfinite().all()
    assert (pull[:, 0] > 0.1).all()


@all_priors
@both_types
def test_a_whole_code_has_the_density_of_its_kind_at_the_edges(make: Callable[[], Any], dtype: torch.dtype) -> None:
    prior = make().to(dtype)
    z = prior.sample(5, rng=torch.Generator().manual_seed(0))
    assert prior.log_prob(z).isfinite().all()
    for bad in (INF, -INF):
        changed = z.clone()
        changed[0, 1] = bad
        assert prior.log_prob(changed)[0].item() == -INF
        assert torch.equal(prior.log_prob(changed)[1:], prior.log_prob(z)[1:])
    changed[0, 0] = NAN
    assert prior.log_prob(changed)[0].isnan()
    again = z.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(prior.log_prob(again).sum(), again)
    assert slope.isfinite().all()
    for wrong in (torch.zeros(2, D, dtype=torch.int64), torch.zeros(2, D, dtype=torch.bool)):
        with pytest.raises(ValueError, match="floating type"):
            checked_codes(wrong, prior().event_shape)
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 3\)"):
        prior().log_prob(z[:, :2])


@all_priors
def test_double_precision_keeps_its_digits_and_half_is_rounded_once(make: Callable[[], Any]) -> None:
    prior = make().double()
    z = prior.sample(200, rng=torch.Generator().manual_seed(0)).float()
    exact = prior.log_prob(z.double())
    inside = exact.isfinite()
    assert prior.log_prob(z.double()).dtype == torch.float64
    assert_close(prior.to(torch.float32).log_prob(z)[inside].double(), exact[inside], rtol=1e-4, atol=1e-3)
    if "marginal" in dir(prior):
        with mpmath.workdps(40):  # a density has the digits of its cdf's difference
            x = float(z[0, 0])
            h = mpmath.mpf("1e-15")
            rise = (exact_tails(prior.marginal, x + h)[0] - exact_tails(prior.marginal, x - h)[0]) / (2 * h)
        assert_close(prior.marginal.log_prob(z[:1, 0].double()).item(), float(mpmath.log(rise)), rtol=0, atol=1e-13)
    for half in (torch.float16, torch.bfloat16):
        codes = make().to(half).sample(300, rng=torch.Generator().manual_seed(1))
        assert codes.dtype == half
        found = prior.to(torch.float32).log_prob(codes)
        wanted = prior.log_prob(codes.float())
        assert found.dtype == half
        assert_close(found, wanted.to(half), equal_nan=True)


@all_priors
def test_the_default_type_of_torch_has_no_say_once_a_prior_is_made(make: Callable[[], Any]) -> None:
    prior = make().float()
    z = prior.sample(4, rng=torch.Generator().manual_seed(0))
    expected = prior.log_prob(z)
    torch.set_default_dtype(torch.float64)
    try:
        again = prior.sample(4, rng=torch.Generator().manual_seed(0))
        found = prior.log_prob(z)
        moments = prior().mean.dtype, prior().variance.dtype
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(again, z)
    assert torch.equal(found, expected)
    assert moments == (torch.float32, torch.float32)


@all_priors
def test_samples_have_the_shape_the_support_and_the_moments_that_they_should(make: Callable[[], Any]) -> None:
    prior = make().double()
    z = prior.sample(20_000, rng=torch.Generator().manual_seed(3))
    distribution = prior()
    assert distribution.support.check(z).all()
    assert not distribution.support.check(torch.full((D,), NAN, dtype=torch.float64))
    if distribution.variance.isfinite().all() and distribution.variance.max() < 50:
        error = (distribution.variance / len(z)).sqrt()
        assert ((z.mean(0) - distribution.mean).abs() < 4.5 * error).all()
        assert_close(z.var(0), distribution.variance, rtol=0.1, atol=0)
        assert_close(distribution.stddev.square(), distribution.variance)
    if "marginal" in dir(prior):
        assert stats.kstest(z[:2000].flatten(), lambda x: prior.marginal.cdf(torch.from_numpy(x)).numpy()).pvalue > 1e-3
    for shape in ((), (4,), (2, 3)):
        assert prior.sample(shape).shape == (*shape, D)
    assert torch.equal(*(prior.sample(3, rng=torch.Generator().manual_seed(5)) for _ in range(2)))


@all_priors
def test_the_vocabulary_of_torch_holds(make: Callable[[], Any]) -> None:
    distribution = make().double()()
    assert isinstance(distribution, Distribution)
    batch = distribution.expand((4, 2))
    assert batch.batch_shape == (4, 2)
    assert batch.event_shape == (D,)
    z = batch.sample((5,), rng=torch.Generator().manual_seed(1))
    assert z.shape == (5, 4, 2, D)
    assert_close(batch.log_prob(z), distribution.log_prob(z))
    assert batch.log_prob(z[0, 0, 0]).shape == (4, 2)
    assert batch.mean.shape == batch.variance.shape == (4, 2, D)
    assert batch.expand((3, 4, 2)).sample().shape == (3, 4, 2, D)
    with pytest.raises(RuntimeError, match="broadcast"):
        batch.expand((3,))
    if distribution.has_rsample:
        assert distribution.rsample((2,)).shape == (2, D)
        assert batch.entropy().shape == (4, 2)
        drawn = distribution.sample((40_000,), rng=torch.Generator().manual_seed(2))
        information = -distribution.log_prob(drawn)
        assert (information.mean() - distribution.entropy()).abs() < 4.5 * information.std() / 200 + 1e-9
        assert kl_divergence(batch, distribution).shape == (4, 2)
        assert kl_divergence(distribution, distribution).item() == pytest.approx(0.0, abs=1e-9)
    else:
        with pytest.raises(NotImplementedError):
            distribution.entropy()
        with pytest.raises(NotImplementedError):
            kl_divergence(distribution, distribution)


PAIRS = [
    ("normal", "normal-moved"),
    ("uniform-odd", "uniform"),
    ("uniform", "uniform-odd"),
    ("uniform", "normal"),
    ("hybrid", "normal"),
    ("normal", "hybrid"),
    ("cauchy", "normal-moved"),
    ("cauchy-narrow", "cauchy"),
    ("table", "normal"),
    ("table", "cauchy"),
    ("designed", "uniform"),
    ("normal", "cauchy"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=str)
def test_divergences_of_independent_coordinates_are_integrals(first: str, second: str) -> None:
    p, q = (ALL[name]().double() for name in (first, second))
    found = kl_divergence(p(), q()).item()
    low, high = p.marginal.support
    if low < q.marginal.support[0] or high > q.marginal.support[1]:
        assert found == INF
        return

    def integrand(x: Any) -> Any:
        at = torch.tensor(float(x), dtype=torch.float64)
        own = p.marginal.log_prob(at).item()
        return math.exp(own) * (own - q.marginal.log_prob(at).item()) if own > -INF else 0.0

    breaks = {max(low, -14.0), min(high, 14.0), 0.0, -1.0, 1.0, *torch.linspace(-3, 3, 13).tolist()}
    for marginal in (p.marginal, q.marginal):
        if isinstance(marginal, TabulatedDistribution):
            breaks |= set(torch.linspace(marginal.low, marginal.high, len(marginal.probs) + 1, dtype=torch.float64).tolist())
    inside = sorted(x for x in breaks if max(low, -14.0) <= x <= min(high, 14.0))
    if math.isfinite(high) and high > 14:
        inside = sorted({*inside, low, high})
    expected = D * float(mpmath.quad(integrand, inside))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_divergences_with_closed_forms_are_torchs() -> None:
    p, q = Normal(D, 0.5, 2.0).double(), Normal(D, -1.0, 0.7).double()
    twins = [TorchNormal(torch.full((D,), loc).double(), scale) for loc, scale in ((0.5, 2.0), (-1.0, 0.7))]
    assert_close(kl_divergence(p(), q()), kl_divergence(*twins).sum())
    inner, outer = Uniform(D, -0.5, 0.5).double(), Uniform(D).double()
    boxes = [TorchUniform(torch.full((D,), -end).double(), end) for end in (0.5, 1.0)]
    assert_close(kl_divergence(inner(), outer()), kl_divergence(*boxes).sum())
    mixture = NormalMixture([[0.0, 1.0, 2.0], [3.0, -1.0, 0.0]], [[1.0, 2.0, 1.0], [0.5, 1.0, 1.0]]).double()
    y = torch.tensor([0, 1, 1])
    torchs = TorchNormal(mixture.loc[y], mixture.scale[y])
    assert_close(kl_divergence(mixture(y), p()), kl_divergence(torchs, twins[0]).sum(1))
    assert_close(kl_divergence(p(), mixture(y)), kl_divergence(twins[0], torchs).sum(1))
    one = TorchNormal(mixture.loc[0], mixture.scale[0])
    assert_close(kl_divergence(mixture(y), mixture(torch.tensor(0))), kl_divergence(torchs, one).sum(1))


def test_divergences_of_codes_with_uniform_directions() -> None:
    """Chi norms are normal codes; others are compared with the mean over draws."""
    normal, other = Normal(D, 0.0, 1.3).double(), Normal(D, 0.0, 0.8).double()
    chi = GammaRadius(D, D / 2, 2 * 1.3**2).double()
    expected = kl_divergence(normal(), other())
    assert_close(kl_divergence(chi(), other()), expected)
    assert_close(kl_divergence(normal(), GammaRadius(D, D / 2, 2 * 0.8**2).double()()), expected, rtol=1e-8, atol=0)
    rng = torch.Generator().manual_seed(4)
    for p, q in (
        (GammaRadius(D, 2.0, 0.5), Normal(D, 0.2, 1.1)),
        (LogUniformRadius(D), SphericalCauchy(D)),
        (RadialPrior(D, UniformDistribution(0.5, 1.0)), GammaRadius(D)),
        (Normal(D), SphericalCauchy(D)),
    ):
        p, q = p.double(), q.double()
        z = p.sample(40_000, rng=rng)
        ratio = p.log_prob(z) - q.log_prob(z)
        assert (kl_divergence(p(), q()) - ratio.mean()).abs() < 4.5 * ratio.std() / 200
    assert kl_divergence(SphericalCauchy(D)(), Normal(D)()).item() == INF
    assert kl_divergence(SphericalCauchy(D)(), GammaRadius(D)()).item() == INF
    for p, q in ((SphericalCauchy(D), Uniform(D)), (Uniform(D), SphericalCauchy(D))):
        with pytest.raises(NotImplementedError):
            kl_divergence(p(), q())
    with pytest.raises(ValueError, match="one length, got 3 and 4"):
        kl_divergence(Normal(3)(), Normal(4)())


@iid_priors
def test_functions_of_a_coordinate_are_those_of_its_marginal(make: Callable[[], Any]) -> None:
    prior = make().double()
    z = prior.sample((2, 4), rng=torch.Generator().manual_seed(0))
    for name in ("cdf", "log_cdf", "log_sf"):
        assert torch.equal(getattr(prior, name)(z), getattr(prior.marginal, name)(z))
    assert_close(prior.icdf(prior.cdf(z)), z, rtol=1e-6, atol=1e-7)
    outside = torch.tensor([[-0.5, 2.0, NAN]], dtype=torch.float64)
    assert prior.icdf(outside).isnan().all()


def test_coordinates_of_the_spherical_cauchy_and_of_labels_end_as_others_do() -> None:
    cauchy, normal = SphericalCauchy(D, 2.0).double(), LABELLED["mixture"]().double()(torch.tensor(0))
    u = torch.tensor([[0.0, 1.0, 0.5], [-0.1, 1.1, NAN]], dtype=torch.float64)
    for distribution in (cauchy(), normal):
        found = distribution.icdf(u)
        assert found[0, 0] == -INF
        assert found[0, 1] == INF
        assert found[1].isnan().all()
    far = torch.tensor([[1e20, 1e200, -1e300]], dtype=torch.float64)
    with mpmath.workdps(40):
        above = [float(mpmath.log(mpmath.atan2(1, mpmath.mpf(x) / 2) / mpmath.pi)) for x in far[0].tolist()]
        below = [float(mpmath.log(mpmath.atan2(1, -mpmath.mpf(x) / 2) / mpmath.pi)) for x in far[0].tolist()]
    assert_close(cauchy.log_sf(far)[0], torch.tensor(above, dtype=torch.float64), rtol=1e-12, atol=1e-30)
    assert_close(cauchy.log_cdf(far)[0], torch.tensor(below, dtype=torch.float64), rtol=1e-12, atol=1e-30)


@pytest.mark.parametrize("p_value", [ks_p_value, cvm_p_value, ad_p_value], ids=["KS", "CvM", "AD"])
@pytest.mark.parametrize("size", [1, 2, 15, 16, 400, 4097])
def test_p_values_are_one_below_the_range_zero_above_and_nan_at_nan(p_value: Any, size: int) -> None:
    statistic = torch.tensor([-INF, -1.0, -1e-300, 0.0, 1e-300, INF, NAN], dtype=torch.float64)
    expected = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, NAN], dtype=torch.float64)
    assert_close(p_value(statistic, size), expected, rtol=0, atol=1e-10, equal_nan=True)
    for value, wanted in zip(statistic, expected, strict=True):
        assert_close(p_value(value[None], size), wanted[None], rtol=0, atol=1e-10, equal_nan=True)
    middle = torch.logspace(-6, 2, 60, dtype=torch.float64)
    found = p_value(middle, size)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found.diff() <= 1e-9).all()
    with pytest.raises(ValueError, match="at least one value"):
        p_value(middle, 0)


@pytest.mark.parametrize("size", [1, 2, 16, 500, 20_000])
def test_kolmogorov_smirnov_is_scipys_over_its_whole_range(size: int) -> None:
    d = torch.linspace(0.0, 1.0, 13, dtype=torch.float64) * min(1.0, 4 / size**0.5)
    assert_close(ks_p_value(d, size), torch.from_numpy(stats.kstwo.sf(d.numpy(), size)), rtol=1e-5, atol=1e-8)


def test_anderson_darling_takes_half_precision() -> None:
    z = torch.linspace(-2, 2, 64)[None]
    marginal = NormalDistribution()
    expected = ad_statistic(marginal.log_cdf(z), marginal.log_sf(z))
    for half in (torch.float16, torch.bfloat16):
        found = ad_statistic(marginal.log_cdf(z).to(half), marginal.log_sf(z).to(half))
        assert found.dtype == half
        assert_close(found.float(), expected, rtol=0.3, atol=0.3)
        codes = z.to(half).requires_grad_(True)
        distance = anderson_darling_distance(codes, marginal)
        assert distance.dtype == half
        (slope,) = torch.autograd.grad(distance.sum(), codes)
        assert slope.isfinite().all()
