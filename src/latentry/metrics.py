"""Metrics: differences of data, and figures of a basis."""

from latentry.evaluation.active_dimensions import ActiveDimensions, active_dimensions
from latentry.evaluation.basis import evaluate_basis
from latentry.evaluation.paths import evaluate_paths
from latentry.evaluation.samples import evaluate_samples
from latentry.latent.differences import Difference
from latentry.latent.provenance import is_from
from latentry.numerics.ranks import roc_auc

__all__ = [
    "ActiveDimensions",
    "Difference",
    "active_dimensions",
    "evaluate_basis",
    "evaluate_paths",
    "evaluate_samples",
    "is_from",
    "roc_auc",
]
