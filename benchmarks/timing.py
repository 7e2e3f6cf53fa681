"""Seconds of two things that are timed in turn, so that what slows one slows the other.

Seconds of the processor count other work on the machine least; seconds of the clock are what a user waits.
"""

import time
from collections.abc import Callable
from statistics import median

__all__ = ["paired", "processor_seconds", "seconds"]


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def processor_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def paired(
    first: Callable[[], object],
    second: Callable[[], object],
    runs: int,
    timed: Callable[[Callable[[], object]], float] = seconds,
) -> tuple[float, float, float]:
    """Median seconds of both after one call of each, and the median of their ratios first / second."""
    first()
    second()
    pairs = [(timed(first), timed(second)) for _ in range(runs)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(a / b for a, b in pairs)
