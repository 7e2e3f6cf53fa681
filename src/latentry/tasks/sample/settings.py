"""What `latentry sample` can be told; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.settings import CommonSettings

__all__ = ["SampleSettings"]


@dataclass(frozen=True, kw_only=True)
class SampleSettings(CommonSettings):
    """Draw codes from a generator's prior and decode them."""

    out: str = "runs/sample"
    """Folder for the grid, the images and the codes."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    label: str | None = None
    """Draw codes of the class of this name alone, where the prior has labels."""
    levels: str = ""
    """Draw codes at these levels of features, NAME=LEVEL with commas between, such as bold=1,italic=-0.5, for a semantic
    model; features that are not named are drawn as they occurred in training."""
    count: int = 100
    """How many images."""
    columns: int = 10
    """Columns of the grid."""
