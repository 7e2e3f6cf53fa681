"""NumPy's files (.npy, .npz), read safely: the size that a header declares is checked before memory is allocated.

`numpy.load` makes room for as much as a header declares before it looks for it, so that a file of a hundred bytes can ask
for all memory; a compressed archive can do so honestly. Here a header is searched for three entries of a fixed form, the
array must fit into the bytes that follow and into a limit, and nothing is unpickled.
"""

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

__all__ = ["MOST_BYTES", "naming", "read_npy", "read_npz"]

MOST_BYTES = 2**33
"""Bytes of all arrays of a file together, unless the caller sets less: 8 GiB."""

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
"""How the length of a header is written, for each version of the format."""
_LONGEST_HEADER, _PIECE = 10_000, 2**24
_DTYPE = re.compile(r"""['"]descr['"]: *['"]([<>|=]?[biufcSU][0-9]{1,9})['"]""", re.ASCII)
_FORTRAN = re.compile(r"""['"]fortran_order['"]: *(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]: *\(([0-9L, ]*)\)""")
_ERRORS = (
    OSError, EOFError, ArithmeticError, LookupError, MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@runtime_checkable
class _Readable(Protocol):
    """A file open for reading, or a member of an archive."""

    def read(self, count: int, /) -> bytes:
        """So many bytes, or fewer."""


def read_npy(path: str | Path, *, most: int = MOST_BYTES) -> np.ndarray:
    """The array of a .npy file.

    Args:
        path: The file.
        most: Bytes that the array may take.

    Raises:
        ValueError: The file is missing, broken or cut short, holds objects, or its array is larger.
    """
    with naming(path, ".npy"), Path(path).open("rb") as file:
        return _array(file, Path(path).stat().st_size, most)


def read_npz(path: str | Path, *, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name.

    Args:
        path: The file.
        most: Bytes that all arrays together may take.

    Raises:
        ValueError: The file is missing, broken or cut short, holds objects, or its arrays are larger.
    """
    arrays: dict[str, np.ndarray] = {}
    with naming(path, ".npz"), zipfile.ZipFile(path) as archive:
        left = most
        for member in archive.infolist():
            if member.is_dir() or not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                array = _array(file, member.file_size, left)
            arrays[member.filename.removesuffix(".npy")] = array
            left -= array.nbytes
    return arrays


@contextmanager
def naming(path: str | Path, kind: str) -> Iterator[None]:
    """What goes wrong with a file in the block becomes one error that names it."""
    try:
        if not Path(path).is_file():
            raise FileNotFoundError("there is no such file")
        yield
    except _ERRORS as error:
        what = str(error) or type(error).__name__
        raise ValueError(f"{path} is not a whole {kind} file ({what[:300]}); copy or save it again") from None


def _array(file: _Readable, size: int, most: int) -> np.ndarray:
    """The array in `size` bytes."""
    start = _exactly(file, 8)
    if bytes(start[:6]) != _MAGIC or start[6] not in _LENGTHS:
        raise ValueError(f"expected the first bytes of a NumPy array, got {bytes(start)!r}")
    form = _LENGTHS[start[6]]
    (length,) = struct.unpack(form, _exactly(file, struct.calcsize(form)))
    if length > _LONGEST_HEADER:
        raise ValueError(f"expected a header of at most {_LONGEST_HEADER} bytes, got {length}")
    header = _exactly(file, length).decode("utf-8")
    parts = [part.search(header) for part in (_DTYPE, _FORTRAN, _SHAPE)]
    if None in parts:
        raise ValueError("expected the header of an array of numbers or words, got another; objects are not read")
    kind, fortran, sizes = (part[1] for part in parts if part is not None)
    dtype = np.dtype(kind)
    shape = tuple(int(size.strip().removesuffix("L")) for size in sizes.split(",") if size.strip())  # L by Python 2
    needed, there = math.prod(shape) * dtype.itemsize, size - 8 - struct.calcsize(form) - length
    if needed > min(most, there) or len(shape) > 32:
        raise ValueError(f"expected an array within {min(most, there)} bytes, got a header for {needed} of shape {shape}")
    array = np.frombuffer(_exactly(file, needed), dtype)
    return array.reshape(shape, order="F" if fortran == "True" else "C")


def _exactly(file: _Readable, count: int) -> bytearray:
    """So many bytes, piece by piece: what a compressed file claims to hold is believed as it comes."""
    content = bytearray()
    while len(content) < count:
        piece = file.read(min(_PIECE, count - len(content)))
        if not piece:
            raise EOFError(f"expected {count} bytes, got {len(content)}")
        content += piece
    return content
