"""Settings of each `latentry prior`; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from latentry.tasks.settings import CommonSettings

__all__ = ["PriorCompareSettings", "PriorDesignSettings", "PriorShowSettings"]


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
