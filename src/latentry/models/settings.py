"""Settings of the trainings of models: defaults, types and help, typed once; no torch is imported here.

`fit_gan` and its like take these classes, and the settings of the commands inherit them.
"""

from dataclasses import dataclass, field
from typing import Literal

from latentry.ranges import check_number, check_numbers
from latentry.training.settings import LoopSettings

__all__ = [
    "ClassifierSettings",
    "ConditionalSettings",
    "GANSettings",
    "LabelSplitSettings",
    "LabelSplitWeights",
    "SemanticGANSettings",
    "SemanticSettings",
    "SemanticVAESettings",
]


@dataclass(frozen=True, kw_only=True)
class GANSettings(LoopSettings):
    """How a DCGAN is trained (`fit_gan`).

    Example:
        >>> from latentry.models.settings import GANSettings
        >>> GANSettings(steps=100, r1=0.5).generator_learning_rate
        0.0002
    """

    latent_dim: int = 64
    """Length of a code."""
    width: int = 64
    """Channels of the generator's last hidden layer."""
    discriminator_width: int = 64
    """Channels of the discriminator's first hidden layer."""
    discriminator_norm: Literal["batch", "spectral", "none"] = "none"
    """Normalisation of the discriminator."""
    objective: Literal["non-saturating", "hinge", "least-squares"] = "non-saturating"
    """Losses of discriminator and generator."""
    r1: float = 0.0
    """Weight gamma of the R1 gradient penalty (gamma / 2 on the mean squared gradient norm); 0 leaves it out."""
    r1_every: int = 8
    """Iterations between two penalties, each weighted by their number."""
    generator_learning_rate: float = 2e-4
    """Learning rate of the generator."""
    discriminator_learning_rate: float = 2e-4
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.5, 0.99)
    """Decay rates of Adam."""
    ema: float = 0.999
    """Decay of the generator's moving average."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_r1(self.r1, self.r1_every)


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(LoopSettings):
    """How a small image classifier is trained (`fit_classifier`)."""

    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate over the run."""
    network: Literal["plain", "residual"] = "plain"
    """Kind of network."""
    width: int = 24
    """Channels of its first block."""
    learning_rate: float = 2e-3
    """Learning rate of AdamW."""
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


@dataclass(frozen=True)
class LabelSplitWeights:
    """Weights of the losses; the defaults are the paper's."""

    reconstruction: float = 10.0
    """Of the mean squared difference of pixels, for both encoders and the decoder."""
    likelihood: float = 0.1
    """Of the mixture's likelihood (L_lkd) beside its classification (L_cls)."""
    pull: float = 1.0
    """Of the same likelihood beside the reconstruction, for encoder S."""
    divergence: float = 1.0
    """Of the divergence of z_u from the standard normal distribution (L_kl), a mean over coordinates."""
    confusion: float = 1.0
    """Of what leads the classifier of z_u astray (L_E^adv); 0 leaves it out."""
    dependence: float = 0.0
    """Of the normalised dependence (HSIC) of z_u on z_s, beside that classifier or instead of it."""
    adversarial: float = 1.0
    """Of the discriminator's scores, for the decoder."""
    margin: float = 0.0
    """alpha of L_cls: by how much codes must be nearer to their own component, relative to their distance from it."""

    def __post_init__(self) -> None:
        below = {name: value for name, value in vars(self).items() if not value >= 0}
        if below:
            raise ValueError(f"expected weights of at least 0, got {below}")


@dataclass(frozen=True, kw_only=True)
class LabelSplitSettings(LoopSettings):
    """How a label split is trained (`fit_label_split`).

    Weights, targets and rates are by default those of Zheng and Sun (2019); their networks have a width of 64, 32 latents
    for labels and 100 for styles.
    """

    batch_size: int = 96
    """Items of one iteration, over all processes together."""
    label_dim: int = 16
    """Latents of the label, z_s; at least one less than there are classes."""
    style_dim: int = 32
    """Latents of the style, z_u."""
    width: int = 16
    """Channels of the encoders' first layer."""
    stochastic: bool = False
    """Whether z_s has a posterior too, instead of a point; its divergence from the label's component is a loss."""
    gan: bool = False
    """Whether the decoder is also trained against a discriminator of images and labels."""
    weights: LabelSplitWeights = field(default_factory=LabelSplitWeights)
    """Weights of the losses."""
    confusion_target: Literal["uniform", "class-prior"] = "uniform"
    """Target of the adversary's predictions in the confusion loss: all classes alike, or their frequencies."""
    adversary_sees: Literal["draws", "means"] = "draws"
    """Input of the adversary: draws of z_u, or posterior means, in which every trace of a label is visible."""
    adversary_steps: int = 1
    """Updates of the adversary in an iteration."""
    adversary_hidden: tuple[int, ...] = (256,)
    """Units of its hidden layers."""
    placements: int = 3
    """Updates of the label encoder and the mixture in each iteration."""
    standardised: bool = False
    """Whether posterior means of z_u have mean 0 and deviation 1; no loss can make them large then."""
    least_deviation: float = 0.0
    """Least deviation of the posteriors of z_u, from 0 to below 1; neither decoder nor adversary sees what is finer."""
    sampled_styles: Literal["prior", "others"] = "prior"
    """Styles of the samples that the discriminator sees: from the prior, or those of other images of the batch."""
    flow_steps: int = 1500
    """Iterations, after the training, of a flow that takes the last of the labels from z_u and makes it normal; 0 leaves
    codes and mixture as they are."""
    precision_epochs: float = 10.0
    """Epochs after which the rate of the mixture's precisions falls to a tenth, again and again; 0 for never."""
    degrees: float = 0.0
    """Largest random rotation and shear of the images where the label encoder and the mixture alone are updated."""
    scale: float = 0.0
    """Largest random relative change of their size."""
    shift: float = 0.0
    """Largest random shift of them, as a share of the side."""
    learning_rate: float = 5e-4
    """Learning rate of all networks."""
    betas: tuple[float, float] = (0.0, 0.9)
    """Decay rates of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.placements < 1 or self.adversary_steps < 1 or self.precision_epochs < 0:
            raise ValueError(
                f"expected placements and adversary_steps >= 1 and precision_epochs >= 0, got {self.placements}, "
                f"{self.adversary_steps} and {self.precision_epochs}"
            )
        if not 0 <= self.least_deviation < 1:
            raise ValueError(f"expected a least deviation of z_u from 0 to below the prior's 1, got {self.least_deviation}")
        if self.label_dim < 1 or self.style_dim < 1:
            raise ValueError(f"expected label_dim and style_dim of at least 1, got {self.label_dim} and {self.style_dim}")


@dataclass(frozen=True, kw_only=True)
class ConditionalSettings(LoopSettings):
    """How a VAE, a conditional VAE, a conditional GAN, or both together are trained (`fit_conditional`)."""

    labels: bool = True
    """Whether codes hold the label of the datum."""
    vae: bool = True
    """Whether there is an encoder."""
    gan: bool = False
    """Whether a discriminator of data and labels teaches the decoder."""
    style_dim: int = 32
    """Latents beside the label."""
    width: int = 16
    """Channels of the encoder's first layer."""
    weights: LabelSplitWeights = field(default_factory=LabelSplitWeights)
    """Weights of the losses: reconstruction, divergence and adversarial."""
    learning_rate: float = 5e-4
    """Learning rate of all networks."""
    betas: tuple[float, float] = (0.0, 0.9)
    """Decay rates of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("style_dim", self.style_dim, 1)
        if not (self.vae or self.gan) or (self.gan and not self.labels):
            raise ValueError(
                f"expected vae, gan or both, and labels with gan, got labels={self.labels}, vae={self.vae}, gan={self.gan}"
            )


@dataclass(frozen=True, kw_only=True)
class SemanticVAESettings(LoopSettings):
    """Stage 1 of a semantic model: encoder and decoder."""

    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate over the stage."""
    deviation: float = 0.8
    """Standard deviation of pixels about their reconstruction, above 0: the smaller, the more is encoded of each image."""
    warm_up: int = 500
    """Iterations over which the divergence gains its full weight."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.deviation <= 0 or self.warm_up < 0:
            raise ValueError(f"expected deviation > 0 and warm_up >= 0, got {self.deviation} and {self.warm_up}")


@dataclass(frozen=True, kw_only=True)
class SemanticGANSettings(LoopSettings):
    """Stage 2 of a semantic model: the decoder as a generator against a discriminator."""

    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rates over the stage."""
    fresh: bool = False
    """Whether it begins with a fresh generator in place of the decoder."""
    discriminator_sees: Literal["levels", "images"] = "levels"
    """Images with the levels of their features, or images alone."""
    consistency: Literal["levels", "code", "distribution"] = "levels"
    """What samples have to agree with for the encoder: the levels of their code, all of it, or the distribution of the
    levels, as in the paper."""
    consistency_weight: float = 0.07
    """Weight of that error, for each squared deviation of a level or nat a latent; 0 leaves it out."""
    reversed_share: float = 0.5
    """Codes at reversed features for each sample, on which only the encoder has a say, from 0 to 1."""
    turned: tuple[str, ...] | None = None
    """Features that are reversed there; by default those of which a level is held out, or all but the classes."""
    train_encoder: bool = False
    """Whether the encoder learns on with the generator."""
    discriminator_norm: Literal["spectral", "none"] = "none"
    """Normalisation of the discriminator."""
    objective: Literal["non-saturating", "hinge", "least-squares"] = "non-saturating"
    """Losses of discriminator and generator."""
    r1: float = 0.5
    """Weight gamma of the R1 gradient penalty (gamma / 2 on the mean squared gradient norm); 0 leaves it out."""
    r1_every: int = 8
    """Iterations between two penalties, each weighted by their number."""
    generator_learning_rate: float = 1e-3
    """Learning rate of the generator."""
    discriminator_learning_rate: float = 1e-3
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Decay rates of Adam."""
    ema: float = 0.995
    """Decay of the generator's moving average."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_r1(self.r1, self.r1_every)
        if self.consistency_weight < 0 or not 0 <= self.reversed_share <= 1:
            raise ValueError(
                f"expected consistency_weight >= 0 and reversed_share from 0 to 1, got {self.consistency_weight} and "
                f"{self.reversed_share}"
            )


@dataclass(frozen=True, kw_only=True)
class SemanticSettings:
    """How a semantic model is trained (`fit_semantic`)."""

    width: int = 16
    """Channels of the encoder's first layer."""
    stages: Literal["both", "vae"] = "both"
    """Both, or the first alone; the same training with both goes on from there."""
    vae: SemanticVAESettings = field(default_factory=SemanticVAESettings)
    """The first stage."""
    gan: SemanticGANSettings = field(default_factory=SemanticGANSettings)
    """The second stage."""

    def __post_init__(self) -> None:
        check_numbers(self)
        check_number("width", self.width, 1)


def _check_r1(r1: float, r1_every: int) -> None:
    if r1 < 0 or r1_every < 1:
        raise ValueError(f"expected r1 >= 0 and r1_every >= 1, got {r1} and {r1_every}")
