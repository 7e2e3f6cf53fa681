"""Free memory, checked before much of it is used: a request that does not fit is refused with an error."""

import os
from pathlib import Path

__all__ = ["check_memory", "free_memory", "most_bytes"]

_SHARE = 0.8
"""Of the free memory, that one allocation may take."""
_ALWAYS = 2**26
"""Bytes that are never requested: 64 MiB."""


def free_memory() -> int:
    """Bytes of memory that this process may still take, by the system's own account and the process's limit."""
    return min(_available(), _below_the_limit())


def most_bytes() -> int:
    """Bytes that one allocation may take: 80 % of what is free."""
    return int(_SHARE * free_memory())


def check_memory(needed: int, what: str, way_out: str) -> None:
    """Make sure that so many bytes can be had: at most 80 % of what is free.

    Args:
        needed: Bytes.
        what: What needs them, as the error calls it.
        way_out: What to do otherwise.

    Raises:
        ValueError: They cannot.
    """
    if needed > _ALWAYS and needed > (bound := most_bytes()):
        raise ValueError(
            f"expected {what} to fit in {bound / 2**30:.2f} GiB of memory ({_SHARE:.0%} of what is free), got "
            f"{needed / 2**30:.2f} GiB; {way_out}"
        )


def _available() -> int:
    """What can be taken without swapping: free pages, and those that only cache files where the system tells."""
    try:
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _below_the_limit() -> int:
    """What a limit on the address space (`ulimit -v`) leaves."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return 2**63
    return max(limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize(), 0)
