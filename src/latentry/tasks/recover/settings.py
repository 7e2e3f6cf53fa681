"""Settings of `latentry recover`; no torch is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from latentry.ranges import check_number
from latentry.tasks.settings import GeneratorSettings, SplitName, refuse_unused

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
class RecoverSettings(GeneratorSettings):
    """Find the codes from which a generator makes your images, and test whether they could come from its prior."""

    images: list[str] = field(default_factory=list)
    """Image files or folders of them."""
    out: str = "runs/recover"
    """Folder for codes, pictures and the report; the same command continues a run that was killed."""
    data: str | None = None
    """A data set in place of image files: a name, a folder, an .npz file or hf:NAME. For a generator of other data than
    square images an array of them: a .npy, .npz, .csv or .safetensors file."""
    split: SplitName = "held-out"
    """The split of the data set to recover."""
    solver: SolverName = "auto"
    """The optimiser. auto takes Levenberg-Marquardt, which finds true codes, or Adam for an l1 difference and for very long
    codes."""
    steps: int | None = None
    """Largest number of iterations from each start; the solver's own number by default."""
    learning_rate: float | None = None
    """Highest learning rate of Adam; its own by default."""
    inverse: str | None = None
    """Folder of an inverse of this generator (`latentry train inverse` or `encoder`) that gives the first start; without one
    the prior does."""
    restarts: int | None = None
    """Largest number of starts for each image; by default 24 where they run one after another, and 4 where side by side."""
    regularizer: RegularizerName = "none"
    """Penalty that keeps codes near the prior. There is none by default: without it the code that made an image is found,
    and any penalty moves it away. If the report finds your codes too wide, which is usual for images that the generator
    cannot make, try l2 (normal priors) or wasserstein with a small weight."""
    weight: float = 0.04
    """Weight of the regularizer, against the mean squared difference to the image over the variance of the generator's own
    images."""
    resampling: ResamplingName = "none"
    """Rule by which Adam draws single elements of a code again; its probabilities are for the whole run."""
    resampling_bound: float = 3.0
    """Absolute value of an element above which it is drawn again (logistic: with probability one half there); 1 suits the
    uniform prior on [-1, 1]."""
    difference: Literal["l2", "l1"] = "l2"
    """How images are compared: mean squared (l2) or mean absolute (l1) difference of pixels."""
    mask: str | None = None
    """An image: white where yours are seen, black where they are hidden or broken."""
    downsample: int = 1
    """How many times smaller than the generator's your images are, along each side: K by K pixels are seen as their mean."""
    self_check: int = 20
    """How many of the generator's own images to recover first: their codes are known, so they show what success to expect
    on yours. With 19 or more, each of your images gets a p-value of being the generator's own. Each takes as long as one of
    your images; 0 leaves the check out."""
    shard_size: int = 256
    """How many images are in memory at once, and codes in each file."""
    batch_size: int = 1024
    """How many codes are optimised at once, all starts counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("restarts", "shard_size", "batch_size"):
            if getattr(self, name) is not None:
                check_number(f"--{name}", getattr(self, name), 1)
        for name in ("weight", "self_check"):
            check_number(f"--{name}", getattr(self, name), 0)
        if self.steps is not None:
            check_number("--steps", self.steps, 1)
        if self.data is None:
            refuse_unused(self, ["split"], "--data")
        if self.regularizer == "none":
            refuse_unused(self, ["weight"], "a --regularizer, such as l2,")
        if self.resampling == "none":
            refuse_unused(self, ["resampling_bound"], "a --resampling, such as boundary, and --solver adam")
