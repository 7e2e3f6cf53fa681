"""Settings of the trainings of encoders: defaults, types and help, typed once; no torch is imported here.

`fit_inverse` and `fit_encoder` take these classes, and the settings of the commands inherit them.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from latentry.training.settings import LoopSettings

__all__ = ["EncoderSettings", "InverseSettings", "Reconstruction"]

Reconstruction = Literal["l2", "l1", "hinge"]


@dataclass(frozen=True, kw_only=True)
class InverseSettings(LoopSettings):
    """How an encoder of a generator's data is trained (`fit_inverse`)."""

    steps: int = 4000
    """Optimiser iterations, each on fresh pairs of a code and its image."""
    batch_size: int = 64
    """Pairs of one iteration, two or more."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate over the run."""
    checkpoint_every: int = 250
    """Iterations between two checkpoints and validations."""
    width: int = 32
    """Channels of the encoder's first hidden layer."""
    learning_rate: float = 6e-3
    """Full learning rate of Adam, reached after 50 iterations."""
    noise: float = 0.0
    """Standard deviation of normal noise on the data that the encoder sees, in their units. 1/255 makes it fit for images in
    [-1, 1] that went through 8 bits; at 0 it also reads what rounding destroys."""

    def __post_init__(self) -> None:
        _check_encoder(self.batch_size, self.width, self.learning_rate)
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"expected a finite noise >= 0, got {self.noise}")
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class EncoderSettings(LoopSettings):
    """How an encoder of real data is trained (`fit_encoder`)."""

    steps: int = 2500
    """Optimiser iterations."""
    batch_size: int = 64
    """Data of one iteration, two or more."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate over the run."""
    checkpoint_every: int = 250
    """Iterations between two checkpoints and validations."""
    width: int = 32
    """Channels of the encoder's first hidden layer; a start brings its own."""
    learning_rate: float = 4e-3
    """Full learning rate of Adam, reached after 50 iterations."""
    class_weight: float = 0.5
    """Weight of the classifier's cross entropy."""
    score_weight: float = 0.5
    """Weight of the cross entropy of the scores, such as coefficients in a basis."""
    prior_weight: float = 0.02
    """Weight of the codes' divergence from the prior."""
    variational: bool = False
    """Whether each datum gets a posterior of its code; its mean is what the encoder then gives."""
    difference: Reconstruction = "l2"
    """Mean squared (l2) or mean absolute (l1) difference of elements, or the paper's hinge for data in [-1, 1]."""

    def __post_init__(self) -> None:
        _check_encoder(self.batch_size, self.width, self.learning_rate)
        weights = (self.class_weight, self.score_weight, self.prior_weight)
        if not all(0 <= weight < math.inf for weight in weights):
            raise ValueError(f"expected finite weights >= 0 of classifier, scores and prior, got {weights}")
        if self.difference not in get_args(Reconstruction):
            raise ValueError(f"expected one of {get_args(Reconstruction)} as difference, got {self.difference!r}")
        super().__post_init__()


def _check_encoder(batch_size: int, width: int, learning_rate: float) -> None:
    if batch_size < 2 or width < 1 or not 0 < learning_rate < math.inf:
        raise ValueError(
            f"expected batch_size >= 2, width >= 1 and a finite learning_rate > 0, got {batch_size}, {width} and "
            f"{learning_rate}"
        )
