"""What `latentry recover` can be told; no torch is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from latentry.tasks.settings import CommonSettings, SplitName

__all__ = ["RecoverSettings", "RegularizerName", "ResamplingName", "SolverName"]

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
ResamplingName = Literal["none", "boundary", "logistic", "truncated-normal"]


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
