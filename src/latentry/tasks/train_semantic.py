"""`latentry train semantic`: a VAE that places features, then a GAN from its decoder, in one command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch import Tensor, nn

from latentry.data import LabelledImages, load_dataset
from latentry.data.features import FeaturedImages, featured
from latentry.models.saving import load_model, save_model
from latentry.models.semantic import SemanticGANTraining, SemanticModel, SemanticVAETraining
from latentry.networks import Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.priors import SemanticPlacement, load_prior
from latentry.reports.consoles import PlainConsole
from latentry.reports.page import Picture
from latentry.reports.pictures import grid, write_png
from latentry.reports.tables import Table, print_table
from latentry.tasks.levels import parse_levels
from latentry.tasks.runs import command, settings_record
from latentry.tasks.train_settings import TrainSemanticSettings
from latentry.tasks.trainings import (
    accelerator_of,
    check_enough,
    claim_training,
    finish_training,
    identity_of,
    loop_identity,
    model_card,
    square_shape,
)
from latentry.training.loop import Trained, train

__all__ = ["feature_films", "place_features", "train_semantic"]

_SHOWN = 6
"""Codes of each film in a preview."""
_FRAMES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
_OWN_READER = "levels in samples are read by the encoder that was trained along with the generator; look at films.png"
_SCORED = 5000
"""Most held-out images that are scored."""


@command
@torch.random.fork_rng()
def train_semantic(settings: TrainSemanticSettings) -> dict[str, Any]:
    """Train both stages, each from its last checkpoint; write both models, films of the features, and scores."""
    accelerator = accelerator_of(settings, settings.vae.loop)
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    loops = [settings.vae.loop, settings.gan.loop] if settings.stages == "both" else [settings.vae.loop]
    batch_size = max(loop.batch_size for loop in loops)
    check_enough(data, len(data.split("train")), batch_size, "held-out")
    training, held_out = (_features(settings, data.split(name)) for name in ("train", "held-out"))
    check_enough(data, len(training), batch_size, "held-out")
    training.check_examples()
    placement = place_features(settings, training).to(accelerator.device)
    folder = claim_training(accelerator, settings, "vae", "gan", "films.png")
    console = PlainConsole(stderr=True, quiet=settings.json or not accelerator.is_main_process)
    print_table(_placement_table(placement), console)
    card = model_card(settings, training.images)

    files = {
        "data": card["data"]["fingerprint"],
        "placement": identity_of(placement),
    }  # by what is in them

    shape = square_shape(data)
    torch.manual_seed(settings.seed)
    vae = semantic_vae(settings, placement, *shape)
    encoder, decoder = vae.networks["encoder"], vae.networks["decoder"]

    def keep_vae(step: int) -> None:
        _keep(SemanticModel(decoder, placement, encoder), folder / "vae", step, card)

    stages = {"vae": _run(vae, training, settings, "vae", folder, accelerator, keep_vae, files)}

    if settings.stages == "both":
        torch.manual_seed(settings.seed + 1)
        gan = semantic_gan(settings, decoder, encoder, placement, *shape)

        def keep_gan(step: int) -> None:
            rng = torch.Generator(accelerator.device).manual_seed(settings.seed)
            _keep(SemanticModel(gan.averaged_generator(rng), placement, encoder), folder / "gan", step, card)

        stages["gan"] = _run(gan, training, settings, "gan", folder, accelerator, keep_gan, files)
    if not accelerator.is_main_process:
        return {}
    models = {stage: load_model(folder / stage / "model", SemanticModel) for stage in stages}
    scores = {stage: _scores(model, held_out, settings.seed) for stage, model in models.items()}
    model = models[[*stages][-1]]
    write_png(folder / "films.png", feature_films(model, settings.seed), magnify=2)
    save_model(folder / "model", model, {**card, "metrics": scores})
    losses = {stage: {name: values[-1] for name, values in done.losses.items()} for stage, done in stages.items()}
    result = {"model": str(folder / "model"), "held_out": scores, "losses": losses, "placement": _described(placement)}
    by_stage = {"vae": settings.vae.loop, "gan": settings.gan.loop}
    courses = {stage: (done, by_stage[stage]) for stage, done in stages.items()}
    rows, notes = _rows(scores, data.shape, settings.latent_dim), [*data.notes, _OWN_READER]
    return finish_training(folder, settings, result, rows, notes, courses, [_films(model, folder / "films.png")])


def place_features(settings: TrainSemanticSettings, training: FeaturedImages) -> SemanticPlacement:
    """The placement of the features, with the combinations of levels that occur in training.

    Raises:
        ValueError: The file holds no placement of these features, or a separation is of no feature.
    """
    if settings.placement is not None:
        prior = load_prior(settings.placement)
        if not isinstance(prior, SemanticPlacement) or prior.features != training.features:
            found = ", ".join(prior.features) if isinstance(prior, SemanticPlacement) else type(prior).__name__
            raise ValueError(
                f"expected a placement of {', '.join(training.features)} in {settings.placement}, got {found}; save one of "
                "these features in this order"
            )
        if prior.latent_dim != settings.latent_dim:
            raise ValueError(
                f"expected a placement in {settings.latent_dim} latents, got {prior.latent_dim}; pass --latent_dim "
                f"{prior.latent_dim}"
            )
        return prior.observed(training.a)
    separations = parse_levels(settings.separations, "--separations")
    if strange := set(separations) - set(training.features):
        raise ValueError(
            f"expected separations of {', '.join(training.features)}, got {', '.join(sorted(strange))}; name a feature"
        )
    return SemanticPlacement(
        training.features,
        settings.latent_dim,
        exclusive=training.exclusive,
        block=settings.block,
        separation=[separations.get(name, settings.separation) for name in training.features],
        combination=settings.combination,
    ).observed(training.a)


def semantic_vae(
    settings: TrainSemanticSettings, placement: SemanticPlacement, side: int, channels: int
) -> SemanticVAETraining:
    """The first stage, untrained."""
    d, width = settings.latent_dim, settings.width
    return SemanticVAETraining(
        channels_last(Zheng2019Encoder(2 * d, side, channels, width)),
        channels_last(Zheng2019Decoder(d, side, channels, width)),
        placement,
        deviation=settings.vae.deviation,
        warm_up=settings.vae.warm_up,
        lr=settings.vae.lr,
    )


def semantic_gan(
    settings: TrainSemanticSettings,
    decoder: nn.Module,
    encoder: nn.Module,
    placement: SemanticPlacement,
    side: int,
    channels: int,
) -> SemanticGANTraining:
    """The second stage, with an untrained discriminator, and a generator of its own if it is to be fresh."""
    own = settings.gan
    fresh = channels_last(Zheng2019Decoder(settings.latent_dim, side, channels, settings.width))
    told = len(placement.features) if own.discriminator_sees == "levels" else 0
    return SemanticGANTraining(
        fresh if own.fresh else decoder,
        channels_last(Zheng2019Discriminator(told, side, channels, settings.width, own.discriminator_norm)),
        encoder,
        placement,
        sees_levels=told > 0,
        consistency=own.consistency,
        consistency_weight=own.consistency_weight,
        reversed_share=own.reversed_share,
        turned=_turned(settings, placement),
        train_encoder=own.train_encoder,
        objective=own.objective,
        r1=own.r1,
        r1_every=own.r1_every,
        generator_lr=own.generator_lr,
        discriminator_lr=own.discriminator_lr,
        betas=own.betas,
        ema=own.ema,
    )


def _turned(settings: TrainSemanticSettings, placement: SemanticPlacement) -> tuple[str, ...] | None:
    """Features to reverse in stage 2; None for all but the classes."""
    held_out = parse_levels(settings.held_out, "--held_out")
    wanted = tuple(name for name in held_out if name not in placement.exclusive)
    return (wanted or None) if settings.gan.turned is None else settings.gan.turned


def feature_films(model: SemanticModel, seed: int) -> Tensor:
    """A sheet: for each feature that is no class, codes in rows and its level from -1.5 to 1.5 in columns.

    Neutral is in the middle. Without such features, samples in ten columns.
    """
    placement = model.prior
    device = placement.loc.device
    rng = torch.Generator(device).manual_seed(seed)
    free = [name for name in placement.features if name not in placement.exclusive]
    if not free:
        return grid(model.decode(placement.sample(100, rng=rng)), 10)
    y = torch.multinomial(placement.probs, _SHOWN, replacement=True, generator=rng)
    a = placement.combinations[y]
    rows = []
    for name in free:
        neutral = a.clone()
        neutral[:, placement.index(name)] = 0
        z = placement.at(neutral).sample(rng=rng)
        frames = torch.stack([placement.moved(z, name, level) for level in _FRAMES], 1)
        rows.append(model.decode(frames.flatten(0, 1)))
    return grid(torch.cat(rows), len(_FRAMES))


def _films(model: SemanticModel, path: Path) -> Picture:
    free = any(name not in model.prior.exclusive for name in model.prior.features)
    columns = tuple(f"{level:g}" for level in _FRAMES) if free else ()
    caption = "Rows of codes, six for each feature in turn; columns: its level." if free else ""
    return Picture("Features", path.read_bytes(), caption, columns=columns)


def _features(settings: TrainSemanticSettings, images: LabelledImages) -> FeaturedImages:
    """All but what is held out."""
    given = featured(images, settings.attributes, classes=settings.classes, absent=settings.absent)
    return given.without(parse_levels(settings.held_out, "--held_out"))


def _run(
    model: Any,
    training: FeaturedImages,
    settings: TrainSemanticSettings,
    stage: str,
    folder: Path,
    accelerator: Accelerator,
    keep: Any,
    files: Mapping[str, str],
) -> Trained:
    """One stage, from its last checkpoint if there is one."""
    loop = settings.vae.loop if stage == "vae" else settings.gan.loop
    return train(
        model, training, loop, folder / stage, seed=settings.seed, accelerator=accelerator,
        identity={**_identity(settings, stage), **files}, at_checkpoint=keep,
    )  # fmt: skip


def _identity(settings: TrainSemanticSettings, stage: str) -> dict[str, Any]:
    """The settings that decide the weights of a stage; the first knows nothing of the second."""
    identity = settings_record(settings)
    del identity["device"], identity["stages"]
    identity["vae"]["loop"] = loop_identity(settings.vae.loop)
    if stage == "vae":
        del identity["gan"]
        return identity
    identity["vae"]["steps"] = settings.vae.loop.steps
    identity["gan"]["loop"] = loop_identity(settings.gan.loop)
    return identity


def _keep(model: SemanticModel, home: Path, step: int, card: Mapping[str, Any]) -> None:
    write_png(home / "previews" / f"step-{step:08d}.png", feature_films(model, 0))
    save_model(home / "model", model, {**card, "metrics": {"step": step}})


def _scores(model: SemanticModel, images: FeaturedImages, seed: int) -> dict[str, float]:
    """What is made again of images, what it costs, and whether the encoder finds in samples what was asked for."""
    few = range(min(_SCORED, len(images)))
    x, a = images.images.images(few), images.a[: len(few)]
    q = model.encode(x)
    rng = torch.Generator().manual_seed(seed)
    z = model.prior.sample(1000, rng=rng)
    asked, found = (model.prior.levels(codes) for codes in (z, model.encode(model.decode(z)).mean))
    return {
        "reconstruction": (model.decode(q.mean) - x).square().mean().item(),
        "rate": model.prior.divergence(q, a).mean().item(),
        "levels_missed": (asked - found).square().mean().sqrt().item(),
    }


def _rows(scores: Mapping[str, Mapping[str, float]], shape: tuple[int, int, int], d: int) -> tuple[tuple[str, str], ...]:
    pixels = shape[0] * shape[1] * shape[2]
    rows = [("pixels for each latent", f"{pixels / d:.1f}")]
    for stage, found in scores.items():
        rows += [
            (f"{stage}: mean squared error of pixels, held-out", f"{found['reconstruction']:.4f}"),
            (f"{stage}: nats of a code", f"{found['rate']:.1f}"),
            (
                f"{stage}: levels its own encoder finds in samples, root mean square off",
                f"{found['levels_missed']:.2f}",
            ),
        ]
    return tuple(rows)


def _placement_table(placement: SemanticPlacement) -> Table:
    rows = tuple(
        (name, str(latents), f"{apart:.1f}", f"{overlap:.1%}") for name, latents, apart, overlap in _described(placement)
    )
    note = "Overlap: share of codes that the best reader takes for the wrong one of neutral and present."
    return Table("Features", ("feature", "latents", "separation", "overlap"), rows, note)


def _described(placement: SemanticPlacement) -> list[tuple[str, int, float, float]]:
    latents = (placement.means != 0).sum(1).tolist()
    numbers = zip(placement.separations.tolist(), placement.overlaps.tolist(), strict=True)
    return [(name, own, *pair) for name, own, pair in zip(placement.features, latents, numbers, strict=True)]
