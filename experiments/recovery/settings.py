"""What can be set of the experiment of this folder; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from experiments.framework.settings import ExperimentSettings

__all__ = ["RecoveryPart", "RecoverySettings"]

RecoveryPart = Literal["paper", "known-codes", "provenance"]


@dataclass(frozen=True, kw_only=True)
class RecoverySettings(ExperimentSettings):
    """The protocol of Cho (2020) under a fair grid, known codes against their cost, and provenance."""

    out: str = "runs/recovery"
    """Folder for index.html, results.json, one file for each cell, and the networks."""
    parts: tuple[RecoveryPart, ...] = ("paper", "known-codes", "provenance")
    """What is worked out."""
    data: str = "digits"
    """Data set of the paper's protocol, by name, folder or .npz file."""
    classifier: str = "digits-evaluator"
    """What reads labels from reconstructions: a shipped classifier by name, or the folder of your own."""
    priors: tuple[Literal["normal", "uniform", "half-uniform-half-normal"], ...] = (
        "normal",
        "uniform",
        "half-uniform-half-normal",
    )
    """Priors of the paper's protocol."""
    methods: tuple[str, ...] = ()
    """Rows of the tables; all of them by default."""
    network: Literal["dcgan", "cho2020"] = "dcgan"
    """Kind of network; the second is the paper's own, for a GPU."""
    latent_dim: int = 256
    """Length of a code."""
    width: int = 16
    """Channels of the generator's last (of the paper's: least) and the discriminator's first hidden layer."""
    gan_steps: int = 8000
    """Iterations of each training."""
    batch_size: int = 16
    """Images of one iteration."""
    learning_rate: float = 1e-3
    """Learning rate of both networks."""
    r1: float = 0.5
    """Weight of the R1 gradient penalty."""
    learning_rates: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    """Of Adam in the grid."""
    weights: tuple[float, ...] = (0.01, 0.1, 1.0)
    """Of regularizers in the grid."""
    recovery_steps: int = 200
    """Steps of Adam."""
    restarts: int = 4
    """Starts of Adam for each image."""
    damped_steps: int = 20
    """Iterations of Levenberg-Marquardt, from one start."""
    validation: int = 32
    """Images that settings are chosen on."""
    held_out: int = 256
    """Images of the result."""
    known: int = 32
    """The generator's own samples beside them."""
    damped_held_out: int = 64
    """Images of the result for Levenberg-Marquardt, where each costs more."""
    damped_known: int = 32
    """Own samples for it."""
    generators: tuple[str, ...] = ("digits-generator", "painted-generator")
    """Generators whose known codes are recovered: shipped ones by name, or folders of your own."""
    generator_data: tuple[str, ...] = ("digits", "painted-digits")
    """Data set that each was trained on."""
    codes: int = 500
    """Known codes of each, for Levenberg-Marquardt and float images."""
    codes_beside: int = 50
    """Known codes for Adam, and for images of 8 bits."""
    chunk: int = 25
    """Codes of one cell."""
    code_steps: int = 40
    """Iterations of Levenberg-Marquardt."""
    code_adam_steps: int = 800
    """Steps of Adam, at its own best settings."""
    code_starts: int = 6
    """Most starts of Levenberg-Marquardt."""
    code_adam_starts: int = 4
    """Starts of Adam; one from a learned start."""
    inverse_steps: int = 4000
    """Iterations of the training of a learned start."""
    inverse_batch_size: int = 64
    """Pairs of one of them."""
    inverse_width: int = 32
    """Channels of the encoder's first hidden layer."""
    provenance_images: int = 48
    """Images of each kind that are held against each other."""
    provenance_steps: int = 20
    """Iterations of Levenberg-Marquardt on each of them."""
    calibration: int = 99
    """Own samples beside them that give p-values."""
