"""Settings that the edits and `decompose` share: images, their codes, labels and a basis; no torch is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from latentry.ranges import check_number
from latentry.tasks.settings import CommonSettings, GeneratorSettings, SplitName, refuse_unused

__all__ = ["BasisKind", "BasisSettings", "CodedImagesSettings", "ImagesSettings", "LabelledSettings"]

BasisKind = Literal["loewdin", "paper", "fisher", "boundaries", "principal", "first-weights", "random"]


@dataclass(frozen=True, kw_only=True)
class ImagesSettings(CommonSettings):
    """Images of the user's own."""

    images: list[str] = field(default_factory=list)
    """Image files, or folders of them."""
    data: str | None = None
    """A data set in place of image files: a name, a folder, an .npz file or hf:NAME."""
    split: SplitName = "held-out"
    """The split of the data set to take images from."""
    count: int = 64
    """Most images to take, from the first on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 1:
            raise ValueError(f"expected a --count of at least 1, got {self.count}")
        if self.data is None:
            refuse_unused(self, ["split"], "--data")


@dataclass(frozen=True, kw_only=True)
class CodedImagesSettings(ImagesSettings, GeneratorSettings):
    """Images of the user's own, the generator that makes such, and how their codes are found."""

    codes: str | None = None
    """Folder that `latentry recover` wrote, in place of images: its codes are taken as they are."""
    inverse: str | None = None
    """Folder of an inverse of this generator (`latentry train inverse` or `encoder`), from which recovery starts."""
    encode: bool = False
    """Take the codes that the inverse gives, without recovery."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codes is not None:
            if self.images or self.data is not None:
                raise ValueError("expected images or --codes, got both; codes bring their images along")
            refuse_unused(self, ["inverse", "encode"], "images or --data in place of --codes")
        elif self.encode and self.inverse is None:
            raise ValueError("expected an inverse to encode with; pass --inverse, or leave --encode out to recover codes")


@dataclass(frozen=True, kw_only=True)
class LabelledSettings(CodedImagesSettings):
    """Coded images, and the classifiers of their labels."""

    classifier: str = "digits-guide"
    """The classifier that gives labels to the generator's images: a shipped one by name, or the folder of your own."""
    per_label: int = 2000
    """How many codes of the prior are drawn for each label."""
    evaluation_classifier: str | None = None
    """A second classifier for the report, so that the one that gave the labels does not check itself: by name or folder.
    Its classes are matched by name. By default the shipped one, where the generator makes its data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("--per_label", self.per_label, 1)


@dataclass(frozen=True, kw_only=True)
class BasisSettings(LabelledSettings):
    """A basis of a generator's codes: an earlier one, or how to make it."""

    basis: str | None = None
    """Folder of a basis that `latentry decompose` wrote for this generator; a new one is made by default."""
    kind: BasisKind = "loewdin"
    """How a new basis is made. loewdin: class means, centred and made orthonormal by Loewdin; paper: the construction of
    Toledo-Marin and Glazier (2023); fisher: Fisher's directions; boundaries: normals of linear boundaries; principal:
    principal directions of the first layer's output; first-weights: singular vectors of the first weights; random: random
    directions. The last three use no labels and are matched with them afterwards."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.basis is not None:
            refuse_unused(self, ["kind"], "a basis to be made, and so no --basis,")
