"""Carpentry for latent spaces.

Names are resolved when they are first used, so that `import latentry` (and `latentry --help`) does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentry import priors as priors
    from latentry.data.recovered import RecoveredCodes as RecoveredCodes
    from latentry.data.recovered import load_codes as load_codes
    from latentry.data.sources import load_dataset as load_dataset
    from latentry.evaluation.codes import GoodnessOfFit as GoodnessOfFit
    from latentry.evaluation.codes import goodness_of_fit as goodness_of_fit
    from latentry.evaluation.paths import evaluate_paths as evaluate_paths
    from latentry.evaluation.samples import evaluate_samples as evaluate_samples
    from latentry.latent.differences import Difference as Difference
    from latentry.latent.discriminator_loss import DiscriminatorLoss as DiscriminatorLoss
    from latentry.latent.encoding import fit_encoder as fit_encoder
    from latentry.latent.inverse import DataReport as DataReport
    from latentry.latent.inverse import Inverse as Inverse
    from latentry.latent.inverse import InverseReport as InverseReport
    from latentry.latent.inverse import fit_inverse as fit_inverse
    from latentry.latent.inverse import load_inverse as load_inverse
    from latentry.latent.inverse import save_inverse as save_inverse
    from latentry.latent.likelihood import NegativeLogPrior as NegativeLogPrior
    from latentry.latent.likelihood import NormShell as NormShell
    from latentry.latent.measurements import Downsample as Downsample
    from latentry.latent.measurements import RandomProjection as RandomProjection
    from latentry.latent.measurements import hide_box as hide_box
    from latentry.latent.measurements import keep_box as keep_box
    from latentry.latent.measurements import keep_share as keep_share
    from latentry.latent.projection import quantile_projection as quantile_projection
    from latentry.latent.provenance import Provenance as Provenance
    from latentry.latent.provenance import is_from as is_from
    from latentry.latent.recovery import Recovery as Recovery
    from latentry.latent.recovery import recover_codes as recover_codes
    from latentry.latent.regularizers import L2 as L2
    from latentry.latent.regularizers import AbsoluteValue as AbsoluteValue
    from latentry.latent.regularizers import ComponentDistance as ComponentDistance
    from latentry.latent.regularizers import StatisticalDistance as StatisticalDistance
    from latentry.latent.regularizers import WeightedSum as WeightedSum
    from latentry.latent.resampling import BoundaryResampling as BoundaryResampling
    from latentry.latent.resampling import LogisticResampling as LogisticResampling
    from latentry.latent.resampling import TruncatedNormalResampling as TruncatedNormalResampling
    from latentry.latent.schedules import Annealed as Annealed
    from latentry.latent.solvers.adam import Adam as Adam
    from latentry.latent.solvers.lbfgs import LBFGS as LBFGS
    from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
    from latentry.models.pretrained import Pretrained as Pretrained
    from latentry.models.pretrained import load_pretrained as load_pretrained
    from latentry.models.pretrained import save_pretrained as save_pretrained
    from latentry.numerics.ranks import roc_auc as roc_auc
    from latentry.priors.interpolation import interpolate as interpolate
    from latentry.priors.mismatch import mismatch as mismatch

_HOMES = {
    "AbsoluteValue": "latent.regularizers",
    "Adam": "latent.solvers.adam",
    "Annealed": "latent.schedules",
    "BoundaryResampling": "latent.resampling",
    "ComponentDistance": "latent.regularizers",
    "DataReport": "latent.inverse",
    "Difference": "latent.differences",
    "DiscriminatorLoss": "latent.discriminator_loss",
    "Downsample": "latent.measurements",
    "GoodnessOfFit": "evaluation.codes",
    "Inverse": "latent.inverse",
    "InverseReport": "latent.inverse",
    "L2": "latent.regularizers",
    "LBFGS": "latent.solvers.lbfgs",
    "LevenbergMarquardt": "latent.solvers.levenberg_marquardt",
    "LogisticResampling": "latent.resampling",
    "NegativeLogPrior": "latent.likelihood",
    "NormShell": "latent.likelihood",
    "Pretrained": "models.pretrained",
    "Provenance": "latent.provenance",
    "RandomProjection": "latent.measurements",
    "RecoveredCodes": "data.recovered",
    "Recovery": "latent.recovery",
    "StatisticalDistance": "latent.regularizers",
    "TruncatedNormalResampling": "latent.resampling",
    "WeightedSum": "latent.regularizers",
    "evaluate_paths": "evaluation.paths",
    "evaluate_samples": "evaluation.samples",
    "fit_encoder": "latent.encoding",
    "fit_inverse": "latent.inverse",
    "goodness_of_fit": "evaluation.codes",
    "hide_box": "latent.measurements",
    "interpolate": "priors.interpolation",
    "is_from": "latent.provenance",
    "keep_box": "latent.measurements",
    "keep_share": "latent.measurements",
    "load_codes": "data.recovered",
    "load_dataset": "data.sources",
    "load_inverse": "latent.inverse",
    "load_pretrained": "models.pretrained",
    "mismatch": "priors.mismatch",
    "quantile_projection": "latent.projection",
    "recover_codes": "latent.recovery",
    "roc_auc": "numerics.ranks",
    "save_inverse": "latent.inverse",
    "save_pretrained": "models.pretrained",
}

__all__ = ["priors", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name == "priors":
        return importlib.import_module("latentry.priors")
    if name in _HOMES:
        return getattr(importlib.import_module(f"latentry.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'latentry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
