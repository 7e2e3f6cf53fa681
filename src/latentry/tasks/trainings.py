"""What training verbs share: the checks of their data, the card of a model, and the page at the end."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from latentry.data import LabelledImages
from latentry.names import printable
from latentry.paths import user_path
from latentry.reports.figures import curves_figure
from latentry.reports.page import Picture, write_page
from latentry.reports.tables import Table, print_table
from latentry.storage import write_text
from latentry.tasks.runs import Run
from latentry.training.loop import Trained

__all__ = [
    "TRAINING_PARTS",
    "check_classes",
    "check_enough",
    "finish_training",
    "model_card",
    "previews",
]

TRAINING_PARTS = ("index.html", "log.txt", "checkpoints", "previews", "model", "tensorboard", "history.json")
"""What every training but that of an inverse or encoder writes."""


def model_card(run: Run, training: LabelledImages) -> dict[str, Any]:
    """Verb, settings and data of a model."""
    return {
        "trained_by": run.verb,
        "settings": _without_folders(run.settings),
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
    parts = ", ".join(f"{size:,} for {name}" for name, size in sizes.items())
    if training < batch_size:
        raise ValueError(
            f"expected {batch_size} training images or more, one batch, got {training:,} in {data.name}; give more images, "
            "or lower batch_size"
        )
    if empty := [name for name in splits if not sizes[name]]:
        raise ValueError(
            f"expected images for {' and '.join(empty)}, got {parts} in {data.name}; give more images (from 20 on each "
            "split has some), or splits of your own"
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


def finish_training(
    run: Run,
    result: dict[str, Any],
    rows: tuple[tuple[str, str], ...],
    notes: Sequence[str],
    stages: Mapping[str, Trained],
    pictures: Sequence[Picture] = (),
) -> dict[str, Any]:
    """Record the result and close with a page and a table: what was made, how the losses fell, and where the model lies.

    Args:
        run: Of the verb.
        result: For `results.json`.
        rows: Of the table: what was measured, and its value.
        notes: Limits of the result.
        stages: How each stage of the training went, by name.
        pictures: What opens the page.
    """
    folder, console = run.folder, run.console
    courses = {name: done.losses_by_step for name, done in stages.items()}
    table = Table("Trained", ("what", "value"), rows)
    curves = curves_figure({name: course for name, course in courses.items() if course})
    caption = "Mean of each loss since the checkpoint before; the numbers are in log.txt."
    blocks: list[Table | Picture] = [*pictures, *([Picture("Losses", curves, caption)] if curves else []), table]
    facts = [(name, f"{value}") for name, value in run.settings.items()]
    lead = [f"The model lies in {folder / 'model'}.", *(f"Note: {note}." for note in notes)]
    write_text(folder / "log.txt", _log(courses))
    write_page(folder / "index.html", "Training", lead, blocks, facts)
    content = run.record({**result, "notes": [*notes]})
    print_table(table, console)
    for note in notes:
        console.print(f"Note: {note}.")
    console.print(f"The model: {folder / 'model'}")
    console.print(f"The page with pictures and losses: {folder / 'index.html'}")
    return content


def previews(folder: Path, title: str, caption: str = "", columns: Sequence[str] = ()) -> list[Picture]:
    """The first and the last preview of a training."""
    paths = sorted((folder / "previews").glob("step-*.png"))
    shown = [(path, int(path.stem.removeprefix("step-"))) for path in dict.fromkeys([*paths[-1:], *paths[:1]])]
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
            means = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            lines.append(f"{stage}  step {step}  {means}")
    return "".join(f"{line}\n" for line in lines)
