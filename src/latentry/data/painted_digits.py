"""The bundled digits in colour, 64 x 64: each painted with its own ink on its own ground, moved, turned and scaled.

Small colour data with a network's worth of structure (shape, place, size, slant and three colours) that need no download.
What a digit gets is drawn once from a fixed seed, so that the data are the same everywhere; pictures are painted when read.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from latentry.data.digits import digits
from latentry.data.images import LabelledImages, to_pixels
from latentry.data.pictures import convert_pixels
from latentry.data.survey import changes

__all__ = ["painted_digits"]

SIDE = 64
_SEED = 2020
_TRAITS = 16
_LARGEST_TURN, _LARGEST_SHIFT = math.radians(20), 0.25
_LEAST_SCALE, _LARGEST_SCALE = 0.7, 1.1


def painted_digits(*, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """The bundled digits as colour pictures, 64 x 64, with the classes and splits of `digits`."""
    plain = digits()
    traits = torch.rand(len(plain), _TRAITS, generator=torch.Generator().manual_seed(_SEED))
    shape = (channels or 3, image_size or SIDE, image_size or SIDE)
    return LabelledImages(
        "painted-digits",
        shape,
        _Painter(plain, traits, image_size, channels),
        plain.y,
        plain.class_names,
        splits=plain.splits,
        items=torch.arange(len(plain)),
        notes=changes({(3, SIDE, SIDE): len(plain)}, shape, len(plain)),
    )


@dataclass(frozen=True)
class _Painter:
    """Pixels of items, painted when they are read."""

    plain: LabelledImages
    traits: Float[Tensor, "n k"]
    image_size: int | None
    channels: int | None

    def __call__(self, items: Int[Tensor, "m"]) -> UInt8[Tensor, "m c h w"]:
        coverage = (self.plain.images(items) + 1) / 2
        painted = to_pixels(2 * _paint(coverage, self.traits[items]) - 1)
        return convert_pixels(painted, self.image_size, self.channels)


def _paint(coverage: Float[Tensor, "m 1 28 28"], traits: Float[Tensor, "m k"]) -> Float[Tensor, "m 3 64 64"]:
    """Pictures in [0, 1] from where the ink is and uniform numbers: pose, direction of the ground, and three colours."""
    turn, right, down, scale, direction, side = traits[:, :6].unbind(1)
    near, far, ink = traits[:, 6:15].view(-1, 3, 3, 1, 1).unbind(1)
    dark = (side < 0.5).view(-1, 1, 1, 1)  # ground and ink take the two halves of the range, one way or the other
    near, far = torch.where(dark, near / 2, (1 + near) / 2), torch.where(dark, far / 2, (1 + far) / 2)
    ink = torch.where(dark, (1 + ink) / 2, ink / 2)

    axis = torch.linspace(-1, 1, SIDE)
    angle = (2 * math.pi * direction).view(-1, 1, 1, 1)
    ramp = (1 + (angle.cos() * axis + angle.sin() * axis[:, None]) / math.sqrt(2)) / 2
    ground = near + ramp * (far - near)
    where = _pose(coverage, turn, right, down, scale)
    return ground + where * (ink - ground)


def _pose(coverage: Tensor, turn: Tensor, right: Tensor, down: Tensor, scale: Tensor) -> Tensor:
    """The ink turned, scaled and moved, on the large grid."""
    turn = _LARGEST_TURN * (2 * turn - 1)
    shrink = 1 / (_LEAST_SCALE + (_LARGEST_SCALE - _LEAST_SCALE) * scale)
    shift = _LARGEST_SHIFT * (2 * torch.stack([right, down], -1) - 1)
    rotation = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], -1).view(-1, 2, 2) * shrink[:, None, None]
    matrix = torch.cat([rotation, -(rotation @ shift[:, :, None])], -1)
    grid = affine_grid(matrix, [len(coverage), 1, SIDE, SIDE], align_corners=False)
    return grid_sample(coverage, grid, align_corners=False).clamp(0, 1)
