"""Networks on disk: a folder with `config.json` (names, numbers, model card) and `model.safetensors` (weights).

Nothing is unpickled and no path of code is taken from a file: a class is a public name of `latentry.networks` or
`latentry.priors`. Shipped models live inside the package and are loaded by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentry.display import Facts, Shown
from latentry.holding import evaluated
from latentry.networks import channels_last
from latentry.networks import files as network_files
from latentry.paths import user_path
from latentry.priors import files
from latentry.storage import fingerprint, read_json, read_tensors, write_json, write_tensors

__all__ = ["Pretrained", "installed_versions", "load_pretrained", "model_folder", "save_pretrained", "shipped_models"]

_DRAWN = 30
_SHIPPED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True, repr=False)
class Pretrained(Shown):
    """A network with all that is known of it."""

    network: nn.Module
    """The network, in eval mode, on the CPU."""
    prior: files.SavedPrior | None
    """Distribution of its codes, where it is a generator."""
    card: dict[str, Any]
    """Its model card: configuration, data fingerprint, seed, metrics, versions."""
    fingerprint: str
    """Hash of its weights as they were loaded."""

    def _facts(self) -> Facts:
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        data = self.card.get("data", {})
        kind = "network without a prior" if self.prior is None else "generator"
        known = (("prior", repr(self.prior)),) if self.prior is not None else ()
        trained = ((f"trained on {data['items']:,} items of", str(data["name"])),) if {"name", "items"} <= {*data} else ()
        return Facts(
            f"Saved {kind}: {type(self.network).__name__}",
            (("parameters", f"{parameters:,}"), *known, *trained, ("weights", self.fingerprint)),
            "`network` is the module" + (" and `prior` the distribution of its codes." if known else "."),
        )

    def _picture(self) -> str:
        return "" if self.prior is None else super()._picture()

    def _draw(self, figure: Any) -> None:
        """Samples, where it is a generator of images.

        Raises:
            ValueError: It is none.
        """
        from latentry.display.drawing import draw_samples

        if self.prior is None:
            raise ValueError("expected a generator to draw samples of, got a network without a prior; print it instead")
        device = next(self.network.parameters()).device
        z = self.prior.sample(_DRAWN, rng=torch.Generator().manual_seed(0)).to(device)
        with evaluated(self.network), torch.no_grad():
            x = self.network(z)
        draw_samples(figure, x)


def shipped_models() -> list[str]:
    """Names that `load_pretrained` knows without a path."""
    return sorted(path.parent.name for path in _SHIPPED.glob("*/config.json"))


def model_folder(name_or_path: str | Path) -> Path:
    """Where a shipped model lies, by its name, or an own one, by its folder; there may be none."""
    return _SHIPPED / name_or_path if str(name_or_path) in shipped_models() else user_path(name_or_path)


def load_pretrained(name_or_path: str | Path) -> Pretrained:
    """A shipped model by its name, or an own one by the folder that `save_pretrained` or `latentry train` wrote.

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
    weights = read_tensors(folder / "model.safetensors")
    try:
        network = network_files.loaded(config["network"], weights)
        prior = None if config["prior"] is None else files.from_record(config["prior"]).to(_precision(network))
        card = dict(config.get("card", {}))
        if spoilt := next((name for name, w in weights.items() if w.is_floating_point() and not w.isfinite().all()), None):
            raise ValueError(f"{spoilt} holds NaN or infinity")
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder} does not describe a model of this version of latentry ({error}); train or save it again"
        ) from None
    return Pretrained(channels_last(network).eval(), prior, card, fingerprint(network.state_dict()))


def _precision(network: nn.Module) -> torch.dtype:
    """The precision of a network's weights, which its codes have too."""
    return next((weight.dtype for weight in network.parameters() if weight.is_floating_point()), torch.float32)


def save_pretrained(
    folder: str | Path,
    network: nn.Module,
    prior: files.SavedPrior | None,
    card: Mapping[str, Any],
    *,
    half: bool = False,
) -> None:
    """Write a network of `latentry.networks` and its prior so that `load_pretrained(folder)` gives them back.

    Args:
        folder: Where to.
        network: Its weights and its build are kept.
        prior: Distribution of its codes, where it is a generator.
        card: Configuration, data fingerprint, seed, metrics; versions are added.
        half: Keep weights in half precision: half the file, three digits. They are loaded in single precision.

    Raises:
        ValueError: The network or the prior is not a public class of this package, so that no name could find it again.
    """
    config = {
        "network": network_files.record(network),
        "prior": None if prior is None else files.record(prior),
        "card": {**card, "versions": installed_versions()},
    }
    weights = {name: w.half() if half and w.is_floating_point() else w for name, w in network.state_dict().items()}
    write_tensors(Path(folder) / "model.safetensors", weights)
    write_json(Path(folder) / "config.json", config)


def installed_versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {"latentry": metadata.version("latentry"), "torch": torch.__version__.split("+")[0]}
