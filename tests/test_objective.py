"""The loss of codes: its gradient, its weight over the steps, and its residuals before the squashing."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.latent.differences import Difference, Norm
from latentry.latent.regularizers import L2
from latentry.latent.solvers.objective import Objective, Squashing, squashing_of
from latentry.latent.solvers.prior_frame import prior_frame
from latentry.priors import Normal

D, PIXELS = 4, 10


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return torch.randn(PIXELS, D, dtype=torch.float64, generator=rng)


@pytest.fixture
def z(rng: torch.Generator) -> Tensor:
    return torch.randn(3, D, dtype=torch.float64, generator=rng)


def objective_of(matrix: Tensor, norm: Norm = "l2", weight: Callable[[float], float] = lambda share: 0.3) -> Objective:
    prior = Normal(D).double()
    frame = prior_frame(prior, matrix)
    return Objective(lambda z: torch.tanh(z @ matrix.mT), prior, Difference(norm), L2(), weight, frame)


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


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0)])
def test_before_the_squashing_residuals_are_those_of_the_last_layers_inputs(low: float, high: float) -> None:
    squashing = Squashing(low, high, 1e-6)
    s = torch.linspace(-4, 4, 9, dtype=torch.float64)
    assert_close(squashing.undo(low + (high - low) * (torch.tanh(s) + 1) / 2), s, rtol=0, atol=1e-3)
    ends = squashing.undo(torch.tensor([low, high], dtype=torch.float64))
    assert ends.isfinite().all()


def test_residuals_before_the_squashing_are_zero_where_plain_ones_are_and_hidden_pixels_have_none(
    matrix: Tensor, z: Tensor
) -> None:
    objective = replace(objective_of(matrix), squashing=Squashing(-1.0, 1.0, 1e-6))
    mask = torch.ones(PIXELS, dtype=torch.float64)
    mask[:3] = 0
    target = objective.difference.prepare(objective.generator(z), mask)
    assert not objective.unsquashed_residuals(z, target).any()
    moved = objective.unsquashed_residuals(z + 0.1, target)
    assert not moved[:, :3].any()
    assert moved[:, 3:].abs().min() > 0


def test_the_reconstruction_error_is_a_mean_over_what_is_seen(matrix: Tensor, z: Tensor) -> None:
    objective = objective_of(matrix)
    mask = torch.zeros(PIXELS, dtype=torch.float64)
    mask[4:6] = 1
    target = objective.difference.prepare(torch.zeros(3, PIXELS, dtype=torch.float64), mask)
    x_hat = torch.arange(PIXELS, dtype=torch.float64).expand(3, PIXELS)
    assert_close(objective.reconstruction_error(x_hat, target), torch.full((3,), (16 + 25) / 2, dtype=torch.float64))


S = torch.linspace(-4, 4, 60, dtype=torch.float64).view(3, 20)


@pytest.mark.parametrize(
    ("made", "difference", "eight_bit", "expected"),
    [
        (torch.tanh(S), Difference(), False, Squashing(-1.0, 1.0, 1e-6)),
        (torch.tanh(S), Difference(), True, Squashing(-1.0, 1.0, 1 / 255)),
        (torch.sigmoid(2 * S), Difference(), False, Squashing(0.0, 1.0, 1e-6)),
        (S, Difference(), False, None),
        (0.1 * torch.tanh(S), Difference(), False, None),
        (torch.tanh(S), Difference("l1"), False, None),
        (torch.tanh(S), Difference(operator=lambda x: x), False, None),
        (torch.tanh(S), Difference(extractor=lambda x: x), False, None),
    ],
    ids=["tanh", "eight bits", "sigmoid", "linear", "small", "l1", "measured", "features"],
)
def test_a_squashing_is_told_from_the_outputs(
    made: Tensor, difference: Difference, eight_bit: bool, expected: Squashing | None
) -> None:
    assert squashing_of(made, made, difference, eight_bit) == expected


def test_data_beyond_the_ends_of_the_squashing_have_no_value_before_it() -> None:
    made = torch.tanh(S)
    assert squashing_of(made, 1.01 * made, Difference(), eight_bit=False) is None
