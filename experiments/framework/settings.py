"""What can be set of every experiment, and presets of it; no torch is imported here, so that help is instant."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml

from latentry.tasks.settings import CommonSettings

__all__ = ["ExperimentSettings", "preset"]

Settings = TypeVar("Settings", bound="ExperimentSettings")


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings(CommonSettings):
    """What every experiment takes."""

    seeds: int = 3
    """Trainings of each kind, one for each seed from `seed` on; intervals are over them."""
    workers: int | None = None
    """Cells at once; by default one for each core on a CPU, one on a GPU."""
    continues: ClassVar[bool] = True
    """A run in a folder with results takes up the cells that are there, without --force."""


def preset(settings: type[Settings], name: str, **others: Any) -> Settings:
    """Settings of a preset, `presets/NAME.yaml` beside the module of their class; `others` beat it."""
    module = sys.modules[settings.__module__].__file__ or ""
    values = yaml.safe_load((Path(module).parent / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
    return settings(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()} | others)
