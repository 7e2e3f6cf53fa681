"""The quick form of the benchmark runs as a newcomer would run it."""

import subprocess
import sys
from pathlib import Path

from latentry.storage import read_json

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "spectral_cost.py"


def test_the_cost_of_a_basis_is_stated_with_its_shares_and_its_agreement(tmp_path: Path) -> None:
    sizes = {"--codes": "600", "--d": "12", "--per_label": "20", "--blocks": "1", "--out": str(tmp_path / "cost.json")}
    command = [sys.executable, "-W", "error", str(BENCHMARK), *(part for pair in sizes.items() for part in pair)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    written = read_json(tmp_path / "cost.json")
    assert written["stream"]["largest_sine"] < 1e-3
    assert written["papers_basis"]["rows"] == 10
    assert 0.5 < written["papers_basis"]["share_of_both"] < 1
