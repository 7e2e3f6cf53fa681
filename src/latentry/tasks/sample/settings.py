"""Settings of `latentry sample`; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.settings import GeneratorSettings

__all__ = ["SampleSettings"]


@dataclass(frozen=True, kw_only=True)
class SampleSettings(GeneratorSettings):
    """Draw codes from a generator's prior and decode them."""

    out: str = "runs/sample"
    """Folder for the grid, the images and the codes."""
    label: str | None = None
    """Draw codes of the class of this name only, where the prior has labels."""
    levels: str = ""
    """Draw codes with these levels of features, for a semantic model: NAME=LEVEL with commas between, such as
    bold=1,italic=-0.5. Features that are not named are drawn as often as they occurred in training."""
    count: int = 100
    """How many images to draw."""
    columns: int = 10
    """Columns of the grid."""
