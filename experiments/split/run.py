"""`python -m experiments split`: codes of what an image shows beside codes of how it looks, and what each part is for.

*Models* (Zheng and Sun, 2019). Our label split, that with the paper's losses, and conditional models of the same networks,
trained for as many iterations on the same batches: labels by z_s, leak of z_u, swaps, samples, codes and distributions.

*Ablations.* Ours without its parts, one at a time, on the first data set.

*Moons.* The toy in two dimensions, as a figure.

Reference: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.framework.cell import Cell
from experiments.framework.results import Measured, measured
from experiments.framework.run import PARTS, Experiment, Report, begin, check_counts, check_known, check_parts
from experiments.split.models import ABLATIONS, MODELS, NO_FLOW, OURS, ModelCell
from experiments.split.moons import MoonsCell
from experiments.split.scores import ScoresCell
from experiments.split.settings import SplitSettings
from experiments.split.tables import split_tables, split_verdict
from latentry.reports.page import Picture
from latentry.tasks.runs import Run, command

__all__ = ["phases", "run"]


@command(*PARTS)
def run(settings: SplitSettings, current: Run) -> dict[str, Any]:
    """Work out all cells; write the table of results, the page and `results.json`."""
    check_counts("classifier", data=settings.data, classifiers=settings.classifiers)
    check_known("models", settings.models, MODELS)
    check_parts(settings.parts)
    experiment = begin(settings, current)
    table, _ = experiment.results(phases(settings))
    return experiment.finish(_report(settings, experiment, measured(table, "scores")))


def phases(settings: SplitSettings) -> list[list[Cell]]:
    """All cells, those that train first; seed by seed, so that the first cells to finish are complete seeds."""
    training: list[Cell] = []
    scoring: list[Cell] = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        for data, classifier in zip(settings.data, settings.classifiers, strict=True):
            for row in _rows(settings, first=data == settings.data[0]):
                model = ModelCell(
                    data, OURS if row == NO_FLOW else row, seed, settings.width, settings.label_dim, settings.style_dim,
                    settings.steps, settings.batch_size, settings.learning_rate, settings.flow_steps,
                )  # fmt: skip
                training += [] if row == NO_FLOW else [model]
                scoring.append(
                    ScoresCell(model, classifier, row != NO_FLOW, settings.count, settings.codes, settings.images)
                )
    if "moons" in settings.parts:
        training.append(MoonsCell(settings.seed, settings.moons, settings.moons_steps))
    return [training, scoring]


def _rows(settings: SplitSettings, *, first: bool) -> list[str]:
    """Rows of both tables; ours stands in each. Ablations are of the first data set."""
    models = [name for name in MODELS if name == OURS or not settings.models or name in settings.models]
    rows = models if "models" in settings.parts else [OURS]
    return [*rows, *(ABLATIONS if first and "ablations" in settings.parts else ())]


_PICTURES = {
    "labels": "In each row an image, and its style under every label.",
    "swaps": "Above the image that gives z_s, below it the one that gives z_u, and what is made of both.",
    "parts": "Codes of held-out images by label, in the plane by t-SNE: z_s in clusters, z_u mixed.",
    "samples": "Samples of the prior, one column for each label.",
}


def _report(settings: SplitSettings, experiment: Experiment, found: Mapping[str, Mapping[str, Measured]]) -> Report:
    pictures: list[Picture] = []
    for data, rows in found.items():
        for row in rows:
            for what, caption in _PICTURES.items():
                if what in ("samples", "labels") or row == OURS:
                    name = f"scores-{data}-{row}-{settings.seed}-{what}"
                    pictures += experiment.pictures(name, f"{data}, {row}: {what}", caption)
    pictures += experiment.pictures("moons", "Three moons", "Points, codes, reconstructions and samples, by class.")
    return Report(
        title="Label-relevant and label-irrelevant dimensions",
        lead="One part of a code says what an image shows, the other how it looks; none of either in the other.",
        verdicts=[split_verdict(data, rows) for data, rows in found.items()],
        blocks=[*(table for data, rows in found.items() for table in split_tables(data, rows)), *pictures],
        console=[table for data, rows in found.items() for table in split_tables(data, rows, short=True)],
        facts=[
            ("networks", f"of Zheng and Sun (2019), width {settings.width}"),
            ("codes", f"{settings.label_dim} latents for labels, {settings.style_dim} for styles"),
            ("training", f"{settings.steps} iterations of {settings.batch_size} images, {settings.seeds} seeds"),
            ("classifiers", ", ".join(Path(each).name for each in settings.classifiers)),
        ],
    )
