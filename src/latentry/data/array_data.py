"""Data that are no pictures, from a file of the user's own: an array `(n, *data_shape)`, or a table with a datum a row."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentry.array_files import read_npy, read_npz
from latentry.paths import user_path
from latentry.storage import read_tensors

__all__ = ["load_array"]

_NAME = "x"
_KINDS = (".npy", ".npz", ".csv", ".safetensors")


def load_array(path: str | Path, shape: Sequence[int]) -> Float[Tensor, "n *s"]:
    """Data of a shape from a .npy, .npz, .csv or .safetensors file, in their own units.

    Args:
        path: The file. Several arrays need one named x. A table of numbers (.csv), with or without names of columns, has a
            datum a row; rows of other files may be flat, too.
        shape: Of one datum.

    Raises:
        ValueError: There is no such file, or it holds no real numbers, or data of another shape; the message names it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "data.csv").write_text("a,b\\n1,2\\n3,4\\n")
        ...     load_array(f"{folder}/data.csv", (2,))
        tensor([[1., 2.],
                [3., 4.]])
    """
    file = user_path(str(path))
    if not file.is_file() or file.suffix not in _KINDS:
        got = f"{file.suffix or 'no suffix'}" if file.is_file() else "no such file"
        raise ValueError(
            f"expected a file of data ({', '.join(_KINDS)}), as the generator makes no square images, got {got} at {file}; "
            "save an array with one row for each datum"
        )
    x = _array(file)
    wanted = ", ".join(map(str, shape))
    if (
        x.ndim == 0
        or len(x) == 0
        or x[0].numel() != torch.Size(shape).numel()
        or x.shape[1:] not in (shape, (x[0].numel(),))
    ):
        raise ValueError(
            f"expected data of shape (n, {wanted}) in {file}, as the generator makes them, got {tuple(x.shape)}; save them "
            "so"
        )
    if not x.isfinite().all():
        raise ValueError(f"expected finite numbers in {file}, got NaN or infinity; leave these rows out")
    return x.reshape(len(x), *shape)


def _array(file: Path) -> Tensor:
    if file.suffix == ".csv":
        return _table(file)
    if file.suffix == ".npy":
        return _tensor(read_npy(file), file)
    arrays = read_npz(file) if file.suffix == ".npz" else read_tensors(file)
    name = next(iter(arrays)) if len(arrays) == 1 else _NAME
    if name not in arrays:
        raise ValueError(
            f"expected data named {_NAME} in {file}, got {', '.join(sorted(arrays)) or 'nothing'}; name them so"
        )
    found = arrays[name]
    return _tensor(found.float().numpy() if isinstance(found, Tensor) and not found.is_complex() else found, file)


def _tensor(array: object, file: Path) -> Tensor:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        kind = getattr(array, "dtype", type(array).__name__)
        raise ValueError(f"expected data as real numbers in {file}, got {kind}; save them as float32")
    return torch.from_numpy(array.astype(np.float32))


def _table(file: Path) -> Tensor:
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [(number, row) for number, row in enumerate(csv.reader(lines), 1) if row]
    if rows and not _are_numbers(rows[0][1]):
        rows = rows[1:]
    for number, row in rows:
        if not _are_numbers(row) or len(row) != len(rows[0][1]):
            raise ValueError(
                f"expected {len(rows[0][1])} numbers in each line of {file}, got {', '.join(row)[:80]!r} in line {number}; "
                "correct it"
            )
    return torch.tensor([[float(cell) for cell in row] for _, row in rows])


def _are_numbers(cells: Sequence[str]) -> bool:
    try:
        [float(cell) for cell in cells]
    except ValueError:
        return False
    return True
