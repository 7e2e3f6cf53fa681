"""`latentry edit` with a label split: another label, another look, or a hidden box filled, each in one pass."""

from typing import Any

import torch
from torch import Tensor

from latentry.evaluation.proportions import Share, share
from latentry.latent.measurements import hide_box
from latentry.models.classifier import predict_labels
from latentry.models.label_split import LabelSplit
from latentry.models.saving import load_model
from latentry.reports.consoles import PlainConsole
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, write_png
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.class_names import label_index, label_names
from latentry.tasks.coding.codes import noted
from latentry.tasks.edit.settings import EditSettings
from latentry.tasks.judging import Reader, independent_reader, made_by, verdict
from latentry.tasks.recover.options import Measurement, image_format
from latentry.tasks.recover.shards import first_images
from latentry.tasks.runs import claim_folder, pick_device, record
from latentry.tasks.settings import given

__all__ = ["edit_label_split"]

_SHOWN, _ACROSS = 24, 14
"""Images with a picture and a row in the table."""
_UNFIT = (
    "rotate",
    "basis",
    "codes",
    "inverse",
    "encode",
    "kind",
    "per_label",
    "classifier",
    "margin",
    "features",
    "reverse",
)
"""Settings of an edit that have no meaning here."""
_HIDDEN = -1.0
"""What a hidden pixel is for the encoders."""


def edit_label_split(settings: EditSettings) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    _check(settings)
    device = pick_device(settings.device)
    split = load_model(settings.generator, LabelSplit).to(device)
    classes = label_names(settings.generator, split.prior.num_classes)
    label = None if settings.label is None else label_index(settings.label, classes, "--label", "the label split")
    channels, side = image_format(split.generator, split.prior)
    made = made_by(settings.generator, (channels, side, side))
    independent, unread = independent_reader(settings.reader, made, device, classes)
    images, x = first_images(settings, Measurement(channels, side))
    x, names = x.to(device), images.names(range(len(x)))
    mask = _mask(settings.hide, (channels, side, side)).to(x)
    folder = claim_folder(settings, "index.html", "after.png", "codes.safetensors")

    seen = x * mask + _HIDDEN * (1 - mask)
    z = split.encode(seen).mean
    z_edited = _edited(settings, split, z, label)
    x_hat, x_edited = split.decode(z), split.decode(z_edited)
    if not _moves(settings):  # what is seen stays as it is
        x_edited = x * mask + x_edited * (1 - mask)
    y, y_edited = (_read(split, independent, images) for images in (x_hat, x_edited))
    reached = _reached(split, z, y_edited, label)
    examined = verdict(independent, x_edited.cpu(), (x * mask).cpu(), (x_hat * mask).cpu(), unread=unread)
    read = classes if independent is None else independent.classes
    before, after = ([read[label] for label in labels.tolist()] for labels in (y, y_edited))

    write_tensors(folder / "codes.safetensors", {"z": z, "z_edited": z_edited})
    write_png(folder / "after.png", grid(x_edited.cpu(), min(10, len(x_edited))), magnify=2)
    table = _table(names, before, after, independent)
    parts = {"given": seen, "of its code": x_hat, "edited": x_edited}
    rows_shown = [(name, part[:_ACROSS].cpu()) for name, part in parts.items()]
    titles = after[:_ACROSS]
    caption = "The image as it is given, what is made of its code, and of the edited one. Above: the label read after."
    what = examined.headline(f"{reached} of {len(x)} edited images are read as they should be") + "."
    facts = [
        ("label split", settings.generator),
        ("edit", _described(settings)),
        ("read by", str(independent or "the split itself")),
        *noted(images.notes),
    ]
    blocks: list[Table | Picture] = [sheet("Before and after", rows_shown, titles, caption), table]
    write_page(folder / "index.html", "Edited images", [what], blocks, facts)
    result = {
        "reached": None if examined.doubts else vars(reached),
        "examined": examined.numbers(),
        "read_before": before,
        "read_after": after,
        "notes": list(images.notes),
    }
    content = record(folder, settings, result)
    console = PlainConsole(quiet=settings.json)
    for note in images.notes:
        console.print(note)
    print_table(table, console)
    console.print(f"{what} The page: {folder / 'index.html'}")
    return content


def _read(split: LabelSplit, independent: Reader | None, images: Tensor) -> Tensor:
    """Labels of images, by the independent reader or else by the split itself."""
    if independent is None:
        return split.label_log_probs(split.encode(images).mean).argmax(1).cpu()
    return predict_labels(independent.network, images)[0].cpu()


def _edited(settings: EditSettings, split: LabelSplit, z: Tensor, label: int | None) -> Tensor:
    """Another look first, then another label."""
    edited = split.swapped(z, z.roll(-1, 0)) if settings.swap else z
    return edited if label is None else split.relabelled(edited, torch.full((len(z),), label, device=z.device))


def _reached(split: LabelSplit, z: Tensor, y_edited: Tensor, label: int | None) -> Share:
    """Edited images that bear the label asked for, or the one that their own z_s bears."""
    wanted = split.label_log_probs(z).argmax(1).cpu()
    return share(y_edited == (wanted if label is None else torch.full_like(wanted, label)))


def _moves(settings: EditSettings) -> bool:
    return settings.swap or settings.label is not None


def _mask(box: str, shape: tuple[int, int, int]) -> Tensor:
    """1 where an image is seen.

    Raises:
        ValueError: The box is not of the form asked for, or not within the image.
    """
    if not box:
        return torch.ones(shape)
    try:
        top, left, height, width = (int(part) for part in box.split(":"))
    except ValueError:
        raise ValueError(f"expected a box TOP:LEFT:HEIGHT:WIDTH to --hide, such as 8:8:12:12, got {box!r}") from None
    return hide_box(shape, (top, top + height), (left, left + width))


def _check(settings: EditSettings) -> None:
    if not (_moves(settings) or settings.hide):
        raise ValueError("expected an edit, got none; pass --label L, --swap true or --hide TOP:LEFT:HEIGHT:WIDTH")
    unfit = given(settings, _UNFIT)
    if unfit:
        raise ValueError(f"expected images and no {', '.join(unfit)} with a label split, whose encoders give the codes")
    if settings.count < 1 or (settings.swap and settings.count < 2):
        raise ValueError(f"expected a --count of at least 1, and of 2 to --swap, got {settings.count}")


def _described(settings: EditSettings) -> str:
    told = [f"label {settings.label}"] if settings.label is not None else []
    told += ["the look of the next image"] if settings.swap else []
    told += [f"hidden box {settings.hide}"] if settings.hide else []
    return ", ".join(told)


def _table(names: list[str], y: list[str], y_edited: list[str], independent: Reader | None) -> Table:
    rows = tuple(zip(names, y, y_edited, strict=True))
    note = f"Read by {independent or 'the split itself, which made these images'}, from what is made of each code."
    return Table("Images", ("image", "read before", "read after"), rows[:_SHOWN], note)
