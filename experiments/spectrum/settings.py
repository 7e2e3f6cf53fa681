"""What can be set of the experiment of this folder; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from experiments.framework.settings import ExperimentSettings

__all__ = ["SpectrumPart", "SpectrumSettings"]

SpectrumPart = Literal["bases", "operators", "denoising"]


@dataclass(frozen=True, kw_only=True)
class SpectrumSettings(ExperimentSettings):
    """Bases, operators and denoising of Toledo-Marin and Glazier (2023), beside their neighbours."""

    out: str = "runs/spectrum"
    """Folder for index.html, results.csv, results.json, pictures, one file for each cell, and the networks."""
    parts: tuple[SpectrumPart, ...] = ("bases", "operators", "denoising")
    """What is worked out."""
    data: tuple[str, ...] = ("digits", "fashion-mnist")
    """Data sets, by name, folder or .npz file."""
    generators: tuple[str, ...] = ("train", "train")
    """Generator for each: `train` for one of each seed, or a name or folder, in which {seed} stands for the seed."""
    guides: tuple[str, ...] = ("digits-guide", "train")
    """Classifier that methods may use, for each: a name, a folder, or `train` for one that is trained first."""
    classifiers: tuple[str, ...] = ("digits-evaluator", "fashion-evaluator")
    """An evaluation classifier for each, which scores every result and is no guide."""
    bases: tuple[str, ...] = ()
    """Rows of the table of bases; all of them by default, `loewdin` always."""
    operators: tuple[str, ...] = ()
    """Rows of the table of operators; all of them by default, `margin` always."""
    latent_dim: int = 100
    """Length of a code."""
    width: int = 24
    """Channels of the generator's last and the discriminator's first hidden layer."""
    gan_steps: int = 5000
    """Iterations of each training of a generator."""
    batch_size: int = 16
    """Images of one iteration."""
    learning_rate: float = 2e-3
    """Learning rate of both networks."""
    guide_steps: int = 2400
    """Iterations of the training of a guide."""
    per_label: int = 2000
    """Codes of the prior behind each label's mean."""
    inverse_steps: int = 2000
    """Iterations of the inverse that an encoder begins with."""
    encoder_steps: int = 2500
    """Iterations of the encoder of real images."""
    encoder_batch_size: int = 64
    """Pairs or images of one of them."""
    training_images: int = 60_000
    """Most training images of an encoder."""
    images: int = 1000
    """Held-out images that bases are held against."""
    codes: int = 2000
    """Fresh codes of the prior beside them."""
    moved: int = 12
    """Codes of each label that every operator moves to every other label; as many on validation."""
    corruptions: tuple[str, ...] = ("normal noise", "salt and pepper", "occlusion", "blur")
    """Kinds of corruption."""
    strengths: int = 3
    """Strengths of each, the strongest first."""
    denoiser_steps: int = 3000
    """Iterations of each denoising encoder, one for all corruptions."""
    samples: int = 20_000
    """Samples among which recovery looks for a start."""
    recovery_steps: int = 40
    """Steps of each recovery of a corrupted image."""
    denoised_validation: int = 100
    """Images that denoisers are tuned on."""
    denoised: int = 300
    """Held-out images that they are scored on."""
