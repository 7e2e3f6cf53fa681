"""`latentry edit label`: turn codes until a classifier gives another label, and measure what else has changed."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.boundaries import LinearClassifier, fit_linear_classifier
from latentry.latent.operators import rotate_to_margin
from latentry.reports.progress import progress_bar
from latentry.tasks.class_names import label_index
from latentry.tasks.coding.codes import code_source, coded_images, labelled_codes
from latentry.tasks.edit.generator import check_images, load_editable
from latentry.tasks.edit.kinds import PARTS, check_frames
from latentry.tasks.edit.report import Edit, film, write_edit
from latentry.tasks.edit.settings import EditLabelSettings
from latentry.tasks.evaluation_classifier import evaluation_classifier
from latentry.tasks.runs import Run, command

__all__ = ["edit_label"]


@command(*PARTS)
def edit_label(settings: EditLabelSettings, run: Run) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    check_images(settings.images, settings.data, settings.codes)
    check_frames(settings.frames)
    loaded = load_editable(settings, settings.classifier, run.device)
    classifier, prior = loaded.classifier, loaded.prior
    label = label_index(settings.label, classifier.classes, "--label", "the classifier")
    evaluator, no_evaluator = evaluation_classifier(
        settings.evaluation_classifier, loaded.generated, run.device, classifier.classes, classifier.weights
    )
    source = code_source(settings, *loaded.image_format)
    assert source is not None, "`check_images` makes sure of it"
    with progress_bar(quiet=run.quiet) as track:
        coded = coded_images(source, loaded.generator, prior, rng=run.rng(), progress=track("coding images"))
    codes = labelled_codes(loaded.generator, classifier.network, prior, 10 * settings.per_label, run.other_rng())
    operator = partial(_labelled, fit_linear_classifier(codes.z, codes.y), label, settings.margin)
    facts = [("label", f"{settings.label}, with a margin of {settings.margin:g}")]
    z_film = film([operator], coded.z, settings.frames)
    return write_edit(run, Edit(loaded, coded, z_film, label, evaluator, no_evaluator, tuple(facts)))


def _labelled(
    scores: LinearClassifier, label: int, margin: float, z: Float[Tensor, "n d"], share: float
) -> Float[Tensor, "n d"]:
    """Codes turned until the label leads by a share of the way from its lead now to the margin."""
    y = torch.full((len(z),), label)
    lead = scores.margin(z, y)
    return rotate_to_margin(z, scores.weights, scores.bias, y, lead + share * (margin - lead).clamp(min=0))
