"""Long experiments as cells: each a result of its own on disk, so that a killed run goes on where it was.

A cell is a name, the settings that decide its result, and a function of them. Its result is written once, to
`cells/NAME.json`, together with those settings; a later run with equal settings takes it from there. What a cell leaves for
others to build on, such as networks, may be gone by then: it is worked out again if one of those others is still to be done.
"""

import dataclasses
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from latentry.models.pretrained import installed_versions
from latentry.reports.consoles import PlainConsole
from latentry.storage import read_json, write_json

__all__ = ["Cell", "announce", "run_cells", "unseen"]


@dataclass(frozen=True)
class Cell:
    """One piece of an experiment."""

    name: str
    """Its name, and that of its file."""
    settings: Any
    """A frozen dataclass with all that decides the result; what a name in it stands for is a property `recipe`.

    A property `leaves` is the last file that the cell writes for others, in the experiment's folder; `builds_on` names the
    cells that left what this one needs.
    """

    @property
    def identity(self) -> dict[str, Any]:
        """The settings and the recipe, if there is one, as JSON gives them back."""
        named = {"recipe": self.settings.recipe} if hasattr(self.settings, "recipe") else {}
        content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self.settings) | named))
        return content


def announce(
    cells: Sequence[Cell], folder: Path, seconds_of: Callable[[Cell], float], workers: int, console: PlainConsole
) -> None:
    """Say what is to be done and what it will cost, before it begins."""
    seconds = [seconds_of(cell) for cell in _to_do(cells, folder)]
    hours = sum(seconds) / 3600
    console.print(
        f"{len(cells)} cells, {len(cells) - len(seconds)} of them done. "
        f"Each takes up to about {max(seconds, default=0.0) / 60:.1f} min: "
        f"{hours:.1f} h of computing, {hours / workers:.1f} h with {workers} at a time. "
        "It may be stopped at any time; the same command goes on.",
    )


def run_cells(
    phases: Sequence[Sequence[Cell]],
    work: Callable[[Cell], dict[str, Any]],
    folder: Path,
    *,
    workers: int,
    console: PlainConsole,
) -> dict[str, dict[str, Any]]:
    """The results of all cells by name, those on disk and those still to be worked out, `workers` at a time.

    Args:
        phases: What is to be done, in this order; all cells of a phase come before any of the next.
        work: A function at the top level of a module, as another process can import it.
        folder: Where `cells/` goes.
        workers: Processes at once, each with its share of the cores; 1 works in this process.
        console: Where each finished cell gets a line.

    Raises:
        ValueError: A cell on disk was made with other settings.
    """
    cells = [cell for phase in phases for cell in phase]
    found = {cell.name: result for cell in cells if (result := _done(cell, folder)) is not None}
    to_do = {cell.name for cell in _to_do(cells, folder)}
    count = itertools.count(1)
    for phase in phases:
        for cell, result, seconds in _worked([cell for cell in phase if cell.name in to_do], work, workers):
            write_json(
                _path(folder, cell.name),
                {"settings": cell.identity, "versions": installed_versions(), "seconds": seconds, "result": result},
            )
            found[cell.name] = result
            console.print(f"[{next(count)} of {len(to_do)}] {cell.name}: {seconds / 60:.1f} min")
    return found


def unseen(done: int, total: int) -> None:
    """No bar of progress: cells announce themselves."""


def _to_do(cells: Sequence[Cell], folder: Path) -> list[Cell]:
    """Cells without a result, and those whose leavings such a cell builds on and that are gone; in the same order."""
    to_do: list[Cell] = []
    needed: set[str] = set()
    for cell in reversed(cells):
        leaves = getattr(cell.settings, "leaves", None)
        gone = cell.name in needed and leaves is not None and not (folder / leaves).exists()
        if gone or _done(cell, folder) is None:
            to_do.insert(0, cell)
            needed |= set(getattr(cell.settings, "builds_on", ()))
    return to_do


def _worked(
    cells: Sequence[Cell], work: Callable[[Cell], dict[str, Any]], workers: int
) -> Iterator[tuple[Cell, dict[str, Any], float]]:
    """Each cell with its result and the seconds it took, as they are done; a failure comes after all others."""
    if workers == 1 or not cells:
        for cell in cells:
            yield cell, *_timed(work, cell)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        pending = {pool.submit(_timed, work, cell): cell for cell in cells}
        failures: list[BaseException] = []
        try:
            for done in as_completed(pending):
                if done.cancelled():
                    continue
                if (failure := done.exception()) is None:
                    yield pending[done], *done.result()
                else:  # cells that have not begun shall not; those at work come to their end and are kept
                    failures.append(failure)
                    for other in pending:
                        other.cancel()
        finally:
            pool.shutdown(cancel_futures=True)
        if failures:
            raise failures[0]


def _timed(work: Callable[[Cell], dict[str, Any]], cell: Cell) -> tuple[dict[str, Any], float]:
    began = time.perf_counter()
    return work(cell), time.perf_counter() - began


def _path(folder: Path, name: str) -> Path:
    return folder / "cells" / f"{name}.json"


def _done(cell: Cell, folder: Path) -> dict[str, Any] | None:
    path = _path(folder, cell.name)
    if not path.exists():
        return None
    content = read_json(path)
    if content["settings"] != cell.identity:
        raise ValueError(
            f"{path} was made with other settings than are asked for now; choose another --out, or remove that file to "
            "work it out anew"
        )
    result: dict[str, Any] = content["result"]
    return result
