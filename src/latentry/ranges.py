"""Checks of numbers: each within its range, or an error that names the range."""

import dataclasses
import math
from typing import Any

__all__ = ["check_number", "check_numbers"]

_MOST = {
    "steps": 10**9,
    "iterations": 10**9,
    "every": 10**9,
    "count": 10**9,
    "size": 10**5,
    "dim": 10**6,
    "width": 10**5,
    "bins": 10**6,
    "points": 10**4,
    "channels": 10**4,
    "workers": 1024,
    "restarts": 10**5,
    "columns": 10**5,
    "frames": 10**5,
    "downsample": 10**5,
    "seed": 2**40,
}
"""Largest values that can be meant, by the last word of a name; a slip of the keyboard is larger."""
_MOST_OF_ALL = 2**40
_SEPARATE = {"batch_size": 10**7, "shard_size": 10**7}
"""What the last word says too little of."""


def check_number(name: str, value: object, least: int | float = -math.inf, most: int | float = math.inf) -> None:
    """Make sure that a number is one, and within its range.

    Raises:
        ValueError: It is none, NaN, or outside.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"expected {name} to be a number, got {value!r}")
    if not value >= least:
        expected = f">= {least:,}" if least > -math.inf else "to be a number"
        raise ValueError(f"expected {name} {expected}, got {value}")
    if value > most:
        raise ValueError(f"expected {name} <= {most:,}, got {value:,}; a number this large must be a slip")


def check_numbers(settings: Any) -> None:
    """Make sure of every number of a dataclass of settings: that it is one, and no larger than its name allows.

    Raises:
        ValueError: It is not; the message names it.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        for number in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(number, float):
                check_number(field.name, number)
                if math.isinf(number):
                    raise ValueError(f"expected {field.name} to be finite, got {number}; a number this large must be a slip")
            elif isinstance(number, int) and not isinstance(number, bool):
                most = _SEPARATE.get(field.name, _MOST.get(field.name.rpartition("_")[2], _MOST_OF_ALL))
                check_number(field.name, number, -_MOST_OF_ALL, most)
