"""What every verb does first and last: pick a device, respect an earlier result, record how the result was made."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import torch

from latentry.data.sources import check_output
from latentry.models.generative import GenerativeModel
from latentry.models.pretrained import installed_versions
from latentry.models.saving import load_model
from latentry.paths import user_path
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    LogUniformRadius,
    Normal,
    NormalMixture,
    SavedPrior,
    SphericalCauchy,
    TruncatedCauchy,
    Uniform,
    UnlabelledPrior,
    design_interpolable,
    design_radial,
    load_prior,
)
from latentry.storage import held_folder, remove_leftovers, set_aside, write_json
from latentry.tasks.settings import CommonSettings

__all__ = [
    "RESULTS",
    "claim_folder",
    "command",
    "load_any_generator",
    "load_generator",
    "named_prior",
    "out_folder",
    "pick_device",
    "record",
    "settings_record",
]

RESULTS = "results.json"
"""Written last by every verb: a folder that has it holds a finished result."""

_CLAIMS: ContextVar[ExitStack] = ContextVar("what the running verb has claimed")

Settings = TypeVar("Settings", bound=CommonSettings)

_PRIORS: dict[str, Callable[[int], UnlabelledPrior]] = {
    "normal": Normal,
    "uniform": Uniform,
    "half-uniform-half-normal": HalfUniformHalfNormal,
    "truncated-cauchy": TruncatedCauchy,
    "spherical-cauchy": SphericalCauchy,
    "gamma-radius": GammaRadius,
    "log-uniform-radius": LogUniformRadius,
    "interpolable": design_interpolable,
    "designed-radius": design_radial,
}


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


def command(verb: Callable[[Settings], dict[str, Any]]) -> Callable[[Settings], dict[str, Any]]:
    """A verb that is refused before it begins where its result is there already, and lets go of its folder when it ends."""

    @functools.wraps(verb)
    def run(settings: Settings) -> dict[str, Any]:
        _refuse_finished(settings)
        folder = out_folder(settings)
        new = not folder.exists()
        try:
            with ExitStack() as claims:
                token = _CLAIMS.set(claims)
                try:
                    return verb(settings)
                finally:
                    _CLAIMS.reset(token)
        except Exception:
            if new:
                with suppress(OSError):  # it holds something
                    folder.rmdir()
            raise

    return run


def out_folder(settings: CommonSettings) -> Path:
    """Where results go."""
    return user_path(settings.out)


def _refuse_finished(settings: CommonSettings) -> None:
    folder = out_folder(settings)
    present = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not present.is_dir():
        kind = "a link to nothing" if present.is_symlink() and not present.exists() else "a file"
        raise ValueError(f"expected a folder for results, but {present} is {kind}; choose another --out")
    check_output(folder, [*_given(settings, "data"), *_given(settings, "images")])
    if (folder / RESULTS).exists() and not (settings.force or settings.goes_on):
        raise ValueError(f"{folder} holds an earlier result; choose another --out, or replace it with --force")


def _given(settings: CommonSettings, name: str) -> list[str]:
    """What a setting names as data: one source, several, or none."""
    given = getattr(settings, name, None)
    several = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
    return [source for source in several if isinstance(source, str)]


def claim_folder(settings: CommonSettings, *parts: str) -> Path:
    """The folder for results, created and held against other runs until the verb (a `command`) ends.

    With `force` a finished result there is replaced, and nothing else; it comes back if the verb fails before it has written
    anything. What an unfinished run left is gone on from, with `force` too.

    Args:
        settings: Where, and whether by force.
        parts: Files and folders that the verb writes beside `results.json`; names without a suffix are folders.

    Raises:
        ValueError: The folder holds a finished result that is not to be replaced, is a file, is another run's, or lies in a
            folder of data, which would hold the results when it is read again; or a part that is to be removed is a link, a
            file in place of a folder or a folder in place of a file.
    """
    folder = out_folder(settings)
    _CLAIMS.get().enter_context(held_folder(folder))
    _refuse_finished(settings)  # again: another run may have ended meanwhile
    remove_leftovers(folder, *parts)
    if (folder / RESULTS).exists() and settings.force:
        for part in (*parts, RESULTS):
            _check_removable(folder / part)
        _CLAIMS.get().enter_context(set_aside(folder, (*parts, RESULTS)))
    return folder


def _check_removable(path: Path) -> None:
    if path.is_symlink():
        raise ValueError(f"expected results to replace, but {path} is a link; remove it yourself, or choose another --out")
    if path.exists() and path.is_dir() == bool(path.suffix):
        kinds = ("file", "folder") if path.suffix else ("folder", "file")
        raise ValueError(
            f"expected a {kinds[0]} of an earlier result at {path}, but it is a {kinds[1]}, and none of this verb; move it "
            "away, or choose another --out"
        )


def load_any_generator(name_or_path: str) -> tuple[GenerativeModel, SavedPrior]:
    """A saved generator and its prior, with labels or without.

    Raises:
        ValueError: There is no such model, or it has no prior.
    """
    model = load_model(name_or_path, GenerativeModel)
    assert isinstance(model.prior, SavedPrior), "a saved model has a prior of this package"
    return model, model.prior


def load_generator(name_or_path: str) -> tuple[GenerativeModel, UnlabelledPrior]:
    """A saved generator and its prior, for verbs that know no labels.

    Raises:
        ValueError: There is no such model, it has no prior, or one with labels.
    """
    model, prior = load_any_generator(name_or_path)
    if isinstance(prior, NormalMixture):
        raise ValueError(
            f"expected a prior without labels, got {prior!r}; `latentry sample`, `recover` and `evaluate` take it, and "
            "`latentry edit swap` or `edit features` where it is that of a label split or of a semantic model"
        )
    return model, prior


def named_prior(name_or_path: str, latent_dim: int | None = None) -> UnlabelledPrior:
    """The prior of this name in its standard form, or the one in this file.

    Args:
        name_or_path: A name, or a file that `latentry prior design` or `save_prior` wrote, or a bare table.
        latent_dim: Length of a code; by default that of a saved prior, which a name and a bare table have not.

    Raises:
        ValueError: There is no such name and no such file, or the file holds no prior, or one with labels, or there is no
            `latent_dim`.
    """
    if name_or_path in _PRIORS:
        if latent_dim is None:
            raise ValueError(f"expected the length of a code along with the prior {name_or_path!r}; pass latent_dim")
        return _PRIORS[name_or_path](latent_dim)
    if not user_path(name_or_path).is_file():
        raise ValueError(
            f"expected a prior among {', '.join(_PRIORS)}, or the file of one, got {name_or_path!r}; "
            "`latentry prior design` writes such a file"
        )
    prior = load_prior(name_or_path, latent_dim)
    if isinstance(prior, NormalMixture):
        raise ValueError(f"expected a prior without labels, got {prior!r}; use it from Python")
    return prior


def settings_record(settings: CommonSettings) -> dict[str, Any]:
    """What was asked for, as JSON, without where it goes and how it is shown."""
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))  # tuples become lists, as on disk
    for name in ("out", "json", "force"):
        del content[name]
    return content


def record(folder: Path, settings: CommonSettings, result: dict[str, Any]) -> dict[str, Any]:
    """Write `results.json`: settings, versions and the result; return what was written."""
    content = {"settings": settings_record(settings), "versions": installed_versions(), "result": result}
    write_json(folder / RESULTS, content)
    return content
