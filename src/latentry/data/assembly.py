"""Labels and pixels put together as `LabelledImages`: arrays held in memory, or pictures decoded when they are asked for."""

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor

from latentry.data.images import LabelledImages
from latentry.data.labels import Labels
from latentry.data.pictures import Picture, common_shape, convert_pixels, read_pictures
from latentry.data.splits import complete_splits

__all__ = ["in_memory", "streamed"]

HEADERS = 2000


def in_memory(
    name: str, pixels: UInt8[Tensor, "n c h w"], labels: Labels, *, image_size: int | None, channels: int | None
) -> LabelledImages:
    """Labelled images held as one array, of another size or number of channels if asked for."""
    pixels = convert_pixels(pixels, image_size, channels)
    depth, height, width = pixels.shape[1:]
    return _labelled(name, (depth, height, width), lambda items: pixels[items], labels)


def streamed(
    name: str, picture: Callable[[int], Picture], labels: Labels, *, image_size: int | None, channels: int | None
) -> LabelledImages:
    """Labelled images of which `picture(item)` is opened whenever it is read.

    The headers of up to 2,000 pictures, evenly spread, are read at once for the shape; every other one is judged when read.

    Raises:
        ValueError: A header cannot be read, or sizes differ and there is no `image_size`.
    """
    step = -(-len(labels) // HEADERS) or 1
    shape = common_shape((picture(item) for item in range(0, len(labels), step)), image_size, channels)

    def read(items: Tensor) -> Tensor:
        return read_pictures([picture(item) for item in items.tolist()], shape, fit=image_size is not None)

    return _labelled(name, shape, read, labels)


def _labelled(name: str, shape: tuple[int, int, int], read: Callable[[Tensor], Tensor], labels: Labels) -> LabelledImages:
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
    )
