"""What every verb takes, typed once for the command line, config files and records; no torch is imported here."""

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar, Literal

from latentry.ranges import check_numbers

__all__ = ["CommonSettings", "GeneratorSettings", "SplitName", "changed", "refuse_unused"]

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


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(CommonSettings):
    """A generator, shipped, your own or third-party, and how it is called."""

    generator: str = "digits-generator"
    """What makes data of codes: a shipped model by name; the folder of your own; NETS.py:NAME or PACKAGE.MODULE:NAME, which
    runs that code; TorchScript (.pt); a torch.export archive (.pt2); ONNX (.onnx); NETS.py:CLASS@WEIGHTS.safetensors; a
    folder of diffusers, or hf:OWNER/NAME."""
    prior: str | None = None
    """The distribution of the codes, by name or file; by default the generator's own, or N(0, I) where it has none."""
    code_shape: tuple[int, ...] | None = None
    """Shape of one code as the generator takes it, such as "[4,8,8]", where it is not found out."""
    output_key: str | None = None
    """Which entry of what the generator returns holds the data: a name, or a place in a tuple."""
    output_range: tuple[float, float] | None = None
    """Both ends of images as the generator makes them, such as "[0,1]"; they are brought to [-1, 1]."""
    download: bool = False
    """Whether hf: may fetch what is not in the cache of the hub."""


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
