"""How a verb comes by codes: those of given images, and a basis to take them apart in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.data.recovered import load_codes
from latentry.holding import evaluated
from latentry.latent.boundaries import boundary_directions, fisher_directions
from latentry.latent.directions import activation_directions, first_weight_directions, match_labels, random_directions
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.inverse_files import load_inverse
from latentry.latent.recovery import recover_codes
from latentry.latent.spectral import QuasiEigenbasis, load_basis, quasi_eigenvectors, quasi_eigenvectors_toledo2023
from latentry.models.classifier import Classifier, predict_labels
from latentry.models.generative import GenerativeModel
from latentry.models.saving import load_model
from latentry.numerics.batches import in_batches
from latentry.paths import user_path
from latentry.priors import UnlabelledPrior
from latentry.tasks.coding.settings import BasisSettings, CodedImagesSettings
from latentry.tasks.recover.options import Measurement
from latentry.tasks.recover.shards import Images, first_images
from latentry.tasks.settings import refuse_unused

__all__ = [
    "Coded",
    "Labelled",
    "Read",
    "basis_classes",
    "coded_images",
    "decoded",
    "labelled_codes",
    "load_classifier",
    "made_basis",
    "noted",
    "read_images",
]

_AT_ONCE = 250


@dataclass(frozen=True)
class Coded:
    """Images and their codes."""

    z: Float[Tensor, "n d"]
    """Codes."""
    x: Float[Tensor, "n c h w"]
    """The images; where codes were given, what the generator makes of them."""
    names: tuple[str, ...]
    """Where they come from."""
    labels: tuple[str, ...] | None
    """Name of the class of each, where the data have classes."""
    notes: tuple[str, ...] = ()
    """What of the images was left out, and what was done to them."""


@dataclass(frozen=True)
class Read:
    """Images of the user's."""

    images: Images
    """Where they come from."""
    x: Float[Tensor, "n c h w"]
    """The first ones, as many as are asked for."""


@dataclass(frozen=True)
class Labelled:
    """Codes of the prior, and what a classifier reads in their images."""

    z: Float[Tensor, "n d"]
    """Codes."""
    y: Int[Tensor, "n"]
    """Labels."""


def noted(notes: Sequence[str]) -> list[tuple[str, str]]:
    """Notes on data as facts of a page."""
    return [("of the data", note) for note in notes]


def decoded(generator: nn.Module, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
    """Images of any number of codes, on the CPU."""
    device = next(generator.parameters()).device
    with evaluated(generator), torch.no_grad():
        return in_batches(lambda part: generator(part.to(device)).cpu(), z, size=_AT_ONCE)


def load_classifier(name_or_path: str, device: torch.device) -> nn.Module:
    """A saved classifier, on the device.

    Raises:
        ValueError: There is no such model, or it is a generator.
    """
    return load_model(name_or_path, Classifier).network.to(device)


def basis_classes(settings: BasisSettings, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the labels of the basis that is asked for: those of the classifier where it is yet to be made.

    Args:
        settings: Which basis.
        classes: Names of the classifier's classes.

    Raises:
        ValueError: There is no basis in the folder.
    """
    if settings.basis is None:
        return classes
    basis = load_basis(settings.basis)
    return basis.class_names or tuple(map(str, range(basis.num_labels)))


def labelled_codes(
    generator: nn.Module, classifier: nn.Module, prior: UnlabelledPrior, count: int, rng: torch.Generator
) -> Labelled:
    """Codes of the prior with the labels of their images, on the CPU."""
    z = prior.sample(count, rng=rng)
    device = next(classifier.parameters()).device

    def labels_of(z: Tensor) -> Tensor:
        return predict_labels(classifier, decoded(generator, z).to(device))[0].cpu()

    return Labelled(z, in_batches(labels_of, z, size=_AT_ONCE))


def read_images(settings: CodedImagesSettings, channels: int, side: int) -> Read | None:
    """The user's images as far as they are asked for, read before anything is computed; None where none are given.

    Raises:
        ValueError: Images are given in two ways, one of them is broken, or there is nothing to encode with.
    """
    named = bool(settings.images) or settings.data is not None
    if settings.count < 1:
        raise ValueError(f"expected a --count of at least 1, got {settings.count}")
    if settings.codes is not None:
        if named:
            raise ValueError("expected images or --codes, got both; codes bring their images along")
        refuse_unused(settings, ["split", "inverse", "encode"], "images or --data in place of --codes")
        return None
    if settings.encode and settings.inverse is None:
        raise ValueError("expected an inverse to encode with; pass --inverse, or leave --encode out to recover codes")
    return Read(*first_images(settings, Measurement(channels, side))) if named else None


def coded_images(
    settings: CodedImagesSettings,
    read: Read | None,
    generator: nn.Module,
    prior: UnlabelledPrior,
    progress: Callable[[int, int], None] | None = None,
) -> Coded | None:
    """The user's images with their codes, on the CPU; None where nothing is given.

    Args:
        settings: How codes are found.
        read: The images that are given, if there are any.
        generator, prior: What makes images of codes, and how codes are distributed.
        progress: Called as `progress(done, total)`.

    Raises:
        ValueError: There is an inverse of another generator.
    """
    if settings.codes is not None:
        return _given_codes(settings, generator, prior)
    if read is None:
        return None
    images, x = read.images, read.x
    rows, device = range(len(x)), next(generator.parameters()).device
    labels = None if images.labels is None else images.labels[: len(rows)]
    inverse = None if settings.inverse is None else load_inverse(settings.inverse, generator, prior)
    if settings.encode:
        assert inverse is not None
        z = inverse(x.to(device))
    else:
        rng = torch.Generator().manual_seed(settings.seed)
        z = recover_codes(generator, x.to(device), prior, start=inverse, rng=rng, progress=progress).z
    return Coded(z.cpu(), x, tuple(images.names(rows)), labels, images.notes)


def _given_codes(settings: CodedImagesSettings, generator: nn.Module, prior: UnlabelledPrior) -> Coded:
    assert settings.codes is not None
    folder = user_path(settings.codes)
    found = load_codes(folder / "codes" if (folder / "codes").is_dir() else folder)
    z = found.z[: settings.count]
    if z.shape[1] != prior.latent_dim:
        raise ValueError(
            f"expected codes of length {prior.latent_dim}, as the generator takes them, got {z.shape[1]} in {folder}; "
            "name the generator they were recovered from"
        )
    theirs, ours = found.metadata.get("generator"), fingerprint_of(generator)
    if theirs not in (None, ours):
        raise ValueError(
            f"expected codes of the generator with weights {ours}, got those in {folder}, recovered from one with {theirs}; "
            "name that one with --generator"
        )
    return Coded(z, decoded(generator, z), found.names[: settings.count], None)


def made_basis(
    settings: BasisSettings,
    model: GenerativeModel,
    prior: UnlabelledPrior,
    classifier: nn.Module,
    progress: Callable[[int, int], None] | None = None,
    classes: tuple[str, ...] = (),
) -> QuasiEigenbasis:
    """The basis that is asked for, made or read from its folder.

    Args:
        settings: Which.
        model, prior: The generator and the distribution of its codes.
        classifier: What gives labels to its images.
        progress: Called as `progress(done, total)`.
        classes: Names of the classifier's classes, which a basis that is made keeps.

    Raises:
        ValueError: The basis in the folder is of another generator, or what `quasi_eigenvectors` raises.
    """
    if settings.basis is not None:
        refuse_unused(settings, ["kind"], "a basis to be made, and so no --basis,")
        return load_basis(settings.basis, model.generator)
    return replace(_new_basis(settings, model, prior, classifier, progress), class_names=classes)


def _new_basis(
    settings: BasisSettings,
    model: GenerativeModel,
    prior: UnlabelledPrior,
    classifier: nn.Module,
    progress: Callable[[int, int], None] | None,
) -> QuasiEigenbasis:
    generator, rng = model.generator, torch.Generator().manual_seed(settings.seed)
    if settings.kind in ("loewdin", "paper"):
        make = quasi_eigenvectors if settings.kind == "loewdin" else quasi_eigenvectors_toledo2023
        return make(generator, classifier, prior, per_label=settings.per_label, rng=rng, progress=progress)
    known: dict[str, Any] = {"generator": generator, "prior": prior}
    codes = labelled_codes(generator, classifier, prior, settings.per_label * 10, rng)
    if settings.kind == "fisher":
        return fisher_directions(codes.z, codes.y, **known)
    if settings.kind == "boundaries":
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
    return match_labels(unnamed[settings.kind](), codes.z, codes.y)
