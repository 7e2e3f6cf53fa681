"""Images in [-1, 1] as PNG files and grids, with names of rows and columns."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from latentry.names import printable
from latentry.storage import atomic_path

__all__ = ["grid", "interleave", "magnification", "png", "stack", "write_png", "write_sheet"]

_GAP = 2
_LEAST_WIDTH = 56
"""Pixels that small images are shown at."""
_LETTERS, _MARGIN, _INK = 13, 6, "#222222"


def grid(x: Float[Tensor, "n c h w"], columns: int, gap: int = _GAP) -> Float[Tensor, "c H W"]:
    """Images row by row on a white sheet, the last row filled up with white."""
    count, channels, height, width = x.shape
    rows = -(-count // columns)
    sheet = x.new_ones(channels, rows * (height + gap) + gap, columns * (width + gap) + gap)
    for index, image in enumerate(x):
        row, column = divmod(index, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet


def stack(rows: Sequence[Float[Tensor, "n c h w"]]) -> Float[Tensor, "c H W"]:
    """A sheet of rows of images, as many in each."""
    return grid(torch.cat([row.cpu() for row in rows]), len(rows[0]))


def interleave(rows: Sequence[Float[Tensor, "n c h w"]]) -> Float[Tensor, "m c h w"]:
    """First image of each row, then the second of each, ...: so that columns of a grid compare like with like."""
    return torch.stack(list(rows), 1).flatten(0, 1)


def magnification(width: int) -> int:
    """How often pixels of images of this width are repeated, so that one sees them."""
    return max(1, round(_LEAST_WIDTH / width))


def png(x: Float[Tensor, "c h w"], magnify: int = 1) -> bytes:
    """One grey or colour image in [-1, 1] as PNG; `magnify` repeats its pixels."""
    return _bytes(_image(x, magnify))


def write_png(path: str | Path, x: Float[Tensor, "c h w"], magnify: int = 1) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(png(x, magnify))


def write_sheet(
    path: str | Path, rows: Sequence[tuple[str, Float[Tensor, "n c h w"]]], columns: Sequence[str] = (), magnify: int = 2
) -> None:
    """Write images in rows, as many in each, with the names of rows at their left and of columns above them.

    Args:
        path: Where to.
        rows: Name and images of each row; rows without a name are given an empty one.
        columns: Names of the columns; none by default.
        magnify: How often pixels are repeated.
    """
    picture = _image(stack([x for _, x in rows]), magnify)
    font = ImageFont.load_default(_LETTERS)
    names, titles = [printable(name, 40) for name, _ in rows], [printable(name, 12) for name in columns]
    left = max((round(font.getlength(name)) + 2 * _MARGIN for name in names if name), default=0)
    top = _LETTERS + _MARGIN if any(titles) else 0
    right = max(0, round((font.getlength(titles[-1]) - picture.width / len(titles)) / 2)) if titles else 0
    sheet = Image.new(picture.mode, (left + picture.width + right, top + picture.height), "white")
    sheet.paste(picture, (left, top))
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(names):
        place = (left - _MARGIN, top + (row + 0.5) * picture.height / len(names))
        pen.text(place, name, fill=_INK, font=font, anchor="rm")
    for column, title in enumerate(titles):
        above = (left + (column + 0.5) * picture.width / len(titles), top - _MARGIN / 2)
        pen.text(above, title, fill=_INK, font=font, anchor="ms")
    with atomic_path(path) as temporary:
        temporary.write_bytes(_bytes(sheet))


def _image(x: Float[Tensor, "c h w"], magnify: int) -> Image.Image:
    pixels = ((x.detach().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    image = Image.fromarray(pixels.squeeze(2).numpy() if pixels.shape[2] == 1 else pixels.numpy())
    if magnify > 1:
        return image.resize((image.width * magnify, image.height * magnify), Image.Resampling.NEAREST)
    return image


def _bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
