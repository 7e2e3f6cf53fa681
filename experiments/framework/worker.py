"""Cells worked out one by one or several at once, each kept when it is done: a run that was killed goes on where it was.

A result is written once, to `cells/NAME.json`, with the cell's settings and what it was made with. A later run with equal
settings takes it from there. An artifact that others build on, such as a network, may be gone by then: its cell is worked
out again if one of those others is still to be done.

These are our own lines: joblib.Memory keeps results as pickles under hashes, and refuses no changed settings.
"""

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import torch

from experiments.framework.cell import Cell, Place
from experiments.framework.provenance import provenance
from latentry.reports.consoles import PlainConsole
from latentry.storage import read_json, write_json

__all__ = ["announce", "run_cells"]


def announce(cells: Sequence[Cell], place: Place, workers: int, console: PlainConsole) -> None:
    """Say what is to be done and what it will cost, before it begins."""
    seconds = [cell.expected_seconds(place) for cell in _to_do(cells, place)]
    hours = sum(seconds) / 3600
    console.print(
        f"{len(cells)} cells, {len(cells) - len(seconds)} of them done. "
        f"Each takes up to about {max(seconds, default=0.0) / 60:.1f} min: "
        f"{hours:.1f} h of computing, {hours / workers:.1f} h with {workers} at a time. "
        "It may be stopped at any time; the same command goes on.",
    )


def run_cells(
    phases: Sequence[Sequence[Cell]], place: Place, *, workers: int, console: PlainConsole
) -> dict[str, dict[str, Any]]:
    """Results of all cells by name, those on disk and those still to be worked out.

    Args:
        phases: What is to be done, in this order; all cells of a phase come before any of the next.
        place: Where `cells/` goes.
        workers: Processes at once, each with its share of the cores; 1 works in this process.
        console: Where each finished cell gets a line.

    Raises:
        ValueError: A cell on disk was made with other settings.
    """
    cells = [cell for phase in phases for cell in phase]
    found = {cell.name: result for cell in cells if (result := _done(cell, place)) is not None}
    to_do = {cell.name for cell in _to_do(cells, place)}
    count = itertools.count(1)
    for phase in phases:
        for cell, record in _worked([cell for cell in phase if cell.name in to_do], place, workers):
            write_json(place.record(cell.name), {"settings": cell.identity, **record})
            found[cell.name] = record["result"]
            console.print(f"[{next(count)} of {len(to_do)}] {cell.name}: {record['seconds'] / 60:.1f} min")
    return found


def _to_do(cells: Sequence[Cell], place: Place) -> list[Cell]:
    """Cells without a result, and those whose artifact is gone and needed by one of these; in the same order."""
    to_do: list[Cell] = []
    needed: set[str] = set()
    for cell in reversed(cells):
        gone = cell.name in needed and cell.artifact is not None and not (place.folder / cell.artifact).exists()
        if gone or _done(cell, place) is None:
            to_do.insert(0, cell)
            needed |= set(cell.builds_on)
    return to_do


def _worked(cells: Sequence[Cell], place: Place, workers: int) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Each cell with its record, as they are done; a failure comes after all others."""
    if workers == 1 or not cells:
        for cell in cells:
            yield cell, _record(cell, place)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        pending = {pool.submit(_record, cell, place): cell for cell in cells}
        failures: list[BaseException] = []
        try:
            for done in as_completed(pending):
                if done.cancelled():
                    continue
                if (failure := done.exception()) is None:
                    yield pending[done], done.result()
                else:  # cells that have not begun shall not; those at work come to their end and are kept
                    failures.append(failure)
                    for other in pending:
                        other.cancel()
        finally:
            pool.shutdown(cancel_futures=True)
        if failures:
            raise failures[0]


def _record(cell: Cell, place: Place) -> dict[str, Any]:
    made_with = provenance(place.device)  # of the code that is loaded, whatever changes meanwhile
    began = time.perf_counter()
    result = cell.work(place)
    return {**made_with, "seconds": time.perf_counter() - began, "result": result}


def _done(cell: Cell, place: Place) -> dict[str, Any] | None:
    path = place.record(cell.name)
    if not path.exists():
        return None
    content = read_json(path)
    if content["settings"] != cell.identity:
        raise ValueError(
            f"{path} was made with other settings than are given now; choose another --out, or remove that file to "
            "work it out anew"
        )
    result: dict[str, Any] = content["result"]
    return result
