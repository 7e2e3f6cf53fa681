"""`latentry edit`: turn what bears one label into what bears another, and see what else has changed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.evaluation.operators import OperatorReport, PriorKept, evaluate_operator, prior_kept
from latentry.evaluation.proportions import Share, share
from latentry.latent.boundaries import LinearClassifier, fit_linear_classifier
from latentry.latent.operators import rotate, rotate_to_margin
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.models.classifier import predict_labels
from latentry.models.generative import GenerativeModel
from latentry.models.label_split import LabelSplit
from latentry.models.saving import model_kind
from latentry.models.semantic import SemanticModel
from latentry.priors import UnlabelledPrior
from latentry.reports.consoles import PlainConsole
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, magnification, png, write_png
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.class_names import label_index
from latentry.tasks.coding.codes import (
    Coded,
    basis_classes,
    coded_images,
    decoded,
    labelled_codes,
    made_basis,
    noted,
    read_images,
)
from latentry.tasks.edit.label_split import edit_label_split
from latentry.tasks.edit.semantic import edit_semantic
from latentry.tasks.edit.settings import EditSettings
from latentry.tasks.judging import Judged, Reader, fitting, independent_reader, made_by, verdict
from latentry.tasks.recover.options import image_format
from latentry.tasks.runs import claim_folder, command, load_generator, pick_device, record
from latentry.tasks.settings import refuse_unused

__all__ = ["Turn", "edit", "film", "parse_turns"]

_SHOWN, _ACROSS = 24, 14
"""Images with a film and a row in the table."""
_LISTED = 100
"""Images with a row in `results.json`."""

Operator = Callable[[Float[Tensor, "n d"], float], Float[Tensor, "n d"]]
"""Codes and a share of the way, from 0 for none to 1 for all of it, to codes."""


@dataclass(frozen=True)
class Turn:
    """A rotation by an angle in the plane of two labels' vectors."""

    start: str
    """Class from whose vector is turned, by name."""
    end: str
    """Class towards whose vector is turned, by name."""
    degrees: float
    """How far."""


@dataclass(frozen=True)
class Outcome:
    """Codes before and after, and what a classifier reads in what the generator makes of them."""

    z: Float[Tensor, "n d"]
    """Codes before."""
    z_edited: Float[Tensor, "n d"]
    """Codes after."""
    x: Float[Tensor, "n c h w"]
    """What the generator makes of them before."""
    x_edited: Float[Tensor, "n c h w"]
    """What it makes of them after."""
    y: Int[Tensor, "n"]
    """Labels read before."""
    y_edited: Int[Tensor, "n"]
    """Labels read after."""
    confidence: Float[Tensor, "n"]
    """Probability of the label read after."""
    success: Share | None
    """Share that the reader reads as the label that was asked for; None where none was."""
    examined: Judged
    """Whether that is a success: who reads, and whether there are images to read."""
    kept: OperatorReport | None
    """What of thickness, slant and size is left; None for colour, and for too few images."""
    prior: PriorKept
    """Whether the codes could come from the prior, before and after."""

    @property
    def changed(self) -> Share:
        """Share of codes whose label is read as another one after."""
        return share(self.y != self.y_edited)

    @property
    def degrees(self) -> Float[Tensor, "n"]:
        """Angle between each code before and after."""
        z, moved = self.z.double(), self.z_edited.double()
        size = z.norm(dim=1) * moved.norm(dim=1)
        # the half angle is exact for small ones, the cosine is not
        return 2 * torch.atan2((moved - z).norm(dim=1), (moved + z).norm(dim=1)).where(size > 0, 0).rad2deg()


@command
def edit(settings: EditSettings) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    kind = model_kind(settings.generator)
    if kind is LabelSplit:
        return edit_label_split(settings)
    if kind is SemanticModel:
        return edit_semantic(settings)
    if settings.features or settings.reverse:
        raise ValueError(
            f"expected a semantic model for --features and --reverse, got {settings.generator}; `latentry train semantic` "
            "makes one"
        )
    if settings.swap or settings.hide:
        raise ValueError(
            f"expected a label split for --swap and --hide, got {settings.generator}; `latentry train label-split` makes one"
        )
    turns = _checked(settings)
    device = pick_device(settings.device)
    model, prior = load_generator(settings.generator)
    generator = model.generator.to(device)
    channels, side = image_format(generator, prior)
    made = made_by(settings.generator, (channels, side, side))
    classifier = fitting(settings.classifier, made, "--classifier", device)
    label = None if settings.label is None else label_index(settings.label, classifier.classes, "--label", "the classifier")
    compared = () if label is None else classifier.classes  # without a label nothing of two classifiers is compared
    independent, unread = independent_reader(settings.reader, made, device, compared, classifier.weights)
    rows = _rows(turns, settings, classifier.classes)
    read = read_images(settings, channels, side)
    console = PlainConsole(quiet=settings.json)
    with progress_bar(quiet=settings.json) as track:
        basis = None
        if turns or settings.basis is not None:
            basis = made_basis(
                settings, model, prior, classifier.network, track("drawing codes of each label"), classifier.classes
            )
        coded = coded_images(settings, read, generator, prior, track("coding images"))
    assert coded is not None
    folder = claim_folder(settings, "index.html", "after.png", "codes.safetensors")

    operators = (
        []
        if basis is None
        else [partial(_turned, basis.plane(*plane), turn.degrees) for plane, turn in zip(rows, turns, strict=True)]
    )
    if label is not None:
        codes = labelled_codes(
            generator, classifier.network, prior, 10 * settings.per_label, torch.Generator().manual_seed(-1 - settings.seed)
        )
        operators.append(partial(_labelled, fit_linear_classifier(codes.z, codes.y), label, settings.margin))
    z_film = film(operators, coded.z, settings.frames)
    reader = independent or classifier
    outcome = _outcome(
        settings,
        generator,
        reader.network,
        label,
        prior,
        coded,
        z_film[-1],
        lambda x_edited, x_hat: verdict(independent, x_edited, coded.x, x_hat, unread=unread),
    )

    write_tensors(
        folder / "codes.safetensors", {"z": outcome.z, "z_edited": outcome.z_edited}, {"generator": model.fingerprint}
    )
    write_png(folder / "after.png", grid(outcome.x_edited, min(10, len(outcome.x_edited))), magnify=2)
    names = reader.classes
    tables = [_summary_table(outcome), _images_table(coded, outcome, names)]
    blocks: list[Table | Picture] = [*_pictures(settings, generator, coded, outcome, z_film, names), *tables]
    sentence = _sentence(settings, outcome)
    facts = _facts(settings, turns, model, basis, independent) + noted(coded.notes)
    write_page(folder / "index.html", "Edited codes", [sentence], blocks, facts)
    content = record(folder, settings, _numbers(coded, outcome, names) | {"notes": list(coded.notes)})
    for note in coded.notes:
        console.print(note)
    for table in tables:
        print_table(table, console)
    console.print(sentence)
    console.print(f"Codes and page: {folder}")
    return content


def parse_turns(text: str) -> tuple[Turn, ...]:
    """Turns written as A:B:DEGREES with commas between; none in an empty text.

    Raises:
        ValueError: One is not of that form, or of one label alone.
    """
    turns = []
    for part in text.split(",") if text.strip() else []:
        try:
            start, end, degrees = part.split(":")
            turn = Turn(start.strip(), end.strip(), float(degrees))
        except ValueError:
            raise ValueError(
                f"expected turns A:B:DEGREES with commas between, such as 3:8:60,8:1:90, got {part.strip()!r}"
            ) from None
        if not (turn.start and turn.end) or turn.start == turn.end or not math.isfinite(turn.degrees):
            raise ValueError(f"expected two different labels and a finite angle, got {part.strip()!r}; write 3:8:60, say")
        turns.append(turn)
    return tuple(turns)


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


def _turned(plane: Float[Tensor, "2 d"], degrees: float, z: Float[Tensor, "n d"], share: float) -> Float[Tensor, "n d"]:
    return rotate(z, plane, math.radians(share * degrees))


def _labelled(
    scores: LinearClassifier, label: int, margin: float, z: Float[Tensor, "n d"], share: float
) -> Float[Tensor, "n d"]:
    """Turned until the label leads by a share of the way from the lead that it has to the one it shall have."""
    y = torch.full((len(z),), label)
    lead = scores.margin(z, y)
    return rotate_to_margin(z, scores.weights, scores.bias, y, lead + share * (margin - lead).clamp(min=0))


def _checked(settings: EditSettings) -> tuple[Turn, ...]:
    turns = parse_turns(settings.rotate)
    if not turns and settings.label is None:
        raise ValueError("expected an edit, got none; pass --rotate A:B:DEGREES, such as 3:8:60, or --label L, or both")
    if not (settings.images or settings.data or settings.codes):
        raise ValueError(
            "expected images to edit, got none; name files or folders, or a data set with --data, or codes with --codes"
        )
    if settings.label is None:
        refuse_unused(settings, ["margin"], "--label")
    if settings.frames < 2 or not math.isfinite(settings.margin):
        raise ValueError(f"expected --frames of at least 2 and a finite --margin, got {settings.frames}, {settings.margin}")
    return turns


def _rows(turns: Sequence[Turn], settings: EditSettings, classes: tuple[str, ...]) -> list[tuple[int, int]]:
    """Both rows of the basis of each turn.

    Raises:
        ValueError: The basis has no class of a name.
    """
    if not turns:
        return []
    names = basis_classes(settings, classes)
    return [
        (label_index(turn.start, names, "--rotate", "the basis"), label_index(turn.end, names, "--rotate", "the basis"))
        for turn in turns
    ]


def _outcome(
    settings: EditSettings,
    generator: nn.Module,
    reader: nn.Module,
    label: int | None,
    prior: UnlabelledPrior,
    coded: Coded,
    z_edited: Float[Tensor, "n d"],
    examine: Callable[[Tensor, Tensor], Judged],
) -> Outcome:
    device = next(reader.parameters()).device
    x, x_edited = decoded(generator, coded.z), decoded(generator, z_edited)
    (y, _), (y_edited, confidence) = (predict_labels(reader, images.to(device)) for images in (x, x_edited))
    y, y_edited = y.cpu(), y_edited.cpu()
    wanted = y_edited if label is None else torch.full_like(y, label)
    try:
        kept = (
            evaluate_operator(lambda images: reader(images.to(device)), x, x_edited, y, wanted) if x.shape[1] == 1 else None
        )
    except ValueError:  # too few images for as many pairs of labels
        kept = None
    return Outcome(
        coded.z,
        z_edited,
        x,
        x_edited,
        y,
        y_edited,
        confidence.cpu(),
        None if label is None else share(y_edited == wanted),
        examine(x_edited, x),
        kept,
        prior_kept(coded.z, z_edited, prior, rng=torch.Generator().manual_seed(settings.seed)),
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
        by = "" if outcome.examined.by is not None else ", by the classifier that led the edit"
        rows.insert(0, (f"images read as the label asked for{by}, %", _percent(outcome.success)))
    if outcome.kept is not None:
        rows += [(f"{name}, correlation before and after", f"{r}") for name, r in outcome.kept.identity.items()]
        note = "Correlations: within pairs of labels, so that they say what each image kept of its own."
    else:
        note = "What an edit keeps of thickness, slant and size is measured on grey images, a few more than pairs of labels."
    return Table(f"Edit of {len(outcome.z)} images", ("what", "value"), tuple(rows), f"95 % intervals. {note}")


def _images_table(coded: Coded, outcome: Outcome, names: Sequence[str]) -> Table:
    rows, before, after = [], outcome.y.tolist(), outcome.y_edited.tolist()
    for index, name in enumerate(coded.names[:_SHOWN]):
        label = "" if coded.labels is None else coded.labels[index]
        read = (names[before[index]], names[after[index]], f"{outcome.confidence[index]:.2f}")
        rows.append((Path(name).name, label, *read, f"{outcome.degrees[index]:.0f}"))
    columns = ("image", "label", "read before", "read after", "probability", "degrees")
    note = (
        "Read: what the classifier sees in the generator's image of the code. Degrees: between the code and its edited one."
    )
    return Table("Images", columns, tuple(rows), note)


def _pictures(
    settings: EditSettings,
    generator: nn.Module,
    coded: Coded,
    outcome: Outcome,
    z_film: Float[Tensor, "f n d"],
    names: Sequence[str],
) -> list[Picture]:
    rows = [("before", outcome.x[:_ACROSS]), ("after", outcome.x_edited[:_ACROSS])]
    if settings.codes is None:  # else the images are those of the codes
        rows.insert(0, ("the image", coded.x[:_ACROSS]))
    titles = [names[label] for label in outcome.y_edited[:_ACROSS]]
    strips = decoded(generator, z_film[:, :_SHOWN].transpose(0, 1).flatten(0, 1))
    shares = [f"{100 * frame / (settings.frames - 1):.0f} %" for frame in range(settings.frames)]
    return [
        sheet(
            "Before and after", rows, titles, "Before and after: what the generator makes of the code. Above: read after."
        ),
        Picture(
            "Films",
            png(grid(strips, settings.frames), magnification(strips.shape[3])),
            f"Each row from a code, {settings.frames} pictures along the way, to the edited one.",
            tuple(names[label] for label in outcome.y[:_SHOWN]),
            tuple(shares),
        ),
    ]


def _facts(
    settings: EditSettings,
    turns: Sequence[Turn],
    model: GenerativeModel,
    basis: QuasiEigenbasis | None,
    independent: Reader | None,
) -> list[tuple[str, str]]:
    facts = [("generator", f"{settings.generator}, weights {model.fingerprint}")]
    if basis is not None:
        facts.append(("basis", basis.method if settings.basis is None else f"{basis.method}, from {settings.basis}"))
    if turns:
        told = ", ".join(f"{turn.start} towards {turn.end} by {turn.degrees:g} degrees" for turn in turns)
        facts.append(("rotations", told))
    if settings.label is not None:
        facts.append(("label", f"{settings.label}, with a margin of {settings.margin:g}"))
    facts += [("labels by", settings.classifier), ("read by", str(independent or settings.classifier))]
    return [*facts, ("seed", str(settings.seed))]


def _sentence(settings: EditSettings, outcome: Outcome) -> str:
    reached = outcome.changed if outcome.success is None else outcome.success
    label = "another label" if settings.label is None else settings.label
    done = outcome.examined.headline(
        f"{round(reached.value * reached.trials)} of {reached.trials} images are read as {label} after the edit"
    )
    said = {
        (True, True): "the codes could come from the prior before and after",
        (True, False): "the codes could come from the prior before, but not after",
        (False, True): "the codes could come from the prior after, but not before",
        (False, False): "the codes could not come from the prior, before or after",
    }[outcome.prior.before.passes, outcome.prior.after.passes]
    return f"{done}; {said}."


def _numbers(coded: Coded, outcome: Outcome, names: Sequence[str]) -> dict[str, Any]:
    prior = outcome.prior
    columns = (coded.names[:_LISTED], outcome.y, outcome.y_edited, outcome.confidence, outcome.degrees)
    return {
        "read_as_asked": None if outcome.success is None else vars(outcome.success),
        "success": None if outcome.success is None or outcome.examined.doubts else vars(outcome.success),
        "examined": outcome.examined.numbers(),
        "changed": vars(outcome.changed),
        "identity": None if outcome.kept is None else {name: vars(r) for name, r in outcome.kept.identity.items()},
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
                "read_before": names[before],
                "read_after": names[after],
                "probability": round(float(confidence), 4),
                "degrees": round(float(degrees), 3),
            }
            for name, before, after, confidence, degrees in zip(*columns, strict=False)
        ],
    }
