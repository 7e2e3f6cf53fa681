"""Recovery on generators whose answer is known, and every way to misuse it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.adam import Adam
from latentry.latent.recovery import Recovery, recover_codes
from latentry.latent.regularizers import L2, Regularizer, StatisticalDistance
from latentry.numerics.distances import energy_distance
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

D, PIXELS = 6, 20


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return torch.randn(PIXELS, D, dtype=torch.float64, generator=rng) / math.sqrt(D)


@pytest.fixture
def prior() -> Normal:
    return Normal(D).double()


def linear(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: z @ matrix.mT


def test_recovery_from_a_linear_generator_is_the_pseudo_inverse(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)  # not in the range of the generator
    found = recover_codes(linear(matrix), x, prior, solver=Adam(steps=1500), restarts=2, rng=rng)
    assert_close(found.z, x @ torch.linalg.pinv(matrix).mT, rtol=0, atol=1e-5)
    assert found.converged.all()


def test_l2_on_a_linear_generator_is_ridge_regression(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)
    weight = 0.3
    found = recover_codes(
        linear(matrix), x, prior, regularizer=L2(), weight=weight, solver=Adam(steps=1500), restarts=1, rng=rng
    )
    gram = matrix.mT @ matrix / PIXELS + weight / D * torch.eye(D, dtype=torch.float64)
    assert_close(found.z, torch.linalg.solve(gram, matrix.mT @ x.mT / PIXELS).mT, rtol=0, atol=1e-5)


def test_known_codes_of_a_linear_generator_are_found(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    z = prior.sample(8, rng=rng)
    found = recover_codes(linear(matrix), z @ matrix.mT, prior, solver=Adam(steps=1500), restarts=1, rng=rng)
    assert_close(found.z, z, rtol=0, atol=1e-5)
    assert found.reconstruction_error.max() < 1e-9


@pytest.mark.parametrize("distance", ["wasserstein", "wasserstein2", "energy"])
@pytest.mark.parametrize("prior", [Normal(40), Uniform(40), HalfUniformHalfNormal(40)], ids=repr)
def test_a_statistical_distance_alone_brings_a_code_onto_the_prior(
    distance: str, prior: IIDPrior, rng: torch.Generator
) -> None:
    """A generator that ignores all but one coordinate leaves the rest to the regularizer."""
    regularizer = StatisticalDistance(distance)  # type: ignore[arg-type]
    x = torch.zeros(3, 1)
    found = recover_codes(
        lambda z: 0.01 * z[:, :1], x, prior, regularizer=regularizer, weight=1.0, solver=Adam(steps=600), restarts=1, rng=rng
    )
    before = energy_distance(prior.sample(200, rng=rng), prior.law).mean()
    assert energy_distance(found.z, prior.law).max() < before / 3


@pytest.mark.parametrize(
    ("prior", "distance"),
    [(SphericalCauchy(40), "wasserstein"), (GammaRadius(40), "wasserstein2"), (GammaRadius(40), "energy")],
    ids=["cauchy", "gamma", "gamma, energy"],
)
def test_a_statistical_distance_brings_a_code_onto_a_radial_prior(
    prior: RadialPrior, distance: str, rng: torch.Generator
) -> None:
    """In normal coordinates, which is where the distance is taken."""
    regularizer = StatisticalDistance(distance)  # type: ignore[arg-type]
    z = prior.sample(8, rng=rng)
    assert_close(regularizer(z, prior), regularizer(prior.to_normal(z), Normal(40)))
    found = recover_codes(
        lambda z: 0.01 * z[:, :1],
        torch.zeros(3, 1),
        prior,
        regularizer=regularizer,
        weight=1.0,
        solver=Adam(steps=150),
        restarts=2,
        rng=rng,
    )
    before = regularizer(prior.sample(200, rng=rng), prior).mean()
    assert found.z.isfinite().all()
    assert regularizer(found.z, prior).max() < before / 3


@pytest.mark.parametrize("prior", [SphericalCauchy(D), GammaRadius(D)], ids=["cauchy", "gamma"])
def test_known_codes_of_a_radial_prior_are_found(matrix: Tensor, prior: RadialPrior, rng: torch.Generator) -> None:
    z = prior.double().sample(4, rng=rng).clamp(-5, 5)
    found = recover_codes(
        linear(matrix), z @ matrix.mT, prior, regularizer=L2(), weight=0.0, solver=Adam(steps=1500), rng=rng
    )
    assert_close(found.z, z, rtol=0, atol=1e-3)


def test_a_mixture_gives_starts_but_has_no_statistical_distance(matrix: Tensor, rng: torch.Generator) -> None:
    prior = NormalMixture(torch.zeros(2, D), torch.ones(2, D)).double()
    x = prior.sample(2, rng=rng) @ matrix.mT
    assert recover_codes(linear(matrix), x, prior, solver=Adam(steps=600), rng=rng).reconstruction_error.max() < 1e-6
    with pytest.raises(ValueError, match=r"normal coordinates.*got NormalMixture"):
        recover_codes(linear(matrix), x, prior, regularizer=StatisticalDistance(), solver=Adam(steps=1), rng=rng)


def test_codes_images_and_losses_belong_together(rng: torch.Generator) -> None:
    network = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 12), nn.Unflatten(1, (3, 2, 2)))
    prior = Normal(8)
    x = torch.rand(7, 3, 2, 2, generator=rng) - 0.5
    regularizer = StatisticalDistance("wasserstein2")
    found = recover_codes(network, x, prior, regularizer=regularizer, weight=0.2, solver=Adam(steps=7), restarts=3, rng=rng)
    with torch.no_grad():
        x_hat = network.eval()(found.z)
    error = (x_hat - x).square().flatten(1).mean(1)
    assert_close(found.x_hat, x_hat)
    assert_close(found.reconstruction_error, error)
    assert_close(found.loss, error + 0.2 * regularizer(found.z, prior))
    assert_close(found.loss, found.restart_loss.min(1).values)
    assert torch.equal(found.restart, found.restart_loss.argmin(1))


def test_batches_change_nothing(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)

    def recovered(batch_size: int) -> Recovery:
        starts = torch.Generator().manual_seed(4)
        return recover_codes(linear(matrix), x, prior, solver=Adam(steps=9), restarts=2, batch_size=batch_size, rng=starts)

    assert_close(recovered(4).z, recovered(100).z)


def test_a_module_gets_its_modes_and_flags_back(rng: torch.Generator) -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    network[2].eval()
    network[0].weight.requires_grad_(False)
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    recover_codes(network, torch.zeros(2, 3), Normal(4), solver=Adam(steps=2), rng=rng)
    assert [part.training for part in network] == [True, True, False, True]
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, *[True] * 5]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, buffers[name]) for name, value in network.named_buffers())


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself
@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_images_of_eight_bits_are_met_up_to_rounding_under_a_mask_too(contrast: float, rng: torch.Generator) -> None:
    matrix, prior = torch.randn(64, 4, dtype=torch.float64, generator=rng) / 2, Normal(4).double()

    def squashed(z: Tensor) -> Tensor:
        return contrast * torch.tanh(z @ matrix.mT)

    x = ((squashed(prior.sample(3, rng=rng)) + 1) * 127.5).round() / 127.5 - 1
    mask = (torch.arange(64) < 60).double()
    assert recover_codes(squashed, x, prior, mask=mask, restarts=6, rng=rng).met.all()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself
def test_the_default_solver_finds_codes_of_a_generator_without_a_squashing(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    z = prior.sample(3, rng=rng)
    assert_close(recover_codes(linear(matrix), z @ matrix.mT, prior, rng=rng).z, z, rtol=0, atol=1e-3)


def test_too_few_steps_are_reported_as_not_converged(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    x = 5 * torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)
    assert not recover_codes(linear(matrix), x, prior, solver=Adam(steps=3), rng=rng).converged.any()


def test_nan_from_the_generator_stops_that_start_alone(prior: Normal, rng: torch.Generator) -> None:
    """A generator that breaks where the first coordinate is large: targets that draw codes there lose those starts only."""

    def breaks_far_out(z: Tensor) -> Tensor:
        return torch.where(z[:, :1] > 2.0, torch.nan, 1.0) * z

    x = torch.tensor([[0.5], [9.0]], dtype=torch.float64).expand(2, D)
    found = recover_codes(breaks_far_out, x, prior, solver=Adam(steps=300, learning_rate=0.2), restarts=4, rng=rng)
    assert_close(found.z[0], x[0], rtol=0, atol=1e-3)
    assert found.restart_loss[1].isinf().all()


def test_progress_counts_every_step_once(matrix: Tensor, prior: Normal) -> None:
    seen: list[tuple[int, int]] = []
    recover_codes(
        linear(matrix),
        torch.zeros(3, PIXELS, dtype=torch.float64),
        prior,
        solver=Adam(steps=4),
        restarts=1,
        batch_size=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 12), (4, 12), (6, 12), (8, 12), (9, 12), (10, 12), (11, 12), (12, 12)]


def test_l1_and_l2_differ_where_an_outlier_pulls(prior: Normal, rng: torch.Generator) -> None:
    """One number seen five times, once wrongly: its mean under L2, its median under L1."""
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0, 6.0]], dtype=torch.float64)
    ones = torch.ones(5, 1, dtype=torch.float64)
    one = Normal(1).double()
    by = {
        kind: recover_codes(linear(ones), x, one, difference=kind, solver=Adam(steps=800), rng=rng).z.item()
        for kind in ("l1", "l2")
    }
    assert_close(by["l2"], 2.0, rtol=0, atol=1e-3)
    assert_close(by["l1"], 1.0, rtol=0, atol=1e-2)


@pytest.mark.parametrize("regularizer", [None, L2(), StatisticalDistance("energy")], ids=repr)
def test_equal_seeds_give_equal_codes(regularizer: Regularizer | None, matrix: Tensor, prior: Normal) -> None:
    def once() -> Tensor:
        starts = torch.Generator().manual_seed(1)
        return recover_codes(linear(matrix), x, prior, regularizer=regularizer, solver=Adam(steps=5), rng=starts).z

    x = torch.ones(2, PIXELS, dtype=torch.float64)
    assert torch.equal(once(), once())


IMAGES = nn.Sequential(nn.Linear(4, 12), nn.Unflatten(1, (3, 2, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 1, 2, 2)}, "expected data of shape.*colour"),
        ({"x": torch.zeros(2, 3, 4, 4)}, "resize"),
        ({"x": torch.zeros(3)}, "batch axis"),
        ({"x": torch.zeros(0, 3, 2, 2)}, "n >= 1"),
        ({"x": torch.full((2, 3, 2, 2), torch.nan)}, r"NaN or infinity in items \[0, 1\]"),
        ({"x": torch.zeros(2, 3, 2, 2, dtype=torch.uint8)}, "floating-point"),
        ({"restarts": 0}, "restarts >= 1"),
        ({"weight": -1.0}, "weight >= 0"),
        ({"generator": lambda z: IMAGES(z) + torch.randn(1)}, "deterministic"),
        ({"generator": lambda z: IMAGES(z - z.mean(0))}, "depend on its own code"),
        ({"generator": lambda z: IMAGES(z).detach()}, "differentiable"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"generator": IMAGES, "x": torch.zeros(2, 3, 2, 2), "prior": Normal(4)}
    with pytest.raises(ValueError, match=message):
        recover_codes(**arguments | change)  # type: ignore[arg-type]
