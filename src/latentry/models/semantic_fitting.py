"""`fit_semantic`: which networks, and one stage after the other; `semantic_training` has the losses."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.display.progress import Progress
from latentry.models.generative import GenerativeModel
from latentry.models.semantic import SemanticModel
from latentry.models.semantic_training import SemanticGANTraining, SemanticVAETraining
from latentry.models.settings import SemanticGANSettings, SemanticSettings, SemanticVAESettings
from latentry.networks import DCGANGenerator, Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.priors import SemanticPlacement
from latentry.training.batches import TrainingData, square_images, training_data
from latentry.training.fitting import Fitted, Randomness, device_of, part_of, prior_identity, training_run
from latentry.training.own_networks import TRIAL, chosen_network, own_identity
from latentry.training.settings import settings_identity

__all__ = ["fit_feature_gan", "fit_semantic", "semantic_gan", "semantic_vae"]

_DEFAULTS = SemanticSettings()
_ALONE = SemanticGANSettings(consistency_weight=0.0)


def semantic_vae(
    settings: SemanticSettings,
    placement: SemanticPlacement,
    some: Float[Tensor, "n *s"],
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
) -> SemanticVAETraining:
    """The first stage, untrained, with the networks of Zheng and Sun (2019) for images like `some`, or the caller's own."""
    d, width, channels, side = placement.latent_dim, settings.width, some.shape[1], some.shape[-1]
    z = torch.zeros(len(some), d)
    return SemanticVAETraining(
        chosen_network(
            encoder, lambda: channels_last(Zheng2019Encoder(2 * d, side, channels, width)), "encoder", [some], (2 * d,)
        ),
        chosen_network(
            decoder, lambda: channels_last(Zheng2019Decoder(d, side, channels, width)), "decoder", [z], some.shape[1:]
        ),
        placement,
        settings.vae,
    )


def semantic_gan(
    settings: SemanticSettings,
    vae: SemanticVAETraining,
    placement: SemanticPlacement,
    some: Float[Tensor, "n *s"],
    decoder: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> SemanticGANTraining:
    """The second stage, with an untrained discriminator, and a fresh generator if the settings say so."""
    gan, width, channels, side = settings.gan, settings.width, some.shape[1], some.shape[-1]
    fresh = chosen_network(
        decoder, lambda: channels_last(Zheng2019Decoder(placement.latent_dim, side, channels, width)), "decoder",
        [torch.zeros(len(some), placement.latent_dim)], some.shape[1:],
    )  # fmt: skip
    levels = torch.zeros(len(some), len(placement.features) if gan.discriminator_sees == "levels" else 0)
    return SemanticGANTraining(
        fresh if gan.fresh else vae.networks["decoder"],
        chosen_network(
            discriminator,
            lambda: channels_last(Zheng2019Discriminator(levels.shape[1], side, channels, width, gan.discriminator_norm)),
            "discriminator",
            [some, levels] if levels.shape[1] else [some],
            (),
        ),
        vae.networks["encoder"],
        placement,
        settings.gan,
    )


def fit_semantic(
    x: Float[Tensor, "n *s"] | TrainingData,
    prior: SemanticPlacement,
    settings: SemanticSettings = _DEFAULTS,
    *,
    a: Float[Tensor, "m k"] | None = None,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, SemanticModel], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Fitted[SemanticModel]:
    """Train a semantic model: a VAE that puts features where the prior places them, then a GAN from its decoder.

    Reference: Kim and Cho (2019).

    Args:
        x: Square images in [-1, 1]: a tensor, or data that hand out images with levels (`latentry.data.features`). Data of
            any shape where all networks are your own.
        prior: Placement of the features, with the combinations of levels that occur (`observed`).
        settings: Networks and both stages.
        a: Levels of a tensor of images, -1, 0, 1 or NaN where unknown.
        encoder: A network of your own, data to mean and log variance of codes, `(n, 2 d)`. Copies of your networks are
            trained.
        decoder: Codes `(n, d)` to data.
        discriminator: Data and levels to scores `(n,)`, called as `discriminator(x, a)`; as `discriminator(x)` where the
            settings say that it sees images alone.
        device, rng, checkpoint: As for `fit_gan`.
        progress: Called as `progress(done, total)` after each iteration of either stage; by default a bar on a terminal.
        callback: Called as `callback(step, model)` at each checkpoint; steps of the second stage follow those of the first.

    Returns:
        The model of the last stage, the losses of both in `stages["vae"]` and `stages["gan"]`, and the discriminator in
        `networks`.

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
    some, own = data.__getitems__(range(TRIAL))[0], {"encoder": encoder, "decoder": decoder}
    if None in (encoder, decoder) or (settings.stages == "both" and discriminator is None):
        square_images(data)
    first, second = settings.vae, settings.gan
    total = first.steps + (second.steps if settings.stages == "both" else 0)
    with training_run(first, device_of(data, device), rng, checkpoint) as run:
        placement = copy.deepcopy(prior).to(run.device)
        identity = {
            "data": data.fingerprint(),
            "vae": settings_identity(first, SemanticVAESettings),
            "width": settings.width,
            "placement": prior_identity(prior),
            **own_identity(**own),
        }
        vae = semantic_vae(settings, placement, some, **own)
        trained, drawn = vae.networks["encoder"], vae.networks["decoder"]

        def keep(step: int, generator: nn.Module) -> None:
            if callback is not None:
                callback(step, SemanticModel(generator, placement, trained))

        stages = {
            "vae": run.train(
                vae, data, first, folder="vae", identity=identity, progress=part_of(progress, 0, total),
                at_checkpoint=lambda step: keep(step, drawn),
            )
        }  # fmt: skip
        if settings.stages == "vae":
            return Fitted(SemanticModel(drawn.eval(), placement, trained.eval()), stages)
        torch.manual_seed(run.seed + 1)
        gan = semantic_gan(settings, vae, placement, some, decoder, discriminator)
        identity |= {"vae_steps": first.steps, "gan": settings_identity(second, SemanticGANSettings)}
        identity |= own_identity(discriminator=discriminator)
        stages["gan"] = run.train(
            gan, data, second, folder="gan", identity=identity, progress=part_of(progress, first.steps, total),
            at_checkpoint=lambda step: keep(first.steps + step, gan.averaged_generator(run.rng())),
        )  # fmt: skip
        model = SemanticModel(gan.averaged_generator(run.rng()), placement, trained.eval())
        return Fitted(model, stages, networks={"discriminator": gan.networks["discriminator"].eval()})


def fit_feature_gan(
    x: Float[Tensor, "n *s"] | TrainingData,
    prior: SemanticPlacement,
    settings: SemanticGANSettings = _ALONE,
    *,
    a: Float[Tensor, "m k"] | None = None,
    width: int = 16,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, GenerativeModel], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Fitted[GenerativeModel]:
    """Train a conditional GAN on features: without a first stage or an encoder, a discriminator alone sees the levels.

    Reference: Mirza and Osindero, "Conditional generative adversarial nets", 2014.

    Args:
        x, prior, a: As for `fit_semantic`.
        settings: Losses, rates, length; with a `consistency_weight` of 0, since there is no encoder.
        width: Channels of the discriminator's first layer; the generator's last hidden layer has twice as many.
        generator: A network of your own, codes `(n, d)` to data. Copies of your networks are trained.
        discriminator: Data and levels to scores `(n,)`, called as `discriminator(x, a)`.
        device, rng, progress, callback, checkpoint: As for `fit_gan`.

    Returns:
        The model, and the discriminator in `networks`.

    Raises:
        ValueError: The settings ask for an encoder or hide the levels, levels do not fit the placement, there are fewer
            images than one batch, or the checkpoints belong to another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> x, a = torch.rand(16, 1, 28, 28), torch.randint(-1, 2, (16, 1)).float()
        >>> prior = lt.priors.SemanticPlacement(["bold"], 3).observed(a)
        >>> tiny = lt.settings.SemanticGANSettings(consistency_weight=0.0, steps=2, batch_size=8)
        >>> fit_feature_gan(x, prior, tiny, a=a, width=1, rng=0).model.decode(torch.zeros(2, 3)).shape
        torch.Size([2, 1, 28, 28])
    """
    if settings.consistency_weight or settings.discriminator_sees != "levels":
        raise ValueError(
            "expected consistency_weight=0 and discriminator_sees='levels' where there is no encoder, got "
            f"{settings.consistency_weight} and {settings.discriminator_sees!r}; fit_semantic has an encoder"
        )
    if a is not None:
        prior.check(a)
    data = training_data(x, a)
    some, k, d = data.__getitems__(range(TRIAL))[0], len(prior.features), prior.latent_dim
    side, channels = (0, 0) if generator is not None and discriminator is not None else square_images(data)
    with training_run(settings, device_of(data, device), rng, checkpoint) as run:
        placement = copy.deepcopy(prior).to(run.device)
        gan = SemanticGANTraining(
            chosen_network(
                generator, lambda: channels_last(DCGANGenerator(d, side, channels, 2 * width)), "generator",
                [torch.zeros(len(some), d)], tuple(some.shape[1:]),
            ),
            chosen_network(
                discriminator, lambda: channels_last(Zheng2019Discriminator(k, side, channels, width, norm="none")),
                "discriminator", [some, torch.zeros(len(some), k)], (),
            ),
            nn.Identity(),
            placement,
            settings,
        )  # fmt: skip

        def model() -> GenerativeModel:
            return GenerativeModel(gan.averaged_generator(run.rng()), placement)

        done = run.train(
            gan, data, settings, progress=progress,
            identity={
                **settings_identity(settings, SemanticGANSettings), "data": data.fingerprint(), "width": width,
                "placement": prior_identity(prior), **own_identity(generator=generator, discriminator=discriminator),
            },
            at_checkpoint=lambda step: callback(step, model()) if callback is not None else None,
        )  # fmt: skip
        return Fitted(model(), {"gan": done}, networks={"discriminator": gan.networks["discriminator"].eval()})
