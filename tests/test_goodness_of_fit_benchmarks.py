"""The quick forms of both benchmarks run as a newcomer would run them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from latentry.storage import read_json

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def figures(benchmark: str, out: Path, *arguments: str) -> Any:
    """What a benchmark writes."""
    command = [sys.executable, "-W", "error", str(BENCHMARKS / benchmark), "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return read_json(out)


def test_the_cost_is_stated_for_both_sides(tmp_path: Path) -> None:
    written = figures("goodness_of_fit_cost.py", tmp_path / "cost.json", "--runs", "1", "--codes", "20", "--d", "16")
    assert written["settings"]["codes"] == 20
    assert written["largest_ks_p_value_difference"] < 1e-6
    assert all(row["first_s"] > 0 and row["second_s"] > 0 for row in written["figures"].values())


def test_the_power_is_stated_with_its_interval(tmp_path: Path) -> None:
    arguments = ("--trials", "1", "--codes", "8", "--samples", "10000")
    written = figures("goodness_of_fit_power.py", tmp_path / "power.json", *arguments)
    failed = {(row["fault"], row["prior"]): row["failed"] for row in written["failed"]}
    assert failed["on the quantiles", "Uniform"]["value"] == 1.0
    assert failed["none", "Normal"]["trials"] == 1
    assert written["largest_differences"]["AD, 64 values"] < 0.02
