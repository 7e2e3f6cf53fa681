"""NumPy archives (.npz): images as `x` or `images`, classes as `y` or `labels`, signed attributes as `attributes`.

Images are grey `(n, h, w)`, or `(n, h, w, c)`, or `(n, c, h, w)` with c = 1 or 3, the last axis tried first. Values are
bytes 0..255, or real numbers: if none is below 0 they are taken to span [0, 1], else [-1, 1]. Names may be given as
`class_names` and `attribute_names`; otherwise they are numbers. `splits` names the split of each item; `zeros`, the word
`unknown` or `neutral`, says what attributes of 0 mean; without it they are read as in tables (`latentry.data.labels`).
"""

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from latentry.data.assembly import in_memory
from latentry.data.images import LabelledImages, to_pixels
from latentry.data.labels import Labels, Zeros, signed_attributes
from latentry.data.splits import split_members

__all__ = ["load_npz"]

SYNONYMS = {"images": "x", "labels": "y"}
SLACK = 1e-3  # what resizing or a decoder overshoots


def load_npz(path: Path, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from an archive.

    Raises:
        ValueError: The file is broken, lacks images or labels, or an array is not what its name says.
    """
    arrays = _arrays(path)
    pixels, labels = _pixels(arrays, path), _labels(arrays, path)
    return in_memory(path.stem, pixels, labels, image_size=image_size, channels=channels)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive under this module's names for them."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {SYNONYMS.get(name, name): values for name, values in archive.items()}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"expected a whole NumPy archive of plain arrays in {path}, got {type(error).__name__}: {error}; "
            "save it again with numpy.savez"
        ) from None


def _pixels(arrays: dict[str, np.ndarray], path: Path) -> UInt8[Tensor, "n c h w"]:
    if "x" not in arrays:
        raise ValueError(
            f"expected an array 'x' or 'images' in {path}, got {sorted(arrays)}; save the images under that name"
        )
    pixels = torch.from_numpy(_bytes(arrays["x"], path))
    if pixels.ndim == 3:
        return pixels.unsqueeze(1)
    if pixels.ndim == 4 and pixels.shape[3] in (1, 3):
        return pixels.permute(0, 3, 1, 2).contiguous()
    if pixels.ndim == 4 and pixels.shape[1] in (1, 3):
        return pixels
    raise ValueError(
        f"expected images (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels in {path}, got shape "
        f"{tuple(pixels.shape)}; reshape them"
    )


def _bytes(values: np.ndarray, path: Path) -> np.ndarray:
    """Values of any permitted range as bytes."""
    if values.size == 0:
        raise ValueError(f"expected at least one image in {path}, got shape {values.shape}; save some")
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"expected images of type uint8 or float in {path}, got {values.dtype}; use .astype('uint8')")
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite pixels in {path}, got NaN or infinity; repair or remove those images")
    low, high = float(values.min()), float(values.max())
    if low < -1 - SLACK or high > 1 + SLACK:
        raise ValueError(
            f"expected floats in [0, 1] or [-1, 1] in {path}, got [{low:g}, {high:g}]; use .astype('uint8') if they are "
            "0..255, or rescale them"
        )
    x = torch.from_numpy(values.astype(np.float32))
    return to_pixels(x if low < -SLACK else 2 * x - 1).numpy()


def _labels(arrays: dict[str, np.ndarray], path: Path) -> Labels:
    if not {"y", "attributes"} & arrays.keys():
        raise ValueError(f"expected an array 'y', 'labels' or 'attributes' in {path}, got {sorted(arrays)}; save it too")
    labels = Labels()
    if "y" in arrays:
        y = _integers(arrays, "y", 1, path)
        if y.min() < 0:
            raise ValueError(f"expected classes from 0 on in {path}, got {int(y.min())}; number them from 0")
        labels = replace(labels, y=y, class_names=_names(arrays, "class_names", int(y.max()) + 1, path, spare=True))
    if "attributes" in arrays:
        values = _integers(arrays, "attributes", 2, path)
        if not ((values >= -1) & (values <= 1)).all():
            raise ValueError(
                f"expected attributes -1, 0 or 1 in {path}, got {sorted(set(values.flatten().tolist()))}; recode them"
            )
        names = _names(arrays, "attribute_names", values.shape[1], path, spare=False)
        zeros = _zeros(arrays, path)
        known = torch.ones_like(values, dtype=torch.bool)
        signed = values if zeros == "neutral" else signed_attributes(values, known)
        labels = replace(labels, attributes=signed, attribute_names=names, zeros=zeros)
    if "splits" in arrays:
        words = list(map(str, arrays["splits"].flatten()))
        if len(words) != len(arrays["x"]):
            raise ValueError(
                f"expected {len(arrays['x'])} splits in {path}, one per image, got {len(words)}; save both again"
            )
        labels = replace(labels, published=split_members(words, str(path)))
    return labels


def _zeros(arrays: dict[str, np.ndarray], path: Path) -> Zeros:
    word = str(arrays.get("zeros", "unknown"))
    if word not in ("unknown", "neutral"):
        raise ValueError(f"expected 'unknown' or 'neutral' as zeros in {path}, got {word!r}; save one of these words")
    return "neutral" if word == "neutral" else "unknown"


def _integers(arrays: dict[str, np.ndarray], key: str, dimensions: int, path: Path) -> Int[Tensor, "..."]:
    """Integers of so many dimensions, one row per image."""
    values, count = arrays[key], len(arrays["x"])
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"expected integers as {key!r} in {path}, got {values.dtype}; use .astype('int64')")
    if values.ndim != dimensions:
        raise ValueError(f"expected {dimensions} dimension(s) of {key!r} in {path}, got shape {values.shape}; reshape it")
    if len(values) != count:
        raise ValueError(f"expected {count} rows of {key!r} in {path}, one per image, got {len(values)}; save both again")
    return torch.from_numpy(values.astype(np.int64))


def _names(arrays: dict[str, np.ndarray], key: str, count: int, path: Path, *, spare: bool) -> tuple[str, ...]:
    """Given names, or numbers; `spare` lets there be more of them, for what does not occur."""
    names = tuple(map(str, arrays.get(key, np.arange(count))))
    if len(names) < count or (len(names) > count and not spare):
        raise ValueError(f"expected {count} {key} in {path}, got {len(names)}; name each once, or none")
    return names
