"""Settings of a training run, whatever is trained."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from latentry.ranges import check_number, check_numbers

__all__ = ["BOOKKEEPING", "LoopSettings", "settings_identity"]

BOOKKEEPING = ("checkpoint_every", "checkpoint_seconds", "keep_checkpoints", "workers", "tensorboard")
"""Settings that no weight depends on."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how a training runs."""

    steps: int = 2000
    """Optimiser iterations of the whole run."""
    batch_size: int = 64
    """Items of one iteration, over all processes together."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Course of the learning rates over the run."""
    checkpoint_every: int = 500
    """Iterations between two checkpoints, previews and validations."""
    checkpoint_seconds: float = 60.0
    """Most seconds between two checkpoints: what a kill costs at most, and one iteration. Those between two of the above
    are for resuming alone: no record and no picture depends on them."""
    keep_checkpoints: int = 2
    """Checkpoints left on disk, two or more: if the newest is found broken, a run goes on from the one before."""
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision of the forward passes."""
    workers: int = 0
    """Processes that read data ahead, for data too large to hold."""
    tensorboard: bool = False
    """Write losses for TensorBoard too (extra `tensorboard`)."""

    def __post_init__(self) -> None:
        check_numbers(self)
        for name in ("steps", "batch_size", "checkpoint_every"):
            check_number(name, getattr(self, name), 1)
        check_number("keep_checkpoints", self.keep_checkpoints, 2)
        check_number("checkpoint_seconds", self.checkpoint_seconds, 0)
        check_number("workers", self.workers, 0)


def settings_identity(settings: LoopSettings, kind: type[LoopSettings]) -> dict[str, Any]:
    """The settings that decide the weights, as JSON: a run may resume with more steps or other bookkeeping.

    Args:
        settings: Of the run; more than those of its kind are left out.
        kind: Class of the settings that the training takes.
    """
    identity = {field.name: getattr(settings, field.name) for field in dataclasses.fields(kind)}
    passing = (*BOOKKEEPING, "steps") if settings.schedule == "constant" else BOOKKEEPING  # else the rate depends on it
    content: dict[str, Any] = json.loads(
        json.dumps({name: value for name, value in identity.items() if name not in passing}, default=dataclasses.asdict)
    )
    return content
