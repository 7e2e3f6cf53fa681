"""The one tensor in what a generator of others gives back: the tensor itself, or an entry of a tuple, dict or object."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

__all__ = ["Output", "OutputRange", "tensor_in"]

Output = str | int
"""Which entry holds the data: a key or attribute by its name, or a place in a tuple."""
OutputRange = tuple[int | float, int | float]
"""Both ends of the data, the lower one first."""


def tensor_in(answer: Any, output: Output | None = None) -> Tensor:
    """The data in what a generator gives back.

    Args:
        answer: A tensor, or a tuple, a dict or an object that holds tensors.
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
    if isinstance(answer, Tensor) and output is None:
        return answer
    held = _held(answer)
    if output is None:
        if len(held) == 1:
            return next(iter(held.values()))
        got = _listed(held) or type(answer).__name__
        way_out = f"name the one with output={next(iter(held))!r} or another" if held else "return a tensor of torch"
        raise ValueError(f"expected the generator to return one tensor, got {got}; {way_out}")
    chosen = held.get(output, getattr(answer, output, None) if isinstance(output, str) else None)
    if not isinstance(chosen, Tensor):
        got = f"only {_listed(held)}" if held else f"{type(answer).__name__}, which holds no tensors by name"
        raise ValueError(f"expected a tensor {output!r} in what the generator returns, got {got}; choose another output")
    return chosen


def _held(answer: Any) -> dict[Output, Tensor]:
    """The tensors in an answer, by name or place."""
    if isinstance(answer, Tensor):
        return {}
    entries: dict[Any, Any] = {}
    if isinstance(answer, Mapping):
        entries = dict(answer)
    elif isinstance(answer, tuple) and isinstance(names := getattr(answer, "_fields", None), tuple):
        entries = dict(zip(names, answer, strict=True))
    elif isinstance(answer, list | tuple):
        entries = dict(enumerate(answer))
    elif is_dataclass(answer):
        entries = {field.name: getattr(answer, field.name) for field in fields(answer)}
    elif hasattr(answer, "__dict__"):
        entries = vars(answer)
    return {name: value for name, value in entries.items() if isinstance(value, Tensor)}


def _listed(held: Mapping[Output, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in held.items())
