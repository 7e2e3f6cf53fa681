"""What every experiment does around its cells: a folder, a device and a console first; its record, tables and page last."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.frame.cells import Cell, announce, run_cells
from experiments.frame.settings import ExperimentSettings
from latentry.reports.consoles import PlainConsole
from latentry.reports.tables import Table, print_table
from latentry.tasks.runs import claim_folder, pick_device, record

__all__ = ["Experiment", "begin"]


@dataclass(frozen=True)
class Experiment:
    """Where an experiment is worked out, and what it prints to."""

    settings: ExperimentSettings
    folder: Path
    device: torch.device
    workers: int
    console: PlainConsole

    def results(
        self,
        phases: Sequence[Sequence[Cell]],
        work: Callable[[Cell], dict[str, Any]],
        seconds_of: Callable[[Cell], float],
    ) -> dict[str, dict[str, Any]]:
        """Results of all cells by name, phase by phase since each builds on those before it; the cost is printed first."""
        announce([cell for cells in phases for cell in cells], self.folder, seconds_of, self.workers, self.console)
        return run_cells(phases, work, self.folder, workers=self.workers, console=self.console)

    def finish(self, result: dict[str, Any], tables: Sequence[Table], verdicts: Sequence[str]) -> dict[str, Any]:
        """Write `results.json`, print tables and verdicts; return what was written."""
        content = record(self.folder, self.settings, result)
        for table in tables:
            print_table(table, self.console)
        for sentence in verdicts:
            self.console.print(sentence)
        self.console.print(f"The page with tables and figures: {self.folder / 'index.html'}")
        return content


def begin(settings: ExperimentSettings, *parts: str) -> Experiment:
    """An experiment in its folder, where it goes on from what is there.

    Args:
        settings: Where, on what device, with how many workers; at least two seeds.
        parts: Files and folders that it writes beside `results.json`.

    Raises:
        ValueError: There are too few seeds, the device is not there, or `out` is a file.
    """
    if settings.seeds < 2:
        raise ValueError(f"expected at least 2 seeds, since intervals are over them, got {settings.seeds}")
    device = pick_device(settings.device)
    workers = settings.workers or (os.cpu_count() or 1 if device.type == "cpu" else 1)
    folder = claim_folder(settings, *parts)
    return Experiment(settings, folder, device, workers, PlainConsole(quiet=settings.json))
