"""What `python -m experiments semantics` trains: a reader of levels, stage 1, stage 2 in several ways, and GANs beside it.

All have codes of one length and the same data, without the levels held out; the reader alone knows all levels. A second
stage begins from the one VAE of its data set and seed; GANs beside it have no first stage (`semantic_baselines`) and the
iterations of both. `longer` is ours with as many rounds against a discriminator as those, at their rate.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch import nn

from experiments.frame.cells import unseen
from experiments.semantics.baselines import RECIPE, conditional_gan, plain_gan
from experiments.semantics.reverse import real_reverses
from latentry.data.features import FeaturedImages, featured
from latentry.data.sources import load_dataset
from latentry.models.generative import GenerativeModel
from latentry.models.level_reader import LevelHeads, LevelReaderTraining, read_levels
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model, save_model
from latentry.networks import PlainClassifier, channels_last
from latentry.priors import Normal, NormalMixture
from latentry.storage import read_json, write_json
from latentry.tasks.levels import parse_levels
from latentry.tasks.runs import RESULTS
from latentry.tasks.train_semantic import train_semantic
from latentry.tasks.train_settings import SemanticGANSettings, SemanticVAESettings, TrainSemanticSettings
from latentry.training.loop import train
from latentry.training.settings import LoopSettings

__all__ = [
    "ABLATIONS",
    "ALONE",
    "BASELINES",
    "GANS",
    "LONGER",
    "OURS",
    "TITLES",
    "VAE",
    "GANCell",
    "Maker",
    "PartedImages",
    "ReaderCell",
    "VAECell",
    "images_of",
    "load_maker",
    "load_reader",
    "real_reverses_of",
    "train_reader",
    "train_stage_one",
    "train_stage_two",
]

OURS, LONGER, VAE = "ours", "longer", "vae"
_REVERSES = "reverses.json"
_OURS: Mapping[str, Any] = {**RECIPE, "consistency": "levels", "consistency_weight": 0.07, "reversed_share": 0.5}

GANS: Mapping[str, Mapping[str, Any]] = {
    OURS: _OURS,
    LONGER: _OURS,
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
"""Those."""
BASELINES = ("paper", "cgan", "gan")
ABLATIONS = ("fresh", "no-consistency", "no-reversed", "whole-code", "trained-encoder")
TITLES: Mapping[str, str] = {
    VAE: "stage 1, the VAE",
    LONGER: "stage 2, ours",
    OURS: "stage 2, ours, shorter",
    "paper": "stage 2, as in the paper",
    "cgan": "conditional GAN",
    "gan": "GAN",
    "fresh": "without the decoder to begin with",
    "no-consistency": "without the encoder's say",
    "no-reversed": "without reversed codes",
    "whole-code": "with the whole code asked for",
    "trained-encoder": "with an encoder that learns on",
}


@dataclass(frozen=True)
class ReaderCell:
    """A classifier of all levels of one data set."""

    data: str
    held_out: str
    """Levels of which real images are measured, since generators are not shown them."""
    width: int
    steps: int
    seed: int

    @property
    def name(self) -> str:
        return f"reader-{Path(self.data).stem}"

    @property
    def leaves(self) -> str:
        """What is there once it is trained."""
        return f"work/{self.name}/{_REVERSES}"


@dataclass(frozen=True)
class VAECell:
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
    def leaves(self) -> str:
        """What is there once it is trained."""
        return f"work/{self.name}/{RESULTS}"


@dataclass(frozen=True)
class GANCell:
    """Stage 2 of one row, or a GAN beside it, which has of its VAE only the data, the seed and the codes."""

    vae: VAECell
    model: str
    steps: int
    lr: tuple[float, float]
    """Of generator and discriminator."""

    @property
    def name(self) -> str:
        return f"gan-{Path(self.vae.data).stem}-{self.model}-{self.vae.seed}"

    @property
    def leaves(self) -> str:
        """What is there once it is trained."""
        return f"work/{self.name}/{RESULTS}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        """The VAE that it begins from, if it does."""
        return (self.vae.name,) if self.model not in ALONE else ()

    @property
    def recipe(self) -> Any:
        """What the model's name stands for."""
        return GANS[self.model]


@dataclass(frozen=True)
class Maker:
    """A trained generator of any row, as it is scored."""

    generator: nn.Module
    prior: NormalMixture | Normal
    """A placement, unless the model has no features."""


@dataclass(frozen=True)
class PartedImages:
    """Images of a split with their levels, parted by what is held out."""

    seen: FeaturedImages
    """Those that generators may see."""
    unseen: FeaturedImages
    """Those with levels held out."""
    held_out: dict[str, float]
    """Levels held out, by feature."""


def images_of(data: str, held_out: str, split: str) -> PartedImages:
    """A split, parted by what is held out."""
    every = featured(load_dataset(data).split(split))
    levels = parse_levels(held_out, "--held_out")
    return PartedImages(*every.parted(levels), levels)


@torch.random.fork_rng()
def train_reader(folder: Path, device: str, asked: ReaderCell) -> dict[str, Any]:
    """Train on all levels; its accuracy on held-out images, of each feature."""
    data = load_dataset(asked.data)
    training, held_out = (featured(data.split(name)) for name in ("train", "held-out"))
    heads = LevelHeads(training.features, training.exclusive)
    torch.manual_seed(asked.seed)
    model = LevelReaderTraining(channels_last(PlainClassifier(heads.outputs, data.shape[0], asked.width)), heads)
    home = folder / "work" / asked.name
    train(
        model, training, _loop(asked.steps, 64), home, seed=asked.seed,
        accelerator=Accelerator(cpu=device == "cpu"), identity=vars(asked), progress=unseen,
    )  # fmt: skip
    reader = model.averaged_reader(training.images.images(range(min(2000, len(training)))).to(device))
    save_network(home / "model", reader, None, {"features": heads.features, "exclusive": heads.exclusive})
    images = images_of(asked.data, asked.held_out, "train")
    real = real_reverses(images.seen, images.unseen, images.held_out)
    write_json(home / _REVERSES, real)
    found = read_levels(reader, heads, held_out.images.images().to(device)).cpu()
    right = {name: shown.double().mean().item() for name, shown in heads.right(found, held_out.a).items()}
    return {"held_out": right, "reverses": real}


def load_reader(folder: Path, asked: ReaderCell, device: str) -> tuple[nn.Module, LevelHeads]:
    """What `train_reader` left."""
    reader = load_network(folder / "work" / asked.name / "model")
    heads = LevelHeads(tuple(reader.card["features"]), tuple(reader.card["exclusive"]))
    return reader.network.to(device), heads


def real_reverses_of(folder: Path, asked: ReaderCell) -> dict[str, Any]:
    """What `train_reader` measured of real images with levels held out."""
    found: dict[str, Any] = read_json(folder / "work" / asked.name / _REVERSES)
    return found


def train_stage_one(folder: Path, device: str, asked: VAECell) -> dict[str, Any]:
    """The VAE alone."""
    home = folder / "work" / asked.name
    if not (home / RESULTS).exists():
        train_semantic(replace(_settings(asked, home, device, SemanticGANSettings()), stages="vae"))
    return {"scores": read_json(home / RESULTS)["result"]["held_out"]["vae"]}


def train_stage_two(folder: Path, device: str, asked: GANCell) -> dict[str, Any]:
    """A second stage from the VAE of its data set and seed, or a GAN alone."""
    home = folder / "work" / asked.name
    if asked.model in ALONE:
        if not (home / RESULTS).exists():
            write_json(home / RESULTS, _train_alone(home, device, asked))
        alone: dict[str, Any] = read_json(home / RESULTS)
        return alone
    if not (home / RESULTS).exists():
        if not (home / "vae").exists():
            shutil.copytree(folder / "work" / asked.vae.name / "vae", home / "vae")
        train_semantic(_settings(asked.vae, home, device, _gan_settings(asked)))
    found = read_json(home / RESULTS)["result"]
    return {"scores": found["held_out"]["gan"], "losses": found["losses"]["gan"]}


def load_maker(folder: Path, asked: VAECell | GANCell, device: str) -> Maker:
    """What either stage left."""
    home = folder / "work" / asked.name
    if isinstance(asked, GANCell) and asked.model in ALONE:
        model = load_model(home / "model", GenerativeModel).to(device)
    else:
        model = load_model(home / ("vae" if isinstance(asked, VAECell) else "gan") / "model", GenerativeModel).to(device)
    assert isinstance(model.prior, Normal | NormalMixture), "the prior is a placement, or normal for a GAN alone"
    return Maker(model.generator, model.prior)


@torch.random.fork_rng()
def _train_alone(home: Path, device: str, asked: GANCell) -> dict[str, Any]:
    """A GAN without a first stage."""
    own = asked.vae
    training = images_of(own.data, own.held_out, "train").seen
    torch.manual_seed(own.seed + 1)
    lr, on = asked.lr[0], torch.device(device)
    if asked.model == "gan":
        model: Any = plain_gan(training, own.latent_dim, own.width, lr, on)
    else:
        model = conditional_gan(training, own.latent_dim, own.width, own.separation, lr, on)
    identity = {"model": asked.model, "lr": lr, **vars(own)}
    done = train(
        model, training, _loop(asked.steps, own.batch_size), home, seed=own.seed,
        accelerator=Accelerator(cpu=device == "cpu"), identity=identity, progress=unseen,
    )  # fmt: skip
    generator = model.averaged_generator(torch.Generator(device).manual_seed(own.seed))
    prior = model.prior if asked.model == "gan" else model.placement
    save_model(home / "model", GenerativeModel(generator, prior), {"model": asked.model})
    return {"losses": {name: values[-1] for name, values in done.losses.items()}}


def _gan_settings(asked: GANCell) -> SemanticGANSettings:
    return SemanticGANSettings(
        generator_lr=asked.lr[0], discriminator_lr=asked.lr[1],
        loop=_loop(asked.steps, asked.vae.batch_size), **GANS[asked.model],
    )  # fmt: skip


def _settings(asked: VAECell, home: Path, device: str, gan: SemanticGANSettings) -> TrainSemanticSettings:
    return TrainSemanticSettings(
        out=str(home), seed=asked.seed, device=device, json=True, data=asked.data, held_out=asked.held_out,
        latent_dim=asked.latent_dim, separation=asked.separation, width=asked.width, gan=gan,
        vae=SemanticVAESettings(
            deviation=asked.deviation, warm_up=asked.steps // 4, loop=_loop(asked.steps, asked.batch_size)
        ),
    )  # fmt: skip


def _loop(steps: int, batch_size: int) -> LoopSettings:
    every = max(1, -(-steps // 3))
    return LoopSettings(steps, batch_size, "cosine", checkpoint_every=every)
