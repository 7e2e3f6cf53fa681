"""Every example, and the cost benchmark at small size, run as a newcomer would run them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from latentry.storage import read_json

ROOT = Path(__file__).parents[1]


def without_numbers(text: str) -> list[list[str]]:
    """The words of each line, with a sign in place of each number, as machines differ in the last digits."""
    return [re.sub(r"-?\d[\d.]*(e[-+]\d+)?", "#", line).split() for line in text.strip().splitlines()]


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_prints_what_its_page_shows(example: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = next(
        page for page in (ROOT / "docs" / "tutorials").glob("*.md") if f"examples/{example.name}" in page.read_text()
    )
    shown = page.read_text().split("```text\n")[1].split("```")[0]
    assert without_numbers(done.stdout) == without_numbers(shown)


@pytest.mark.parametrize("example", sorted((ROOT / "examples" / "your_own").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_of_ones_own_is_short_prints_what_its_page_shows_and_draws(example: Path, tmp_path: Path) -> None:
    assert len(example.read_text().splitlines()) < 40
    done = subprocess.run(
        [sys.executable, "-W", "error", example], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "how-to" / "bring-your-own.md").read_text()
    shown = page.split(f"python examples/your_own/{example.name}\n")[1].split("```text\n")[1].split("```")[0]
    assert without_numbers(done.stdout) == without_numbers(shown)
    assert [picture.name for picture in tmp_path.iterdir()] == [f"{example.stem}.png"]


def test_the_cost_of_recovery_is_stated_for_every_regularizer_and_distance(tmp_path: Path) -> None:
    arguments = ["--runs", "1", "--codes", "4", "--d", "16", "--out", str(tmp_path / "cost.json")]
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "recovery_cost.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = read_json(tmp_path / "cost.json")["figures"]
    assert len(figures) == 2 * 6 + 3  # beside both forms of the generator
    assert all(row["first_s"] > 0 and row["second_s"] > 0 for row in figures.values())


def test_the_success_of_recovery_is_stated_beside_common_ways(tmp_path: Path) -> None:
    arguments = ["--codes", "2", "--restarts", "2", "--steps", "10", "--out", str(tmp_path / "success.json")]
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "recovery_success.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = read_json(tmp_path / "success.json")["figures"]
    assert [row["found"] for row in figures.values()] == [2, 0, 0]


def test_the_cost_of_an_iteration_of_a_label_split_is_stated_beside_its_bare_passes(tmp_path: Path) -> None:
    arguments = ["--runs", "2", "--batch", "8", "--width", "2", "--out", str(tmp_path / "cost.json")]
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "label_split_cost.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = read_json(tmp_path / "cost.json")["figures"]
    assert set(figures) == {"VAE", "VAE with a discriminator"}
    assert all(row["iteration_s"] > 0 and row["bare_s"] > 0 for row in figures.values())


def test_the_cost_of_the_distance_is_stated_beside_every_peer(tmp_path: Path) -> None:
    pytest.importorskip("ot")
    arguments = ["--runs", "1", "--small", "--out", str(tmp_path / "cost.json")]
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "regularizer_cost.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = read_json(tmp_path / "cost.json")
    assert len(written["figures"]) == 4 + 3
    assert all(row["ours_s"] > 0 and row["peer_s"] > 0 for row in written["figures"].values())
    differences = written["mean_differences_to_the_exact_distance"]
    assert min(differences, key=lambda name: differences[name]).endswith("ours, in single precision")
