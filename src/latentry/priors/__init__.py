"""Floor 2: p(z), in the vocabulary of `torch.distributions`."""

from latentry.priors.coordinates import iid_coordinates
from latentry.priors.designer import Constraint, Design, Designed, Moment, design_interpolable, redesign_singh2019
from latentry.priors.distribution import IIDDistribution
from latentry.priors.files import UnlabelledPrior, load_prior, save_prior
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, TruncatedCauchy, Uniform
from latentry.priors.interpolation import Rule, combine, interpolate
from latentry.priors.labelled import DiagonalNormal, NormalMixture, NormalMixtureDistribution
from latentry.priors.radial import GammaRadius, LogUniformRadius, RadialDistribution, RadialPrior, SphericalCauchy
from latentry.priors.radius_designer import RadiusDesign, design_radius
from latentry.priors.tabulated import Tabulated

__all__ = [
    "Constraint",
    "Design",
    "Designed",
    "DiagonalNormal",
    "GammaRadius",
    "HalfUniformHalfNormal",
    "IIDDistribution",
    "IIDPrior",
    "LogUniformRadius",
    "Moment",
    "Normal",
    "NormalMixture",
    "NormalMixtureDistribution",
    "RadialDistribution",
    "RadialPrior",
    "RadiusDesign",
    "Rule",
    "SphericalCauchy",
    "Tabulated",
    "TruncatedCauchy",
    "Uniform",
    "UnlabelledPrior",
    "combine",
    "design_interpolable",
    "design_radius",
    "iid_coordinates",
    "interpolate",
    "load_prior",
    "redesign_singh2019",
    "save_prior",
]
