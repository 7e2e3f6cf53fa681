"""Data sets of the Hugging Face hub, or saved with `save_to_disk`, through the optional package `datasets`.

The images are the first column of type `Image`, the classes the first of type `ClassLabel`. Splits whose name says train,
validation or test are used, and those alone; if no name does, all rows are taken together and split here. Rows stay on disk
and are decoded when they are read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from latentry.data.assembly import streamed
from latentry.data.images import LabelledImages
from latentry.data.labels import Labels
from latentry.data.pictures import Picture
from latentry.data.splits import split_members, split_name
from latentry.paths import user_path

__all__ = ["load_hub"]

_LONGEST = 300


def load_hub(source: str, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from `NAME` or `NAME@CONFIG` on the hub, or from a folder saved with `save_to_disk`.

    Raises:
        ValueError: The package `datasets` is missing, there is no such data set, it lacks a column of images or classes, or
            an item has no image or no class.
    """
    datasets = _package()
    with _naming(source):
        loaded = _loaded(datasets, source)
        parts = loaded if isinstance(loaded, dict) else {"": loaded}
        named = {split: rows for split, rows in parts.items() if split_name(split)} or parts
        features = next(iter(named.values())).features
        image, target = (_column(features, kind, source) for kind in (datasets.Image, datasets.ClassLabel))
        columns = [rows.select_columns([image, target]).with_format(None) for rows in named.values()]
        for rows in columns:  # a broken file may point anywhere
            rows.data.table.validate(full=True)
        rows = datasets.concatenate_datasets(columns)
        values = rows[target][:]
        encoded = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        names = tuple(features[target].names)
    words = [split for split, rows in named.items() for _ in range(len(rows))]
    labels = Labels(
        y=_classes(values, len(names), source),
        class_names=names,
        published=split_members(words, source) if all(map(split_name, named)) else {},
    )
    notes = [
        *[f"left out: the split {split} of {len(rows):,} rows" for split, rows in parts.items() if split not in named],
        *[
            f"left out: the column {name}, since {used} comes first"
            for name, feature in features.items()
            for used, kind in ((image, datasets.Image), (target, datasets.ClassLabel))
            if isinstance(feature, kind) and name != used
        ],
    ]
    return streamed(
        Path(source).name,
        _HubPictures(encoded, image, source),
        labels,
        image_size=image_size,
        channels=channels,
        notes=notes,
    )


@dataclass(frozen=True)
class _HubPictures:
    """Pictures in the rows of a data set."""

    rows: Any
    column: str
    source: str

    def __call__(self, item: int) -> Picture:
        name = f"{self.source}, item {item}"
        with _naming(self.source):
            cell = self.rows[item][self.column]
        if cell is None or not (cell["bytes"] or cell["path"]):
            raise ValueError(f"expected an image in {name}, got none; `filter` such rows and `save_to_disk`")
        return Picture(name, cell["bytes"] or Path(cell["path"]))


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Whatever the package `datasets` raises in the block becomes one error that names the data set."""
    try:
        yield
    except Exception as error:  # third-party code reads files of unknown origin
        if isinstance(error, ValueError) and str(error).startswith("expected "):
            raise
        raise ValueError(
            f"expected a data set hf:{source}, got {type(error).__name__}: {str(error)[:_LONGEST]}; write hf:NAME, "
            "hf:NAME@CONFIG, or hf:FOLDER for one saved with save_to_disk"
        ) from None


def _package() -> Any:
    try:
        import datasets
    except ImportError:
        raise ValueError("expected the package `datasets` for hf: sources, found none; pip install latentry[hub]") from None
    return datasets


def _loaded(datasets: Any, source: str) -> Any:
    name, _, config = source.partition("@")
    folder = user_path(source)
    return datasets.load_from_disk(folder) if folder.is_dir() else datasets.load_dataset(name, config or None)


def _column(features: dict[str, Any], kind: type, source: str) -> str:
    """The first column of a type."""
    for name, feature in features.items():
        if isinstance(feature, kind):
            return name
    raise ValueError(
        f"expected a column of type {kind.__name__} in hf:{source}, got {dict(features)}; cast one with `cast_column`, "
        "`save_to_disk`, and pass hf:FOLDER"
    )


def _classes(values: list[int | None], count: int, source: str) -> Int[Tensor, "n"]:
    if not values:
        raise ValueError(f"expected rows in hf:{source}, found none; save some")
    unlabelled = [item for item, value in enumerate(values) if value is None or value < 0]
    if unlabelled:
        raise ValueError(
            f"expected a class for every item of hf:{source}, got none for {len(unlabelled)}, the first {unlabelled[0]}; "
            "`save_to_disk` the labelled splits and pass hf:FOLDER"
        )
    y = torch.tensor(values, dtype=torch.int64)
    if y.max() >= count:
        raise ValueError(f"expected classes from 0 to {count - 1} in hf:{source}, got {int(y.max())}; name that one too")
    return y
