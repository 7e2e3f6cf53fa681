"""`latentry train gan` and `latentry train classifier`."""

from typing import Any

import torch
from torch import nn

from latentry.data import LabelledImages, load_dataset
from latentry.evaluation.proportions import Share, share
from latentry.models.classifier import fit_classifier, predict_labels
from latentry.models.gan import fit_gan
from latentry.models.generative import GenerativeModel
from latentry.models.saving import save_model
from latentry.reports.pictures import grid, write_png
from latentry.tasks.evaluation_classifier import collapse_notes
from latentry.tasks.loading import named_prior
from latentry.tasks.runs import Run, command
from latentry.tasks.train_settings import TrainClassifierSettings, TrainGANSettings
from latentry.tasks.trainings import (
    TRAINING_PARTS,
    check_classes,
    check_enough,
    finish_training,
    model_card,
    previews,
)

__all__ = ["train_classifier", "train_gan"]


@command(*TRAINING_PARTS, shared=True)
def train_gan(settings: TrainGANSettings, run: Run) -> dict[str, Any]:
    """Train a generator and its discriminator; the generator's moving average becomes the model."""
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    training = data.split("train")
    check_enough(data, len(training), settings.batch_size)
    prior = named_prior(settings.prior, settings.latent_dim)
    card = model_card(run, training)

    def keep(step: int, model: GenerativeModel) -> None:
        z = model.prior.sample(100, rng=torch.Generator(run.device).manual_seed(run.seed))
        write_png(run.folder / "previews" / f"step-{step:08d}.png", grid(model.decode(z), 10))
        save_model(run.folder / "model", model, {**card, "metrics": {"step": step}})

    fitted = fit_gan(training, prior, settings, device=run.device, rng=run.seed, callback=keep, checkpoint=run.folder)
    if not run.is_main:
        return {}
    losses = fitted.losses["gan"]
    rows = tuple((f"{name}, mean since the last checkpoint", f"{loss:.4f}") for name, loss in losses.items())
    notes = [*data.notes, *collapse_notes(fitted.model)]
    result = {"model": str(run.folder / "model"), "losses": losses}
    return finish_training(run, result, rows, notes, fitted.stages, previews(run.folder, "Samples"))


@command(*TRAINING_PARTS, "best", shared=True)
def train_classifier(settings: TrainClassifierSettings, run: Run) -> dict[str, Any]:
    """Train a classifier; the checkpoint with the best validation accuracy becomes the model, scored on held-out."""
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    training = data.split("train").fold(*settings.fold)
    check_enough(data, len(training), settings.batch_size, "validation", "held-out")
    unscored = check_classes(data, training, "validation", "held-out")
    card = model_card(run, training)

    validation = data.split("validation")
    fitted = fit_classifier(
        training, settings, validation=validation, device=run.device, rng=run.seed, checkpoint=run.folder
    )
    if not run.is_main:
        return {}
    metrics = _metrics(fitted.model.network, data, int(fitted.reached["step"]))
    save_model(run.folder / "model", fitted.model, {**card, "metrics": metrics})
    frequent = torch.bincount(data.split("held-out").labels).max().item() / len(data.split("held-out"))
    rows = (
        *((f"accuracy on {name}", str(Share(**metrics[name]))) for name in ("validation", "held-out")),
        ("of always naming held-out's most frequent class", f"{frequent:.1%}"),
    )
    notes = [*data.notes, *unscored]
    if metrics["held-out"]["low"] <= frequent:
        notes.append(
            "it is not shown to do better than naming the most frequent class; train for longer, or give more images"
        )
    result = {"model": str(run.folder / "model"), "accuracy": metrics, "most_frequent_class": frequent}
    return finish_training(run, result, rows, notes, fitted.stages)


def _metrics(classifier: nn.Module, data: LabelledImages, step: int) -> dict[str, Any]:
    """Step and accuracy of a classifier."""
    scores = {name: vars(_accuracy(classifier, data.split(name))) for name in ("validation", "held-out")}
    return {"step": step, **scores}


def _accuracy(classifier: nn.Module, data: LabelledImages) -> Share:
    device = next(classifier.parameters()).device
    predicted, _ = predict_labels(classifier, data.images().to(device))
    return share(predicted.cpu() == data.labels)
