"""NumPy archives (.npz): images as `x` or `images`, classes as `y` or `labels`, signed attributes as `attributes`.

Images are grey `(n, h, w)`, or `(n, h, w, c)`, or `(n, c, h, w)` with c = 1 or 3, the last axis tried first. What their
values mean follows from their type and range, and the notes of the data say it: bytes are 0..255 whatever they reach;
`False` is black and `True` white; numbers of 16 bits use the least usual depth (8, 10, 12, 14, 16) that holds them all;
real numbers span [0, 1], [-1, 1] where one is below 0, or [0, 255] where one is above half of it. Names may be given as
`class_names` and `attribute_names`; otherwise they are numbers. `splits` names the split of each item; `zeros`, the word
`unknown` or `neutral`, says what attributes of 0 mean; without it they are read as in tables (`latentry.data.labels`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from latentry.array_files import read_npz
from latentry.data.assembly import in_memory
from latentry.data.images import LabelledImages, to_pixels
from latentry.data.labels import Labels, Zeros, check_classes, signed_attributes
from latentry.data.picture_depth import eight_bits, least_bits
from latentry.data.splits import split_members
from latentry.memory import most_bytes

__all__ = ["load_npz"]

SYNONYMS = {"images": "x", "labels": "y"}
NAMES = {"x", "y", "attributes", "class_names", "attribute_names", "splits", "zeros"}
_COPIES = 4
"""Of the arrays, that may be held at once: as they are, as real numbers and as bytes."""
_MOST_LISTED = 10
SLACK = 1e-3  # what resizing or a decoder overshoots


def load_npz(path: Path, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from an archive.

    Raises:
        ValueError: The file is broken, lacks images or labels, or an array is not what its name says.
    """
    arrays, unknown = _arrays(path)
    (pixels, meaning), labels = _pixels(arrays, path), _labels(arrays, path)
    left_out = [f"left out: arrays of other names, {', '.join(unknown)}"] if unknown else []
    notes = [*meaning, *left_out, *_empty_classes(labels)]
    return in_memory(path.stem, pixels, labels, image_size=image_size, channels=channels, notes=notes)


def _arrays(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of an archive under this module's names for them, and the names of those that it does not know."""
    found = read_npz(path, most=most_bytes() // _COPIES)
    for name, other in SYNONYMS.items():
        if {name, other} <= found.keys():
            raise ValueError(f"expected either {name!r} or {other!r} in {path}, got both; remove one")
    arrays = {SYNONYMS.get(name, name): values for name, values in found.items()}
    return {name: values for name, values in arrays.items() if name in NAMES}, sorted(arrays.keys() - NAMES)


def _pixels(arrays: dict[str, np.ndarray], path: Path) -> tuple[UInt8[Tensor, "n c h w"], Sequence[str]]:
    """Images as bytes, and what their values were taken to mean."""
    if "x" not in arrays:
        raise ValueError(
            f"expected an array 'x' or 'images' in {path}, got {sorted(arrays)}; save the images under that name"
        )
    values, meaning = _bytes(arrays["x"], path)
    pixels = torch.from_numpy(values)
    if pixels.ndim == 3:
        return pixels.unsqueeze(1), meaning
    if pixels.ndim == 4 and pixels.shape[3] in (1, 3):
        return pixels.permute(0, 3, 1, 2).contiguous(), meaning
    if pixels.ndim == 4 and pixels.shape[1] in (1, 3):
        return pixels, meaning
    raise ValueError(
        f"expected images (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels in {path}, got shape "
        f"{tuple(pixels.shape)}; reshape them"
    )


def _bytes(values: np.ndarray, path: Path) -> tuple[np.ndarray, Sequence[str]]:
    """Values of any permitted type and range as bytes, and what they were taken to mean."""
    if values.size == 0:
        raise ValueError(f"expected at least one image in {path}, got shape {values.shape}; save some")
    if values.dtype == np.uint8:
        nearly_black = values.max() <= 1
        note = "bytes of which none is above 1 are nearly black, 255 being white; save them as bool if 1 is white"
        return values, [note] if nearly_black else []
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255), ["False is read as black, True as white"]
    if values.dtype.newbyteorder("=") == np.uint16:
        bits = least_bits(int(values.max()))
        return eight_bits(values, bits), [
            f"numbers up to {values.max():,} are read as of {bits} bits, {2**bits - 1:,} being white"
        ]
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            f"expected images of type uint8, uint16, bool or float in {path}, got {values.dtype}; use .astype('uint8')"
        )
    return _floats(values, path)


def _floats(values: np.ndarray, path: Path) -> tuple[np.ndarray, Sequence[str]]:
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite pixels in {path}, got NaN or infinity; repair or remove those images")
    low, high = float(values.min()), float(values.max())
    if low >= -SLACK and 127.5 < high <= 255:
        black, white = 0, 255
    elif low >= -1 - SLACK and high <= 1 + SLACK:
        black, white = (-1 if low < -SLACK else 0), 1
    else:
        raise ValueError(f"expected floats in [0, 1], [-1, 1] or [0, 255] in {path}, got [{low:g}, {high:g}]; rescale them")
    scaled = (torch.from_numpy(values.astype(np.float32)) - black) / (white - black)
    note = f"real numbers in [{low:.3g}, {high:.3g}] are read as of [{black}, {white}], from black to white"
    return to_pixels(2 * scaled - 1).numpy(), [note]


def _labels(arrays: dict[str, np.ndarray], path: Path) -> Labels:
    if not {"y", "attributes"} & arrays.keys():
        raise ValueError(f"expected an array 'y', 'labels' or 'attributes' in {path}, got {sorted(arrays)}; save it too")
    labels = Labels()
    if "y" in arrays:
        y = _integers(arrays, "y", 1, path)
        check_classes(y, str(path), named=np.size(arrays.get("class_names", ())))
        labels = replace(labels, y=y, class_names=_names(arrays, "class_names", int(y.max()) + 1, path, spare=True))
    if "attributes" in arrays:
        values = _integers(arrays, "attributes", 2, path)
        if not ((values >= -1) & (values <= 1)).all():
            raise ValueError(
                f"expected attributes -1, 0 or 1 in {path}, got {values.unique().tolist()[:_MOST_LISTED]}; recode them"
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


def _empty_classes(labels: Labels) -> Sequence[str]:
    """A note on class numbers that no image has."""
    if labels.y is None or len(labels.y) == 0:
        return []
    empty = sorted(set(range(int(labels.y.max()) + 1)) - set(labels.y.unique().tolist()))
    listed = ", ".join(map(str, empty[:_MOST_LISTED])) + (", ..." if len(empty) > _MOST_LISTED else "")
    note = f"no image has the class number {listed}; number classes from 0 without gaps"
    return [note] if empty else []


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
    """The names in the file, or numbers where it has none; with `spare` there may be more names than classes that occur."""
    entries = arrays.get(key, np.arange(count)).flatten().tolist()
    names = tuple(name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name) for name in entries)
    if len(names) < count or (len(names) > count and not spare):
        raise ValueError(f"expected {count} {key} in {path}, got {len(names)}; name each once, or none")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"expected different {key} in {path}, got {twice[0]!r} twice; name each once, or none")
    return names
