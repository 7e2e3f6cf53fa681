"""Settings of trainings; nothing here imports torch."""

from latentry.latent.settings import EncoderSettings, InverseSettings
from latentry.models.settings import (
    ClassifierSettings,
    GANSettings,
    LabelSplitSettings,
    LabelSplitWeights,
    SemanticGANSettings,
    SemanticSettings,
    SemanticVAESettings,
)

__all__ = [
    "ClassifierSettings",
    "EncoderSettings",
    "GANSettings",
    "InverseSettings",
    "LabelSplitSettings",
    "LabelSplitWeights",
    "SemanticGANSettings",
    "SemanticSettings",
    "SemanticVAESettings",
]
