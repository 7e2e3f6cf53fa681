"""Floor 2: p(z), in the vocabulary of `torch.distributions`."""

from latentry.priors.distribution import IIDDistribution
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, Uniform
from latentry.priors.interpolation import Rule, combine, interpolate

__all__ = ["HalfUniformHalfNormal", "IIDDistribution", "IIDPrior", "Normal", "Rule", "Uniform", "combine", "interpolate"]
