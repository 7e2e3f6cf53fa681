"""`latentry edit rotate`: turn codes by given angles in the planes of two labels, and measure what else has changed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentry.latent.operators import rotate
from latentry.latent.spectral import load_basis
from latentry.reports.progress import progress_bar
from latentry.tasks.class_names import label_index
from latentry.tasks.coding.codes import basis_classes, code_source, coded_images, made_basis
from latentry.tasks.edit.generator import check_images, load_editable
from latentry.tasks.edit.kinds import PARTS, check_frames
from latentry.tasks.edit.report import Edit, film, write_edit
from latentry.tasks.edit.settings import EditRotateSettings
from latentry.tasks.evaluation_classifier import evaluation_classifier
from latentry.tasks.runs import Run, command

__all__ = ["Turn", "edit_rotate", "parse_turns"]


@dataclass(frozen=True)
class Turn:
    """A rotation by an angle in the plane of two labels' vectors.

    Example:
        >>> Turn("3", "8", 60.0).degrees
        60.0
    """

    start: str
    """Class from whose vector the code is turned, by name."""
    end: str
    """Class towards whose vector the code is turned, by name."""
    degrees: float
    """Angle of the rotation."""


@command(*PARTS)
def edit_rotate(settings: EditRotateSettings, run: Run) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    turns = parse_turns(settings.turns)
    check_images(settings.images, settings.data, settings.codes)
    check_frames(settings.frames)
    loaded = load_editable(settings, settings.classifier, run.device)
    classifier, prior = loaded.classifier, loaded.prior
    evaluator, no_evaluator = evaluation_classifier(
        settings.evaluation_classifier, loaded.generated, run.device, (), classifier.weights
    )
    planes = _planes(turns, basis_classes(settings.basis, classifier.classes))
    source = code_source(settings, *loaded.image_format)
    assert source is not None, "`check_images` makes sure of it"
    with progress_bar(quiet=run.quiet) as track:
        basis = (
            made_basis(
                settings.kind, loaded.model, prior, classifier, per_label=settings.per_label, rng=run.rng(),
                progress=track("drawing codes of each label"),
            )
            if settings.basis is None
            else load_basis(settings.basis, loaded.generator)
        )  # fmt: skip
        coded = coded_images(source, loaded.generator, prior, rng=run.rng(), progress=track("coding images"))
    operators = [partial(_turned, basis.plane(*plane), turn.degrees) for plane, turn in zip(planes, turns, strict=True)]
    origin = "" if settings.basis is None else f", from {settings.basis}"
    facts = (("basis", f"{basis.method}{origin}"), ("rotations", _described(turns)))
    z_film = film(operators, coded.z, settings.frames)
    return write_edit(run, Edit(loaded, coded, z_film, None, evaluator, no_evaluator, facts))


def parse_turns(text: str) -> tuple[Turn, ...]:
    """Turns written as FROM:TO:DEGREES with commas between.

    Raises:
        ValueError: There is none, or one is not of that form, or of one label alone.

    Example:
        >>> parse_turns("3:8:60,8:1:-22.5")
        (Turn(start='3', end='8', degrees=60.0), Turn(start='8', end='1', degrees=-22.5))
    """
    turns = []
    for part in text.split(","):
        try:
            start, end, degrees = part.split(":")
            turn = Turn(start.strip(), end.strip(), float(degrees))
        except ValueError:
            raise ValueError(
                f"expected --turns FROM:TO:DEGREES with commas between several, such as 3:8:60,8:1:90, got {part.strip()!r}"
            ) from None
        if not (turn.start and turn.end) or turn.start == turn.end or not math.isfinite(turn.degrees):
            raise ValueError(
                f"expected two different labels and a finite angle in --turns, such as 3:8:60, got {part.strip()!r}"
            )
        turns.append(turn)
    return tuple(turns)


def _planes(turns: Sequence[Turn], names: Sequence[str]) -> list[tuple[int, int]]:
    """Both rows of the basis of each turn."""
    return [
        (label_index(turn.start, names, "--turns", "the basis"), label_index(turn.end, names, "--turns", "the basis"))
        for turn in turns
    ]


def _turned(plane: Float[Tensor, "2 d"], degrees: float, z: Float[Tensor, "n d"], share: float) -> Float[Tensor, "n d"]:
    return rotate(z, plane, math.radians(share * degrees))


def _described(turns: Sequence[Turn]) -> str:
    return ", ".join(f"{turn.start} towards {turn.end} by {turn.degrees:g} degrees" for turn in turns)
