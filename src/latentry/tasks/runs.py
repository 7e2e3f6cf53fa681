"""One run of a verb: its folder, locked against other runs, its device, and the record of how the result was made."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.state import PartialState

from latentry.data.sources import check_output
from latentry.models.pretrained import installed_versions
from latentry.paths import user_path
from latentry.reports.consoles import PlainConsole
from latentry.storage import locked_folder, remove_leftovers, set_aside, write_json
from latentry.tasks.settings import CommonSettings

__all__ = ["RESULTS", "Processes", "Run", "command", "pick_device"]

RESULTS = "results.json"
"""Written last by every verb: a folder that has it holds a finished result."""

_PATIENCE = timedelta(days=30)
"""How long a process waits for the work of the others."""

Settings = TypeVar("Settings", bound=CommonSettings)


@dataclass(frozen=True)
class Processes:
    """Which process this is, of how many that share the work."""

    index: int = 0
    """Its number; the main process has 0."""
    count: int = 1
    """How many there are."""
    wait: Callable[[], None] = lambda: None
    """Returns when all of them have called it."""


@dataclass(frozen=True)
class Run:
    """What the settings that all verbs share come to in one run."""

    verb: str
    """Name of the settings without their ending, such as `TrainGAN`."""
    settings: dict[str, Any]
    """The settings as JSON, without `out`, `json` and `force`."""
    folder: Path
    """Folder for the results."""
    device: torch.device
    """Where to compute."""
    seed: int
    """Seed of every random choice."""
    quiet: bool
    """Whether nothing is printed: the result is printed as JSON, or another process prints."""
    processes: Processes = Processes()
    """Which process this is."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.processes.index == 0

    @property
    def console(self) -> PlainConsole:
        """Standard output, unless quiet."""
        return PlainConsole(quiet=self.quiet)

    @property
    def progress_console(self) -> PlainConsole:
        """Standard error, unless quiet."""
        return PlainConsole(stderr=True, quiet=self.quiet)

    def rng(self) -> torch.Generator:
        """A new random number generator on the CPU with the seed of the run."""
        return torch.Generator().manual_seed(self.seed)

    def other_rng(self) -> torch.Generator:
        """The same for codes that must not be those of `rng`: with a seed below 0, which no run has."""
        return torch.Generator().manual_seed(-1 - self.seed)

    def record(self, result: dict[str, Any]) -> dict[str, Any]:
        """Write `results.json`: settings, versions and the result; return what was written."""
        content = {"settings": self.settings, "versions": installed_versions(), "result": result}
        write_json(self.folder / RESULTS, content)
        return content


Verb = Callable[[Settings, Run], dict[str, Any]]


def command(*parts: str, shared: bool = False) -> Callable[[Verb[Settings]], Callable[[Settings], dict[str, Any]]]:
    """Decorator: the verb takes its `Run` as well, and has its folder until it ends.

    It is refused before it begins where its result is there already. With `force` a finished result is replaced, and nothing
    else; it comes back if the verb fails before it has written anything. What an unfinished run left is continued, with
    `force` too.

    Args:
        parts: Files and folders that the verb writes beside `results.json`; names without a suffix are folders.
        shared: Whether the processes of `accelerate launch` share the work; the main one has the folder.

    Raises:
        ValueError: There is no such device; the folder holds a finished result that is not to be replaced, or that the verb
            reads; it is a file, is another run's, or lies in a folder of data, which would hold the results when it is read
            again; or a part that is to be removed is a link, a file in place of a folder or a folder in place of a file.
    """

    def decorate(verb: Verb[Settings]) -> Callable[[Settings], dict[str, Any]]:
        @functools.wraps(verb)
        def run(settings: Settings) -> dict[str, Any]:
            _refuse_finished(settings)
            device, processes = _place(settings, shared=shared)
            name, quiet = type(settings).__name__.removesuffix("Settings"), settings.json or processes.index > 0
            with _claimed(settings, parts) if processes.index == 0 else nullcontext():
                processes.wait()
                return verb(
                    settings, Run(name, _record(settings), _folder(settings), device, settings.seed, quiet, processes)
                )

        return run

    return decorate


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` takes the first GPU if there is one.

    Raises:
        ValueError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except NotImplementedError:  # torch lists all that it was built for
        raise ValueError(
            f"expected a device of this machine, got {name!r}, which torch lacks here; try --device cpu"
        ) from None
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"expected a device of this machine, got {name!r} ({reason}); try --device cpu") from None
    if device.type == "meta":
        raise ValueError(f"expected a device that computes, got {name!r}, which knows shapes alone; try --device cpu")
    return device


def _place(settings: CommonSettings, *, shared: bool) -> tuple[torch.device, Processes]:
    """Where to compute, and which of several processes this is."""
    device = pick_device(settings.device)
    if not shared:
        return device, Processes()
    state: Any = PartialState(cpu=device.type == "cpu", timeout=_PATIENCE)
    if settings.device == "auto" and device.type == "cuda" and state.num_processes > 1:
        device = state.device
    return device, Processes(state.process_index, state.num_processes, state.wait_for_everyone)


def _folder(settings: CommonSettings) -> Path:
    """Where results go."""
    return user_path(settings.out)


def _refuse_finished(settings: CommonSettings) -> None:
    folder = _folder(settings)
    present = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not present.is_dir():
        kind = "a link to nothing" if present.is_symlink() and not present.exists() else "a file"
        raise ValueError(f"expected a folder for results, but {present} is {kind}; choose another --out")
    check_output(folder, [*_named(settings, "data"), *_named(settings, "images")])
    if (folder / RESULTS).exists() and not (settings.force or settings.continues):
        raise ValueError(f"{folder} holds an earlier result; choose another --out, or replace it with --force")


def _named(settings: CommonSettings, name: str) -> list[str]:
    """What a setting names: one source, several, or none."""
    value = getattr(settings, name, None)
    several = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [source for source in several if isinstance(source, str)]


@contextmanager
def _claimed(settings: CommonSettings, parts: tuple[str, ...]) -> Iterator[None]:
    """The folder for results, created and locked against other runs in the block."""
    folder = _folder(settings)
    with locked_folder(folder), ExitStack() as claims:
        _refuse_finished(settings)  # again: another run may have ended meanwhile
        remove_leftovers(folder, *parts)
        if (folder / RESULTS).exists() and settings.force:
            for part in (*parts, RESULTS):
                _check_removable(folder / part)
            _refuse_inputs(settings, folder, parts)
            claims.enter_context(set_aside(folder, (*parts, RESULTS)))
        yield


def _check_removable(path: Path) -> None:
    if path.is_symlink():
        raise ValueError(f"expected results to replace, but {path} is a link; remove it yourself, or choose another --out")
    if path.exists() and path.is_dir() == bool(path.suffix):
        kinds = ("file", "folder") if path.suffix else ("folder", "file")
        raise ValueError(
            f"expected a {kinds[0]} of an earlier result at {path}, but it is a {kinds[1]}, and none of this verb; move it "
            "away, or choose another --out"
        )


def _refuse_inputs(settings: CommonSettings, folder: Path, parts: tuple[str, ...]) -> None:
    """Refuse to replace what the verb is to read, such as a basis or an inverse."""
    replaced = {_real(folder / part) for part in parts}
    for field in dataclasses.fields(settings):
        for source in () if field.name == "out" else filter(None, _named(settings, field.name)):
            path = _real(user_path(source))
            if path == _real(folder) or replaced & {path, *path.parents}:
                raise ValueError(
                    f"expected --{field.name} outside the results that --force replaces, got {source}; choose another --out"
                )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises for links in a circle


def _record(settings: CommonSettings) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))  # tuples become lists, as on disk
    for name in ("out", "json", "force"):
        del content[name]
    return content
