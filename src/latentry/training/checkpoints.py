"""The whole state of a training as named tensors and JSON, so that a killed run goes on as if it had not been.

A checkpoint is a folder `step-00001500` with `state.safetensors` (weights, averages, optimisers), one
`random-RANK.safetensors` for each process and `state.json` (step, optimiser settings, run settings, losses so far). That
file is written last: a folder that has it is a whole checkpoint, any other is passed over.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from latentry.storage import read_json, read_tensors, write_json, write_tensors

__all__ = [
    "checkpoint_path",
    "laid_out_like",
    "optimizer_from_tensors",
    "optimizer_to_tensors",
    "prune_checkpoints",
    "random_state",
    "read_checkpoint",
    "restore_random_state",
    "saved_checkpoints",
    "write_checkpoint",
]


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def saved_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())


def prune_checkpoints(folder: Path, keep: int) -> None:
    for old in saved_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


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


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> None:
    """Write weights and JSON of a checkpoint; `state.json` comes last and makes the folder a checkpoint."""
    write_tensors(path / "state.safetensors", tensors)
    write_json(path / "state.json", dict(content))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return read_tensors(path / "state.safetensors"), read_json(path / "state.json")
