"""The course of every experiment: a folder, the cost, the cells, then tables and figures on a console and a page.

An experiment is four functions of its settings: what is refused, the cells, the tables, and the page. It writes
`cells/NAME.json` for each cell, `results.csv` (all numbers, `framework.results`), `results.json` (settings, versions
and verdicts), `pictures/` and `index.html`, which shows them.
"""

import io
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from experiments.framework.cell import Cell, Place
from experiments.framework.provenance import made_with
from experiments.framework.results import results_table
from experiments.framework.settings import ExperimentSettings
from experiments.framework.worker import announce, run_cells
from latentry.reports.consoles import PlainConsole
from latentry.reports.page import Picture, write_page
from latentry.reports.tables import Table, print_table
from latentry.storage import read_json, write_bytes, write_text
from latentry.tasks.runs import Run

__all__ = ["PARTS", "Experiment", "Report", "begin", "check_counts", "check_known", "check_parts"]

PARTS = ("index.html", "results.csv", "cells", "pictures", "work")
"""What every experiment writes beside `results.json`."""


@dataclass(frozen=True)
class Report:
    """What an experiment tells people."""

    title: str
    lead: str
    """What it is about, in a sentence."""
    verdicts: Sequence[str]
    """What the numbers say, a sentence for each data set."""
    blocks: Sequence[Table | Picture]
    """Tables and pictures of the page, in their order."""
    console: Sequence[Table]
    """Short tables for the console."""
    facts: Sequence[tuple[str, str]]
    """How it was made."""


@dataclass(frozen=True)
class Experiment:
    """An experiment at work in its folder."""

    run: Run
    place: Place
    workers: int
    console: PlainConsole

    def results(self, phases: Sequence[Sequence[Cell]]) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
        """The long table, which is written to `results.csv`, and the results of all cells by name.

        Args:
            phases: Cells in their order; those of a phase build on those before it. The cost is printed first.
        """
        cells = [cell for phase in phases for cell in phase]
        announce(cells, self.place, self.workers, self.console)
        results = run_cells(phases, self.place, workers=self.workers, console=self.console)
        table = results_table(cells, results)
        write_text(self.place.folder / "results.csv", table.to_csv(index=False, float_format="%.10g"))
        return table, results

    def pictures(self, name: str, title: str, caption: str = "") -> list[Picture]:
        """The picture of this name, where a cell has left one."""
        path = self.place.picture(name)
        return [Picture(title, path.read_bytes(), caption, link=_link(path))] if path.exists() else []

    def chart(self, name: str, title: str, png: bytes, caption: str = "") -> Picture:
        """A figure, kept among the pictures in 64 colours, a third of its size."""
        path, kept = self.place.picture(name), PngInfo()
        with Image.open(io.BytesIO(png)) as image:
            kept.add_text("Title", str(image.info.get("Title", "")))
            small = io.BytesIO()
            image.convert("RGB").quantize(64).save(small, "PNG", optimize=True, pnginfo=kept, dpi=image.info.get("dpi"))
        write_bytes(path, small.getvalue())
        return Picture(title, small.getvalue(), caption, link=_link(path))

    def finish(self, report: Report) -> dict[str, Any]:
        """Write `results.json` and `index.html`, print tables and verdicts; return what `results.json` holds."""
        page = self.place.folder / "index.html"
        cells = sorted((self.place.folder / "cells").glob("*.json"))
        facts = [*report.facts, *made_with(map(read_json, cells))]
        write_page(page, report.title, [report.lead, *report.verdicts], report.blocks, facts)
        content = self.run.record({"verdicts": [*report.verdicts]})
        for table in report.console:
            print_table(table, self.console)
        for sentence in report.verdicts:
            self.console.print(sentence)
        self.console.print(f"The page with tables and figures: {page}")
        return content


def _link(path: Path) -> str:
    return f"pictures/{quote(path.name)}"


def begin(settings: ExperimentSettings, run: Run, *, sources: Mapping[str, str] | None = None) -> Experiment:
    """An experiment in its folder, where it goes on from what is there.

    Args:
        settings: With how many workers; at least two seeds.
        run: Its folder and device.
        sources: Folders or names of models by the names that reports have for them.

    Raises:
        ValueError: There are too few seeds.
    """
    if settings.seeds < 2:
        raise ValueError(f"expected at least 2 seeds, since intervals are over them, got {settings.seeds}")
    workers = settings.workers or (os.cpu_count() or 1 if run.device.type == "cpu" else 1)
    return Experiment(run, Place(run.folder, str(run.device), sources or {}), workers, run.console)


def check_parts(parts: Collection[str]) -> None:
    """Refuse a run without parts."""
    if not parts:
        raise ValueError("expected at least one part, got none; leave --parts out for all")


def check_known(what: str, given: Collection[str], known: Collection[str]) -> None:
    """Refuse names that the experiment does not know."""
    if unknown := set(given) - set(known):
        raise ValueError(f"expected {what} among {', '.join(known)}, got {', '.join(sorted(unknown))}; choose some of these")


def check_counts(what: str, **given: Sequence[Any]) -> None:
    """Refuse lists that differ in length from the first of them, or are empty; each is a setting by its name."""
    (first, values), *others = given.items()
    lengths = [str(len(listed)) for _, listed in others]
    if {*lengths} != {str(len(values))} or not values:
        raise ValueError(
            f"expected one {what} for each of --{first}, got {' and '.join(lengths)} for {len(values)}; name as many with "
            f"{' and '.join(f'--{name}' for name, _ in others)}"
        )
