"""Edit leakage: which attributes does an edit change, intended or not?

Moves are counted in units of the attribute's own standard deviation, so that attributes compare: the mean move, and the mean
size of it, since an edit that moves half of the data up and half down has leaked all the same.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentry.evaluation.estimates import mean_estimate
from latentry.holding import evaluated
from latentry.numerics.interval import Interval

__all__ = ["AttributeShift", "EditLeakage", "edit_leakage"]


@dataclass(frozen=True)
class AttributeShift:
    """How far an edit moved one attribute.

    Example:
        >>> AttributeShift("size", True, 1.0, Interval(0.5, 0.4, 0.6), Interval(0.5, 0.4, 0.6)).moved
        True
    """

    name: str
    """The attribute."""
    intended: bool
    """Whether the edit was meant to move it."""
    unit: float
    """Its standard deviation before the edit, or over the reference: what the moves are counted in."""
    shift: Interval
    """Mean move, with its sign."""
    magnitude: Interval
    """Mean size of the moves, without their sign."""

    @property
    def moved(self) -> bool:
        """Whether the mean move differs from 0."""
        return not self.shift.low <= 0 <= self.shift.high


@dataclass(frozen=True)
class EditLeakage:
    """How far an edit moved each attribute, meant or not.

    Example:
        >>> import torch
        >>> x = torch.randn(50, generator=torch.Generator().manual_seed(0))
        >>> edit_leakage({"size": lambda x: x}, x, x + 1).leaked
        ('size',)
    """

    shifts: tuple[AttributeShift, ...]
    """One for each attribute; all shift intervals hold together at the given level, and so do all those of magnitude."""

    @property
    def leaked(self) -> tuple[str, ...]:
        """Attributes that moved and should not have."""
        return tuple(row.name for row in self.shifts if row.moved and not row.intended)

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.shifts) + 2
        rows = [f"{row.name:{width}}{row.shift!s:28}{row.magnitude!s:28}{'meant' * row.intended}" for row in self.shifts]
        return "\n".join(line.rstrip() for line in [f"{'':{width}}{'shift (std)':28}{'magnitude (std)':28}", *rows])


def edit_leakage(
    attributes: Mapping[str, Callable[[Any], Tensor]],
    x: Any,
    x_edited: Any,
    *,
    intended: Collection[str] = (),
    reference: Any | None = None,
    level: float = 0.95,
) -> EditLeakage:
    """Measure how far an edit moved each attribute, in units of the attribute's standard deviation.

    Reference: the module's theory; Student's intervals, with Bonferroni's correction over the attributes.

    Args:
        attributes: Measures by name, each from data to one number a datum, `(n,)`; their modules are held in eval mode.
        x, x_edited: The data before and after, in the same order.
        intended: Names of the attributes that the edit was meant to move.
        reference: Data whose spread gives the units; None for `x`. The units count as known.
        level: Level at which the intervals of all attributes hold together.

    Raises:
        ValueError: A measure returns another shape, NaN or a constant, data are fewer than two, or a name is unknown.

    Example:
        >>> import torch
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> edited = x + torch.tensor([1.0, 0.0])
        >>> attributes = {"first": lambda x: x[:, 0], "second": lambda x: x[:, 1]}
        >>> found = edit_leakage(attributes, x, edited, intended=["first"])
        >>> found.leaked, [row.moved for row in found.shifts]
        ((), [True, False])
    """
    if not attributes or not set(intended) <= set(attributes):
        raise ValueError(f"expected attributes, and intended ones among {[*attributes]}, got {[*intended]}")
    each = 1 - (1 - level) / len(attributes)

    def measured(name: str, data: Any) -> Tensor:
        with evaluated(attributes[name]) as (attribute,), torch.no_grad():
            values = attribute(data).detach().cpu().double()
        if values.shape != (len(data),) or len(values) < 2 or not values.isfinite().all():
            raise ValueError(
                f"expected one finite number for each of {len(data)} data (two or more) from attribute {name!r}, got shape "
                f"{tuple(values.shape)} with {int((~values.isfinite()).sum())} not finite"
            )
        return values

    rows = []
    for name in attributes:
        before, after = measured(name, x), measured(name, x_edited)
        if len(before) != len(after):
            raise ValueError(
                f"expected the data after in the order of before, got {len(before)} before and {len(after)} after"
            )
        unit = (before if reference is None else measured(name, reference)).std().item()
        if unit == 0:
            raise ValueError(
                f"expected attribute {name!r} to vary, got one value throughout; pass data on which it varies as reference"
            )
        move = (after - before) / unit
        rows.append(AttributeShift(name, name in intended, unit, mean_estimate(move, each), mean_estimate(move.abs(), each)))
    return EditLeakage(tuple(rows))
