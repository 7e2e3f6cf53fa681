"""Codes of the user's own come back from each kind of file, and what is none is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from latentry.data.code_files import load_code_file
from latentry.storage import write_tensors


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_codes_are_the_same_from_every_kind_of_file(dtype: str, tmp_path: Path) -> None:
    z = np.arange(12).reshape(4, 3).astype(dtype)
    np.save(tmp_path / "a.npy", z)
    np.savez(tmp_path / "b.npz", codes=z)
    np.savez_compressed(tmp_path / "c.npz", z=z, y=np.arange(4))
    write_tensors(tmp_path / "d.safetensors", {"z": torch.from_numpy(z).float(), "y": torch.arange(4)})
    for name in ("a.npy", "b.npz", "c.npz", "d.safetensors"):
        assert_close(load_code_file(tmp_path / name), torch.arange(12.0).reshape(4, 3))


def test_what_holds_no_codes_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones(3))
    np.save(tmp_path / "complex.npy", np.ones((2, 3), complex))
    np.savez(tmp_path / "two.npz", a=np.ones((2, 3)), b=np.ones((2, 3)))
    (tmp_path / "broken.npy").write_bytes(b"no array")
    write_tensors(tmp_path / "whole.safetensors", {"z": torch.ones(2, 3, dtype=torch.int64)})
    for name, message in (
        ("none.npy", "expected a file of codes at .*none.npy, found none"),
        ("flat.npy", r"expected codes of shape \(n, d\), n >= 1, in .*flat.npy"),
        ("complex.npy", "expected codes as real numbers in .*complex.npy, got complex128"),
        ("two.npz", r"expected codes named z or w in .*two.npz, got \['a', 'b'\]"),
        ("broken.npy", "is not a whole .npy file"),
        ("whole.safetensors", r"as real numbers, got torch.int64 of shape \(2, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            load_code_file(tmp_path / name)
