"""What each verb can be told: defaults, types and help, typed once and read by command line, config files and records.

What `train` can be told is in `train_settings`. Nothing here imports torch.
"""

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, Literal

from latentry.ranges import check_numbers

__all__ = [
    "BasisSettings",
    "CodedImagesSettings",
    "CommonSettings",
    "DecomposeSettings",
    "EditSettings",
    "EvaluateSettings",
    "PriorCompareSettings",
    "PriorDesignSettings",
    "PriorShowSettings",
    "RecoverSettings",
    "SampleSettings",
    "StudySettings",
    "given",
    "refuse_unused",
]

RuleName = Literal["lerp", "slerp", "variance-corrected", "transport"]
SplitName = Literal["train", "validation", "held-out"]
SolverName = Literal["auto", "levenberg-marquardt", "lbfgs", "adam"]
RegularizerName = Literal[
    "none",
    "l2",
    "absolute",
    "negative-log-prior",
    "norm-shell",
    "wasserstein",
    "wasserstein2",
    "energy",
    "cramer-von-mises",
    "anderson-darling",
]
BasisKind = Literal["loewdin", "paper", "fisher", "boundaries", "principal", "first-weights", "random"]
ResamplingName = Literal["none", "boundary", "logistic", "truncated-normal"]


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What every verb takes."""

    out: str
    """Folder for the results."""
    seed: int = 0
    """Seed of every random choice."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print the result as JSON for machines, and nothing else on standard output."""
    force: bool = False
    """Replace an earlier result in the same folder; an unfinished one is gone on from."""
    goes_on: ClassVar[bool] = False
    """Whether the verb goes on from an earlier result, having pieces of its own that it knows again."""

    def __post_init__(self) -> None:
        check_numbers(self)


def given(settings: CommonSettings, names: Iterable[str]) -> list[str]:
    """Those of these settings that are not at their defaults, as flags.

    Example:
        >>> given(SampleSettings(count=3), ["count", "columns"])
        ['--count']
    """
    defaults = {
        part.name: part.default if part.default_factory is MISSING else part.default_factory() for part in fields(settings)
    }
    return [f"--{name}" for name in names if getattr(settings, name) != defaults[name]]


def refuse_unused(settings: CommonSettings, names: Iterable[str], need: str) -> None:
    """Refuse settings that would change nothing.

    Args:
        settings: What was asked for.
        names: Settings that nothing reads here.
        need: What they need, such as "--label".

    Raises:
        ValueError: One of them is not at its default.
    """
    if unused := given(settings, names):
        told = ", ".join(unused)
        raise ValueError(f"expected {need} along with {told}, which would change nothing; add it, or leave {told} out")


@dataclass(frozen=True, kw_only=True)
class SampleSettings(CommonSettings):
    """Draw codes from a generator's prior and decode them."""

    out: str = "runs/sample"
    """Folder for the grid, the images and the codes."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    label: str | None = None
    """Draw codes of the class of this name alone, where the prior has labels."""
    features: str = ""
    """Draw codes at these levels of features, NAME=LEVEL with commas between, such as bold=1,italic=-0.5, for a semantic
    model; features that are not named are drawn as they occurred in training."""
    count: int = 100
    """How many images."""
    columns: int = 10
    """Columns of the grid."""


@dataclass(frozen=True, kw_only=True)
class RecoverSettings(CommonSettings):
    """Find the codes from which a generator makes given images, and judge whether they could come from its prior."""

    images: list[str] = field(default_factory=list)
    """Image files or folders of them."""
    out: str = "runs/recover"
    """Folder for codes, pictures and the report; a run that was killed goes on there with the same command."""
    data: str | None = None
    """A data set by name, folder, .npz file or hf:NAME, in place of images."""
    split: SplitName = "held-out"
    """Its split to recover."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    prior: str | None = None
    """Distribution to hold the codes against, by name or file; the generator's own by default."""
    solver: SolverName = "auto"
    """auto takes Levenberg-Marquardt, which finds true codes, or Adam for an l1 difference and for very long codes."""
    steps: int | None = None
    """Most iterations of a start; the solver's own number by default."""
    learning_rate: float | None = None
    """Highest learning rate of Adam; its own by default."""
    inverse: str | None = None
    """Folder of an inverse of this generator (`latentry train inverse` or `encoder`) that gives the first start; else the
    prior does."""
    restarts: int = 4
    """Most starts for each image."""
    regularizer: RegularizerName = "none"
    """What keeps codes near the prior. None by default: the code that made an image is found without one, and any moves it
    off; with one whose weight does not suit your generator codes only look well. If the verdict finds your codes too wide,
    which is usual for images that the generator cannot make, try l2 (normal priors) or wasserstein, and a small weight."""
    weight: float = 0.04
    """Weight of the regularizer, against the mean squared difference to the image over the variance of the generator's own
    images."""
    resampling: ResamplingName = "none"
    """Rule by which Adam draws single elements of a code anew, with chances meant for the whole run."""
    resampling_bound: float = 3.0
    """Size of an element from which on that is likely (logistic: evens) or sure; 1 suits the uniform prior on [-1, 1]."""
    difference: Literal["l2", "l1"] = "l2"
    """Mean squared or mean absolute difference of pixels."""
    mask: str | None = None
    """An image: white where yours are seen, black where they are hidden or broken."""
    downsample: int = 1
    """How many times smaller than the generator's your images are, along each side: K by K pixels are seen as their mean."""
    self_check: int = 20
    """First recover so many of the generator's own images, whose codes are known, and say what success to expect on yours;
    19 or more also give each image's chance to be the generator's own. Each costs as much as an image; 0 leaves it out."""
    shard_size: int = 256
    """Images in memory at once, and codes in each file."""
    batch_size: int = 1024
    """Codes in work at once, starts included."""


@dataclass(frozen=True, kw_only=True)
class CodedImagesSettings(CommonSettings):
    """Images of the user's own, and how their codes are found."""

    images: list[str] = field(default_factory=list)
    """Image files or folders of them."""
    data: str | None = None
    """A data set by name, folder, .npz file or hf:NAME, in place of images."""
    split: SplitName = "held-out"
    """Its split."""
    count: int = 64
    """Most images to take, from the first on."""
    codes: str | None = None
    """Folder that `latentry recover` wrote, in place of images: its codes are taken as they are."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    inverse: str | None = None
    """Folder of an inverse of this generator (`latentry train inverse` or `encoder`), from which recovery starts."""
    encode: bool = False
    """Take the codes that the inverse gives, without recovery."""


@dataclass(frozen=True, kw_only=True)
class BasisSettings(CodedImagesSettings):
    """A basis of a generator's codes: an earlier one, or how to make it."""

    basis: str | None = None
    """Folder of a basis that `latentry decompose` wrote for this generator; one is made by default."""
    classifier: str = "digits-guide"
    """What gives labels to the generator's images: a shipped classifier by name, or the folder of an own one."""
    kind: BasisKind = "loewdin"
    """How it is made: class means, centred and orthonormal by Loewdin; the paper's construction (Toledo-Marin and Glazier
    2023); Fisher's directions; normals of linear boundaries; principal directions of the first layer's output; singular
    vectors of the first weights; or at random. The last three know no labels and are matched with them afterwards."""
    per_label: int = 2000
    """Codes of the prior wanted for each label."""
    reader: str | None = None
    """A second classifier that reads what is shown, so that the one that gave the labels is not its own examiner. Its
    classes are matched with those by name."""


@dataclass(frozen=True, kw_only=True)
class DecomposeSettings(BasisSettings):
    """Take a latent space apart into directions that bear labels, and the codes of images into coefficients."""

    out: str = "runs/decompose"
    """Folder for the basis, index.html and the coefficients."""
    report_codes: int = 2000
    """Fresh codes of the prior that the report is on."""


@dataclass(frozen=True, kw_only=True)
class EditSettings(BasisSettings):
    """Move the codes of images: turn what bears one label into what bears another.

    With a label split as generator its encoders give the codes, and its labels are the components of its prior: no basis,
    classifier or recovery is needed.
    """

    out: str = "runs/edit"
    """Folder for pictures, codes and the report."""
    rotate: str = ""
    """Turns A:B:DEGREES, several with commas between, one after the other: in the plane of the vectors of classes A and B
    (names), from A towards B. Each keeps the norm of a code and is undone by the same angle backwards."""
    label: str | None = None
    """Turn each code, after all of these, until it bears the class of this name, by as little as it takes."""
    margin: float = 4.0
    """By how much the label shall win, in units of the logits of a linear classifier of codes."""
    swap: bool = False
    """Give each image the look of the next one, and keep what it is; for a label split."""
    hide: str = ""
    """Hide a box TOP:LEFT:HEIGHT:WIDTH of each image and fill it in one pass; for a label split."""
    features: str = ""
    """Set features to levels, NAME=LEVEL with commas between, such as bold=1,italic=-0.5; for a semantic model."""
    reverse: str = ""
    """Turn the levels of these features into their opposites, names with commas between; for a semantic model."""
    frames: int = 7
    """Pictures of the film from each image to its edited one, both ends included."""


@dataclass(frozen=True, kw_only=True)
class StudySettings(CommonSettings):
    """The main job: recover real and generated digits four ways, judge the codes, and show it all on one page."""

    out: str = "study"
    """Folder for index.html and results.json."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    data: str = "digits"
    """Data set whose held-out split gives the real images."""
    count: int = 24
    """How many real images, and how many of the generator's own."""
    restarts: int = 4
    """Starts drawn from the prior for each image."""
    steps: int = 150
    """Iterations of each by gradient descent."""
    damped_steps: int = 30
    """Iterations of each by Levenberg-Marquardt."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(CommonSettings):
    """Judge a generator at its prior and between its codes, and, if asked, codes against the prior."""

    out: str = "runs/evaluate"
    """Folder for index.html and results.json."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    prior: str | None = None
    """Distribution to draw codes from and to hold codes against, by name or file; the generator's own by
    default."""
    data: str = "digits"
    """Data set to compare with, by name, folder, .npz file or hf:NAME."""
    split: SplitName = "train"
    """Split of the data to compare with."""
    extractor: str = "digits-judge"
    """Classifier through which samples are seen: a shipped one by name, or the folder of one trained on your own data."""
    count: int = 2000
    """Generated samples of each row, and reference samples at most."""
    rules: tuple[RuleName, ...] = ("lerp", "slerp", "variance-corrected", "transport")
    """Interpolation rules."""
    t: tuple[float, ...] = (0.1, 0.25, 0.5)
    """Steps between two codes; below 0 or above 1 for extrapolation."""
    codes: str | None = None
    """Folder that `latentry recover` wrote, or any file of codes z, to hold against the prior as well."""


@dataclass(frozen=True, kw_only=True)
class PriorDesignSettings(CommonSettings):
    """Design a prior whose interpolated codes look like codes of it, after Singh et al. (2019)."""

    out: str = "runs/prior"
    """Folder for prior.json, prior.png and results.json."""
    latent_dim: int = 64
    """Length of a code."""
    bins: int = 1024
    """Equal bins of the support."""
    std: float = 27.7 / 1024
    """Least standard deviation, as a fraction of the support's width; the published one by default."""
    mix: tuple[float, ...] = (0.1, 0.25, 0.5)
    """Steps between two codes to design for."""
    combine: Literal["mean", "max"] = "mean"
    """Whether the mean of their divergences is made small, or the largest."""
    smoothness: float = 0.0
    """Weight of a penalty on peaks of single bins."""
    points: int = 2
    """Above 2, means of this many codes are designed for as well."""
    support: tuple[float, float] = (-2.0, 2.0)
    """Ends of the support."""
    symmetric: bool = True
    """Whether the distribution is symmetric about the middle of its support."""
    density_ceiling: float | None = None
    """Largest density, per unit of the support; none by default."""
    entropy_floor: float | None = None
    """Least entropy of a coordinate in nats; none by default."""
    forbidden: tuple[tuple[float, float], ...] = ()
    """Intervals without mass."""
    starts: tuple[Literal["cauchy", "uniform", "laplace"], ...] = ("cauchy",)
    """Distributions from which the search begins; the best end is kept."""
    max_iterations: int = 3000
    """Steps of the search on each grid."""
    standardize: bool = False
    """Whether the designed distribution is moved and scaled to mean 0 and variance 1, as networks like their codes."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Steps between two codes that are reported."""


@dataclass(frozen=True, kw_only=True)
class PriorShowSettings(CommonSettings):
    """A prior in numbers and a figure: its distribution, and how far codes between codes are from it."""

    prior: str
    """A prior by name, a file of one, or a bare table (.npy, .npz, .json, .mat)."""
    out: str = "runs/prior-show"
    """Folder for prior.png and results.json."""
    latent_dim: int | None = None
    """Length of a code; that of the file by default, or 100 where there is none."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Steps between two codes; below 0 or above 1 for extrapolation."""
    log_scale: bool | None = None
    """Whether densities are drawn on a logarithmic scale; by default where the kurtosis is above 9."""


@dataclass(frozen=True, kw_only=True)
class PriorCompareSettings(CommonSettings):
    """Priors side by side: how far codes between codes are from each of them."""

    priors: list[str]
    """Priors by name, files of them, or bare tables."""
    out: str = "runs/prior-compare"
    """Folder for priors.png and results.json."""
    latent_dim: int = 100
    """Length of a code, for all of them."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Steps between two codes; below 0 or above 1 for extrapolation."""
