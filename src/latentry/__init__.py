"""Carpentry for latent spaces.

Names are resolved when they are first used, so that `import latentry` (and `latentry --help`) does not wait for torch.
"""

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from latentry import priors as priors
    from latentry.data.recovered import RecoveredCodes as RecoveredCodes
    from latentry.data.recovered import load_codes as load_codes
    from latentry.data.sources import load_dataset as load_dataset
    from latentry.evaluation.basis import evaluate_basis as evaluate_basis
    from latentry.evaluation.codes import GoodnessOfFit as GoodnessOfFit
    from latentry.evaluation.codes import goodness_of_fit as goodness_of_fit
    from latentry.evaluation.paths import evaluate_paths as evaluate_paths
    from latentry.evaluation.samples import evaluate_samples as evaluate_samples
    from latentry.interfaces import LatentModel as LatentModel
    from latentry.latent.boundaries import boundary_directions as boundary_directions
    from latentry.latent.boundaries import conditional_projection as conditional_projection
    from latentry.latent.boundaries import fisher_directions as fisher_directions
    from latentry.latent.boundaries import fit_linear_classifier as fit_linear_classifier
    from latentry.latent.differences import Difference as Difference
    from latentry.latent.directions import activation_directions as activation_directions
    from latentry.latent.directions import first_weight_directions as first_weight_directions
    from latentry.latent.directions import match_labels as match_labels
    from latentry.latent.directions import principal_directions as principal_directions
    from latentry.latent.directions import random_directions as random_directions
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
    from latentry.latent.measurements import Blur as Blur
    from latentry.latent.measurements import Downsample as Downsample
    from latentry.latent.measurements import RandomProjection as RandomProjection
    from latentry.latent.measurements import hide_box as hide_box
    from latentry.latent.measurements import keep_box as keep_box
    from latentry.latent.measurements import keep_share as keep_share
    from latentry.latent.operators import conditional_direction as conditional_direction
    from latentry.latent.operators import project_onto as project_onto
    from latentry.latent.operators import project_out as project_out
    from latentry.latent.operators import reflect as reflect
    from latentry.latent.operators import rotate as rotate
    from latentry.latent.operators import rotate_along as rotate_along
    from latentry.latent.operators import rotate_to_component as rotate_to_component
    from latentry.latent.operators import rotate_to_margin as rotate_to_margin
    from latentry.latent.operators import rotate_to_phase as rotate_to_phase
    from latentry.latent.operators import rotate_towards as rotate_towards
    from latentry.latent.operators import rotate_within as rotate_within
    from latentry.latent.operators import rotation_matrix as rotation_matrix
    from latentry.latent.operators import skew_rotation as skew_rotation
    from latentry.latent.operators import transition as transition
    from latentry.latent.operators import translate as translate
    from latentry.latent.operators import translate_to_margin as translate_to_margin
    from latentry.latent.projection import quantile_projection as quantile_projection
    from latentry.latent.provenance import Provenance as Provenance
    from latentry.latent.provenance import is_from as is_from
    from latentry.latent.quasi_eigenbasis import QuasiEigenbasis as QuasiEigenbasis
    from latentry.latent.quasi_eigenbasis import energy_share as energy_share
    from latentry.latent.quasi_eigenbasis import label_ranks as label_ranks
    from latentry.latent.quasi_eigenbasis import load_basis as load_basis
    from latentry.latent.quasi_eigenbasis import save_basis as save_basis
    from latentry.latent.quasi_eigenbasis import spectral_labels as spectral_labels
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
    from latentry.latent.spectral import basis_from_codes as basis_from_codes
    from latentry.latent.spectral import quasi_eigenvectors as quasi_eigenvectors
    from latentry.latent.spectral import quasi_eigenvectors_toledo2023 as quasi_eigenvectors_toledo2023
    from latentry.models.classifier import Classifier as Classifier
    from latentry.models.generative import GenerativeModel as GenerativeModel
    from latentry.models.label_split import LabelSplit as LabelSplit
    from latentry.models.saving import load_model as load_model
    from latentry.models.saving import save_model as save_model
    from latentry.models.semantic import SemanticModel as SemanticModel
    from latentry.numerics.ranks import roc_auc as roc_auc
    from latentry.priors.interpolation import interpolate as interpolate
    from latentry.priors.mismatch import mismatch as mismatch

_HOMES = {
    "AbsoluteValue": "latent.regularizers",
    "Adam": "latent.solvers.adam",
    "Annealed": "latent.schedules",
    "Blur": "latent.measurements",
    "BoundaryResampling": "latent.resampling",
    "Classifier": "models.classifier",
    "ComponentDistance": "latent.regularizers",
    "DataReport": "latent.inverse",
    "Difference": "latent.differences",
    "DiscriminatorLoss": "latent.discriminator_loss",
    "Downsample": "latent.measurements",
    "GenerativeModel": "models.generative",
    "GoodnessOfFit": "evaluation.codes",
    "Inverse": "latent.inverse",
    "InverseReport": "latent.inverse",
    "L2": "latent.regularizers",
    "LBFGS": "latent.solvers.lbfgs",
    "LabelSplit": "models.label_split",
    "LatentModel": "interfaces",
    "LevenbergMarquardt": "latent.solvers.levenberg_marquardt",
    "LogisticResampling": "latent.resampling",
    "NegativeLogPrior": "latent.likelihood",
    "NormShell": "latent.likelihood",
    "Provenance": "latent.provenance",
    "QuasiEigenbasis": "latent.quasi_eigenbasis",
    "RandomProjection": "latent.measurements",
    "RecoveredCodes": "data.recovered",
    "Recovery": "latent.recovery",
    "SemanticModel": "models.semantic",
    "StatisticalDistance": "latent.regularizers",
    "TruncatedNormalResampling": "latent.resampling",
    "WeightedSum": "latent.regularizers",
    "activation_directions": "latent.directions",
    "basis_from_codes": "latent.spectral",
    "boundary_directions": "latent.boundaries",
    "conditional_direction": "latent.operators",
    "conditional_projection": "latent.boundaries",
    "energy_share": "latent.quasi_eigenbasis",
    "evaluate_basis": "evaluation.basis",
    "evaluate_paths": "evaluation.paths",
    "evaluate_samples": "evaluation.samples",
    "first_weight_directions": "latent.directions",
    "fisher_directions": "latent.boundaries",
    "fit_encoder": "latent.encoding",
    "fit_inverse": "latent.inverse",
    "fit_linear_classifier": "latent.boundaries",
    "goodness_of_fit": "evaluation.codes",
    "hide_box": "latent.measurements",
    "interpolate": "priors.interpolation",
    "is_from": "latent.provenance",
    "keep_box": "latent.measurements",
    "keep_share": "latent.measurements",
    "label_ranks": "latent.quasi_eigenbasis",
    "load_basis": "latent.quasi_eigenbasis",
    "load_codes": "data.recovered",
    "load_dataset": "data.sources",
    "load_inverse": "latent.inverse",
    "load_model": "models.saving",
    "match_labels": "latent.directions",
    "mismatch": "priors.mismatch",
    "principal_directions": "latent.directions",
    "project_onto": "latent.operators",
    "project_out": "latent.operators",
    "quantile_projection": "latent.projection",
    "quasi_eigenvectors": "latent.spectral",
    "quasi_eigenvectors_toledo2023": "latent.spectral",
    "random_directions": "latent.directions",
    "recover_codes": "latent.recovery",
    "reflect": "latent.operators",
    "roc_auc": "numerics.ranks",
    "rotate": "latent.operators",
    "rotate_along": "latent.operators",
    "rotate_to_component": "latent.operators",
    "rotate_to_margin": "latent.operators",
    "rotate_to_phase": "latent.operators",
    "rotate_towards": "latent.operators",
    "rotate_within": "latent.operators",
    "rotation_matrix": "latent.operators",
    "save_basis": "latent.quasi_eigenbasis",
    "save_inverse": "latent.inverse",
    "save_model": "models.saving",
    "skew_rotation": "latent.operators",
    "spectral_labels": "latent.quasi_eigenbasis",
    "transition": "latent.operators",
    "translate": "latent.operators",
    "translate_to_margin": "latent.operators",
}

__all__ = ["priors", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("latentry")
    if name == "priors":
        return importlib.import_module("latentry.priors")
    if name in _HOMES:
        return getattr(importlib.import_module(f"latentry.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'latentry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
