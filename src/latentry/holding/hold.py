"""Modules held in eval mode with frozen parameters, and restored afterwards."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from latentry.holding.reach import modules_behind
from latentry.holding.trial import Watched

__all__ = ["evaluated"]


class _Before:
    """A module, but not its submodules, as it was before anyone held it."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.holders = module, 0
        self.training = getattr(module, "training", None)  # frozen scripts have no mode
        self.flags = [(parameter, parameter.requires_grad) for parameter in module.parameters(recurse=False)]
        self.buffers = [
            (name, buffer, _version(buffer), buffer.detach().clone())
            for name, buffer in module.named_buffers(recurse=False)
            if not nn.parameter.is_lazy(buffer)
        ]

    def hold(self) -> None:
        self._set_mode(False)
        for parameter, _ in self.flags:
            _set_flag(parameter, False)

    def restore(self) -> None:
        self._set_mode(self.training)
        for parameter, flag in self.flags:
            _set_flag(parameter, flag)
        for name, buffer, version, content in self.buffers:
            if self.module._buffers[name] is not buffer:
                self.module._buffers[name] = buffer
            if _version(buffer) != version or not torch.equal(buffer, content):
                with torch.no_grad():
                    buffer.copy_(content)

    def _set_mode(self, training: bool | None) -> None:
        """Set it alone: `train()` of exported modules refuses, and that of others may do more."""
        if training is not None and self.training is not None and self.module.training != training:
            self.module.training = training


_held: dict[int, _Before] = {}
"""What is held now, by the number of the module; several holders share one entry."""
_lock = threading.RLock()


@contextmanager
def evaluated(*callables: Any) -> Iterator[tuple[Any, ...]]:
    """Hold every module behind these callables in eval mode with frozen parameters; afterwards all is as it was.

    Each submodule gets back its own mode, each parameter its flag, each buffer its bits, also after an exception. A module
    held by several, or by one within another, comes back when the last lets go. What is no callable is passed over.

    Yields:
        The callables, the first call of each tried (`tried`): what no one can see inside is refused before it changes.

    Example:
        >>> layer = nn.Dropout(0.5)
        >>> with evaluated(layer) as (held,):
        ...     layer.training, held(torch.ones(3))
        (False, tensor([1., 1., 1.]))
        >>> layer.training
        True
    """
    parts: list[_Before] = []
    try:
        with _lock:
            for module in modules_behind(*callables):
                if id(module) not in _held:
                    _held[id(module)] = _Before(module)
                part = _held[id(module)]
                part.holders += 1
                parts.append(part)
            for part in parts:
                part.hold()
        yield tuple(Watched(function) if callable(function) else function for function in callables)
    finally:
        with _lock:
            for part in parts:
                part.holders -= 1
                if part.holders == 0:
                    del _held[id(part.module)]
                    part.restore()


def _set_flag(parameter: Tensor, flag: bool) -> None:
    if parameter.requires_grad != flag and parameter.is_leaf:
        parameter.requires_grad_(flag)


def _version(buffer: Tensor) -> int:
    """How often it was written to, as far as torch counts."""
    return 0 if buffer.is_inference() else buffer._version
