"""How long and how a training runs, whatever is trained."""

from dataclasses import dataclass
from typing import Literal

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
    keep_checkpoints: int = 2
    """Checkpoints left on disk; older ones go."""
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision of the forward passes."""
    workers: int = 0
    """Processes that read data ahead, for data too large to hold."""
    tensorboard: bool = False
    """Write losses for TensorBoard too (extra `tensorboard`)."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} >= 1, got {getattr(self, name)}")
        if self.workers < 0:
            raise ValueError(f"expected workers >= 0, got {self.workers}")
