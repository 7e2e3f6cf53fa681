"""A function of rows, a batch at a time, is that function."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.batches import in_batches


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_together_are_the_function_of_all_rows(size: int, rng: torch.Generator) -> None:
    x, weights = torch.randn(7, 4, generator=rng), torch.randn(4, 2, generator=rng)
    assert_close(in_batches(lambda part: part @ weights, x, size=size), x @ weights)
    assert_close(in_batches(torch.mul, x, x + 1, size=size), x * (x + 1))


def test_gradients_types_and_draws_are_those_of_the_function(rng: torch.Generator) -> None:
    x = torch.ones(5, 2, requires_grad=True)
    in_batches(lambda part: part.double() ** 3, x, size=2).sum().backward()
    assert x.grad is not None
    assert_close(x.grad, torch.full((5, 2), 3.0))
    with torch.no_grad():
        assert not in_batches(torch.sin, x, size=2).requires_grad
    assert in_batches(lambda part: part.argmax(1), x, size=2).dtype == torch.int64

    def noisy(part: Tensor) -> Tensor:
        return part + torch.rand(len(part), 1, generator=rng)

    state = rng.get_state()
    first = in_batches(noisy, x.detach(), size=2)
    rng.set_state(state)
    assert torch.equal(first, in_batches(noisy, x.detach(), size=2))


def test_no_rows_give_none_of_the_right_shape() -> None:
    assert in_batches(lambda part: part @ torch.ones(4, 2), torch.empty(0, 4), size=3).shape == (0, 2)


def test_tensors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one number of rows, got \[3, 2\]"):
        in_batches(torch.add, torch.ones(3), torch.ones(2), size=2)
