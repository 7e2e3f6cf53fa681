"""The long table of results, and the tables of a page as pivots of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.framework.cell import Cell, Place, Row, flat
from experiments.framework.results import Column, count, least, mean, measured, percent, pivot, plain, points, results_table
from experiments.framework.run import check_counts, check_known, check_parts


@dataclass(frozen=True)
class Scored(Cell):
    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-{self.seed}"

    @property
    def row(self) -> Row:
        return Row("models", "toys", self.method, self.seed)

    def work(self, place: Place) -> dict[str, Any]:
        raise NotImplementedError

    def expected_seconds(self, place: Place) -> float:
        raise NotImplementedError


CELLS = [Scored(method, seed) for seed in (0, 1, 2) for method in ("ours", "plain")]
RESULTS: dict[str, dict[str, Any]] = {
    cell.name: {
        "share": 0.97 + 0.01 * cell.seed,
        "fit": {"passes": cell.method == "ours" or cell.seed > 0, "p": 0.1**cell.seed},
        "title": "no number",
        "of each": [1, 2],
    }
    | ({"gain": -0.1} if cell.method == "ours" else {})
    for cell in CELLS
}
ROWS = measured(results_table(CELLS, RESULTS), "models")["toys"]


def test_the_long_table_has_one_number_a_row_named_by_its_path() -> None:
    table = results_table(CELLS, RESULTS)
    assert [*table.columns] == ["part", "data", "method", "seed", "measure", "value"]
    assert len(table) == 3 * 4 + 3 * 3
    assert {*table["measure"]} == {"share", "fit.passes", "fit.p", "gain"}
    assert dict(flat({"a": {"b": True, "c": {"d": 2}}, "e": None})) == {"a.b": 1.0, "a.c.d": 2.0}


def test_what_the_table_says_is_the_same_after_a_file(tmp_path: Path) -> None:
    import pandas as pd

    results_table(CELLS, RESULTS).to_csv(tmp_path / "results.csv", index=False)
    assert measured(pd.read_csv(tmp_path / "results.csv"), "models")["toys"] == ROWS


def test_a_row_knows_its_seeds_means_and_differences() -> None:
    ours, other = ROWS["ours"], ROWS["plain"]
    assert ours.seeds == (0, 1, 2)
    assert "gain" in ours
    assert "gain" not in other
    assert ours.mean("share").value == pytest.approx(0.98)
    assert ours.less(other, "share").value == pytest.approx(0.0)
    assert ours.less(other, "share").paired
    assert ours.below("fit.").keys() == {"passes", "p"}


def test_a_pivot_shows_means_with_intervals_and_on_a_console_alone() -> None:
    columns = (
        Column("share", percent("share"), console=True),
        Column("gain", points("gain")),
        Column("exactly", mean("share", ".3f")),
        Column("alone", plain("share", ".2f")),
        Column("passes", count("fit.passes"), console=True),
        Column("least p", least("fit.p")),
    )
    table = pivot("Toys", ROWS, columns, "A note.", first="model", titles={"ours": "Ours"})
    assert table.columns == ("model", "share", "gain", "exactly", "alone", "passes", "least p")
    name, share, gain, exactly, alone, passes, p = table.rows[0]
    assert (name, gain, alone, passes, p) == ("Ours", "-10.0 [-10.0, -10.0]", "0.98", "3 of 3", "0.01")
    assert share == "98.0 [95.5, 100.0]"  # no share is above 1
    assert exactly == "0.980 [0.955, 1.005]"
    assert table.rows[1][2] == "-"
    short = pivot("Toys", ROWS, columns, "A note.", short=True)
    assert short.columns == ("method", "share", "passes")
    assert short.rows[1] == ("plain", "98.0", "2 of 3")
    assert not short.note


def test_settings_that_no_experiment_knows_are_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"expected models among a, b, got c; choose some of these"):
        check_known("models", ("a", "c"), ("a", "b"))
    with pytest.raises(ValueError, match="at least one part"):
        check_parts(())
    with pytest.raises(ValueError, match=r"one classifier for each of --data, got 1 for 2; name as many with --classifiers"):
        check_counts("classifier", data=("a", "b"), classifiers=("c",))
    with pytest.raises(ValueError, match="got 0 for 0"):
        check_counts("classifier", data=(), classifiers=())
    check_counts("classifier", data=("a",), classifiers=("b",))


@dataclass(frozen=True)
class Compared(Scored):
    """A cell of two methods."""

    def rows(self, result: dict[str, Any]) -> dict[Row, dict[str, float]]:
        return {self.row._replace(method=method): {"share": share} for method, share in result.items()}


def test_a_cell_of_several_methods_fills_several_rows() -> None:
    cells = [Compared("all", seed) for seed in (0, 1)]
    table = results_table(cells, {cell.name: {"a": 0.1, "b": 0.2 + cell.seed} for cell in cells})
    assert {name: row["share"] for name, row in measured(table, "models")["toys"].items()} == {
        "a": {0: 0.1, 1: 0.1}, "b": {0: 0.2, 1: 1.2},
    }  # fmt: skip
