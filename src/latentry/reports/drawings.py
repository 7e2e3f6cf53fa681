"""Data that are no pictures, drawn as pictures: signals as curves, vectors and maps of other channels as heat maps."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["drawn"]

_CURVE = (48, 96)
"""Height and width of a drawn curve."""
_FEWEST_POINTS = 8
"""Elements from which on a vector is drawn as a curve."""
_CELL = 8
"""Pixels of a cell of a heat map of a vector."""


def drawn(rows: Sequence[Float[Tensor, "_ *s"]]) -> list[Float[Tensor, "_ c h w"]]:
    """Pictures of data, all of one scale: images as they are, others drawn from their least to their largest value.

    A signal `(t,)` or `(c, t)` becomes one curve, or one below the other; fewer elements than eight become a row of grey
    cells; images of two channels, or of more than three, become grey ones side by side.

    Args:
        rows: Data of one shape.

    Example:
        >>> [x.shape for x in drawn([torch.zeros(3, 1, 8, 8), torch.ones(2, 1, 8, 8)])]
        [torch.Size([3, 1, 8, 8]), torch.Size([2, 1, 8, 8])]
        >>> [x.shape for x in drawn([torch.randn(3, 2, 50)])]
        [torch.Size([3, 1, 96, 96])]
    """
    shape = rows[0].shape[1:]
    if len(shape) == 3 and shape[0] in (1, 3):
        return list(rows)
    values = torch.cat([row.detach().cpu().flatten().double() for row in rows])
    values = values[values.isfinite()]
    low, high = (values.min().item(), values.max().item()) if len(values) else (0.0, 1.0)
    scale = max(high - low, 1e-12)
    scaled = [((row.detach().cpu().float() - low) / scale).nan_to_num(0.5).clamp(0, 1) for row in rows]
    if len(shape) == 1:
        scaled = [row[:, None] for row in scaled]
    if len(shape) in (1, 2):
        draw = _curves if shape[-1] >= _FEWEST_POINTS else _cells
        return [draw(row) for row in scaled]
    maps = [row.flatten(1, -3) if row.ndim > 3 else row[:, None] for row in scaled]
    return [2 * row.movedim(1, 2).flatten(2)[:, None] - 1 for row in maps]


def _curves(x: Float[Tensor, "n c t"]) -> Float[Tensor, "n 1 h w"]:
    """Black curves on white, one channel below the other."""
    height, width = _CURVE
    places = torch.linspace(0, x.shape[2] - 1, width)
    before = places.long().clamp(max=max(0, x.shape[2] - 2))
    after = (before + 1).clamp(max=x.shape[2] - 1)
    share = (places - before).clamp(0, 1)
    y = x[..., before] * (1 - share) + x[..., after] * share
    rows = (1 - y) * (height - 3) + 1
    nearby = torch.cat([rows[..., :1], rows], -1)
    top, bottom = torch.minimum(nearby[..., :-1], rows) - 0.5, torch.maximum(nearby[..., :-1], rows) + 0.5
    pixels = torch.arange(height, dtype=x.dtype)[:, None]
    ink = (pixels >= top[:, :, None]) & (pixels <= bottom[:, :, None])
    return 1 - 2 * ink.float().flatten(1, 2)[:, None]


def _cells(x: Float[Tensor, "n c d"]) -> Float[Tensor, "n 1 h w"]:
    """Grey cells, dark for small values, one channel below the other."""
    return (2 * x - 1).repeat_interleave(_CELL, 1).repeat_interleave(_CELL, 2)[:, None]
