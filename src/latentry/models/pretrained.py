"""One network on disk: a folder with `config.json` (names, numbers, model card) and `model.safetensors` (weights).

Nothing is unpickled, and no code that a file names is run unless the user allows it: a class is a public name of
`latentry.networks` or `latentry.priors`. A third-party generator is kept by reference (`latentry.generators.references`).
Shipped models live inside the package and are loaded by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from latentry.generators import references
from latentry.generators.adapted import AdaptedGenerator
from latentry.interfaces import Prior
from latentry.networks import channels_last
from latentry.networks import files as network_files
from latentry.paths import user_path
from latentry.priors import files
from latentry.priors.adapters import as_prior
from latentry.storage import read_json, read_tensors, write_json, write_tensors

__all__ = [
    "SavedNetwork",
    "installed_versions",
    "is_model",
    "load_network",
    "model_folder",
    "save_network",
    "shipped_models",
]

_SHIPPED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True)
class SavedNetwork:
    """One network as its folder describes it."""

    network: nn.Module
    """The network, in eval mode, on the CPU."""
    prior: Prior | None
    """Distribution of its codes, where it is a generator: one of this package, or of a third-party generator."""
    card: dict[str, Any]
    """Its model card: configuration, data fingerprint, seed, metrics, versions."""
    prior_is: Literal["given", "own", "assumed"] = "given"
    """Where the prior comes from, as in `GenerativeModel`."""


def shipped_models() -> list[str]:
    """Names that `load_model` knows without a path.

    Example:
        >>> from latentry.models.pretrained import shipped_models
        >>> "digits-generator" in shipped_models()
        True
    """
    return sorted(path.parent.name for path in _SHIPPED.glob("*/config.json"))


def model_folder(name_or_path: str | Path) -> Path:
    """Where a shipped model lies, by its name, or one of the user's own, by its folder; there may be none."""
    return _SHIPPED / name_or_path if str(name_or_path) in shipped_models() else user_path(name_or_path)


def is_model(name_or_path: str | Path) -> bool:
    """Whether this names a model of latentry: a shipped one, or the folder of a saved one, or of a training of one."""
    folder = model_folder(name_or_path)
    if not (folder / "config.json").is_file():
        return (folder / "model" / "config.json").is_file()
    config = read_json(folder / "config.json")
    return isinstance(config, dict) and bool({"network", "generator"} & set(config))


def load_network(name_or_path: str | Path, *, run_code: bool = False) -> SavedNetwork:
    """The network of a shipped model by its name, or of the folder that `save_network` or `save_model` wrote.

    Args:
        name_or_path: Name or folder.
        run_code: Whether Python of the user's that the folder names may be run.

    Raises:
        ValueError: There is no such model, its folder lacks a file, or its weights do not fit its configuration.
    """
    folder = model_folder(name_or_path)
    if not folder.is_dir():
        raise ValueError(
            f"expected one of the shipped models {shipped_models()} or the folder of a saved one, got {str(name_or_path)!r}"
        )
    if not (folder / "config.json").exists() and (folder / "model" / "config.json").exists():
        raise ValueError(
            f"expected the folder of a model, got that of a training, {folder}; its model is {folder / 'model'}"
        )
    config = read_json(folder / "config.json")
    if isinstance(config, Mapping) and "generator" in config:
        return _by_reference(config, folder, run_code)
    weights = read_tensors(folder / "model.safetensors")
    try:
        network = network_files.loaded(config["network"], weights)
        prior = None if config["prior"] is None else files.from_record(config["prior"]).to(_precision(network))
        card = dict(config.get("card", {}))
        if not_finite := next(
            (name for name, w in weights.items() if w.is_floating_point() and not w.isfinite().all()), None
        ):
            raise ValueError(f"{not_finite} holds NaN or infinity")
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder} does not describe a model of this version of latentry ({error}); train or save it again"
        ) from None
    return SavedNetwork(channels_last(network).eval(), prior, card)


def _by_reference(config: Mapping[str, Any], folder: Path, run_code: bool) -> SavedNetwork:
    """A third-party generator, from where it lies."""
    try:
        prior_is = config["prior_is"]
        prior = None if prior_is == "own" else files.from_record(config["prior"])
        generator, own = references.resolved(config["generator"], folder, run_code)
        card = dict(config.get("card", {}))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} does not describe a model of this version of latentry ({error}); save it again"
        ) from None
    return SavedNetwork(generator, as_prior(own) if prior is None else prior, card, prior_is)


def _precision(network: nn.Module) -> torch.dtype:
    """The precision of a network's weights, which its codes have too."""
    return next((weight.dtype for weight in network.parameters() if weight.is_floating_point()), torch.float32)


def save_network(
    folder: str | Path,
    network: nn.Module,
    prior: files.SavedPrior | None,
    card: Mapping[str, Any],
    *,
    half: bool = False,
    prior_is: str = "given",
) -> None:
    """Write a network of `latentry.networks` and its prior so that `load_network(folder)` gives them back.

    Args:
        folder: Where to.
        network: Its weights and its build are kept.
        prior: Distribution of its codes, where it is a generator; None for one that a third-party generator brings along.
        card: Configuration, data fingerprint, seed, metrics; versions are added.
        half: Keep weights in half precision: half the file, three digits. They are loaded in single precision.
        prior_is: Where the prior comes from, as in `GenerativeModel`.

    A third-party generator (`AdaptedGenerator`) is kept by reference: its source, and the hash of its files.

    Raises:
        ValueError: The network or the prior is not a public class of this package, so that no name could find it again.
    """
    shared = {"prior": None if prior is None else files.record(prior), "card": {**card, "versions": installed_versions()}}
    if isinstance(network, AdaptedGenerator):
        config = {"generator": references.record(network, Path(folder)), **shared, "prior_is": prior_is}
    else:
        config = {"network": network_files.record(network), **shared}
        weights = {name: w.half() if half and w.is_floating_point() else w for name, w in network.state_dict().items()}
        write_tensors(Path(folder) / "model.safetensors", weights)
    write_json(Path(folder) / "config.json", config)


def installed_versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {"latentry": metadata.version("latentry"), "torch": torch.__version__.split("+")[0]}
