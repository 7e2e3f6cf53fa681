"""What `latentry edit` can be told; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.coding.settings import BasisSettings

__all__ = ["EditSettings"]


@dataclass(frozen=True, kw_only=True)
class EditSettings(BasisSettings):
    """Move the codes of images: turn what bears one label into what bears another.

    With a label split as generator its encoders give the codes, and its labels are the components of its prior: no basis,
    classifier or recovery is needed.
    """

    out: str = "runs/edit"
    """Folder for pictures, codes and the report."""
    rotate: str = ""
    """Turns A:B:DEGREES, several with commas between, one after the other: in the plane of the vectors of classes A and B
    (names), from A towards B. Each keeps the norm of a code and is undone by the same angle backwards."""
    label: str | None = None
    """Turn each code, after all of these, until it bears the class of this name, by as little as it takes."""
    margin: float = 4.0
    """By how much the label shall win, in units of the logits of a linear classifier of codes."""
    swap: bool = False
    """Give each image the look of the next one, and keep what it is; for a label split."""
    hide: str = ""
    """Hide a box TOP:LEFT:HEIGHT:WIDTH of each image and fill it in one pass; for a label split."""
    features: str = ""
    """Set features to levels, NAME=LEVEL with commas between, such as bold=1,italic=-0.5; for a semantic model."""
    reverse: str = ""
    """Turn the levels of these features into their opposites, names with commas between; for a semantic model."""
    frames: int = 7
    """Pictures of the film from each image to its edited one, both ends included."""
