"""Conditions: what a conditional generator G(z, c) takes beside codes, one row for each of them.

A condition is a tensor with one row for each datum (labels as whole numbers, one-hot rows, embeddings, images), or a dict of
such tensors. Where codes are put into batches, sorted, repeated or left out, the rows of their condition go along. The
generator is called as `generator(z, condition)`: floating-point numbers in the dtype of the codes, all others as they are,
everything on the device of the codes.

Functions that are given codes or data take row i for datum i. Functions that draw codes take row i for draw i if there are
as many rows as draws; otherwise they draw rows from the given ones (`for_draws`), so that samples have the distribution of
the given conditions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from latentry.numerics.batches import in_batches
from latentry.numerics.inputs import as_tensor

__all__ = [
    "Condition",
    "arguments",
    "as_condition",
    "beside",
    "called",
    "condition_from_named",
    "cycled",
    "drawn_rows",
    "for_draws",
    "in_each_part",
    "joined",
    "made",
    "named_parts",
    "rows_at",
]

Condition = Shaped[Tensor, "..."] | Mapping[str, Tensor]
"""One row for each datum, or a dict of parts that have one each."""

_NAME = "condition"


def as_condition(condition: Any, count: int | None = None, device: torch.device | None = None) -> Condition | None:
    """A condition with a row for each datum, as tensors without a graph; None stays None.

    Args:
        condition: A tensor, what can be made one, or a dict of these.
        count: Rows that there should be; None where any number will do.
        device: Where it should be; None leaves it where it is.

    Raises:
        ValueError: It has no rows, another number of them or several numbers, holds NaN or infinity, or is nothing of this
            kind.

    Example:
        >>> as_condition([3, 1], 2)
        tensor([3, 1])
        >>> as_condition({"label": torch.tensor([3, 1]), "age": torch.rand(3)})
        Traceback (most recent call last):
        ...
        ValueError: expected one number of rows in all parts of the condition, got 2 in label, 3 in age; ...
    """
    if condition is None:
        return None
    if isinstance(condition, Mapping) and not (condition and all(isinstance(name, str) for name in condition)):
        raise ValueError(f"expected a condition with a name for each part, got the names {[*condition]}; pass a dict")
    named = condition if isinstance(condition, Mapping) else {_NAME: condition}
    parts = {name: as_tensor(name, part).detach() for name, part in named.items()}
    for name, part in parts.items():
        if part.ndim == 0 or len(part) == 0:
            raise ValueError(
                f"expected a condition with one row for each datum, got {name} of shape {tuple(part.shape)}; "
                "repeat it for each datum"
            )
        if (part.is_floating_point() or part.is_complex()) and not part.isfinite().all():
            raise ValueError(f"expected a finite condition, got NaN or infinity in {name}; drop these data")
    counts = {name: len(part) for name, part in parts.items()}
    if len(set(counts.values())) > 1:
        got = ", ".join(f"{rows} in {name}" for name, rows in counts.items())
        raise ValueError(
            f"expected one number of rows in all parts of the condition, got {got}; give each datum one of each"
        )
    rows = next(iter(counts.values()))
    if count is not None and rows != count:
        raise ValueError(
            f"expected a condition with {count} rows, one for each datum, got {rows}; pass one row for each, "
            "such as condition.expand(n, -1) of a single one"
        )
    placed = {name: part.to(device) for name, part in parts.items()}
    return placed if isinstance(condition, Mapping) else placed[_NAME]


def in_each_part(function: Callable[..., Tensor], *conditions: Condition | None) -> Any:
    """A function of tensors, applied to each part of conditions that are alike; None of none.

    Example:
        >>> in_each_part(torch.neg, {"a": torch.ones(1), "b": torch.zeros(1)})
        {'a': tensor([-1.]), 'b': tensor([-0.])}
    """
    first = conditions[0]
    if first is None:
        return None
    if isinstance(first, Mapping):
        return {name: function(*(one[name] for one in conditions)) for name in first}  # type: ignore[index]
    return function(*conditions)


def rows_at(condition: Condition | None, index: Tensor | slice) -> Any:
    """The rows at these numbers, at the true places of a mask, or of this slice.

    Example:
        >>> rows_at(torch.tensor([5, 6, 7]), torch.tensor([2, 0, 0]))
        tensor([7, 5, 5])
    """
    return in_each_part(lambda part: part[index], condition)


def joined(conditions: Sequence[Condition | None]) -> Any:
    """The rows of several conditions, one after another."""
    return in_each_part(lambda *parts: torch.cat(parts), *conditions)


def cycled(condition: Condition | None, count: int) -> Any:
    """So many rows, the given ones over and over: for codes on which a generator is tried.

    Example:
        >>> cycled(torch.tensor([5, 6]), 3)
        tensor([5, 6, 5])
    """
    return condition if condition is None else rows_at(condition, torch.arange(count) % _count(condition))


def for_draws(condition: Condition | None, count: int, rng: torch.Generator | None) -> Any:
    """Rows for codes that are drawn: row i for draw i where there are as many, else rows drawn with replacement.

    Args:
        condition: The given rows.
        count: Number of draws.
        rng: Source of the rows, on any device; not used where there are as many.

    Example:
        >>> for_draws(torch.tensor([5, 6]), 2, None), for_draws(torch.tensor([5]), 3, None)
        (tensor([5, 6]), tensor([5, 5, 5]))
    """
    if condition is None or _count(condition) == count:
        return condition
    return drawn_rows(condition, count, rng)


def drawn_rows(condition: Condition | None, count: int, rng: torch.Generator | None) -> Any:
    """Rows drawn from the given ones, with replacement."""
    if condition is None:
        return None
    device = None if rng is None else rng.device
    return rows_at(condition, torch.randint(_count(condition), (count,), generator=rng, device=device).cpu())


def beside(condition: Condition | None, z: Tensor) -> Any:
    """A condition as the generator takes it along with codes: on their device, floating-point numbers in their dtype.

    Example:
        >>> beside({"label": torch.tensor([1]), "age": torch.zeros(1)}, torch.zeros(1, 2).double())["age"].dtype
        torch.float64
    """
    return in_each_part(lambda part: part.to(z) if part.is_floating_point() else part.to(z.device), condition)


def arguments(z: Tensor, condition: Condition | None) -> tuple[Any, ...]:
    """What a generator is called with: codes, and a condition where there is one."""
    return (z,) if condition is None else (z, beside(condition, z))


def called(generator: Callable[..., Any], z: Float[Tensor, "n d"], condition: Condition | None = None) -> Any:
    """G(z), or G(z, c) of a conditional generator.

    Example:
        >>> called(lambda z, c: z + c, torch.zeros(2, 1), torch.tensor([[1.0], [2.0]]))
        tensor([[1.],
                [2.]])
    """
    return generator(*arguments(z, condition))


def made(
    generator: Callable[..., Any], z: Float[Tensor, "n d"], condition: Condition | None = None, *, size: int
) -> Float[Tensor, "n *s"]:
    """What a generator makes of codes, so many of them at a time.

    Example:
        >>> made(lambda z, c: z + c[:, None], torch.zeros(3, 1), torch.tensor([1, 2, 3]), size=2).flatten()
        tensor([1., 2., 3.])
    """
    rows = torch.arange(len(z))
    return in_batches(lambda part, at: called(generator, part, rows_at(condition, at)), z, rows, size=size)


def named_parts(condition: Condition | None) -> dict[str, Tensor]:
    """The tensors of a condition by the names that files give them: `condition`, or `condition.NAME` of a dict.

    Example:
        >>> named_parts({"label": torch.tensor([1])})
        {'condition.label': tensor([1])}
    """
    if isinstance(condition, Mapping):
        return {f"{_NAME}.{name}": part for name, part in condition.items()}
    return {} if condition is None else {_NAME: condition}


def condition_from_named(tensors: Mapping[str, Tensor]) -> Any:
    """What `named_parts` took apart, from among other tensors of a file; None where there is none.

    Example:
        >>> condition_from_named({"z": torch.zeros(1, 2), "condition": torch.tensor([1])})
        tensor([1])
    """
    if _NAME in tensors:
        return tensors[_NAME]
    parts = {name.removeprefix(f"{_NAME}."): part for name, part in tensors.items() if name.startswith(f"{_NAME}.")}
    return parts or None


def _count(condition: Condition) -> int:
    return len(next(iter(condition.values())) if isinstance(condition, Mapping) else condition)
