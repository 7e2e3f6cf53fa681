"""Without a regularizer recovery is least squares: linear generators, whose answer is known, in every condition."""

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from torch import Tensor, nn
from torch.testing import assert_close
from toy_generators import linear, random_matrix

from latentry.evaluation.codes import goodness_of_fit
from latentry.latent.recovery import Recovery, recover_codes
from latentry.latent.regularizers import L2
from latentry.latent.solvers import LBFGS, LevenbergMarquardt
from latentry.priors import Normal, Uniform

D, PIXELS = 6, 40
PRIOR = Normal(D).double()


def of_condition(condition: float, rng: torch.Generator, rank: int = D) -> Tensor:
    """A matrix whose singular values fall from 1 to 1 / condition, beyond its rank to 0."""
    u, _ = torch.linalg.qr(torch.randn(PIXELS, D, dtype=torch.float64, generator=rng))
    v, _ = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=rng))
    values = torch.logspace(0, -np.log10(condition), D, dtype=torch.float64)
    return (u * torch.where(torch.arange(D) < rank, values, 0.0)) @ v.mT


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4, 1e5])
@pytest.mark.parametrize("restarts", [1, 3])
def test_codes_of_data_that_no_code_makes_are_those_of_least_squares(
    condition: float, restarts: int, rng: torch.Generator
) -> None:
    matrix = of_condition(condition, rng)
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)
    found = recover_codes(linear(matrix), x, PRIOR, restarts=restarts, rng=rng)
    expected = torch.linalg.lstsq(matrix, x.mT).solution.mT
    assert (found.z - expected).norm(dim=1).max() <= 1e-6 * expected.norm(dim=1).max()
    assert_close(found.reconstruction_error, (expected @ matrix.mT - x).square().mean(1), rtol=1e-6, atol=0)
    assert found.converged.all()
    assert not found.met.any()


def test_directions_without_a_trace_are_left_where_they_were_and_the_rest_is_least_squares(rng: torch.Generator) -> None:
    """Up to what the search moved them; what the generator makes is the projection onto its range."""
    matrix = of_condition(1e2, rng, rank=4)
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)
    found = recover_codes(linear(matrix), x, PRIOR, rng=rng)
    assert_close(found.x_hat, x @ torch.linalg.pinv(matrix).mT @ matrix.mT, rtol=0, atol=1e-6)
    assert found.converged.all()
    assert found.z.abs().max() < 1e3
    assert (found.undetermined >= 2 / D - 1e-9).all()


def test_single_precision_reaches_least_squares_by_its_own_means(rng: torch.Generator) -> None:
    matrix = of_condition(1e2, rng)
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)
    network = nn.Linear(D, PIXELS, bias=False)
    network.weight.data = matrix.float()
    found = recover_codes(network, x.float(), Normal(D), rng=rng)
    expected = torch.linalg.lstsq(matrix, x.mT).solution.mT
    assert (found.z - expected).norm(dim=1).max() <= 1e-3 * expected.norm(dim=1).max()
    assert_close(found.loss.double(), (expected @ matrix.mT - x).square().mean(1), rtol=1e-5, atol=0)
    assert found.converged.all()


def test_a_support_that_binds_gives_bounded_least_squares(rng: torch.Generator) -> None:
    matrix = of_condition(30.0, rng)
    x = linear(matrix)(1.5 * torch.randn(6, D, dtype=torch.float64, generator=rng))
    x = x + 0.1 * torch.randn(6, PIXELS, dtype=torch.float64, generator=rng)
    found = recover_codes(linear(matrix), x, Uniform(D).double(), rng=rng)
    for z, datum in zip(found.z, x, strict=True):
        oracle = lsq_linear(matrix.numpy(), datum.numpy(), (-1, 1), tol=1e-14)
        assert (torch.from_numpy(oracle.active_mask) != 0).any()
        assert_close(z, torch.from_numpy(oracle.x), rtol=0, atol=1e-5)
    assert found.converged.all()


@pytest.mark.parametrize("noise", [0.03, 0.1, 0.3])
def test_codes_of_noisy_data_have_the_spread_of_least_squares_and_are_not_called_narrow(
    noise: float, rng: torch.Generator
) -> None:
    """With B^T B = m / d in each direction their variance is 1 + noise^2 d / m."""
    matrix = of_condition(1.0, rng) * (PIXELS / D) ** 0.5
    z = PRIOR.sample(300, rng=rng)
    x = linear(matrix)(z) + noise * torch.randn(300, PIXELS, dtype=torch.float64, generator=rng)
    found = recover_codes(linear(matrix), x, PRIOR, restarts=1, rng=rng)
    assert_close(found.z, x @ torch.linalg.pinv(matrix).mT, rtol=1e-6, atol=1e-9)
    assert found.z.std() > (1 + noise**2 * D / PIXELS) ** 0.5 * 0.96
    assert "narrower" not in goodness_of_fit(found.z, PRIOR).verdict


def test_a_pull_that_stays_is_a_regularizer_and_stands_in_the_result(rng: torch.Generator) -> None:
    matrix = random_matrix(PIXELS, D, rng)
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)
    free = recover_codes(linear(matrix), x, PRIOR, rng=rng)
    held = recover_codes(linear(matrix), x, PRIOR, regularizer=L2(), weight=0.1, rng=rng)
    assert (free.regularizer, free.weight) == (None, 0.0)
    assert held.regularizer == "L2()"
    assert held.weight == pytest.approx(0.1 * matrix.square().sum().item() / PIXELS, rel=0.2)  # times the samples' variance
    assert (held.z.norm(dim=1) < free.z.norm(dim=1)).all()
    assert (held.reconstruction_error > free.reconstruction_error).all()  # the price
    assert_close(held.loss, held.reconstruction_error + held.weight * held.z.square().mean(1))


@pytest.mark.parametrize("solver", [LevenbergMarquardt(), LBFGS()], ids=["Levenberg-Marquardt", "L-BFGS"])
def test_a_weight_means_the_same_in_all_units(solver: LevenbergMarquardt | LBFGS, rng: torch.Generator) -> None:
    matrix = random_matrix(PIXELS, D, rng)
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)

    def found(scale: float) -> Recovery:
        starts = torch.Generator().manual_seed(1)
        return recover_codes(
            linear(scale * matrix), scale * x, PRIOR, regularizer=L2(), solver=solver, restarts=1, rng=starts
        )

    one, other = found(1.0), found(255.0)
    assert_close(other.z, one.z, rtol=0, atol=1e-6)
    assert_close(other.weight, 255**2 * one.weight)
    assert_close(other.loss, 255**2 * one.loss)


def test_an_end_of_the_budget_is_no_convergence(rng: torch.Generator) -> None:
    matrix = of_condition(1e4, rng)
    x = torch.randn(3, PIXELS, dtype=torch.float64, generator=rng)
    for solver in (LevenbergMarquardt(steps=1), LBFGS(steps=2)):
        assert not recover_codes(linear(matrix), x, PRIOR, solver=solver, restarts=1, rng=rng).converged.any()
