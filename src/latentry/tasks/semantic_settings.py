"""What `latentry train semantic` can be told; no torch is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from latentry.tasks.settings import CommonSettings
from latentry.training.settings import LoopSettings

__all__ = ["SemanticGANSettings", "SemanticVAESettings", "TrainSemanticSettings"]


@dataclass(frozen=True, kw_only=True)
class SemanticVAESettings:
    """Stage 1: encoder and decoder."""

    deviation: float = 0.8
    """Standard deviation of pixels about their reconstruction: the smaller, the more is encoded of each image."""
    warm_up: int = 500
    """Iterations over which the divergence gains its full weight."""
    lr: float = 1e-3
    """Learning rate."""
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(schedule="cosine"))
    """Length and course of the stage."""


@dataclass(frozen=True, kw_only=True)
class SemanticGANSettings:
    """Stage 2: the decoder as a generator against a discriminator."""

    fresh: bool = False
    """Whether it begins with a fresh generator in place of the decoder."""
    discriminator_sees: Literal["levels", "images"] = "levels"
    """Images with the levels of their features, or images alone."""
    consistency: Literal["levels", "code", "law"] = "levels"
    """What the encoder asks of samples: the levels of their code, all of it, or the law of the levels, as in the paper."""
    consistency_weight: float = 0.2
    """Weight of what it finds amiss, for each squared deviation of a level or nat a latent; 0 leaves it out."""
    reversed_share: float = 0.5
    """Codes at reversed features for each sample, of which the encoder alone speaks, from 0 to 1."""
    turned: tuple[str, ...] | None = None
    """Features that are reversed there: by default those of --held_out, or all but the classes where none is held out."""
    train_encoder: bool = False
    """Whether the encoder learns on with the generator."""
    objective: Literal["non-saturating", "hinge", "least-squares"] = "hinge"
    """Which game is played."""
    r1: float = 0.0
    """Weight of the R1 gradient penalty beside the discriminator's spectral norm; 0 leaves it out."""
    r1_every: int = 8
    """Iterations between two penalties."""
    generator_lr: float = 5e-4
    """Learning rate of the generator."""
    discriminator_lr: float = 1e-3
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.5, 0.9)
    """Decay rates of Adam."""
    ema: float = 0.995
    """Decay of the generator's moving average."""
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(schedule="cosine"))
    """Length and course of the stage."""


@dataclass(frozen=True, kw_only=True)
class TrainSemanticSettings(CommonSettings):
    """Train a generator whose codes bear named features where they were placed: a VAE first, then a GAN from its decoder."""

    out: str = "runs/semantic"
    """Folder for both stages, previews and the model."""
    data: str = "stroke-digits"
    """A data set with attributes, classes or both, by name, folder, .npz file or hf:NAME; its train split is used."""
    image_size: int | None = None
    """Side to resize to, at least 8; that of the data by default."""
    channels: int | None = None
    """1 for grey, 3 for colour; those of the data by default."""
    attributes: tuple[str, ...] | None = None
    """Attributes that are features; all of the data by default."""
    classes: bool = True
    """Whether each class is a feature too."""
    absent: Literal["neutral", "reverse"] = "neutral"
    """What it means that an attribute is absent, where 0 is unknown."""
    held_out: str = ""
    """Levels -1, 0 or 1 of features of which no image is shown in training: NAME=LEVEL with commas between."""
    latent_dim: int = 32
    """Length of a code."""
    block: int = 1
    """Latents of each feature; the others are free for style."""
    separation: float = 6.0
    """Distance of a feature's mean from neutral, in standard deviations."""
    separations: str = ""
    """The same for some features: NAME=DISTANCE with commas between."""
    combination: Literal["means", "codes"] = "means"
    """Whether the means of several features add, or their codes with all their noise."""
    placement: str | None = None
    """File of a placement that `latentry.save_prior` wrote, with means and deviations of your own, in place of blocks."""
    width: int = 16
    """Channels of the encoder's first layer."""
    stages: Literal["both", "vae"] = "both"
    """Both, or the first alone; the same command with both goes on from there."""
    vae: SemanticVAESettings = field(default_factory=SemanticVAESettings)
    """The first stage."""
    gan: SemanticGANSettings = field(default_factory=SemanticGANSettings)
    """The second stage."""
