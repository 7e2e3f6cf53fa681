"""Memory of a training: buffers that one iteration frees are used again by the next.

By default the C library returns freed pages to the system, which has to clear them before the process can have them again.
When a model is trained on the CPU this costs a few percent of the time of an iteration. `keep_freed_memory` turns it off for
the whole process. So only the command line calls it, never the library inside a user's process.
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
