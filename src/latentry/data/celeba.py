"""Folders laid out as CelebA is published: 202,599 faces with 40 signed attributes each.

`list_attr_celeba.txt` has the number of images in line 1, the attributes' names in line 2, then per image its file
and -1 or 1 for each attribute; `list_attr_celeba.csv` has the same under a header `image_id, ...`. The images lie in
`img_align_celeba/`, in a folder of that name within it, or beside the list. `list_eval_partition` (.txt or .csv), if there,
publishes the splits: 0 train, 1 validation, 2 held-out.

Reference: Liu et al., "Deep learning face attributes in the wild", 2015.
"""

from pathlib import Path

from torch import Tensor

from latentry.data.folder import load_files, unlisted
from latentry.data.images import SPLITS, LabelledImages
from latentry.data.labels import Labels
from latentry.data.splits import split_members
from latentry.data.tables import Table, existing_files, read_csv, read_words
from latentry.paths import folder_name

__all__ = ["is_celeba_folder", "load_celeba"]

ATTRIBUTES, PARTITION, IMAGES = "list_attr_celeba", "list_eval_partition", "img_align_celeba"
FILE = "image_id"


def is_celeba_folder(folder: Path) -> bool:
    """Whether a folder holds CelebA's list of attributes."""
    return _listed(folder, ATTRIBUTES) is not None


def load_celeba(folder: Path, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Faces with signed attributes, opened when they are read.

    Raises:
        ValueError: A list is cut short or wrong, names a missing file, an image is broken, or sizes differ and there is no
            `image_size`.
    """
    path = _listed(folder, ATTRIBUTES)
    if path is None:
        raise ValueError(f"expected {ATTRIBUTES}.txt or .csv in {folder}, found neither; copy it there")
    table = _attribute_table(path)
    names = tuple(name for name in table.columns if name != FILE)
    labels = Labels(attributes=table.attributes(names), attribute_names=names, published=_published(folder, table))
    images = _image_folder(folder)
    files = existing_files(table, images, FILE)
    return load_files(
        folder_name(folder),
        files,
        labels,
        image_size=image_size,
        channels=channels,
        notes=unlisted(images, files, path.name),
    )


def _listed(folder: Path, stem: str) -> Path | None:
    return next((path for suffix in (".txt", ".csv") if (path := folder / (stem + suffix)).is_file()), None)


def _image_folder(folder: Path) -> Path:
    return next((path for path in (folder / IMAGES / IMAGES, folder / IMAGES) if path.is_dir()), folder)


def _attribute_table(path: Path) -> Table:
    if path.suffix == ".csv":
        return read_csv(path)
    lines, numbers = read_words(path)
    if len(lines) < 3 or lines[0] != [str(len(lines) - 2)]:
        raise ValueError(
            f"expected the number of images in line 1 of {path}, names in line 2 and then as many lines, got "
            f"{' '.join(lines[0]) if lines else 'nothing'!r} and {max(len(lines) - 2, 0)} lines; copy the file again"
        )
    return Table(path, (FILE, *lines[1]), lines[2:], numbers[2:])


def _published(folder: Path, table: Table) -> dict[str, Tensor]:
    """The splits of the items in `table`, as the partition list has them; none without a list."""
    path = _listed(folder, PARTITION)
    if path is None:
        return {}
    partition = read_csv(path) if path.suffix == ".csv" else Table(path, (FILE, "partition"), *read_words(path))
    words = dict(zip(partition.column(FILE, unique=True), partition.column("partition"), strict=True))
    splits = {str(number): name for number, name in enumerate(SPLITS)}
    return split_members([_split(words, splits, file, path) for file in table.column(FILE)], str(path))


def _split(words: dict[str, str], splits: dict[str, str], file: str, path: Path) -> str:
    if words.get(file) not in splits:
        raise ValueError(f"expected 0, 1 or 2 for {file} in {path}, got {words.get(file, 'no line')}; copy the file again")
    return splits[words[file]]
