"""L-BFGS on losses whose minimum is known."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.testing import assert_close
from toy_generators import linear, random_matrix, squashed

from latentry.latent.recovery import Recovery, recover_codes
from latentry.latent.regularizers import L2, Regularizer, StatisticalDistance
from latentry.latent.schedules import Annealed
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.lbfgs import LBFGS
from latentry.priors import Normal

D, PIXELS = 6, 20


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return random_matrix(PIXELS, D, rng)


@pytest.fixture
def prior() -> Normal:
    return Normal(D).double()


def test_a_convex_loss_has_the_minimum_that_scipy_finds(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    """The difference to log(1 + e^s) of a linear map, with a quartic regularizer."""
    x = -torch.rand(3, PIXELS, dtype=torch.float64, generator=rng)  # below the generator's range: the loss is convex

    def generator(z: Tensor) -> Tensor:
        return torch.nn.functional.softplus(z @ matrix.mT)

    def quartic(z: Tensor, prior: object) -> Tensor:
        return z.pow(4).mean(1)

    found = recover_codes(
        generator, x, prior, regularizer=quartic, weight=0.1, unit=1.0, solver=LBFGS(history=5), restarts=1, rng=rng
    )
    for datum, loss, z in zip(x, found.loss, found.z, strict=True):

        def value_and_slope(code: np.ndarray, datum: Tensor = datum) -> tuple[float, np.ndarray]:
            z = torch.from_numpy(code)[None].requires_grad_(True)
            value = (generator(z) - datum).square().mean() + 0.1 * quartic(z, None).sum()
            return value.item(), torch.autograd.grad(value, z)[0][0].numpy()

        oracle = minimize(value_and_slope, np.zeros(D), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
        assert_close(loss.item(), oracle.fun, rtol=1e-9, atol=0)
        assert_close(z.numpy(), oracle.x, rtol=0, atol=1e-5)


def test_codes_of_a_squashed_generator_are_found_where_gradient_descent_is_far_from_them(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    z = prior.sample(6, rng=rng)
    x = squashed(matrix)(z)

    def found(solver: LBFGS | Adam) -> Recovery:
        return recover_codes(squashed(matrix), x, prior, solver=solver, restarts=4, rng=torch.Generator().manual_seed(1))

    newton = found(LBFGS(steps=60))
    assert (newton.z - z).square().mean(1).max() < 1e-8
    descent = found(Adam(steps=math.ceil(newton.evaluations.max().item() / (3 * 4))))  # at the same price
    assert (descent.z - z).square().mean(1).max() > 1e-4


@pytest.mark.parametrize("weight", [0.3, Annealed(10.0, 0.3, over=0.5)], ids=["constant", "annealed"])
@pytest.mark.parametrize("regularizer", [L2(), StatisticalDistance("energy"), StatisticalDistance("wasserstein")], ids=repr)
def test_the_minimum_is_that_of_adam_to_a_percent_with_any_regularizer_and_weight(
    regularizer: Regularizer, weight: float | Annealed, matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    x = torch.randn(4, PIXELS, dtype=torch.float64, generator=rng)
    newton, descent = (
        recover_codes(
            linear(matrix),
            x,
            prior,
            regularizer=regularizer,
            weight=weight,
            solver=solver,
            restarts=3,
            rng=torch.Generator().manual_seed(2),
        )
        for solver in (LBFGS(steps=60), Adam(steps=200))
    )
    assert (newton.loss <= 1.01 * descent.loss).all()


def test_rows_do_not_influence_each_other(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    starts = 3 * prior.sample(5, rng=rng)
    x = squashed(matrix)(prior.sample(5, rng=rng))

    def found(rows: slice, batch_size: int) -> Recovery:
        return recover_codes(
            squashed(matrix),
            x[rows],
            prior,
            solver=LBFGS(steps=12),
            start=starts[rows],
            restarts=1,
            batch_size=batch_size,
            rng=rng,
        )

    together = found(slice(None), 100)
    for result, rows in ((found(slice(None), 2), slice(None)), (found(slice(3, 4), 100), slice(3, 4))):
        assert_close(result.z, together.z[rows], rtol=0, atol=1e-8)
        assert torch.equal(result.evaluations, together.evaluations[rows])


def test_a_length_at_which_the_generator_breaks_is_shortened(prior: Normal, rng: torch.Generator) -> None:
    """Beyond 2 there is only NaN, and a code broken from the start is given up without the others."""

    def breaks_far_out(z: Tensor) -> Tensor:
        return torch.where(z > 2.0, torch.nan, 1.0) * z.exp()

    x = torch.full((2, D), 1.9, dtype=torch.float64).exp()
    starts = torch.stack([-torch.ones(D), 3 * torch.ones(D)]).double()
    found = recover_codes(breaks_far_out, x, _Shallow(D), solver=LBFGS(), start=starts, restarts=1, rng=rng)
    assert_close(found.z[0], torch.full((D,), 1.9, dtype=torch.float64), rtol=0, atol=1e-5)
    assert found.converged.tolist() == [True, False]
    assert found.loss[1].isinf()


class _Shallow(Normal):
    """Codes that the generator above does not break for, to pass the driver's trial."""

    def sample(self, *arguments: object, **keywords: object) -> Tensor:
        return super().sample(*arguments, **keywords).double().clamp(max=1.5)  # type: ignore[arg-type]


def test_every_length_costs_a_forward_pass_and_a_gradient(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    gradients = 0

    def counted(z: Tensor) -> Tensor:
        nonlocal gradients
        gradients += z.requires_grad and len(z) == 1  # not those of the check before, which has more rows
        return squashed(matrix)(z)

    x = squashed(matrix)(prior.sample(1, rng=rng))
    found = recover_codes(counted, x, prior, solver=LBFGS(steps=15), restarts=1, determination=False, rng=rng)
    assert gradients > 15
    assert found.evaluations.item() == 3 * gradients + 2  # evaluated where it was found, and once more at the minimum


@pytest.mark.parametrize("change", [{"steps": 0}, {"history": 0}, {"trials": 0}, {"halve_at": (1.0,)}])
def test_numbers_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LBFGS(**change)
