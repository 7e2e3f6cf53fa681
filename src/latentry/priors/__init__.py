"""Floor 2: p(z), in the vocabulary of `torch.distributions`."""

from latentry.priors.designer import Constraint, Design, Designed, Moment, design_interpolable, redesign_singh2019
from latentry.priors.distribution import IIDDistribution
from latentry.priors.files import load_prior, save_prior
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, TruncatedCauchy, Uniform
from latentry.priors.interpolation import Rule, combine, interpolate
from latentry.priors.tabulated import Tabulated

__all__ = [
    "Constraint",
    "Design",
    "Designed",
    "HalfUniformHalfNormal",
    "IIDDistribution",
    "IIDPrior",
    "Moment",
    "Normal",
    "Rule",
    "Tabulated",
    "TruncatedCauchy",
    "Uniform",
    "combine",
    "design_interpolable",
    "interpolate",
    "load_prior",
    "redesign_singh2019",
    "save_prior",
]
