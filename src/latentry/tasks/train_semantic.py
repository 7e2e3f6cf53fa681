"""`latentry train semantic`: a VAE that places features, then a GAN from its decoder, in one command."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentry.data import load_dataset
from latentry.data.features import FeaturedImages, featured
from latentry.models.saving import load_model, save_model
from latentry.models.semantic import SemanticModel
from latentry.models.semantic_training import fit_semantic
from latentry.models.settings import SemanticSettings
from latentry.priors import SemanticPlacement, load_prior
from latentry.reports.consoles import PlainConsole
from latentry.reports.page import Picture
from latentry.reports.pictures import grid, write_png
from latentry.reports.tables import Table, print_table
from latentry.tasks.levels import parse_levels
from latentry.tasks.runs import command
from latentry.tasks.train_settings import TrainSemanticSettings
from latentry.tasks.trainings import check_enough, claim_training, finish_training, is_main_process, model_card

__all__ = ["feature_films", "place_features", "train_semantic"]

_SHOWN = 6
"""Codes of each film in a preview."""
_FRAMES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
_OWN_READER = "levels in samples are read by the encoder that was trained along with the generator; look at films.png"
_SCORED = 5000
"""Most held-out images that are scored."""


@command
def train_semantic(settings: TrainSemanticSettings) -> dict[str, Any]:
    """Train both stages, each from its last checkpoint; write both models, films of the features, and scores."""
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    batch_size = max(stage.batch_size for stage in (settings.vae, settings.gan)[: 2 if settings.stages == "both" else 1])
    check_enough(data, len(data.split("train")), batch_size, "held-out")
    held_out = parse_levels(settings.held_out, "--held_out")
    training, scored = (
        featured(data.split(name), settings.attributes, classes=settings.classes, absent=settings.absent).without(held_out)
        for name in ("train", "held-out")
    )
    check_enough(data, len(training), batch_size, "held-out")
    training.check_examples()
    placement = place_features(settings, training)
    card = model_card(settings, training.images)
    device, folder = claim_training(settings, settings.vae.precision, "vae", "gan", "films.png")
    print_table(_placement_table(placement), PlainConsole(stderr=True, quiet=settings.json or not is_main_process()))

    def keep(step: int, model: SemanticModel) -> None:
        first = step <= settings.vae.steps
        home, own = folder / ("vae" if first else "gan"), step if first else step - settings.vae.steps
        write_png(home / "previews" / f"step-{own:08d}.png", feature_films(model, 0))
        save_model(home / "model", model, {**card, "metrics": {"step": own}})

    fitted = fit_semantic(
        training, placement, with_turned(settings, placement, held_out), device=device, rng=settings.seed, callback=keep,
        checkpoint=folder,
    )  # fmt: skip
    if not is_main_process():
        return {}
    models = {stage: load_model(folder / stage / "model", SemanticModel) for stage in fitted.stages}
    scores = {stage: _scores(model, scored, settings.seed) for stage, model in models.items()}
    model = models[[*models][-1]]
    write_png(folder / "films.png", feature_films(model, settings.seed), magnify=2)
    save_model(folder / "model", model, {**card, "metrics": scores})
    result = {
        "model": str(folder / "model"), "held_out": scores, "losses": fitted.losses, "placement": _described(placement)
    }  # fmt: skip
    rows, notes = _rows(scores, data.shape, settings.latent_dim), [*data.notes, _OWN_READER]
    return finish_training(folder, settings, result, rows, notes, fitted.stages, [_films(model, folder / "films.png")])


def with_turned(settings: SemanticSettings, placement: SemanticPlacement, held_out: Mapping[str, float]) -> SemanticSettings:
    """Settings that turn features of which a level is held out, unless they say which; all but classes if none is."""
    turned = tuple(name for name in held_out if name not in placement.exclusive) or None
    if settings.gan.turned is not None or turned is None:
        return settings
    return replace(settings, gan=replace(settings.gan, turned=turned))


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
