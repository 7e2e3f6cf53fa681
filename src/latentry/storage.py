"""Named tensors and JSON on disk. Whatever is written appears whole or not at all: temporary name first, then rename."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

__all__ = [
    "atomic_path",
    "fingerprint",
    "read_json",
    "read_metadata",
    "read_tensors",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
]

_PLAIN_LIST = re.compile(r"\[\n\s*([^\[\]{}]*[^\[\]{}\s])\s*\]")
"""An indented list of plain values. No string of JSON holds a line break, so that none is taken for one."""
_BREAK = re.compile(r"\n\s*")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well, and vanishes when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, each list of plain values on one line; NaN and infinity are refused, since they are
    not JSON."""
    indented = json.dumps(content, indent=2, allow_nan=False)
    write_text(path, _PLAIN_LIST.sub(lambda found: f"[{_BREAK.sub(' ', found[1])}]", indented) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: The file is missing or no JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"expected a JSON file at {path}, found none; check the folder's name") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); it may be cut short, write or copy it again") from None


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, with an optional map of strings; tensors that share memory are written apart."""
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(contiguous, temporary, metadata=dict(metadata or {}))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file, onto the CPU.

    Raises:
        ValueError: The file is missing, cut short or of another format; the message names it.
    """
    with _naming(path):
        return safetensors.torch.load_file(path)


def read_metadata(path: str | Path) -> dict[str, str]:
    """The map of strings that `write_tensors` put beside the tensors; these are not read.

    Raises:
        ValueError: The file is missing, cut short or of another format; the message names it.
    """
    with _naming(path), safetensors.safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """What goes wrong with a safetensors file in the block becomes one error that names it."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"expected weights at {path}, found none; check the folder, or train and save again") from None
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); copy or save it again") from None


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, as 16 hexadecimal digits; equal only for equal tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
