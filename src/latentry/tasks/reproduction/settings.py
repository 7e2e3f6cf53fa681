"""What the reproductions can be told; no torch is imported here, so that help is instant."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from latentry.tasks.settings import CommonSettings

__all__ = [
    "LabelSplitPart",
    "RecoveryPart",
    "ReproduceLabelSplitSettings",
    "ReproducePriorsSettings",
    "ReproduceRecoverySettings",
    "ReproduceSemanticSettings",
    "ReproduceSettings",
    "ReproduceSpectralSettings",
    "SemanticPart",
    "SpectralPart",
]

RecoveryPart = Literal["paper", "known-codes", "provenance"]
SpectralPart = Literal["bases", "operators", "denoising"]
LabelSplitPart = Literal["models", "ablations", "moons"]
SemanticPart = Literal["models", "ablations", "rates", "stability", "tuning"]


@dataclass(frozen=True, kw_only=True)
class ReproduceSettings(CommonSettings):
    """What every reproduction takes."""

    seeds: int = 3
    """Trainings of each kind, one for each seed from `seed` on; intervals are over them."""
    workers: int | None = None
    """Cells at once; by default one for each core on a CPU, one on a GPU."""
    quick: bool = False
    """A rehearsal in less than a minute: everything at the smallest size, numbers without meaning."""
    goes_on: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ReproducePriorsSettings(ReproduceSettings):
    """The table of Singh et al. (2019): generators under different priors, judged at the prior and between codes."""

    out: str = "runs/reproduce-priors"
    """Folder for index.html, results.json, one file for each cell, and the generators."""
    data: tuple[str, ...] = ("digits", "fashion-mnist")
    """Data sets, by name, folder or .npz file."""
    extractors: tuple[str, ...] = ("digits-judge", "fashion-judge")
    """What the samples of each are seen through: shipped classifiers by name, or folders of your own."""
    priors: tuple[str, ...] = ()
    """Rows of the table; all of them by default, the normal prior always."""
    published: str | None = None
    """The published table of masses (.npy or .mat); without it the authors' problem is solved again."""
    latent_dim: int = 100
    """Length of a code."""
    width: int = 24
    """Channels of the generator's last and the discriminator's first hidden layer."""
    steps: int = 5000
    """Iterations of each training."""
    batch_size: int = 16
    """Images of one iteration."""
    lr: float = 2e-3
    """Learning rate of both networks."""
    count: int = 10_000
    """Generated samples of each row."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Steps between two codes."""
    trade_off: bool = True
    """Train one generator for each of a family of designs too, on the last data set."""


@dataclass(frozen=True, kw_only=True)
class ReproduceRecoverySettings(ReproduceSettings):
    """The protocol of Cho (2020) under a fair grid, known codes against their cost, and provenance."""

    out: str = "runs/reproduce-recovery"
    """Folder for index.html, results.json, one file for each cell, and the networks."""
    parts: tuple[RecoveryPart, ...] = ("paper", "known-codes", "provenance")
    """What is worked out."""
    data: str = "digits"
    """Data set of the paper's protocol, by name, folder or .npz file."""
    classifier: str = "digits-judge"
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
    lr: float = 1e-3
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
    """Images of each kind that are told apart."""
    provenance_steps: int = 20
    """Iterations of Levenberg-Marquardt on each of them."""
    calibration: int = 99
    """Own samples beside them that give p-values."""
    full: bool = False
    """The paper's own networks and updates, its whole grid, 16 starts and every held-out image; for a GPU."""


@dataclass(frozen=True, kw_only=True)
class ReproduceSpectralSettings(ReproduceSettings):
    """Bases, operators and denoising of Toledo-Marin and Glazier (2023), beside their neighbours."""

    out: str = "runs/reproduce-spectral"
    """Folder for index.html, results.json, one file for each cell, and the networks."""
    parts: tuple[SpectralPart, ...] = ("bases", "operators", "denoising")
    """What is worked out."""
    data: tuple[str, ...] = ("digits", "fashion-mnist")
    """Data sets, by name, folder or .npz file."""
    generators: tuple[str, ...] = ("train", "train")
    """Generator for each: `train` for one of each seed, or a name or folder of one that all seeds share."""
    guides: tuple[str, ...] = ("digits-guide", "train")
    """Classifier that methods may use, for each: a name, a folder, or `train` for one that is trained first."""
    readers: tuple[str, ...] = ("digits-judge", "fashion-judge")
    """Another classifier for each, which has the word in every result."""
    bases: tuple[str, ...] = ()
    """Rows of the table of bases; all of them by default, `loewdin` always."""
    operators: tuple[str, ...] = ()
    """Rows of the table of operators; all of them by default, `margin` always."""
    trained: str | None = None
    """Folder of `reproduce priors`: its generators with the normal prior are taken where their settings are the same."""
    latent_dim: int = 100
    """Length of a code."""
    width: int = 24
    """Channels of the generator's last and the discriminator's first hidden layer."""
    gan_steps: int = 5000
    """Iterations of each training of a generator."""
    batch_size: int = 16
    """Images of one iteration."""
    lr: float = 2e-3
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


@dataclass(frozen=True, kw_only=True)
class ReproduceLabelSplitSettings(ReproduceSettings):
    """Label splits of Zheng and Sun (2019) beside conditional models of the same networks, and what each part is for."""

    out: str = "runs/reproduce-label-split"
    """Folder for index.html, results.json, one file for each cell, and the networks."""
    parts: tuple[LabelSplitPart, ...] = ("models", "ablations", "moons")
    """What is worked out; ablations on the first data set alone."""
    data: tuple[str, ...] = ("digits", "fashion-mnist")
    """Data sets, by name, folder or .npz file."""
    readers: tuple[str, ...] = ("digits-judge", "fashion-judge")
    """A classifier for each, which has the word in every result and teaches none."""
    models: tuple[str, ...] = ()
    """Rows of the table of models; all of them by default, `ours` always."""
    width: int = 12
    """Channels of the encoders' first layer."""
    label_dim: int = 16
    """Latents that say what it is."""
    style_dim: int = 16
    """Latents that say how it looks."""
    steps: int = 2400
    """Iterations of each training."""
    batch_size: int = 64
    """Images of one iteration."""
    lr: float = 1e-3
    """Learning rate of all networks."""
    flow_steps: int = 1500
    """Iterations of the flow of our own label splits."""
    count: int = 10_000
    """Samples of each model."""
    codes: int = 10_000
    """Most training images behind probes."""
    images: int = 2000
    """Most held-out images."""
    moons_steps: int = 3000
    """Iterations of the toy in two dimensions."""


@dataclass(frozen=True, kw_only=True)
class ReproduceSemanticSettings(ReproduceSettings):
    """Semantic models of Kim and Cho (2019): features placed beforehand, shown by samples, and reversed."""

    out: str = "runs/reproduce-semantic"
    """Folder for index.html, results.json, one file for each cell, and the networks."""
    parts: tuple[SemanticPart, ...] = ("models", "ablations", "rates", "stability", "tuning")
    """What is worked out; all but the models on the first data set alone."""
    data: tuple[str, ...] = ("stroke-digits", "runs/type-32.npz")
    """Data sets, by name, folder or .npz file; `python scripts/build_type.py` builds the letters."""
    held_out: tuple[str, ...] = ("thick=-1", "bold=-1")
    """Levels of each that no generator is shown, NAME=LEVEL with commas between."""
    latent_dims: tuple[int, ...] = (32, 64)
    """Length of the codes of each."""
    models: tuple[str, ...] = ()
    """Rows of the table of models; all of them by default, `ours` always."""
    separation: float = 6.0
    """Distance of each feature from neutral, in standard deviations."""
    deviation: float = 0.8
    """Standard deviation of pixels about their reconstruction in stage 1."""
    width: int = 12
    """Channels of the encoders' first layer."""
    vae_steps: int = 2000
    """Iterations of stage 1."""
    gan_steps: tuple[int, ...] = (1500, 3000)
    """Iterations of stage 2, for each data set; the GANs beside it have those of stage 1 as well."""
    batch_size: int = 64
    """Images of one iteration."""
    lr: tuple[float, float] = (1e-3, 1e-3)
    """Learning rates of generator and discriminator in stage 2."""
    gan_lr: float = 2e-3
    """Learning rate of both networks of the GANs."""
    gan_rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 4e-3)
    """Learning rates that are tried for them, on validation images."""
    reader_width: int = 24
    """Channels of the readers' first layers."""
    reader_steps: int = 1500
    """Iterations of the readers, which know all levels."""
    count: int = 5000
    """Samples of each model."""
    codes: int = 200
    """Codes that are followed along each feature."""
    rates: tuple[int, ...] = (16, 64, 128)
    """Further lengths of codes of stage 1."""
    trials: int = 10
    """Short trainings of ours and of a GAN."""
    trial_steps: int = 600
    """Iterations of each stage of a short training."""
