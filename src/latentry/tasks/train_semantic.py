"""`latentry train semantic`: a VAE that places features, then a GAN from its decoder, in one command."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from latentry.data import load_dataset
from latentry.data.features import FeaturedImages, featured
from latentry.models.saving import load_model, save_model
from latentry.models.semantic import SemanticModel
from latentry.models.semantic_fitting import fit_semantic
from latentry.models.settings import SemanticSettings
from latentry.priors import SemanticPlacement, load_prior
from latentry.reports.page import Picture
from latentry.reports.pictures import grid, write_png
from latentry.reports.tables import Table, print_table
from latentry.tasks.levels import parse_levels
from latentry.tasks.runs import Run, command
from latentry.tasks.train_settings import TrainSemanticSettings
from latentry.tasks.trainings import TRAINING_PARTS, check_enough, finish_training, model_card

__all__ = ["feature_films", "load_placement", "placement_of_blocks", "train_semantic", "with_turned"]

_SHOWN = 6
"""Codes of each film in a preview."""
_FRAMES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
_OWN_ENCODER = "levels in samples are measured by the encoder that was trained along with the generator; look at films.png"
_SCORED = 5000
"""Most held-out images that are scored."""


@command(*TRAINING_PARTS, "vae", "gan", "films.png", shared=True)
def train_semantic(settings: TrainSemanticSettings, run: Run) -> dict[str, Any]:
    """Train both stages, each from its last checkpoint; write both models, films of the features, and scores."""
    both = settings.stages == "both"
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    batch_size = max(stage.batch_size for stage in ((settings.vae, settings.gan) if both else (settings.vae,)))
    check_enough(data, len(data.split("train")), batch_size, "held-out")
    held_out = parse_levels(settings.held_out, "--held_out")
    separations = parse_levels(settings.separations, "--separations")
    training, scored = (
        featured(data.split(name), settings.attributes, classes=settings.classes, absent=settings.absent).without(held_out)
        for name in ("train", "held-out")
    )
    training.check_examples()
    check_enough(data, len(training), batch_size, "held-out")
    placement = (
        placement_of_blocks(
            training, separations, latent_dim=settings.latent_dim, block=settings.block, separation=settings.separation,
            combination=settings.combination,
        )
        if settings.placement is None
        else load_placement(settings.placement, training.features, settings.latent_dim)
    ).observed(training.a)  # fmt: skip
    networks = with_turned(settings, placement, held_out)
    card, table = model_card(run, training.images), _placement_table(placement)
    print_table(table, run.progress_console)

    def keep(step: int, model: SemanticModel) -> None:
        stage, own = ("vae", step) if step <= settings.vae.steps else ("gan", step - settings.vae.steps)
        write_png(run.folder / stage / "previews" / f"step-{own:08d}.png", feature_films(model, 0))
        save_model(run.folder / stage / "model", model, {**card, "metrics": {"step": own}})

    fitted = fit_semantic(
        training, placement, networks, device=run.device, rng=run.seed, callback=keep, checkpoint=run.folder
    )
    if not run.is_main:
        return {}
    models = {"vae": load_model(run.folder / "vae" / "model", SemanticModel)}
    if both:
        models["gan"] = load_model(run.folder / "gan" / "model", SemanticModel)
    scores = {stage: _scores(model, scored, run.seed) for stage, model in models.items()}
    model = models["gan" if both else "vae"]
    rows, notes = _rows(scores, data.shape, placement.latent_dim), [*data.notes, _OWN_ENCODER]
    result = {
        "model": str(run.folder / "model"), "held_out": scores, "losses": fitted.losses, "placement": _described(placement)
    }  # fmt: skip
    films = feature_films(model, run.seed)
    write_png(run.folder / "films.png", films, magnify=2)
    save_model(run.folder / "model", model, {**card, "metrics": scores})
    pictures = [_films(model, run.folder / "films.png")]
    return finish_training(run, result, rows, notes, fitted.stages, pictures)


def with_turned(settings: SemanticSettings, placement: SemanticPlacement, held_out: Mapping[str, float]) -> SemanticSettings:
    """Settings that turn features of which a level is held out, unless they name features; all but classes if none is."""
    turned = tuple(name for name in held_out if name not in placement.exclusive) or None
    if settings.gan.turned is not None or turned is None:
        return settings
    return replace(settings, gan=replace(settings.gan, turned=turned))


def load_placement(path: str, features: tuple[str, ...], latent_dim: int) -> SemanticPlacement:
    """The placement of these features that is saved in a file.

    Raises:
        ValueError: The file holds no placement, or one of other features or with another number of latents.
    """
    prior = load_prior(path)
    if not isinstance(prior, SemanticPlacement) or prior.features != features:
        found = ", ".join(prior.features) if isinstance(prior, SemanticPlacement) else type(prior).__name__
        raise ValueError(
            f"expected a placement of {', '.join(features)} in {path}, got {found}; save one of these features in this order"
        )
    if prior.latent_dim != latent_dim:
        raise ValueError(
            f"expected a placement in {latent_dim} latents, got {prior.latent_dim}; pass --latent_dim {prior.latent_dim}"
        )
    return prior


def placement_of_blocks(
    training: FeaturedImages,
    separations: Mapping[str, float],
    *,
    latent_dim: int,
    block: int,
    separation: float,
    combination: Literal["means", "codes"],
) -> SemanticPlacement:
    """The placement of the features of training images in blocks of latents, one after the other.

    Args:
        training: Images with their features.
        separations: Distance of a feature's mean from neutral in standard deviations, for some features by name.
        latent_dim: Length of a code.
        block: Latents of each feature.
        separation: The same distance for all other features.
        combination: Whether the means of several features add, or their codes.

    Raises:
        ValueError: A separation is of no feature, or the features need more latents.
    """
    if unknown := set(separations) - set(training.features):
        raise ValueError(
            f"expected separations of {', '.join(training.features)}, got {', '.join(sorted(unknown))}; name a feature"
        )
    return SemanticPlacement(
        training.features,
        latent_dim,
        exclusive=training.exclusive,
        block=block,
        separation=[separations.get(name, separation) for name in training.features],
        combination=combination,
    )


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
    """Reconstruction error and rate of images, and how well the encoder finds the levels of samples."""
    few = range(min(_SCORED, len(images)))
    x, a = images.images.images(few), images.a[: len(few)]
    q = model.encode(x)
    rng = torch.Generator().manual_seed(seed)
    z = model.prior.sample(1000, rng=rng)
    levels, found = (model.prior.levels(codes) for codes in (z, model.encode(model.decode(z)).mean))
    return {
        "reconstruction": (model.decode(q.mean) - x).square().mean().item(),
        "rate": model.prior.divergence(q, a).mean().item(),
        "levels_missed": (levels - found).square().mean().sqrt().item(),
    }


def _rows(scores: Mapping[str, Mapping[str, float]], shape: tuple[int, int, int], d: int) -> tuple[tuple[str, str], ...]:
    pixels = shape[0] * shape[1] * shape[2]
    rows = [("pixels for each latent", f"{pixels / d:.1f}")]
    for stage, found in scores.items():
        rows += [
            (f"{stage}: mean squared error of pixels, held-out", f"{found['reconstruction']:.4f}"),
            (f"{stage}: nats of a code", f"{found['rate']:.1f}"),
            (
                f"{stage}: root mean square error of the levels that its own encoder finds in samples",
                f"{found['levels_missed']:.2f}",
            ),
        ]
    return tuple(rows)


def _placement_table(placement: SemanticPlacement) -> Table:
    rows = tuple(
        (name, str(latents), f"{apart:.1f}", f"{overlap:.1%}") for name, latents, apart, overlap in _described(placement)
    )
    note = "Overlap: share of codes that the best possible classifier takes for the wrong one of neutral and present."
    return Table("Features", ("feature", "latents", "separation", "overlap"), rows, note)


def _described(placement: SemanticPlacement) -> list[tuple[str, int, float, float]]:
    latents = (placement.means != 0).sum(1).tolist()
    numbers = zip(placement.separations.tolist(), placement.overlaps.tolist(), strict=True)
    return [(name, own, *pair) for name, own, pair in zip(placement.features, latents, numbers, strict=True)]
