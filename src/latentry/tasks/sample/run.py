"""`latentry sample`: draw codes from a generator's prior and decode them."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.holding import evaluated
from latentry.numerics.batches import in_batches
from latentry.priors import NormalMixture, SavedPrior, SemanticPlacement
from latentry.reports.drawings import drawn
from latentry.reports.page import Picture, write_page
from latentry.reports.pictures import grid, magnification, png, write_png
from latentry.storage import write_tensors
from latentry.tasks.class_names import label_index, label_names
from latentry.tasks.evaluation_classifier import collapse_notes
from latentry.tasks.levels import far_levels, parse_levels
from latentry.tasks.loading import chosen_generator, prior_notes
from latentry.tasks.runs import Run, command
from latentry.tasks.sample.settings import SampleSettings

__all__ = ["sample"]


@command("index.html", "grid.png", "codes.safetensors")
def sample(settings: SampleSettings, run: Run) -> dict[str, Any]:
    """Write `index.html`, `grid.png` and `codes.safetensors` (codes `z`, images `x`)."""
    if settings.count < 1 or settings.columns < 1:
        raise ValueError(f"expected count and columns of at least 1, got {settings.count} and {settings.columns}")
    if settings.label is not None and settings.levels:
        raise ValueError("expected --label or --levels, got both; leave one out")
    model, prior = chosen_generator(settings)
    levels = parse_levels(settings.levels, "--levels")
    z = _drawn(prior, settings.generator, settings.label, levels, settings.count, run.rng()).to(run.device)
    generator = model.generator.to(run.device)
    with evaluated(generator), torch.no_grad():
        x = in_batches(generator, z, size=256)
    (pictures,) = drawn([x.cpu()])
    sheet = grid(pictures, settings.columns)
    write_png(run.folder / "grid.png", sheet, magnify=2)
    which = f"label {settings.label}" if settings.label is not None else settings.levels or "as they come"
    picture = Picture(
        "Samples", png(sheet, magnification(pictures.shape[3])), f"{len(x)} samples, {which}; nothing was chosen."
    )
    facts = [("generator", f"{settings.generator}, weights {model.fingerprint}"), ("prior", repr(prior))]
    write_page(run.folder / "index.html", "Samples", [], [picture], [*facts, ("seed", str(run.seed))])
    write_tensors(run.folder / "codes.safetensors", {"z": z, "x": x}, {"generator": model.fingerprint, "prior": repr(prior)})
    notes = [*collapse_notes(model), *far_levels(levels), *prior_notes(model)]
    result = {"grid": str(run.folder / "grid.png"), "codes": str(run.folder / "codes.safetensors"), "notes": notes}
    content = run.record(result)
    for note in notes:
        run.console.print(f"Note: {note}.")
    run.console.print(f"Images and codes: {run.folder}")
    return content


def _drawn(
    prior: SavedPrior,
    generator: str,
    label: str | None,
    levels: Mapping[str, float],
    count: int,
    rng: torch.Generator,
) -> Float[Tensor, "n d"]:
    """Codes of the prior: of all labels and features, or of one label, or with some levels.

    Raises:
        ValueError: The prior has no labels or features, or not these.
    """
    if levels:
        return _with_levels(prior, levels, count, rng)
    if label is None:
        return prior.sample(count, rng=rng)
    if not isinstance(prior, NormalMixture):
        raise ValueError(
            f"expected a generator whose prior has labels for --label {label}, got one of {prior!r}; train one "
            "with `latentry train label-split`, or leave --label out"
        )
    y = label_index(label, label_names(generator, prior.num_classes), "--label", "the prior")
    return prior.sample((), torch.full((count,), y), rng=rng)


def _with_levels(prior: SavedPrior, levels: Mapping[str, float], count: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
    if not isinstance(prior, SemanticPlacement):
        raise ValueError(
            f"expected a generator with placed features for --levels, got one of {prior!r}; train one with "
            "`latentry train semantic`, or leave --levels out"
        )
    a_named = prior.named(levels)
    columns = [prior.index(name) for name in levels]
    if any(levels[name] for name in levels if name in prior.exclusive):
        columns += [prior.index(name) for name in prior.exclusive]
    a = prior.combinations[torch.multinomial(prior.probs, count, replacement=True, generator=rng)]
    a[:, columns] = a_named[columns]
    return prior.at(a).sample(rng=rng)
