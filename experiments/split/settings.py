"""What the experiment of this folder can be told; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from experiments.frame.settings import ExperimentSettings

__all__ = ["LabelSplitPart", "SplitSettings"]

LabelSplitPart = Literal["models", "ablations", "moons"]


@dataclass(frozen=True, kw_only=True)
class SplitSettings(ExperimentSettings):
    """Label splits of Zheng and Sun (2019) beside conditional models of the same networks, and what each part is for."""

    out: str = "runs/split"
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
