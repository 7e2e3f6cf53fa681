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

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam

from latentry.display.progress import Progress
from latentry.holding import evaluated
from latentry.models.gan import discriminator_losses, generator_loss, iterations
from latentry.models.posteriors import normal_posterior
from latentry.models.semantic import SemanticModel
from latentry.models.settings import SemanticGANSettings, SemanticSettings, SemanticVAESettings
from latentry.networks import Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.priors import DiagonalNormal, SemanticPlacement
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.batches import TrainingData, square_images, training_data
from latentry.training.fitting import Fitted, Randomness, device_of, part_of, prior_identity, training_run
from latentry.training.loop import Update
from latentry.training.settings import settings_identity

__all__ = [
    "SemanticGANTraining",
    "SemanticVAETraining",
    "code_error",
    "fit_semantic",
    "levels_error",
    "reconstruction_error",
    "semantic_gan",
    "semantic_vae",
]

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


def semantic_vae(settings: SemanticSettings, placement: SemanticPlacement, side: int, channels: int) -> SemanticVAETraining:
    """The first stage, untrained, with the networks of Zheng and Sun (2019)."""
    d, width = placement.latent_dim, settings.width
    return SemanticVAETraining(
        channels_last(Zheng2019Encoder(2 * d, side, channels, width)),
        channels_last(Zheng2019Decoder(d, side, channels, width)),
        placement,
        settings.vae,
    )


def semantic_gan(
    settings: SemanticSettings, vae: SemanticVAETraining, placement: SemanticPlacement, side: int, channels: int
) -> SemanticGANTraining:
    """The second stage, with an untrained discriminator, and a fresh generator if the settings say so."""
    fresh = channels_last(Zheng2019Decoder(placement.latent_dim, side, channels, settings.width))
    levels = len(placement.features) if settings.gan.discriminator_sees == "levels" else 0
    return SemanticGANTraining(
        fresh if settings.gan.fresh else vae.networks["decoder"],
        channels_last(Zheng2019Discriminator(levels, side, channels, settings.width, settings.gan.discriminator_norm)),
        vae.networks["encoder"],
        placement,
        settings.gan,
    )


def fit_semantic(
    x: Float[Tensor, "n c h w"] | TrainingData,
    prior: SemanticPlacement,
    settings: SemanticSettings = _DEFAULTS,
    *,
    a: Float[Tensor, "m k"] | None = None,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, SemanticModel], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Fitted[SemanticModel]:
    """Train a semantic model: a VAE that puts features where the prior places them, then a GAN from its decoder.

    Reference: Kim and Cho (2019).

    Args:
        x: Square images in [-1, 1]: a tensor, or data that hand out images with levels (`latentry.data.features`).
        prior: Placement of the features, with the combinations of levels that occur (`observed`).
        settings: Networks and both stages.
        a: Levels of a tensor of images, -1, 0, 1 or NaN where unknown.
        device, rng, checkpoint: As for `fit_gan`.
        progress: Called as `progress(done, total)` after each iteration of either stage; by default a bar on a terminal.
        callback: Called as `callback(step, model)` at each checkpoint; steps of the second stage follow those of the first.

    Returns:
        The model of the last stage, and the losses of both in `stages["vae"]` and `stages["gan"]`.

    Raises:
        ValueError: Levels do not fit the placement, there are fewer images than one batch, or the checkpoints belong to
            another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.models.settings import SemanticGANSettings, SemanticSettings, SemanticVAESettings
        >>> x, a = torch.rand(16, 1, 16, 16), torch.randint(-1, 2, (16, 1)).float()
        >>> prior = lt.priors.SemanticPlacement(["bold"], 3).observed(a)
        >>> short = {"steps": 2, "batch_size": 8}
        >>> tiny = SemanticSettings(width=1, vae=SemanticVAESettings(**short), gan=SemanticGANSettings(**short))
        >>> lt.fit_semantic(x, prior, tiny, a=a, rng=0).model.features
        ('bold',)
    """
    if a is not None:
        prior.check(a)
    data = training_data(x, a)
    side, channels = square_images(data)
    first, second = settings.vae, settings.gan
    total = first.steps + (second.steps if settings.stages == "both" else 0)
    with training_run(first, device_of(data, device), rng, checkpoint) as run:
        placement = copy.deepcopy(prior).to(run.device)
        identity = {
            "data": data.fingerprint(),
            "vae": settings_identity(first, SemanticVAESettings),
            "width": settings.width,
            "placement": prior_identity(prior),
        }
        vae = semantic_vae(settings, placement, side, channels)
        encoder, decoder = vae.networks["encoder"], vae.networks["decoder"]

        def keep(step: int, generator: nn.Module) -> None:
            if callback is not None:
                callback(step, SemanticModel(generator, placement, encoder))

        stages = {
            "vae": run.train(
                vae, data, first, folder="vae", identity=identity, progress=part_of(progress, 0, total),
                at_checkpoint=lambda step: keep(step, decoder),
            )
        }  # fmt: skip
        if settings.stages == "vae":
            return Fitted(SemanticModel(decoder.eval(), placement, encoder.eval()), stages)
        torch.manual_seed(run.seed + 1)
        gan = semantic_gan(settings, vae, placement, side, channels)
        identity |= {"vae_steps": first.steps, "gan": settings_identity(second, SemanticGANSettings)}
        stages["gan"] = run.train(
            gan, data, second, folder="gan", identity=identity, progress=part_of(progress, first.steps, total),
            at_checkpoint=lambda step: keep(first.steps + step, gan.averaged_generator(run.rng())),
        )  # fmt: skip
        return Fitted(SemanticModel(gan.averaged_generator(run.rng()), placement, encoder.eval()), stages)
