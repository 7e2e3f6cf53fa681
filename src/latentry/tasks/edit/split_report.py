"""What `edit swap` and `edit hide` share: a label split, its images, and the report on what is read after the edit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.evaluation.proportions import Share, share
from latentry.models.classifier import predict_labels
from latentry.models.label_split import LabelSplit
from latentry.names import counted
from latentry.reports.consoles import PlainConsole
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, write_png
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.class_names import label_names
from latentry.tasks.coding.codes import noted
from latentry.tasks.edit.kinds import load_kind
from latentry.tasks.edit.settings import EditHideSettings, EditSwapSettings
from latentry.tasks.judging import Reader, independent_reader, made_by, verdict
from latentry.tasks.recover.options import Measurement, image_format
from latentry.tasks.recover.shards import Images, first_images
from latentry.tasks.runs import pick_device, record

__all__ = ["Given", "SplitEdit", "load_given", "write_split_edit"]

_SHOWN, _ACROSS = 24, 14
"""Images with a picture and a row in the table."""


@dataclass(frozen=True)
class Given:
    """A label split and the images that it edits."""

    split: LabelSplit
    """The model, on its device."""
    classes: tuple[str, ...]
    """Names of its classes."""
    images: Images
    """Where the images come from."""
    x: Float[Tensor, "n c h w"]
    """The images, on the same device."""
    independent: Reader | None
    """The second classifier that reads the results."""
    unread: str
    """Why there is no second classifier."""


@dataclass(frozen=True)
class SplitEdit:
    """Images and their codes before and after an edit."""

    x: Float[Tensor, "n c h w"]
    """The images as the encoders see them."""
    z: Float[Tensor, "n d"]
    """Their codes."""
    z_edited: Float[Tensor, "n d"]
    """Their codes after the edit."""
    x_hat: Float[Tensor, "n c h w"]
    """What is made of the codes."""
    x_edited: Float[Tensor, "n c h w"]
    """The edited images."""
    mask: Float[Tensor, "c h w"]
    """1 where the images are seen."""
    label: int | None
    """Number of the class that every image is to have; None where each keeps its own."""
    described: str
    """What was done, for the page."""
    notes: tuple[str, ...] = ()
    """What is to be known of it."""


def load_given(settings: EditSwapSettings | EditHideSettings) -> Given:
    """The label split and the images that are named.

    Raises:
        ValueError: There is no such label split, device or second classifier, or an image cannot be read.
    """
    device = pick_device(settings.device)
    split = load_kind(settings.generator, LabelSplit).to(device)
    names = label_names(settings.generator, split.prior.num_classes)
    channels, side = image_format(split.generator, split.prior)
    made = made_by(settings.generator, (channels, side, side))
    independent, unread = independent_reader(settings.reader, made, device, names)
    images, x = first_images(settings, Measurement(channels, side))
    return Given(split, names, images, x.to(device), independent, unread)


def write_split_edit(
    folder: Path, settings: EditSwapSettings | EditHideSettings, given: Given, edit: SplitEdit
) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json` into the folder; print the report."""
    independent, images = given.independent, given.images
    notes = [*images.notes, *edit.notes]
    y, y_edited = (_read(given, x) for x in (edit.x_hat, edit.x_edited))
    reached = _reached(given, edit, y_edited)
    seen = ((edit.x * edit.mask).cpu(), (edit.x_hat * edit.mask).cpu())
    examined = verdict(independent, edit.x_edited.cpu(), *seen, unread=given.unread)
    read = given.classes if independent is None else independent.classes
    before, after = ([read[label] for label in labels.tolist()] for labels in (y, y_edited))

    write_tensors(folder / "codes.safetensors", {"z": edit.z, "z_edited": edit.z_edited})
    write_png(folder / "after.png", grid(edit.x_edited.cpu(), min(10, len(edit.x_edited))), magnify=2)
    table = _table(images.names(range(len(edit.x))), before, after, independent)
    parts = {"given": edit.x, "of its code": edit.x_hat, "edited": edit.x_edited}
    rows = [(name, part[:_ACROSS].cpu()) for name, part in parts.items()]
    caption = "The image as it is given, what is made of its code, and of the edited one. Above: the label read after."
    what = examined.headline(f"{reached} of {counted(len(edit.x), 'edited image')} read as wanted") + "."
    facts = [
        ("label split", settings.generator),
        ("edit", edit.described),
        ("read by", str(independent or "the split itself")),
        *noted(notes),
    ]
    blocks: list[Table | Picture] = [sheet("Before and after", rows, after[:_ACROSS], caption), table]
    write_page(folder / "index.html", "Edited images", [what], blocks, facts)
    result = {
        "reached": None if examined.doubts else vars(reached),
        "examined": examined.numbers(),
        "read_before": before,
        "read_after": after,
        "notes": notes,
    }
    content = record(folder, settings, result)
    console = PlainConsole(quiet=settings.json)
    for note in notes:
        console.print(note)
    print_table(table, console)
    console.print(f"{what} The page: {folder / 'index.html'}")
    return content


def _read(given: Given, x: Tensor) -> Tensor:
    """Labels of images, by the second classifier or else by the split itself."""
    if given.independent is None:
        return given.split.label_log_probs(given.split.encode(x).mean).argmax(1).cpu()
    return predict_labels(given.independent.network, x)[0].cpu()


def _reached(given: Given, edit: SplitEdit, y_edited: Tensor) -> Share:
    """Edited images that are read as the wanted label, or as the one of their own code."""
    own = given.split.label_log_probs(edit.z).argmax(1).cpu()
    return share(y_edited == (own if edit.label is None else torch.full_like(own, edit.label)))


def _table(names: list[str], y: list[str], y_edited: list[str], independent: Reader | None) -> Table:
    rows = tuple(zip(names, y, y_edited, strict=True))
    note = f"Read by {independent or 'the split itself, which made these images'}, from what is made of each code."
    return Table("Images", ("image", "read before", "read after"), rows[:_SHOWN], note)
