"""The solvers of `recover_codes`, and what keeps codes in the prior during recovery."""

from latentry.latent.projection import quantile_projection
from latentry.latent.resampling import BoundaryResampling, LogisticResampling, TruncatedNormalResampling
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.lbfgs import LBFGS
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt

__all__ = [
    "Adam",
    "BoundaryResampling",
    "LBFGS",
    "LevenbergMarquardt",
    "LogisticResampling",
    "TruncatedNormalResampling",
    "quantile_projection",
]
