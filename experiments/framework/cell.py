"""One piece of an experiment: settings that decide its result, and the work that gives the result.

A cell is a frozen dataclass. Its fields are its identity: they are written beside its result, and a result on disk is taken
only where they are equal. Where it works (`Place`) changes no result.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from latentry.storage import read_json

__all__ = ["Cell", "Place", "Row", "flat", "no_progress"]


@dataclass(frozen=True)
class Place:
    """Where cells work; changes no result."""

    folder: Path
    """Of the whole experiment."""
    device: str
    """Where they compute, such as cpu or cuda."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Folders or names of models by the names that reports have for them."""

    def home(self, name: str) -> Path:
        """Folder for the networks of a cell."""
        return self.folder / "work" / name

    def picture(self, name: str) -> Path:
        """File of a picture."""
        return self.folder / "pictures" / f"{name}.png"

    def record(self, name: str) -> Path:
        """File of a cell's result."""
        return self.folder / "cells" / f"{name}.json"

    def result(self, name: str) -> dict[str, Any]:
        """Result of a cell that is done."""
        result: dict[str, Any] = read_json(self.record(name))["result"]
        return result


class Row(NamedTuple):
    """Which rows of the table of results a cell fills."""

    part: str
    """Part of the experiment, such as `models`."""
    data: str
    """Data set."""
    method: str
    """Model, method or prior."""
    seed: int


class Cell(ABC):
    """A piece of an experiment; subclasses are frozen dataclasses of what decides the result."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name, and that of its file."""

    @abstractmethod
    def work(self, place: Place) -> dict[str, Any]:
        """Its result, as JSON holds it."""

    @abstractmethod
    def expected_seconds(self, place: Place) -> float:
        """About what it will take, from a few passes timed here and now."""

    @property
    def recipe(self) -> Any:
        """What a name in the settings stands for, where that may change; a part of the identity."""
        return None

    @property
    def artifact(self) -> str | None:
        """Last file that it writes for other cells, within the experiment's folder."""
        return None

    @property
    def builds_on(self) -> tuple[str, ...]:
        """Names of the cells whose artifacts it needs."""
        return ()

    @property
    def row(self) -> Row | None:
        """Where its measures stand in the table of results; None for a cell that has none."""
        return None

    def measures(self, result: dict[str, Any]) -> Mapping[str, float]:
        """Its numbers by name; by default all of the result, named by their path."""
        return dict(flat(result))

    def rows(self, result: dict[str, Any]) -> Mapping[Row, Mapping[str, float]]:
        """Measures of each row that it fills: by default those of `row`; for a cell of several methods, of several rows."""
        return {} if self.row is None else {self.row: self.measures(result)}

    @property
    def identity(self) -> dict[str, Any]:
        """Settings and recipe as JSON gives them back."""
        named = {} if self.recipe is None else {"recipe": self.recipe}
        content: dict[str, Any] = json.loads(json.dumps(asdict(self) | named))  # type: ignore[call-overload]
        return content


def flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of nested mappings by their path, `a.b.c`; truth values are 0 or 1, lists and texts are left out."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        elif isinstance(value, int | float):
            yield f"{above}{name}", float(value)


def no_progress(done: int, total: int) -> None:
    """No progress bar: each cell has a line when it is done."""
