"""Settings of `latentry evaluate`; no torch is imported here."""

from dataclasses import dataclass
from typing import Literal

from latentry.tasks.settings import GeneratorSettings, SplitName

__all__ = ["EvaluateSettings", "RuleName"]

RuleName = Literal["lerp", "slerp", "variance-corrected", "transport"]


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(GeneratorSettings):
    """Measure a generator's samples at its prior and between its codes; compare codes with the prior."""

    out: str = "runs/evaluate"
    """Folder for index.html and results.json."""
    data: str = "digits"
    """Data set to compare with, by name, folder, .npz file or hf:NAME. For a generator of other data than square images an
    array of them: a .npy, .npz, .csv or .safetensors file."""
    split: SplitName = "train"
    """Split of the data to compare with."""
    extractor: str = "digits-evaluator"
    """The classifier whose features samples are compared by: a shipped one by name, or the folder of your own. Data
    that are no square images are compared as they are."""
    count: int = 2000
    """How many samples are generated for each row of the table, and the largest number of reference samples."""
    rules: tuple[RuleName, ...] = ("lerp", "slerp", "variance-corrected", "transport")
    """Interpolation rules to measure."""
    t: tuple[float, ...] = (0.1, 0.25, 0.5)
    """Steps between two codes; below 0 or above 1 for extrapolation."""
    codes: str | None = None
    """Folder that `latentry recover` wrote, or a file of codes (.npy; .npz or .safetensors with an array z), to compare with
    the prior as well."""
