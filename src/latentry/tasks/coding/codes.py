"""Codes of images, and a basis for their coefficients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.data.recovered import load_codes
from latentry.holding import evaluated, weights_like
from latentry.latent.boundaries import boundary_directions, fisher_directions
from latentry.latent.directions import activation_directions, first_weight_directions, match_labels, random_directions
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.inverse_files import load_inverse
from latentry.latent.recovery import recover_codes
from latentry.latent.spectral import QuasiEigenbasis, load_basis, quasi_eigenvectors, quasi_eigenvectors_toledo2023
from latentry.models.classifier import predict_labels
from latentry.models.generative import GenerativeModel
from latentry.numerics.batches import in_batches
from latentry.paths import user_path
from latentry.priors import UnlabelledPrior
from latentry.tasks.coding.settings import BasisKind, CodedImagesSettings
from latentry.tasks.evaluation_classifier import SavedClassifier
from latentry.tasks.recover.options import Measurement
from latentry.tasks.recover.shards import Images, ImageSource, first_images

__all__ = [
    "CodeSource",
    "Coded",
    "Labelled",
    "basis_classes",
    "code_source",
    "coded_images",
    "data_facts",
    "decoded",
    "labelled_codes",
    "made_basis",
]

_AT_ONCE = 250


@dataclass(frozen=True)
class CodeSource:
    """Where codes come from: images, of which codes are found, or a folder of codes."""

    count: int
    """Most codes."""
    images: Images | None = None
    """The user's images; None for codes of a folder."""
    x: Float[Tensor, "n c h w"] | None = None
    """The first images, at most `count`."""
    codes: str | None = None
    """Folder of codes that `latentry recover` wrote; None for images."""
    inverse: str | None = None
    """Folder of an inverse, from which recovery starts."""
    encode: bool = False
    """Whether the codes are those of the inverse, without recovery."""


@dataclass(frozen=True)
class Coded:
    """Images and their codes."""

    z: Float[Tensor, "n d"]
    """Codes."""
    x: Float[Tensor, "n c h w"]
    """The images; for codes of a folder, what the generator makes of them."""
    names: tuple[str, ...]
    """Where they come from."""
    labels: tuple[str, ...] | None
    """Name of the class of each, where the data have classes."""
    notes: tuple[str, ...] = ()
    """Which images were left out, and what was done to the others."""
    generated: bool = False
    """Whether the images are made of the codes."""


@dataclass(frozen=True)
class Labelled:
    """Codes of the prior, and the labels of their images."""

    z: Float[Tensor, "n d"]
    """Codes."""
    y: Int[Tensor, "n"]
    """Labels."""


def data_facts(notes: Sequence[str]) -> list[tuple[str, str]]:
    """Notes on data as facts of a page."""
    return [("of the data", note) for note in notes]


def decoded(generator: nn.Module, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
    """Images of any number of codes, on the CPU."""
    device = weights_like(generator, torch.empty(0)).device
    with evaluated(generator), torch.no_grad():
        return in_batches(lambda part: generator(part.to(device)).cpu(), z, size=_AT_ONCE)


def basis_classes(basis: str | None, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the labels of a basis: those of the classifier where it is yet to be made.

    Args:
        basis: Folder of the basis; None for one that is yet to be made.
        classes: Names of the classifier's classes.

    Raises:
        ValueError: There is no basis in the folder.
    """
    if basis is None:
        return classes
    saved = load_basis(basis)
    return saved.class_names or tuple(map(str, range(saved.num_labels)))


def labelled_codes(
    generator: nn.Module, classifier: nn.Module, prior: UnlabelledPrior, count: int, rng: torch.Generator
) -> Labelled:
    """Codes of the prior with the labels of their images, on the CPU."""
    z = prior.sample(count, rng=rng)
    device = next(classifier.parameters()).device

    def labels_of(z: Tensor) -> Tensor:
        return predict_labels(classifier, decoded(generator, z).to(device))[0].cpu()

    return Labelled(z, in_batches(labels_of, z, size=_AT_ONCE))


def code_source(settings: CodedImagesSettings, channels: int, side: int) -> CodeSource | None:
    """Where the settings take codes from, with the images read before anything is computed; None for no images or codes.

    Raises:
        ValueError: An image is broken, or there are images and a data set.
    """
    if settings.codes is not None:
        return CodeSource(settings.count, codes=settings.codes)
    if not settings.images and settings.data is None:
        return None
    source = ImageSource(settings.images, settings.data, settings.split)
    images, x = first_images(source, settings.count, Measurement(channels, side))
    return CodeSource(settings.count, images, x, inverse=settings.inverse, encode=settings.encode)


def coded_images(
    source: CodeSource,
    generator: nn.Module,
    prior: UnlabelledPrior,
    *,
    rng: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> Coded:
    """Images with their codes, on the CPU.

    Args:
        source: The images, or the folder of codes.
        generator, prior: What makes images of codes, and the distribution of the codes.
        rng: Of the starts of recovery.
        progress: Called as `progress(done, total)`.

    Raises:
        ValueError: The inverse or the codes belong to another generator.
    """
    if source.images is None or source.x is None:
        return _saved_codes(source, generator, prior)
    images, x = source.images, source.x
    rows, device = range(len(x)), weights_like(generator, torch.empty(0)).device
    labels = None if images.labels is None else images.labels[: len(rows)]
    inverse = None if source.inverse is None else load_inverse(source.inverse, generator, prior)
    if source.encode:
        assert inverse is not None, "the settings make sure of it"
        z = inverse(x.to(device))
    else:
        z = recover_codes(generator, x.to(device), prior, start=inverse, rng=rng, progress=progress).z
    return Coded(z.cpu(), x, tuple(images.names(rows)), labels, images.notes)


def _saved_codes(source: CodeSource, generator: nn.Module, prior: UnlabelledPrior) -> Coded:
    assert source.codes is not None
    folder = user_path(source.codes)
    saved = load_codes(folder / "codes" if (folder / "codes").is_dir() else folder)
    z = saved.z[: source.count]
    if z.shape[1] != prior.latent_dim:
        raise ValueError(
            f"expected codes of length {prior.latent_dim}, as the generator takes them, got {z.shape[1]} in {folder}; "
            "name the generator they were recovered from"
        )
    saved_weights, weights = saved.metadata.get("generator"), fingerprint_of(generator)
    if saved_weights not in (None, weights):
        raise ValueError(
            f"expected codes of the generator with weights {weights}, got those in {folder}, recovered from one with "
            f"{saved_weights}; "
            "name that one with --generator"
        )
    return Coded(z, decoded(generator, z), saved.names[: source.count], None, generated=True)


def made_basis(
    kind: BasisKind,
    model: GenerativeModel,
    prior: UnlabelledPrior,
    classifier: SavedClassifier,
    *,
    per_label: int,
    rng: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> QuasiEigenbasis:
    """A new basis of a generator's codes.

    Args:
        kind: How it is made.
        model, prior: The generator and the distribution of its codes.
        classifier: The classifier that gives labels to its images; the basis keeps the names of its classes.
        per_label: How many codes are drawn for each label.
        rng: Of the codes.
        progress: Called as `progress(done, total)`.

    Raises:
        ValueError: What `quasi_eigenvectors` raises.
    """
    basis = _unnamed_basis(kind, model, prior, classifier.network, per_label, rng, progress)
    return replace(basis, class_names=classifier.classes)


def _unnamed_basis(
    kind: BasisKind,
    model: GenerativeModel,
    prior: UnlabelledPrior,
    classifier: nn.Module,
    per_label: int,
    rng: torch.Generator,
    progress: Callable[[int, int], None] | None,
) -> QuasiEigenbasis:
    generator = model.generator
    if kind in ("loewdin", "paper"):
        make = quasi_eigenvectors if kind == "loewdin" else quasi_eigenvectors_toledo2023
        return make(generator, classifier, prior, per_label=per_label, rng=rng, progress=progress)
    known: dict[str, Any] = {"generator": generator, "prior": prior}
    codes = labelled_codes(generator, classifier, prior, per_label * 10, rng)
    if kind == "fisher":
        return fisher_directions(codes.z, codes.y, **known)
    if kind == "boundaries":
        return boundary_directions(codes.z, codes.y, conditional=True, **known)
    unnamed: dict[str, Callable[[], QuasiEigenbasis]] = {
        "principal": partial(
            activation_directions,
            next(generator.children()),
            prior,
            components=prior.latent_dim,
            generator=generator,
            rng=rng,
        ),
        "first-weights": partial(first_weight_directions, generator, prior, generator=generator),
        "random": partial(random_directions, prior, rng=rng),
    }
    return match_labels(unnamed[kind](), codes.z, codes.y)
