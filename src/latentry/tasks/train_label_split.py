"""`latentry train label-split`: encoders, decoder and mixture, with pictures and signs of collapse at every checkpoint."""

from typing import Any

import torch
from torch import Tensor

from latentry.data import LabelledImages, load_dataset
from latentry.evaluation.calibration import calibration
from latentry.evaluation.information import active_units
from latentry.models.label_split import LabelSplit, LabelSplitTraining
from latentry.models.label_split_flow import EncodedData, settled
from latentry.models.posteriors import joined
from latentry.models.saving import load_model, save_model
from latentry.networks import Perceptron, Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.priors import TrainedMixture
from latentry.reports.consoles import PlainConsole
from latentry.reports.pictures import grid, write_png
from latentry.tasks.judging import unlike
from latentry.tasks.runs import command
from latentry.tasks.train_settings import TrainLabelSplitSettings
from latentry.tasks.trainings import (
    accelerator_of,
    check_classes,
    check_enough,
    claim_training,
    finish_training,
    model_card,
    previews,
    run_identity,
    run_training,
    square_shape,
)
from latentry.training.history import History

__all__ = ["collapse_signs", "encoded_images", "label_split_of", "label_table", "train_label_split"]

_SHOWN = 10
"""Images whose styles a preview shows."""
_SCORED = 5000
"""Most validation images that a checkpoint is scored on."""
_ENCODED = 500
"""Images that are encoded at once."""
_UNHEEDED = 0.01
"""Share of the variance of images that is a sign of z_u not being used, where that of its means cannot fall."""
_AT_THE_END = 0.5
"""Share of precisions at the largest one allowed that is a sign of their running away."""
_PRECISIONS = (1e-2, 1e2)


@command
@torch.random.fork_rng()
def train_label_split(settings: TrainLabelSplitSettings) -> dict[str, Any]:
    """Train; write the model, `previews/` and, at the end, how well it reads and makes held-out images."""
    accelerator = accelerator_of(settings, settings.loop)
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    training, validation, held_out = (data.split(name) for name in ("train", "validation", "held-out"))
    check_enough(data, len(training), settings.loop.batch_size, "validation", "held-out")
    unscored = check_classes(data, training, "validation", "held-out")
    counts = _class_counts(training)
    _check_room(settings, len(counts))

    torch.manual_seed(settings.seed)
    model = label_split_of(settings, data, counts, len(training))
    card = model_card(settings, training)
    folder = claim_training(accelerator, settings, "flow")
    shown = validation.images(range(min(_SHOWN, len(validation)))).to(accelerator.device)
    scored = min(_SCORED, len(validation))
    x, y = validation.images(range(scored)).to(accelerator.device), validation.labels[:scored]
    console = PlainConsole(stderr=True, quiet=settings.json)

    def measure() -> dict[str, Any]:
        split = model.split()
        return {"signs_of_collapse": collapse_signs(split, x), **_scores(split, x, y)}

    history = History(folder / "history.json", measure)

    def validate(step: int) -> None:
        split = model.split()
        write_png(folder / "previews" / f"step-{step:08d}.png", label_table(split, shown))
        history.note(step)
        for sign in history.entries[-1]["signs_of_collapse"]:
            console.print(f"step {step}: {sign}")
        save_model(folder / "model", split, {**card, "metrics": history.untimed[-1]})

    done = run_training(model, training, settings, folder, accelerator, validate, run_identity(settings, card, "flow_steps"))
    if settings.flow_steps:
        split = model.split()
        finished = settled(
            split,
            encoded_images(split, training, accelerator.device),
            training.labels,
            folder / "flow" / f"{settings.flow_steps}-after-{settings.loop.steps}",  # of another length, another flow
            steps=settings.flow_steps,
            seed=settings.seed,
            accelerator=accelerator,
            identity=run_identity(settings, card),
        )
    if not accelerator.is_main_process:
        return {}
    if settings.flow_steps:
        write_png(folder / "previews" / "settled.png", label_table(finished, shown))
        save_model(folder / "model", finished, {**card, "metrics": _scores(finished, x, y)})
    kept = load_model(folder / "model", LabelSplit)
    x_held_out = held_out.images()
    scores = _scores(kept, x_held_out, held_out.labels)
    lost = unlike(x_held_out, kept.decode(kept.encode(x_held_out).mean))
    losses = {name: values[-1] for name, values in done.losses.items() if values}
    rows = (
        ("labels that z_s bears, held-out", f"{scores['accuracy']['value']:.1%}"),
        (
            "calibration error, and if its confidences were right",
            "{error:.1%}, {if_calibrated:.1%}".format(**scores["calibration"]),
        ),
        ("mean squared error of pixels, held-out", f"{scores['reconstruction']:.4f}, {lost:.0%} of their variance"),
        ("active coordinates of z_u", f"{scores['active']} of {settings.style_dim}"),
        *((f"{name}, mean since the last checkpoint", f"{loss:.4f}") for name, loss in losses.items()),
    )
    result = {"model": str(folder / "model"), "held_out": scores, "validation": history.untimed, "losses": losses}
    signs = collapse_signs(kept, x_held_out[:_SCORED])
    notes = [*data.notes, *unscored, *signs]
    caption = "An image, what its code gives, and its look under each label."
    made = previews(folder, "Looks under every label", caption, ("given", "again", *training.class_names))
    courses = {"label split": (done, settings.loop)}
    return finish_training(folder, settings, {**result, "signs_of_collapse": signs}, rows, notes, courses, made)


def encoded_images(split: LabelSplit, images: LabelledImages, device: torch.device) -> EncodedData:
    """Posteriors of all codes of a data set, on the CPU."""
    rows = range(0, len(images), _ENCODED)
    parts = [split.encode(images.images(range(row, min(row + _ENCODED, len(images)))).to(device)) for row in rows]
    return EncodedData(joined([part.label for part in parts]), joined([part.style for part in parts]))


def label_split_of(
    settings: TrainLabelSplitSettings, data: LabelledImages, counts: Tensor, items: int
) -> LabelSplitTraining:
    """The untrained networks and how they will be trained, on so many items of each class."""
    side, channels = square_shape(data)
    k, (low, high) = len(counts), _PRECISIONS
    given = 2 * settings.label_dim if settings.stochastic else settings.label_dim
    discriminator = channels_last(Zheng2019Discriminator(k, side, channels, settings.width)) if settings.gan else None
    return LabelSplitTraining(
        channels_last(Zheng2019Encoder(given, side, channels, settings.width)),
        channels_last(
            Zheng2019Encoder(
                2 * settings.style_dim,
                side,
                channels,
                settings.width,
                standardised=settings.style_dim if settings.standardised else 0,
            )
        ),
        channels_last(Zheng2019Decoder(settings.label_dim + settings.style_dim, side, channels, settings.width)),
        TrainedMixture(k, settings.label_dim, (low, high)),
        Perceptron(settings.style_dim, k, settings.adversary_hidden, normalised=settings.adversary_sees == "means"),
        settings.style_dim,
        discriminator,
        probs=counts / counts.sum(),
        weights=settings.weights,
        confusion_target=settings.confusion_target,
        adversary_steps=settings.adversary_steps,
        adversary_sees=settings.adversary_sees,
        least_deviation=settings.least_deviation,
        sampled_styles=settings.sampled_styles,
        precision_every=round(settings.precision_epochs * items / settings.loop.batch_size),
        extent={"degrees": settings.degrees, "scale": settings.scale, "shift": settings.shift},
        lr=settings.lr,
        betas=settings.betas,
    )


def label_table(split: LabelSplit, x: Tensor) -> Tensor:
    """A sheet: in each row an image, what its code gives, and its style under every label."""
    z = split.encode(x).mean
    k = split.prior.num_classes
    styles = split.relabelled(z.repeat_interleave(k, 0), torch.arange(k, device=x.device).repeat(len(x)))
    under_labels = split.decode(styles).unflatten(0, (len(x), k))
    rows = torch.cat([x[:, None], split.decode(z)[:, None], under_labels], 1).flatten(0, 1)
    return grid(rows, k + 2)


def collapse_signs(split: LabelSplit, x: Tensor) -> list[str]:
    """Sentences on what has gone wrong, none where nothing has.

    Args:
        split: The networks and prior.
        x: Data, two or more.
    """
    signs = []
    split = split.before_flow()  # behind which every coordinate varies
    z = split.encode(x).mean
    if not active_units(z[:, split.label_dim :]).any():
        signs.append(
            "z_u is dead: no coordinate's mean varies over images; lower --weights.divergence or --weights.confusion"
        )
    elif _moved(split, z, split.swapped(z, z.roll(1, 0))) < _UNHEEDED:
        signs.append("z_u is unheeded: styles of others change no image; lower --weights.divergence or --weights.confusion")
    scale = split.prior.scale[:, : split.label_dim]
    narrow = (scale <= _PRECISIONS[1] ** -0.5 * 1.01).double().mean().item()
    if narrow > _AT_THE_END:
        signs.append(
            f"precisions run away: {narrow:.0%} are at the largest one allowed; "
            "lower --weights.likelihood and --weights.pull"
        )
    if split.label_log_probs(z).argmax(1).unique().numel() == 1:
        signs.append("z_s is dead: all images are taken for one label; lower --weights.reconstruction or --weights.pull")
    return signs


def _moved(split: LabelSplit, z: Tensor, z_other: Tensor) -> float:
    """By how much images change with these codes in place of those, as a share of what they vary by."""
    x_hat = split.decode(z)
    change = (split.decode(z_other) - x_hat).square().mean() / 2
    return (change / x_hat.var(0).mean().clamp(min=torch.finfo(z.dtype).tiny)).item()


def _scores(split: LabelSplit, x: Tensor, y: Tensor) -> dict[str, Any]:
    z = split.encode(x).mean
    told = calibration(split.label_log_probs(z), y, rng=torch.Generator().manual_seed(0))
    return {
        "accuracy": vars(told.accuracy),
        "calibration": {"error": told.error, "if_calibrated": told.error_if_calibrated, "log_loss": told.log_loss},
        "reconstruction": (split.decode(z) - x).square().mean().item(),
        "active": int(active_units(split.before_flow().encode(x).mean[:, split.label_dim :]).sum()),
    }


def _class_counts(training: LabelledImages) -> Tensor:
    """Training images of each class.

    Raises:
        ValueError: The data have no labels, or a class has fewer than two examples.
    """
    counts = torch.bincount(training.labels, minlength=training.num_classes)
    few = [training.class_names[c] for c in (counts < 2).nonzero()[:, 0]]
    if few:
        raise ValueError(
            f"expected two training images or more of each class, got fewer of {', '.join(few)}; merge or leave out classes"
        )
    if len(counts) < 2:
        raise ValueError(f"expected two classes or more in {training.name}, got one; a label that never varies says nothing")
    return counts


def _check_room(settings: TrainLabelSplitSettings, classes: int) -> None:
    if settings.label_dim < 1 or settings.style_dim < 1:
        raise ValueError(
            f"expected label_dim and style_dim of at least 1, got {settings.label_dim} and {settings.style_dim}"
        )
    if settings.label_dim < classes - 1:
        raise ValueError(
            f"expected room for {classes} classes, all equally far apart, in --label_dim of at least {classes - 1}, got "
            f"{settings.label_dim}"
        )
