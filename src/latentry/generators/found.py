"""What was found in the source of a generator, before it is adapted to codes `(n, d)`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentry.generators.outputs import Output

__all__ = ["Found", "first_line"]


@dataclass(frozen=True)
class Found:
    """A generator as it stands in its source."""

    function: Callable[..., Any]
    """Codes of its own shape to its own output."""
    files: tuple[Path, ...]
    """Every file that decides what it does."""
    prior: Any = None
    """Distribution of its codes, where the source has one."""
    code_shape: tuple[int, ...] | None = None
    """Shape of one code, where the source says it."""
    output: Output | None = None
    """Entry of the output that holds the data, where the source says it."""
    parts: tuple[str | Path, ...] = ()
    """The source as it is written, its paths as such."""
    runs_code: bool = False
    """Whether Python of the user's was run to get it."""


def first_line(error: BaseException) -> str:
    """What kind of error it is, and the first line of what it says."""
    message = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {message[:300]}"
