"""`LabelledImages` from labels and pixels: arrays held in memory, or pictures decoded when they are read.

What reads the pixels is an object that can be pickled, so that data go to worker processes however these are started.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from latentry.data.images import LabelledImages
from latentry.data.labels import Labels
from latentry.data.pictures import Picture, convert_pixels
from latentry.data.splits import complete_splits
from latentry.data.survey import Survey, changes, survey

__all__ = ["FilePictures", "in_memory", "streamed"]


@dataclass(frozen=True)
class FilePictures:
    """Pictures in files, one for each item."""

    files: Sequence[Path]

    def __call__(self, item: int) -> Picture:
        return Picture(str(self.files[item]), self.files[item])


@dataclass(frozen=True)
class _HeldPixels:
    """Pixels of items that are held in memory."""

    pixels: UInt8[Tensor, "n c h w"]

    def __call__(self, items: Int[Tensor, "m"]) -> UInt8[Tensor, "m c h w"]:
        return self.pixels[items]


@dataclass(frozen=True)
class _DecodedPixels:
    """Pixels of items whose pictures are decoded now."""

    picture: Callable[[int], Picture]
    survey: Survey

    def __call__(self, items: Int[Tensor, "m"]) -> UInt8[Tensor, "m c h w"]:
        return self.survey.read([self.picture(item) for item in items.tolist()])


def in_memory(
    name: str,
    pixels: UInt8[Tensor, "n c h w"],
    labels: Labels,
    *,
    image_size: int | None,
    channels: int | None,
    notes: Sequence[str] = (),
) -> LabelledImages:
    """Labelled images held as one array, of another size or number of channels if requested."""
    converted = convert_pixels(pixels, image_size, channels)
    depth, height, width = converted.shape[1:]
    count, *size = pixels.shape
    done = changes(Counter({(size[0], size[1], size[2]): count}), (depth, height, width), count)
    return _labelled(name, (depth, height, width), _HeldPixels(converted), labels, (*notes, *done))


def streamed(
    name: str,
    picture: Callable[[int], Picture],
    labels: Labels,
    *,
    image_size: int | None,
    channels: int | None,
    notes: Sequence[str] = (),
) -> LabelledImages:
    """Labelled images of which `picture(item)` is opened whenever it is read.

    The headers of up to 2,000 pictures, evenly spread, are read at first, for the shape; any other one is checked when it
    is loaded.

    Raises:
        ValueError: A header cannot be read, or sizes differ and there is no `image_size`.
    """
    plan = survey(picture, len(labels), image_size, channels)
    return _labelled(name, plan.shape, _DecodedPixels(picture, plan), labels, (*notes, *plan.notes))


def _labelled(
    name: str,
    shape: tuple[int, int, int],
    read: Callable[[Tensor], Tensor],
    labels: Labels,
    notes: Sequence[str],
) -> LabelledImages:
    return LabelledImages(
        name=name,
        shape=shape,
        read=read,
        y=labels.y,
        class_names=labels.class_names,
        attributes=labels.attributes,
        attribute_names=labels.attribute_names,
        zeros=labels.zeros,
        splits=complete_splits(labels.published, labels.strata),
        items=torch.arange(len(labels)),
        notes=tuple(notes),
    )
