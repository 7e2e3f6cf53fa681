"""The measurements at each checkpoint, in a file beside the checkpoints."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from latentry.storage import read_json, write_json
from latentry.training.checkpoints import saved_checkpoints

__all__ = ["History"]


class History:
    """Validation at each checkpoint and the time it took to get there.

    Args:
        path: The file, beside the folder `checkpoints`; what it holds is of this run only if there are any.

    Raises:
        ValueError: The file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        if path.exists() and saved_checkpoints(path.parent / "checkpoints"):
            self.entries = _checked(read_json(path), path)
        self.before: float = self.entries[-1]["seconds"] if self.entries else 0.0
        self.began = time.perf_counter()

    def note(self, step: int, measure: Callable[[], Mapping[str, Any]]) -> None:
        """Measure after `step` iterations, unless that is known from before a stop.

        Args:
            step: Iterations so far.
            measure: Named figures of the model as it is, as JSON holds them.
        """
        self.entries = [entry for entry in self.entries if entry["step"] <= step]
        if not self.entries or self.entries[-1]["step"] < step:
            self.entries.append({"step": step, **measure(), "seconds": self.seconds()})
            write_json(self.path, self.entries)

    @property
    def untimed(self) -> list[dict[str, Any]]:
        """What was measured, without the time it took: the same for every run of these settings."""
        return [{name: value for name, value in entry.items() if name != "seconds"} for entry in self.entries]

    def of(self, name: str) -> tuple[tuple[int, Any], ...]:
        """Steps and the figure of this name."""
        return tuple((entry["step"], entry[name]) for entry in self.entries)

    def seconds(self) -> float:
        """Time of the training, over all parts of a run that was stopped and resumed."""
        return self.before + time.perf_counter() - self.began


def _checked(entries: Any, path: Path) -> list[dict[str, Any]]:
    known = isinstance(entries, list) and all(
        isinstance(entry, dict) and type(entry.get("step")) is int and isinstance(entry.get("seconds"), float)
        for entry in entries
    )
    if not known:
        raise ValueError(f"expected the history of a training in {path}, got something else; remove its folder")
    return entries
