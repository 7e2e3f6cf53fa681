"""The pages: links lead somewhere, the API is all there, snippets run, commands are commands, figures of size are right."""

import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import latentry as lt
from experiments.__main__ import EXPERIMENTS, with_presets
from latentry.cli import main
from latentry.cli.parser import verb_and_values, verbs_parser, with_shipped_configs

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*/README.md"))]
RENAMED = "\n**Renamed**\n"
"""Below it the changelog has names that are gone."""
FENCE = re.compile(r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: `<!-- run -->` above it has its commands run, `<!-- shown only: why -->` has nothing run."""

    page: Path
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.note == "run" if self.language == "console" else not self.note.startswith("shown only: ")

    def commands(self) -> list[list[str]]:
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        if found["language"] in languages:
            line = text.count("\n", 0, found.start("text"))
            yield Block(page, line, found["language"], found["note"] or "", found["text"])


COMMANDS = [(block, words) for page in PAGES for block in blocks(page, "console") for words in block.commands()]
RUNNING = [page for page in PAGES if any(block.runs for block in blocks(page, "python", "console"))]


def test_the_description_of_the_package_needs_no_file_beside_it() -> None:
    description = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["readme"]["text"]
    assert "import latentry as lt" in description
    assert not [link for link in re.findall(r"\]\(([^)\s]+)", description) if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_every_namespace_has_a_page_of_the_api() -> None:
    text = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    namespaces = [getattr(lt, public) for public in lt.__all__ if isinstance(getattr(lt, public), ModuleType)]
    assert not [module.__name__ for module in [lt, *namespaces] if f".. automodule:: {module.__name__}\n" not in text]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_of_the_library_on_a_page_are_there(page: Path) -> None:
    named = set(re.findall(r"\blt((?:\.[A-Za-z_]\w*)+)", page.read_text().partition(RENAMED)[0]))
    for dotted in named:
        found: Any = lt
        for part in dotted.split(".")[1:]:
            assert hasattr(found, part), f"lt{dotted}"
            found = getattr(found, part)


@pytest.mark.parametrize("page", RUNNING, ids=name)
def test_what_a_page_says_runs_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "snippet"}
    with redirect_stdout(io.StringIO()):
        for block in blocks(page, "python", "console"):
            if block.runs and block.language == "python":  # at the lines of the page, so that a traceback points there
                exec(compile("\n" * block.line + block.text, page, "exec"), names)
            elif block.runs:
                for words in block.commands():
                    assert main(words[1:]) == 0, " ".join(words)


@pytest.mark.parametrize(("block", "words"), COMMANDS, ids=[f"{block} {' '.join(words)}" for block, words in COMMANDS])
def test_a_command_is_one(block: Block, words: list[str]) -> None:
    """Commands of ours go through their parser; scripts and their flags, and targets of make, are there."""
    words = words[words.index("-m") - 1 :] if words[0] == "accelerate" else words
    match words:
        case ["latentry", *rest] | [_, "-m", "latentry", *rest]:
            if not {"--help", "--help_all"} & {*rest}:
                rest = with_shipped_configs(rest)
                verb_and_values(verbs_parser(rest), verbs_parser(rest).parse_args(rest))
        case ["python", "-m", "experiments", *rest]:
            rest = [word for word in with_presets(rest) if word != "--help_all"]
            parser = verbs_parser(rest, EXPERIMENTS)
            verb_and_values(parser, parser.parse_args(rest), EXPERIMENTS)
        case ["python", script, *flags]:
            text = (ROOT / script).read_text()
            assert not [flag for flag in flags if flag.startswith("--") and f'"{flag}"' not in text]
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text()
            assert not [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]
        case _:
            raise AssertionError("no test knows how to check this command")
