"""Sorted elements against torch's own sort, in every kind of derivative."""

import math

import pytest
import torch
from torch.func import grad, jvp, vmap
from torch.testing import assert_close

from latentry.numerics.sorting import sorted_elements

dtypes = pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])


@dtypes
@pytest.mark.parametrize("shape", [(7,), (3, 1), (0, 4), (20_000,), (40, 300), (4, 5, 700), (9_000, 1)])
def test_elements_are_in_the_order_torch_puts_them_in(
    dtype: torch.dtype, shape: tuple[int, ...], rng: torch.Generator
) -> None:
    z = (torch.randn(shape, generator=rng) * 10.0 ** torch.randint(-30, 30, shape, generator=rng)).to(dtype)
    assert torch.equal(sorted_elements(z), z.sort(-1).values)


@dtypes
def test_zeros_of_both_signs_infinities_and_the_least_numbers_keep_their_places(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    z = torch.tensor([[0.0, -tiny, math.inf, -0.0, tiny, -math.inf, -1.0, 1.0]], dtype=dtype)
    z = z.repeat(2000, 1)
    assert torch.equal(sorted_elements(z), z.sort(-1).values)
    broken = torch.tensor([math.nan, 1.0, -math.nan], dtype=dtype).repeat(4000, 1)
    assert (sorted_elements(broken).isnan().sum(1) == 2).all()


def test_a_view_that_is_not_contiguous_is_sorted_along_its_last_axis(rng: torch.Generator) -> None:
    z = torch.randn(100, 200, generator=rng).mT
    assert torch.equal(sorted_elements(z), z.sort(-1).values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_go_to_where_the_elements_were(dtype: torch.dtype, rng: torch.Generator) -> None:
    z = torch.randn(30, 900, dtype=dtype, generator=rng, requires_grad=True)
    weight = torch.arange(900, dtype=dtype)
    (gradient,) = torch.autograd.grad((sorted_elements(z) * weight).sum(), z)
    assert_close(gradient, z.argsort(-1).argsort(-1).to(dtype))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of torch itself
def test_forward_mode_and_vectorised_maps_go_through(rng: torch.Generator) -> None:
    z, tangent = torch.randn(2, 12, 9_000, dtype=torch.float64, generator=rng)  # no ties
    value, moved = jvp(sorted_elements, (z,), (tangent,))
    assert torch.equal(value, z.sort(-1).values)
    assert torch.equal(moved, tangent.gather(-1, z.argsort(-1)))
    assert torch.equal(vmap(sorted_elements)(z), value)
    assert torch.equal(vmap(sorted_elements, in_dims=1)(z.mT), value)
    slopes = vmap(grad(lambda z: (sorted_elements(z) * value[0]).sum()))(z)
    assert_close(slopes, value[0][z.argsort(-1).argsort(-1)])


def test_second_derivatives_are_those_of_the_values(rng: torch.Generator) -> None:
    z = torch.randn(10, 1000, dtype=torch.float64, generator=rng, requires_grad=True)
    (first,) = torch.autograd.grad(sorted_elements(z).pow(3).sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z)
    assert_close(second, 6 * z.detach())
