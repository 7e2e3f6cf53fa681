"""Progress of a long call: passed to the caller's function, or drawn as a bar on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "reported"]

Progress = Callable[[int, int], None] | bool | None
"""What a long function takes: called as `progress(done, total)`; True for a bar on a terminal; None or False for silence."""


@contextmanager
def reported(progress: Progress, description: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function of done and total that reports progress, or None for silence.

    A bar goes to standard error, is there only where that is a terminal, and vanishes in the end: nothing is left in logs,
    pipes and notebooks.

    Args:
        progress: The caller's setting.
        description: What a bar stands for, in a few words.

    Example:
        >>> with reported(lambda done, total: print(done, "of", total), "counting") as report:
        ...     report(1, 2)
        1 of 2
    """
    if callable(progress):
        yield progress
    elif progress and sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Bars(
            *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
        ) as bars:
            task = bars.add_task(description, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)
    else:
        yield None
