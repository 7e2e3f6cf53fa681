"""`latentry train label-split`: encoders, decoder and mixture, with pictures and signs of collapse at every checkpoint."""

from typing import Any

import torch
from torch import Tensor

from latentry.data import load_dataset
from latentry.evaluation.calibration import calibration
from latentry.evaluation.information import active_units
from latentry.models.label_split import LabelSplit
from latentry.models.label_split_fitting import PRECISIONS, check_labels, fit_label_split
from latentry.models.saving import load_model, save_model
from latentry.reports.pictures import grid, write_png
from latentry.tasks.evaluation_classifier import relative_error
from latentry.tasks.runs import Run, command
from latentry.tasks.train_settings import TrainLabelSplitSettings
from latentry.tasks.trainings import (
    TRAINING_PARTS,
    check_classes,
    check_enough,
    finish_training,
    model_card,
    previews,
)
from latentry.training.history import History

__all__ = ["collapse_signs", "label_table", "train_label_split"]

_SHOWN = 10
"""Images whose styles a preview shows."""
_SCORED = 5000
"""Most validation images that a checkpoint is scored on."""
_NO_EFFECT = 0.01
"""Share of the variance of images that is a sign of z_u not being used, where that of its means cannot fall."""
_AT_THE_END = 0.5
"""Share of precisions at the largest one allowed that is a sign of their running away."""


@command(*TRAINING_PARTS, "flow", shared=True)
def train_label_split(settings: TrainLabelSplitSettings, run: Run) -> dict[str, Any]:
    """Train; write the model, `previews/` and, at the end, how well it classifies and reconstructs held-out images."""
    data = load_dataset(settings.data, image_size=settings.image_size, channels=settings.channels)
    training, validation, held_out = (data.split(name) for name in ("train", "validation", "held-out"))
    check_enough(data, len(training), settings.batch_size, "validation", "held-out")
    unscored = check_classes(data, training, "validation", "held-out")
    check_labels(training, settings)
    card = model_card(run, training)
    x_shown = validation.images(range(min(_SHOWN, len(validation)))).to(run.device)
    scored = min(_SCORED, len(validation))
    x, y = validation.images(range(scored)).to(run.device), validation.labels[:scored]
    console = run.progress_console
    history = History(run.folder / "history.json")

    def keep(step: int, split: LabelSplit) -> None:
        write_png(run.folder / "previews" / f"step-{step:08d}.png", label_table(split, x_shown))
        history.note(step, lambda: {"signs_of_collapse": collapse_signs(split, x), **_scores(split, x, y)})
        for sign in history.entries[-1]["signs_of_collapse"]:
            console.print(f"step {step}: {sign}")
        save_model(run.folder / "model", split, {**card, "metrics": history.untimed[-1]})

    fitted = fit_label_split(training, settings, device=run.device, rng=run.seed, callback=keep, checkpoint=run.folder)
    if not run.is_main:
        return {}
    if settings.flow_steps:
        write_png(run.folder / "previews" / "settled.png", label_table(fitted.model, x_shown))
        save_model(run.folder / "model", fitted.model, {**card, "metrics": _scores(fitted.model, x, y)})
    split = load_model(run.folder / "model", LabelSplit)
    x_held_out = held_out.images()
    scores = _scores(split, x_held_out, held_out.labels)
    lost = relative_error(x_held_out, split.decode(split.encode(x_held_out).mean))
    losses = fitted.losses["label split"]
    rows = (
        ("accuracy of labels from z_s, held-out", f"{scores['accuracy']['value']:.1%}"),
        (
            "calibration error, and of a calibrated classifier",
            "{error:.1%}, {if_calibrated:.1%}".format(**scores["calibration"]),
        ),
        ("mean squared error of pixels, held-out", f"{scores['reconstruction']:.4f}, {lost:.0%} of their variance"),
        ("active coordinates of z_u", f"{scores['active']} of {settings.style_dim}"),
        *((f"{name}, mean since the last checkpoint", f"{loss:.4f}") for name, loss in losses.items()),
    )
    result = {"model": str(run.folder / "model"), "held_out": scores, "validation": history.untimed, "losses": losses}
    signs = collapse_signs(split, x_held_out[:_SCORED])
    notes = [*data.notes, *unscored, *signs]
    caption = "An image, its reconstruction, and its style under each label."
    made = previews(run.folder, "Styles under every label", caption, ("original", "reconstructed", *training.class_names))
    return finish_training(run, {**result, "signs_of_collapse": signs}, rows, notes, fitted.stages, made)


def label_table(split: LabelSplit, x: Tensor) -> Tensor:
    """A sheet: in each row an image, its reconstruction, and its style under every label."""
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
        signs.append("z_u is dead: no coordinate's mean varies over images; lower weights.divergence or weights.confusion")
    elif _moved(split, z, split.swapped(z, z.roll(1, 0))) < _NO_EFFECT:
        signs.append("z_u has no effect: styles of others change no image; lower weights.divergence or weights.confusion")
    scale = split.prior.scale[:, : split.label_dim]
    narrow = (scale <= PRECISIONS[1] ** -0.5 * 1.01).double().mean().item()
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
    calibrated = calibration(split.label_log_probs(z), y, rng=torch.Generator().manual_seed(0))
    return {
        "accuracy": vars(calibrated.accuracy),
        "calibration": {
            "error": calibrated.error,
            "if_calibrated": calibrated.error_if_calibrated,
            "log_loss": calibrated.log_loss,
        },
        "reconstruction": (split.decode(z) - x).square().mean().item(),
        "active": int(active_units(split.before_flow().encode(x).mean[:, split.label_dim :]).sum()),
    }
