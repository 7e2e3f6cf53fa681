"""The Jacobian of functions whose derivative is known, for generators that allow ever less."""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.testing import assert_close

from latentry.latent.solvers.jacobian import JacobianMode, jacobian, jacobian_mode

D, M = 4, 9


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return torch.randn(M, D, dtype=torch.float64, generator=rng)


@pytest.fixture
def z(rng: torch.Generator) -> Tensor:
    return torch.randn(3, D, dtype=torch.float64, generator=rng)


class Sine(torch.autograd.Function):
    """A function written by hand, without forward derivatives, as of an extension in C++."""

    @staticmethod
    def forward(ctx: Any, s: Tensor) -> Tensor:
        ctx.save_for_backward(s)
        return s.sin()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (s,) = ctx.saved_tensors
        return gradient * s.cos()


class SineDerivedOnce(Sine):
    """The same, whose gradient has no gradient."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return Sine.backward(ctx, gradient)


def with_noise_of_a_fixed_seed(s: Tensor) -> Tensor:
    """What `torch.func.vmap` refuses, as noise might differ between its rows."""
    return s.sin() + torch.randn(M, generator=torch.Generator().manual_seed(0), dtype=s.dtype)


@pytest.mark.parametrize("mode", get_args(JacobianMode))
def test_every_mode_gives_values_and_columns(mode: JacobianMode, matrix: Tensor, z: Tensor) -> None:
    """The Jacobian of sin(A z) is diag(cos(A z)) A."""
    values, columns = jacobian(lambda z: (z @ matrix.mT).sin(), z, mode)
    assert_close(values, (z @ matrix.mT).sin())
    assert_close(columns, ((z @ matrix.mT).cos()[:, :, None] * matrix).mT)
    assert not columns.requires_grad


@pytest.mark.parametrize(
    ("sine", "mode"),
    [(torch.sin, "batched"), (with_noise_of_a_fixed_seed, "forward"), (Sine.apply, "backward")],
    ids=["of torch", "with noise of a fixed seed", "without forward derivatives"],
)
def test_the_mode_is_the_fastest_that_the_generator_allows(sine: Any, mode: str, matrix: Tensor, z: Tensor) -> None:
    def f(z: Tensor) -> Tensor:
        return sine(z @ matrix.mT)

    found = jacobian_mode(f, z)
    assert found == mode
    assert_close(jacobian(f, z, found)[1], ((z @ matrix.mT).cos()[:, :, None] * matrix).mT)


def test_a_generator_with_a_gradient_alone_is_sent_to_adam(matrix: Tensor, z: Tensor) -> None:
    with pytest.raises(ValueError, match=r"solver=Adam\(\)"):
        jacobian_mode(lambda z: SineDerivedOnce.apply(z @ matrix.mT), z)  # type: ignore[no-untyped-call]
