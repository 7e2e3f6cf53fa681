"""IDX, the format in which MNIST and Fashion-MNIST are published, gzipped or not.

A file is two zero bytes, the type (8: unsigned bytes), the number of dimensions, each dimension as a big-endian 32-bit
integer, and the values. Images have three dimensions, labels one. The files of a folder are named `train-images-idx3-ubyte`,
`train-labels-idx1-ubyte` and, for the held-out split, `t10k-...`; `.idx3` for `-idx3` is understood too.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from latentry.data.assembly import in_memory
from latentry.data.images import LabelledImages
from latentry.data.labels import Labels
from latentry.data.picture_files import is_hidden, left_out
from latentry.memory import check_memory
from latentry.paths import folder_name

__all__ = ["is_idx_folder", "load_idx", "read_idx"]

UNSIGNED_BYTES = 8
PIECE = 2**24
DEFLATE = 1032
"""Most bytes that one byte of a gzip file may stand for."""
GZIP = b"\x1f\x8b"
DIMENSIONS = {"images": 3, "labels": 1}
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds images in IDX."""
    return any(folder.glob("*idx3-ubyte*"))


def load_idx(folder: Path, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from a folder of IDX files; classes have Fashion-MNIST's names if the folder's name says `fashion`.

    Raises:
        ValueError: A file is missing, broken or no IDX, or there are not as many labels as images.
    """
    held_out = any(_find(folder, "t10k", kind) for kind in DIMENSIONS)
    names = ("train", "t10k") if held_out else ("train",)
    parts = [_read_part(folder, name) for name in names]
    sizes = [tuple(pixels.shape[1:]) for pixels, _ in parts]
    if len(set(sizes)) > 1:
        raise ValueError(f"expected train and t10k images of one size in {folder}, got {sizes}; keep them in two folders")
    pixels, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    items = torch.split_with_sizes(torch.arange(len(y)), [len(part_y) for _, part_y in parts])
    published = dict(zip(("train", "held-out"), items, strict=False))
    labels = Labels(y, _class_names(folder, y), published=published)
    read = [_find(folder, name, kind) for name in names for kind in DIMENSIONS]
    rest = [path for path in sorted(folder.iterdir()) if path not in read and not is_hidden(path)]
    notes = left_out(rest, "that are none of the files of these data")
    return in_memory(folder_name(folder), pixels.unsqueeze(1), labels, image_size=image_size, channels=channels, notes=notes)


def read_idx(path: Path, dimensions: int) -> UInt8[Tensor, "..."]:
    """The array of unsigned bytes in an IDX file.

    Raises:
        ValueError: The file is cut short, or is no IDX file of bytes with so many dimensions.
    """
    magic, start = bytes([0, 0, UNSIGNED_BYTES, dimensions]), 4 + 4 * dimensions
    with _opened(path) as file:
        head = file.read(start)
        if head[:4] != magic:
            raise ValueError(
                f"expected an IDX file of bytes with {dimensions} dimension(s) in {path}, which begins with {magic.hex()}, "
                f"got {head[:4].hex() or 'nothing'}; download it again, or give it the name of what it holds"
            )
        shape = struct.unpack(f">{dimensions}I", head[4:].ljust(start - 4, b"\0"))
        if 0 in shape:
            raise ValueError(f"expected at least one item in {path}, got shape {shape}; download it again")
        size = math.prod(shape)
        check_memory(2 * min(size, DEFLATE * path.stat().st_size), f"the shape {shape} of {path}", "take fewer images")
        content = bytearray()
        while len(content) <= size and (piece := file.read(min(PIECE, size + 1 - len(content)))):
            content += piece
    if len(content) != size:
        got = f"{start + len(content)}" if len(content) < size else "more"
        raise ValueError(f"expected {start + size} bytes in {path} for shape {shape}, got {got}; download it again")
    return torch.frombuffer(content, dtype=torch.uint8).reshape(shape)


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader | gzip.GzipFile]:
    """The content of a file, unpacked as it is read if it is gzipped."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP
            file.seek(0)
            if not zipped:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as content:
                yield content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"expected a whole gzip file in {path}, got {error}; download it again") from None
    except OSError as error:
        raise ValueError(f"expected a file that can be read at {path}, got {error.strerror}; mend or move it") from None


def _find(folder: Path, part: str, kind: str) -> Path | None:
    names = [f"{part}-{kind}{dash}idx{DIMENSIONS[kind]}-ubyte{suffix}" for dash in "-." for suffix in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _required(folder: Path, part: str, kind: str) -> Path:
    path = _find(folder, part, kind)
    if path is None:
        raise ValueError(f"expected {part}-{kind}-idx{DIMENSIONS[kind]}-ubyte in {folder}, found none; copy or rename it")
    return path


def _read_part(folder: Path, part: str) -> tuple[UInt8[Tensor, "n h w"], Int[Tensor, "n"]]:
    image_path, label_path = _required(folder, part, "images"), _required(folder, part, "labels")
    pixels, y = read_idx(image_path, 3), read_idx(label_path, 1)
    if len(pixels) != len(y):
        raise ValueError(
            f"expected one label per image, got {len(pixels)} images in {image_path} and {len(y)} labels in {label_path}; "
            "download both again"
        )
    return pixels, y.long()


def _class_names(folder: Path, y: Int[Tensor, "n"]) -> tuple[str, ...]:
    count = int(y.max()) + 1
    is_fashion = "fashion" in folder_name(folder).lower() and count <= len(FASHION)
    return FASHION if is_fashion else tuple(map(str, range(count)))
