"""Floor 2: priors p(z), with the names of `torch.distributions`."""

import latentry.priors.divergence  # noqa: F401 - registers what torch's kl_divergence knows of priors
from latentry.priors.adapters import as_prior
from latentry.priors.copula import Copula
from latentry.priors.design_report import Design
from latentry.priors.designer import Designed, design_interpolable, redesign_singh2019
from latentry.priors.designer_problem import Constraint, Moment
from latentry.priors.diagonal_normal import DiagonalNormal
from latentry.priors.distribution import IIDDistribution
from latentry.priors.files import SavedPrior, UnlabelledPrior, load_prior, save_prior
from latentry.priors.flow import Flow
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, TruncatedCauchy, Uniform
from latentry.priors.interpolation import Rule, combine, interpolate
from latentry.priors.labelled import NormalMixture, NormalMixtureDistribution
from latentry.priors.mismatch import DensityCurves, Mismatch, NormCurves, density_curves, mismatch, norm_curves
from latentry.priors.multivariate_normal import MultivariateNormal
from latentry.priors.normal_mixture import MultivariateNormalMixture
from latentry.priors.placement import Combination, SemanticPlacement
from latentry.priors.pushforward import Pushforward, PushforwardDistribution
from latentry.priors.radial import GammaRadius, LogUniformRadius, RadialPrior, SphericalCauchy
from latentry.priors.radial_distribution import RadialDistribution
from latentry.priors.radius_designer import RadiusDesign, design_radial, design_radius
from latentry.priors.summary import Summary, summarize
from latentry.priors.tabulated import Tabulated
from latentry.priors.trained_mixture import TrainedMixture

__all__ = [
    "Combination",
    "Constraint",
    "Copula",
    "DensityCurves",
    "Design",
    "Designed",
    "DiagonalNormal",
    "Flow",
    "GammaRadius",
    "HalfUniformHalfNormal",
    "IIDDistribution",
    "IIDPrior",
    "LogUniformRadius",
    "Mismatch",
    "Moment",
    "MultivariateNormal",
    "MultivariateNormalMixture",
    "NormCurves",
    "Normal",
    "NormalMixture",
    "NormalMixtureDistribution",
    "Pushforward",
    "PushforwardDistribution",
    "RadialDistribution",
    "RadialPrior",
    "RadiusDesign",
    "Rule",
    "SavedPrior",
    "SemanticPlacement",
    "SphericalCauchy",
    "Summary",
    "Tabulated",
    "TruncatedCauchy",
    "Uniform",
    "TrainedMixture",
    "UnlabelledPrior",
    "as_prior",
    "combine",
    "density_curves",
    "design_interpolable",
    "design_radial",
    "design_radius",
    "interpolate",
    "load_prior",
    "mismatch",
    "norm_curves",
    "redesign_singh2019",
    "save_prior",
    "summarize",
]
