"""What `edit label` and `edit rotate` begin with: a generator with its prior, and a classifier of its images."""

from dataclasses import dataclass

import torch
from torch import nn

from latentry.models.generative import GenerativeModel
from latentry.priors import UnlabelledPrior
from latentry.tasks.coding.settings import LabelledSettings
from latentry.tasks.edit.kinds import load_kind
from latentry.tasks.judging import Made, Reader, fitting, made_by
from latentry.tasks.recover.options import image_format
from latentry.tasks.runs import load_generator, pick_device

__all__ = ["Loaded", "check_given", "load_editable"]


@dataclass(frozen=True)
class Loaded:
    """A generator on its device, and what belongs to it."""

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
    made: Made
    """What the generator makes."""
    classifier: Reader
    """What gives labels to its images."""


def check_given(settings: LabelledSettings) -> None:
    """Make sure that there is something to edit.

    Raises:
        ValueError: Neither images nor codes are given.

    Example:
        >>> check_given(LabelledSettings(out="", data="digits"))
    """
    if not (settings.images or settings.data or settings.codes):
        raise ValueError(
            "expected images to edit, got none; name files or folders, or a data set with --data, or codes with --codes"
        )


def load_editable(settings: LabelledSettings) -> Loaded:
    """The generator and the classifier that are named, on the device.

    Raises:
        ValueError: There is no such model or device, the model is of another kind, or the classifier does not fit it.
    """
    device = pick_device(settings.device)
    load_kind(settings.generator, GenerativeModel)
    model, prior = load_generator(settings.generator)
    generator = model.generator.to(device)
    channels, side = image_format(generator, prior)
    made = made_by(settings.generator, (channels, side, side))
    classifier = fitting(settings.classifier, made, "--classifier", device)
    return Loaded(model, prior, generator, device, (channels, side), made, classifier)
