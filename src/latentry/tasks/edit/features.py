"""`latentry edit features`: features of images set to levels, or reversed, by a semantic model."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.recovery import recover_codes
from latentry.models.semantic import SemanticModel
from latentry.names import counted
from latentry.priors import SemanticPlacement
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, magnification, png, write_png
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.coding.codes import data_facts
from latentry.tasks.edit.kinds import PARTS, check_frames, load_kind
from latentry.tasks.edit.settings import EditFeaturesSettings
from latentry.tasks.evaluation_classifier import evaluation
from latentry.tasks.levels import far_levels, parse_levels
from latentry.tasks.recover.options import Measurement, image_format
from latentry.tasks.recover.shards import ImageSource, first_images
from latentry.tasks.runs import Run, command

__all__ = ["edit_features"]

_SHOWN, _ACROSS = 24, 14
"""Images with a film and a row in the table."""
_NO_CLASSIFIER = "nothing but the model's own encoder measures the levels of features; look at the films"


@dataclass(frozen=True)
class _Edits:
    """How the features of a code are changed."""

    levels: dict[str, float]
    """Levels that features are set to."""
    reverse: tuple[str, ...]
    """Features whose level changes its sign."""

    def __call__(self, placement: SemanticPlacement, z: Float[Tensor, "n d"], share: float) -> Float[Tensor, "n d"]:
        """Codes after a share of the way."""
        now, moved = placement.levels(z), z
        for name, level in self.levels.items():
            moved = placement.moved(moved, name, share * (level - now[:, placement.index(name)]))
        for name in self.reverse:
            moved = placement.moved(moved, name, -2 * share * now[:, placement.index(name)])
        return moved


@command(*PARTS)
def edit_features(settings: EditFeaturesSettings, run: Run) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    if not (settings.levels or settings.reverse):
        raise ValueError("expected an edit, got none; pass --levels NAME=LEVEL,... or --reverse NAME,...")
    check_frames(settings.frames)
    model = load_kind(settings.generator, SemanticModel).to(run.device)
    edits = _edits(parse_levels(settings.levels, "--levels"), settings.reverse, model.prior)
    source = ImageSource(settings.images, settings.data, settings.split)
    channels, side = image_format(model.generator, model.prior)
    images, x = first_images(source, settings.count, Measurement(channels, side))
    x, names = x.to(run.device), images.names(range(len(x)))
    z = model.encode(x).mean if settings.encode else _recovered(model, x, run)
    film = torch.stack([edits(model.prior, z, frame / (settings.frames - 1)) for frame in range(settings.frames)], 1)
    z_edited = film[:, -1]
    x_hat, x_edited = model.decode(z), model.decode(z_edited)
    found = model.prior.levels(model.encode(x_edited).mean).cpu()

    write_tensors(run.folder / "codes.safetensors", {"z": z, "z_edited": z_edited})
    write_png(run.folder / "after.png", grid(x_edited.cpu(), min(10, len(x_edited))), magnify=2)
    before, after = (model.prior.levels(codes).cpu() for codes in (z, z_edited))
    table = _table(model.prior, names, before, after, found)
    frames = model.decode(film[:_SHOWN].flatten(0, 1)).cpu()
    parts = [
        (part_name, part[:_ACROSS].cpu())
        for part_name, part in (("original", x), ("of its code", x_hat), ("edited", x_edited))
    ]
    shares = tuple(f"{100 * frame / (settings.frames - 1):.0f} %" for frame in range(settings.frames))
    strips = png(grid(frames, settings.frames), magnification(frames.shape[3]))
    blocks: list[Table | Picture] = [
        sheet("Before and after", parts, caption="The image, what is made of its code, and of the edited one."),
        Picture("Films", strips, "Each row from a code to its edited one.", columns=shares),
        table,
    ]
    checked = evaluation(None, x_edited.cpu(), x.cpu(), x_hat.cpu(), no_classifier=_NO_CLASSIFIER)
    what = f"{counted(len(x), 'image')} with {_described(edits)}. {checked.headline('')}."
    facts = [
        ("semantic model", settings.generator),
        ("codes", "of the encoder" if settings.encode else "recovered"),
        ("levels found by", "the model's own encoder"),
        *data_facts(images.notes),
    ]
    write_page(run.folder / "index.html", "Edited images", [what], blocks, facts)
    levels = {
        name: {"before": before[:, i].tolist(), "after": after[:, i].tolist(), "found": found[:, i].tolist()}
        for i, name in enumerate(model.prior.features)
    }
    notes = [*far_levels(edits.levels), *images.notes]
    content = run.record({"levels": levels, "evaluation": checked.numbers(), "notes": notes})
    print_table(table, run.console)
    for note in notes:
        run.console.print(f"Note: {note}.")
    run.console.print(f"{what} The page: {run.folder / 'index.html'}")
    return content


def _recovered(model: SemanticModel, x: Float[Tensor, "n c h w"], run: Run) -> Float[Tensor, "n d"]:
    """Codes that recovery finds from those of the encoder."""
    with progress_bar(quiet=run.quiet) as track:
        rng = torch.Generator(x.device).manual_seed(run.seed)
        start, progress = (lambda x: model.encode(x).mean), track("recovering codes")
        return recover_codes(model.generator, x, model.prior, start=start, rng=rng, progress=progress).z


def _edits(levels: dict[str, float], reversed_names: str, placement: SemanticPlacement) -> _Edits:
    reverse = tuple(name.strip() for name in reversed_names.split(",") if name.strip())
    placement.named(levels)
    for name in reverse:
        placement.index(name)
        if name in levels:
            raise ValueError(f"expected {name} in --levels or in --reverse, got it in both; leave one out")
        if name in placement.exclusive:
            raise ValueError(f"expected features that can be reversed, got {name}, which is one of exclusive ones")
    if exclusive := [name for name in levels if name in placement.exclusive]:
        others = [name for name in placement.exclusive if name not in levels]
        levels |= dict.fromkeys(others, 0.0) if levels[exclusive[0]] else {}
    return _Edits(levels, reverse)


def _table(placement: SemanticPlacement, names: Any, before: Tensor, after: Tensor, found: Tensor) -> Table:
    """Levels of the features that were moved, before and after, and as the encoder finds them in what was made."""
    moved = [i for i in range(len(placement.features)) if not torch.allclose(before[:, i], after[:, i], atol=1e-4)]
    shown = moved[:4]
    columns = ("image", *(f"{placement.features[i]}: before, after, found" for i in shown))
    rows = tuple(
        (str(name), *(f"{before[row, i]:.2f}, {after[row, i]:.2f}, {found[row, i]:.2f}" for i in shown))
        for row, name in enumerate(list(names)[:_SHOWN])
    )
    return Table("Edited images", columns, rows, "Found: the level that the model's own encoder finds there.")


def _described(edits: _Edits) -> str:
    parts = [f"{name} at {level:g}" for name, level in edits.levels.items() if level]
    parts += [f"{name} reversed" for name in edits.reverse]
    return ", ".join(parts) or "features at 0"
