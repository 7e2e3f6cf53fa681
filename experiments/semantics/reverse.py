"""When is a stroke beyond the neutral? Its measure is beyond that of nine in ten neutral training images of its class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.data.features import FeaturedImages, featured
from latentry.data.sources import load_dataset
from latentry.evaluation.proportions import share
from latentry.evaluation.strokes import measure_strokes
from latentry.tasks.levels import parse_levels

__all__ = ["STROKES", "DividedImages", "beyond", "classes_of", "divided_images", "real_reverses", "stroke"]

STROKES: Mapping[str, str] = {"thick": "thickness", "bold": "thickness", "slanted": "slant", "italic": "slant"}
"""What is measured of features that say how something is drawn."""
_TENTH = 0.1


@dataclass(frozen=True)
class DividedImages:
    """Images of a split with their levels, divided by the levels that no generator is shown."""

    shown: FeaturedImages
    """Those that generators may be shown."""
    withheld: FeaturedImages
    """Those with levels held out."""
    held_out: dict[str, float]
    """Levels held out, by feature."""


def divided_images(data: str, held_out: str, split: str) -> DividedImages:
    """A split of a data set, divided by the levels held out."""
    levels = parse_levels(held_out, "--held_out")
    return DividedImages(*featured(load_dataset(data).split(split)).parted(levels), levels)


def stroke(x: Float[Tensor, "n c h w"], name: str) -> Float[Tensor, "n"]:
    """The measure that a feature stands for; NaN where an image is blank."""
    values: Tensor = getattr(measure_strokes(x.mean(1, keepdim=True).cpu()), STROKES[name])
    return values


def classes_of(a: Float[Tensor, "n k"], features: tuple[str, ...], exclusive: tuple[str, ...]) -> Int[Tensor, "n"]:
    """Number of the class of each row of levels; 0 where there are no classes."""
    if not exclusive:
        return torch.zeros(len(a), dtype=torch.int64)
    return a[:, [features.index(name) for name in exclusive]].argmax(1).cpu()


def beyond(values: Float[Tensor, "n"], y: Int[Tensor, "n"], bounds: Float[Tensor, "c"], level: float) -> Bool[Tensor, "n"]:
    """Whether measures are beyond the bound of their class, on the side of a level."""
    return values > bounds[y] if level > 0 else values < bounds[y]


def real_reverses(images: DividedImages) -> dict[str, Any]:
    """For each feature with a level held out that can be measured: bounds by class, and how many real images are beyond."""
    found = {}
    for name, level in images.held_out.items():
        if name not in STROKES:
            continue
        neutral, reverse = images.shown.only({name: 0}), images.withheld.only({name: int(level)})
        y, y_reverse = (classes_of(each.a, images.shown.features, images.shown.exclusive) for each in (neutral, reverse))
        values = stroke(neutral.images.images(), name)
        at = 1 - _TENTH if level > 0 else _TENTH
        known = ~values.isnan()
        bounds = torch.stack([values[known & (y == label)].quantile(at) for label in range(int(y.max()) + 1)])
        real = beyond(stroke(reverse.images.images(), name), y_reverse, bounds, level)
        found[name] = {"bounds": bounds.tolist(), "truth": vars(share(real))}
    return found
