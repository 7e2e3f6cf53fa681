"""Checkpoints: the whole state of a training as named tensors and JSON, from which it continues exactly.

A checkpoint is a folder `step-00001500` with `state.safetensors` (weights, averages, optimisers), one
`random-RANK.safetensors` for each process and `state.json` (step, optimiser settings, run settings, losses so far, and the
SHA-256 of all of this). That file is written last: a folder without it was never finished. One whose files have changed
since, were it by a single bit, is no whole checkpoint either, and the one before it is taken.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from latentry.storage import file_hash, read_json, read_tensors, write_json, write_tensors

__all__ = [
    "check_whole",
    "checkpoint_path",
    "laid_out_like",
    "optimizer_from_tensors",
    "optimizer_to_tensors",
    "prune_checkpoints",
    "random_state",
    "read_checkpoint",
    "remove_torn",
    "restore_random_state",
    "saved_checkpoints",
    "write_checkpoint",
]


_CONTENT = "state.json"
_HASHES = "sha256"


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def saved_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / _CONTENT).is_file())


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Remove all but the newest of the finished checkpoints."""
    for old in saved_checkpoints(folder)[:-keep]:
        (old / _CONTENT).unlink()  # first: what is left, if this is as far as it comes, is no checkpoint any more
        shutil.rmtree(old)


def remove_torn(folder: Path) -> None:
    """Remove checkpoints that a killed run never finished, or had not yet removed."""
    for path in folder.glob("step-*"):
        if path.is_dir() and not path.is_symlink() and not (path / _CONTENT).exists():
            shutil.rmtree(path)


def optimizer_to_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The state of an optimizer as tensors named `index/key`, and its parameter groups as JSON holds them."""
    content = optimizer.state_dict()
    tensors = {
        f"{index}/{key}": torch.as_tensor(value)
        for index, values in content["state"].items()
        for key, value in values.items()
        if value is not None
    }
    return tensors, content["param_groups"]


def optimizer_from_tensors(optimizer: Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> None:
    """Put back what `optimizer_to_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if value.shape == parameter.shape:
                values[key] = laid_out_like(value, parameter)


def laid_out_like(values: Tensor, parameter: Tensor) -> Tensor:
    """Values in the memory format of a parameter, copied if need be: fused optimisers read both as they lie."""
    return values if values.stride() == parameter.stride() else torch.empty_like(parameter).copy_(values)


def random_state(rng: torch.Generator) -> dict[str, Tensor]:
    """States of `rng` and of torch's global generators."""
    states = {"rng": rng.get_state(), "global": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(rng: torch.Generator, states: Mapping[str, Tensor]) -> None:
    """Put back what `random_state` took."""
    rng.set_state(states["rng"])
    torch.set_rng_state(states["global"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any], processes: int = 1) -> None:
    """Write weights and JSON of a checkpoint; `state.json` comes last and makes the folder a checkpoint.

    Args:
        path: Its folder, where each process has written its random states.
        tensors: Weights, averages and optimisers.
        content: The rest, as JSON.
        processes: How many take part; random states of others, from an attempt of more processes, are removed.
    """
    write_tensors(path / "state.safetensors", tensors)
    own = {f"random-{rank}.safetensors" for rank in range(processes)}
    for stale in path.glob("random-*.safetensors"):
        if stale.name not in own:
            stale.unlink()
    files = {file.name: file_hash(file) for file in sorted(path.glob("*.safetensors"))}
    write_json(path / _CONTENT, {**content, _HASHES: {**files, _CONTENT: _hash(content)}})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_checkpoint` wrote.

    Raises:
        ValueError: A file is missing or of another format; the message names it.
    """
    content = read_json(path / _CONTENT)
    if not isinstance(content, dict):
        raise ValueError(f"expected a checkpoint in {path}, but {_CONTENT} holds {type(content).__name__}")
    return read_tensors(path / "state.safetensors"), {name: value for name, value in content.items() if name != _HASHES}


def check_whole(path: Path) -> None:
    """Make sure that the files of a checkpoint are those that were written.

    Raises:
        ValueError: One of them is missing or another one.
    """
    content = read_json(path / _CONTENT)
    hashes = content.pop(_HASHES, None) if isinstance(content, dict) else None
    if not isinstance(hashes, dict) or hashes.pop(_CONTENT, None) != _hash(content):
        raise ValueError(f"{path / _CONTENT} is not what was written")
    for name, known in hashes.items():
        if not (path / name).is_file() or file_hash(path / name) != known:
            raise ValueError(f"{path / name} is not what was written")


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
