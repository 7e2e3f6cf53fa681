"""Settings of each `latentry edit`; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.coding.settings import BasisSettings, ImagesSettings, LabelledSettings

__all__ = ["EditFeaturesSettings", "EditHideSettings", "EditLabelSettings", "EditRotateSettings", "EditSwapSettings"]


@dataclass(frozen=True, kw_only=True)
class EditLabelSettings(LabelledSettings):
    """Turn the codes of images until a classifier gives another label, with a generator such as a GAN."""

    label: str
    """Name of the class that each image is to have: its code is turned by as little as that takes."""
    out: str = "runs/edit-label"
    """Folder for pictures, codes and the report."""
    margin: float = 4.0
    """By how much this label is to lead, in logits of a linear classifier of codes."""
    frames: int = 7
    """Pictures from each image to its edited one, both ends included."""


@dataclass(frozen=True, kw_only=True)
class EditRotateSettings(BasisSettings):
    """Rotate the codes of images by given angles between labels, with a generator such as a GAN."""

    turns: str
    """Turns FROM:TO:DEGREES, with commas between several, made one after the other: each rotates in the plane of the basis
    vectors of two classes (names), from the first towards the second. A turn keeps the norm of a code, and the same angle
    backwards undoes it."""
    out: str = "runs/edit-rotate"
    """Folder for pictures, codes and the report."""
    frames: int = 7
    """Pictures from each image to its edited one, both ends included."""


@dataclass(frozen=True, kw_only=True)
class EditSwapSettings(ImagesSettings):
    """Exchange one part of the codes of images, their label or their style, with a label split."""

    out: str = "runs/edit-swap"
    """Folder for pictures, codes and the report."""
    generator: str = "digits-split"
    """The name of a shipped label split, or the folder of your own."""
    style: bool = False
    """Give each image the style of the next one."""
    label: str | None = None
    """Name of the class that every image is to have; each keeps its own by default."""
    evaluation_classifier: str | None = None
    """A second classifier for the report, so that the label split does not check itself: by name or folder. Its classes are
    matched by name. By default the shipped one, where the label split makes its data."""


@dataclass(frozen=True, kw_only=True)
class EditHideSettings(ImagesSettings):
    """Hide a box of each image and fill it in, with a label split."""

    box: str
    """The box TOP:LEFT:HEIGHT:WIDTH in pixels."""
    out: str = "runs/edit-hide"
    """Folder for pictures, codes and the report."""
    generator: str = "digits-split"
    """The name of a shipped label split, or the folder of your own."""
    evaluation_classifier: str | None = None
    """A second classifier for the report, so that the label split does not check itself: by name or folder. Its classes are
    matched by name. By default the shipped one, where the label split makes its data."""


@dataclass(frozen=True, kw_only=True)
class EditFeaturesSettings(ImagesSettings):
    """Set named features of images, or reverse them, with a semantic model."""

    out: str = "runs/edit-features"
    """Folder for pictures, codes and the report."""
    generator: str = "letters-semantic"
    """The name of a shipped semantic model, or the folder of your own."""
    levels: str = ""
    """Levels to set features to: NAME=LEVEL with commas between, such as bold=1,italic=-0.5."""
    reverse: str = ""
    """Features whose level changes its sign: names with commas between."""
    encode: bool = False
    """Take the codes that the encoder gives, without recovery."""
    frames: int = 7
    """Pictures from each image to its edited one, both ends included."""
