"""Every example in a docstring of the package runs, and every public name has one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest
from public_names import public_names

PACKAGE = Path(__file__).parents[1] / "src" / "latentry"


def modules_with_examples() -> list[str]:
    """Dotted names of the modules that hold a `>>>`."""
    found = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text()]
    parts = (path.relative_to(PACKAGE.parent).with_suffix("").parts for path in found)
    return [".".join(part for part in names if part != "__init__") for names in parts]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", sorted(public_names()))
def test_a_public_name_has_an_example(name: str) -> None:
    thing = inspect.unwrap(public_names()[name])
    assert ">>> " in (inspect.getdoc(thing) or ""), f"{name} has no Example in its docstring"
