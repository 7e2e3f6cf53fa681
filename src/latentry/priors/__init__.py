"""Floor 2: p(z), in the vocabulary of `torch.distributions`."""

from latentry.priors.coordinates import iid_coordinates
from latentry.priors.distribution import IIDDistribution
from latentry.priors.files import load_prior, save_prior
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, TruncatedCauchy, Uniform
from latentry.priors.interpolation import Rule, combine, interpolate
from latentry.priors.radial import GammaRadius, RadialDistribution, RadialPrior, SphericalCauchy
from latentry.priors.tabulated import Tabulated

__all__ = [
    "GammaRadius",
    "HalfUniformHalfNormal",
    "IIDDistribution",
    "IIDPrior",
    "Normal",
    "RadialDistribution",
    "RadialPrior",
    "Rule",
    "SphericalCauchy",
    "Tabulated",
    "TruncatedCauchy",
    "Uniform",
    "combine",
    "iid_coordinates",
    "interpolate",
    "load_prior",
    "save_prior",
]
