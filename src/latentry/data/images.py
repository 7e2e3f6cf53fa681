"""Labelled images: one type, whether they are held in memory or read when needed.

Pixels are stored as uint8 and handed out as float32 in [-1, 1], value v becoming 2 v / 255 - 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from latentry.data.labels import Zeros
from latentry.display import Facts, Plottable
from latentry.memory import check_memory
from latentry.names import counted
from latentry.storage import fingerprint

__all__ = ["LabelledImages", "from_pixels", "to_pixels"]

_BYTES = 9
"""For each value while images are read: 1 as stored, and twice 4 as real numbers."""
_DRAWN = 12
SPLITS = ("train", "validation", "held-out")


def from_pixels(pixels: UInt8[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Integers 0..255 to float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_pixels(x: Float[Tensor, "*s"]) -> UInt8[Tensor, "*s"]:
    """Values in [-1, 1] to integers 0..255, rounded and clipped."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, repr=False)
class LabelledImages(Plottable):
    """Images of one shape with one class each, with signed attributes, or both.

    Items are read through `read`, so that the same type serves arrays in memory and folders of any size.
    """

    name: str
    """What the data are called in reports."""
    shape: tuple[int, int, int]
    """Channels, height and width of every image."""
    read: Callable[[Tensor], Tensor] = field(repr=False)
    """Pixels, uint8 `(m, c, h, w)`, for item numbers, int64 `(m,)`, of the whole source."""
    y: Int[Tensor, "n"] | None = field(default=None, repr=False)
    """Class of each item of the whole source, 0 .. num_classes - 1; None where the source has only attributes."""
    class_names: tuple[str, ...] = ()
    """Name of each class."""
    attributes: Int[Tensor, "n k"] | None = field(default=None, repr=False)
    """Signed attributes of each item of the whole source, -1, 0 or +1."""
    attribute_names: tuple[str, ...] = ()
    """Name of each attribute."""
    zeros: Zeros = "unknown"
    """What attributes of 0 mean: nothing is known, or neither +1 nor its reverse."""
    splits: dict[str, Tensor] = field(default_factory=dict, repr=False)
    """Item numbers of the fixed splits `train`, `validation` and `held-out`."""
    items: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64), repr=False)
    """Numbers of the items in this view of the source, int64 `(m,)`."""
    notes: tuple[str, ...] = field(default=(), repr=False)
    """What of the source was left out, what was done to its images, and what was decided where it does not say."""

    def __len__(self) -> int:
        return len(self.items)

    def _facts(self) -> Facts:
        channels, height, width = self.shape
        kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
        rows = [("splits", ", ".join(f"{name} {len(items):,}" for name, items in self.splits.items()))]
        for what, names in (("classes", self.class_names), ("attributes", self.attribute_names)):
            if names:
                rows.append((what, f"{len(names)}: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"))
        return Facts(f"{self.name}: {counted(len(self), f'{kind} image')} of {height} x {width}", tuple(rows))

    def _draw(self, figure: Any) -> None:
        """A dozen images, evenly from the first to the last, with the names of their classes."""
        from latentry.display.drawing import draw_images

        positions = torch.linspace(0, len(self) - 1, min(_DRAWN, len(self))).round().long()
        x = self.images(positions)
        names = [] if self.y is None else [self.class_names[y] for y in self.labels[positions].tolist()]
        draw_images(figure, [("", x)], names)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def labels(self) -> Int[Tensor, "m"]:
        """Classes of the items of this view.

        Raises:
            ValueError: The source has no classes.
        """
        if self.y is None:
            raise ValueError(f"expected classes in {self.name}, found only attributes {list(self.attribute_names)}")
        return self.y[self.items]

    def split(self, name: str) -> "LabelledImages":
        """The items of one fixed split.

        Raises:
            ValueError: There is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"expected a split among {sorted(self.splits)} of {self.name}, got {name!r}")
        return self.take(self.splits[name], f"{self.name}/{name}")

    def take(self, items: Tensor, name: str | None = None) -> "LabelledImages":
        """A view of some items, given by their numbers in the whole source."""
        return replace(self, items=items, name=name or self.name)

    def fold(self, index: int, folds: int) -> "LabelledImages":
        """Every `folds`-th item of each class from the `index`-th on: disjoint, stratified parts of this view.

        Raises:
            ValueError: `index` is outside 0 .. folds - 1.
        """
        if not 0 <= index < folds:
            raise ValueError(f"expected a fold among 0..{folds - 1}, got {index}")
        order = self.labels.argsort(stable=True)
        return self.take(self.items[order[index::folds].sort().values], f"{self.name}[{index} of {folds}]")

    def images(self, positions: Sequence[int] | Tensor | None = None) -> Float[Tensor, "m c h w"]:
        """Images at these positions of the view (all of them by default), float32 in [-1, 1]."""
        chosen = self.items if positions is None else self.items[torch.as_tensor(positions, dtype=torch.int64)]
        return self._read(chosen)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        x, y = self.__getitems__([position])
        return x[0], y[0]

    def __getitems__(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images and targets at these positions; a target is the class, or the attributes where there are no classes."""
        chosen = self.items[torch.as_tensor(positions, dtype=torch.int64)]
        targets = self.y if self.y is not None else self.attributes
        assert targets is not None, "a source has classes or attributes"
        return self._read(chosen), targets[chosen]

    def check_shape(self, shape: tuple[int, int, int]) -> None:
        """Make sure that the images have a shape, such as that of what a generator makes.

        Raises:
            ValueError: They have another.
        """
        if self.shape != shape:
            channels, height, width = shape
            size = f"image_size={height}" if height == width else "another size"
            raise ValueError(
                f"expected images of shape {shape} as the generator makes them, got {self.shape} in {self.name}; load them "
                f"with channels={channels} and {size}"
            )

    def fingerprint(self) -> str:
        """Hash of the items of this view, their classes and attributes; reads every image once."""
        parts = {"items": self.items}
        if self.y is not None:
            parts["y"] = self.y[self.items]
        if self.attributes is not None:
            parts["attributes"] = self.attributes[self.items]
        starts = range(0, len(self), 4096)
        blocks = [fingerprint({"pixels": self.read(self.items[start : start + 4096])}) for start in starts]
        parts["pixels"] = torch.tensor([list(block.encode()) for block in blocks], dtype=torch.uint8)
        return fingerprint(parts)

    def _read(self, items: Tensor) -> Float[Tensor, "m c h w"]:
        bytes_each = _BYTES * math.prod(self.shape)
        check_memory(len(items) * bytes_each, f"{len(items):,} images of {self.name}", "take fewer or smaller ones at once")
        return from_pixels(self.read(items))
