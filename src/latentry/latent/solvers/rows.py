"""Operations on dataclasses of tensors with one row for each code: take rows, join, replace.

The driver of `latent.recovery` moves codes in and out of its batch; states of solvers and targets are of this kind, so that
it need not know what they hold. A field may also be a dict of tensors, or None, as conditions are.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from latentry.holding.conditions import in_each_part

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")

__all__ = ["choose", "join", "put", "take"]


def take(rows: T, index: Tensor | slice) -> T:
    """The rows at these numbers, at the true places of a mask, or of this slice."""
    return _each(lambda part: part[index], rows)


def join(first: T, second: T) -> T:
    """The rows of both."""
    return _each(lambda *parts: torch.cat(parts), first, second)


def put(rows: T, index: Tensor, new: T) -> T:
    """The rows with those at these numbers replaced."""
    return _each(lambda old, fresh: old.index_copy(0, index, fresh), rows, new)


def choose(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows of `new` where a mask `(n,)` is true, of `old` elsewhere."""
    return torch.where(where.view(-1, *[1] * (new.ndim - 1)), new, old)


def _each(function: Callable[..., Tensor], first: T, *others: T) -> T:
    """A function of tensors, applied to each field of dataclasses that are alike."""
    parts: dict[str, Any] = {
        field.name: in_each_part(function, *(getattr(rows, field.name) for rows in (first, *others)))
        for field in fields(first)
    }
    return replace(first, **parts)
