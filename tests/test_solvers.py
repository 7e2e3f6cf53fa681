"""One problem tests all solvers: linear generators, whose best codes are known in closed form.

For G(z) = A z, data x and the loss |A z - x|^2 / m + w |z|^2 / d the best code is ridge regression,
(A'A / m + w / d I)^-1 A'x / m; without a regularizer it is the pseudo-inverse of A times x.
"""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_generators import linear, random_matrix

import latentry as lt
from latentry.latent.solvers.solver import Solver

D, PIXELS = 6, 20
PRIOR = lt.priors.Normal(D).double()

SOLVERS: dict[str, tuple[Solver, float, float]] = {
    "Levenberg-Marquardt": (lt.solvers.LevenbergMarquardt(steps=60), 1e-6, 1e-7),
    "L-BFGS": (lt.solvers.LBFGS(), 0.0, 1e-6),
    "Adam": (lt.solvers.Adam(steps=600, learning_rate=0.1), 0.0, 1e-5),
}
"""Solvers, and how near to the best code they come: relatively and absolutely."""
all_solvers = pytest.mark.parametrize(("solver", "rtol", "atol"), SOLVERS.values(), ids=SOLVERS)


def problem(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A, and data that no code makes."""
    return random_matrix(PIXELS, D, rng), torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)


def ridge(matrix: Tensor, x: Tensor, weight: float) -> Tensor:
    gram = matrix.mT @ matrix / PIXELS + weight / D * torch.eye(D, dtype=torch.float64)
    return torch.linalg.solve(gram, matrix.mT @ x.mT / PIXELS).mT


@all_solvers
def test_without_a_regularizer_the_code_is_that_of_the_pseudo_inverse(
    solver: Solver, rtol: float, atol: float, rng: torch.Generator
) -> None:
    matrix, x = problem(rng)
    found = lt.recover_codes(linear(matrix), x, PRIOR, solver=solver, restarts=2, rng=rng)
    assert_close(found.z, x @ torch.linalg.pinv(matrix).mT, rtol=rtol, atol=atol)
    assert found.converged.all()
    assert not found.met.any()


@all_solvers
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_with_l2_it_is_ridge_regression_in_whatever_unit_the_data_are(
    scale: float, solver: Solver, rtol: float, atol: float, rng: torch.Generator
) -> None:
    if isinstance(solver, lt.solvers.Adam):
        scale = max(scale, 0.01)  # its epsilon has a unit
    matrix, x = problem(rng)
    found = lt.recover_codes(
        linear(scale * matrix), scale * x, PRIOR, regularizer=lt.regularizers.L2(), weight=0.3, unit=scale**2, solver=solver,
        restarts=1, rng=rng,
    )  # fmt: skip
    assert_close(found.z, ridge(matrix, x, 0.3), rtol=rtol, atol=atol)
    assert found.converged.all()
