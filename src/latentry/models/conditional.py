r"""Conditional models with the networks of the label split: VAE, conditional VAE, conditional GAN, and CVAE-GAN.

========================= ======= ====== =============
model                     encoder labels discriminator
========================= ======= ====== =============
VAE                       yes     no     no
conditional VAE           yes     yes    no
conditional GAN           no      yes    yes
conditional VAE with GAN  yes     yes    yes
========================= ======= ====== =============

With labels a code is (e_y, z_u): a one-hot vector of the label instead of an encoded z_s. The encoder
minimises :math:`w_{rec} L_{rec} + w_{kl} L_{kl}`, the decoder
:math:`w_{rec} L_{rec} - w_{adv} (D(\hat x, y) + D(x', y'))`, the discriminator the hinge loss over the terms that exist.
Weights, and means over pixels and coordinates, are those of the label split.

References: Kingma and Welling, "Auto-encoding variational Bayes", 2014; Sohn, Lee, Yan, "Learning structured output
representation using deep conditional generative models", 2015; Mirza and Osindero, "Conditional generative adversarial
nets", 2014, with the discriminator of Miyato and Koyama, 2018; Bao et al., "CVAE-GAN", 2017.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot
from torch.optim import Adam

from latentry.models.gan import discriminator_loss
from latentry.models.label_split_losses import three_term_hinge
from latentry.models.posteriors import normal_posterior, standard_normal
from latentry.models.settings import LabelSplitWeights
from latentry.priors import NormalMixture
from latentry.training.loop import Update

__all__ = ["ConditionalTraining"]

_EXACT = 1e-3
"""Deviation of the part of a code that is the label: a posterior needs one."""


class ConditionalTraining:
    """The networks of one of these models and the step that trains them on batches `(x, y)`.

    Args:
        decoder: Codes to data; of (e_y, z_u) with labels, of z_u alone without.
        style_dim: Length of z_u.
        num_classes: Number of labels; 0 for a model without.
        encoder: Data, and labels if there are any, to mean and log variance of z_u.
        discriminator: Data and labels to scores.
        weights: Of the losses; those of reconstruction, divergence and adversarial are used.
        learning_rate: Learning rate of Adam.
        betas: Adam's decay rates.

    Raises:
        ValueError: There is neither encoder nor discriminator, or a discriminator without labels.
    """

    def __init__(
        self,
        decoder: nn.Module,
        style_dim: int,
        num_classes: int = 0,
        encoder: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        *,
        weights: LabelSplitWeights = LabelSplitWeights(),  # noqa: B008  # frozen
        learning_rate: float = 5e-4,
        betas: tuple[float, float] = (0.0, 0.9),
    ) -> None:
        if encoder is None and discriminator is None:
            raise ValueError("expected an encoder, a discriminator or both, got neither; nothing would teach the decoder")
        if discriminator is not None and not num_classes:
            raise ValueError("expected labels with a discriminator, got num_classes of 0; use latentry.models.gan without")
        self.style_dim, self.num_classes, self.weights = style_dim, num_classes, weights
        parts = {"decoder": decoder, "encoder": encoder, "discriminator": discriminator}
        self.networks: dict[str, nn.Module] = {name: part for name, part in parts.items() if part is not None}
        self.averages: dict[str, Any] = {}
        self.optimizers: dict[str, Any] = {
            name: Adam(part.parameters(), lr=learning_rate, betas=betas, fused=True) for name, part in self.networks.items()
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One iteration: the discriminator first, then all others from one pass."""
        x, y = batch
        weights = self.weights
        losses: dict[str, Tensor] = {}
        logged: dict[str, Tensor] = {}
        x_hat = None
        if "encoder" in self.networks:
            style = normal_posterior(self._encoded(x, y))
            x_hat = self.networks["decoder"](self.code(style.rsample(rng=rng), y))
            reconstruction = (x_hat - x).square().mean()
            divergence = kl_divergence(style, standard_normal(style)).mean() / self.style_dim
            logged = {"reconstruction": reconstruction, "divergence": divergence}
            losses["encoder"] = weights.reconstruction * reconstruction + weights.divergence * divergence
            losses["decoder"] = losses["encoder"]
        if "discriminator" in self.networks:
            adversarial, logged["discriminator"] = self._play(x, x_hat, y, rng, update)
            logged["adversarial"] = adversarial
            losses["decoder"] = weights.adversarial * adversarial
            if x_hat is not None:
                losses["decoder"] = losses["decoder"] + weights.reconstruction * reconstruction
        update(losses)
        return logged

    def code(self, z_u: Float[Tensor, "n u"], y: Int[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """A whole code of styles and labels; the styles alone where there are no labels."""
        return torch.cat([one_hot(y, self.num_classes).to(z_u), z_u], 1) if self.num_classes else z_u

    def prior(self, probs: Float[Tensor, "k"] | None = None) -> NormalMixture:
        """Distribution of whole codes; one component of N(0, I) where there are no labels."""
        if not self.num_classes:
            return NormalMixture(torch.zeros(1, self.style_dim), torch.ones(1, self.style_dim))
        unit = torch.eye(self.num_classes)
        return NormalMixture(unit, torch.full_like(unit, _EXACT), probs).beside_normal(self.style_dim)

    def _encoded(self, x: Tensor, y: Tensor) -> Tensor:
        encoder = self.networks["encoder"]
        return encoder(x, y) if self.num_classes else encoder(x)

    def _play(
        self, x: Tensor, x_hat: Tensor | None, y: Tensor, rng: torch.Generator, update: Update
    ) -> tuple[Tensor, Tensor]:
        """One update of the discriminator; what the decoder then minimises, and the discriminator's loss."""
        discriminator = self.networks["discriminator"]
        y_new = torch.randint(self.num_classes, y.shape, generator=rng, device=y.device)
        z_u = torch.randn(len(y), self.style_dim, generator=rng, device=x.device)
        sampled = self.networks["decoder"](self.code(z_u, y_new))
        real, made = discriminator(x, y), discriminator(sampled.detach(), y_new)
        if x_hat is None:
            loss = discriminator_loss(real, made, "hinge")
        else:
            loss = three_term_hinge(real, made, discriminator(x_hat.detach(), y))
        update({"discriminator": loss})
        adversarial = -discriminator(sampled, y_new).mean()
        if x_hat is not None:
            adversarial = adversarial - discriminator(x_hat, y).mean()
        return adversarial, loss.detach()
