"""What each `latentry train` can be told; no torch is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from latentry.models.label_split_weights import LabelSplitWeights
from latentry.ranges import check_numbers
from latentry.tasks.settings import CommonSettings
from latentry.training.settings import LoopSettings

__all__ = [
    "SemanticGANSettings",
    "SemanticVAESettings",
    "TrainClassifierSettings",
    "TrainEncoderSettings",
    "TrainGANSettings",
    "TrainInverseSettings",
    "TrainLabelSplitSettings",
    "TrainSemanticSettings",
]


@dataclass(frozen=True, kw_only=True)
class TrainGANSettings(CommonSettings):
    """Train a DCGAN: a generator whose codes come from a prior."""

    out: str = "runs/gan"
    """Folder for checkpoints, previews and the model."""
    data: str = "digits"
    """A data set by name, folder, .npz file or hf:NAME; its train split is used."""
    image_size: int | None = None
    """Side to resize to: 28, 32, 64 or 128; that of the data by default."""
    channels: int | None = None
    """1 for grey, 3 for colour; those of the data by default."""
    prior: str = "normal"
    """Distribution of the codes: a prior by name, or a file that `latentry prior design` wrote."""
    latent_dim: int = 64
    """Length of a code."""
    width: int = 64
    """Channels of the generator's last hidden layer."""
    discriminator_width: int = 64
    """Channels of the discriminator's first hidden layer."""
    discriminator_norm: Literal["batch", "spectral", "none"] = "none"
    """Normalisation of the discriminator."""
    objective: Literal["non-saturating", "hinge", "least-squares"] = "non-saturating"
    """Which game is played."""
    r1: float = 0.0
    """Weight of the R1 gradient penalty; 0 leaves it out."""
    r1_every: int = 8
    """Iterations between two penalties."""
    generator_lr: float = 2e-4
    """Learning rate of the generator."""
    discriminator_lr: float = 2e-4
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.5, 0.99)
    """Decay rates of Adam."""
    ema: float = 0.999
    """Decay of the generator's moving average."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    """Length and course of the run."""


@dataclass(frozen=True, kw_only=True)
class TrainClassifierSettings(CommonSettings):
    """Train a small image classifier; the checkpoint that does best on validation is kept."""

    out: str = "runs/classifier"
    """Folder for checkpoints and the model."""
    data: str = "digits"
    """A labelled data set by name, folder, .npz file or hf:NAME."""
    image_size: int | None = None
    """Side to resize to; that of the data by default."""
    channels: int | None = None
    """1 for grey, 3 for colour; those of the data by default."""
    fold: tuple[int, int] = (0, 1)
    """(i, k): train on the i-th of k disjoint stratified parts of the train split; (0, 1) is all of it."""
    network: Literal["plain", "residual"] = "plain"
    """Kind of network."""
    width: int = 24
    """Channels of its first block."""
    lr: float = 2e-3
    """Learning rate."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    label_smoothing: float = 0.05
    """Share of each target spread over all classes."""
    degrees: float = 12.0
    """Largest random rotation and shear."""
    scale: float = 0.12
    """Largest random relative change of size."""
    shift: float = 0.08
    """Largest random shift, as a share of the side."""
    ema: float = 0.995
    """Decay of the weights' moving average."""
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(schedule="cosine"))
    """Length and course of the run."""


@dataclass(frozen=True, kw_only=True)
class TrainLabelSplitSettings(CommonSettings):
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
    channels: int | None = None
    """1 for grey, 3 for colour; those of the data by default."""
    label_dim: int = 16
    """Latents that say what it is; at least one less than there are classes."""
    style_dim: int = 32
    """Latents that say how it looks."""
    width: int = 16
    """Channels of the encoders' first layer."""
    stochastic: bool = False
    """Whether the first kind has distributions too, with their divergence from the component of the label, in place of
    codes."""
    gan: bool = False
    """Whether a discriminator of images and labels teaches the decoder too."""
    weights: LabelSplitWeights = field(default_factory=LabelSplitWeights)
    """Weights of the losses."""
    confusion_target: Literal["uniform", "class-prior"] = "uniform"
    """What the classifier of styles is led to answer."""
    adversary_sees: Literal["draws", "means"] = "draws"
    """Draws of style latents, or their means, where every trace of a label shows."""
    adversary_steps: int = 1
    """Updates of that classifier in each iteration."""
    adversary_hidden: tuple[int, ...] = (256,)
    """Units of its hidden layers."""
    standardised: bool = False
    """Whether the means of style latents are held at mean 0 and deviation 1, so that no game can make them large."""
    least_deviation: float = 0.0
    """Least noise of style latents, from 0 to below 1: what is finer than it, neither decoder nor reader can see."""
    sampled_styles: Literal["prior", "others"] = "prior"
    """Styles of the samples that a discriminator sees: from the prior, or those of other images."""
    flow_steps: int = 1500
    """Iterations, after the training, of a flow that takes the last of the labels from style latents and makes them normal;
    0 leaves codes and mixture as they are."""
    precision_epochs: float = 10.0
    """Epochs after which the rate of the mixture's precisions falls to a tenth, again and again; 0 for never."""
    degrees: float = 0.0
    """Largest random rotation and shear of what the label encoder is shown when it learns labels alone."""
    scale: float = 0.0
    """Largest random relative change of its size."""
    shift: float = 0.0
    """Largest random shift of it, as a share of the side."""
    lr: float = 5e-4
    """Learning rate of all networks."""
    betas: tuple[float, float] = (0.0, 0.9)
    """Decay rates of Adam."""
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch_size=96))
    """Length and course of the run."""


@dataclass(frozen=True, kw_only=True)
class TrainInverseSettings(CommonSettings):
    """Train an encoder from a generator's data back to its codes: a learned start for recovery."""

    out: str = "runs/inverse"
    """Folder for checkpoints, the inverse and pairs.png."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    steps: int = 4000
    """Optimiser iterations, each on fresh pairs of a code and its image."""
    batch_size: int = 64
    """Pairs of one iteration."""
    width: int = 32
    """Channels of the encoder's first hidden layer."""
    learning_rate: float = 6e-3
    """Full learning rate of Adam."""
    noise: float = 0.0
    """Standard deviation of noise on the images that the encoder sees; 0.004 makes it fit for 8-bit images."""
    checkpoint_every: int = 250
    """Iterations between two checkpoints and validations."""


@dataclass(frozen=True, kw_only=True)
class TrainEncoderSettings(CommonSettings):
    """Train an encoder of real images, with generator, classifier and basis frozen: codes that keep look and label."""

    out: str = "runs/encoder"
    """Folder for checkpoints, the encoder and pairs.png; it serves wherever an inverse is asked for."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    data: str = "digits"
    """A data set by name, folder, .npz file or hf:NAME: its train split is learned from, validation reported on."""
    image_size: int | None = None
    """Side to resize the images to; that of the data by default."""
    channels: int | None = None
    """1 for grey, 3 for colour; those of the data by default."""
    count: int = 60_000
    """Most training images; they are held in memory."""
    classifier: str | None = "digits-guide"
    """What shall read their label in the images made of codes: a shipped classifier by name, the folder of an own one, or
    null for none. It labels data that have attributes alone."""
    basis: str | None = None
    """Folder of a basis that `latentry decompose` wrote for this generator: the label is to be its largest coefficient."""
    inverse: str | None = None
    """Folder of an inverse of this generator (`latentry train inverse`) to begin with; random weights by default."""
    steps: int = 2500
    """Optimiser iterations."""
    batch_size: int = 64
    """Images of one iteration."""
    width: int = 32
    """Channels of the encoder's first hidden layer; an inverse brings its own."""
    learning_rate: float = 4e-3
    """Full learning rate of Adam."""
    class_weight: float = 0.5
    """Weight of the classifier's cross entropy."""
    score_weight: float = 0.5
    """Weight of the cross entropy of the coefficients."""
    prior_weight: float = 0.02
    """Weight of the codes' divergence from the prior."""
    variational: bool = False
    """Whether each image gets a distribution of its codes; its mean is what the encoder then gives."""
    difference: Literal["l2", "l1", "hinge"] = "l2"
    """Mean squared or mean absolute difference of pixels, or the paper's hinge (Toledo-Marin and Glazier 2023)."""
    jitter: bool = True
    """Whether training images are moved a little at random: few of them are soon known by heart."""
    degrees: float = 6.0
    """Largest rotation and shear."""
    scale: float = 0.06
    """Largest relative change of size."""
    shift: float = 0.03
    """Largest shift, as a share of the side."""
    checkpoint_every: int = 250
    """Iterations between two checkpoints and validations."""


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

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, kw_only=True)
class SemanticGANSettings:
    """Stage 2: the decoder as a generator against a discriminator."""

    fresh: bool = False
    """Whether it begins with a fresh generator in place of the decoder."""
    discriminator_sees: Literal["levels", "images"] = "levels"
    """Images with the levels of their features, or images alone."""
    consistency: Literal["levels", "code", "distribution"] = "levels"
    """What the encoder asks of samples: the levels of their code, all of it, or the distribution of the levels, as in the
    paper."""
    consistency_weight: float = 0.07
    """Weight of what it finds amiss, for each squared deviation of a level or nat a latent; 0 leaves it out."""
    reversed_share: float = 0.5
    """Codes at reversed features for each sample, of which the encoder alone speaks, from 0 to 1."""
    turned: tuple[str, ...] | None = None
    """Features that are reversed there: by default those of --held_out, or all but the classes where none is held out."""
    train_encoder: bool = False
    """Whether the encoder learns on with the generator."""
    discriminator_norm: Literal["spectral", "none"] = "none"
    """Normalisation of the discriminator."""
    objective: Literal["non-saturating", "hinge", "least-squares"] = "non-saturating"
    """Which game is played."""
    r1: float = 0.5
    """Weight of the R1 gradient penalty; 0 leaves it out."""
    r1_every: int = 8
    """Iterations between two penalties."""
    generator_lr: float = 1e-3
    """Learning rate of the generator."""
    discriminator_lr: float = 1e-3
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Decay rates of Adam."""
    ema: float = 0.995
    """Decay of the generator's moving average."""
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(schedule="cosine"))
    """Length and course of the stage."""

    def __post_init__(self) -> None:
        check_numbers(self)


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
    """File of a placement that `latentry.priors.save_prior` wrote, with means and deviations of your own; blocks else."""
    width: int = 16
    """Channels of the encoder's first layer."""
    stages: Literal["both", "vae"] = "both"
    """Both, or the first alone; the same command with both goes on from there."""
    vae: SemanticVAESettings = field(default_factory=SemanticVAESettings)
    """The first stage."""
    gan: SemanticGANSettings = field(default_factory=SemanticGANSettings)
    """The second stage."""
