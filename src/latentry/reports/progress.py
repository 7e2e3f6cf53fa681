"""A progress bar for work that counts its steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from latentry.names import printable
from latentry.reports.consoles import PlainConsole

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(*, quiet: bool = False) -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Give `track(description)`, which adds a bar and returns its `progress(done, total)`; bars go to standard error."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=PlainConsole(stderr=True), disable=quiet) as bars:

        def track(description: str) -> Callable[[int, int], None]:
            task = bars.add_task(printable(description), total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield track
