"""What every verb takes, typed once for the command line, config files and records; no torch is imported here."""

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar, Literal

from latentry.ranges import check_numbers

__all__ = ["CommonSettings", "SplitName", "changed", "refuse_unused"]

SplitName = Literal["train", "validation", "held-out"]


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What every verb takes."""

    out: str
    """Folder for the results."""
    seed: int = 0
    """Seed of every random choice."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print the result as JSON, and nothing else on standard output."""
    force: bool = False
    """Replace a finished result in the same folder; an unfinished one is continued."""
    continues: ClassVar[bool] = False
    """Whether the verb continues from an earlier result, whose parts it recognises."""

    def __post_init__(self) -> None:
        check_numbers(self)


def changed(settings: CommonSettings, names: Iterable[str]) -> list[str]:
    """Those of these settings that are not at their defaults, as flags.

    Example:
        >>> changed(CommonSettings(out="runs/out", seed=3), ["seed", "device"])
        ['--seed']
    """
    defaults = {
        part.name: part.default if part.default_factory is MISSING else part.default_factory() for part in fields(settings)
    }
    return [f"--{name}" for name in names if getattr(settings, name) != defaults[name]]


def refuse_unused(settings: CommonSettings, names: Iterable[str], need: str) -> None:
    """Refuse settings that would change nothing.

    Args:
        settings: Of a verb.
        names: Settings that have no effect here.
        need: What they need, such as "--label".

    Raises:
        ValueError: One of them is not at its default.
    """
    if unused := changed(settings, names):
        names = ", ".join(unused)
        raise ValueError(f"expected {need} along with {names}, which would change nothing; add it, or leave {names} out")
