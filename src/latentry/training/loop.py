"""The training loop of all models.

A model is anything with networks, optimisers and a `step` that turns a batch into named losses; it hands losses to
`update({optimizer_name: loss})` and leaves backward passes, precision, processes, checkpoints and progress to the loop.

With several processes (`accelerate launch --multi_gpu`, on CPUs too) gradients are averaged over them after each backward
pass, by the same collective that DistributedDataParallel uses, rather than by its hooks: adversarial steps run a network
several times per backward pass and penalties differentiate twice, and hooks allow neither.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate.accelerator import Accelerator
from accelerate.utils.operations import broadcast
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from latentry.display.progress import Progress
from latentry.storage import locked_folder, remove_leftovers
from latentry.training.batches import BatchSource, ShuffledBatches, batch_loader
from latentry.training.checkpoints import (
    checkpoint_path,
    laid_out_like,
    prune_checkpoints,
    remove_torn,
    saved_checkpoints,
)
from latentry.training.resuming import Course, is_due, last_whole, restore, save
from latentry.training.settings import LoopSettings

__all__ = ["Trained", "TrainingDivergedError", "Trainable", "Update", "optimizer_update", "train"]

Update = Callable[[Mapping[str, Tensor]], None]
"""`update({optimizer_name: loss, ...})`: the gradients of all losses, then one step of each optimiser. Optimisers that are
given the same loss share its backward pass; each moves its own parameters alone."""


@runtime_checkable
class Trainable(Protocol):
    """What the loop trains."""

    networks: dict[str, nn.Module]
    """Everything with weights to train and to save."""
    averages: dict[str, AveragedModel]
    """Moving averages of some of the networks, by the same names; may be empty."""
    optimizers: dict[str, Optimizer]

    def step(self, batch: Any, rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One iteration on a batch; returns the losses to show, each a scalar."""


class TrainingDivergedError(ArithmeticError):
    """A loss or a weight became NaN or infinite; the message names the step, the last good checkpoint and what to try."""


@dataclass(frozen=True)
class Trained:
    """What `train` did."""

    steps: int
    """Iterations done, those before a resume included."""
    resumed_from: int
    """Iteration at which this call began; 0 for a fresh run."""
    losses: dict[str, list[float]]
    """Mean of each loss between two checkpoints."""
    checkpoint_every: int = 1
    """Iterations between two checkpoints."""

    @property
    def last_losses(self) -> dict[str, float]:
        """Mean of each loss before the last checkpoint."""
        return {name: values[-1] for name, values in self.losses.items() if values}

    @property
    def losses_by_step(self) -> dict[str, list[tuple[int, float]]]:
        """Iterations and means of each loss."""
        return {
            name: [(min((row + 1) * self.checkpoint_every, self.steps), value) for row, value in enumerate(values)]
            for name, values in self.losses.items()
            if values
        }


def train(
    model: Trainable,
    data: BatchSource,
    settings: LoopSettings,
    folder: Path,
    *,
    seed: int,
    accelerator: Accelerator,
    identity: Mapping[str, Any],
    at_checkpoint: Callable[[int], None] = lambda step: None,
    progress: Progress = True,
) -> Trained:
    """Train `model` for `settings.steps` iterations, from the last whole checkpoint under `folder` if there is one.

    A run that was killed and resumed ends with the weights of one that was not, on the CPU at an equal thread count: the
    order of the data is a function of seed and step, and every random state is in the checkpoint. No more is lost than what
    was done since the last one, `settings.checkpoint_seconds` at most. The folder is held against other runs meanwhile.

    Args:
        model: Networks, optimisers and the step; moved to the accelerator's device.
        data: Items to draw batches from.
        settings: Length, batch size, schedule, checkpoints.
        folder: Where `checkpoints/` (and `tensorboard/`) go.
        seed: Seed of order and noise.
        accelerator: Device, precision and processes.
        identity: What makes this run what it is, as JSON; a checkpoint of another identity is refused.
        at_checkpoint: Called every `settings.checkpoint_every` steps and at the end, after the checkpoint, on the main
            process with the step, to validate and draw pictures; again for the checkpoint that a run goes on from, since it
            may have been killed in between.
        progress: Called as `progress(done, total)` after each iteration; True for a bar with the losses on a terminal, False
            or None for silence.

    Raises:
        TrainingDivergedError: A loss or a weight became NaN or infinite.
        ValueError: The checkpoint belongs to a run of other settings, of more steps or of another number of processes, or is
            broken with none before it, another run is at work in the folder, or the data are fewer than one batch.
    """
    with ExitStack() as stack:
        checkpoints = folder / "checkpoints"
        if accelerator.is_main_process:
            stack.enter_context(locked_folder(checkpoints))
            remove_leftovers(checkpoints, ".")
            remove_torn(checkpoints)
        accelerator.wait_for_everyone()
        return _train(model, data, settings, checkpoints, stack, seed, accelerator, identity, at_checkpoint, progress)


def _train(
    model: Trainable,
    data: BatchSource,
    settings: LoopSettings,
    checkpoints: Path,
    stack: ExitStack,
    seed: int,
    accelerator: Accelerator,
    identity: Mapping[str, Any],
    at_checkpoint: Callable[[int], None],
    progress: Progress,
) -> Trained:
    """`train` in a folder of its own; the stack closes what it opens."""
    device = accelerator.device
    rng = torch.Generator(device).manual_seed(seed * 1_000_003 + accelerator.process_index)
    identity = json.loads(json.dumps(dict(identity)))  # as a checkpoint gives it back: tuples are lists
    for network in (*model.networks.values(), *model.averages.values()):
        network.to(device)

    if accelerator.num_processes > 1:
        torch.manual_seed(torch.initial_seed() + accelerator.process_index)  # dropout differs between processes
        for network in (*model.networks.values(), *model.averages.values()):
            for tensor in network.state_dict().values():
                tensor.copy_(broadcast(tensor))

    course = Course()
    found = last_whole(checkpoints, accelerator)
    if found is not None:
        course, observed = restore(model, rng, found, accelerator, identity, settings.steps)
        if observed:
            _observe(at_checkpoint, course.step, accelerator)
    start = course.step
    groups = [group for optimizer in model.optimizers.values() for group in optimizer.param_groups]
    for group in groups:
        group.setdefault("initial_lr", group["lr"])
    batches = ShuffledBatches(
        len(data), settings.batch_size, seed, start, accelerator.process_index, accelerator.num_processes
    )
    update = optimizer_update(model.optimizers, _over_processes(accelerator))
    bar = stack.enter_context(_bar(accelerator.is_main_process and progress is True))
    task = bar.add_task("training", total=settings.steps, completed=start, losses="")
    log = _tensorboard(checkpoints.parent, stack) if settings.tensorboard and accelerator.is_main_process else None
    loader: Iterator[Any] = iter(batch_loader(data, batches, settings.workers))
    saved_at = time.monotonic()

    for step in range(start + 1, settings.steps + 1):
        for group in groups:
            group["lr"] = group["initial_lr"] * _rate_factor(settings, step)
        for network in model.networks.values():
            network.train()
        try:
            with accelerator.autocast():
                losses = model.step(_to_device(next(loader), device), rng, update)
        except _NotFiniteError as error:
            raise TrainingDivergedError(_advice(str(error), step, saved_checkpoints(checkpoints))) from None
        for name, average in model.averages.items():
            average.update_parameters(model.networks[name])
        course.step = step
        course.add(losses)
        bar.update(task, advance=1)
        if callable(progress):
            progress(step, settings.steps)

        observed = step % settings.checkpoint_every == 0 or step == settings.steps
        if observed or is_due(saved_at, settings.checkpoint_seconds, accelerator):
            not_finite = [name for name, network in model.networks.items() if not _finite(network)]
            if not_finite:
                what = f"weights of {' and '.join(not_finite)} became NaN or infinite"
                raise TrainingDivergedError(_advice(what, step, saved_checkpoints(checkpoints)))
            if observed:
                means = course.take_means()
                for name, mean in means.items():
                    if log is not None:
                        log.add_scalar(f"loss/{name}", mean, step)
                bar.update(task, losses="  ".join(f"{name} {mean:.3f}" for name, mean in means.items()))
            save(model, rng, checkpoint_path(checkpoints, step), course, observed, identity, accelerator)
            if accelerator.is_main_process:
                prune_checkpoints(checkpoints, settings.keep_checkpoints)
            if observed:
                _observe(at_checkpoint, step, accelerator)
            saved_at = time.monotonic()
    return Trained(settings.steps, start, course.losses, settings.checkpoint_every)


class _NotFiniteError(ArithmeticError):
    pass


def optimizer_update(
    optimizers: Mapping[str, Optimizer], average: Callable[[list[Tensor]], None] = lambda gradients: None
) -> Update:
    """Backward passes into the parameters of the named optimisers alone, then their steps.

    Args:
        optimizers: By name.
        average: Called with the gradients of each optimiser, to average them over processes in place.
    """

    def update(losses: Mapping[str, Tensor]) -> None:
        for name, loss in losses.items():
            if not loss.isfinite():
                raise _NotFiniteError(f"the {name} loss became {loss.item()}")
        together: dict[int, list[str]] = {}
        for name, loss in losses.items():
            together.setdefault(id(loss), []).append(name)
        parameters = {name: _parameters(optimizers[name]) for name in losses}
        gradients: dict[str, list[Tensor | None]] = {}
        left = len(together)
        for names in together.values():
            left -= 1
            of_all = [parameter for name in names for parameter in parameters[name]]
            found = iter(torch.autograd.grad(losses[names[0]].float(), of_all, retain_graph=left > 0, allow_unused=True))
            gradients |= {name: [next(found) for _ in parameters[name]] for name in names}
        for name in losses:  # no weight moves before the last gradient is known
            average([gradient for gradient in gradients[name] if gradient is not None])
            for parameter, gradient in zip(parameters[name], gradients[name], strict=True):
                parameter.grad = None if gradient is None else laid_out_like(gradient, parameter)
            optimizers[name].step()

    return update


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _over_processes(accelerator: Accelerator) -> Callable[[list[Tensor]], None]:
    """Replaces gradients by their means over all processes."""

    def average(gradients: list[Tensor]) -> None:
        if accelerator.num_processes > 1:
            mean = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
            for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))

    return average


def _observe(at_checkpoint: Callable[[int], None], step: int, accelerator: Accelerator) -> None:
    """Validate and draw pictures on the main process; what they draw at random never changes the course of the training."""
    if accelerator.is_main_process:
        with torch.random.fork_rng([accelerator.device] if accelerator.device.type == "cuda" else []):
            at_checkpoint(step)


def _finite(network: nn.Module) -> bool:
    return all(bool(value.isfinite().all()) for value in network.state_dict().values())


def _rate_factor(settings: LoopSettings, step: int) -> float:
    """Learning rate of iteration `step` (1, 2, ...) as a share of the full one."""
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - 1) / settings.steps))


def _to_device(batch: Any, device: torch.device) -> Any:
    return tuple(part.to(device, non_blocking=True) for part in batch)


def _advice(what: str, step: int, checkpoints: list[Path]) -> str:
    last = f"the last good checkpoint is {checkpoints[-1]}" if checkpoints else "there is no checkpoint yet"
    return (
        f"{what} at step {step}; {last}. "
        "Try a lower learning rate, R1 or spectral norm for the discriminator, or precision 'no'"
    )


def _bar(visible: bool) -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
        console=Console(stderr=True),
        disable=not (visible and sys.stderr is not None and sys.stderr.isatty()),
    )


def _tensorboard(folder: Path, stack: ExitStack) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "expected the package tensorboard to write losses for it; pip install latentry[tensorboard]"
        ) from None
    return stack.enter_context(SummaryWriter(str(folder / "tensorboard")))
