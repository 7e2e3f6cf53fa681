"""What can be set of the experiment of this folder; no torch is imported here."""

from dataclasses import dataclass

from experiments.framework.settings import ExperimentSettings

__all__ = ["PriorsSettings"]


@dataclass(frozen=True, kw_only=True)
class PriorsSettings(ExperimentSettings):
    """The table of Singh et al. (2019): generators under different priors, evaluated at the prior and between codes."""

    out: str = "runs/priors"
    """Folder for index.html, results.json, one file for each cell, and the generators."""
    data: tuple[str, ...] = ("digits", "fashion-mnist")
    """Data sets, by name, folder or .npz file."""
    extractors: tuple[str, ...] = ("digits-evaluator", "fashion-evaluator")
    """Classifiers by whose features the samples of each are evaluated: shipped ones by name, or folders of your own."""
    priors: tuple[str, ...] = ()
    """Rows of the table; all of them by default, the normal prior always."""
    published: str | None = None
    """The published table of masses (.npy or .mat); without it the authors' problem is solved again."""
    bins: int = 1024
    """Bins of a designed prior."""
    radius_bins: int = 128
    """Bins of a designed radius."""
    latent_dim: int = 100
    """Length of a code."""
    width: int = 24
    """Channels of the generator's last and the discriminator's first hidden layer."""
    steps: int = 5000
    """Iterations of each training."""
    batch_size: int = 16
    """Images of one iteration."""
    learning_rate: float = 2e-3
    """Learning rate of both networks."""
    count: int = 10_000
    """Generated samples of each row."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Steps between two codes."""
    trade_off: bool = True
    """Train one generator for each of a family of designs too, on the last data set."""
