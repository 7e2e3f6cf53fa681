"""Real numeric arrays of a MATLAB file of level 5 (.mat, `save -v6` and `-v7`), read with bounds.

A file is a header of 128 bytes and a row of *elements*: a tag with a type and a length, and so many bytes, padded to eight;
up to four bytes stand in the tag itself. An array is an element of elements: flags, dimensions, a name, and its numbers in
any numeric type that holds them. An element may be compressed. scipy's `loadmat` trusts lengths and types, and a single
changed byte can end the process; here every length is compared with what is left, and other things than arrays of real
numbers are passed over. Tables are small: what a compressed element may grow to has a limit.

Reference: The MathWorks, "MAT-File Format", level 5.
"""

import math
import struct
import zlib
from pathlib import Path

import numpy as np

from latentry.array_files import naming

__all__ = ["read_mat"]

_COMPRESSED, _MATRIX = 15, 14
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of stored numbers."""
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Classes of numeric arrays; others are cells, structures, objects, words, sparse matrices and functions."""
_COMPLEX = 0x800


def read_mat(path: str | Path, *, most: int) -> dict[str, np.ndarray]:
    """The arrays of real numbers in a MATLAB file of level 5, by name.

    Args:
        path: The file.
        most: Bytes that an array, packed or not, may take.

    Raises:
        ValueError: The file is missing, broken or of another level, or an array is larger.

    Example:
        >>> import tempfile
        >>> from scipy.io import savemat
        >>> file = Path(tempfile.mkdtemp()) / "table.mat"
        >>> savemat(file, {"pdf": [1.0, 2.0]})
        >>> read_mat(file, most=1000)["pdf"]
        array([[1., 2.]])
    """
    with naming(path, ".mat"):
        size = Path(path).stat().st_size
        if size > 8 * most:
            raise ValueError(f"expected a file of at most {8 * most} bytes for a table, got {size}")
        content = Path(path).read_bytes()
        order = _byte_order(content)
        arrays: dict[str, np.ndarray] = {}
        at = 128
        while at + 8 <= len(content):
            kind, body, at = _element(content, at, order)
            if kind == _COMPRESSED:
                kind, body = _unpacked(body, order, most)
            if kind == _MATRIX:
                arrays.update(_array(body, order, most))
        return arrays


def _byte_order(content: bytes) -> str:
    if content[:4] == b"\x89HDF" or content[512:516] == b"\x89HDF":
        raise ValueError("it is one of MATLAB 7.3, which is HDF5; save it with -v7, or the vector as .npy")
    marks = {b"IM": "<", b"MI": ">"}
    order = marks.get(content[126:128])
    if order is None:
        raise ValueError("it is none of level 5; save it with -v7, or the vector as .npy")
    (version,) = struct.unpack(f"{order}H", content[124:126])
    if version != 0x100:
        raise ValueError(f"it is of version {version:#x}, not of level 5; save it with -v7, or the vector as .npy")
    return order


def _element(content: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Type and bytes of the element at a place, and where the next one begins."""
    kind, length = struct.unpack_from(f"{order}II", content, at)
    if kind >> 16:  # a small one: its length and its type share four bytes, its content has the other four
        kind, length, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if length > 4:
            raise ValueError(f"expected at most 4 bytes within a tag, got {length}")
    else:
        start = at + 8
        end = start + length + (0 if kind == _COMPRESSED else -length % 8)
    if start + length > len(content):
        raise ValueError(f"expected an element of {length} bytes at byte {at}, got {len(content) - start}: it is cut short")
    return kind, content[start : start + length], end


def _unpacked(packed: bytes, order: str, most: int) -> tuple[int, bytes]:
    """The one element inside a compressed one."""
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, most + 4096)  # an array's flags, dimensions and name beside its numbers
    if not unpacking.eof:
        raise ValueError(f"expected a whole compressed array within {most} bytes, got one that is longer or cut short")
    kind, body, _ = _element(content, 0, order)
    return kind, body


def _array(body: bytes, order: str, most: int) -> dict[str, np.ndarray]:
    """The array by its name; nothing for one of another kind."""
    _, flags, at = _element(body, 0, order)
    if len(flags) < 8:
        raise ValueError(f"expected 8 bytes of flags, got {len(flags)}")
    (word,) = struct.unpack_from(f"{order}I", flags)
    dtype = _CLASSES.get(word & 0xFF)
    if dtype is None or word & _COMPLEX:
        return {}
    dimensions_kind, raw, at = _element(body, at, order)
    dimensions = _numbers(dimensions_kind, raw, order).tolist()
    _, name, at = _element(body, at, order)
    if not 2 <= len(dimensions) <= 32 or min(dimensions) < 0 or math.prod(dimensions) * np.dtype(dtype).itemsize > most:
        raise ValueError(f"expected an array within {most} bytes, got dimensions {dimensions}")
    kind, raw, _ = _element(body, at, order)
    values = _numbers(kind, raw, order)
    if len(values) != math.prod(dimensions):
        raise ValueError(f"expected {math.prod(dimensions)} numbers for dimensions {dimensions}, got {len(values)}")
    return {name.decode("latin-1"): values.astype(dtype).reshape(dimensions, order="F")}


def _numbers(kind: int, raw: bytes, order: str) -> np.ndarray:
    if kind not in _NUMBERS:
        raise ValueError(f"expected numbers, got an element of type {kind}")
    return np.frombuffer(raw, np.dtype(order + _NUMBERS[kind]))
