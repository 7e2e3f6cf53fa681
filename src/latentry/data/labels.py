"""The labels of items: a class, signed attributes, the published split.

A signed attribute is +1 (present), -1 (absent) or 0 (unknown). Sources that write nothing but 0 and 1 mean absent by 0, so
that there 0 is read as -1; one -1 anywhere in the table means that its zeros are unknowns. Attributes that were measured are
another matter: there -1 is the reverse of +1, and 0 lies between them (`zeros="neutral"`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

__all__ = ["Labels", "Zeros", "check_classes", "classes", "signed_attributes"]

_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]+)?")
MOST_EMPTY = 1000
"""Classes that there may be however few the items."""

Zeros = Literal["unknown", "neutral"]
"""What attributes of 0 mean."""


@dataclass(frozen=True)
class Labels:
    """Classes, attributes or both of the items of a source, in its order."""

    y: Int[Tensor, "n"] | None = None
    """Class of each item."""
    class_names: tuple[str, ...] = ()
    """Name of each class."""
    attributes: Int[Tensor, "n k"] | None = None
    """Signed attributes of each item."""
    attribute_names: tuple[str, ...] = ()
    """Name of each attribute."""
    zeros: Zeros = "unknown"
    """What attributes of 0 mean."""
    published: dict[str, Tensor] = field(default_factory=dict)
    """Item numbers of the splits that the source itself defines."""

    def __len__(self) -> int:
        targets = self.y if self.y is not None else self.attributes
        assert targets is not None, "a source has classes or attributes"
        return len(targets)

    @property
    def strata(self) -> Int[Tensor, "n"]:
        """What splits are stratified by: the class, or nothing where there are only attributes."""
        return self.y if self.y is not None else torch.zeros(len(self), dtype=torch.int64)


def check_classes(y: Int[Tensor, "n"], source: str, *, named: int = 0) -> None:
    """Make sure that class numbers count classes: from 0 on, and few beside the items.

    Args:
        y: One class for each item.
        source: What errors name.
        named: How many classes have names.

    Raises:
        ValueError: A number is negative, or so large that most classes would have no item.
    """
    low, high, most = int(y.min()), int(y.max()), max(MOST_EMPTY, len(y), named)
    if low < 0 or high >= most:
        raise ValueError(
            f"expected classes from 0 to {most - 1:,} at most for the {len(y):,} items of {source}, got "
            f"{low if low < 0 else high}; number them from 0"
        )


def classes(names: Sequence[str]) -> tuple[Int[Tensor, "n"], tuple[str, ...]]:
    """Class numbers for one class name per item, and the names in the order of the numbers, sorted.

    Names that are all numbers are sorted as numbers: 1, 2, 10.

    Example:
        >>> classes(["10", "2", "1", "2"])
        (tensor([2, 1, 0, 1]), ('1', '2', '10'))
    """
    as_numbers = all(_NUMBER.fullmatch(name) for name in names)
    class_names = tuple(sorted(set(names), key=lambda name: (float(name) if as_numbers else 0.0, name)))
    numbers = {name: number for number, name in enumerate(class_names)}
    return torch.tensor([numbers[name] for name in names], dtype=torch.int64), class_names


def signed_attributes(values: Int[Tensor, "n k"], known: Bool[Tensor, "n k"]) -> Int[Tensor, "n k"]:
    """Attributes -1, 0, +1 from values that use either these or only 0 and 1; 0 where not known."""
    signed = values if (values == -1).any() else 2 * values - 1
    return signed * known
