"""Annotations of arguments: their alternatives, which of them are arrays, and their description in messages."""

import inspect
import math
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from jaxtyping import AbstractArray
from torch import Tensor

__all__ = ["Parameter", "parameters", "takes_type"]


@dataclass(frozen=True)
class Parameter:
    """An argument as its annotation describes it."""

    name: str
    arrays: tuple[Any, ...]
    """Alternatives that are arrays of a type and a shape, `Float[Tensor, "n d"]` and the like."""
    others: tuple[Any, ...]
    """All other alternatives, None among them."""

    @property
    def of_any_type(self) -> bool:
        """Whether it takes arrays of any type (`Shaped`)."""
        return any(_has(array, "float32") and _has(array, "uint8") for array in self.arrays)

    @property
    def last_axis(self) -> str | None:
        """Name of the last axis of the arrays; None without one."""
        return next((array.dim_str.split()[-1] for array in self.arrays if array.dim_str), None)

    @property
    def many_batches(self) -> bool:
        """Whether any number of axes may stand before the named ones, and so batches of no codes."""
        return any(array.dim_str.startswith(("*", "...")) for array in self.arrays)

    @property
    def only_batches(self) -> bool:
        """Whether the arrays have no axis but those of batches, of which there may be none."""
        return all(array.dim_str.startswith(("*", "...")) and " " not in array.dim_str for array in self.arrays)

    def takes(self, value: Any) -> bool:
        """Whether one of the alternatives that are no arrays takes a value."""
        return any(_takes(other, value) for other in self.others)

    def arrays_of(self, ndim: int) -> tuple[Any, ...]:
        """Alternatives with so many axes; all of them where none has."""
        return tuple(array for array in self.arrays if _has_axes(array, ndim)) or self.arrays

    def has_axes(self, ndim: int) -> bool:
        """Whether an alternative has so many axes."""
        return any(_has_axes(array, ndim) for array in self.arrays)

    @property
    def in_words(self) -> str:
        """What is expected."""
        words = []
        for kind, dtype in (("any", "uint8"), ("floating", "float32"), ("whole", "int64"), ("bool", "bool")):
            shapes = [_shape(array) for array in self.arrays if _has(array, dtype)]
            if shapes:
                words.append(f"a tensor of {kind} type and shape {' or '.join(dict.fromkeys(shapes))}")
            if kind == "any" and shapes:
                break
        *first, last = dict.fromkeys([*words, *map(_in_words, self.others)])
        return f"{', '.join(first)} or {last}" if first else last


def parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """All annotated arguments of a function but `*args` and `**kwargs`.

    Example:
        >>> def moved(z: Tensor, by: float = 1.0) -> Tensor: ...
        >>> [one.name for one in parameters(moved)]
        ['z', 'by']
    """
    gathering = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = []
    for name, one in inspect.signature(function).parameters.items():
        if one.annotation is not inspect.Parameter.empty and one.kind not in gathering:
            alternatives = tuple(_alternatives(one.annotation))
            arrays = tuple(part for part in alternatives if inspect.isclass(part) and issubclass(part, AbstractArray))
            found.append(Parameter(name, arrays, tuple(part for part in alternatives if part not in arrays)))
    return tuple(found)


def takes_type(array: Any, tensor: Tensor) -> bool:
    """Whether an array annotation takes the type of a tensor, whatever its shape.

    Example:
        >>> import torch
        >>> from jaxtyping import Float
        >>> takes_type(Float[Tensor, "n"], torch.zeros(2)), takes_type(Float[Tensor, "n"], torch.zeros(2).long())
        (True, False)
    """
    return _has(array, str(tensor.dtype).removeprefix("torch."))


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one)
    else:
        yield annotation


def _has(array: Any, dtype: str) -> bool:
    return not isinstance(array.dtypes, Collection) or dtype in array.dtypes


def _has_axes(array: Any, ndim: int) -> bool:
    axes = array.dim_str.split()
    several = any(axis.startswith(("*", "...")) for axis in axes)
    return ndim >= len(axes) - 1 if several else ndim == len(axes)


def _shape(array: Any) -> str:
    axes = array.dim_str.split()
    return f"({axes[0]},)" if len(axes) == 1 and not axes[0].startswith(("*", "...")) else f"({', '.join(axes)})"


def _takes(alternative: Any, value: Any) -> bool:
    """Whether an alternative takes a value. What is not understood takes all: the function itself then has to look."""
    origin, args = get_origin(alternative), get_args(alternative)
    if alternative is float:
        return isinstance(value, Real) and not math.isnan(value)
    if alternative is int:
        return isinstance(value, Integral)
    if alternative is Any or origin is Literal or isinstance(alternative, str | TypeVar):
        return True
    if Callable in (origin, alternative):
        return callable(value)
    kind = alternative if origin is None else origin
    if args == (Tensor,) and isinstance(value, list | tuple) and not all(isinstance(part, Tensor) for part in value):
        return False  # rows of numbers are no batches
    if isinstance(value, str | bytes | Mapping) and kind in (Collection, Iterable, Sequence):
        return False  # letters and names are no items
    try:
        return isinstance(value, kind)
    except TypeError:
        return True


def _in_words(alternative: Any) -> str:
    known = {types.NoneType: "None", float: "a number", int: "a whole number", str: "a text", bool: "True or False"}
    if alternative in known:
        return known[alternative]
    if get_origin(alternative) is Callable:
        return "a callable"
    name = getattr(alternative, "__name__", str(alternative).removeprefix("typing."))
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
