"""`latentry edit swap`: images with another label or with the style of the next image, by a label split."""

from typing import Any

import torch

from latentry.tasks.class_names import label_index
from latentry.tasks.edit.kinds import PARTS
from latentry.tasks.edit.settings import EditSwapSettings
from latentry.tasks.edit.split_report import SplitEdit, load_split, write_split_edit
from latentry.tasks.recover.shards import ImageSource
from latentry.tasks.runs import Run, command

__all__ = ["edit_swap"]


@command(*PARTS)
def edit_swap(settings: EditSwapSettings, run: Run) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    _check(settings.style, settings.label, settings.count)
    source = ImageSource(settings.images, settings.data, settings.split)
    loaded = load_split(settings.generator, source, settings.count, settings.evaluation_classifier, run.device)
    split, x = loaded.split, loaded.x
    label = None if settings.label is None else label_index(settings.label, loaded.classes, "--label", "the label split")
    z = split.encode(x).mean
    z_edited = split.swapped(z, z.roll(-1, 0)) if settings.style else z
    if label is not None:
        z_edited = split.relabelled(z_edited, torch.full((len(z),), label, device=z.device))
    mask = torch.ones_like(x[0])
    alone = settings.style and len(z) == 1
    notes = ("there is one image alone, which keeps its own style; give two or more to swap styles",) if alone else ()
    parts = [*(() if label is None else (f"label {settings.label}",)), *(("the style of the next image",) * settings.style)]
    edit = SplitEdit(x, z, z_edited, split.decode(z), split.decode(z_edited), mask, label, ", ".join(parts), notes)
    return write_split_edit(run, loaded, edit)


def _check(style: bool, label: str | None, count: int) -> None:
    if not style and label is None:
        raise ValueError("expected a part to swap, got none; pass --style true, or --label L, or both")
    if style and count < 2:
        raise ValueError(f"expected a --count of at least 2 with --style, got {count}")
