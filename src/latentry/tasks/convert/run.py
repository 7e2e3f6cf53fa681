"""`latentry convert`: the weights of a file of torch.save, or of a pickle, as safetensors."""

from typing import Any

from latentry.generators.conversion import convert_weights
from latentry.names import counted
from latentry.paths import user_path
from latentry.reports.consoles import PlainConsole
from latentry.tasks.convert.settings import ConvertSettings

__all__ = ["convert"]


def convert(settings: ConvertSettings) -> dict[str, Any]:
    """Write the file, and nothing else; print what it holds."""
    out = user_path(settings.out)
    if out.exists() and not settings.force:
        raise ValueError(f"expected a new file, got {out}, which is there; choose another --out, or replace it with --force")
    weights = convert_weights(user_path(settings.weights), out, allow_pickle=settings.allow_pickle, key=settings.key)
    numbers = sum(value.numel() for value in weights.values())
    console = PlainConsole(quiet=settings.json)
    console.print(f"{counted(len(weights), 'tensor')} of {counted(numbers, 'number')}: {out}")
    console.print(f"Use them as FILE.py:CLASS@{out}")
    return {"out": str(out), "tensors": {name: list(value.shape) for name, value in weights.items()}}
