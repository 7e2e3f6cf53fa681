"""What all edits share: the files that they write, and which `latentry edit` fits which kind of model."""

from typing import TypeVar

from latentry.models.generative import GenerativeModel
from latentry.models.label_split import LabelSplit
from latentry.models.saving import load_model, model_kind
from latentry.models.semantic import SemanticModel
from latentry.names import printable

__all__ = ["PARTS", "check_frames", "load_kind"]

PARTS = ("index.html", "after.png", "codes.safetensors")
"""What every edit writes beside `results.json`."""

Model = TypeVar("Model", bound=GenerativeModel)

_KINDS: dict[type, tuple[str, str, str]] = {
    GenerativeModel: ("a generator", "`latentry edit label` or `latentry edit rotate`", "gan"),
    LabelSplit: ("a label split", "`latentry edit swap` or `latentry edit hide`", "label-split"),
    SemanticModel: ("a semantic model", "`latentry edit features`", "semantic"),
}
"""What each kind of model is called, which commands edit with it, and which `latentry train` makes one."""


def load_kind(name_or_path: str, kind: type[Model]) -> Model:
    """The saved model of this name or folder, if it is of the kind that a command edits with.

    Args:
        name_or_path: A shipped model by name, or the folder of your own.
        kind: `GenerativeModel` (a generator with its prior and no encoder), `LabelSplit` or `SemanticModel`.

    Raises:
        ValueError: There is no such model, or it is of another kind; the message names the command that fits it.

    Example:
        >>> load_kind("digits-split", LabelSplit).label_dim
        16
        >>> load_kind("digits-split", SemanticModel)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: expected a semantic model, got a label split, digits-split; use `latentry edit swap` or ...
    """
    model, found = load_model(name_or_path, GenerativeModel), model_kind(name_or_path)
    if found is not kind or not isinstance(model, kind):
        name, _, training = _KINDS[kind]
        got, commands, _ = _KINDS[found]
        raise ValueError(
            f"expected {name}, got {got}, {printable(name_or_path)}; use {commands} with that one, or train {name} with "
            f"`latentry train {training}`"
        )
    return model


def check_frames(frames: int) -> None:
    """Make sure that the pictures of a film can show both ends.

    Raises:
        ValueError: They are fewer than two.

    Example:
        >>> check_frames(2)
    """
    if frames < 2:
        raise ValueError(f"expected --frames of at least 2, got {frames}")
