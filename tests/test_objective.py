"""The loss of codes: its gradient, its weight over the steps, and its residuals before the output activation."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.latent.differences import Difference, Norm
from latentry.latent.regularizers import L2, AbsoluteValue
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.output_activation import OutputActivation
from latentry.priors import Normal, Uniform

D, PIXELS = 4, 10


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return torch.randn(PIXELS, D, dtype=torch.float64, generator=rng)


@pytest.fixture
def z(rng: torch.Generator) -> Tensor:
    return torch.randn(3, D, dtype=torch.float64, generator=rng)


def objective_of(matrix: Tensor, norm: Norm = "l2", weight: Callable[[float], float] = lambda share: 0.3) -> Objective:
    prior = Normal(D).double()
    location_scale = prior.location_scale(matrix)
    return Objective(lambda z: torch.tanh(z @ matrix.mT), prior, Difference(norm), L2(), weight, location_scale)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_the_loss_is_the_difference_and_the_weighted_regularizer_and_so_is_its_gradient(
    norm: Norm, matrix: Tensor, z: Tensor, rng: torch.Generator
) -> None:
    objective = objective_of(matrix, norm)
    x = 2 * torch.rand(3, PIXELS, dtype=torch.float64, generator=rng) - 1
    target, share = objective.difference.prepare(x), torch.zeros(3, dtype=torch.float64)
    gap = torch.tanh(z @ matrix.mT) - x
    expected = (gap.square() if norm == "l2" else gap.abs()).mean(1) + 0.3 * z.square().mean(1)
    assert_close(objective.loss(z, target, share), expected)

    value, slope = objective.slope(z, target, share)
    assert_close(value, expected)
    step = 1e-6 * torch.eye(D, dtype=torch.float64)
    for j in range(D):
        rise = objective.loss(z + step[j], target, share) - objective.loss(z - step[j], target, share)
        assert_close(slope[:, j], rise / 2e-6, rtol=0, atol=1e-7)
    parts = objective.difference_slope(z, target), objective.penalty_slope(z, share)
    assert_close(value, parts[0][0] + parts[1][0])
    assert_close(slope, parts[0][1] + parts[1][1])


def test_each_code_has_the_weight_of_its_own_share_of_the_steps(matrix: Tensor, z: Tensor) -> None:
    objective = objective_of(matrix, weight=lambda share: 1 - share)
    share = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    assert_close(objective.penalty(z, share), (1 - share) * z.square().mean(1))
    assert_close(objective.penalty_slope(z, share)[1], (1 - share)[:, None] * 2 * z / D)


def test_without_a_regularizer_there_is_no_penalty(matrix: Tensor, z: Tensor) -> None:
    objective = replace(objective_of(matrix), regularizer=None)
    penalty, slope = objective.penalty_slope(z, torch.zeros(3, dtype=torch.float64))
    assert not penalty.any()
    assert not slope.any()


def test_residuals_before_the_output_activation_are_zero_where_plain_ones_are_and_hidden_pixels_have_none(
    matrix: Tensor, z: Tensor
) -> None:
    objective = replace(objective_of(matrix), output_activation=OutputActivation(-1.0, 1.0, 1e-6))
    mask = torch.ones(PIXELS, dtype=torch.float64)
    mask[:3] = 0
    target = objective.difference.prepare(objective.generator(z), mask)
    assert not objective.preactivation_residuals(z, target).any()
    moved = objective.preactivation_residuals(z + 0.1, target)
    assert not moved[:, :3].any()
    assert moved[:, 3:].abs().min() > 0


def test_the_reconstruction_error_is_a_mean_over_what_is_seen(matrix: Tensor, z: Tensor) -> None:
    objective = objective_of(matrix)
    mask = torch.zeros(PIXELS, dtype=torch.float64)
    mask[4:6] = 1
    target = objective.difference.prepare(torch.zeros(3, PIXELS, dtype=torch.float64), mask)
    x_hat = torch.arange(PIXELS, dtype=torch.float64).expand(3, PIXELS)
    assert_close(objective.reconstruction_error(x_hat, target), torch.full((3,), (16 + 25) / 2, dtype=torch.float64))


def test_a_gradient_is_small_by_the_angle_between_residuals_and_jacobian(matrix: Tensor, rng: torch.Generator) -> None:
    """Whatever the units of the data: the least-squares code is stationary, one a percent of its length away is not."""
    prior = Normal(D).double()
    x = torch.randn(3, PIXELS, dtype=torch.float64, generator=rng)
    best = x @ torch.linalg.pinv(matrix).mT
    for scale in (1e-3, 1.0, 1e3):
        objective = Objective(
            lambda z, scale=scale: scale * z @ matrix.mT,
            prior,
            Difference(),
            None,
            lambda share: 0.0,
            prior.location_scale(matrix),
            variance=scale**2 * matrix.square().sum().item() / PIXELS,
        )
        target = objective.difference.prepare(scale * x)
        assert objective.is_stationary(best, target).all()
        assert not objective.is_stationary(1.01 * best, target).any()


def test_a_slope_out_of_the_support_is_none(matrix: Tensor) -> None:
    prior = Uniform(D).double()
    objective = Objective(lambda z: z, prior, Difference(), None, lambda share: 0.0, prior.location_scale(matrix))
    beyond = objective.difference.prepare(torch.full((2, D), 2.0, dtype=torch.float64))
    codes = torch.tensor([[1.0] * D, [1.0] * (D - 1) + [0.9]], dtype=torch.float64)
    assert objective.is_stationary(codes, beyond).tolist() == [True, False]


def test_the_curvature_of_a_penalty_is_the_diagonal_of_its_hessian(matrix: Tensor, z: Tensor) -> None:
    """Of mean squares 2 / d; of a sum of fourth powers 12 z^2; none of absolute values, nor of what bends downward."""
    share = torch.ones(3, dtype=torch.float64)
    for regularizer, expected in (
        (L2(), torch.full_like(z, 0.3 * 2 / D)),
        (lambda z, prior: z.pow(4).sum(1), 0.3 * 12 * z.square()),
        (AbsoluteValue(), torch.zeros_like(z)),
        (lambda z, prior: -z.square().sum(1), torch.zeros_like(z)),
    ):
        objective = replace(objective_of(matrix), regularizer=regularizer)
        assert_close(objective.penalty_curvature(z, share), expected)
