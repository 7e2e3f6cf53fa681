"""The bundled digits with two signed attributes of their strokes: thick (-1: thin) and slanted (right; -1: left).

Levels are thirds of the training digits of the same class, so that they do not tell the class. `scripts/measure_digits.py`
makes the asset.
"""

from dataclasses import replace
from importlib.resources import files

import numpy as np
import torch

from latentry.data.digits import digits
from latentry.data.images import LabelledImages

__all__ = ["stroke_digits"]


def stroke_digits(*, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """The bundled digits with their classes, splits, and attributes thick and slanted."""
    with files("latentry.data").joinpath("stroke_digits.npz").open("rb") as asset, np.load(asset) as arrays:
        attributes = torch.from_numpy(arrays["attributes"].astype(np.int64))
        names = tuple(map(str, arrays["attribute_names"]))
    plain = digits(image_size=image_size, channels=channels)
    return replace(plain, name="stroke-digits", attributes=attributes, attribute_names=names, zeros="neutral")
