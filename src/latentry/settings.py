"""Settings of trainings; nothing here imports torch."""

from latentry.latent.settings import EncoderSettings, InverseSettings
from latentry.models.settings import (
    ClassifierSettings,
    ConditionalSettings,
    GANSettings,
    LabelSplitSettings,
    LabelSplitWeights,
    SemanticGANSettings,
    SemanticSettings,
    SemanticVAESettings,
)

__all__ = [
    "ClassifierSettings",
    "ConditionalSettings",
    "EncoderSettings",
    "GANSettings",
    "InverseSettings",
    "LabelSplitSettings",
    "LabelSplitWeights",
    "SemanticGANSettings",
    "SemanticSettings",
    "SemanticVAESettings",
]
