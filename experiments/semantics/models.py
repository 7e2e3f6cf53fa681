"""What `python -m experiments semantics` trains: a classifier of levels, stage 1, stage 2 in several ways, and GANs.

All have codes of one length and the same data, without the levels held out; the evaluation classifier alone knows all
levels. A second stage begins from the one VAE of its data set and seed. GANs beside it have no first stage
and the iterations of both. `ours` has as many iterations against a discriminator as those, at their learning rate;
`ours-short` has fewer, at half the rate, and is what ablations take parts from.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.framework.cell import Cell, Place, Row, no_progress
from experiments.framework.timing import seconds_of_passes
from experiments.semantics.reverse import divided_images, real_reverses
from latentry.data.features import FeaturedImages, featured
from latentry.data.sources import load_dataset
from latentry.models.gan import fit_gan
from latentry.models.generative import GenerativeModel
from latentry.models.level_classifier import LevelHeads, fit_level_classifier
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model, save_model
from latentry.models.semantic import SemanticModel
from latentry.models.semantic_fitting import fit_feature_gan, fit_semantic
from latentry.models.settings import GANSettings, SemanticGANSettings, SemanticSettings, SemanticVAESettings
from latentry.networks import DCGANGenerator, Zheng2019Discriminator, channels_last
from latentry.priors import Normal, SemanticPlacement
from latentry.storage import read_json, write_json
from latentry.training.batches import square_images
from latentry.training.settings import LoopSettings

__all__ = [
    "ABLATIONS",
    "ALONE",
    "MODELS",
    "OURS",
    "SHORT",
    "STAGE_TWO",
    "VAE",
    "GeneratorCell",
    "LevelClassifierCell",
    "VAECell",
]

RECIPE: Mapping[str, Any] = {
    "objective": "non-saturating", "r1": 0.5, "r1_every": 8, "betas": (0.0, 0.99), "ema": 0.995
}  # fmt: skip
"""What every training against a discriminator has: the recipe of the shipped `digits-generator`."""
OURS, SHORT, VAE = "ours", "ours-short", "vae"
_REVERSES = "reverses.json"
RESULTS = "results.json"
"""Last file that a training writes."""
_SCORED = 5000
"""Most held-out images that a training is scored on."""
_OURS: Mapping[str, Any] = {**RECIPE, "consistency": "levels", "consistency_weight": 0.07, "reversed_share": 0.5}

STAGE_TWO: Mapping[str, Mapping[str, Any]] = {
    OURS: _OURS,
    SHORT: _OURS,
    "paper": {
        **_OURS,
        "discriminator_sees": "images",
        "consistency": "distribution",
        "consistency_weight": 0.1,
        "reversed_share": 0.0,
    },
    "cgan": RECIPE,
    "gan": RECIPE,
    "fresh": {**_OURS, "fresh": True},
    "no-consistency": {**_OURS, "consistency_weight": 0.0, "reversed_share": 0.0},
    "no-reversed": {**_OURS, "reversed_share": 0.0},
    "whole-code": {**_OURS, "consistency": "code", "consistency_weight": 0.1},
    "trained-encoder": {**_OURS, "train_encoder": True},
}
"""Settings of each second stage beyond the defaults, and of the GANs that have no first stage."""
ALONE = ("cgan", "gan")
"""GANs without a first stage."""
MODELS = (VAE, OURS, SHORT, "paper", *ALONE)
"""Rows of the table of models."""
ABLATIONS = ("fresh", "no-consistency", "no-reversed", "whole-code", "trained-encoder")
"""Rows of the table of ablations, beside `ours-short`."""


def _loop(steps: int, batch_size: int) -> dict[str, Any]:
    return {"steps": steps, "batch_size": batch_size, "schedule": "cosine", "checkpoint_every": max(1, -(-steps // 3))}


@dataclass(frozen=True)
class LevelClassifierCell(Cell):
    """The evaluation classifier of all levels of one data set."""

    data: str
    held_out: str
    """Levels of which real images are measured, since generators are not shown them."""
    width: int
    steps: int
    seed: int

    @property
    def name(self) -> str:
        return f"classifier-{Path(self.data).stem}"

    @property
    def artifact(self) -> str:
        return f"work/{self.name}/{_REVERSES}"

    @property
    def row(self) -> Row:
        return Row("classifier", Path(self.data).stem, "classifier of levels", self.seed)

    def expected_seconds(self, place: Place) -> float:
        return self.steps * 4 * seconds_of_passes(self.data, 32, self.width // 2, 64, place.device) + 10

    def work(self, place: Place) -> dict[str, Any]:
        """Train on all levels; the accuracy on held-out images, of each feature."""
        data = load_dataset(self.data)
        training, held_out = (featured(data.split(name)) for name in ("train", "held-out"))
        home, heads = place.home(self.name), LevelHeads(training.features, training.exclusive)
        loop = LoopSettings(**_loop(self.steps, 64))
        classifier = fit_level_classifier(
            training,
            heads,
            loop,
            width=self.width,
            device=place.device,
            rng=self.seed,
            progress=no_progress,
            checkpoint=home,
        ).model
        card = {"features": heads.features, "exclusive": heads.exclusive}
        save_network(home / "model", classifier.network, None, card)
        real = real_reverses(divided_images(self.data, self.held_out, "train"))
        write_json(home / _REVERSES, real)
        found = classifier.levels(held_out.images.images().to(place.device)).cpu()
        right = {name: shown.double().mean().item() for name, shown in heads.right(found, held_out.a).items()}
        return {"held_out": right, "reverses": real}

    def load(self, place: Place) -> tuple[nn.Module, LevelHeads]:
        """The trained network, and what its logits mean."""
        saved = load_network(place.home(self.name) / "model")
        heads = LevelHeads(tuple(saved.card["features"]), tuple(saved.card["exclusive"]))
        return saved.network.to(place.device), heads

    def real_reverses(self, place: Place) -> dict[str, Any]:
        """What was measured of real images with levels held out."""
        found: dict[str, Any] = read_json(place.home(self.name) / _REVERSES)
        return found


@dataclass(frozen=True)
class VAECell(Cell):
    """Stage 1 of one data set, seed and length of codes."""

    data: str
    held_out: str
    seed: int
    latent_dim: int
    separation: float
    deviation: float
    width: int
    steps: int
    batch_size: int

    @property
    def name(self) -> str:
        return f"vae-{Path(self.data).stem}-{self.latent_dim}-{self.seed}"

    @property
    def artifact(self) -> str:
        return f"work/{self.name}/{RESULTS}"

    @property
    def row(self) -> Row:
        return Row("stage-1", Path(self.data).stem, str(self.latent_dim), self.seed)

    def expected_seconds(self, place: Place) -> float:
        return self.steps * 1.2 * self.step_seconds(place) + 10

    def step_seconds(self, place: Place) -> float:
        """Seconds of a pass through an encoder and a decoder."""
        return seconds_of_passes(self.data, self.latent_dim, self.width, self.batch_size, place.device)

    def work(self, place: Place) -> dict[str, Any]:
        return _result(place.home(self.name), lambda home: self.train(home, place.device, self.settings()))

    def load(self, place: Place) -> GenerativeModel:
        return load_model(place.home(self.name) / "model", GenerativeModel).to(place.device)

    def settings(self, gan: SemanticGANSettings | None = None) -> SemanticSettings:
        """What one stage, or both, are trained with."""
        vae = SemanticVAESettings(deviation=self.deviation, warm_up=self.steps // 4, **_loop(self.steps, self.batch_size))
        if gan is None:
            return SemanticSettings(width=self.width, stages="vae", vae=vae)
        return SemanticSettings(width=self.width, vae=vae, gan=gan)

    def placement(self, shown: FeaturedImages) -> SemanticPlacement:
        """Where features are, with the combinations of levels that images show."""
        placement = SemanticPlacement(shown.features, self.latent_dim, exclusive=shown.exclusive, separation=self.separation)
        return placement.observed(shown.a)

    def train(self, home: Path, device: str, settings: SemanticSettings) -> dict[str, Any]:
        """Train from the last checkpoint if there is one; scores of the model, and its last losses."""
        shown = divided_images(self.data, self.held_out, "train").shown
        fitted = fit_semantic(
            shown, self.placement(shown), settings, device=device, rng=self.seed, progress=no_progress,
            checkpoint=home,
        )  # fmt: skip
        save_model(home / "model", fitted.model)
        scores = _scores(fitted.model, divided_images(self.data, self.held_out, "held-out").shown, self.seed)
        return {"scores": scores, "losses": fitted.losses[settings.stages.replace("both", "gan")]}


def _result(home: Path, train_there: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """What a training gives, unless it is there."""
    if not (home / RESULTS).exists():
        write_json(home / RESULTS, train_there(home))
    found: dict[str, Any] = read_json(home / RESULTS)
    return found


def _scores(model: SemanticModel, images: FeaturedImages, seed: int) -> dict[str, float]:
    """Error of images, nats of a code, and by how much the encoder misses the levels of samples."""
    model = model.to("cpu")
    rows = range(min(_SCORED, len(images)))
    x, a = images.images.images(rows), images.a[: len(rows)]
    q = model.encode(x)
    z = model.prior.sample(1000, rng=torch.Generator().manual_seed(seed))
    given, found = (model.prior.levels(codes) for codes in (z, model.encode(model.decode(z)).mean))
    return {
        "reconstruction": (model.decode(q.mean) - x).square().mean().item(),
        "rate": model.prior.divergence(q, a).mean().item(),
        "levels_missed": (given - found).square().mean().sqrt().item(),
    }


@dataclass(frozen=True)
class GeneratorCell(Cell):
    """Stage 2 of one row, or a GAN beside it, which has of its VAE only the data, the seed and the codes."""

    vae: VAECell
    model: str
    steps: int
    learning_rates: tuple[float, float]
    """Of generator and discriminator."""

    @property
    def name(self) -> str:
        return f"gan-{Path(self.vae.data).stem}-{self.model}-{self.vae.seed}"

    @property
    def artifact(self) -> str:
        return f"work/{self.name}/{RESULTS}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return (self.vae.name,) if self.model not in ALONE else ()

    @property
    def recipe(self) -> Any:
        return STAGE_TWO[self.model]

    @property
    def row(self) -> Row:
        return Row("stage-2", Path(self.vae.data).stem, self.model, self.vae.seed)

    def expected_seconds(self, place: Place) -> float:
        return self.steps * 4 * self.vae.step_seconds(place) + 10

    def work(self, place: Place) -> dict[str, Any]:
        """A second stage from the VAE of its data set and seed, or a GAN alone."""

        def both_stages(home: Path) -> dict[str, Any]:
            if not home.exists():  # the checkpoints of the first stage, from which it goes on
                shutil.copytree(place.home(self.vae.name), home, ignore=shutil.ignore_patterns("model", RESULTS))
            return self.vae.train(home, place.device, self.settings)

        def alone(home: Path) -> dict[str, Any]:
            return self._train_alone(home, place.device)

        return _result(place.home(self.name), alone if self.model in ALONE else both_stages)

    def load(self, place: Place) -> GenerativeModel:
        return load_model(place.home(self.name) / "model", GenerativeModel).to(place.device)

    @property
    def stage_two(self) -> dict[str, Any]:
        """What the second stage is trained with."""
        generator_rate, discriminator_rate = self.learning_rates
        return {
            "generator_learning_rate": generator_rate,
            "discriminator_learning_rate": discriminator_rate,
            **_loop(self.steps, self.vae.batch_size),
            **STAGE_TWO[self.model],
        }

    @property
    def settings(self) -> SemanticSettings:
        """What both stages are trained with; features with a level held out are reversed."""
        images = divided_images(self.vae.data, self.vae.held_out, "train")
        turned = tuple(name for name in images.held_out if name not in images.shown.exclusive)
        return self.vae.settings(SemanticGANSettings(turned=turned or None, **self.stage_two))

    @torch.random.fork_rng()
    def _train_alone(self, home: Path, device: str) -> dict[str, Any]:
        """A GAN without a first stage; that called `cgan` has a discriminator that sees the levels.

        With a discriminator alone, the decoder of the semantic models covers little of the data, or nearly one image. So the
        generator is DCGAN's, with at least as many weights.
        """
        own = self.vae
        training = divided_images(own.data, own.held_out, "train").shown
        side, channels = square_images(training)
        levels = 0 if self.model == "gan" else len(training.features)
        torch.manual_seed(own.seed + 1)
        generator = channels_last(DCGANGenerator(own.latent_dim, side, channels, 2 * own.width))
        discriminator = channels_last(Zheng2019Discriminator(levels, side, channels, own.width, norm="none"))
        given: dict[str, Any] = {
            "generator": generator, "discriminator": discriminator, "device": device, "rng": own.seed,
            "progress": no_progress, "checkpoint": home,
        }  # fmt: skip
        if self.model == "gan":
            fitted = fit_gan(training, Normal(own.latent_dim), GANSettings(**self.stage_two), **given)
        else:
            settings = SemanticGANSettings(consistency_weight=0.0, **self.stage_two)
            fitted = fit_feature_gan(training, own.placement(training), settings, **given)
        save_model(home / "model", fitted.model, {"model": self.model})
        return {"losses": fitted.losses["gan"]}
