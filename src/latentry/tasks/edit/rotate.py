"""`latentry edit rotate`: turn codes by given angles in the planes of two labels, and see what else has changed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentry.latent.operators import rotate
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.reports.progress import progress_bar
from latentry.tasks.class_names import label_index
from latentry.tasks.coding.codes import basis_classes, coded_images, made_basis, read_images
from latentry.tasks.edit.generator import check_given, load_editable
from latentry.tasks.edit.kinds import check_frames
from latentry.tasks.edit.report import Edit, film, write_edit
from latentry.tasks.edit.settings import EditRotateSettings
from latentry.tasks.judging import independent_reader
from latentry.tasks.runs import claim_folder, command

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


@command
def edit_rotate(settings: EditRotateSettings) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    turns = parse_turns(settings.turns)
    check_given(settings)
    check_frames(settings.frames)
    loaded = load_editable(settings)
    classifier, prior = loaded.classifier, loaded.prior
    independent, unread = independent_reader(settings.reader, loaded.made, loaded.device, (), classifier.weights)
    planes = _planes(turns, basis_classes(settings, classifier.classes))
    read = read_images(settings, *loaded.image_format)
    with progress_bar(quiet=settings.json) as track:
        tell = track("drawing codes of each label")
        basis = made_basis(settings, loaded.model, prior, classifier.network, tell, classifier.classes)
        coded = coded_images(settings, read, loaded.generator, prior, track("coding images"))
    assert coded is not None  # as `check_given` has made sure
    folder = claim_folder(settings, "index.html", "after.png", "codes.safetensors")
    operators = [partial(_turned, basis.plane(*plane), turn.degrees) for plane, turn in zip(planes, turns, strict=True)]
    facts = (("basis", _made(settings, basis)), ("rotations", _described(turns)))
    edit = Edit(loaded, coded, film(operators, coded.z, settings.frames), None, independent, unread, facts)
    return write_edit(folder, settings, edit)


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


def _made(settings: EditRotateSettings, basis: QuasiEigenbasis) -> str:
    return basis.method if settings.basis is None else f"{basis.method}, from {settings.basis}"


def _described(turns: Sequence[Turn]) -> str:
    return ", ".join(f"{turn.start} towards {turn.end} by {turn.degrees:g} degrees" for turn in turns)
