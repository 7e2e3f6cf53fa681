"""Generators for the study of spectra, a guide, and an encoder of real images for each: what its other cells build on.

- `SpaceCell` trains a generator with the normal prior, `GuideCell` a classifier for data that have none shipped.
- `EncoderCell` makes the Loewdin basis from the prior, an inverse of the generator, and from it the encoder of real images
  that is trained to write their label as the largest coefficient.

The guide makes bases, trains encoders and tunes; another classifier, the reader, has the word in every result.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.frame.cells import unseen
from experiments.spectrum.denoising import LabelledBatch
from latentry.data.images import LabelledImages
from latentry.data.sources import load_dataset
from latentry.holding import evaluated
from latentry.latent.encoding import fit_encoder
from latentry.latent.inverse import Inverse, fit_inverse, load_inverse, save_inverse
from latentry.latent.spectral import QuasiEigenbasis, load_basis, quasi_eigenvectors, save_basis
from latentry.priors import Normal
from latentry.reports.pictures import grid, write_png
from latentry.storage import read_json
from latentry.tasks.coding import Labelled, decoded, load_classifier
from latentry.tasks.runs import RESULTS, load_generator
from latentry.tasks.train import train_classifier, train_gan
from latentry.tasks.train_encoder import recipe
from latentry.tasks.train_settings import TrainClassifierSettings, TrainEncoderSettings, TrainGANSettings
from latentry.training.settings import LoopSettings

__all__ = [
    "SHOWN",
    "Bench",
    "EncoderCell",
    "GuideCell",
    "Places",
    "SpaceCell",
    "bench_of",
    "coded",
    "fit_real_encoder",
    "home_of",
    "pair",
    "picture_of",
    "read_labels",
    "train_generator",
    "train_guide",
]

SHOWN = 8
"""Images in a picture, or in half a row of it."""


@dataclass(frozen=True)
class Places:
    """Where things are; changes no result."""

    folder: Path
    """Of the whole experiment."""
    device: str
    trained: str | None
    """Folder of the priors experiment: its generators with the normal prior are taken where their settings are equal."""


@dataclass(frozen=True)
class SpaceCell:
    """A generator with the normal prior."""

    data: str
    seed: int
    latent_dim: int
    width: int
    steps: int
    batch_size: int
    lr: float
    model: str | None
    """A generator by name or folder in place of a training; None to train one."""

    @property
    def name(self) -> str:
        return f"space-{Path(self.data).name}-{self.seed}"


@dataclass(frozen=True)
class GuideCell:
    """A classifier that methods may use."""

    data: str
    steps: int

    @property
    def name(self) -> str:
        return f"guide-{Path(self.data).name}"


@dataclass(frozen=True)
class EncoderCell:
    """A basis from the prior, and an encoder of real images that writes labels into it."""

    space: SpaceCell
    guide: str | GuideCell
    """A classifier by name or folder, or one that is trained first."""
    per_label: int
    inverse_steps: int
    steps: int
    batch_size: int
    images: int
    """Most training images."""

    @property
    def name(self) -> str:
        return f"encoder-{Path(self.space.data).name}-{self.space.seed}"


def home_of(places: Places, name: str) -> Path:
    """Where the networks of a cell lie."""
    return places.folder / "work" / name


def picture_of(places: Places, name: str) -> Path:
    """Where a picture goes."""
    return places.folder / "pictures" / f"{name}.png"


def train_generator(places: Places, asked: SpaceCell) -> dict[str, Any]:
    home = home_of(places, asked.name)
    if _generator(places, asked) == str(home / "model") and not (home / RESULTS).exists():
        train_gan(_gan_settings(asked, home, places.device))
    model, prior = load_generator(_generator(places, asked))
    z = prior.sample(10 * SHOWN, rng=torch.Generator().manual_seed(asked.seed))
    write_png(picture_of(places, asked.name), grid(decoded(model.generator, z), 2 * SHOWN), magnify=2)
    return {"generator": model.fingerprint}


def _generator(places: Places, asked: SpaceCell) -> str:
    """Name or folder of the generator, which may be of another experiment where that has the very same."""
    if asked.model is not None:
        return asked.model
    if places.trained is not None:
        there = Path(places.trained) / "work" / f"{Path(asked.data).name}-normal-{asked.seed}"
        if (there / RESULTS).exists():
            card = load_generator(str(there / "model"))[0].card["settings"]
            same = {"latent_dim": asked.latent_dim, "width": asked.width, "generator_lr": asked.lr, "seed": asked.seed}
            loop = {"steps": asked.steps, "batch_size": asked.batch_size}
            if all(card[name] == value for name, value in same.items()) and loop.items() <= card["loop"].items():
                return str(there / "model")
    return str(home_of(places, asked.name) / "model")


def _gan_settings(asked: SpaceCell, home: Path, device: str) -> TrainGANSettings:
    """The shipped generator's settings, at this size."""
    return TrainGANSettings(
        out=str(home), seed=asked.seed, device=device, json=True, data=asked.data, prior="normal",
        latent_dim=asked.latent_dim, width=asked.width, discriminator_width=asked.width, r1=0.5, r1_every=8,
        generator_lr=asked.lr, discriminator_lr=asked.lr, betas=(0.0, 0.99), ema=0.995,
        loop=LoopSettings(asked.steps, asked.batch_size, "cosine", checkpoint_every=max(2, -(-asked.steps // 3))),
    )  # fmt: skip


def train_guide(places: Places, asked: GuideCell) -> dict[str, Any]:
    """Half of the training images, another build and another seed than the readers that are shipped."""
    home = home_of(places, asked.name)
    if not (home / RESULTS).exists():
        loop = LoopSettings(asked.steps, 64, "cosine", checkpoint_every=max(1, asked.steps // 6))
        train_classifier(
            TrainClassifierSettings(
                out=str(home),
                seed=101,
                device=places.device,
                json=True,
                data=asked.data,
                fold=(0, 2),
                degrees=6.0,
                loop=loop,
            )
        )
    accuracy: dict[str, Any] = read_json(home / RESULTS)["result"]["accuracy"]
    return accuracy


@dataclass(frozen=True)
class Bench:
    """What the experiments on one generator share."""

    generator: nn.Module
    prior: Normal
    guide: nn.Module
    device: torch.device
    data: LabelledImages

    def images(self, split: str, count: int) -> LabelledBatch:
        """The first images of a split and their labels, on the device."""
        part = self.data.split(split)
        rows = range(min(count, len(part)))
        return LabelledBatch(part.images(rows).to(self.device), part.labels[rows.start : rows.stop])

    def decode(self, z: Tensor) -> Tensor:
        return decoded(self.generator, z).to(self.device)


def bench_of(places: Places, asked: EncoderCell) -> Bench:
    device = torch.device(places.device)
    model, prior = load_generator(_generator(places, asked.space))
    if not isinstance(prior, Normal):
        raise ValueError(f"expected a generator with the normal prior, got {prior!r}; the paper has no other")
    guide = asked.guide if isinstance(asked.guide, str) else str(home_of(places, asked.guide.name) / "model")
    network = model.generator.to(device).eval()
    return Bench(network, prior, load_classifier(guide, device).eval(), device, load_dataset(asked.space.data))


def fit_real_encoder(places: Places, asked: EncoderCell) -> dict[str, Any]:
    bench, home = bench_of(places, asked), home_of(places, asked.name)
    rng = torch.Generator().manual_seed(asked.space.seed)
    basis = quasi_eigenvectors(bench.generator, bench.guide, bench.prior, per_label=asked.per_label, rng=rng)
    save_basis(home / "basis", basis)
    inverse = fit_inverse(
        bench.generator,
        bench.prior,
        steps=asked.inverse_steps,
        batch_size=asked.batch_size,
        rng=torch.Generator().manual_seed(asked.space.seed),
        folder=home / "inverse",
        checkpoint_every=max(1, min(250, asked.inverse_steps // 2)),
        progress=unseen,
    )
    save_inverse(home / "inverse", inverse)
    every = max(1, min(250, asked.steps // 2))
    settings = TrainEncoderSettings(steps=asked.steps, batch_size=asked.batch_size, checkpoint_every=every)
    train, validation = bench.images("train", asked.images), bench.images("validation", min(1000, asked.images))
    encoder = fit_encoder(
        bench.generator,
        bench.prior,
        train.x,
        y=train.y,
        classifier=bench.guide,
        start=inverse,
        validation=(validation.x, validation.y),
        rng=torch.Generator().manual_seed(asked.space.seed),
        folder=home / "encoder",
        progress=unseen,
        **recipe(settings, basis),
    )
    save_inverse(home / "encoder", encoder)
    assert encoder.report.data is not None
    return {"inverse": inverse.report.code_error, "validation": asdict(encoder.report.data)}


def coded(places: Places, asked: EncoderCell, bench: Bench) -> tuple[QuasiEigenbasis, Inverse]:
    home = home_of(places, asked.name)
    return load_basis(home / "basis", bench.generator), load_inverse(home / "encoder", bench.generator)


def read_labels(classifier: nn.Module, x: Tensor) -> Tensor:
    with evaluated(classifier), torch.no_grad():
        return torch.cat([classifier(part).argmax(1) for part in x.split(500)]).cpu()


def pair(codes: Labelled) -> tuple[Tensor, Tensor]:
    return codes.z, codes.y
