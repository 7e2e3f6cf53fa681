"""`latentry edit swap`: images with another label or with the style of the next image, by a label split."""

from typing import Any

import torch

from latentry.tasks.class_names import label_index
from latentry.tasks.edit.settings import EditSwapSettings
from latentry.tasks.edit.split_report import SplitEdit, load_given, write_split_edit
from latentry.tasks.runs import claim_folder, command

__all__ = ["edit_swap"]


@command
def edit_swap(settings: EditSwapSettings) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    _check(settings)
    given = load_given(settings)
    split, x = given.split, given.x
    label = None if settings.label is None else label_index(settings.label, given.classes, "--label", "the label split")
    folder = claim_folder(settings, "index.html", "after.png", "codes.safetensors")
    z = split.encode(x).mean
    z_edited = split.swapped(z, z.roll(-1, 0)) if settings.style else z
    if label is not None:
        z_edited = split.relabelled(z_edited, torch.full((len(z),), label, device=z.device))
    mask = torch.ones_like(x[0])
    alone = settings.style and len(z) == 1
    notes = ("there is one image alone, which keeps its own style; give two or more to swap styles",) if alone else ()
    edit = SplitEdit(x, z, z_edited, split.decode(z), split.decode(z_edited), mask, label, _described(settings), notes)
    return write_split_edit(folder, settings, given, edit)


def _check(settings: EditSwapSettings) -> None:
    if not settings.style and settings.label is None:
        raise ValueError("expected a part to swap, got none; pass --style true, or --label L, or both")
    least = 2 if settings.style else 1
    if settings.count < least:
        raise ValueError(f"expected a --count of at least 1, and of 2 with --style, got {settings.count}")


def _described(settings: EditSwapSettings) -> str:
    parts = [f"label {settings.label}"] if settings.label is not None else []
    return ", ".join([*parts, *(["the style of the next image"] if settings.style else [])])
