"""What can be set of the experiment of this folder; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from experiments.framework.settings import ExperimentSettings

__all__ = ["SemanticPart", "SemanticsSettings"]

SemanticPart = Literal["models", "ablations", "lengths", "stability", "tuning"]


@dataclass(frozen=True, kw_only=True)
class SemanticsSettings(ExperimentSettings):
    """Semantic models of Kim and Cho (2019): features placed before training, shown by samples, reversed.

    `held_out`, `latent_dims`, `ablation_seeds` and `gan_steps` have one value for each data set, in the order of `data`.
    `ours` trains against a discriminator as long as the GANs beside it and at their rate, `ours-short` for `gan_steps`.
    """

    out: str = "runs/semantics"
    """Folder for index.html, results.csv, results.json, pictures, one file for each cell, and the networks."""
    parts: tuple[SemanticPart, ...] = ("models", "ablations", "lengths", "stability", "tuning")
    """What is worked out; lengths, stability and tuning on the first data set alone."""
    data: tuple[str, ...] = ("stroke-digits", "runs/type-32.npz")
    """Data sets, by name, folder or .npz file; `python scripts/build_type.py` builds the letters."""
    held_out: tuple[str, ...] = ("thick=-1", "bold=-1")
    """Levels of features that no generator is trained on, NAME=LEVEL with commas between."""
    latent_dims: tuple[int, ...] = (32, 64)
    """Length of a code."""
    ablation_seeds: tuple[int, ...] = (3, 2)
    """How many seeds the ablations have; 0 for none."""
    models: tuple[str, ...] = ()
    """Rows of the table of models; all of them by default, `ours-short` always."""
    separation: float = 6.0
    """Distance of each feature from neutral, in standard deviations."""
    deviation: float = 0.8
    """Standard deviation of pixels about their reconstruction in stage 1."""
    width: int = 12
    """Channels of the encoders' first layer."""
    vae_steps: int = 2000
    """Iterations of stage 1."""
    gan_steps: tuple[int, ...] = (1500, 3000)
    """Iterations of stage 2, for each data set; `ours` and the GANs beside it have those of stage 1 as well."""
    batch_size: int = 64
    """Images of one iteration."""
    learning_rates: tuple[float, float] = (1e-3, 1e-3)
    """Learning rates of generator and discriminator in stage 2, for all but `ours` and the GANs."""
    gan_learning_rate: float = 2e-3
    """Learning rate of both networks of `ours` and of the GANs."""
    tried_learning_rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 4e-3)
    """Learning rates that are tried for the GANs, on validation images."""
    classifier_width: int = 24
    """Channels of the first layers of the evaluation classifiers."""
    classifier_steps: int = 1500
    """Iterations of the evaluation classifiers, which know all levels."""
    count: int = 5000
    """Samples of each model."""
    codes: int = 200
    """Codes that are followed along each feature."""
    lengths: tuple[int, ...] = (16, 64, 128)
    """Further lengths of codes of stage 1."""
    trials: int = 10
    """Short trainings of ours and of a GAN."""
    trial_steps: int = 600
    """Iterations of each stage of a short training."""
