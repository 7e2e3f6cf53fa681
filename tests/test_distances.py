"""Closed-form distances against scipy, finite differences and their known minima."""

import pytest
import torch
from jaxtyping import TypeCheckError
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.distances import (
    QuantileCells,
    energy_distance,
    quantile_cells,
    wasserstein2_distance,
    wasserstein_distance,
)
from latentry.priors.univariate import HalfUniformHalfNormalDistribution, NormalDistribution, UniformDistribution

DISTRIBUTIONS = [
    NormalDistribution(),
    NormalDistribution(0.4, 2.5),
    UniformDistribution(),
    UniformDistribution(-0.5, 3.0),
    HalfUniformHalfNormalDistribution(),
]
DISTANCES = ["wasserstein", "wasserstein2", "energy"]
distribution_cases = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
distance_cases = pytest.mark.parametrize("name", DISTANCES)


def measure(
    name: str, z: Tensor, distribution: NormalDistribution | UniformDistribution | HalfUniformHalfNormalDistribution
) -> Tensor:
    cells = quantile_cells(distribution, z.shape[-1], z)
    if name == "wasserstein":
        return wasserstein_distance(z, distribution, cells)
    return wasserstein2_distance(z, cells) if name == "wasserstein2" else energy_distance(z, distribution)


def codes(
    distribution: NormalDistribution | UniformDistribution | HalfUniformHalfNormalDistribution,
    n: int,
    d: int,
    rng: torch.Generator,
) -> Tensor:
    return distribution.draw((n, d), rng, torch.empty(0, dtype=torch.float64))


def fine_quantiles(
    distribution: NormalDistribution | UniformDistribution | HalfUniformHalfNormalDistribution, count: int = 400_000
) -> Tensor:
    return distribution.icdf((torch.arange(count, dtype=torch.float64) + 0.5) / count)


@distribution_cases
def test_wasserstein_and_energy_agree_with_scipy_on_a_fine_table(
    distribution: NormalDistribution, rng: torch.Generator
) -> None:
    z = 1.3 * codes(distribution, 3, 40, rng) + 0.1  # off the distribution, and partly outside its support
    table = fine_quantiles(distribution)
    for row in z:
        expected = stats.wasserstein_distance(row, table)
        assert_close(measure("wasserstein", row, distribution).item(), expected, rtol=1e-4, atol=1e-6)
        expected = stats.energy_distance(row, table)
        assert_close(measure("energy", row, distribution).item(), expected, rtol=1e-4, atol=1e-6)


@distribution_cases
def test_wasserstein2_agrees_with_sorted_coupling_to_a_fine_table(
    distribution: NormalDistribution, rng: torch.Generator
) -> None:
    z = 0.8 * codes(distribution, 1, 40, rng)[0]
    table = fine_quantiles(distribution).view(40, -1)  # cell by cell
    expected = (z.sort().values[:, None] - table).square().mean().sqrt()
    assert_close(measure("wasserstein2", z, distribution), expected, rtol=1e-4, atol=1e-6)


@distance_cases
@distribution_cases
def test_gradients_agree_with_finite_differences(name: str, distribution: NormalDistribution, rng: torch.Generator) -> None:
    z = codes(distribution, 2, 12, rng) * 1.2
    assert torch.autograd.gradcheck(lambda z: measure(name, z, distribution), z.requires_grad_(), eps=1e-7, atol=1e-5)


@distance_cases
@distribution_cases
def test_the_known_minimum_has_zero_gradient_and_nothing_is_below_it(
    name: str, distribution: NormalDistribution, rng: torch.Generator
) -> None:
    d = 32
    quantiles = distribution.icdf((torch.arange(d, dtype=torch.float64) + 0.5) / d)
    best = quantile_cells(distribution, d, quantiles).means if name == "wasserstein2" else quantiles
    z = best.clone().requires_grad_(True)
    least = measure(name, z, distribution)
    (gradient,) = torch.autograd.grad(least, z)
    assert gradient.abs().max() < 1e-12
    for size in (1e-3, 1e-2, 0.3):
        moved = best + size * torch.randn(50, d, dtype=torch.float64, generator=rng)
        assert (measure(name, moved, distribution) > least).all()


@distance_cases
def test_a_code_is_a_set_of_elements_so_their_order_is_nothing(name: str, rng: torch.Generator) -> None:
    distribution = NormalDistribution()
    z = codes(distribution, 4, 50, rng)
    assert_close(measure(name, z[:, torch.randperm(50, generator=rng)], distribution), measure(name, z, distribution))


def test_the_minimum_of_wasserstein_and_energy_at_256_elements_has_the_published_values() -> None:
    z = NormalDistribution().icdf((torch.arange(256, dtype=torch.float64) + 0.5) / 256)
    assert_close(measure("wasserstein", z, NormalDistribution()).item(), 0.0068, rtol=0, atol=5e-5)
    assert_close(measure("energy", z, NormalDistribution()).item(), 0.0041, rtol=0, atol=5e-5)


def test_wasserstein_is_to_the_continuous_distribution_and_not_to_its_quantiles() -> None:
    """One element at the median of U(-1, 1): E|X| = 1/2, where the distance to the median itself would be 0."""
    z = torch.zeros(1, 1, dtype=torch.float64)
    assert_close(measure("wasserstein", z, UniformDistribution()).item(), 0.5)
    assert_close(measure("wasserstein2", z, UniformDistribution()).item(), (1 / 3) ** 0.5)
    assert_close(measure("energy", z, UniformDistribution()).item(), (2 * 0.5 - 2 / 3) ** 0.5)


@distance_cases
@distribution_cases
def test_far_outside_the_support_the_loss_is_finite_and_pulls_back(name: str, distribution: NormalDistribution) -> None:
    for side in (-1.0, 1.0):
        z = torch.full((1, 64), 8.0 * side).requires_grad_(True)
        loss = measure(name, z, distribution)
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        assert loss.isfinite().all()
        assert (gradient.sum() * side > 0).item()


@distance_cases
@distribution_cases
def test_single_precision_is_close_to_double(name: str, distribution: NormalDistribution, rng: torch.Generator) -> None:
    z = codes(distribution, 8, 256, rng)
    assert_close(measure(name, z.float(), distribution).double(), measure(name, z, distribution), rtol=2e-4, atol=1e-6)


@distribution_cases
def test_single_precision_holds_for_codes_of_many_elements(distribution: NormalDistribution, rng: torch.Generator) -> None:
    z = codes(distribution, 4, 16384, rng)
    assert_close(
        measure("wasserstein", z.float(), distribution).double(), measure("wasserstein", z, distribution), rtol=2e-3, atol=0
    )


def test_cells_of_a_code_without_elements_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one element"):
        quantile_cells(NormalDistribution(), 0, torch.empty(0))


def test_annotations_are_checked_while_testing() -> None:
    with pytest.raises(TypeCheckError):
        QuantileCells(ends="no tensor", middles=None, partial_means=None, means=None, spread="x")  # type: ignore[arg-type]
