"""Tables of masses on disk: .npy, .npz, .json, and the .mat of the published material of Singh et al. (2019)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentry.array_files import read_npy, read_npz
from latentry.paths import user_path
from latentry.priors.matlab_file import read_mat
from latentry.storage import read_json

__all__ = ["read_table"]

_MASS_NAMES = ("probs", "pdf", "p")
_MOST_BYTES = 2**23
"""Of a table on disk: a million masses."""


def read_table(path: str | Path) -> tuple[Float[Tensor, "n"], tuple[float, float] | None]:
    """Masses of a one-dimensional table on disk and, where the file names them, its ends.

    Read are .npy (the masses), .npz and .json (`probs`, and `low` and `high` if given), and MATLAB's .mat (its only vector,
    as in the published material of Singh et al., 2019). A table that does not sum to 1 is taken for a density and divided by
    its sum.

    Raises:
        ValueError: The file is missing, of another kind, or holds no single vector of finite masses >= 0.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "table.npy"
        >>> np.save(file, np.array([1.0, 2.0, 1.0]))
        >>> read_table(file)
        (tensor([0.2500, 0.5000, 0.2500], dtype=torch.float64), None)
    """
    path = user_path(path)
    if path.suffix not in _READERS:
        raise ValueError(f"expected a table as {', '.join(_READERS)}, got {path}; save it as one of these")
    if not path.is_file():
        raise ValueError(f"expected a table at {path}, found no such file; check the path")
    content = {name: _numbers(value) for name, value in _READERS[path.suffix](path).items()}
    probs = torch.from_numpy(np.array(_vector(content, path), dtype=np.float64))
    total = probs.sum()
    if not (probs.isfinite().all() and (probs >= 0).all() and 0 < total < math.inf):
        raise ValueError(f"expected finite masses >= 0 that are not all zero in {path}; clip or repair the table")
    ends = [content[name] for name in ("low", "high") if name in content]
    if any(end.size != 1 for end in ends):
        raise ValueError(f"expected one number each as low and high in {path}, got others; save the two ends of the table")
    return probs / total, ((ends[0].item(), ends[1].item()) if len(ends) == 2 else None)


def _numbers(value: Any) -> np.ndarray:
    """Real numbers as an array, without axes of length 1; an empty one for anything else."""
    try:
        found = np.squeeze(np.asarray(value))
    except (OverflowError, ValueError):  # lists of unequal lengths
        return np.empty((0, 0))
    return found.astype(np.float64) if found.dtype.kind in "iuf" else np.empty((0, 0))


def _vector(content: Mapping[str, np.ndarray], path: Path) -> np.ndarray:
    named = [name for name in _MASS_NAMES if name in content]
    vectors = {name: v for name, v in content.items() if v.ndim == 1 and v.size > 1}
    chosen = [name for name in named if name in vectors] or list(vectors)
    if len(chosen) != 1:
        raise ValueError(
            f"expected one vector of masses in {path}, found {len(chosen)} ({', '.join(chosen) or 'none'}); "
            "name the right one `probs`"
        )
    return vectors[chosen[0]]


def _read_npy(path: Path) -> Mapping[str, Any]:
    return {"probs": read_npy(path, most=_MOST_BYTES)}


def _read_npz(path: Path) -> Mapping[str, Any]:
    return read_npz(path, most=_MOST_BYTES)


def _read_json(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > 4 * _MOST_BYTES:
        raise ValueError(f"expected a table of at most {4 * _MOST_BYTES} bytes, got {path}; take fewer bins")
    content = read_json(path)
    content = content.get("arguments", content) if isinstance(content, dict) else {"probs": content}
    if not isinstance(content, dict):
        raise ValueError(f"expected a list of masses, or masses by name, in {path}, got {type(content).__name__}")
    return {name: value for name, value in content.items() if name in (*_MASS_NAMES, "low", "high")}


def _read_mat(path: Path) -> Mapping[str, Any]:
    return read_mat(path, most=_MOST_BYTES)


_READERS = {".npy": _read_npy, ".npz": _read_npz, ".json": _read_json, ".mat": _read_mat}
