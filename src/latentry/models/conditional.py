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

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot
from torch.optim import Adam

from latentry.display.progress import Progress
from latentry.holding import evaluated, weights_like
from latentry.models.gan import discriminator_loss
from latentry.models.generative import GenerativeModel
from latentry.models.label_split import LabelSplitPosterior
from latentry.models.label_split_losses import three_term_hinge
from latentry.models.posteriors import Delta, normal_posterior, standard_normal
from latentry.models.settings import ConditionalSettings, LabelSplitWeights
from latentry.networks import Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.numerics.inputs import checked
from latentry.priors import DiagonalNormal, NormalMixture
from latentry.training.batches import LabelledData, square_images, training_data
from latentry.training.fitting import Fitted, Randomness, device_of, training_run
from latentry.training.loop import Update
from latentry.training.own_networks import TRIAL, chosen_network, own_identity
from latentry.training.settings import settings_identity

__all__ = ["ConditionalModel", "ConditionalTraining", "fit_conditional"]

_EXACT = 1e-3
"""Deviation of the part of a code that is the label: a posterior needs one."""
_DEFAULTS = ConditionalSettings()


@dataclass(frozen=True, repr=False)
class ConditionalModel(GenerativeModel):
    """A trained decoder with the prior of whole codes, and an encoder where there is one.

    Example:
        >>> import torch, latentry as lt
        >>> prior = lt.priors.NormalMixture(torch.eye(2), torch.ones(2, 2)).beside_normal(1)
        >>> ConditionalModel(torch.nn.Linear(3, 5), prior).label_dim
        2
    """

    prior: NormalMixture
    """Distribution of whole codes: the unit vector of the label, and N(0, 1) over each coordinate of the style."""
    encoder: nn.Module | None = None
    """Data, and labels if codes hold them, to mean and log variance of the style."""

    @property
    def label_dim(self) -> int:
        """Length of the part of a code that is the label; 0 without labels."""
        return self.prior.num_classes if self.prior.num_classes > 1 else 0

    @checked()
    def encode(
        self, x: Float[Tensor, "n *s"], y: Int[Tensor, "n"] | None = None, batch_size: int = 500
    ) -> DiagonalNormal | LabelSplitPosterior:
        """The posteriors q(z | x, y) of whole codes.

        Args:
            x: Data.
            y: Their labels, where codes hold labels.
            batch_size: Data that pass the encoder at once.

        Raises:
            ValueError: There is no encoder, or labels are missing.
        """
        if self.encoder is None:
            raise ValueError("expected a model with an encoder, got a GAN alone; fit one with vae=True")
        if self.label_dim and y is None:
            raise ValueError("expected labels with the data, since codes hold them, got none; pass y")
        inputs = (x, y) if y is not None and self.label_dim else (x,)
        like = weights_like(self.encoder, x)
        with evaluated(self.encoder) as (encoder,), torch.no_grad():
            parts = zip(*(part.to(like.device).split(batch_size) for part in inputs), strict=True)
            style = normal_posterior(torch.cat([encoder(part[0].to(like), *part[1:]) for part in parts]))
        if len(inputs) == 1:
            return style
        return LabelSplitPosterior(Delta(self.prior.loc[inputs[1], : self.label_dim].to(style.loc)), style)


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


def fit_conditional(
    x: Float[Tensor, "n *s"] | LabelledData,
    settings: ConditionalSettings = _DEFAULTS,
    *,
    y: Int[Tensor, "m"] | None = None,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, ConditionalModel], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Fitted[ConditionalModel]:
    """Train a VAE, a conditional VAE, a conditional GAN, or both together.

    Args:
        x: Square images in [-1, 1]: a tensor, or data such as `lt.load_dataset` gives. Data of any shape where all networks
            are your own.
        settings: Which model, networks, losses, rates, length.
        y: Classes of a tensor of data, from 0 on.
        encoder: A network of your own, called as `encoder(x, y)`, or `encoder(x)` without labels, to mean and log variance
            `(n, 2 style_dim)`. Copies of your networks are trained.
        decoder: Codes `(n, d)`, the unit vector of the label first, to data.
        discriminator: Data and labels to scores `(n,)`, called as `discriminator(x, y)`.
        device, rng, progress, callback, checkpoint: As for `fit_gan`.

    Returns:
        The model, and the discriminator in `networks` if there is one.

    Raises:
        ValueError: There are fewer data than one batch, or fewer than two classes with labels, or the checkpoints belong to
            another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> tiny = lt.settings.ConditionalSettings(steps=2, batch_size=8, width=1, style_dim=3)
        >>> x, y = torch.rand(16, 1, 28, 28), torch.arange(16) % 2
        >>> model = lt.fit_conditional(x, tiny, y=y, rng=0).model
        >>> model.encode(x, y).mean.shape
        torch.Size([16, 5])
    """
    data = training_data(x, y)
    some, width = data.__getitems__(range(TRIAL))[0], settings.width
    k = data.num_classes if settings.labels else 0
    if k == 1:
        raise ValueError("expected two classes or more, got one; a label that never varies says nothing")
    if decoder is None or (settings.vae and encoder is None) or (settings.gan and discriminator is None):
        square_images(data)
    channels, side, u, d = some.shape[1], some.shape[-1], settings.style_dim, k + settings.style_dim
    labelled = [some, torch.arange(len(some)) % k] if k else [some]
    with training_run(settings, device_of(data, device), rng, checkpoint) as run:
        encodes = chosen_network(
            encoder, lambda: channels_last(Zheng2019Encoder(2 * u, side, channels, width, num_classes=k)), "encoder",
            labelled, (2 * u,),
        ) if settings.vae else None  # fmt: skip
        scores = chosen_network(
            discriminator, lambda: channels_last(Zheng2019Discriminator(k, side, channels, width)), "discriminator",
            labelled, (),
        ) if settings.gan else None  # fmt: skip
        decodes = chosen_network(
            decoder, lambda: channels_last(Zheng2019Decoder(d, side, channels, width)), "decoder",
            [torch.zeros(len(some), d)], tuple(some.shape[1:]),
        )  # fmt: skip
        training = ConditionalTraining(
            decodes, u, k, encodes, scores, weights=settings.weights, learning_rate=settings.learning_rate,
            betas=settings.betas,
        )  # fmt: skip
        counts = torch.bincount(data.labels, minlength=k) if k else None

        def model() -> ConditionalModel:
            prior = training.prior(None if counts is None else counts / counts.sum()).to(run.device)
            return ConditionalModel(decodes.eval(), prior, None if encodes is None else encodes.eval())

        done = run.train(
            training, data, settings, progress=progress,
            identity={
                **settings_identity(settings, ConditionalSettings), "data": data.fingerprint(),
                **own_identity(encoder=encoder, decoder=decoder, discriminator=discriminator),
            },
            at_checkpoint=lambda step: callback(step, model()) if callback is not None else None,
        )  # fmt: skip
        return Fitted(model(), {"conditional": done}, networks={} if scores is None else {"discriminator": scores.eval()})
