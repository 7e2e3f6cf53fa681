"""`latentry train gan` and `latentry train classifier`."""

from typing import Any

import torch
from torch import nn

from latentry.data import LabelledImages, load_dataset
from latentry.evaluation.proportions import Share, share
from latentry.models.classifier import Classifier, ClassifierTraining, predict_labels
from latentry.models.gan import GANTraining
from latentry.models.generative import GenerativeModel
from latentry.models.saving import load_model, save_model
from latentry.networks import DCGANDiscriminator, DCGANGenerator, PlainClassifier, ResidualClassifier, channels_last
from latentry.reports.pictures import grid, write_png
from latentry.storage import read_json
from latentry.tasks.judging import collapsed
from latentry.tasks.runs import command, named_prior
from latentry.tasks.train_settings import TrainClassifierSettings, TrainGANSettings
from latentry.tasks.trainings import (
    accelerator_of,
    check_classes,
    check_enough,
    claim_training,
    finish_training,
    identity_of,
    model_card,
    previews,
    run_identity,
    run_training,
    square_shape,
)

__all__ = ["train_classifier", "train_gan"]


@command
@torch.random.fork_rng()
def train_gan(settings: TrainGANSettings) -> dict[str, Any]:
    """Train a generator and its discriminator; the generator's moving average becomes the model."""
    accelerator = accelerator_of(settings, settings.loop)
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    training = data.split("train")
    check_enough(data, len(training), settings.loop.batch_size)
    side, channels = square_shape(data)

    torch.manual_seed(settings.seed)
    prior = named_prior(settings.prior, settings.latent_dim).to(accelerator.device)
    model = GANTraining(
        channels_last(DCGANGenerator(settings.latent_dim, side, channels, settings.width)),
        channels_last(DCGANDiscriminator(side, channels, settings.discriminator_width, settings.discriminator_norm)),
        prior,
        objective=settings.objective,
        r1=settings.r1,
        r1_every=settings.r1_every,
        generator_lr=settings.generator_lr,
        discriminator_lr=settings.discriminator_lr,
        betas=settings.betas,
        ema=settings.ema,
    )
    card = model_card(settings, training)
    folder = claim_training(accelerator, settings)

    def preview(step: int) -> None:
        # its own source of randomness: pictures never change the course of the training
        rng = torch.Generator(accelerator.device).manual_seed(settings.seed)
        generator = model.averaged_generator(rng)
        with torch.no_grad():
            write_png(folder / "previews" / f"step-{step:08d}.png", grid(generator(prior.sample(100, rng=rng)), 10))
        save_model(folder / "model", GenerativeModel(generator, prior), {**card, "metrics": {"step": step}})

    done = run_training(
        model, training, settings, folder, accelerator, preview, run_identity(settings, card, prior=identity_of(prior))
    )
    if not accelerator.is_main_process:
        return {}
    losses = {name: values[-1] for name, values in done.losses.items() if values}
    rows = tuple((f"{name}, mean since the last checkpoint", f"{loss:.4f}") for name, loss in losses.items())
    notes = [*data.notes, *collapsed(load_model(folder / "model"))]
    made = previews(folder, "Samples")
    result = {"model": str(folder / "model"), "losses": losses}
    return finish_training(folder, settings, result, rows, notes, {"gan": (done, settings.loop)}, made)


@command
@torch.random.fork_rng()
def train_classifier(settings: TrainClassifierSettings) -> dict[str, Any]:
    """Train a classifier; the checkpoint with the best validation accuracy becomes the model, scored on held-out."""
    accelerator = accelerator_of(settings, settings.loop)
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    training = data.split("train").fold(*settings.fold)
    check_enough(data, len(training), settings.loop.batch_size, "validation", "held-out")
    unscored = check_classes(data, training, "validation", "held-out")

    torch.manual_seed(settings.seed)
    kind = PlainClassifier if settings.network == "plain" else ResidualClassifier
    model = ClassifierTraining(
        channels_last(kind(data.num_classes, data.shape[0], settings.width)),
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing,
        degrees=settings.degrees,
        scale=settings.scale,
        shift=settings.shift,
        ema=settings.ema,
    )
    card = model_card(settings, training)
    folder = claim_training(accelerator, settings)
    best = folder / "model" / "config.json"

    def validate(step: int) -> None:
        classifier = model.averaged_classifier(training.images(range(min(2000, len(training)))).to(accelerator.device))
        accuracy = _accuracy(classifier, data.split("validation"))
        if not best.exists() or accuracy.value > read_json(best)["card"]["metrics"]["validation"]["value"]:
            metrics = {"step": step, "validation": vars(accuracy)}
            save_model(folder / "model", Classifier(classifier), {**card, "metrics": metrics})

    done = run_training(model, training, settings, folder, accelerator, validate, run_identity(settings, card))
    if not accelerator.is_main_process:  # the others may be here before the last validation is written
        return {}
    kept = load_model(folder / "model", Classifier)
    metrics = {**kept.card["metrics"], "held-out": vars(_accuracy(kept.network, data.split("held-out")))}
    save_model(folder / "model", kept, {**card, "metrics": metrics})
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
    result = {"model": str(folder / "model"), "accuracy": metrics, "most_frequent_class": frequent}
    return finish_training(folder, settings, result, rows, notes, {"classifier": (done, settings.loop)})


def _accuracy(classifier: nn.Module, data: LabelledImages) -> Share:
    device = next(classifier.parameters()).device
    predicted, _ = predict_labels(classifier, data.images().to(device))
    return share(predicted.cpu() == data.labels)
