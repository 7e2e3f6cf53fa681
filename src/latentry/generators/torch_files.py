"""Files that `torch` wrote: TorchScript, `torch.export` archives, and what is neither, told by what lies in them."""

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentry.generators.found import Found, first_line

__all__ = ["from_torch_file", "is_torch_file"]

_PICKLES = (".pkl", ".pickle", ".joblib", ".pth", ".pt", ".ts", ".bin", ".ckpt", ".th", ".tar")


def is_torch_file(path: Path) -> bool:
    """Whether a file is one of torch, or a pickle, by its suffix."""
    return path.suffix in (*_PICKLES, ".pt2")


def from_torch_file(path: Path) -> Found:
    """The generator in a TorchScript file or an archive of `torch.export`.

    Raises:
        ValueError: The file is broken, holds weights alone, was exported for a fixed number of codes, or is a pickle.
    """
    names = _members(path)
    if any(name.endswith("/constants.pkl") for name in names):
        return Found(_script(path), (path.resolve(),), parts=(path.resolve(),))
    if any(name.endswith("/archive_format") for name in names):
        return _exported(path, names)
    if path.suffix == ".pt2":
        raise ValueError(
            f"expected an archive of torch.export in {path}, got a file that is none; save it with torch.export.save"
        )
    raise ValueError(_of_a_pickle(path))


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return []


def _script(path: Path) -> nn.Module:
    try:
        with _quiet():
            module: nn.Module = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        raise ValueError(f"expected TorchScript in {path}, got {first_line(error)}; save it again") from None
    return module


def _exported(path: Path, names: list[str]) -> Found:
    """The module of an archive; torch reads it, after a look that no part of it is a pickle that may run code."""
    _check_unpickled(path, names)
    try:
        with _quiet():
            program = torch.export.load(path)
            module = program.module()
    except Exception as error:  # torch has no error of its own for it
        raise ValueError(
            f"expected an archive of torch.export in {path}, got one that this torch {torch.__version__} does not read "
            f"({first_line(error)}); export it again"
        ) from None
    return Found(module, (path.resolve(),), code_shape=_input_shape(program, path), parts=(path.resolve(),))


def _input_shape(program: Any, path: Path) -> tuple[int, ...] | None:
    """Shape of one code after the program's input; None where it is open."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise ValueError(
            f"expected a program of one input, codes, in {path}, got one of {len(names)} ({', '.join(map(str, names))}); "
            "export a module whose forward takes codes alone"
        )
    node = next(node for node in program.graph.nodes if node.name == names[0])
    sizes = [size if isinstance(size, int) else None for size in node.meta["val"].shape]
    if sizes and sizes[0] is not None:
        raise ValueError(
            f"expected a generator of any number of codes in {path}, got one that was exported for exactly {sizes[0]}; "
            "export it with dynamic_shapes=({0: torch.export.Dim('n')},)"
        )
    rest = [size for size in sizes[1:] if size is not None]
    return tuple(rest) if rest and len(rest) == len(sizes) - 1 else None


def _check_unpickled(path: Path, names: list[str]) -> None:
    """Make sure that torch will unpickle nothing but tensors of this archive."""
    with zipfile.ZipFile(path) as archive:
        for name in names:
            place = name.partition("/")[2]
            if place.startswith(("data/weights/", "data/constants/")) and place.endswith(".json"):
                entries = json.loads(archive.read(name)).get("config", {}).values()
                pickled = any(entry.get("use_pickle") for entry in entries)
            elif place.startswith("data/sample_inputs/"):
                pickled = not _is_of_tensors(archive.read(name))
            else:
                pickled = place.startswith(("data/aotinductor/", "data/constants/custom_obj", "data/constants/opaque_obj"))
                pickled |= place.startswith(("data/weights/", "data/constants/")) and place.endswith(".pt")
            if pickled:
                raise ValueError(
                    f"expected an archive of tensors and a graph in {path}, got {place}, which is pickled or compiled and "
                    "could run code; export the module with torch.export of this torch, without objects of its own"
                )


def _is_of_tensors(content: bytes) -> bool:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError):
        return not content
    return True


def _of_a_pickle(path: Path) -> str:
    if path.stat().st_size == 0:
        return f"expected a generator in {path}, got an empty file; save it again"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return (
            f"expected a generator in {path}, got a pickle, which can run code and is not opened; if you trust it, "
            f"`latentry convert {path} --allow_pickle --out {path.with_suffix('.safetensors')}` takes its weights out, and "
            f"file.py:Class@{path.with_suffix('.safetensors')} puts them into your class"
        )
    held = f"weights alone ({len(content)} entries)" if isinstance(content, dict) else type(content).__name__
    return f"expected a generator in {path}, got {held}; name the class that they belong to: file.py:Class@{path}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of formats that it means to leave behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
