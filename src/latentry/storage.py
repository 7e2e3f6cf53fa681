"""Named tensors and JSON on disk, written atomically: under a temporary name first, then renamed.

`locked_folder` locks the folder of a run against other processes. Files that a killed run left half written have temporary
names, and `remove_leftovers` of the next run deletes them.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

__all__ = [
    "atomic_path",
    "file_hash",
    "fingerprint",
    "locked_folder",
    "read_json",
    "read_metadata",
    "read_tensors",
    "remove_leftovers",
    "set_aside",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
]

_PLAIN_LIST = re.compile(r"\[\n\s*([^\[\]{}]*[^\[\]{}\s])\s*\]")
"""An indented list of plain values. No string of JSON holds a line break, so that none is taken for one."""
_BREAK = re.compile(r"\n\s*")


_TEMPORARY = ".latentry-"
"""How names of files begin that are not whole yet, and of folders that are on their way out."""
_LOCK = ".latentry.lock"
_PATIENCE = 6.0
"""Seconds to wait for a lock: processes that read data ahead hold it for up to five after their run was killed."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
"""Errors of file systems without locks."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well, and vanishes when it does not.

    Raises:
        OSError: The disk is full, the folder read-only, or the like; the error names `path`.
    """
    path = Path(path)
    temporary = path.with_name(_TEMPORARY + secrets.token_hex(8) + path.suffix[:16])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is not None and Path(error.filename) != temporary:
            raise
        raise _named(error, path) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _named(error: OSError, path: Path) -> OSError:
    """The same error about this path."""
    return OSError(error.errno, error.strerror or str(error), str(path)) if error.errno else OSError(f"{error}: {path}")


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a folder against all other runs, on file systems that know locks; a crash lets go of it.

    The folder is created, with its parents, and removed again where nothing came into it.

    Raises:
        ValueError: Another run holds it.
    """
    from filelock import FileLock, Timeout

    created = [place for place in (folder, *folder.parents) if not place.exists()]
    lock = FileLock(folder / _LOCK, timeout=_PATIENCE, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"another run is at work in {folder}; wait until it ends, or choose another folder (--out)"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / _LOCK).unlink(missing_ok=True)  # while it is held: who has it open already sees that it is gone
            lock.release()
    finally:
        with suppress(OSError):
            for place in created:
                place.rmdir()  # fails where anything is in it, and is over then


def remove_leftovers(folder: Path, *parts: str) -> None:
    """Remove what killed runs left half written in a folder, and anywhere below these parts of it."""
    found = {*folder.glob(f"{_TEMPORARY}*")}
    for part in parts:
        found |= {*(folder / part).rglob(f"{_TEMPORARY}*")} if (folder / part).is_dir() else set()
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def set_aside(folder: Path, parts: Iterable[str]) -> Iterator[None]:
    """Take these files and folders out of a folder, to be replaced in the block.

    They are removed when it ends, and put back where it failed before it wrote any of them anew. If one cannot be moved, all
    stay.
    """
    parts = [*parts]
    aside = folder / (_TEMPORARY + secrets.token_hex(8))
    aside.mkdir()
    try:
        for part in parts:
            if os.path.lexists(folder / part):
                (folder / part).rename(aside / part)
        yield
    except BaseException:
        moved = [part.name for part in aside.iterdir()]
        if not any(os.path.lexists(folder / part) for part in moved):
            for part in moved:
                (aside / part).rename(folder / part)
        raise
    finally:
        shutil.rmtree(aside)


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
    except (IsADirectoryError, NotADirectoryError):
        raise ValueError(f"expected a JSON file at {path}, found none but a folder of that name; check it") from None
    except RecursionError:
        raise ValueError(f"{path} is not valid JSON (nested too deeply); write or copy it again") from None
    except ValueError as error:  # no JSON, not UTF-8, or numbers of thousands of digits
        raise ValueError(f"{path} is not valid JSON ({error}); it may be cut short, write or copy it again") from None


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, with an optional map of strings; tensors that share memory are written apart.

    Equal content makes equal files: the map is written in the order of its names.
    """
    content = safetensors.torch.save(_apart(tensors))
    size = int.from_bytes(content[:8], "little")
    # safetensors itself would write the map in any order, and break the file where there are no tensors
    header = {"__metadata__": dict(sorted((metadata or {}).items())), **json.loads(content[8 : 8 + size])}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # tensors begin at a multiple of eight bytes
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(memoryview(content)[8 + size :])


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, row by row, no two of them in one piece of memory."""
    apart, seen = {}, set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        memory = own.untyped_storage().data_ptr()
        apart[name] = own.clone() if memory in seen else own
        seen.add(memory)
    return apart


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
        return dict(sorted((file.metadata() or {}).items()))


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """What goes wrong with a safetensors file in the block becomes one error that names it."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"expected weights at {path}, found none; check the folder, or train and save again") from None
    except OSError as error:
        if Path(path).is_file():
            raise
        raise ValueError(f"expected a file of weights at {path}, found none ({error}); check its name") from None
    except (safetensors.SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); copy or save it again") from None


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, as 16 hexadecimal digits; equal only for equal tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
