"""Regularizers of `recover_codes`, which pull codes towards the prior, and schedules of their weight."""

from latentry.latent.discriminator_loss import DiscriminatorLoss
from latentry.latent.likelihood import NegativeLogPrior, NormShell
from latentry.latent.regularizers import L2, AbsoluteValue, ComponentDistance, StatisticalDistance, WeightedSum
from latentry.latent.schedules import Annealed

__all__ = [
    "AbsoluteValue",
    "Annealed",
    "ComponentDistance",
    "DiscriminatorLoss",
    "L2",
    "NegativeLogPrior",
    "NormShell",
    "StatisticalDistance",
    "WeightedSum",
]
