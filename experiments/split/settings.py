"""What can be set of the experiment of this folder; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from experiments.framework.settings import ExperimentSettings

__all__ = ["SplitPart", "SplitSettings"]

SplitPart = Literal["models", "ablations", "moons"]


@dataclass(frozen=True, kw_only=True)
class SplitSettings(ExperimentSettings):
    """Label splits of Zheng and Sun (2019) beside conditional models of the same networks, and what each part is for."""

    out: str = "runs/split"
    """Folder for index.html, results.csv, results.json, pictures, one file for each cell, and the networks."""
    parts: tuple[SplitPart, ...] = ("models", "ablations", "moons")
    """What is worked out; ablations on the first data set alone."""
    data: tuple[str, ...] = ("digits", "fashion-mnist")
    """Data sets, by name, folder or .npz file."""
    classifiers: tuple[str, ...] = ("digits-evaluator", "fashion-evaluator")
    """An evaluation classifier for each, which scores every result and teaches no model."""
    models: tuple[str, ...] = ()
    """Rows of the table of models; all of them by default, `ours` always."""
    width: int = 12
    """Channels of the encoders' first layer."""
    label_dim: int = 16
    """Length of z_s, which says what an image shows."""
    style_dim: int = 16
    """Length of z_u, which says how it looks."""
    steps: int = 2400
    """Iterations of each training."""
    batch_size: int = 64
    """Images of one iteration."""
    learning_rate: float = 1e-3
    """Learning rate of all networks."""
    flow_steps: int = 1500
    """Iterations of the flow of our own label splits."""
    count: int = 10_000
    """Samples of each model."""
    codes: int = 10_000
    """Most training images behind probes."""
    images: int = 2000
    """Most held-out images."""
    moons: int = 6000
    """Points of the toy in two dimensions."""
    moons_steps: int = 3000
    """Iterations on it."""
