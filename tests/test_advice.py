"""What messages and pages advise exists: every flag of its verb, every verb, every name, every file of the package."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from setuptools import Distribution

import latentry as lt
from experiments.__main__ import EXPERIMENTS
from latentry.cli.parser import verb_and_values, verbs_parser, with_shipped_configs
from latentry.cli.verbs import flat

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "latentry"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
VERBS = flat()
OWN = {"config", "preset", "print_config", "help", "help_all", "version", "print_completion"}
FOREIGN = {"multi_gpu", "num_processes", "size", "threads"}
"""Flags of `accelerate launch`, of scripts and of pytest."""


PARSER = verbs_parser()


def settings_of(verb: str, parser: Any = PARSER) -> set[str]:
    child = parser
    for word in verb.split():
        child = child._subcommands_action._name_parser_map[word]  # type: ignore[union-attr]
    return {flag.lstrip("-") for action in child._actions for flag in (*action.option_strings, action.dest)}


FLAGS = {verb: settings_of(verb) for verb in VERBS}
OF_EXPERIMENTS = {verb: settings_of(verb, verbs_parser((), EXPERIMENTS)) for verb in flat(EXPERIMENTS.verbs)}


@cache
def texts(path: Path) -> tuple[str, ...]:
    """Strings of a module, f-strings with a blank for what is put in; the text of a page."""
    return tuple(_texts(path)) if path.suffix == ".py" else (path.read_text().partition("\n**Renamed**\n")[0],)


def _texts(path: Path) -> Iterator[str]:
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def imported(path: Path) -> set[Path]:
    """Files of the tasks that a file reaches, itself among them."""
    found, left = {path}, [path]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text())):
            name = node.module if isinstance(node, ast.ImportFrom) and node.module else ""
            file = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
            if name.startswith("latentry.tasks.") and file not in found and file.exists():
                found.add(file)
                left.append(file)
    return found


REACHED = {
    verb: imported(PACKAGE / "tasks" / Path(*one.function.split(":")[0].split(".")).with_suffix(".py"))
    for verb, one in VERBS.items()
}


def said_with_a_verb(text: str) -> Iterator[tuple[str, list[str]]]:
    """`latentry VERB ... --flag ...` in backticks: the verbs that it may mean, and the flags."""
    for command in re.findall(r"`latentry ([a-z][^`\0]*)`", text):
        words = command.split()
        kind = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in VERBS), "")
        yield kind or words[0], re.findall(r"--([a-z]\w*)", command)


@pytest.mark.parametrize("path", sorted((PACKAGE / "tasks").rglob("*.py")), ids=lambda path: path.stem)
def test_a_flag_in_a_message_is_one_of_a_verb_that_says_it(path: Path) -> None:
    verbs = [verb for verb in VERBS if path in REACHED[verb]]
    known = set().union(*(FLAGS[verb] for verb in verbs)) | OWN
    for text in texts(path):
        own = re.sub(r"(--\w+ of )?`[^`]*`", "", text)  # flags of other commands
        assert not [flag for flag in re.findall(r"--([a-z][\w.]*\w)", own) if flag not in known], text


@pytest.mark.parametrize("path", [*sorted(PACKAGE.rglob("*.py")), *PAGES], ids=lambda path: path.stem)
def test_a_command_that_is_advised_exists_with_its_flags(path: Path) -> None:
    for text in texts(path):
        for verb, flags in said_with_a_verb(text):
            group = [name for name in VERBS if name.startswith(f"{verb} ")]
            assert verb in VERBS or group or verb in ("VERB",), text
            known = set().union(*(FLAGS[name] for name in group or [verb] if name in VERBS)) | OWN
            assert not [flag for flag in flags if flag not in known], text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_flag_on_a_page_is_one_of_some_verb(page: Path) -> None:
    known = set().union(*FLAGS.values(), *OF_EXPERIMENTS.values()) | OWN | FOREIGN
    text = re.sub(r"`python (benchmarks|scripts)/[^`]*`", "", texts(page)[0])  # these have flags of their own
    assert not [flag for flag in re.findall(r"(?<![\w-])--([a-z][\w.]*\w)", text) if flag not in known]


@pytest.mark.parametrize("path", [*sorted(PACKAGE.rglob("*.py")), *PAGES], ids=lambda path: path.stem)
def test_a_name_that_is_advised_exists(path: Path) -> None:
    for text in texts(path):
        for dotted in re.findall(r"(?<![\w./-])(?:lt|latentry)\.([A-Za-z_][\w.]*\w)", text):
            assert resolves(dotted), f"{dotted} in {text[:200]}"


def resolves(dotted: str) -> bool:
    found: object = lt
    for index, name in enumerate(dotted.split(".")):
        if not hasattr(found, name):
            try:
                importlib.import_module(".".join(["latentry", *dotted.split(".")[: index + 1]]))
            except ImportError:
                return False
        found = getattr(found, name)
    return True


def commands(page: Path) -> Iterator[list[str]]:
    """Blocks of commands of a page, as words."""
    for block in re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL):
        lines = [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("latentry ")]
        if lines:
            yield lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_can_be_given_one_after_the_other(page: Path) -> None:
    for block in commands(page):
        taken = list[str]()
        for line in block:
            words = shlex.split(line, comments=True)[1:]
            _, _, values = verb_and_values(PARSER, PARSER.parse_args(with_shipped_configs(words)))
            assert values["out"] not in taken, f"{line}: an earlier result lies there"
            taken.append(values["out"])


def test_the_wheel_holds_every_file_that_is_no_module() -> None:
    build = Distribution()
    build.parse_config_files([str(ROOT / "pyproject.toml")])
    build.src_root = None
    patterns = build.package_data["latentry"]
    held = {path for pattern in patterns for path in PACKAGE.glob(pattern) if path.is_file()}
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert held == others
    assert {path.stem for path in held if path.parent.name == "configs"} >= {"digits-generator", "digits-split"}
