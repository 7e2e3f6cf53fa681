"""Floor 2: p(z), in the vocabulary of `torch.distributions`."""

from latentry.priors.distribution import IIDDistribution
from latentry.priors.files import load_prior, save_prior
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, TruncatedCauchy, Uniform
from latentry.priors.interpolation import Rule, combine, interpolate
from latentry.priors.tabulated import Tabulated

__all__ = [
    "HalfUniformHalfNormal",
    "IIDDistribution",
    "IIDPrior",
    "Normal",
    "Rule",
    "Tabulated",
    "TruncatedCauchy",
    "Uniform",
    "combine",
    "interpolate",
    "load_prior",
    "save_prior",
]
