"""How codes of images and a basis are asked for, by `edit` and `decompose`; no torch is imported here."""

from dataclasses import dataclass, field
from typing import Literal

from latentry.tasks.settings import CommonSettings, SplitName

__all__ = ["BasisKind", "BasisSettings", "CodedImagesSettings"]

BasisKind = Literal["loewdin", "paper", "fisher", "boundaries", "principal", "first-weights", "random"]


@dataclass(frozen=True, kw_only=True)
class CodedImagesSettings(CommonSettings):
    """Images of the user's own, and how their codes are found."""

    images: list[str] = field(default_factory=list)
    """Image files or folders of them."""
    data: str | None = None
    """A data set by name, folder, .npz file or hf:NAME, in place of images."""
    split: SplitName = "held-out"
    """Its split."""
    count: int = 64
    """Most images to take, from the first on."""
    codes: str | None = None
    """Folder that `latentry recover` wrote, in place of images: its codes are taken as they are."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    inverse: str | None = None
    """Folder of an inverse of this generator (`latentry train inverse` or `encoder`), from which recovery starts."""
    encode: bool = False
    """Take the codes that the inverse gives, without recovery."""


@dataclass(frozen=True, kw_only=True)
class BasisSettings(CodedImagesSettings):
    """A basis of a generator's codes: an earlier one, or how to make it."""

    basis: str | None = None
    """Folder of a basis that `latentry decompose` wrote for this generator; one is made by default."""
    classifier: str = "digits-guide"
    """What gives labels to the generator's images: a shipped classifier by name, or the folder of an own one."""
    kind: BasisKind = "loewdin"
    """How it is made: class means, centred and orthonormal by Loewdin; the paper's construction (Toledo-Marin and Glazier
    2023); Fisher's directions; normals of linear boundaries; principal directions of the first layer's output; singular
    vectors of the first weights; or at random. The last three know no labels and are matched with them afterwards."""
    per_label: int = 2000
    """Codes of the prior wanted for each label."""
    reader: str | None = None
    """A second classifier that reads what is shown, so that the one that gave the labels is not its own examiner. Its
    classes are matched with those by name."""
