"""Settings of `latentry convert`; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.settings import CommonSettings

__all__ = ["ConvertSettings"]


@dataclass(frozen=True, kw_only=True)
class ConvertSettings(CommonSettings):
    """Take the weights out of a file of torch.save, or out of a pickle, into safetensors."""

    weights: str
    """A file of torch.save, or a pickle: a state dict, or a module."""
    out: str = "weights.safetensors"
    """The file to write."""
    allow_pickle: bool = False
    """Unpickle what holds more than tensors. This runs whatever code is in the file: only for files that you trust."""
    key: str | None = None
    """Which of several state dicts in the file, by name, such as g_ema."""
