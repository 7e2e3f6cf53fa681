"""The strength at which an operator reaches a given success, so that side effects of operators can be compared."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from latentry.holding import evaluated

__all__ = ["MatchedStrength", "match_success"]


@dataclass(frozen=True)
class MatchedStrength:
    """Strength at which an operator has the requested success."""

    strength: float
    """The least one found that has it; where none has, the one with the most success."""
    success: float
    """Share of the validation codes that have their label at that strength."""
    reached: bool
    """Whether it is the requested share."""
    tried: tuple[tuple[float, float], ...]
    """All strengths that were tried and their success, by strength."""


def match_success(
    succeeds: Callable[[float], Bool[Tensor, "n"]],
    target: float,
    low: float,
    high: float,
    *,
    grid: int = 9,
    halvings: int = 5,
) -> MatchedStrength:
    """Find the least strength of an operator that has a success, on validation codes.

    Success need not rise with strength (a plane rotation turns past its label): the grid is walked up until it is there, and
    the gap below that point is halved.

    Args:
        succeeds: For a strength, whether each validation code has its label after the operator; deterministic.
        target: The share to reach, in (0, 1].
        low, high: Least and largest strength.
        grid: Strengths on the grid, ends included.
        halvings: How often the gap is halved.

    Raises:
        ValueError: The share is outside (0, 1], the range is empty, or the grid has fewer than two points.
    """
    if not (0 < target <= 1 and low < high and grid >= 2):
        raise ValueError(
            f"expected a share in (0, 1], low < high and a grid of two or more, got {target}, {low} to {high} and {grid}"
        )
    tried: dict[float, float] = {}

    def reaches(strength: float) -> bool:
        with evaluated(succeeds):
            tried[strength] = succeeds(strength).double().mean().item()
        return tried[strength] >= target

    strengths = [low + (high - low) * index / (grid - 1) for index in range(grid)]
    first = next((index for index, strength in enumerate(strengths) if reaches(strength)), None)
    if first is None:
        found = max(tried, key=tried.__getitem__)
        return MatchedStrength(found, tried[found], False, tuple(sorted(tried.items())))
    found, missed = strengths[first], strengths[max(0, first - 1)]
    for _ in range(halvings if first > 0 else 0):
        middle = (found + missed) / 2
        if reaches(middle):
            found = middle
        else:
            missed = middle
    return MatchedStrength(found, tried[found], True, tuple(sorted(tried.items())))
