"""Folders of images, labelled by one subfolder per class or by a table `labels.csv`.

Subfolders: their sorted names are the classes. If subfolders named `train`, `val` (`validation`, `valid`, `dev`) or `test`
(`held-out`) themselves hold subfolders, those are the classes, these the published splits, and what lies beside is left out.

The table has a column `file` (relative to the folder), and a column `label` (its sorted values are the classes), columns
of signed attributes, or both; a column `split` publishes splits. Attributes are -1 (absent), 1 (present), and 0 or nothing
(unknown); in a table of nothing but 0 and 1 among them, 0 means absent.
"""

from pathlib import Path

from latentry.data.assembly import streamed
from latentry.data.images import LabelledImages
from latentry.data.labels import Labels, classes
from latentry.data.pictures import Picture, image_files
from latentry.data.splits import split_members, split_name
from latentry.data.tables import Table, existing_files, read_csv

__all__ = ["load_files", "load_folder"]

TABLE = "labels.csv"


def load_folder(folder: Path, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from a folder, opened when they are read.

    Raises:
        ValueError: There are no images or no labels, the table is wrong or names a missing file, an image is broken, or
            sizes differ and there is no `image_size`.
    """
    table = folder / TABLE
    files, labels = _from_table(read_csv(table), folder) if table.is_file() else _from_subfolders(folder)
    return load_files(folder.name, files, labels, image_size=image_size, channels=channels)


def load_files(
    name: str, files: list[Path], labels: Labels, *, image_size: int | None, channels: int | None
) -> LabelledImages:
    """Labelled images from one file per item, opened when they are read."""
    return streamed(
        name, lambda item: Picture(str(files[item]), files[item]), labels, image_size=image_size, channels=channels
    )


def _from_table(table: Table, folder: Path) -> tuple[list[Path], Labels]:
    files = existing_files(table, folder, "file")
    if not files:
        raise ValueError(f"expected a row for each image in {table.path}, got a header alone; list the images below it")
    names = tuple(name for name in table.columns if name not in ("file", "label", "split"))
    y, class_names = classes(table.column("label")) if "label" in table.columns or not names else (None, ())
    return files, Labels(
        y=y,
        class_names=class_names,
        attributes=table.attributes(names) if names else None,
        attribute_names=names,
        published=split_members(table.column("split"), str(table.path)) if "split" in table.columns else {},
    )


def _from_subfolders(folder: Path) -> tuple[list[Path], Labels]:
    splits = [(split, path) for path in _subfolders(folder) if (split := split_name(path.name)) and _subfolders(path)]
    tops = splits or [("", folder)]
    found = [(file, path.name, split) for split, top in tops for path in _subfolders(top) for file in image_files(path)]
    if not found:
        raise ValueError(_nothing_labelled(folder))
    files, names, members = map(list, zip(*found, strict=True))
    y, class_names = classes(names)
    return files, Labels(y=y, class_names=class_names, published=split_members(members, str(folder)) if splits else {})


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _nothing_labelled(folder: Path) -> str:
    if images := image_files(folder):
        return (
            f"expected labels for the images in {folder}, got {len(images)} files such as {images[0].name} alone; put them "
            f"in one subfolder per class, or add {TABLE} with the columns file and label"
        )
    return f"expected images in {folder}, found none; pass a folder with one subfolder of images per class"
