"""What `edit swap` and `edit hide` share: a label split, its images, and the report on the labels after the edit."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.evaluation.proportions import Share, share
from latentry.models.classifier import predict_labels
from latentry.models.label_split import LabelSplit
from latentry.names import counted
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, write_png
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.class_names import label_names
from latentry.tasks.coding.codes import data_facts
from latentry.tasks.edit.kinds import load_kind
from latentry.tasks.evaluation_classifier import SavedClassifier, evaluation, evaluation_classifier, generated_data
from latentry.tasks.recover.options import Measurement, image_format
from latentry.tasks.recover.shards import Images, ImageSource, first_images
from latentry.tasks.runs import Run

__all__ = ["LoadedSplit", "SplitEdit", "load_split", "write_split_edit"]

_SHOWN, _ACROSS = 24, 14
"""Images with a picture and a row in the table."""


@dataclass(frozen=True)
class LoadedSplit:
    """A label split and the images that it edits."""

    name: str
    """Its name or folder."""
    split: LabelSplit
    """The model, on its device."""
    classes: tuple[str, ...]
    """Names of its classes."""
    images: Images
    """Where the images come from."""
    x: Float[Tensor, "n c h w"]
    """The images, on the same device."""
    evaluator: SavedClassifier | None
    """The evaluation classifier."""
    no_evaluator: str
    """Why there is no evaluation classifier."""


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
    """Limits of the edit."""


def load_split(
    name_or_path: str, source: ImageSource, count: int, evaluator: str | None, device: torch.device
) -> LoadedSplit:
    """A label split and the images that it edits.

    Args:
        name_or_path: The label split by name or folder.
        source: Where the images come from.
        count: Most images.
        evaluator: The evaluation classifier by name or folder; None for the shipped one.
        device: Where to compute.

    Raises:
        ValueError: There is no such label split or classifier, or an image cannot be read.
    """
    split = load_kind(name_or_path, LabelSplit).to(device)
    names = label_names(name_or_path, split.prior.num_classes)
    channels, side = image_format(split.generator, split.prior)
    generated = generated_data(name_or_path, (channels, side, side))
    classifier, no_classifier = evaluation_classifier(evaluator, generated, device, names)
    images, x = first_images(source, count, Measurement(channels, side))
    return LoadedSplit(name_or_path, split, names, images, x.to(device), classifier, no_classifier)


def write_split_edit(run: Run, loaded: LoadedSplit, edit: SplitEdit) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json` into the folder; print the report."""
    evaluator, images, folder = loaded.evaluator, loaded.images, run.folder
    notes = [*images.notes, *edit.notes]
    y, y_edited = (_labels(loaded, x) for x in (edit.x_hat, edit.x_edited))
    success = _success(loaded, edit, y_edited)
    seen = ((edit.x * edit.mask).cpu(), (edit.x_hat * edit.mask).cpu())
    checked = evaluation(evaluator, edit.x_edited.cpu(), *seen, no_classifier=loaded.no_evaluator)
    classes = loaded.classes if evaluator is None else evaluator.classes
    before, after = ([classes[label] for label in labels.tolist()] for labels in (y, y_edited))

    write_tensors(folder / "codes.safetensors", {"z": edit.z, "z_edited": edit.z_edited})
    write_png(folder / "after.png", grid(edit.x_edited.cpu(), min(10, len(edit.x_edited))), magnify=2)
    table = _table(images.names(range(len(edit.x))), before, after, evaluator)
    parts = {"original": edit.x, "of its code": edit.x_hat, "edited": edit.x_edited}
    rows = [(name, part[:_ACROSS].cpu()) for name, part in parts.items()]
    caption = "The original image, what is made of its code, and of the edited one. Above: its label after the edit."
    what = checked.headline(f"{success} of {counted(len(edit.x), 'edited image')} have the target label") + "."
    facts = [
        ("label split", loaded.name),
        ("edit", edit.described),
        ("evaluation classifier", str(evaluator or "the label split itself")),
        *data_facts(notes),
    ]
    blocks: list[Table | Picture] = [sheet("Before and after", rows, after[:_ACROSS], caption), table]
    write_page(folder / "index.html", "Edited images", [what], blocks, facts)
    result = {
        "success": None if checked.doubts else vars(success),
        "evaluation": checked.numbers(),
        "label_before": before,
        "label_after": after,
        "notes": notes,
    }
    content, console = run.record(result), run.console
    for note in notes:
        console.print(note)
    print_table(table, console)
    console.print(f"{what} The page: {folder / 'index.html'}")
    return content


def _labels(loaded: LoadedSplit, x: Tensor) -> Tensor:
    """Labels of images, by the evaluation classifier or else by the split itself."""
    if loaded.evaluator is None:
        return loaded.split.label_log_probs(loaded.split.encode(x).mean).argmax(1).cpu()
    return predict_labels(loaded.evaluator.network, x)[0].cpu()


def _success(loaded: LoadedSplit, edit: SplitEdit, y_edited: Tensor) -> Share:
    """Share of edited images with the target label, or with the label of their own code."""
    own = loaded.split.label_log_probs(edit.z).argmax(1).cpu()
    return share(y_edited == (own if edit.label is None else torch.full_like(own, edit.label)))


def _table(names: list[str], y: list[str], y_edited: list[str], evaluator: SavedClassifier | None) -> Table:
    rows = tuple(zip(names, y, y_edited, strict=True))
    note = f"Labels by {evaluator or 'the label split itself, which made these images'}, of what is made of each code."
    return Table("Images", ("image", "label before", "label after"), rows[:_SHOWN], note)
