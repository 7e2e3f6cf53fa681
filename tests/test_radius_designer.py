"""Designed norms against sampled codes, known limits, and the log-uniform distribution."""

import math

import pytest
import torch
from torch.testing import assert_close

from latentry.numerics.radius_combination import RadiusCombination
from latentry.priors import RadialPrior, design_radial, design_radius


def log_radii(low: float, high: float, bins: int) -> torch.Tensor:
    width = math.log(high / low) / bins
    return math.log(low) + width * (torch.arange(bins, dtype=torch.float64) + 0.5)


@pytest.mark.parametrize("d", [1, 2, 3, 24])
@pytest.mark.parametrize("t", [0.5, 0.1, -0.5])
def test_the_distribution_of_the_combined_norm_is_that_of_combined_codes(d: int, t: float, rng: torch.Generator) -> None:
    u = log_radii(0.05, 2.0, 40)
    p = torch.where(u > math.log(0.4), 1.0, 0.0).double() * torch.rand(40, generator=rng, dtype=torch.float64)
    p = p / p.sum()
    codes = torch.nn.functional.normalize(torch.randn(2, 200_000, d, generator=rng, dtype=torch.float64), dim=-1)
    codes = codes * u[torch.multinomial(p, 400_000, True, generator=rng).view(2, -1, 1)].exp()
    place = (((1 - t) * codes[0] + t * codes[1]).norm(dim=-1).log() - u[0]) / (u[1] - u[0])
    sampled = torch.tensor([(1 - (place - k).abs()).clamp(min=0).mean().item() for k in range(40)]).double()
    q = RadiusCombination(u, (1 - t, t), d).masses(p)
    assert_close(q.cumsum(0), sampled.cumsum(0), rtol=0, atol=5e-3)
    assert_close(q.sum(), sampled.sum(), rtol=0, atol=3e-3)


def test_orthogonal_codes_of_one_length_shrink_by_the_root_of_two() -> None:
    u = log_radii(0.5, 2.0, 40)  # the root of 2 is 10 bins
    p = torch.zeros(40, dtype=torch.float64)
    p[25] = 1
    q = RadiusCombination(u, (0.5, 0.5), None).masses(p)
    assert_close(q[15].item(), 1.0, rtol=0, atol=1e-9)


def test_distributions_apart_have_the_largest_divergence_and_the_gradient_is_the_slope(rng: torch.Generator) -> None:
    u = log_radii(0.5, 2.0, 40)
    combination = RadiusCombination(u, (0.5, 0.5), 64)
    p = torch.zeros(40, dtype=torch.float64)
    p[2] = 1
    assert combination.divergence(p)[0] == pytest.approx(math.log(2))
    assert combination.total_variation(p) == pytest.approx(1)
    p = torch.rand(40, generator=rng, dtype=torch.float64)
    p = p / p.sum()
    step = torch.randn(40, generator=rng, dtype=torch.float64) * p * 1e-5
    step -= step.mean()
    value, gradient = combination.divergence(p)
    slope = (combination.divergence(p + step)[0] - combination.divergence(p - step)[0]) / 2
    assert slope == pytest.approx((gradient @ step).item(), rel=1e-5)
    assert 0 < value < math.log(2)
    assert combination.total_variation(p) ** 2 / 2 <= value <= math.log(2) * combination.total_variation(p)


def test_wider_norms_come_nearer_to_their_combinations_and_always_nearer_than_log_uniform_ones() -> None:
    reached = []
    for spread in (2.0, 4.0, 8.0):
        design = design_radius(64, 1 / spread, 1.0, bins=48)
        flat = torch.full((48,), 1 / 48, dtype=torch.float64)
        u = log_radii(1 / spread, 1.0, 48)
        log_uniform = sum(RadiusCombination(u, (1 - t, t), 64).divergence(flat)[0] for t in design.mix) / 3
        assert design.converged
        assert design.objective < log_uniform
        reached.append(design.objective)
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] < 0.04


def test_the_least_worst_design_has_equal_divergences() -> None:
    design = design_radius(None, 0.25, 1.0, bins=32, mix=(0.25, 0.5), combine="max")
    assert design.converged
    assert design.divergence[0] == pytest.approx(design.divergence[1], rel=1e-3)


def test_an_entropy_floor_and_a_penalty_on_roughness_hold_off_peaks() -> None:
    free, floored, smooth = (
        design_radius(None, 0.25, 1.0, bins=32, mix=(0.5,), **demand)
        for demand in ({}, {"entropy_floor": 0.2}, {"smoothness": 0.1})
    )
    assert free.entropy < 0.1
    assert floored.entropy >= 0.2 - 1e-5
    assert floored.converged
    assert floored.divergence[0] > free.divergence[0]
    rough, calm = (design.log_masses.diff(n=2).norm() / design.log_masses.norm() for design in (free, smooth))
    assert calm < rough


def test_the_distribution_is_handed_over_as_a_distribution_of_norms(rng: torch.Generator) -> None:
    design = design_radius(16, 0.5, 2.0, bins=32)
    z = RadialPrior(16, design.distribution).sample(4000, rng=rng)
    norms = z.norm(dim=-1)
    assert norms.min() >= 0.5 - 1e-6
    assert norms.max() <= 2.0 + 1e-6
    expected = (design.log_masses * log_radii(0.5, 2.0, 32).exp()).sum().item()
    assert norms.mean().item() == pytest.approx(expected, rel=0.03)
    assert design.distribution.mean == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent_dim": 0},
        {"low": 0.0},
        {"high": 0.1},
        {"bins": 2},
        {"mix": ()},
        {"mix": (1.0,)},
        {"combine": "median"},
        {"smoothness": -1.0},
        {"distribution_bins": 0},
        {"entropy_floor": 1.0},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises((ValueError, TypeError)):
        design_radius(**{"latent_dim": 8, "bins": 16, **wrong})


def test_a_designed_radial_prior_has_the_scale_and_the_spread_that_were_asked_for() -> None:
    prior = design_radial(20, spread=8.0, scale=0.5, bins=32)
    assert_close(prior().variance, torch.full((20,), 0.25), rtol=1e-5, atol=0)
    low, high = prior.radius_distribution.support
    assert_close(high / low, 8.0)
    with pytest.raises(ValueError, match="spread > 1"):
        design_radial(20, spread=1.0)
