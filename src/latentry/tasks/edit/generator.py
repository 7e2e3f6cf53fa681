"""What `edit label` and `edit rotate` begin with: a generator with its prior, and a classifier of its images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from latentry.models.generative import GenerativeModel
from latentry.models.pretrained import is_model
from latentry.priors import UnlabelledPrior
from latentry.tasks.edit.kinds import load_kind
from latentry.tasks.evaluation_classifier import GeneratedData, SavedClassifier, generated_data, load_classifier
from latentry.tasks.loading import chosen_unlabelled_generator
from latentry.tasks.recover.options import image_format
from latentry.tasks.settings import GeneratorSettings

__all__ = ["LoadedGenerator", "check_images", "load_editable"]


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator on its device, and what belongs to it."""

    name: str
    """Its name or folder."""
    model: GenerativeModel
    """The model as it was saved."""
    prior: UnlabelledPrior
    """Distribution of its codes."""
    generator: nn.Module
    """G, on the device."""
    device: torch.device
    """Where to compute."""
    image_format: tuple[int, int]
    """Channels and side of an image."""
    generated: GeneratedData
    """What the generator makes."""
    classifier: SavedClassifier
    """The classifier that gives labels to its images."""

    @property
    def description(self) -> str:
        """Name and weights, for a page."""
        return f"{self.name}, weights {self.model.fingerprint}"


def check_images(images: Sequence[str], data: str | None, codes: str | None) -> None:
    """Make sure that there is something to edit.

    Raises:
        ValueError: There are neither images nor codes.

    Example:
        >>> check_images([], "digits", None)
    """
    if not (images or data or codes):
        raise ValueError(
            "expected images to edit, got none; name files or folders, or a data set with --data, or codes with --codes"
        )


def load_editable(settings: GeneratorSettings, classifier: str, device: torch.device) -> LoadedGenerator:
    """A generator and the classifier that gives labels to its images, on the device.

    Args:
        settings: Which generator.
        classifier: The classifier by name or folder.
        device: Where to compute.

    Raises:
        ValueError: There is no such model, the model is of another kind, or the classifier does not fit it.
    """
    name_or_path = settings.generator
    if is_model(name_or_path):
        load_kind(name_or_path, GenerativeModel)
    model, prior = chosen_unlabelled_generator(settings)
    generator = model.generator.to(device)
    channels, side = image_format(generator, prior)
    generated = generated_data(name_or_path, (channels, side, side))
    loaded = load_classifier(classifier, generated, "--classifier", device)
    return LoadedGenerator(name_or_path, model, prior, generator, device, (channels, side), generated, loaded)
