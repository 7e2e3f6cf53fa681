"""Settings of each `latentry train` beside those of the training itself; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from latentry.latent.settings import EncoderSettings, InverseSettings
from latentry.models.settings import ClassifierSettings, GANSettings, LabelSplitSettings, SemanticSettings
from latentry.tasks.settings import CommonSettings, GeneratorSettings

__all__ = [
    "ImageSettings",
    "TrainClassifierSettings",
    "TrainEncoderSettings",
    "TrainGANSettings",
    "TrainInverseSettings",
    "TrainLabelSplitSettings",
    "TrainSemanticSettings",
]


@dataclass(frozen=True, kw_only=True)
class ImageSettings(CommonSettings):
    """Which images, and of which format."""

    data: str = "digits"
    """A data set by name, folder, .npz file or hf:NAME; its train split is used."""
    image_size: int | None = None
    """Side to resize to; that of the data by default."""
    channels: int | None = None
    """1 for grey, 3 for colour; those of the data by default."""


@dataclass(frozen=True, kw_only=True)
class TrainGANSettings(GANSettings, ImageSettings):
    """Train a DCGAN: a generator whose codes come from a prior."""

    out: str = "runs/gan"
    """Folder for checkpoints, previews and the model."""
    image_size: int | None = None
    """Side to resize to: 28, 32, 64 or 128; that of the data by default."""
    prior: str = "normal"
    """Distribution of the codes: a prior by name, or a file that `latentry prior design` wrote."""


@dataclass(frozen=True, kw_only=True)
class TrainClassifierSettings(ClassifierSettings, ImageSettings):
    """Train a small image classifier; the checkpoint that does best on validation is kept."""

    out: str = "runs/classifier"
    """Folder for checkpoints and the model."""
    data: str = "digits"
    """A labelled data set by name, folder, .npz file or hf:NAME."""
    fold: tuple[int, int] = (0, 1)
    """(i, k): train on the i-th of k disjoint stratified parts of the train split; (0, 1) is all of it."""


@dataclass(frozen=True, kw_only=True)
class TrainLabelSplitSettings(LabelSplitSettings, ImageSettings):
    """Train a label split: codes of which one part says what an image shows, the other how it looks.

    Weights, targets and rates are by default those of Zheng and Sun (2019); their networks have a width of 64, 32 latents
    for labels and 100 for styles.
    """

    out: str = "runs/label-split"
    """Folder for checkpoints, previews and the model."""
    data: str = "digits"
    """A labelled data set by name, folder, .npz file or hf:NAME; its train split is used."""
    image_size: int | None = None
    """Side to resize to, at least 8; that of the data by default."""


@dataclass(frozen=True, kw_only=True)
class TrainInverseSettings(InverseSettings, GeneratorSettings):
    """Train an encoder from a generator's data back to its codes: a learned start for recovery."""

    out: str = "runs/inverse"
    """Folder for checkpoints, the inverse and pairs.png."""


@dataclass(frozen=True, kw_only=True)
class TrainEncoderSettings(EncoderSettings, ImageSettings, GeneratorSettings):
    """Train an encoder of real images, with generator, classifier and basis frozen: codes that keep look and label."""

    out: str = "runs/encoder"
    """Folder for checkpoints, the encoder and pairs.png; it serves wherever a verb takes an inverse."""
    data: str = "digits"
    """A data set by name, folder, .npz file or hf:NAME: its train split is learned from, validation reported on."""
    count: int = 60_000
    """Most training images; they are held in memory."""
    classifier: str | None = "digits-guide"
    """The classifier that is to give the same label to the images made of codes: a shipped one by name, the folder of your
    own, or null for none. It labels data that have attributes alone."""
    basis: str | None = None
    """Folder of a basis that `latentry decompose` wrote for this generator: the label is to be its largest coefficient."""
    inverse: str | None = None
    """Folder of an inverse of this generator (`latentry train inverse`) to begin with; random weights by default."""
    jitter: bool = True
    """Whether training images are moved a little at random: few of them are soon known by heart."""
    degrees: float = 6.0
    """Largest rotation and shear."""
    scale: float = 0.06
    """Largest relative change of size."""
    shift: float = 0.03
    """Largest shift, as a share of the side."""


@dataclass(frozen=True, kw_only=True)
class TrainSemanticSettings(SemanticSettings, ImageSettings):
    """Train a generator whose codes bear named features where they were placed: a VAE first, then a GAN from its decoder."""

    out: str = "runs/semantic"
    """Folder for both stages, previews and the model."""
    data: str = "stroke-digits"
    """A data set with attributes, classes or both, by name, folder, .npz file or hf:NAME; its train split is used."""
    image_size: int | None = None
    """Side to resize to, at least 8; that of the data by default."""
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
    """File of a placement that `latentry.priors.save_prior` wrote, with means and deviations of your own; blocks else."""
