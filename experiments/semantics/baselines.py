"""GANs beside the semantic models: a plain one, and one whose discriminator knows the levels.

They have no first stage and no encoder. With a discriminator alone, the decoder of the semantic models covers little of the
data, or nearly one image. So these have DCGAN's generator, with at least as many weights, and the recipe of the shipped
`digits-generator` (non-saturating, R1). Their learning rate is tried on validation images (`trials.TuningCell`).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from latentry.data.features import FeaturedImages
from latentry.models.gan import GANTraining
from latentry.models.semantic_training import SemanticGANTraining
from latentry.models.settings import GANSettings, SemanticGANSettings
from latentry.networks import DCGANGenerator, Zheng2019Discriminator, channels_last
from latentry.priors import Normal, SemanticPlacement
from latentry.training.batches import square_images

__all__ = ["RECIPE", "conditional_gan", "plain_gan"]

RECIPE: Mapping[str, Any] = {
    "objective": "non-saturating", "r1": 0.5, "r1_every": 8, "betas": (0.0, 0.99), "ema": 0.995
}  # fmt: skip
"""What both are trained with, beside their learning rate."""


def plain_gan(
    images: FeaturedImages, latent_dim: int, width: int, learning_rate: float, device: torch.device
) -> GANTraining:
    """An untrained GAN that ignores levels."""
    generator, discriminator = _networks(images, latent_dim, width, levels=0)
    prior = Normal(latent_dim).to(device)
    settings = GANSettings(generator_learning_rate=learning_rate, discriminator_learning_rate=learning_rate, **RECIPE)
    return GANTraining(generator, discriminator, prior, settings)


def conditional_gan(
    images: FeaturedImages, latent_dim: int, width: int, separation: float, learning_rate: float, device: torch.device
) -> SemanticGANTraining:
    """An untrained GAN whose discriminator alone knows the levels; codes are from the placement of the semantic models."""
    generator, discriminator = _networks(images, latent_dim, width, levels=len(images.features))
    placement = SemanticPlacement(images.features, latent_dim, exclusive=images.exclusive, separation=separation)
    settings = SemanticGANSettings(
        consistency_weight=0.0, generator_learning_rate=learning_rate, discriminator_learning_rate=learning_rate, **RECIPE
    )
    return SemanticGANTraining(generator, discriminator, nn.Identity(), placement.observed(images.a).to(device), settings)


def _networks(images: FeaturedImages, latent_dim: int, width: int, levels: int) -> tuple[nn.Module, nn.Module]:
    side, channels = square_images(images)
    return (
        channels_last(DCGANGenerator(latent_dim, side, channels, 2 * width)),
        channels_last(Zheng2019Discriminator(levels, side, channels, width, norm="none")),
    )
