"""Images in [-1, 1] as PNG files and grids of them."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from latentry.storage import atomic_path

__all__ = ["grid", "interleave", "png", "write_png"]


def grid(x: Float[Tensor, "n c h w"], columns: int, gap: int = 2) -> Float[Tensor, "c H W"]:
    """Images row by row on a white sheet, the last row filled up with white."""
    count, channels, height, width = x.shape
    rows = -(-count // columns)
    sheet = x.new_ones(channels, rows * (height + gap) + gap, columns * (width + gap) + gap)
    for index, image in enumerate(x):
        row, column = divmod(index, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet


def interleave(rows: Sequence[Float[Tensor, "n c h w"]]) -> Float[Tensor, "m c h w"]:
    """First image of each row, then the second of each, ...: so that columns of a grid compare like with like."""
    return torch.stack(list(rows), 1).flatten(0, 1)


def png(x: Float[Tensor, "c h w"], magnify: int = 1) -> bytes:
    """One grey or colour image in [-1, 1] as PNG; `magnify` repeats its pixels."""
    pixels = ((x.detach().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    image = Image.fromarray(pixels.squeeze(2).numpy() if pixels.shape[2] == 1 else pixels.numpy())
    if magnify > 1:
        image = image.resize((image.width * magnify, image.height * magnify), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def write_png(path: str | Path, x: Float[Tensor, "c h w"], magnify: int = 1) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(png(x, magnify))
