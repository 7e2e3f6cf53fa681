"""Data sets of the Hugging Face hub, or saved with `save_to_disk`, through the optional package `datasets`.

The images are the first column of type `Image`, the classes the first of type `ClassLabel`. Splits whose name says train,
validation or test are used, and those alone; if no name does, all rows are taken together and split here. Rows stay on disk
and are decoded when they are read.
"""

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

__all__ = ["load_hub"]


def load_hub(source: str, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from `NAME` or `NAME@CONFIG` on the hub, or from a folder saved with `save_to_disk`.

    Raises:
        ValueError: The package `datasets` is missing, there is no such data set, it lacks a column of images or classes, or
            an item has no image or no class.
    """
    datasets = _package()
    loaded = _loaded(datasets, source)
    parts = loaded if isinstance(loaded, dict) else {"": loaded}
    parts = {split: rows for split, rows in parts.items() if split_name(split)} or parts
    words = [split for split, rows in parts.items() for _ in range(len(rows))]

    features = next(iter(parts.values())).features
    image, target = (_column(features, kind, source) for kind in (datasets.Image, datasets.ClassLabel))
    rows = datasets.concatenate_datasets([part.select_columns([image, target]) for part in parts.values()]).with_format(None)
    labels = Labels(
        y=_classes(rows[target][:], source),
        class_names=tuple(features[target].names),
        published=split_members(words, source) if all(map(split_name, parts)) else {},
    )
    encoded = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))

    def picture(item: int) -> Picture:
        return _picture(encoded[item][image], f"{source}, item {item}")

    return streamed(Path(source).name, picture, labels, image_size=image_size, channels=channels)


def _package() -> Any:
    try:
        import datasets
    except ImportError:
        raise ValueError("expected the package `datasets` for hf: sources, found none; pip install latentry[hub]") from None
    return datasets


def _loaded(datasets: Any, source: str) -> Any:
    name, _, config = source.partition("@")
    folder = Path(source).expanduser()
    try:
        return datasets.load_from_disk(folder) if folder.is_dir() else datasets.load_dataset(name, config or None)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"expected a data set hf:{source}, got {type(error).__name__}: {error}; write hf:NAME, hf:NAME@CONFIG, or "
            "hf:FOLDER for one saved with save_to_disk"
        ) from None


def _column(features: dict[str, Any], kind: type, source: str) -> str:
    """The first column of a type."""
    for name, feature in features.items():
        if isinstance(feature, kind):
            return name
    raise ValueError(
        f"expected a column of type {kind.__name__} in hf:{source}, got {dict(features)}; cast one with `cast_column`, "
        "`save_to_disk`, and pass hf:FOLDER"
    )


def _classes(values: list[int | None], source: str) -> Int[Tensor, "n"]:
    unlabelled = [item for item, value in enumerate(values) if value is None or value < 0]
    if unlabelled:
        raise ValueError(
            f"expected a class for every item of hf:{source}, got none for {len(unlabelled)}, the first {unlabelled[0]}; "
            "`save_to_disk` the labelled splits and pass hf:FOLDER"
        )
    return torch.tensor(values, dtype=torch.int64)


def _picture(cell: dict[str, Any] | None, name: str) -> Picture:
    if cell is None:
        raise ValueError(f"expected an image in {name}, got none; `filter` such rows and `save_to_disk`")
    return Picture(name, cell["bytes"] or Path(cell["path"]))
