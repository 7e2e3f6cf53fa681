"""What `latentry evaluate` can be told; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from latentry.tasks.settings import CommonSettings, SplitName

__all__ = ["EvaluateSettings", "RuleName"]

RuleName = Literal["lerp", "slerp", "variance-corrected", "transport"]


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(CommonSettings):
    """Judge a generator at its prior and between its codes, and, if asked, codes against the prior."""

    out: str = "runs/evaluate"
    """Folder for index.html and results.json."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    prior: str | None = None
    """Distribution to draw codes from and to hold codes against, by name or file; the generator's own by
    default."""
    data: str = "digits"
    """Data set to compare with, by name, folder, .npz file or hf:NAME."""
    split: SplitName = "train"
    """Split of the data to compare with."""
    extractor: str = "digits-judge"
    """Classifier through which samples are seen: a shipped one by name, or the folder of one trained on your own data."""
    count: int = 2000
    """Generated samples of each row, and reference samples at most."""
    rules: tuple[RuleName, ...] = ("lerp", "slerp", "variance-corrected", "transport")
    """Interpolation rules."""
    t: tuple[float, ...] = (0.1, 0.25, 0.5)
    """Steps between two codes; below 0 or above 1 for extrapolation."""
    codes: str | None = None
    """Folder that `latentry recover` wrote, or any file of codes z, to hold against the prior as well."""
