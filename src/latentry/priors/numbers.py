"""Parameters of priors as floats that can be saved, and whose squares are accurate in single precision."""

from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["checked_number", "set_location", "set_scale"]

_SMALLEST, _LARGEST = 1e-18, 1e18


def set_scale(distribution: Any, *names: str, least: float = _SMALLEST, most: float = _LARGEST) -> None:
    """Make fields of a frozen dataclass floats, if they are numbers above 0.

    Raises:
        ValueError: One is no number from `least` to `most`.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Width:
        ...     value: float
        >>> width = Width(2)
        >>> set_scale(width, "value")
        >>> width.value
        2.0
    """
    for name in names:
        object.__setattr__(distribution, name, checked_number(name, getattr(distribution, name), least, most))


def set_location(distribution: Any, *names: str) -> None:
    """Make fields of a frozen dataclass floats, if they are numbers.

    Raises:
        ValueError: One is no number from -1e18 to 1e18.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Place:
        ...     x: float
        >>> place = Place(-3)
        >>> set_location(place, "x")
        >>> place.x
        -3.0
    """
    for name in names:
        object.__setattr__(distribution, name, checked_number(name, getattr(distribution, name), -_LARGEST))


def checked_number(name: str, value: Any, least: float = _SMALLEST, most: float = _LARGEST) -> float:
    """A number as a float.

    Raises:
        ValueError: It is none from `least` to `most`.

    Example:
        >>> checked_number("scale", 2)
        2.0
    """
    kinds: Any = Real | np.ndarray | Tensor
    single = np.ndim(value) == 0 and not np.iscomplexobj(value)
    if not single or isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        above = " > 0" if least > 0 else ""
        raise ValueError(f"expected a number {name}{above}, from {least:g} to {most:g}, got {value!r}"[:200])
    return float(value)
