"""When is a stroke beyond the neutral? Its measure lies beyond that of nine in ten neutral training images of its class."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.data.features import FeaturedImages
from latentry.evaluation.proportions import share
from latentry.evaluation.strokes import measure_strokes

__all__ = ["STROKES", "beyond", "classes_of", "real_reverses", "stroke"]

STROKES: Mapping[str, str] = {"thick": "thickness", "bold": "thickness", "slanted": "slant", "italic": "slant"}
"""What is measured of features that say how something is drawn."""
_TENTH = 0.1


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
    """Whether measures lie beyond the bound of their class, on the side of a level."""
    return values > bounds[y] if level > 0 else values < bounds[y]


def real_reverses(seen: FeaturedImages, hidden: FeaturedImages, held_out: Mapping[str, float]) -> dict[str, Any]:
    """For each feature with a level held out that can be measured: bounds by class, and how many real images lie beyond."""
    found = {}
    for name, level in held_out.items():
        if name not in STROKES:
            continue
        neutral, reverse = seen.only({name: 0}), hidden.only({name: int(level)})
        values, y = stroke(neutral.images.images(), name), classes_of(neutral.a, seen.features, seen.exclusive)
        known = ~values.isnan()
        at = 1 - _TENTH if level > 0 else _TENTH
        bounds = torch.stack([values[known & (y == label)].quantile(at) for label in range(int(y.max()) + 1)])
        own = classes_of(reverse.a, seen.features, seen.exclusive)
        real = beyond(stroke(reverse.images.images(), name), own, bounds, level)
        found[name] = {"bounds": bounds.tolist(), "truth": vars(share(real))}
    return found
