"""Folders of images, labelled by one subfolder per class or by a table `labels.csv`.

Subfolders: their names are the classes, sorted, as numbers where all are; images may lie in folders within them, and links
are followed. If subfolders named `train`, `val` (`validation`, `valid`, `dev`) or `test` (`held-out`) themselves hold
subfolders, those are the classes, these the published splits. What lies beside, and files that are no images, are left out,
and the notes of the data say so. A class without images is refused.

The table has a column `file` (relative to the folder and within it), and a column `label` (its values, sorted alike, are the
classes), columns of signed attributes, or both; a column `split` publishes splits. Attributes are -1 (absent), 1 (present),
and 0 or nothing (unknown); in a table of nothing but 0 and 1 among them, 0 means absent.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from latentry.data.assembly import FilePictures, streamed
from latentry.data.images import LabelledImages
from latentry.data.labels import Labels, classes
from latentry.data.picture_files import Listing, joined, left_out, list_pictures, subfolders
from latentry.data.splits import split_members, split_name
from latentry.data.tables import Table, existing_files, read_csv
from latentry.paths import folder_name

__all__ = ["load_files", "load_folder", "unlisted"]

TABLE = "labels.csv"


def load_folder(folder: Path, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from a folder, opened when they are read.

    Raises:
        ValueError: There are no images or no labels, a class is empty, the table is wrong or names a missing file, an image
            is broken, or sizes differ and there is no `image_size`.
    """
    table = folder / TABLE
    files, labels, notes = _from_table(read_csv(table), folder) if table.is_file() else _from_subfolders(folder)
    return load_files(folder_name(folder), files, labels, image_size=image_size, channels=channels, notes=notes)


def load_files(
    name: str,
    files: Sequence[Path],
    labels: Labels,
    *,
    image_size: int | None,
    channels: int | None,
    notes: Sequence[str] = (),
) -> LabelledImages:
    """Labelled images from one file per item, opened when they are read."""
    return streamed(name, FilePictures(files), labels, image_size=image_size, channels=channels, notes=notes)


def unlisted(folder: Path, files: Sequence[Path], table: str) -> tuple[str, ...]:
    """A note on images in a folder that its table does not list."""
    listed = set(files)
    rest = [file for file in list_pictures(folder).pictures if file not in listed]
    return left_out(rest, f"not listed in {table}")


def _from_table(table: Table, folder: Path) -> tuple[Sequence[Path], Labels, tuple[str, ...]]:
    files = existing_files(table, folder, "file")
    if not files:
        raise ValueError(f"expected a row for each image in {table.path}, got a header alone; list the images below it")
    names = tuple(name for name in table.columns if name not in ("file", "label", "split"))
    y, class_names = classes(table.column("label")) if "label" in table.columns or not names else (None, ())
    labels = Labels(
        y=y,
        class_names=class_names,
        attributes=table.attributes(names) if names else None,
        attribute_names=names,
        published=split_members(table.column("split"), str(table.path)) if "split" in table.columns else {},
    )
    return files, labels, unlisted(folder, files, TABLE)


def _from_subfolders(folder: Path) -> tuple[Sequence[Path], Labels, tuple[str, ...]]:
    splits = [(split, path) for path in subfolders(folder) if (split := split_name(path.name)) and subfolders(path)]
    tops = splits or [("", folder)]
    parts = [(list_pictures(path), path, split) for split, top in tops for path in subfolders(top)]
    found = joined([listing for listing, _, _ in parts])
    if not found.pictures:
        raise ValueError(_nothing_labelled(folder, found))
    if empty := next((part for part in parts if not part[0].pictures), None):
        raise ValueError(_empty_class(*empty[:2]))
    names = [path.name for listing, path, _ in parts for _ in listing.pictures]
    members = [split for listing, _, split in parts for _ in listing.pictures]
    y, class_names = classes(names)
    labels = Labels(y=y, class_names=class_names, published=split_members(members, str(folder)) if splits else {})
    rest, beside = _beside(folder, [top for _, top in splits])
    notes = (*left_out(rest, "in the folder of no class"), *joined([beside, replace(found, pictures=())]).notes)
    return found.pictures, labels, notes


def _beside(folder: Path, splits: Sequence[Path]) -> tuple[list[Path], Listing]:
    """Images that lie in no class, but beside the classes or the splits, and what else lies there."""
    others = [path for path in subfolders(folder) if path not in splits] if splits else []
    flat = joined([list_pictures(top, deep=False) for top in (folder, *splits)])
    return [*flat.pictures, *joined([list_pictures(path) for path in others]).pictures], flat


def _empty_class(listing: Listing, folder: Path) -> str:
    besides = "".join(f"; {note}" for note in listing.notes)
    return f"expected images in the folder of each class, found none in {folder}; fill or remove it{besides}"


def _nothing_labelled(folder: Path, found: Listing) -> str:
    if images := list_pictures(folder).pictures:
        return (
            f"expected labels for the images in {folder}, got {len(images)} files such as {images[0].name} alone; put them "
            f"in one subfolder per class, or add {TABLE} with the columns file and label"
        )
    besides = "".join(f" ({note})" for note in joined([found, list_pictures(folder)]).notes)
    return f"expected images in {folder}, found none{besides}; pass a folder with one subfolder of images per class"
