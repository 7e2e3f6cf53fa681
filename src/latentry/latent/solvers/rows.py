"""Operations on dataclasses of tensors with one row for each code: take rows, join, replace.

The driver of `latent.recovery` moves codes in and out of its batch; states of solvers and targets are of this kind, so that
it need not know what they hold.
"""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")

__all__ = ["choose", "join", "put", "take"]


def take(rows: T, index: Tensor | slice) -> T:
    """The rows at these numbers, at the true places of a mask, or of this slice."""
    return replace(rows, **{field.name: getattr(rows, field.name)[index] for field in fields(rows)})


def join(first: T, second: T) -> T:
    """The rows of both."""
    parts: dict[str, Any] = {
        field.name: torch.cat([getattr(first, field.name), getattr(second, field.name)]) for field in fields(first)
    }
    return replace(first, **parts)


def put(rows: T, index: Tensor, new: T) -> T:
    """The rows with those at these numbers replaced."""
    parts: dict[str, Any] = {
        field.name: getattr(rows, field.name).index_copy(0, index, getattr(new, field.name)) for field in fields(rows)
    }
    return replace(rows, **parts)


def choose(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows of `new` where a mask `(n,)` is true, of `old` elsewhere."""
    return torch.where(where.view(-1, *[1] * (new.ndim - 1)), new, old)
