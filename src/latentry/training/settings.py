"""How long and how a training runs, whatever is trained."""

from dataclasses import dataclass
from typing import Literal

from latentry.ranges import check_number, check_numbers

__all__ = ["LoopSettings"]


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
