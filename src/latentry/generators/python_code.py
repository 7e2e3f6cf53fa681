"""Generators in the user's Python code: `file.py:name` and `package.module:name`.

**This runs the code of the file or module.** What the name stands for decides how it is used:

- a module (`torch.nn.Module`) is the generator;
- a class is called without arguments, and what it makes is the generator;
- a function or another callable that can be called without arguments is a factory: it is called, and what it returns is the
  generator. A function with a default for its only argument counts as a factory;
- any other callable is the generator, `z -> x`;
- an object with `generator` and `prior`, such as a `latentry.GenerativeModel`, brings both.

While the file runs, its folder stands first among the places where Python looks for modules, as for a script. Modules that
it took from there are forgotten afterwards, so that two folders may each have a `model.py`.
"""

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from latentry.generators.found import Found, first_line
from latentry.names import hint
from latentry.paths import user_path

__all__ = ["from_python", "names_code"]

_FILE = re.compile(r"(?P<place>.+\.py):(?P<name>[^\W\d][\w.]*)")
_MODULE = re.compile(r"(?P<place>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d][\w.]*)")


def names_code(source: str) -> bool:
    """Whether a source has the form of `file.py:name`, `file.py` or `package.module:name`.

    Example:
        >>> names_code("nets.py:make"), names_code("my.nets:Net"), names_code("net.pt")
        (True, True, False)
    """
    return source.endswith(".py") or ".py:" in source or _MODULE.fullmatch(source) is not None


def from_python(source: str) -> Found:
    """What a name in a file or module of the user's stands for. **It runs their code.**

    Raises:
        ValueError: There is no such file, module or name, the code fails, or what it makes is no generator.
    """
    found = _FILE.fullmatch(source) or _MODULE.fullmatch(source)
    if found is None:
        raise ValueError(_without_a_name(source))
    place, name = found["place"], found["name"]
    if place.endswith(".py"):
        path = user_path(place)
        module, files = _run(path)
        parts: tuple[str | Path, ...] = (path.resolve(), f":{name}")
    else:
        module, parts = _imported(place), (source,)
        files = (Path(module.__file__).resolve(),) if module.__file__ else ()
    thing = _named(module, name, source)
    generator, prior = _made(thing, source)
    return Found(generator, files, prior, parts=parts, runs_code=True)


def _without_a_name(source: str) -> str:
    place, _, rest = source.partition(".py")
    path = user_path(place + ".py")
    if rest not in ("", ":"):
        return f"expected file.py:name with the name of a generator in the file, got {source!r}; write a Python name after :"
    if not path.is_file():
        return f"expected a generator, got {source}, and there is no such file; check its name"
    names = _offered(path)
    return f"expected the name of a generator in {path}, got none; write {path}:{names[0] if names else 'name'}" + (
        f" (the file has {', '.join(names[:8])})" if names else ""
    )


def _offered(path: Path) -> list[str]:
    """Names of the classes, functions and variables at the top of a file, which is not run."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return []
    names = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assigned = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return [name for name in [*names, *(one.id for one in assigned if isinstance(one, ast.Name))] if name[0] != "_"]


def _run(path: Path) -> tuple[ModuleType, tuple[Path, ...]]:
    """The module of a file, and the files of its folder that it was made from."""
    if not path.is_file():
        raise ValueError(f"expected a Python file at {path}, found none; check its name")
    folder = path.resolve().parent
    spec = importlib.util.spec_from_file_location(f"_generator_{path.stem}", path)
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None, "a file that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    try:
        with _first_on_path(folder):
            sys.modules[spec.name] = module  # dataclasses look for their module there
            spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(_failed(path, error)) from error
    finally:
        beside = {name: sys.modules[name] for name in set(sys.modules) - before if _lies_in(sys.modules[name], folder)}
        for name in (*beside, spec.name):
            sys.modules.pop(name, None)
    files = {Path(str(one.__file__)).resolve() for one in beside.values()}
    return module, (path.resolve(), *sorted(files - {path.resolve()}))


def _imported(name: str) -> ModuleType:
    """A module by its name, looked for in the present folder too."""
    try:
        with _first_on_path(Path.cwd()):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ValueError(
                f"expected a Python module {name}, found no {error.name}; install its package, start in its folder, or "
                "write the path of the file: folder/file.py:name"
            ) from None
        raise ValueError(_failed(name, error)) from error
    except Exception as error:
        raise ValueError(_failed(name, error)) from error


def _failed(place: str | Path, error: Exception) -> str:
    trace = error.__traceback__
    lines = []
    while trace is not None:
        if str(place) == trace.tb_frame.f_code.co_filename:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = f"{place}, line {line}," if line else f"{place}"
    return f"expected {where} to run, got {first_line(error)}; mend it, or install what it imports"


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    place = str(folder)
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)


def _lies_in(module: Any, folder: Path) -> bool:
    place = Path(getattr(module, "__file__", None) or "/")
    return place.resolve().is_relative_to(folder) and "site-packages" not in place.parts


def _named(module: ModuleType, name: str, source: str) -> Any:
    thing: Any = module
    for part in name.split("."):
        if not hasattr(thing, part):
            known = [one for one in vars(thing) if not one.startswith("_")] if hasattr(thing, "__dict__") else []
            raise ValueError(
                f"expected a generator {name} in {source.rpartition(':')[0]}, found none; "
                f"{hint(part, known, 'it has ' + (', '.join(known[:8]) or 'no names'))}"
            )
        thing = getattr(thing, part)
    return thing


def _made(thing: Any, source: str) -> tuple[Callable[..., Any], Any]:
    """The generator that a name stands for, and the prior that it brings along."""
    if _has_both(thing):
        return thing.generator, thing.prior
    if not callable(thing):
        raise ValueError(
            f"expected {source} to be a module, a function z -> x, or a function without arguments that makes one, got "
            f"{type(thing).__name__}; name another"
        )
    if isinstance(thing, nn.Module) or not (isinstance(thing, type) or _takes(thing, 0)):
        return thing, getattr(thing, "prior", None)
    if not _takes(thing, 0):
        raise ValueError(
            f"expected {source} to be a class that is made without arguments, got {thing.__name__}{_signature(thing)}; "
            "write a function without arguments beside it that makes it, and name that"
        )
    try:
        made = thing()
    except Exception as error:
        raise ValueError(f"expected {source} to make a generator, got {first_line(error)}; mend it") from error
    if _has_both(made):
        return made.generator, made.prior
    if not callable(made):
        raise ValueError(
            f"expected {source}, called without arguments, to return a module or a function z -> x, got "
            f"{type(made).__name__}; return one"
        )
    return made, getattr(made, "prior", None)


def _has_both(thing: Any) -> bool:
    return (
        not isinstance(thing, type | nn.Module) and callable(getattr(thing, "generator", None)) and hasattr(thing, "prior")
    )


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a callable can be called with so many arguments; those that do not say count as taking one."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return count == 1
    return True


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"
