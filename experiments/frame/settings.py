"""What every experiment can be told; no torch is imported here, so that help is instant."""

from dataclasses import dataclass
from typing import ClassVar

from latentry.tasks.settings import CommonSettings

__all__ = ["ExperimentSettings"]


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings(CommonSettings):
    """What every experiment takes."""

    seeds: int = 3
    """Trainings of each kind, one for each seed from `seed` on; intervals are over them."""
    workers: int | None = None
    """Cells at once; by default one for each core on a CPU, one on a GPU."""
    quick: bool = False
    """A rehearsal in less than a minute: everything at the smallest size, numbers without meaning."""
    goes_on: ClassVar[bool] = True
