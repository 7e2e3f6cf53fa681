"""The one tensor in what a third-party generator returns: the tensor itself, or an entry of a tuple, dict or object."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

__all__ = ["Output", "OutputRange", "tensor_in"]

Output = str | int
"""Which entry holds the data: a key or attribute by its name, or a place in a tuple."""
OutputRange = tuple[int | float, int | float]
"""Both ends of the data, the lower one first."""


def tensor_in(returned: Any, output: Output | None = None) -> Tensor:
    """The data in what a generator returned.

    Args:
        returned: A tensor, or a tuple, a dict or an object that holds tensors.
        output: Which entry. None takes the only tensor there is.

    Raises:
        ValueError: There is no such entry, it is no tensor, or there are several and none is named.

    Example:
        >>> import torch
        >>> tensor_in({"x_hat": torch.zeros(2, 3), "mean": torch.ones(2)}, "x_hat").shape
        torch.Size([2, 3])
        >>> tensor_in((torch.zeros(2, 3), torch.ones(2)))
        Traceback (most recent call last):
        ...
        ValueError: expected the generator to return one tensor, got 0 (2, 3), 1 (2,); name the one with output=0 or another
    """
    if isinstance(returned, Tensor) and output is None:
        return returned
    tensors = _tensors_of(returned)
    if output is None:
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        got = _listed(tensors) or type(returned).__name__
        way_out = f"name the one with output={next(iter(tensors))!r} or another" if tensors else "return a tensor of torch"
        raise ValueError(f"expected the generator to return one tensor, got {got}; {way_out}")
    chosen = tensors.get(output, getattr(returned, output, None) if isinstance(output, str) else None)
    if not isinstance(chosen, Tensor):
        got = f"only {_listed(tensors)}" if tensors else f"{type(returned).__name__}, which holds no tensors by name"
        raise ValueError(f"expected a tensor {output!r} in what the generator returns, got {got}; choose another output")
    return chosen


def _tensors_of(returned: Any) -> dict[Output, Tensor]:
    """The tensors in what a generator returned, by name or place."""
    if isinstance(returned, Tensor):
        return {}
    entries: dict[Any, Any] = {}
    if isinstance(returned, Mapping):
        entries = dict(returned)
    elif isinstance(returned, tuple) and isinstance(names := getattr(returned, "_fields", None), tuple):
        entries = dict(zip(names, returned, strict=True))
    elif isinstance(returned, list | tuple):
        entries = dict(enumerate(returned))
    elif is_dataclass(returned):
        entries = {field.name: getattr(returned, field.name) for field in fields(returned)}
    elif hasattr(returned, "__dict__"):
        entries = vars(returned)
    return {name: value for name, value in entries.items() if isinstance(value, Tensor)}


def _listed(tensors: Mapping[Output, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
