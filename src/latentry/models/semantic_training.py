r"""The training of a semantic model, in two stages.

*Stage 1* (LSC-VAE). An encoder q(z | x) and a decoder are trained to reconstruct data, with the distribution p(z | a) of the
datum's levels a as prior,

.. math:: L = \frac{\lVert x - \hat x \rVert^2}{2 \sigma^2} + \beta_t \, KL(q(z | x) \,\|\, p(z | a)),

which is the negative evidence lower bound of log p(x | a) for :math:`\beta_t = 1`, up to a constant. :math:`\beta_t` rises
to 1 during a warm-up, since otherwise the divergence is minimised before anything is encoded.

*Stage 2* (LSC-GAN). The decoder becomes the generator of a GAN. Trained against a discriminator alone, it would forget what
the coordinates of codes mean. So the frozen encoder encodes its samples, and the generator minimises

.. math:: L_{adv} + \lambda \, E_{a, \, z \sim p(z | a)} \, R(z, a, q(z | G(z)))

where R is one of

- `consistency="distribution"`: the divergence :math:`KL(q \| p(z | a))`, as in Kim and Cho;
- `consistency="code"`: :math:`-\log q(z | G(z))` up to a constant, which keeps the style too;
- `consistency="levels"`: the distance of the levels at the mean of q from those of the code, in standard deviations, which
  leaves the style free.

The discriminator may get levels beside images, so that it can also reject a realistic sample without its levels. For levels
that no datum has, such as the reverse of a feature, there are no real data: with `reversed_share` above 0, that share of
codes is drawn at reversed levels, and only the encoder gives a loss for them.

Kim and Cho published that features have normal posteriors, that the decoder becomes the generator, and that a divergence is
added to the losses of the GAN. Everything else here is a reconstruction of Latentry.

References: Kim and Cho, "Latent space-controllable generative adversarial network", 2019; Kingma and Welling, "Auto-encoding
variational Bayes", 2014.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam

from latentry.holding import evaluated
from latentry.models.gan import discriminator_losses, generator_loss, iterations
from latentry.models.posteriors import normal_posterior
from latentry.models.settings import SemanticGANSettings, SemanticSettings, SemanticVAESettings
from latentry.priors import DiagonalNormal, SemanticPlacement
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.loop import Update

__all__ = ["SemanticGANTraining", "SemanticVAETraining", "code_error", "levels_error", "reconstruction_error"]

_DEFAULTS = SemanticSettings()


def reconstruction_error(x: Float[Tensor, "n *s"], x_hat: Float[Tensor, "n *s"], deviation: float) -> Float[Tensor, "n"]:
    r"""-log p(x | z) of normal noise about the reconstruction, but for a constant: :math:`\lVert x - \hat x \rVert^2 / 2
    \sigma^2`, in nats."""
    return (x - x_hat).square().flatten(1).sum(1) / (2 * deviation**2)


def code_error(z: Float[Tensor, "n d"], q: DiagonalNormal) -> Float[Tensor, "n"]:
    r"""-log q(z) in nats, but for the constant :math:`\frac d2 \log 2 \pi`."""
    return -q.log_prob(z) - z.shape[1] / 2 * math.log(2 * math.pi)


def levels_error(z: Float[Tensor, "n d"], q: DiagonalNormal, placement: SemanticPlacement) -> Float[Tensor, "n"]:
    """Half the squared distance between levels of codes and those of posterior means, in standard deviations."""
    return 0.5 * ((placement.levels(z) - placement.levels(q.mean)) * placement.separations).square().sum(1)


class SemanticVAETraining:
    """Stage 1: the step that trains encoder and decoder on batches `(x, a)`.

    Args:
        encoder: Data to mean and log variance of codes, side by side.
        decoder: Codes to data.
        placement: Distribution of the codes for any levels; where levels are unknown, with the combinations that occur.
        settings: Deviation, warm-up and learning rate; those of the loop are not looked at.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        placement: SemanticPlacement,
        settings: SemanticVAESettings = _DEFAULTS.vae,
    ) -> None:
        self.placement, self.settings = placement, settings
        self.networks: dict[str, nn.Module] = {"encoder": encoder, "decoder": decoder, "placement": placement}
        self.averages: dict[str, Any] = {}
        both = [*encoder.parameters(), *decoder.parameters()]
        self.optimizers: dict[str, Any] = {"both": Adam(both, lr=settings.learning_rate, fused=True)}

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One iteration on the evidence bound."""
        x, a = batch
        q = normal_posterior(self.networks["encoder"](x))
        x_hat = self.networks["decoder"](q.rsample(rng=rng))
        error = reconstruction_error(x, x_hat, self.settings.deviation).mean()
        divergence = self.placement.divergence(q, a).mean()
        weight = min(1.0, (iterations(self.optimizers["both"]) + 1) / max(1, self.settings.warm_up))
        update({"both": (error + weight * divergence) / x[0].numel()})
        return {"reconstruction": error, "divergence": divergence}


class SemanticGANTraining:
    """Stage 2: the step that trains generator and discriminator on batches `(x, a)`, the encoder frozen.

    Args:
        generator: Codes to data: the decoder of stage 1, or a fresh network.
        discriminator: Data, and levels if it sees these, to one score each; unknown levels count as neutral.
        encoder: Of stage 1; not trained unless the settings say so.
        placement: Distribution of the codes, with the combinations of levels that occur.
        settings: Losses, rates and averaging; those of networks and loop are not looked at. Turn only features whose
            reverse means something: otherwise samples are bent towards whatever the encoder takes for it.

    Raises:
        ValueError: A feature to turn is unknown or exclusive.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        encoder: nn.Module,
        placement: SemanticPlacement,
        settings: SemanticGANSettings = _DEFAULTS.gan,
    ) -> None:
        free = [name for name in placement.features if name not in placement.exclusive]
        turned = free if settings.turned is None else settings.turned
        if fixed := {placement.features[placement.index(name)] for name in turned} - {*free}:
            raise ValueError(
                f"expected features to turn among {', '.join(free)}, got {', '.join(sorted(fixed))}, one of "
                "which is always there"
            )
        self.turns = [name in turned for name in placement.features]
        self.placement, self.settings = placement, settings
        self.networks: dict[str, nn.Module] = {
            "generator": generator, "discriminator": discriminator, "encoder": encoder, "placement": placement
        }  # fmt: skip
        self.averages = {"generator": averaged_copy(generator, settings.ema)}
        learns = [*generator.parameters(), *(encoder.parameters() if settings.train_encoder else ())]
        self.optimizers: dict[str, Any] = {
            name: Adam(parameters, lr=rate, betas=settings.betas, fused=True)
            for name, parameters, rate in (
                ("generator", learns, settings.generator_learning_rate),
                ("discriminator", discriminator.parameters(), settings.discriminator_learning_rate),
            )
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update of the discriminator, then one of the generator on the same codes."""
        generator, discriminator, settings = self.networks["generator"], self.networks["discriminator"], self.settings
        x, a_real = batch
        y = torch.multinomial(self.placement.probs, len(x), replacement=True, generator=rng)
        a = self.placement.combinations[y]
        z = self.placement.at(a).sample(rng=rng).to(x)
        generated = generator(z)

        penalised = settings.r1 > 0 and iterations(self.optimizers["discriminator"]) % settings.r1_every == 0
        levels, real_levels = ((a.to(x),), (a_real.nan_to_num(),)) if settings.discriminator_sees == "levels" else ((), ())
        loss, penalty = discriminator_losses(
            discriminator, (x, *real_levels), (generated, *levels), settings.objective, penalised=penalised
        )
        update({"discriminator": loss + settings.r1 / 2 * settings.r1_every * penalty})

        adversarial = generator_loss(discriminator(generated, *levels), settings.objective)
        total = adversarial
        logged = {"discriminator": loss, "generator": adversarial, "r1": penalty}
        if settings.consistency_weight:
            errors = self._consistency_error(z, a, generated)
            if count := round(settings.reversed_share * len(x)):
                turned = self._turned(a[:count], rng)
                beyond = self.placement.at(turned).sample(rng=rng).to(x)
                errors = torch.cat([errors, self._consistency_error(beyond, turned, generator(beyond))])
            logged["consistency"] = errors.mean()
            over = 1 if settings.consistency == "levels" else z.shape[1]
            total = total + settings.consistency_weight * logged["consistency"] / over
        update({"generator": total})
        return logged

    def averaged_generator(self, rng: torch.Generator, codes: int = 4096) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on `codes` samples of the placement."""
        average = self.averages["generator"].module
        device = next(average.parameters()).device
        settle_batch_norm(average, (self.placement.sample(256, rng=rng).to(device) for _ in range(max(1, codes // 256))))
        return average.eval()

    def _consistency_error(self, z: Tensor, a: Tensor, generated: Tensor) -> Tensor:
        """R(z, a, q(z | G(z))) of each sample, in nats."""
        encoder, settings = self.networks["encoder"], self.settings
        if settings.train_encoder:
            q = normal_posterior(encoder(generated))
        else:
            with evaluated(encoder):
                q = normal_posterior(encoder(generated))
        if settings.consistency == "distribution":
            return self.placement.divergence(q, a)
        return code_error(z, q) if settings.consistency == "code" else levels_error(z, q, self.placement)

    def _turned(self, a: Tensor, rng: torch.Generator) -> Tensor:
        """Levels with those of some features turned round, each at random, present ones into reverses."""
        turn = torch.rand(a.shape, generator=rng, device=a.device) < 0.5
        return torch.where(torch.tensor(self.turns, device=a.device) & turn, -a, a)
