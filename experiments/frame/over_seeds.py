"""Numbers of several seeds as the tables of experiments show them: a mean with its Student interval, or the mean alone."""

from collections.abc import Callable, Mapping
from typing import Any

from latentry.evaluation.seeds import SeedInterval, mean_over_seeds

__all__ = ["Seeds", "fine", "number", "over", "percent", "signed"]

Seeds = Mapping[int, Mapping[str, Any]]
"""Result of a cell by seed."""


def over(seeds: Seeds, read: Callable[[Mapping[str, Any]], float]) -> SeedInterval:
    """One number of each seed."""
    return mean_over_seeds({seed: read(result) for seed, result in seeds.items()})


def percent(interval: SeedInterval, short: bool = False) -> str:
    """A share in [0, 1] in per cent; the short form has no interval."""
    if short:
        return f"{100 * interval.value:.1f}"
    return f"{100 * interval.value:.1f} [{100 * max(0, interval.low):.1f}, {100 * min(1, interval.high):.1f}]"


def number(interval: SeedInterval, short: bool = False) -> str:
    """With two decimals."""
    if short:
        return f"{interval.value:.2f}"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def fine(interval: SeedInterval, short: bool = False) -> str:
    """With four decimals."""
    if short:
        return f"{interval.value:.4f}"
    return f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def signed(interval: SeedInterval, short: bool = False) -> str:
    """A difference of shares in points."""
    if short:
        return f"{100 * interval.value:+.1f}"
    return f"{100 * interval.value:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
