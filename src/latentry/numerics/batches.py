"""A function of rows, applied to a batch of them at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["in_batches"]


def in_batches(function: Callable[..., Tensor], *x: Tensor, size: int) -> Tensor:
    """f(x) for a function that treats each row alone, `size` rows at a time, so that memory does not grow with n.

    The batches go through the function in the order of the rows, so that a function that draws random numbers draws the same
    at every call with the same state. Gradients, the dtype and the device are those of the function: call it under
    `torch.no_grad()` where no gradient is wanted, and move the batch inside it where x lies elsewhere. Of no rows at all one
    empty batch is made, so that the result has its shape and type.

    Args:
        function: Rows `(m, *s)`, one argument for each of `x`, to a tensor with m rows.
        x: The rows `(n, *s)`; several tensors are cut alike.
        size: Rows at a time, at least 1.

    Raises:
        ValueError: The tensors differ in their number of rows.

    Example:
        >>> in_batches(lambda x: x.square(), torch.arange(5), size=2)
        tensor([ 0,  1,  4,  9, 16])
        >>> in_batches(torch.add, torch.arange(3), torch.ones(3), size=2)
        tensor([1., 2., 3.])
    """
    if len({len(one) for one in x}) > 1:
        raise ValueError(f"expected tensors with one number of rows, got {[len(one) for one in x]}; cut them alike")
    return torch.cat([function(*rows) for rows in zip(*(one.split(size) for one in x), strict=True)])
