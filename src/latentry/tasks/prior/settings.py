"""Settings of each `latentry prior`; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from latentry.tasks.settings import CommonSettings

__all__ = ["PriorCompareSettings", "PriorDesignSettings", "PriorFitSettings", "PriorShowSettings"]


@dataclass(frozen=True, kw_only=True)
class PriorDesignSettings(CommonSettings):
    """Design a prior whose interpolated codes have almost the distribution of its codes, after Singh et al. (2019)."""

    out: str = "runs/prior"
    """Folder for prior.json, prior.png and results.json."""
    latent_dim: int = 64
    """Length of a code."""
    bins: int = 1024
    """Number of equal bins of the support."""
    std: float = 27.7 / 1024
    """Smallest standard deviation, as a fraction of the support's width; the published one by default."""
    mix: tuple[float, ...] = (0.1, 0.25, 0.5)
    """Interpolation steps t of the design, between 0 and 1."""
    combine: Literal["mean", "max"] = "mean"
    """What is minimised over these steps: the mean divergence, or the largest one."""
    smoothness: float = 0.0
    """Weight of a penalty on differences of neighbouring bins."""
    points: int = 2
    """Above 2, the design covers means of up to this many codes as well."""
    support: tuple[float, float] = (-2.0, 2.0)
    """Lower and upper end of the support."""
    symmetric: bool = True
    """Whether the distribution is symmetric about the middle of its support."""
    density_ceiling: float | None = None
    """Largest density, per unit of the support; none by default."""
    entropy_floor: float | None = None
    """Smallest entropy of a coordinate, in nats; none by default."""
    forbidden: tuple[tuple[float, float], ...] = ()
    """Intervals where the density is 0."""
    starts: tuple[Literal["cauchy", "uniform", "laplace"], ...] = ("cauchy",)
    """Distributions from which the search starts; the best result counts."""
    max_iterations: int = 3000
    """Steps of the search on each grid."""
    standardize: bool = False
    """Whether the designed distribution is standardised: mean 0 and variance 1."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Interpolation steps t of the report."""


@dataclass(frozen=True, kw_only=True)
class PriorFitSettings(CommonSettings):
    """Fit a prior to codes, choose its family on codes kept back, and judge it by others."""

    codes: str
    """Codes: a .npy, .npz or .safetensors file, or a folder of `latentry recover`."""
    out: str = "runs/prior-fit"
    """Folder for prior.json, prior.png and results.json."""
    family: Literal["best", "standard-normal", "independent-normal", "normal", "copula", "mixture", "flow"] = "best"
    """The family that is fitted; `best` fits all and chooses."""


@dataclass(frozen=True, kw_only=True)
class PriorShowSettings(CommonSettings):
    """Show a prior in numbers and a figure: its distribution, and its mismatch with interpolated codes."""

    prior: str
    """A prior by name, a file of one, or a bare table (.npy, .npz, .json, .mat)."""
    out: str = "runs/prior-show"
    """Folder for prior.png and results.json."""
    latent_dim: int | None = None
    """Length of a code; that of the file by default, or 100 where there is none."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Interpolation steps t; below 0 or above 1 for extrapolation."""
    log_scale: bool | None = None
    """Whether densities are drawn on a logarithmic scale; by default if the kurtosis is above 9."""


@dataclass(frozen=True, kw_only=True)
class PriorCompareSettings(CommonSettings):
    """Compare priors by their mismatch with interpolated codes."""

    priors: list[str]
    """Priors by name, files of them, or bare tables."""
    out: str = "runs/prior-compare"
    """Folder for priors.png and results.json."""
    latent_dim: int = 100
    """Length of a code, for all of them."""
    t: tuple[float, ...] = (0.5, 0.25, 0.1)
    """Interpolation steps t; below 0 or above 1 for extrapolation."""
