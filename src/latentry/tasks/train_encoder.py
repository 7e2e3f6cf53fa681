"""`latentry train encoder`: an encoder of real images, which keep their label and may write it into a basis."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.data.images import LabelledImages
from latentry.data.sources import NAMES, load_dataset
from latentry.evaluation.proportions import share
from latentry.latent.encoding import fit_encoder
from latentry.latent.inverse_files import load_inverse
from latentry.latent.inverse_report import InverseReport
from latentry.latent.spectral import QuasiEigenbasis, load_basis
from latentry.models.classifier import jitter
from latentry.names import counted
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table
from latentry.tasks.class_names import listed
from latentry.tasks.encoders import PAIRS, PARTS, conclude, cost, there_and_back
from latentry.tasks.evaluation_classifier import SavedClassifier, generated_data, load_classifier, relative_error
from latentry.tasks.loading import chosen_unlabelled_generator
from latentry.tasks.recover.options import image_format
from latentry.tasks.runs import Run, command
from latentry.tasks.train_settings import TrainEncoderSettings
from latentry.tasks.trainings import check_enough

__all__ = ["Jitter", "label_scores", "train_encoder"]

_SHARPNESS = 4.0
"""Factor on coordinates of a code in the basis that makes them logits."""
_AT_ONCE = 250
_VALIDATION = 1000
"""Most validation images of the report."""


@dataclass(frozen=True)
class Jitter:
    """Each training image moved a little at random, anew whenever it is used."""

    degrees: float
    """Largest rotation and shear either way."""
    scale: float
    """Largest relative change of size either way."""
    shift: float
    """Largest shift either way, as a share of the side."""

    def __post_init__(self) -> None:
        if not (0 <= self.degrees < 90 and 0 <= self.scale < 1 and 0 <= self.shift < 1):
            raise ValueError(
                "expected degrees in [0, 90), scale and shift in [0, 1) to move images by, got "
                f"{self.degrees}, {self.scale} and {self.shift}; pass --jitter=false to leave images as they are"
            )

    def __call__(self, x: Float[Tensor, "n c h w"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        return jitter(x, self.degrees, self.scale, self.shift, rng)


def label_scores(basis: QuasiEigenbasis) -> Callable[[Tensor], Tensor]:
    """Codes to logits of the rows of a basis: of codes of the prior, of about 4 either way."""
    scale = _SHARPNESS * math.sqrt(basis.latent_dim)
    return lambda z: scale * basis.coefficients(z)


@command(*PARTS)
def train_encoder(settings: TrainEncoderSettings, run: Run) -> dict[str, Any]:
    """Write the encoder as `latentry train inverse` does (`inverse.safetensors`, ...); print how it does on validation."""
    model, prior = chosen_unlabelled_generator(settings)
    generator = model.generator.to(run.device)
    channels, side = image_format(generator, prior)
    classifier = None
    if settings.classifier is not None:
        generated = generated_data(settings.generator, (channels, side, side))
        if settings.data in NAMES:
            generated = replace(generated, data=settings.data)
        classifier = load_classifier(settings.classifier, generated, "--classifier", run.device)
    basis = None if settings.basis is None else load_basis(settings.basis, generator)
    start = None if settings.inverse is None else load_inverse(settings.inverse, generator, prior)
    augment = Jitter(settings.degrees, settings.scale, settings.shift) if settings.jitter else None
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    _check_format(data, channels, side)
    labelled = classifier is not None or basis is not None
    training = even_sample(data.split("train"), settings.count)
    check_enough(data, len(training), settings.batch_size, "validation")
    x, y = _labelled(training, labelled=labelled)
    validation_part = even_sample(data.split("validation"), _VALIDATION)
    validation = _labelled(validation_part, labelled=labelled)
    classifier = _with_classes_of(data, classifier, basis)

    with progress_bar(quiet=run.quiet) as track:
        encoder = fit_encoder(
            generator,
            x,
            prior,
            settings,
            y=y,
            classifier=None if classifier is None else classifier.network,
            scores=None if basis is None else label_scores(basis),
            start=start,
            augment=augment,
            validation=validation,
            rng=run.rng(),
            progress=track(f"training an encoder of {training.name}"),
            checkpoint=run.folder,
        )
    x_first = validation[0][:PAIRS].to(run.device)
    x_hat = there_and_back(generator, encoder, x_first)
    again = [there_and_back(generator, encoder, part.to(run.device)).cpu() for part in validation[0].split(_AT_ONCE)]
    lost = relative_error(validation[0], torch.cat(again))
    table = _table(encoder.report, validation_part, basis, lost)
    return conclude(run, encoder, x_first, x_hat, {"encoder": str(run.folder), **asdict(encoder.report)}, table)


def even_sample(part: LabelledImages, count: int) -> LabelledImages:
    """At most so many images, any: the first of a folder may be of one class."""
    if count < 1:
        raise ValueError(f"expected a --count of at least 1, got {count}")
    chosen = torch.randperm(len(part), generator=torch.Generator().manual_seed(0))[:count].sort().values
    return part.take(part.items[chosen])


def _labelled(part: LabelledImages, *, labelled: bool) -> tuple[Tensor, Int[Tensor, "n"] | None]:
    """Images and their classes, where there are some and the training uses them."""
    return part.images(), part.labels if labelled and part.y is not None else None


def _check_format(data: LabelledImages, channels: int, size: int) -> None:
    if data.shape != (channels, size, size):
        raise ValueError(
            f"expected images of shape {(channels, size, size)} as the generator makes them, got {data.shape} "
            f"in {data.name}; pass --image_size={size} --channels={channels} to make them such"
        )


def _with_classes_of(
    data: LabelledImages, classifier: SavedClassifier | None, basis: QuasiEigenbasis | None
) -> SavedClassifier | None:
    """The classifier with the classes of the data first, by name; every label has a logit and a row.

    Raises:
        ValueError: The classifier or the basis lacks a class of the data, or the basis has them in another order.
    """
    classes = data.class_names if data.y is not None else () if classifier is None else classifier.classes
    ordered = None if classifier is None else classifier.in_order(classes)
    if classifier is not None and ordered is None:
        raise ValueError(
            f"expected a classifier of the classes of {data.name}, {listed(classes)}, got one of "
            f"{listed(classifier.classes)}; pass another with --classifier, or none with --classifier=null"
        )
    rows = () if basis is None else basis.class_names or tuple(map(str, range(basis.num_labels)))
    named = basis is not None and bool(basis.class_names)
    if basis is not None and (classes != rows[: len(classes)] if named else len(classes) > len(rows)):
        raise ValueError(
            f"expected a basis of the classes of {data.name} in their order, {listed(classes)}, got one of {listed(rows)}; "
            "pass another with --basis, or none with --basis=null"
        )
    return ordered


def _table(report: InverseReport, part: LabelledImages, basis: QuasiEigenbasis | None, lost: float) -> Table:
    found, trials = report.data, len(part)
    assert found is not None

    def percent(value: float) -> str:
        return str(share(torch.arange(trials) < round(value * trials)))

    rows = [("pixel MSE of G(E(x))", f"{found.reconstruction_error:.4f}, {lost:.0%} of the images' variance")]
    if found.agreement is not None:
        rows.append(("label of G(E(x)) by the classifier that it was trained with", percent(found.agreement)))
    if found.spectral_agreement is not None:
        assert basis is not None
        rows.append((f"label the largest of {len(basis.vectors)} coefficients", percent(found.spectral_agreement)))
    rows += [
        ("mean square of an element of the codes", f"{found.mean_square:.3f}"),
        ("code error on fresh codes", f"{report.code_error:.4f}"),
        *cost(report),
    ]
    return Table(
        f"Encoder of {part.name}: {counted(trials, 'validation image')}",
        ("what", "value"),
        tuple(rows),
        "Mean square: 1 for codes of the prior, less for shrunken ones. Code error: of E(G(z)), in units of the prior's "
        "variance. Brackets: 95 % intervals.",
    )
