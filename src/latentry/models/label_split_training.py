r"""The training of a label split: which network minimises which loss.

In each iteration:

===================== =================================================== =======
parameters            loss                                                times
===================== =================================================== =======
encoder S and means   :math:`L_{cls} + 0.1 L_{lkd}`                       3
precisions            the same, at a rate that falls                      3
C                     cross entropy of the labels from :math:`z_u`        1
D                     hinge with three terms                              1
encoder S             :math:`10 L_{rec} + L_{lkd}`                        1
encoder U             :math:`10 L_{rec} + L_{kl} + L_E^{adv}`             1
decoder               :math:`10 L_{rec} - D(\hat x, y) - D(x', y')`       1
===================== =================================================== =======

Passes are shared where the table allows: each encoder sees the batch once for the last four rows, and the third time of the
first two; reconstruction is carried back once through the decoder for both encoders.

References: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019.
"""

from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from latentry.models.classifier import jitter
from latentry.models.label_split import LabelSplit, label_posterior
from latentry.models.label_split_losses import (
    confusion_loss,
    mixture_classification_loss,
    mixture_likelihood_loss,
    mixture_logits,
    three_term_hinge,
)
from latentry.models.posteriors import Delta, Posterior, normal_posterior, standard_normal
from latentry.models.settings import LabelSplitSettings
from latentry.numerics.hsic import centred_alignment, gaussian_kernel
from latentry.priors import DiagonalNormal, NormalMixture, TrainedMixture
from latentry.training.loop import Update

__all__ = ["LabelSplitTraining"]

_DEFAULTS = LabelSplitSettings()


class LabelSplitTraining:
    """The networks of a label split and the step that trains them on batches `(x, y)`.

    Args:
        label_encoder: Data to z_s; or to mean and log variance of z_s, twice as many numbers, which makes z_s stochastic.
        style_encoder: Data to mean and log variance of z_u.
        decoder: Codes (z_s, z_u) to data.
        mixture: Components over z_s.
        adversary: C, from z_u to logits.
        discriminator: D, from data and labels to scores; None for the VAE alone.
        settings: Losses and rates; those of networks and loop are not looked at.
        probs: Class probabilities; equal by default.
        precision_every: Iterations after which the rate of the precisions falls to a tenth, again and again; 0 for never.
    """

    def __init__(
        self,
        label_encoder: nn.Module,
        style_encoder: nn.Module,
        decoder: nn.Module,
        mixture: TrainedMixture,
        adversary: nn.Module,
        discriminator: nn.Module | None = None,
        settings: LabelSplitSettings = _DEFAULTS,
        *,
        probs: Float[Tensor, "k"] | None = None,
        precision_every: int = 0,
    ) -> None:
        self.settings, self.weights, self.precision_every = settings, settings.weights, precision_every
        self.extent = {"degrees": settings.degrees, "scale": settings.scale, "shift": settings.shift}
        k, self.label_dim = mixture.loc.shape
        self.style_dim = settings.style_dim
        self.probs = torch.full((k,), 1 / k) if probs is None else probs
        self.target = torch.full((k,), 1 / k) if settings.confusion_target == "uniform" else self.probs
        self.networks: dict[str, nn.Module] = {
            "label-encoder": label_encoder,
            "style-encoder": style_encoder,
            "decoder": decoder,
            "mixture": mixture,
            "adversary": adversary,
        }
        trained: dict[str, Any] = {
            "placement": chain(label_encoder.parameters(), [mixture.loc]),
            "precision": [mixture.raw],
            "label-encoder": label_encoder.parameters(),
            "style-encoder": style_encoder.parameters(),
            "decoder": decoder.parameters(),
            "adversary": adversary.parameters(),
        }
        if discriminator is not None:
            self.networks["discriminator"] = discriminator
            trained["discriminator"] = discriminator.parameters()
        self.averages: dict[str, Any] = {}
        self.optimizers: dict[str, Any] = {
            name: Adam(parameters, lr=settings.learning_rate, betas=settings.betas, fused=True)
            for name, parameters in trained.items()
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One iteration: all rows of the table of this module."""
        x, y = batch
        mixture: Any = self.networks["mixture"]
        self._slow_precisions()
        for _ in range(self.settings.placements - 1):
            label = self._label_posterior(jitter(x, **self.extent, rng=rng) if any(self.extent.values()) else x)
            placement = self._placement(label, label.rsample(rng=rng), y)
            update({"placement": placement, "precision": placement})
            mixture.limit_()

        label = self._label_posterior(x)
        style = normal_posterior(self.networks["style-encoder"](x), self.settings.least_deviation)
        z_s, z_u = label.rsample(rng=rng), style.rsample(rng=rng)
        x_hat = self.networks["decoder"](torch.cat([z_s, z_u], 1))
        logged = {"accuracy": self._accuracy(label.mean, y)}
        logged |= self._train_adversary(style, y, rng, update)

        weights = self.weights
        placement = self._placement(label, z_s, y)
        reconstruction = (x_hat - x).square().mean()
        divergence = kl_divergence(style, standard_normal(style)).mean() / self.style_dim
        total = weights.reconstruction * reconstruction + weights.divergence * divergence
        total = total + weights.pull * self._likelihood(label, y)
        if weights.confusion:
            logits = self.networks["adversary"](style.mean if self.settings.adversary_sees == "means" else z_u)
            total = total + weights.confusion * confusion_loss(logits, self.target.to(logits))
        if weights.dependence:
            dependence = centred_alignment(gaussian_kernel(z_u), gaussian_kernel(z_s.detach()))
            total = total + weights.dependence * dependence
            logged["dependence"] = dependence
        losses = dict.fromkeys(("label-encoder", "style-encoder", "decoder"), total)
        if "discriminator" in self.networks:
            adversarial, of_discriminator = self._play(x, x_hat, y, z_u.detach(), rng, update)
            losses["decoder"] = weights.reconstruction * reconstruction + weights.adversarial * adversarial
            logged |= {"discriminator": of_discriminator, "adversarial": adversarial}
        update({"placement": placement, "precision": placement, **losses})
        mixture.limit_()
        return logged | {"placement": placement, "reconstruction": reconstruction, "divergence": divergence}

    def split(self) -> LabelSplit:
        """The networks as they are, with the prior that the mixture describes."""
        encoders = self.networks["label-encoder"], self.networks["style-encoder"]
        return LabelSplit(self.networks["decoder"], self._prior(), *encoders, self.label_dim, self.settings.least_deviation)

    def _prior(self) -> NormalMixture:
        mixture: Any = self.networks["mixture"]
        return mixture.settled(self.probs).beside_normal(self.style_dim)

    def _label_posterior(self, x: Tensor) -> Posterior:
        return label_posterior(self.networks["label-encoder"](x), self.label_dim)

    def _likelihood(self, label: Posterior, y: Tensor) -> Tensor:
        """L_lkd, or the divergence in its place where z_s has a posterior."""
        component = self.networks["mixture"](y)
        if isinstance(label, Delta):
            return mixture_likelihood_loss(label.mean, component)
        return kl_divergence(label, component).mean()

    def _placement(self, label: Posterior, z_s: Tensor, y: Tensor) -> Tensor:
        mixture: Any = self.networks["mixture"]
        classification = mixture_classification_loss(z_s, y, mixture.loc, mixture.precision, self.weights.margin)
        return classification + self.weights.likelihood * self._likelihood(label, y)

    def _train_adversary(self, style: DiagonalNormal, y: Tensor, rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """C learns to read labels from z_u, by draws or means."""
        if not self.weights.confusion:
            return {}
        for _ in range(self.settings.adversary_steps):
            adversary_input = style.mean.detach() if self.settings.adversary_sees == "means" else style.sample(rng=rng)
            logits = self.networks["adversary"](adversary_input)
            loss = cross_entropy(logits, y)
            update({"adversary": loss})
        return {"adversary": loss.detach()}

    def _play(
        self, x: Tensor, x_hat: Tensor, y: Tensor, z_u: Tensor, rng: torch.Generator, update: Update
    ) -> tuple[Tensor, Tensor]:
        """One update of D; what the decoder then minimises, and D's loss."""
        discriminator = self.networks["discriminator"]
        y_new = torch.randint(len(self.probs), y.shape, generator=rng, device=y.device)
        z = self._prior().sample((), y_new, rng=rng)
        if self.settings.sampled_styles == "others":
            z = torch.cat([z[:, : self.label_dim], z_u.roll(1, 0)], 1)
        sampled = self.networks["decoder"](z)
        loss = three_term_hinge(
            discriminator(x, y), discriminator(sampled.detach(), y_new), discriminator(x_hat.detach(), y)
        )
        update({"discriminator": loss})
        return -discriminator(x_hat, y).mean() - discriminator(sampled, y_new).mean(), loss.detach()

    def _accuracy(self, z_s: Tensor, y: Tensor) -> Tensor:
        mixture: Any = self.networks["mixture"]
        with torch.no_grad():
            return (mixture_logits(z_s, mixture.loc, mixture.precision).argmax(1) == y).float().mean()

    def _slow_precisions(self) -> None:
        """The loop sets rates anew in each iteration; the precisions' falls to a tenth now and then."""
        optimizer = self.optimizers["precision"]
        turn = next((int(state["step"]) for state in optimizer.state.values()), 0) // self.settings.placements
        if self.precision_every:
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * 0.1 ** (turn // self.precision_every)
