"""Cells: done once, kept whole, gone on with after a failure, refused when they answer another question."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from experiments.frame.cells import Cell, announce, run_cells
from latentry.reports.consoles import PlainConsole
from latentry.storage import read_json

QUIET = PlainConsole(quiet=True)


@dataclass(frozen=True)
class Squared:
    number: int
    pair: tuple[int, int] = (1, 2)


def work(log: Path, cell: Cell) -> dict[str, Any]:
    if cell.settings.number < 0:
        raise ArithmeticError("no root")
    with log.open("a") as lines:
        lines.write(f"{cell.name}\n")
    return {"square": cell.settings.number**2}


def cells(*numbers: int) -> list[Cell]:
    return [Cell(f"cell {number}", Squared(number)) for number in numbers]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_cell_is_worked_out_once_however_often_it_is_asked_for(workers: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for asked in (cells(1, 2), cells(1, 2, 3)):
        found = run_cells([asked], partial(work, log), tmp_path, workers=workers, console=QUIET)
        assert found == {cell.name: {"square": cell.settings.number**2} for cell in asked}
    assert sorted(log.read_text().splitlines()) == ["cell 1", "cell 2", "cell 3"]
    kept = read_json(tmp_path / "cells" / "cell 3.json")
    assert kept["settings"] == {"number": 3, "pair": [1, 2]}
    assert {"latentry", "torch"} <= kept["versions"].keys()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_loses_no_cell_that_was_done(workers: int, tmp_path: Path) -> None:
    with pytest.raises(ArithmeticError, match="no root"):
        run_cells([cells(1, -1, 2)], partial(work, tmp_path / "log"), tmp_path, workers=workers, console=QUIET)
    run_cells([cells(1, 2)], partial(work, tmp_path / "log"), tmp_path, workers=1, console=QUIET)
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["cell 1", "cell 2"]


def slow_work(log: Path, cell: Cell) -> dict[str, Any]:
    if cell.settings.number > 0:
        time.sleep(1.5)
    return work(log, cell)


def test_what_is_at_work_when_another_cell_fails_is_kept_and_what_has_not_begun_is_not_begun(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ArithmeticError, match="no root"):
        run_cells([cells(1, -1, *range(2, 40))], partial(slow_work, log), tmp_path, workers=2, console=QUIET)
    worked = log.read_text().splitlines()
    assert "cell 1" in worked
    assert len(worked) < 10
    assert sorted(path.stem for path in (tmp_path / "cells").iterdir()) == sorted(worked)


def test_a_cell_of_other_settings_is_refused(tmp_path: Path) -> None:
    run_cells([cells(1)], partial(work, tmp_path / "log"), tmp_path, workers=1, console=QUIET)
    with pytest.raises(ValueError, match=r"cell 1\.json was made with other settings"):
        run_cells([[Cell("cell 1", Squared(5))]], partial(work, tmp_path / "log"), tmp_path, workers=1, console=QUIET)


class Named(Squared):
    recipes = ("plain",)

    @property
    def recipe(self) -> Any:
        return Named.recipes


def test_a_cell_of_another_recipe_under_the_same_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        run_cells([[Cell("cell 1", Named(1))]], partial(work, tmp_path / "log"), tmp_path, workers=1, console=QUIET)
    monkeypatch.setattr(Named, "recipes", ("spiced",))
    with pytest.raises(ValueError, match=r"cell 1\.json was made with other settings"):
        run_cells([[Cell("cell 1", Named(1))]], partial(work, tmp_path / "log"), tmp_path, workers=1, console=QUIET)


def test_the_cost_is_that_of_what_is_still_to_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_cells([cells(1)], partial(work, tmp_path / "log"), tmp_path, workers=1, console=QUIET)
    announce(cells(1, 2, 3), tmp_path, lambda cell: 900.0 * (cell.settings.number - 1), 2, PlainConsole(width=300))
    said = capsys.readouterr().out
    assert "3 cells, 1 of them done" in said
    assert "30.0 min" in said
    assert "0.8 h of computing, 0.4 h with 2 at a time" in said


@dataclass(frozen=True)
class Built:
    """A cell that leaves a file, and builds on that of another."""

    name: str
    on: tuple[str, ...] = ()

    @property
    def leaves(self) -> str:
        return f"work/{self.name}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return self.on


def build(folder: Path, cell: Cell) -> dict[str, Any]:
    for name in cell.settings.on:
        assert (folder / "work" / name).exists()
    (folder / "work").mkdir(exist_ok=True)
    (folder / cell.settings.leaves).write_text("done")
    with (folder / "log").open("a") as lines:
        lines.write(f"{cell.name}\n")
    return {}


def test_what_was_left_and_is_gone_is_made_again_where_a_cell_still_builds_on_it(tmp_path: Path) -> None:
    """A house of two floors and one beside it, of which only the results were kept; then one roof's result is lost."""
    names = {"ground": (), "floor": ("ground",), "roof": ("floor",), "other ground": (), "other roof": ("other ground",)}
    phases = [[Cell(name, Built(name, on))] for name, on in names.items()]
    run_cells(phases, partial(build, tmp_path), tmp_path, workers=1, console=QUIET)
    for path in (tmp_path / "work").iterdir():
        path.unlink()
    (tmp_path / "log").unlink()
    run_cells(phases, partial(build, tmp_path), tmp_path, workers=1, console=QUIET)
    assert not (tmp_path / "log").exists()
    (tmp_path / "cells" / "roof.json").unlink()
    run_cells(phases, partial(build, tmp_path), tmp_path, workers=1, console=QUIET)
    assert (tmp_path / "log").read_text().splitlines() == ["ground", "floor", "roof"]
