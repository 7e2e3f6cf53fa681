"""`latentry sample`: draw codes from a generator's prior and decode them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentry.holding import evaluated
from latentry.numerics.batches import in_batches
from latentry.priors import NormalMixture, SavedPrior, SemanticPlacement
from latentry.reports.consoles import PlainConsole
from latentry.reports.page import Picture, write_page
from latentry.reports.pictures import grid, magnification, png, write_png
from latentry.storage import write_tensors
from latentry.tasks.class_names import label_index, label_names
from latentry.tasks.judging import collapsed
from latentry.tasks.levels import far_levels, parse_levels
from latentry.tasks.runs import claim_folder, command, load_any_generator, pick_device, record
from latentry.tasks.sample.settings import SampleSettings

__all__ = ["sample"]


@command
def sample(settings: SampleSettings) -> dict[str, Any]:
    """Write `index.html`, `grid.png` and `codes.safetensors` (codes `z`, images `x`)."""
    if settings.count < 1 or settings.columns < 1:
        raise ValueError(f"expected count and columns of at least 1, got {settings.count} and {settings.columns}")
    device = pick_device(settings.device)
    model, prior = load_any_generator(settings.generator)
    distribution = _distribution(settings, prior)
    folder = claim_folder(settings, "index.html", "grid.png", "codes.safetensors")
    rng = torch.Generator().manual_seed(settings.seed)
    z = distribution(settings.count, rng).to(device)
    generator = model.generator.to(device)
    with evaluated(generator), torch.no_grad():
        x = in_batches(generator, z, size=256)
    sheet = grid(x.cpu(), settings.columns)
    write_png(folder / "grid.png", sheet, magnify=2)
    asked = f"label {settings.label}" if settings.label is not None else settings.levels or "as they come"
    picture = Picture("Samples", png(sheet, magnification(x.shape[3])), f"{len(x)} samples, {asked}; nothing was chosen.")
    facts = [("generator", f"{settings.generator}, weights {model.fingerprint}"), ("prior", repr(prior))]
    write_page(folder / "index.html", "Samples", [], [picture], [*facts, ("seed", str(settings.seed))])
    write_tensors(folder / "codes.safetensors", {"z": z, "x": x}, {"generator": model.fingerprint, "prior": repr(prior)})
    notes = [*collapsed(model), *far_levels(parse_levels(settings.levels, "--levels"))]
    result = {"grid": str(folder / "grid.png"), "codes": str(folder / "codes.safetensors"), "notes": notes}
    content = record(folder, settings, result)
    console = PlainConsole(quiet=settings.json)
    for note in notes:
        console.print(f"Note: {note}.")
    console.print(f"Images and codes: {folder}")
    return content


def _distribution(settings: SampleSettings, prior: SavedPrior) -> Callable[[int, torch.Generator], Tensor]:
    """What draws so many codes: of all labels and features, or of those that are asked for.

    Raises:
        ValueError: The prior knows no labels or features, or not these.
    """
    if settings.levels:
        return _of_features(settings, prior)
    if settings.label is None:
        return lambda count, rng: prior.sample(count, rng=rng)
    if not isinstance(prior, NormalMixture):
        raise ValueError(
            f"expected a generator whose prior has labels for --label {settings.label}, got one of {prior!r}; train one "
            "with `latentry train label-split`, or leave --label out"
        )
    label = label_index(settings.label, label_names(settings.generator, prior.num_classes), "--label", "the prior")
    return lambda count, rng: prior.sample((), torch.full((count,), label), rng=rng)


def _of_features(settings: SampleSettings, prior: SavedPrior) -> Callable[[int, torch.Generator], Tensor]:
    if settings.label is not None:
        raise ValueError("expected --label or --levels, got both; leave one out")
    if not isinstance(prior, SemanticPlacement):
        raise ValueError(
            f"expected a generator with placed features for --levels, got one of {prior!r}; train one with "
            "`latentry train semantic`, or leave --levels out"
        )
    levels = parse_levels(settings.levels, "--levels")
    asked = prior.named(levels)
    named = [prior.index(name) for name in levels]
    if any(levels[name] for name in levels if name in prior.exclusive):
        named += [prior.index(name) for name in prior.exclusive]

    def draw(count: int, rng: torch.Generator) -> Tensor:
        a = prior.combinations[torch.multinomial(prior.probs, count, replacement=True, generator=rng)]
        a[:, named] = asked[named]
        return prior.at(a).sample(rng=rng)

    return draw
