"""Types of the results of Latentry's functions, for annotations."""

from latentry.data.recovered import RecoveredCodes
from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.evaluation.fitted_prior import FittedPrior
from latentry.latent.inverse_report import DataReport, InverseReport
from latentry.latent.provenance import Provenance
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.latent.recovery import Recovery

__all__ = [
    "DataReport",
    "FittedPrior",
    "GoodnessOfFit",
    "InverseReport",
    "Provenance",
    "QuasiEigenbasis",
    "RecoveredCodes",
    "Recovery",
]
