"""What every `fit_...` function shares: a seed, a device, a folder for checkpoints, and the result."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

import torch
from accelerate.accelerator import Accelerator
from torch import nn

from latentry.display import Described
from latentry.display.progress import Progress
from latentry.interfaces import Prior
from latentry.paths import user_path
from latentry.priors import SavedPrior
from latentry.priors import files as prior_files
from latentry.storage import read_json, write_json
from latentry.training.batches import BatchSource
from latentry.training.loop import Trainable, Trained, train
from latentry.training.settings import LoopSettings

__all__ = [
    "Fitted",
    "Randomness",
    "TrainingRun",
    "device_of",
    "part_of",
    "prior_identity",
    "run_folder",
    "seed_of",
    "training_run",
]

Model = TypeVar("Model")
_SEED = "seed.json"
"""Beside the checkpoints: a run that goes on without a seed takes it from there."""
Randomness = torch.Generator | int | None
"""Where the seed of a training comes from: the seed itself, a generator that draws it, or torch's default generator."""


@dataclass(frozen=True, repr=False)
class Fitted(Described, Generic[Model]):
    """A trained model and how its training went."""

    model: Model
    """The model, in eval mode, on the device that it was trained on."""
    stages: Mapping[str, Trained]
    """Each stage of the training by name: iterations and losses."""
    reached: Mapping[str, float] = field(default_factory=dict)
    """What was measured on the way, by name."""
    networks: Mapping[str, nn.Module] = field(default_factory=dict)
    """Networks that taught the model and are no part of it, such as the `discriminator`, in eval mode."""

    @property
    def losses(self) -> dict[str, dict[str, float]]:
        """Mean of each loss since the last checkpoint but one, by stage."""
        return {stage: done.last_losses for stage, done in self.stages.items()}


@dataclass(frozen=True)
class TrainingRun:
    """Seed, device and folder of one call of a `fit_...` function."""

    seed: int
    folder: Path
    accelerator: Accelerator

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.accelerator.device

    def rng(self) -> torch.Generator:
        """A fresh source of randomness: what it is used for never changes the course of the training."""
        return torch.Generator(self.device).manual_seed(self.seed)

    def train(
        self,
        training: Trainable,
        data: BatchSource,
        settings: LoopSettings,
        *,
        identity: Mapping[str, Any],
        at_checkpoint: Callable[[int], None],
        progress: Progress,
        folder: str = ".",
    ) -> Trained:
        """The loop, from the last checkpoint below the folder if there is one."""
        if self.accelerator.is_main_process:
            write_json(self.folder / "checkpoints" / _SEED, self.seed)
        return train(
            training, data, settings, self.folder / folder, seed=self.seed, accelerator=self.accelerator,
            identity={**identity, "seed": self.seed}, at_checkpoint=at_checkpoint, progress=progress,
        )  # fmt: skip


@contextmanager
def training_run(
    settings: LoopSettings, device: torch.device | str, rng: Randomness, checkpoint: str | Path | None
) -> Iterator[TrainingRun]:
    """The surroundings of a training; torch's global source of randomness is left as it was.

    Args:
        settings: Of the training.
        device: Where to train; for a GPU the one that accelerate chooses.
        rng: Source of the seed; for None that of the run whose checkpoints are there, if there is one.
        checkpoint: Where to keep checkpoints; None for a folder that goes in the end.
    """
    cpu = torch.device(device).type == "cpu"
    with run_folder(checkpoint) as folder, ExitStack() as stack:
        known = folder / "checkpoints" / _SEED
        seed = seed_of(read_json(known) if rng is None and known.exists() else rng)
        stack.enter_context(torch.random.fork_rng())
        torch.manual_seed(seed)
        yield TrainingRun(seed, folder, Accelerator(cpu=cpu, mixed_precision=settings.precision))


def seed_of(rng: Randomness) -> int:
    """The seed of a training.

    Raises:
        ValueError: It comes from something else.
    """
    if isinstance(rng, int):
        return rng
    if not isinstance(rng, torch.Generator | None):
        raise ValueError(f"expected rng as a torch.Generator, a seed or None, got {type(rng).__name__}")
    return int(torch.randint(2**31, (), generator=rng, device=rng.device if rng is not None else None))


@contextmanager
def run_folder(checkpoint: str | Path | None) -> Iterator[Path]:
    """The folder of a run, or one that goes when the block ends."""
    if checkpoint is not None:
        yield user_path(checkpoint)
        return
    with TemporaryDirectory() as temporary:
        yield Path(temporary)


def part_of(progress: Progress, before: int, total: int) -> Progress:
    """The progress of one of several trainings, counted over all of them."""
    return (lambda done, _: progress(before + done, total)) if callable(progress) else progress


def device_of(data: BatchSource, device: torch.device | str | None) -> torch.device:
    """The device that is requested, else that of the data."""
    return torch.device(device) if device is not None else data.__getitems__([0])[0].device


def prior_identity(prior: Prior) -> str | None:
    """What tells a prior from another; None for one that no class of this package describes."""
    if not isinstance(prior, SavedPrior):
        return None
    return hashlib.sha256(json.dumps(prior_files.record(prior)).encode()).hexdigest()[:16]
