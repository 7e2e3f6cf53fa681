"""Where the bulk of priors lies, against their closed forms."""

import math

import pytest
import torch
from torch.testing import assert_close

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

LIKE = torch.empty(0, dtype=torch.float64)
ONE_SIGMA = math.erf(1 / math.sqrt(2))
"""Share of a normal distribution within one standard deviation of its mean."""


@pytest.mark.parametrize(
    ("prior", "centre", "scale", "low", "high"),
    [
        (Normal(5), 0.0, 1.0, -math.inf, math.inf),
        (Normal(5, loc=1.0, scale=2.0), 1.0, 2.0, -math.inf, math.inf),
        (Uniform(5), 0.0, ONE_SIGMA, -1.0, 1.0),
        (Uniform(5, low=2.0, high=6.0), 4.0, 2 * ONE_SIGMA, 2.0, 6.0),
        (HalfUniformHalfNormal(5), 0.0, (1 + ONE_SIGMA) / 2, -1.0, math.inf),
    ],
    ids=repr,
)
def test_the_frame_is_median_spread_and_support(
    prior: IIDPrior, centre: float, scale: float, low: float, high: float
) -> None:
    location_scale = prior.location_scale(LIKE)
    for value, expected in (
        (location_scale.centre, centre),
        (location_scale.scale, scale),
        (location_scale.low, low),
        (location_scale.high, high),
    ):
        assert_close(value, torch.full((5,), expected, dtype=torch.float64), rtol=0, atol=1e-6)


def test_the_frame_of_dependent_coordinates_is_that_of_each_alone() -> None:
    """A mixture of N(-2, 1) and N(2, 1) on the first axis has its 16 % quantiles near -2.47 and 2.47."""
    loc = torch.tensor([[-2.0, 0.0], [2.0, 3.0]])
    location_scale = NormalMixture(loc, torch.ones(2, 2)).location_scale(LIKE)
    assert location_scale.centre[1].item() == pytest.approx(1.5, abs=0.1)
    assert location_scale.scale[0].item() == pytest.approx(2.475, abs=0.1)
    assert location_scale.low.isinf().all()
    assert location_scale.high.isinf().all()


@pytest.mark.parametrize("prior", [SphericalCauchy(6), GammaRadius(6)], ids=repr)
def test_a_prior_without_moments_has_a_frame_all_the_same(prior: RadialPrior) -> None:
    location_scale = prior.location_scale(LIKE)
    inside = location_scale.standardized(prior.sample(4000, rng=torch.Generator().manual_seed(1)).double()).abs() < 1
    assert_close(inside.double().mean(0), torch.full((6,), ONE_SIGMA, dtype=torch.float64), rtol=0, atol=0.04)


def test_outward_undoes_inward_and_within_clips_to_the_support() -> None:
    location_scale = Uniform(3, low=2.0, high=6.0).location_scale(LIKE)
    z = torch.tensor([[1.0, 3.0, 9.0]], dtype=torch.float64)
    assert_close(location_scale.unstandardized(location_scale.standardized(z)), z)
    assert_close(location_scale.clamped(z), torch.tensor([[2.0, 3.0, 6.0]], dtype=torch.float64))
