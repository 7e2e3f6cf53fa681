"""Priors as JSON and in files: the name of a class of this package and its arguments."""

from pathlib import Path
from typing import Any

from latentry.names import printable
from latentry.paths import user_path
from latentry.priors.copula import Copula
from latentry.priors.designer import Designed
from latentry.priors.flow import Flow
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, TruncatedCauchy, Uniform
from latentry.priors.labelled import NormalMixture
from latentry.priors.multivariate_normal import MultivariateNormal
from latentry.priors.normal_mixture import MultivariateNormalMixture
from latentry.priors.placement import SemanticPlacement
from latentry.priors.pushforward import Pushforward
from latentry.priors.radial import GammaRadius, LogUniformRadius, RadialPrior, SphericalCauchy
from latentry.priors.tabulated import Tabulated
from latentry.records import class_name, rebuilt
from latentry.storage import read_json, write_json

__all__ = ["SavedPrior", "UnlabelledPrior", "from_record", "load_prior", "record", "save_prior"]

UnlabelledPrior = IIDPrior | RadialPrior | Pushforward
"""Priors of this package that know no labels."""

SavedPrior = UnlabelledPrior | NormalMixture
"""Priors that a name and arguments describe."""

_CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Copula,
        Designed,
        Flow,
        GammaRadius,
        HalfUniformHalfNormal,
        LogUniformRadius,
        MultivariateNormal,
        MultivariateNormalMixture,
        Normal,
        NormalMixture,
        RadialPrior,
        SemanticPlacement,
        SphericalCauchy,
        Tabulated,
        TruncatedCauchy,
        Uniform,
    )
}
"""All that a file may name."""


def record(prior: SavedPrior) -> dict[str, Any]:
    """The prior's class and arguments, as JSON can hold them.

    Raises:
        ValueError: The prior is not of a class that `latentry.priors` offers, so that no name could find it again.

    Example:
        >>> record(Normal(8))
        {'class': 'Normal', 'arguments': {'latent_dim': 8, 'loc': 0.0, 'scale': 1.0}}
    """
    name = class_name(prior, _CLASSES, "latentry.priors", "pass your own prior to latentry's functions as it is")
    return {"class": name, "arguments": prior.arguments()}


def from_record(content: Any) -> SavedPrior:
    """The prior that `record` described.

    Raises:
        ValueError: The record names no prior of this version, or its arguments do not fit.

    Example:
        >>> from_record({"class": "Uniform", "arguments": {"latent_dim": 4}})
        Uniform(latent_dim=4, low=-1.0, high=1.0)
    """
    prior: SavedPrior = rebuilt(content, _CLASSES, "prior")
    return prior


def save_prior(path: str | Path, prior: SavedPrior, **notes: Any) -> None:
    """Write a prior as JSON, with notes beside it that `load_prior` passes over, such as how it was designed.

    Raises:
        ValueError: The name of the file does not end in .json, so that `load_prior` would not know it; or the prior is none
            that a file can hold.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "prior.json"
        >>> save_prior(file, Normal(8), made_for="a test")
        >>> load_prior(file)
        Normal(latent_dim=8, loc=0.0, scale=1.0)
    """
    if Path(path).suffix != ".json":
        raise ValueError(f"expected a file name that ends in .json, got {printable(path)}; a saved prior is JSON")
    write_json(path, {**record(prior), **notes})


def load_prior(path: str | Path, latent_dim: int | None = None) -> SavedPrior:
    """A prior that `save_prior` wrote, or a bare table of masses (see `latentry.priors.tabulated.read_table`).

    Args:
        path: A .json file of `save_prior`, or a table as .npy, .npz, .json or .mat.
        latent_dim: Number of coordinates; by default that of the saved prior, which a bare table has not.

    Raises:
        ValueError: The file is missing or of another kind, or a bare table comes without `latent_dim`.

    Example:
        >>> import json, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "table.json"
        >>> _ = file.write_text(json.dumps([0.25, 0.5, 0.25]))
        >>> load_prior(file, latent_dim=16)
        Tabulated(latent_dim=16, bins=3, low=-2, high=2)
    """
    path = user_path(path)
    content = read_json(path) if path.suffix == ".json" else None
    if isinstance(content, dict) and "class" in content:
        prior = from_record(content)
        if latent_dim is None or latent_dim == prior.latent_dim:
            return prior
        if isinstance(prior, Pushforward):
            raise ValueError(
                f"expected latent_dim={prior.latent_dim} as the prior in {path} has, got {latent_dim}; leave it out"
            )
        return from_record({**content, "arguments": {**prior.arguments(), "latent_dim": latent_dim}})
    if latent_dim is None:
        raise ValueError(f"{path} is a bare table and says nothing of the length of a code; pass latent_dim")
    return Tabulated.from_file(path, latent_dim)
