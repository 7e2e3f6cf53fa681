"""What every verb does first and last: pick a device, respect an earlier result, record how the result was made."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from latentry.data.sources import check_output
from latentry.models.pretrained import Pretrained, installed_versions, load_pretrained
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
from latentry.storage import write_json
from latentry.tasks.settings import CommonSettings

__all__ = [
    "RESULTS",
    "claim_folder",
    "load_any_generator",
    "load_generator",
    "named_prior",
    "pick_device",
    "record",
    "settings_record",
]

RESULTS = "results.json"
"""Written last by every verb: a folder that has it holds a finished result."""

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
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"expected a device of this machine, got {name!r} ({reason}); try --device cpu") from None
    return device


def claim_folder(settings: CommonSettings, *parts: str, goes_on: bool = False) -> Path:
    """The folder for results, created; with `force` an earlier result there is removed, with nothing else.

    Args:
        settings: Where, and whether by force.
        parts: Files and folders that the verb writes beside `results.json`.
        goes_on: Whether the verb goes on from an earlier result, having pieces of its own that it knows again.

    Raises:
        ValueError: The folder holds a finished result, unless the verb goes on from it, is a file, or lies in a folder of
            data, which would hold the results when it is read again.
    """
    folder = user_path(settings.out)
    check_output(folder, [*filter(None, [getattr(settings, "data", None)]), *getattr(settings, "images", [])])
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"expected a folder for results, but {folder} is a file; choose another --out")
    if settings.force:
        for part in (RESULTS, *parts):
            path = folder / part
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    elif (folder / RESULTS).exists() and not goes_on:
        raise ValueError(f"{folder} holds an earlier result; choose another --out, or replace it with --force")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def load_any_generator(name_or_path: str) -> tuple[Pretrained, SavedPrior]:
    """A saved generator and its prior, with labels or without.

    Raises:
        ValueError: There is no such model, or it has no prior.
    """
    model = load_pretrained(name_or_path)
    if model.prior is None:
        raise ValueError(f"expected a generator with its prior, but {name_or_path} has none; is it a classifier?")
    return model, model.prior


def load_generator(name_or_path: str) -> tuple[Pretrained, UnlabelledPrior]:
    """A saved generator and its prior, for verbs that know no labels.

    Raises:
        ValueError: There is no such model, it has no prior, or one with labels.
    """
    model, prior = load_any_generator(name_or_path)
    if isinstance(prior, NormalMixture):
        raise ValueError(
            f"expected a prior without labels, got {prior!r}; `latentry sample`, `recover` and `evaluate` take it, and "
            "`latentry edit` where it is that of a label split or of placed features"
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
    if not Path(name_or_path).is_file():
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
