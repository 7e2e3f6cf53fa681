"""Resuming a run: what is saved, which checkpoint is loaded, and when it is refused."""

import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate.accelerator import Accelerator
from accelerate.utils.operations import broadcast
from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from latentry.storage import read_tensors, write_tensors
from latentry.training.checkpoints import (
    check_whole,
    optimizer_from_tensors,
    optimizer_to_tensors,
    random_state,
    read_checkpoint,
    restore_random_state,
    saved_checkpoints,
    write_checkpoint,
)

__all__ = ["Course", "Resumable", "is_due", "last_whole", "restore", "save"]


@runtime_checkable
class Resumable(Protocol):
    """What a checkpoint holds of a model."""

    networks: dict[str, nn.Module]
    averages: dict[str, AveragedModel]
    optimizers: dict[str, Optimizer]


@dataclass
class Course:
    """How far a run has come."""

    step: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    sums: dict[str, Tensor] = field(default_factory=dict)
    """Sum of each loss since the last means were taken."""
    summed_from: int = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=value.device)) + value.detach()

    def take_means(self) -> dict[str, float]:
        means = {name: value.item() / (self.step - self.summed_from) for name, value in self.sums.items()}
        self.sums, self.summed_from = {}, self.step
        for name, mean in means.items():
            self.losses.setdefault(name, []).append(mean)
        return means


def is_due(saved_at: float, seconds: float, accelerator: Accelerator) -> bool:
    """Whether it is time for a checkpoint; all processes go by the clock of the first."""
    due = time.monotonic() - saved_at >= seconds
    if accelerator.num_processes == 1 or seconds == math.inf:
        return due
    return bool(broadcast(torch.tensor(int(due), device=accelerator.device)).item())


def save(
    model: Resumable,
    rng: torch.Generator,
    path: Path,
    course: Course,
    observed: bool,
    identity: Mapping[str, Any],
    accelerator: Accelerator,
) -> None:
    write_tensors(path / f"random-{accelerator.process_index}.safetensors", random_state(rng))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        tensors, groups = {}, {}
        for kind, modules in (("network", model.networks), ("average", model.averages)):
            for name, module in modules.items():
                tensors.update({f"{kind}/{name}/{key}": value for key, value in module.state_dict().items()})
        for name, optimizer in model.optimizers.items():
            state, groups[name] = optimizer_to_tensors(optimizer)
            tensors.update({f"optimizer/{name}/{key}": value for key, value in state.items()})
        tensors.update({f"sum/{name}": value for name, value in course.sums.items()})
        content = {
            "step": course.step,
            "identity": dict(identity),
            "losses": course.losses,
            "optimizers": groups,
            "summed": [*course.sums],  # in their order, which a file of tensors does not keep
            "summed_from": course.summed_from,
            "observed": observed,
        }
        write_checkpoint(path, tensors, content, accelerator.num_processes)
    accelerator.wait_for_everyone()


def last_whole(checkpoints: Path, accelerator: Accelerator) -> Path | None:
    """The newest checkpoint that is as it was written, if there is any; broken ones are moved away, with a line each.

    Raises:
        ValueError: There are some, but all of them are broken.
    """
    broken: dict[Path, str] = {}
    whole = None
    for path in reversed(saved_checkpoints(checkpoints)):
        try:
            check_whole(path)
        except ValueError as error:
            broken[path] = str(error)
        else:
            whole = path
            break
    accelerator.wait_for_everyone()  # all have looked before anything moves
    if whole is None and broken:
        raise ValueError(
            f"expected a whole checkpoint in {checkpoints}, but {'; '.join(broken.values())}; remove that folder to begin "
            "anew"
        )
    if whole is not None and accelerator.is_main_process:
        for path, reason in broken.items():
            aside = path.with_name(f"broken-{path.name}")
            if aside.exists():
                shutil.rmtree(aside)
            path.rename(aside)
            Console(stderr=True, soft_wrap=True).print(
                f"{reason}: that checkpoint is broken, the run goes on from {whole.name}", markup=False, highlight=False
            )
    return whole


def restore(
    model: Resumable,
    rng: torch.Generator,
    path: Path,
    accelerator: Accelerator,
    identity: Mapping[str, Any],
    steps: int,
) -> tuple[Course, bool]:
    """How far the checkpoint is, and whether it was one to validate at."""
    tensors, content = read_checkpoint(path)
    processes = len(list(path.glob("random-*.safetensors")))
    try:
        step, theirs = content["step"], content["identity"]
        changed = sorted(name for name in {*theirs, *identity} if theirs.get(name) != identity.get(name))
        if changed:
            raise _OtherRunError(
                f"{path} belongs to a run with other settings ({', '.join(changed)}); restore them to go on, choose another "
                "folder, or remove this one to begin anew"
            )
        if processes != accelerator.num_processes:
            raise _OtherRunError(
                f"{path} was written by {processes} processes, this run has {accelerator.num_processes}; "
                "resume with as many as it was started with"
            )
        if step > steps:
            raise _OtherRunError(
                f"{path} has {step} steps behind it, more than the {steps} of the settings; set {step} steps or more to go "
                "on from there, or choose another folder"
            )
        _load(model, rng, tensors, content, read_tensors(path / f"random-{accelerator.process_index}.safetensors"))
        sums = {name: tensors[f"sum/{name}"].to(accelerator.device) for name in content["summed"]}
        return Course(step, content["losses"], sums, content["summed_from"]), bool(content["observed"])
    except _OtherRunError:
        raise
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not fit this training ({error}); it may be of another version: choose another folder, or "
            "remove this one to begin anew"
        ) from None


class _OtherRunError(ValueError):
    pass


def _load(
    model: Resumable,
    rng: torch.Generator,
    tensors: Mapping[str, Tensor],
    content: Mapping[str, Any],
    random_states: Mapping[str, Tensor],
) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    for kind, modules in (("network", model.networks), ("average", model.averages)):
        for name, module in modules.items():
            module.load_state_dict(part(f"{kind}/{name}/"))
    for name, optimizer in model.optimizers.items():
        optimizer_from_tensors(optimizer, part(f"optimizer/{name}/"), content["optimizers"][name])
    restore_random_state(rng, random_states)
