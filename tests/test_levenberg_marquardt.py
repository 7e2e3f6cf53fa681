"""Levenberg-Marquardt on generators whose codes are known."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_generators import linear, random_matrix, squashed

from latentry.latent.differences import Difference
from latentry.latent.recovery import Recovery, recover_codes
from latentry.latent.solvers.lbfgs import LBFGS
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.latent.solvers.linearization import sketched
from latentry.priors import Normal, Uniform

D, PIXELS = 6, 40


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return random_matrix(PIXELS, D, rng)


@pytest.fixture
def prior() -> Normal:
    return Normal(D).double()


def test_codes_are_found_through_saturated_pixels(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    """Inputs of the tanh have a standard deviation of 4. With plain residuals alone it takes more steps."""
    z = prior.sample(8, rng=rng)
    x = squashed(4 * matrix)(z)
    assert (x.abs() > 0.999).double().mean() > 0.2

    def found(difference: Difference) -> Recovery:
        return recover_codes(
            squashed(4 * matrix), x, prior, difference=difference, restarts=1, rng=torch.Generator().manual_seed(1)
        )

    freed, plain = found(Difference()), found(Difference(operator=lambda x: x))
    assert_close(freed.z, z, rtol=0, atol=1e-6)
    assert freed.met.all()
    assert freed.evaluations.sum() < plain.evaluations.sum()


def test_every_column_and_every_trial_is_counted(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    jacobians = trials = 0

    def counted(z: Tensor) -> Tensor:
        nonlocal jacobians, trials
        if torch.is_grad_enabled():
            jacobians += 1  # one pass under vmap for all columns
        else:
            trials += len(z)
        return squashed(matrix)(z)

    def start(x: Tensor) -> Tensor:
        nonlocal jacobians, trials
        jacobians = trials = 0  # what came before was the check of the generator
        return torch.zeros(len(x), D, dtype=torch.float64)

    found = recover_codes(counted, squashed(matrix)(prior.sample(1, rng=rng)), prior, start=start, restarts=1, rng=rng)
    assert jacobians > 1
    # the pass that makes the images to be returned is not counted
    assert found.evaluations.item() == jacobians * (D + 1) + trials - 1


def test_data_that_no_code_makes_get_a_code_of_least_squares(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    """Of the plain residuals, although the first ones were those before the output activation; to a percent of the loss."""
    z = prior.sample(4, rng=rng)
    x = (squashed(matrix)(z) + 0.05 * torch.randn(4, PIXELS, dtype=torch.float64, generator=rng)).clamp(-1, 1)
    found = recover_codes(squashed(matrix), x, prior, solver=LevenbergMarquardt(steps=60), restarts=1, rng=rng)
    exact = recover_codes(squashed(matrix), x, prior, solver=LBFGS(), start=found.z, restarts=1, rng=rng)
    assert not found.met.any()
    assert (found.loss <= 1.01 * exact.loss).all()
    assert (found.loss < (squashed(matrix)(z) - x).square().mean(1)).all()


def test_of_several_starts_only_the_best_is_finished_with_plain_residuals(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    x = squashed(matrix)(prior.sample(4, rng=rng)) + 0.05 * torch.randn(4, PIXELS, dtype=torch.float64, generator=rng)
    x = x.clamp(-1, 1)
    solver, start = LevenbergMarquardt(steps=60), prior.sample(4, rng=rng)
    one, three = (recover_codes(squashed(matrix), x, prior, solver=solver, start=start, restarts=n, rng=rng) for n in (1, 3))
    assert (three.evaluations > one.evaluations).all()
    assert (three.evaluations < 3 * one.evaluations).all()
    assert (three.restart_loss.amin(1) == three.loss).all()
    assert_close(three.loss, one.loss, rtol=0.01, atol=0)  # this generator has one valley


def test_a_start_that_nearly_meets_its_data_is_finished_before_another_is_tried(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    """Rounding to eight bits keeps residuals before the output activation from vanishing, even at the true code."""
    z = prior.sample(6, rng=rng)
    x = ((squashed(matrix)(z) + 1) * 127.5).round() / 127.5 - 1
    one, six = (recover_codes(squashed(matrix), x, prior, start=z, restarts=n, rng=rng) for n in (1, 6))
    assert one.met.all()
    assert_close(six.evaluations, one.evaluations)


def test_codes_stay_within_the_support_of_the_prior(matrix: Tensor, rng: torch.Generator) -> None:
    """Of data made by codes of 1.5 in each coordinate, from a prior that ends at 1."""
    x = linear(matrix)(torch.full((3, D), 1.5, dtype=torch.float64))
    found = recover_codes(linear(matrix), x, Uniform(D).double(), restarts=2, rng=rng)
    assert found.z.abs().max() <= 1
    inside = recover_codes(linear(matrix), x / 2, Uniform(D).double(), restarts=2, rng=rng)
    assert_close(inside.z, torch.full((3, D), 0.75, dtype=torch.float64), rtol=0, atol=1e-5)


def test_a_sketch_keeps_the_normal_equations_in_expectation(rng: torch.Generator) -> None:
    """Over the orders of the residuals, which are as good as fresh signs and cells."""
    columns = torch.randn(3, 60, dtype=torch.float64, generator=rng)
    orders = (torch.randperm(60, generator=rng) for _ in range(4000))
    sketches = torch.stack([sketched(columns[:, order], 16) for order in orders])
    assert sketches.shape[1:] == (3, 16)
    assert_close((sketches @ sketches.mT).mean(0), columns @ columns.mT, rtol=0, atol=3.0)
    assert (sketches @ sketches.mT).std(0).min() > 5


def test_codes_are_found_by_sketches(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    z = prior.sample(4, rng=rng)
    found = recover_codes(squashed(matrix), squashed(matrix)(z), prior, solver=LevenbergMarquardt(sketch=16), rng=rng)
    assert_close(found.z, z, rtol=0, atol=1e-4)


def test_the_columns_held_at_once_change_nothing(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    x = squashed(matrix)(prior.sample(5, rng=rng))

    def found(rows: int, batch_size: int) -> Recovery:
        return recover_codes(
            squashed(matrix),
            x,
            prior,
            solver=LevenbergMarquardt(rows=rows),
            batch_size=batch_size,
            rng=torch.Generator().manual_seed(1),
        )

    whole = found(512, 100)
    for part in (found(2 * D, 100), found(1, 100), found(512, 2)):
        assert_close(part.z, whole.z, rtol=0, atol=1e-9)
        assert torch.equal(part.evaluations, whole.evaluations)


def test_an_l1_difference_is_refused(matrix: Tensor, prior: Normal) -> None:
    with pytest.raises(ValueError, match=r"l2 difference.*solver=Adam\(\)"):
        recover_codes(linear(matrix), torch.zeros(1, PIXELS).double(), prior, difference="l1", solver=LevenbergMarquardt())


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"rows": 0}, {"sketch": 0}, {"prior_pull": -1.0}, {"damping": 0.0}], ids=repr
)
def test_numbers_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LevenbergMarquardt(**change)
