"""The documentation builds without a warning and needs no network; README has the floors as they are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.floor_lines import tree

ROOT = Path(__file__).parents[1]
ASSET = re.compile(
    r"""(?:<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=["']?|url\(["']?|@import\s+["'])((?:https?:)?//[^"')\s>]+)"""
)
"""What a page loads by itself; links that a reader may follow are not among it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run([*command, ROOT / "docs", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    texts = [path for ending in ("html", "css", "js") for path in site.rglob(f"*.{ending}")]
    loaded = {(path.name, address) for path in texts for address in ASSET.findall(path.read_text())}
    assert len(texts) > 50
    assert not loaded


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    pages = [page.read_text() for page in site.rglob("*.html")]
    formulas = [
        re.sub("<[^>]+>", "", formula) for page in pages for formula in re.findall(r"<math.*?</math>", page, re.DOTALL)
    ]
    assert len(formulas) > 100
    assert not [formula for formula in formulas if "\\" in formula], "a command that latex2mathml does not know"
    assert not any("MathJax" in page for page in pages)


def test_readme_has_the_floors_as_they_are() -> None:
    shown = re.findall(r"^(\d)  (\S+) +([\d,]+)  ", (ROOT / "README.md").read_text(), re.MULTILINE)
    found = [(floor, part, lines) for floor, part, lines, _ in tree()]
    assert [(int(floor), part) for floor, part, _ in shown] == [(floor, part) for floor, part, _ in found]
    counts = [int(lines.replace(",", "")) for *_, lines in shown]
    assert counts == pytest.approx([lines for *_, lines in found], rel=0.1), "python scripts/floor_lines.py --write"
