"""Levels of features as they are written on the command line: NAME=LEVEL with commas between."""

import math
from collections.abc import Mapping

__all__ = ["far_levels", "parse_levels"]

_FAR = 3.0
"""Level beyond which nothing is promised; training has -1 to 1."""


def far_levels(levels: Mapping[str, float]) -> list[str]:
    """A sentence for each level that is far from those of training."""
    return [
        f"{name}={level:g} is far outside -1 to 1, the levels of training; what is made there is likely no image of its kind"
        for name, level in levels.items()
        if abs(level) > _FAR
    ]


def parse_levels(text: str, flag: str) -> dict[str, float]:
    """Levels by name; none in an empty text.

    Raises:
        ValueError: A part is not of that form, or names a feature again.
    """
    levels: dict[str, float] = {}
    for part in text.split(",") if text.strip() else []:
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            level = float(number)
        except ValueError:
            level = math.nan
        if not name or not math.isfinite(level):
            raise ValueError(
                f"expected NAME=LEVEL with commas between in {flag}, such as bold=1,italic=-0.5, got {part.strip()!r}"
            )
        if name in levels:
            raise ValueError(f"expected each feature once in {flag}, got {name} again; leave one out")
        levels[name] = level
    return levels
