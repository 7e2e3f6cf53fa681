"""Codes in a file of the user's own: a NumPy array, alone or by the name z or w, or tensors of safetensors.

`projected_w.npz`, which the projector of StyleGAN2 and StyleGAN3 writes, has styles of W+ by the name w, `(1, layers, d)`.
They are codes `(1, layers * d)`, as the space W+ of `latentry.generators.style` takes them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentry.array_files import read_npy, read_npz
from latentry.paths import user_path
from latentry.storage import read_tensors

__all__ = ["load_code_file"]

_NAMES = ("z", "w")
"""Codes, or styles: the first that is there."""


def load_code_file(path: str | Path) -> Float[Tensor, "n d"]:
    """Codes from a .npy file, or from an .npz or .safetensors file: its array z or w, or the only one of an .npz file.

    Codes of another shape, such as styles `(n, layers, d)`, are flattened to one row each.

    Args:
        path: The file. Numbers of NumPy's files become float32, as generators compute.

    Raises:
        ValueError: There is no such file, or it holds no matrix of real numbers; the message names it.

    Example:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/codes.npy", np.zeros((5, 3)))
        ...     load_code_file(f"{folder}/codes.npy").shape
        torch.Size([5, 3])
    """
    file = user_path(str(path))
    if not file.is_file():
        raise ValueError(f"expected a file of codes at {file}, found none; check its name")
    z = _array(file)
    if z.ndim < 2 or not z.is_floating_point() or z.numel() == 0:
        got = f"{z.dtype} of shape {tuple(z.shape)}"
        raise ValueError(f"expected codes of shape (n, d), n >= 1, in {file}, as real numbers, got {got}")
    return z.flatten(1)


def _array(file: Path) -> Tensor:
    if file.suffix == ".npy":
        return _tensor(read_npy(file), file)
    arrays: Mapping[str, Any] = read_npz(file) if file.suffix == ".npz" else read_tensors(file)
    name = next((name for name in _NAMES if name in arrays), None)
    if name is None and file.suffix == ".npz" and len(arrays) == 1:
        name = next(iter(arrays))
    if name is None:
        raise ValueError(f"expected codes named z or w in {file}, got {sorted(arrays)}; pass the file that `recover` wrote")
    return arrays[name] if isinstance(arrays[name], Tensor) else _tensor(arrays[name], file)


def _tensor(array: np.ndarray, file: Path) -> Tensor:
    if array.dtype.kind not in "iuf":
        raise ValueError(f"expected codes as real numbers in {file}, got {array.dtype}; save them as float32")
    return torch.from_numpy(array.astype(np.float32))
