"""Report of `edit label` and `edit rotate`: labels after the edit, and what else has changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.evaluation.operators import OperatorReport, PriorKept, evaluate_operator, prior_kept
from latentry.evaluation.proportions import Share, share
from latentry.models.classifier import predict_labels
from latentry.names import counted
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, magnification, png, write_png
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.coding.codes import Coded, data_facts, decoded
from latentry.tasks.edit.generator import LoadedGenerator
from latentry.tasks.evaluation_classifier import Evaluation, SavedClassifier, evaluation
from latentry.tasks.runs import Run

__all__ = ["Edit", "film", "write_edit"]

_SHOWN, _ACROSS = 24, 14
"""Images with a film and a row in the table."""
_LISTED = 100
"""Images with a row in `results.json`."""

Operator = Callable[[Float[Tensor, "n d"], float], Float[Tensor, "n d"]]
"""Codes and a share of the way, from 0 for none to 1 for all of it, to codes."""


@dataclass(frozen=True)
class Edit:
    """Codes of a generator on their way to edited ones."""

    loaded: LoadedGenerator
    """The generator and its classifier."""
    coded: Coded
    """The images and their codes."""
    z_film: Float[Tensor, "f n d"]
    """Codes on their way; the first are those of the images, the last the edited ones."""
    label: int | None
    """Number of the label that every image is to have; None where there is none."""
    evaluator: SavedClassifier | None
    """The evaluation classifier."""
    no_evaluator: str
    """Why there is no evaluation classifier."""
    facts: tuple[tuple[str, str], ...]
    """What was done, for the page."""

    @property
    def classifier(self) -> SavedClassifier:
        """What classifies the results: the evaluation classifier, or the one that gave the labels."""
        return self.evaluator or self.loaded.classifier


@dataclass(frozen=True)
class Outcome:
    """Codes before and after the edit, and the labels of their images."""

    z: Float[Tensor, "n d"]
    """Codes before."""
    z_edited: Float[Tensor, "n d"]
    """Codes after."""
    x: Float[Tensor, "n c h w"]
    """What the generator makes of them before."""
    x_edited: Float[Tensor, "n c h w"]
    """What it makes of them after."""
    y: Int[Tensor, "n"]
    """Labels before."""
    y_edited: Int[Tensor, "n"]
    """Labels after."""
    confidence: Float[Tensor, "n"]
    """Probability of the label after."""
    success: Share | None
    """Share with the target label; None where there is none."""
    evaluation: Evaluation
    """Whether that is a success: by which classifier, and whether the images can be evaluated."""
    identity: OperatorReport | None
    """How far thickness, slant and size are preserved; None for colour, and for too few images."""
    prior: PriorKept
    """Whether the codes could come from the prior, before and after."""

    @property
    def changed(self) -> Share:
        """Share of codes with another label after."""
        return share(self.y != self.y_edited)

    @property
    def degrees(self) -> Float[Tensor, "n"]:
        """Angle between each code before and after."""
        z, moved = self.z.double(), self.z_edited.double()
        size = z.norm(dim=1) * moved.norm(dim=1)
        # the half angle is exact for small ones, the cosine is not
        return 2 * torch.atan2((moved - z).norm(dim=1), (moved + z).norm(dim=1)).where(size > 0, 0).rad2deg()


def write_edit(run: Run, edit: Edit) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json` into the folder; print the report."""
    coded, names, folder = edit.coded, edit.classifier.classes, run.folder
    outcome = _outcome(edit, run.rng())
    write_tensors(
        folder / "codes.safetensors",
        {"z": outcome.z, "z_edited": outcome.z_edited},
        {"generator": edit.loaded.model.fingerprint},
    )
    write_png(folder / "after.png", grid(outcome.x_edited, min(10, len(outcome.x_edited))), magnify=2)
    tables = [_summary_table(outcome), _images_table(coded, outcome, names)]
    blocks: list[Table | Picture] = [*_pictures(edit, outcome), *tables]
    sentence = _sentence(edit, outcome)
    facts = [*_facts(edit), ("seed", str(run.seed)), *data_facts(coded.notes)]
    write_page(folder / "index.html", "Edited codes", [sentence], blocks, facts)
    content = run.record(_numbers(coded, outcome, names) | {"notes": list(coded.notes)})
    console = run.console
    for note in coded.notes:
        console.print(note)
    for table in tables:
        print_table(table, console)
    console.print(sentence)
    console.print(f"Codes and page: {folder}")
    return content


def film(operators: Sequence[Operator], z: Float[Tensor, "n d"], frames: int) -> Float[Tensor, "f n d"]:
    """Codes on their way through operators one after the other, both ends included; each takes as long as any other."""
    pictures = []
    for frame in range(frames):
        place, moved = frame / (frames - 1) * len(operators), z
        for operator in operators:
            moved = operator(moved, min(1.0, place))
            place = max(0.0, place - 1)
        pictures.append(moved)
    return torch.stack(pictures)


def _outcome(edit: Edit, rng: torch.Generator) -> Outcome:
    loaded, coded, z_edited, classifier = edit.loaded, edit.coded, edit.z_film[-1], edit.classifier.network
    x, x_edited = decoded(loaded.generator, coded.z), decoded(loaded.generator, z_edited)
    (y, _), (y_edited, confidence) = (predict_labels(classifier, images.to(loaded.device)) for images in (x, x_edited))
    y, y_edited = y.cpu(), y_edited.cpu()
    target = y_edited if edit.label is None else torch.full_like(y, edit.label)
    try:
        identity = (
            evaluate_operator(lambda images: classifier(images.to(loaded.device)), x, x_edited, y, target)
            if x.shape[1] == 1
            else None
        )
    except ValueError:  # too few images for as many pairs of labels
        identity = None
    return Outcome(
        coded.z,
        z_edited,
        x,
        x_edited,
        y,
        y_edited,
        confidence.cpu(),
        None if edit.label is None else share(y_edited == target),
        evaluation(edit.evaluator, x_edited, coded.x, x, no_classifier=edit.no_evaluator),
        identity,
        prior_kept(coded.z, z_edited, loaded.prior, rng=rng),
    )


def _percent(of: Share) -> str:
    return f"{of.scaled(100):.1f}"


def _summary_table(outcome: Outcome) -> Table:
    before, after = outcome.prior.before, outcome.prior.after
    rows = [
        ("images whose label changed, %", _percent(outcome.changed)),
        ("turned by, degrees", f"{outcome.degrees.mean():.1f}, most {outcome.degrees.max():.1f}"),
        ("largest relative change of a norm", f"{outcome.prior.norm_error:.1g}"),
        ("p-value of the codes before, in the prior", f"{before.worst.adjusted_p_value:.2g}"),
        ("p-value of the codes after", f"{after.worst.adjusted_p_value:.2g}"),
    ]
    if outcome.success is not None:
        by = "" if outcome.evaluation.classifier is not None else ", by the classifier that led the edit"
        rows.insert(0, (f"images with the target label{by}, %", _percent(outcome.success)))
    if outcome.identity is not None:
        rows += [(f"{name}, correlation before and after", f"{r}") for name, r in outcome.identity.identity.items()]
        note = "Correlations: within pairs of labels, so that they measure what each image has of its own."
    else:
        note = "How far thickness, slant and size are preserved is measured on grey images, a few more than pairs of labels."
    return Table(f"Edit of {counted(len(outcome.z), 'image')}", ("what", "value"), tuple(rows), f"95 % intervals. {note}")


def _images_table(coded: Coded, outcome: Outcome, names: Sequence[str]) -> Table:
    rows, before, after = [], outcome.y.tolist(), outcome.y_edited.tolist()
    for index, name in enumerate(coded.names[:_SHOWN]):
        label = "" if coded.labels is None else coded.labels[index]
        found = (names[before[index]], names[after[index]], f"{outcome.confidence[index]:.2f}")
        rows.append((Path(name).name, label, *found, f"{outcome.degrees[index]:.0f}"))
    columns = ("image", "label", "label before", "label after", "probability", "degrees")
    note = "Labels: of the generator's image of the code, by the classifier. Degrees: between the code and its edited one."
    return Table("Images", columns, tuple(rows), note)


def _pictures(edit: Edit, outcome: Outcome) -> list[Picture]:
    names, frames = edit.classifier.classes, len(edit.z_film)
    rows = [("before", outcome.x[:_ACROSS]), ("after", outcome.x_edited[:_ACROSS])]
    if not edit.coded.generated:
        rows.insert(0, ("the image", edit.coded.x[:_ACROSS]))
    titles = [names[label] for label in outcome.y_edited[:_ACROSS]]
    strips = decoded(edit.loaded.generator, edit.z_film[:, :_SHOWN].transpose(0, 1).flatten(0, 1))
    shares = [f"{100 * frame / (frames - 1):.0f} %" for frame in range(frames)]
    return [
        sheet(
            "Before and after",
            rows,
            titles,
            "Before and after: what the generator makes of the code. Above: its label after.",
        ),
        Picture(
            "Films",
            png(grid(strips, frames), magnification(strips.shape[3])),
            f"Each row from a code, {frames} pictures along the way, to the edited one.",
            tuple(names[label] for label in outcome.y[:_SHOWN]),
            tuple(shares),
        ),
    ]


def _facts(edit: Edit) -> list[tuple[str, str]]:
    return [
        ("generator", edit.loaded.description),
        *edit.facts,
        ("labels by", edit.loaded.classifier.name),
        ("evaluation classifier", str(edit.evaluator or edit.loaded.classifier.name)),
    ]


def _sentence(edit: Edit, outcome: Outcome) -> str:
    reached = outcome.changed if outcome.success is None else outcome.success
    label = "another label" if edit.label is None else edit.loaded.classifier.classes[edit.label]
    done = outcome.evaluation.headline(
        f"{round(reached.value * reached.trials)} of {counted(reached.trials, 'image')} classified as {label} after the edit"
    )
    origin = {
        (True, True): "the codes could come from the prior before and after",
        (True, False): "the codes could come from the prior before, but not after",
        (False, True): "the codes could come from the prior after, but not before",
        (False, False): "the codes could not come from the prior, before or after",
    }[outcome.prior.before.passes, outcome.prior.after.passes]
    return f"{done}; {origin}."


def _numbers(coded: Coded, outcome: Outcome, names: Sequence[str]) -> dict[str, Any]:
    prior = outcome.prior
    columns = (coded.names[:_LISTED], outcome.y, outcome.y_edited, outcome.confidence, outcome.degrees)
    return {
        "target_label": None if outcome.success is None else vars(outcome.success),
        "success": None if outcome.success is None or outcome.evaluation.doubts else vars(outcome.success),
        "evaluation": outcome.evaluation.numbers(),
        "changed": vars(outcome.changed),
        "identity": None if outcome.identity is None else {name: vars(r) for name, r in outcome.identity.identity.items()},
        "prior_kept": {
            "norm_error": prior.norm_error,
            **{
                when: {"passes": fit.passes, "p_value": fit.worst.adjusted_p_value, "verdict": fit.verdict}
                for when, fit in (("before", prior.before), ("after", prior.after))
            },
        },
        "images": [
            {
                "image": name,
                "label_before": names[before],
                "label_after": names[after],
                "probability": round(float(confidence), 4),
                "degrees": round(float(degrees), 3),
            }
            for name, before, after, confidence, degrees in zip(*columns, strict=False)
        ],
    }
