"""Priors by name and in files: a class of this package and its arguments, as JSON, and nothing else."""

from pathlib import Path
from typing import Any

from latentry import priors
from latentry.priors.iid import IIDPrior
from latentry.priors.labelled import NormalMixture
from latentry.priors.radial import RadialPrior
from latentry.priors.tabulated import Tabulated
from latentry.storage import read_json, write_json

__all__ = ["SavedPrior", "UnlabelledPrior", "from_record", "load_prior", "record", "save_prior"]

UnlabelledPrior = IIDPrior | RadialPrior
"""Priors of this package that know no labels."""

SavedPrior = UnlabelledPrior | NormalMixture
"""Priors that a name and arguments describe."""


def record(prior: SavedPrior) -> dict[str, Any]:
    """The prior's class and arguments, as JSON can hold them.

    Raises:
        ValueError: The prior is not of a class that `latentry.priors` offers, so that no name could find it again.
    """
    name = type(prior).__name__
    if getattr(priors, name, None) is not type(prior):
        raise ValueError(
            f"expected a class that latentry.priors offers, got {name}; pass your own prior to latentry's functions as it is"
        )
    return {"class": name, "arguments": prior.arguments()}


def from_record(content: Any) -> SavedPrior:
    """The prior that `record` described.

    Raises:
        ValueError: The record names no prior of this version, or its arguments do not fit.
    """
    try:
        kind = getattr(priors, content["class"])
        prior = kind(**content["arguments"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected the class and the arguments of a prior of this version of latentry ({error}); save it again"
        ) from None
    if not isinstance(prior, SavedPrior):
        raise ValueError(f"expected a prior, got {content['class']}; choose one of latentry.priors")
    return prior


def save_prior(path: str | Path, prior: SavedPrior, **notes: Any) -> None:
    """Write a prior as JSON, with notes beside it that `load_prior` passes over, such as how it was designed."""
    write_json(path, {**record(prior), **notes})


def load_prior(path: str | Path, latent_dim: int | None = None) -> SavedPrior:
    """A prior that `save_prior` wrote, or a bare table of masses (see `latentry.priors.tabulated.read_table`).

    Args:
        path: A .json file of `save_prior`, or a table as .npy, .npz, .json or .mat.
        latent_dim: Number of coordinates; by default that of the saved prior, which a bare table has not.

    Raises:
        ValueError: The file is missing or of another kind, or a bare table comes without `latent_dim`.
    """
    content = read_json(path) if Path(path).suffix == ".json" else None
    if isinstance(content, dict) and "class" in content:
        arguments = content.get("arguments", {})
        return from_record({**content, "arguments": arguments | ({} if latent_dim is None else {"latent_dim": latent_dim})})
    if latent_dim is None:
        raise ValueError(f"{path} is a bare table and says nothing of the length of a code; pass latent_dim")
    return Tabulated.from_file(path, latent_dim)
