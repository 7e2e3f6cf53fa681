"""`latentry sample`: draw codes from a generator's prior and decode them."""

from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from latentry.interfaces import evaluated
from latentry.priors import NormalMixture, SavedPrior
from latentry.reports.pictures import grid, write_png
from latentry.storage import write_tensors
from latentry.tasks.runs import claim_folder, load_any_generator, pick_device, record
from latentry.tasks.settings import SampleSettings

__all__ = ["sample"]


def sample(settings: SampleSettings) -> dict[str, Any]:
    """Write `grid.png` and `codes.safetensors` (codes `z`, images `x`)."""
    if settings.count < 1 or settings.columns < 1:
        raise ValueError(f"expected count and columns of at least 1, got {settings.count} and {settings.columns}")
    device = pick_device(settings.device)
    model, prior = load_any_generator(settings.generator)
    y = _labels(settings, prior)
    folder = claim_folder(settings, "grid.png", "codes.safetensors")
    rng = torch.Generator().manual_seed(settings.seed)
    z = (prior.sample(settings.count, rng=rng) if y is None else prior.sample((), y, rng=rng)).to(device)
    generator = model.network.to(device)
    with evaluated(generator), torch.no_grad():
        x = torch.cat([generator(part) for part in z.split(256)])
    write_png(folder / "grid.png", grid(x.cpu(), settings.columns), magnify=2)
    write_tensors(folder / "codes.safetensors", {"z": z, "x": x}, {"generator": model.fingerprint, "prior": repr(prior)})
    Console(quiet=settings.json).print(f"Images and codes: {folder}", highlight=False)
    return record(folder, settings, {"grid": str(folder / "grid.png"), "codes": str(folder / "codes.safetensors")})


def _labels(settings: SampleSettings, prior: SavedPrior) -> Tensor | None:
    """The label of each code, where one is asked for.

    Raises:
        ValueError: The prior knows no labels, or not this one.
    """
    if settings.label is None:
        return None
    if not isinstance(prior, NormalMixture):
        raise ValueError(
            f"expected a generator whose prior has labels for --label {settings.label}, got one of {prior!r}; train one "
            "with `latentry train label-split`, or leave --label out"
        )
    if not 0 <= settings.label < prior.num_classes:
        raise ValueError(f"expected a label from 0 to {prior.num_classes - 1}, got {settings.label}")
    return torch.full((settings.count,), settings.label)
