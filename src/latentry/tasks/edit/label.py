"""`latentry edit label`: turn codes until a classifier reads another label, and see what else has changed."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.boundaries import LinearClassifier, fit_linear_classifier
from latentry.latent.operators import rotate_to_margin
from latentry.reports.progress import progress_bar
from latentry.tasks.class_names import label_index
from latentry.tasks.coding.codes import coded_images, labelled_codes, read_images
from latentry.tasks.edit.generator import check_given, load_editable
from latentry.tasks.edit.kinds import check_frames
from latentry.tasks.edit.report import Edit, film, write_edit
from latentry.tasks.edit.settings import EditLabelSettings
from latentry.tasks.judging import independent_reader
from latentry.tasks.runs import claim_folder, command

__all__ = ["edit_label"]


@command
def edit_label(settings: EditLabelSettings) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    check_given(settings)
    check_frames(settings.frames)
    loaded = load_editable(settings)
    classifier, prior = loaded.classifier, loaded.prior
    label = label_index(settings.label, classifier.classes, "--label", "the classifier")
    independent, unread = independent_reader(
        settings.reader, loaded.made, loaded.device, classifier.classes, classifier.weights
    )
    read = read_images(settings, *loaded.image_format)
    with progress_bar(quiet=settings.json) as track:
        coded = coded_images(settings, read, loaded.generator, prior, track("coding images"))
    assert coded is not None  # as `check_given` has made sure
    folder = claim_folder(settings, "index.html", "after.png", "codes.safetensors")
    rng = torch.Generator().manual_seed(-1 - settings.seed)
    codes = labelled_codes(loaded.generator, classifier.network, prior, 10 * settings.per_label, rng)
    operator = partial(_labelled, fit_linear_classifier(codes.z, codes.y), label, settings.margin)
    facts = [("label", f"{settings.label}, with a margin of {settings.margin:g}")]
    edit = Edit(loaded, coded, film([operator], coded.z, settings.frames), label, independent, unread, tuple(facts))
    return write_edit(folder, settings, edit)


def _labelled(
    scores: LinearClassifier, label: int, margin: float, z: Float[Tensor, "n d"], share: float
) -> Float[Tensor, "n d"]:
    """Codes turned until the label leads by a share of the way from the lead that it has to the wanted one."""
    y = torch.full((len(z),), label)
    lead = scores.margin(z, y)
    return rotate_to_margin(z, scores.weights, scores.bias, y, lead + share * (margin - lead).clamp(min=0))
