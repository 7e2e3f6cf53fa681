"""Memory of a training: what one iteration frees, the next one needs again.

The C library gives freed pages back to the system, which clears them before it lends them again. On the processor that is
some thousand pages in each iteration, and a few percent of its time. That is for a process whose only work is to train: the
command line asks for it before it trains or reproduces. The library does not, since the process is then its caller's.
"""

import ctypes
import platform

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, to its end; False where the C library cannot do it."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_TRIM_THRESHOLD, -1)) and bool(libc.mallopt(_MMAP_MAX, 0))
