"""Cells: done once, kept whole, gone on with after a failure, refused when they answer another question."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.framework.cell import Cell, Place
from experiments.framework.provenance import made_with
from experiments.framework.worker import announce, run_cells
from latentry.reports.consoles import PlainConsole
from latentry.storage import read_json

QUIET = PlainConsole(quiet=True)


@dataclass(frozen=True)
class Squared(Cell):
    number: int
    pair: tuple[int, int] = (1, 2)

    @property
    def name(self) -> str:
        return f"cell {self.number}"

    def work(self, place: Place) -> dict[str, Any]:
        if self.number < 0:
            raise ArithmeticError("no root")
        with (place.folder / "log").open("a") as lines:
            lines.write(f"{self.name}\n")
        return {"square": self.number**2}

    def expected_seconds(self, place: Place) -> float:
        return 900.0 * (self.number - 1)


def squares(*numbers: int) -> list[Cell]:
    return [Squared(number) for number in numbers]


def work(cells: Sequence[Cell], folder: Path, workers: int = 1) -> dict[str, dict[str, Any]]:
    """Results of one phase of cells."""
    return run_cells([cells], Place(folder, "cpu"), workers=workers, console=QUIET)


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_cell_is_worked_out_once_however_often_it_is_asked_for(workers: int, tmp_path: Path) -> None:
    for cells in (squares(1, 2), squares(1, 2, 3)):
        assert work(cells, tmp_path, workers) == {f"cell {n}": {"square": n**2} for n in range(1, len(cells) + 1)}
    assert sorted(log(tmp_path)) == ["cell 1", "cell 2", "cell 3"]


def test_a_cell_says_what_it_was_made_with(tmp_path: Path) -> None:
    work(squares(3), tmp_path)
    kept = read_json(tmp_path / "cells" / "cell 3.json")
    assert kept["settings"] == {"number": 3, "pair": [1, 2]}
    assert {"latentry", "torch"} <= kept["versions"].keys()
    assert kept["threads"] == torch.get_num_threads()
    assert kept["processor"]
    assert kept["commit"] is None or len(kept["commit"]) >= 12


def test_a_page_says_of_all_cells_what_is_known_of_how_they_were_made() -> None:
    versions = {"latentry": "0.1.0", "torch": "2.13.0"}
    old = {"versions": versions, "recorded_in": "0c9df10182e0"}
    new = {"versions": versions, "commit": "6564941ce10a", "threads": 2, "processor": "AMD EPYC"}
    assert made_with([new, old, old]) == [
        (
            "cells",
            "2 recorded in commit 0c9df10182e0, made with latentry 0.1.0, torch 2.13.0; threads and processor are not known",
        ),
        ("cells", "1 made by commit 6564941ce10a with latentry 0.1.0, torch 2.13.0, 2 threads, AMD EPYC"),
    ]


def test_each_cell_in_evidence_names_a_commit() -> None:
    for path in (Path(__file__).parents[2] / "evidence").glob("*/cells/*.json"):
        record = read_json(path)
        assert len(record.get("commit") or record["recorded_in"]) >= 12, path


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_loses_no_cell_that_was_done(workers: int, tmp_path: Path) -> None:
    with pytest.raises(ArithmeticError, match="no root"):
        work(squares(1, -1, 2), tmp_path, workers)
    work(squares(1, 2), tmp_path)
    assert sorted(log(tmp_path)) == ["cell 1", "cell 2"]


@dataclass(frozen=True)
class Slow(Squared):
    def work(self, place: Place) -> dict[str, Any]:
        if self.number > 0:
            time.sleep(1.5)
        return super().work(place)


def test_what_is_at_work_when_another_cell_fails_is_kept_and_what_has_not_begun_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(ArithmeticError, match="no root"):
        work([Slow(number) for number in (1, -1, *range(2, 40))], tmp_path, workers=2)
    worked = log(tmp_path)
    assert "cell 1" in worked
    assert len(worked) < 10
    assert sorted(path.stem for path in (tmp_path / "cells").iterdir()) == sorted(worked)


def test_a_cell_of_other_settings_is_refused(tmp_path: Path) -> None:
    work(squares(1), tmp_path)
    with pytest.raises(ValueError, match=r"cell 1\.json was made with other settings"):
        work([Squared(1, (3, 4))], tmp_path)


@dataclass(frozen=True)
class Named(Squared):
    @property
    def recipe(self) -> Any:
        return RECIPES["named"]


RECIPES: dict[str, tuple[str, ...]] = {"named": ("plain",)}


def test_a_cell_of_another_recipe_under_the_same_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        work([Named(1)], tmp_path)
    monkeypatch.setitem(RECIPES, "named", ("spiced",))
    with pytest.raises(ValueError, match=r"cell 1\.json was made with other settings"):
        work([Named(1)], tmp_path)


def test_the_cost_is_that_of_what_is_still_to_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work(squares(1), tmp_path)
    announce(squares(1, 2, 3), Place(tmp_path, "cpu"), 2, PlainConsole(width=300))
    said = capsys.readouterr().out
    assert "3 cells, 1 of them done" in said
    assert "30.0 min" in said
    assert "0.8 h of computing, 0.4 h with 2 at a time" in said


@dataclass(frozen=True)
class Built(Cell):
    """A cell that writes an artifact, and needs those of others."""

    title: str
    on: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.title

    @property
    def artifact(self) -> str:
        return f"work/{self.name}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return self.on

    def work(self, place: Place) -> dict[str, Any]:
        for name in self.on:
            assert place.home(name).exists()
        place.home(self.name).parent.mkdir(exist_ok=True)
        place.home(self.name).write_text("done")
        with (place.folder / "log").open("a") as lines:
            lines.write(f"{self.name}\n")
        return {}

    def expected_seconds(self, place: Place) -> float:
        return 0.0


def test_an_artifact_that_is_gone_is_made_again_where_a_cell_still_builds_on_it(tmp_path: Path) -> None:
    """A house of two floors and one beside it, of which only the results were kept; then one roof's result is lost."""
    names = {"ground": (), "floor": ("ground",), "roof": ("floor",), "other ground": (), "other roof": ("other ground",)}
    phases = [[Built(name, on)] for name, on in names.items()]

    def build() -> None:
        run_cells(phases, Place(tmp_path, "cpu"), workers=1, console=QUIET)

    build()
    for path in (tmp_path / "work").iterdir():
        path.unlink()
    (tmp_path / "log").unlink()
    build()
    assert not (tmp_path / "log").exists()
    (tmp_path / "cells" / "roof.json").unlink()
    build()
    assert log(tmp_path) == ["ground", "floor", "roof"]
