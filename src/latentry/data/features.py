"""Images with the levels of features: classes and signed attributes as one row of numbers for each image.

A level is +1 where the feature is present, 0 where it is neutral, -1 where its reverse is, NaN where nothing is known. Each
class may be a feature, of which an image has exactly one. Where attributes of 0 mean unknown, -1 says no more than that
something is absent, which is neutral by default: someone who does not smile need not frown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import one_hot

from latentry.data.images import LabelledImages
from latentry.memory import check_memory
from latentry.names import feature_index
from latentry.storage import fingerprint

__all__ = ["Absent", "FeaturedImages", "featured"]

Absent = Literal["neutral", "reverse"]
"""What the absence of an attribute means."""


@dataclass(frozen=True)
class FeaturedImages:
    """Images with levels, as items to draw batches from."""

    images: LabelledImages
    """A view of a source."""
    a: Float[Tensor, "n k"]
    """Levels of the images of this view: -1, 0, 1, or NaN where unknown."""
    features: tuple[str, ...]
    """Name of each feature."""
    exclusive: tuple[str, ...]
    """Those that are classes."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images and levels at these positions."""
        return self.images.images(positions), self.a[torch.as_tensor(positions, dtype=torch.int64)]

    def fingerprint(self) -> str:
        """Hash of images and levels."""
        return fingerprint({"images": torch.tensor([*self.images.fingerprint().encode()]), "a": self.a})

    def without(self, levels: Mapping[str, int | float]) -> "FeaturedImages":
        """The images that have none of these levels: the first part of `parted`."""
        return self.parted(levels)[0]

    def parted(self, levels: Mapping[str, int | float]) -> tuple["FeaturedImages", "FeaturedImages"]:
        """The images that have none of these levels, and those that have some: what a model may see, and what it may not.

        Raises:
            ValueError: There is no such feature or level, or every image has some.
        """
        keep = torch.ones(len(self), dtype=torch.bool)
        for name, level in levels.items():
            column = self.a[:, feature_index(name, self.features)]
            if level not in (-1, 0, 1):
                raise ValueError(f"expected a level -1, 0 or 1 of {name}, got {level:g}")
            keep &= column != level
        if not keep.any():
            raise ValueError(f"expected images without {dict(levels)}, but every one has some of it; hold less out")
        return self.take(keep), self.take(~keep)

    def only(self, levels: Mapping[str, int | float]) -> "FeaturedImages":
        """The images that have all of these levels.

        Raises:
            ValueError: There is no such feature.
        """
        keep = torch.ones(len(self), dtype=torch.bool)
        for name, level in levels.items():
            keep &= self.a[:, feature_index(name, self.features)] == level
        return self.take(keep)

    def check_examples(self) -> None:
        """Whether every feature has examples.

        Raises:
            ValueError: No image has some feature.
        """
        if absent := [name for name, column in zip(self.features, self.a.mT, strict=True) if not (column == 1).any()]:
            raise ValueError(
                f"expected at least one image with each feature in {self.images.name}, got none with {', '.join(absent)}; "
                "leave these out, or hold less out"
            )

    def take(self, keep: Bool[Tensor, "n"]) -> "FeaturedImages":
        """Some of the images, by a mask."""
        return replace(self, images=self.images.take(self.images.items[keep]), a=self.a[keep])


def featured(
    data: LabelledImages, attributes: Sequence[str] | None = None, *, classes: bool = True, absent: Absent = "neutral"
) -> FeaturedImages:
    """The images of a view with their levels: of attributes first, then of classes.

    Args:
        data: A view of a source.
        attributes: Names of the attributes that are features; all by default.
        classes: Whether each class is a feature too, where there are classes.
        absent: What -1 means where 0 means unknown.

    Raises:
        ValueError: There is no such attribute, or no feature at all.
    """
    names = data.attribute_names if attributes is None else tuple(attributes)
    columns = [feature_index(name, data.attribute_names) for name in names]
    exclusive = tuple(data.class_names) if classes and data.y is not None else ()
    check_memory(12 * len(data) * len(exclusive), f"levels of {len(exclusive):,} classes", "leave --classes out")
    parts = []
    if columns:
        assert data.attributes is not None, "there are names"
        parts.append(_levels(data.attributes[data.items][:, columns].float(), data.zeros == "neutral", absent))
    if exclusive:
        parts.append(one_hot(data.labels, len(exclusive)).float())
    if not parts:
        raise ValueError(f"expected features in {data.name}, got neither attributes nor classes; name some")
    if twice := set(names) & set(exclusive):
        raise ValueError(f"expected features of different names, got {', '.join(sorted(twice))} twice; leave --classes out")
    return FeaturedImages(data, torch.cat(parts, 1), (*names, *exclusive), exclusive)


def _levels(values: Float[Tensor, "n k"], measured: bool, absent: Absent) -> Float[Tensor, "n k"]:
    if measured:
        return values
    signed = values if absent == "reverse" else values.clamp(min=0)
    return torch.where(values == 0, math.nan, signed)
