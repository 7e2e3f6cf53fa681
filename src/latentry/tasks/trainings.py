"""What every training verb does: claim its folder, train with resumable checkpoints, close with a table."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator

from latentry.data import LabelledImages
from latentry.names import printable
from latentry.paths import user_path
from latentry.priors import SavedPrior
from latentry.priors import files as prior_files
from latentry.reports.consoles import PlainConsole
from latentry.reports.figures import curves_figure
from latentry.reports.page import Picture, write_page
from latentry.reports.tables import Table, print_table
from latentry.storage import write_text
from latentry.tasks.runs import claim_folder, out_folder, pick_device, record, settings_record
from latentry.tasks.settings import CommonSettings
from latentry.training.loop import Trained, train
from latentry.training.settings import LoopSettings

__all__ = [
    "accelerator_of",
    "check_classes",
    "check_enough",
    "claim_training",
    "finish_training",
    "identity_of",
    "loop_identity",
    "losses_by_step",
    "model_card",
    "previews",
    "run_identity",
    "run_training",
    "square_shape",
]

_PARTS = ("index.html", "log.txt", "checkpoints", "previews", "model", "tensorboard", "history.json")


def accelerator_of(settings: CommonSettings, loop: LoopSettings) -> Accelerator:
    """Device, precision and processes of a training."""
    device = pick_device(settings.device)
    return Accelerator(cpu=device.type == "cpu", mixed_precision=loop.precision)


def claim_training(accelerator: Accelerator, settings: CommonSettings, *parts: str) -> Path:
    """The folder for a training, claimed by the main process; `parts` are what it holds beside the usual."""
    with accelerator.main_process_first():
        return claim_folder(settings, *_PARTS, *parts) if accelerator.is_main_process else out_folder(settings)


def model_card(settings: CommonSettings, training: LabelledImages) -> dict[str, Any]:
    """Verb, settings and data of a model."""
    return {
        "trained_by": type(settings).__name__.removesuffix("Settings"),
        "settings": _without_folders(settings_record(settings)),
        "data": {
            "name": training.name,
            "items": len(training),
            "fingerprint": training.fingerprint(),
            "shape": list(training.shape),
            "class_names": list(training.class_names),
            "attribute_names": list(training.attribute_names),
        },
    }


def _without_folders(content: Any) -> Any:
    """Settings with the names of files and folders in place of where they lie: a card travels, the machine does not."""
    if isinstance(content, dict):
        return {name: _without_folders(value) for name, value in content.items()}
    local = isinstance(content, str) and not content.startswith("hf:") and os.sep in content
    return user_path(content).name or content if local else content


def square_shape(data: LabelledImages) -> tuple[int, int]:
    """Side and channels of square images.

    Raises:
        ValueError: The images are not square.
    """
    channels, height, width = data.shape
    if height != width:
        raise ValueError(f"expected square images, got {height} x {width}; pass --image_size")
    return height, channels


def check_enough(data: LabelledImages, training: int, batch_size: int, *splits: str) -> None:
    """Make sure that there is something to train on and to score, before any of it begins.

    Args:
        data: The whole data set.
        training: Images that are trained on.
        batch_size: Images of one iteration.
        splits: Those that are scored.

    Raises:
        ValueError: A batch is larger than what is trained on, or nothing is left to score.
    """
    sizes = {name: len(data.split(name)) for name in ("train", "validation", "held-out")}
    told = ", ".join(f"{size:,} for {name}" for name, size in sizes.items())
    if training < batch_size:
        raise ValueError(
            f"expected {batch_size} training images or more, one batch, got {training:,} in {data.name}; give more images, "
            "or lower batch_size"
        )
    if empty := [name for name in splits if not sizes[name]]:
        raise ValueError(
            f"expected images for {' and '.join(empty)}, got {told} in {data.name}; give more images (from 20 on each split "
            "has some), or splits of your own"
        )


def check_classes(data: LabelledImages, training: LabelledImages, *splits: str) -> list[str]:
    """Make sure that every class is trained on; sentences on the classes that a split does not score.

    Raises:
        ValueError: There are fewer than two classes, or one has no training image.
    """
    names, missing = data.class_names, _without(training, data.class_names)
    if len(names) < 2:
        raise ValueError(
            f"expected two classes or more in {data.name}, got {', '.join(names) or 'none'}; one label says nothing"
        )
    if missing:
        raise ValueError(f"expected training images of each class, got none of {missing}; add some, or leave the class out")
    absent = {split: _without(data.split(split), names) for split in splits}
    return [
        f"no image for {split} is of {classes}, of which its accuracy says nothing"
        for split, classes in absent.items()
        if classes
    ]


def _without(part: LabelledImages, names: Sequence[str]) -> str:
    counts = torch.bincount(part.labels, minlength=len(names))
    return ", ".join(printable(names[label]) for label in (counts == 0).nonzero()[:, 0].tolist())


def run_training(
    model: Any,
    data: LabelledImages,
    settings: Any,
    folder: Path,
    accelerator: Accelerator,
    at_checkpoint: Callable[[int], None],
    identity: Mapping[str, Any],
) -> Trained:
    """The loop, from the last checkpoint if there is one."""
    return train(
        model,
        data,
        settings.loop,
        folder,
        seed=settings.seed,
        accelerator=accelerator,
        identity=identity,
        at_checkpoint=at_checkpoint,
    )


def run_identity(settings: Any, card: Mapping[str, Any], *apart: str, **files: str) -> dict[str, Any]:
    """The settings that decide the weights: a run may resume with more steps, another device or other bookkeeping.

    Args:
        settings: Of the verb, with a `loop`.
        card: The model card, with the hash of the data: others under the same name are other data.
        apart: Settings of what comes after, which this training does not know.
        files: What is in other files that are named by settings, as `identity_of` tells it.
    """
    identity = settings_record(settings)
    for name in ("device", *apart):
        del identity[name]
    return identity | {"loop": loop_identity(settings.loop), "data": card["data"]["fingerprint"], **files}


def identity_of(prior: SavedPrior) -> str:
    """What tells a prior from another that may lie in a file of the same name."""
    return hashlib.sha256(json.dumps(prior_files.record(prior)).encode()).hexdigest()[:16]


def loop_identity(loop: LoopSettings) -> dict[str, Any]:
    """What of the course of a run decides its weights: its length too, where the rate falls towards its end."""
    identity = dataclasses.asdict(loop)
    passing = ("checkpoint_every", "checkpoint_seconds", "keep_checkpoints", "workers", "tensorboard")
    for name in (*passing, "steps") if loop.schedule == "constant" else passing:
        del identity[name]
    return identity


def finish_training(
    folder: Path,
    settings: CommonSettings,
    result: dict[str, Any],
    rows: tuple[tuple[str, str], ...],
    notes: Sequence[str],
    stages: Mapping[str, tuple[Trained, LoopSettings]],
    pictures: Sequence[Picture] = (),
) -> dict[str, Any]:
    """Record the result and close with a page and a table: what was made, how the losses fell, and where the model lies.

    Args:
        folder: Of the training.
        settings: Of the verb.
        result: What is recorded.
        rows: What was reached, in words and numbers.
        notes: What to make of it.
        stages: What each training of the verb did, and its loop's settings, by name.
        pictures: What opens the page.
    """
    courses = {name: losses_by_step(done, loop) for name, (done, loop) in stages.items()}
    table = Table("Trained", ("what", "value"), rows)
    curves = curves_figure({name: course for name, course in courses.items() if course})
    caption = "Mean of each loss since the checkpoint before; the numbers are in log.txt."
    blocks: list[Table | Picture] = [*pictures, *([Picture("Losses", curves, caption)] if curves else []), table]
    facts = [(name, f"{value}") for name, value in settings_record(settings).items()]
    lead = [f"The model lies in {folder / 'model'}.", *(f"Note: {note}." for note in notes)]
    write_text(folder / "log.txt", _log(courses))
    write_page(folder / "index.html", "Training", lead, blocks, facts)
    content = record(folder, settings, {**result, "notes": [*notes]})
    console = PlainConsole(quiet=settings.json)
    print_table(table, console)
    for note in notes:
        console.print(f"Note: {note}.")
    console.print(f"The model: {folder / 'model'}")
    console.print(f"The page with pictures and losses: {folder / 'index.html'}")
    return content


def losses_by_step(done: Trained, loop: LoopSettings) -> dict[str, list[tuple[int, float]]]:
    """Steps and means of each loss, at the checkpoints that are multiples of `checkpoint_every` and the last one."""
    return {
        name: [(min((row + 1) * loop.checkpoint_every, done.steps), value) for row, value in enumerate(values)]
        for name, values in done.losses.items()
        if values
    }


def previews(folder: Path, title: str, caption: str = "", columns: Sequence[str] = ()) -> list[Picture]:
    """The first and the last picture that a training kept: how it began, and what became of it."""
    kept = sorted((folder / "previews").glob("step-*.png"))
    shown = [(path, int(path.stem.removeprefix("step-"))) for path in dict.fromkeys([*kept[-1:], *kept[:1]])]
    return [
        Picture(f"{title} after {step:,} steps", path.read_bytes(), caption, columns=tuple(columns)) for path, step in shown
    ]


def _log(courses: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]) -> str:
    """One line for each checkpoint: step and losses."""
    lines = []
    for stage, course in courses.items():
        by_step: dict[int, dict[str, float]] = {}
        for name, points in course.items():
            for step, value in points:
                by_step.setdefault(step, {})[name] = value
        for step, losses in by_step.items():
            told = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            lines.append(f"{stage}  step {step}  {told}")
    return "".join(f"{line}\n" for line in lines)
