"""Floor 2: p(z), in the vocabulary of `torch.distributions`."""

from latentry.priors.distribution import IIDDistribution
from latentry.priors.iid import HalfUniformHalfNormal, IIDPrior, Normal, Uniform

__all__ = ["HalfUniformHalfNormal", "IIDDistribution", "IIDPrior", "Normal", "Uniform"]
