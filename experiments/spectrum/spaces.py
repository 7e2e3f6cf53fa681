"""Latent spaces of the spectrum experiment: a generator, a guide, and an encoder of real images, that other cells build on.

- `SpaceCell` trains a generator with the normal prior, `GuideCell` a classifier for data that have none shipped.
- `EncoderCell` makes the Loewdin basis from the prior, an inverse of the generator, and from it the encoder of real images
  that is trained to write their label as the largest coefficient.

The guide makes bases, trains encoders and tunes; an evaluation classifier scores every result.
"""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row, no_progress
from experiments.framework.timing import forward_seconds
from latentry.data.images import LabelledImages
from latentry.data.sources import load_dataset
from latentry.evaluation.proportions import share
from latentry.holding import evaluated
from latentry.latent.encoding import fit_encoder
from latentry.latent.inverse import Inverse, fit_inverse
from latentry.latent.inverse_files import load_inverse, save_inverse
from latentry.latent.settings import InverseSettings
from latentry.latent.spectral import QuasiEigenbasis, load_basis, quasi_eigenvectors, save_basis
from latentry.models.classifier import Classifier, fit_classifier
from latentry.models.gan import fit_gan
from latentry.models.generative import GenerativeModel
from latentry.models.saving import load_model, save_model
from latentry.models.settings import ClassifierSettings, GANSettings
from latentry.networks import DCGANGenerator, channels_last
from latentry.numerics.batches import in_batches
from latentry.priors import Normal
from latentry.reports.pictures import write_sheet
from latentry.tasks.denoising.comparison import LabelledBatch
from latentry.tasks.train_encoder import Jitter, label_scores
from latentry.tasks.train_settings import TrainEncoderSettings

__all__ = [
    "SHOWN",
    "EncoderCell",
    "GuideCell",
    "LabelledCodes",
    "Space",
    "SpaceCell",
    "evaluation_classifier",
    "read_labels",
]

SHOWN = 8
"""Images in a picture, or in half a row of it."""
_AT_ONCE = 500
_GUIDE_SEED = 101

LabelledCodes = tuple[Tensor, Tensor]
"""Codes `(n, d)` and labels `(n,)`."""


@dataclass(frozen=True)
class SpaceCell(Cell):
    """A generator with the normal prior."""

    data: str
    seed: int
    latent_dim: int
    width: int
    steps: int
    batch_size: int
    learning_rate: float
    model: str | None
    """A generator by name or folder in place of a training; None to train one."""

    @property
    def name(self) -> str:
        return f"space-{self.data_name}-{self.seed}"

    @property
    def data_name(self) -> str:
        return Path(self.data).name

    def expected_seconds(self, place: Place) -> float:
        return self.steps * self.batch_size * 14 * self.seconds(place.device) if self.model is None else 1.0

    def seconds(self, device: str) -> float:
        """Seconds of a forward pass of one code."""
        return _decoding_seconds(self.data, self.latent_dim, self.width, device)

    def work(self, place: Place) -> dict[str, Any]:
        home = place.home(self.name)
        if self.model is None and not (home / "model").exists():
            training = load_dataset(self.data).split("train")
            fitted = fit_gan(
                training, Normal(self.latent_dim), self._settings, device=place.device, rng=self.seed,
                progress=no_progress, checkpoint=home,
            )  # fmt: skip
            save_model(home / "model", fitted.model)
        model = self.load(place)
        z = model.prior.sample(10 * SHOWN, rng=torch.Generator().manual_seed(self.seed))
        x = model.decode(z).cpu()
        write_sheet(place.picture(self.name), [("", row) for row in x.split(2 * SHOWN)])
        return {"generator": model.fingerprint}

    def load(self, place: Place) -> GenerativeModel:
        """The generator, on the device of the place; its prior stays on the CPU, where bases and codes are."""
        model = load_model(self.model or place.home(self.name) / "model", GenerativeModel)
        model.generator.to(place.device)
        return model

    @property
    def _settings(self) -> GANSettings:
        """The shipped generator's settings, at this size."""
        return GANSettings(
            width=self.width, discriminator_width=self.width, r1=0.5, r1_every=8, betas=(0.0, 0.99), ema=0.995,
            generator_learning_rate=self.learning_rate, discriminator_learning_rate=self.learning_rate, steps=self.steps,
            batch_size=self.batch_size, schedule="cosine", checkpoint_every=max(2, -(-self.steps // 3)),
        )  # fmt: skip


@dataclass(frozen=True)
class GuideCell(Cell):
    """A classifier that methods may use: half of the training images, another build and seed than the shipped ones."""

    data: str
    steps: int

    @property
    def name(self) -> str:
        return f"guide-{Path(self.data).name}"

    @property
    def row(self) -> Row:
        return Row("guide", Path(self.data).name, "guide", _GUIDE_SEED)

    def expected_seconds(self, place: Place) -> float:
        return self.steps * 0.05

    def work(self, place: Place) -> dict[str, Any]:
        home, data = place.home(self.name), load_dataset(self.data)
        if not (home / "model").exists():
            settings = ClassifierSettings(degrees=6.0, steps=self.steps, checkpoint_every=max(1, self.steps // 6))
            fitted = fit_classifier(
                data.split("train").fold(0, 2), settings, validation=data.split("validation"), device=place.device,
                rng=_GUIDE_SEED, progress=no_progress, checkpoint=home,
            )  # fmt: skip
            save_model(home / "model", fitted.model)
        guide = evaluation_classifier(str(home / "model"), place)
        parts = {name: data.split(name) for name in ("validation", "held-out")}
        right = {name: read_labels(guide, part.images().to(place.device)) == part.labels for name, part in parts.items()}
        return {name: vars(share(each)) for name, each in right.items()}


@dataclass(frozen=True)
class EncoderCell(Cell):
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
        return f"encoder-{self.space.data_name}-{self.space.seed}"

    @property
    def row(self) -> Row:
        return Row("encoder", self.space.data_name, "encoder", self.space.seed)

    def expected_seconds(self, place: Place) -> float:
        pairs, read = self.pair_seconds(place), self.read_seconds(place)
        steps = self.inverse_steps * pairs + self.steps * (pairs + self.batch_size * 3 * read)
        return steps + 25 * self.per_label * read

    def pair_seconds(self, place: Place) -> float:
        """Seconds of an iteration of an encoder, which costs more than the generator that it inverts."""
        return self.batch_size * 8 * self.space.seconds(place.device)

    def read_seconds(self, place: Place) -> float:
        """Seconds to decode a code and to read the label of the image."""
        return 1.5 * self.space.seconds(place.device)

    def work(self, place: Place) -> dict[str, Any]:
        space, home = self.load(place), place.home(self.name)
        given: dict[str, Any] = {"progress": no_progress}

        def rng() -> torch.Generator:
            return torch.Generator().manual_seed(self.space.seed)

        basis = quasi_eigenvectors(space.generator, space.guide, space.prior, per_label=self.per_label, rng=rng())
        save_basis(home / "basis", basis)
        inverse = fit_inverse(
            space.generator, space.prior,
            InverseSettings(
                steps=self.inverse_steps, batch_size=self.batch_size, checkpoint_every=_every(self.inverse_steps)
            ),
            rng=rng(), checkpoint=home / "inverse", **given,
        )  # fmt: skip
        save_inverse(home / "inverse", inverse)
        settings = TrainEncoderSettings(steps=self.steps, batch_size=self.batch_size, checkpoint_every=_every(self.steps))
        train, validation = space.images("train", self.images), space.images("validation", min(1000, self.images))
        encoder = fit_encoder(
            space.generator, train.x, space.prior, settings, y=train.y, classifier=space.guide, start=inverse,
            scores=label_scores(basis), augment=Jitter(settings.degrees, settings.scale, settings.shift),
            validation=(validation.x, validation.y), rng=rng(), checkpoint=home / "encoder", **given,
        )  # fmt: skip
        save_inverse(home / "encoder", encoder)
        assert encoder.report.data is not None
        return {"inverse": inverse.report.code_error, "validation": asdict(encoder.report.data)}

    def load(self, place: Place) -> "Space":
        """The generator with its guide and data."""
        model = self.space.load(place)
        if not isinstance(model.prior, Normal):
            raise ValueError(f"expected a generator with the normal prior, got {model.prior!r}; the paper has no other")
        guide = self.guide if isinstance(self.guide, str) else str(place.home(self.guide.name) / "model")
        return Space(model, evaluation_classifier(guide, place), torch.device(place.device), load_dataset(self.space.data))

    def codes(self, place: Place, space: "Space") -> tuple[QuasiEigenbasis, Inverse]:
        """The basis and the encoder that this cell has made."""
        home = place.home(self.name)
        return load_basis(home / "basis", space.generator), load_inverse(home / "encoder", space.generator)


@dataclass(frozen=True)
class Space:
    """What the cells of one generator share."""

    model: GenerativeModel
    guide: nn.Module
    device: torch.device
    data: LabelledImages

    @property
    def generator(self) -> nn.Module:
        return self.model.generator

    @property
    def prior(self) -> Normal:
        assert isinstance(self.model.prior, Normal), "other priors are refused"
        return self.model.prior

    def images(self, split: str, count: int) -> LabelledBatch:
        """The first images of a split and their labels, on the device."""
        part = self.data.split(split)
        rows = range(min(count, len(part)))
        return LabelledBatch(part.images(rows).to(self.device), part.labels[rows.start : rows.stop])

    def labelled_codes(self, classifier: nn.Module, count: int, seed: int) -> LabelledCodes:
        """Codes of the prior with the labels that a classifier reads in their images."""
        return self.draw(classifier, count, torch.Generator().manual_seed(seed))

    def draw(self, classifier: nn.Module, count: int, rng: torch.Generator) -> LabelledCodes:
        """The same, from a stream of draws."""
        z = self.prior.sample(count, rng=rng)
        return z, read_labels(classifier, self.model.decode(z))


def evaluation_classifier(name: str, place: Place) -> nn.Module:
    """The network of a saved classifier, in eval mode on the device of the place."""
    return load_model(name, Classifier).network.to(place.device).eval()


def read_labels(classifier: nn.Module, x: Tensor) -> Tensor:
    """The likeliest label of each image, on the CPU."""
    with evaluated(classifier), torch.no_grad():
        return in_batches(lambda part: classifier(part).argmax(1), x, size=_AT_ONCE).cpu()


def _every(steps: int) -> int:
    return max(1, min(250, steps // 2))


@cache
def _decoding_seconds(data: str, latent_dim: int, width: int, device: str) -> float:
    channels, side, _ = load_dataset(data).shape
    generator = channels_last(DCGANGenerator(latent_dim, side, channels, width)).to(device).eval()
    return forward_seconds(generator, torch.randn(64, latent_dim, device=device))
