"""Elements drawn anew: how often, from what, and what is left alone."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from latentry.latent.resampling import BoundaryResampling, LogisticResampling, Resampling, TruncatedNormalResampling
from latentry.priors import GammaRadius, Normal, NormalMixture, Uniform

N, D = 500, 100
RULES = [
    (BoundaryResampling(2.0), lambda z: float(abs(z) > 2)),
    (LogisticResampling(3.0), lambda z: 1 / (1 + math.exp(-3 * (abs(z) - 2)))),
    (TruncatedNormalResampling(2.5), lambda z: min(1.0, math.exp(-(2.5**2) / 2) / math.exp(-(z**2) / 2))),
]
SIZES = [0.0, -1.4, 1.99, 2.01, -2.4, 2.6, 8.0]


def replaced(rule: Resampling, z: Tensor, rng: torch.Generator) -> Tensor:
    return rule(z, Normal(z.shape[1]), rng) != z


def as_often(count: int, of: int, p: float) -> bool:
    """Whether a count lies within the 1e-4 interval of a binomial distribution."""
    low, high = stats.binom.interval(1 - 1e-4, of, p)
    return bool(low <= count <= high)


@pytest.mark.parametrize(("rule", "probability"), RULES, ids=lambda case: getattr(type(case), "__name__", ""))
@pytest.mark.parametrize("size", SIZES)
def test_elements_are_replaced_as_often_as_the_formula_says(
    rule: Resampling, probability: object, size: float, rng: torch.Generator
) -> None:
    count = int(replaced(rule, torch.full((N, D), size), rng).sum())
    assert as_often(count, N * D, probability(size))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("rule", "p"),
    [
        (LogisticResampling(2.0, 1.5, steps=30), 1 / (1 + math.exp(-2 * (1.8 - 1.5)))),
        (TruncatedNormalResampling(2.5, steps=30), math.exp((1.8**2 - 2.5**2) / 2)),
        (BoundaryResampling(1.5, steps=30), 1.0),
        (BoundaryResampling(2.0, steps=30), 0.0),
    ],
    ids=repr,
)
def test_over_a_whole_run_an_element_that_stays_is_replaced_with_the_probability_itself(
    rule: Resampling, p: float, rng: torch.Generator
) -> None:
    z = torch.full((100, D), 1.8)
    ever = torch.zeros_like(z, dtype=torch.bool)
    first = replaced(rule, z, rng)
    assert as_often(int(first.sum()), z.numel(), 1 - (1 - p) ** (1 / 30))
    ever |= first
    for _ in range(29):
        ever |= replaced(rule, z, rng)
    assert as_often(int(ever.sum()), z.numel(), p)


@pytest.mark.parametrize("prior", [Normal(D, loc=0.5), Uniform(D)], ids=repr)
def test_replaced_elements_are_draws_of_the_prior_and_the_others_keep_every_bit(prior: Normal, rng: torch.Generator) -> None:
    z = prior.sample(N, rng=rng)
    far = torch.rand(z.shape, generator=rng) < 0.3
    z = torch.where(far, 9.0, z)
    found = BoundaryResampling(5.0)(z, prior, rng)
    assert torch.equal(found[~far], z[~far])
    assert stats.kstest(prior.marginal.cdf(found[far].double()), "uniform").pvalue > 1e-3


def test_the_codes_of_a_radial_prior_are_resampled_in_normal_coordinates(rng: torch.Generator) -> None:
    prior = GammaRadius(D).double()
    z = prior.sample(N, rng=rng)
    coordinates = prior.to_normal(z)
    hit = (coordinates.abs() > 2.5).any(1)
    found = BoundaryResampling(2.5)(z, prior, rng)
    assert torch.equal(found[~hit], z[~hit])
    kept = coordinates.abs() <= 2.5
    assert_close(prior.to_normal(found)[kept], coordinates[kept], rtol=1e-6, atol=1e-6)
    assert (found[hit] != z[hit]).all()


def test_equal_seeds_give_equal_codes_and_no_gradient(rng: torch.Generator) -> None:
    z = (3 * torch.randn(5, D, generator=rng)).requires_grad_(True)
    first, second = (LogisticResampling(2.0)(z, Normal(D), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BoundaryResampling(0.0), "bound above 0"),
        (lambda: LogisticResampling(-1.0), "slope above 0"),
        (lambda: LogisticResampling(1.0, math.nan), "centre above 0"),
        (lambda: TruncatedNormalResampling(math.inf), "cutoff above 0"),
        (lambda: TruncatedNormalResampling(2.5, steps=0), "steps >= 1"),
        (lambda: BoundaryResampling(1.0)(torch.zeros(1, 2), NormalMixture([[0.0, 0.0]], [[1.0, 1.0]])), "NormalMixture"),
    ],
)
def test_bad_input_is_named(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]
