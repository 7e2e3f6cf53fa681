"""All numbers of an experiment as one long table, one number a row; every table of a page is a pivot of it.

Columns: part, data, method, seed, measure, value. A measure is named by its path in the result of a cell, such as
`samples.frechet_distance`. Means and intervals are over seeds (Student's t).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from experiments.framework.cell import Cell
from latentry.evaluation.seeds import SeedInterval, difference_over_seeds, mean_over_seeds
from latentry.reports.tables import Table

__all__ = [
    "Column",
    "Measured",
    "Show",
    "count",
    "least",
    "mean",
    "measured",
    "percent",
    "pivot",
    "plain",
    "points",
    "results_table",
]

_COLUMNS = ("part", "data", "method", "seed", "measure", "value")


def results_table(cells: Sequence[Cell], results: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """The long table of all cells that have a row in it."""
    rows = [
        (*row, measure, value)
        for cell in cells
        for row, measures in cell.rows(results[cell.name]).items()
        for measure, value in measures.items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


@dataclass(frozen=True)
class Measured:
    """All numbers of one method on one data set: a row of a table."""

    method: str
    measures: Mapping[str, Mapping[int, float]]
    """Values by measure and seed."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of any of its measures."""
        return tuple(sorted({seed for values in self.measures.values() for seed in values}))

    def __contains__(self, measure: str) -> bool:
        return len(self.measures.get(measure, ())) == len(self.seeds)

    def __getitem__(self, measure: str) -> Mapping[int, float]:
        return self.measures[measure]

    def value(self, measure: str) -> float:
        """Mean over seeds alone."""
        return fmean(self.measures[measure].values())

    def mean(self, measure: str) -> SeedInterval:
        """Mean over seeds, with its interval."""
        return mean_over_seeds(self.measures[measure])

    def less(self, other: "Measured", measure: str) -> SeedInterval:
        """Mean difference to another method, paired by seed."""
        return difference_over_seeds(self.measures[measure], other.measures[measure])

    def below(self, beginning: str) -> dict[str, Mapping[int, float]]:
        """Measures whose path begins so, by the rest of the path."""
        return {name.removeprefix(beginning): of for name, of in self.measures.items() if name.startswith(beginning)}


def measured(table: pd.DataFrame, part: str) -> dict[str, dict[str, Measured]]:
    """Numbers of a part by data set and method, in the order of the table."""
    found: dict[str, dict[str, dict[str, dict[int, float]]]] = {}
    columns = (table.loc[table["part"] == part, name] for name in _COLUMNS[1:])
    for data, method, seed, measure, value in zip(*columns, strict=True):
        found.setdefault(data, {}).setdefault(method, {}).setdefault(measure, {})[int(seed)] = float(value)
    return {data: {name: Measured(name, of) for name, of in methods.items()} for data, methods in found.items()}


Show = Callable[[Measured, bool], str]
"""Text of a number of a row; the second argument asks for the short form, without an interval."""


@dataclass(frozen=True)
class Column:
    """A column of a pivot."""

    heading: str
    show: Show
    console: bool = False
    """Whether the short table of the console has it too."""


def pivot(
    title: str,
    rows: Mapping[str, Measured],
    columns: Sequence[Column],
    note: str = "",
    *,
    first: str = "method",
    titles: Mapping[str, str] | None = None,
    short: bool = False,
) -> Table:
    """One row for each method; the short form, for a console, has fewer columns and no intervals.

    Args:
        title: Of the table.
        rows: Numbers by method.
        columns: What is shown of each.
        note: How to read it.
        first: Heading of the column of names.
        titles: Names of the methods for people, where they differ.
        short: Whether it is for a console.
    """
    shown = [column for column in columns if column.console or not short]
    body = (((titles or {}).get(name, name), *(column.show(row, short) for column in shown)) for name, row in rows.items())
    return Table(title, (first, *(column.heading for column in shown)), tuple(body), "" if short else note)


def mean(
    measure: str, digits: str = ".2f", scale: float = 1.0, limits: tuple[float, float] = (-float("inf"), float("inf"))
) -> Show:
    """A mean over seeds with its interval; a dash where the method lacks the number."""

    def show(row: Measured, short: bool) -> str:
        if measure not in row:
            return "-"
        found = row.mean(measure)
        ends = (scale * max(limits[0], found.low), scale * min(limits[1], found.high))
        value = f"{scale * found.value:{digits}}"
        return value if short else f"{value} [{ends[0]:{digits}}, {ends[1]:{digits}}]"

    return show


def percent(measure: str, digits: str = ".1f") -> Show:
    """A share in [0, 1] in per cent."""
    return mean(measure, digits, 100.0, (0.0, 1.0))


def points(measure: str) -> Show:
    """A difference of shares in points."""
    return mean(measure, "+.1f", 100.0)


def plain(measure: str, digits: str = ".0f", scale: float = 1.0) -> Show:
    """A mean over seeds alone."""
    return lambda row, short: f"{scale * row.value(measure):{digits}}" if measure in row else "-"


def least(measure: str, digits: str = ".1g") -> Show:
    """The least over seeds."""
    return lambda row, short: f"{min(row[measure].values()):{digits}}" if measure in row else "-"


def count(measure: str) -> Show:
    """With how many seeds it is true."""
    return lambda row, short: f"{sum(row[measure].values()):.0f} of {len(row[measure])}" if measure in row else "-"
