"""A map with one row of outputs for each row of inputs, and the rows that it is tried on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.holding import modules_behind
from latentry.holding.trial import WatchedCall, watched_call

__all__ = ["FEW", "SAME", "Flags", "RowMap", "flags_behind", "share_of"]

SAME = 1e-3
"""Most that two results may differ by, as a share of the largest value."""
FEW = 4
"""Rows that are tried at once."""


@dataclass(frozen=True)
class Flags:
    """A module, its mode, and which of its parameters ask for a gradient."""

    module: torch.nn.Module
    training: bool | None
    asks: tuple[bool, ...]

    def module_has_changed(self) -> bool:
        """Whether the module has other ones by now."""
        return _flags(self.module) != self


def flags_behind(function: Any) -> tuple[Flags, ...]:
    """Those of every module that a callable may call.

    Example:
        >>> [one.training for one in flags_behind(torch.nn.Dropout().eval())]
        [False]
    """
    return tuple(map(_flags, modules_behind(function)))


def _flags(module: torch.nn.Module) -> Flags:
    asks = tuple(one.requires_grad for one in module.parameters(recurse=False))
    return Flags(module, getattr(module, "training", None), asks)


@dataclass(frozen=True)
class RowMap:
    """A map, and what it is tried on.

    Example:
        >>> tanh = RowMap(lambda x, at: x.tanh(), torch.randn(8, 2), "code", "codes", "data")
        >>> tanh.named("takes {inputs}"), round(tanh.differ(torch.ones(2), torch.tensor([1.0, 0.9])), 3)
        ('takes codes', 0.1)
    """

    function: Callable[[Tensor, Tensor], Any]
    """Rows, and their numbers among those that it is tried on, to rows."""
    x: Float[Tensor, "n *s"]
    """What it is tried on, eight rows or more."""
    input: str
    """What a row of inputs is called."""
    inputs: str
    outputs: str
    least_axes: int = 1
    """Axes that outputs have at least."""
    behind: Any = None
    """The callable itself."""
    before: tuple["Flags", ...] = ()
    """Modes and flags of the modules behind it, before it was called (`flags_behind`)."""
    finer: Callable[[Tensor, Tensor], Any] | None = None
    """The same in double precision, where there is one."""

    def __call__(self, x: Tensor, at: Tensor | None = None) -> Any:
        """What it makes of rows; what the call writes to is put back."""
        return self.watched(x, at).result

    def watched(self, x: Tensor, at: Tensor | None = None, *, finer: bool = False) -> WatchedCall:
        """One call, and what it wrote to."""
        function = self.finer if finer and self.finer is not None else self.function
        places = torch.arange(len(x)) if at is None else at

        def of_rows(rows: Tensor) -> Any:
            return function(rows, places)

        of_rows.__wrapped__ = self.behind  # type: ignore[attr-defined]  # what messages are about
        return watched_call(of_rows, x)

    def all_rows(self, x: Tensor | None = None, *, finer: bool = False) -> Tensor:
        """What it makes of many rows, a few at a time; of all that it is tried on by default."""
        x = self.x if x is None else x
        with torch.no_grad():
            return torch.cat([self.watched(x[at], at, finer=finer).result for at in torch.arange(len(x)).split(FEW)])

    def named(self, promise: str) -> str:
        """A promise in the words of this map."""
        return promise.format(input=self.input, inputs=self.inputs, outputs=self.outputs)

    @cached_property
    def few(self) -> Tensor:
        """The first rows, free of any graph."""
        return self.x[:FEW].detach().clone()

    @cached_property
    def y(self) -> Tensor:
        """What it makes of them."""
        with torch.no_grad():
            made: Tensor = self(self.few)
        return made.detach().clone()

    def differ(self, a: Tensor, b: Tensor) -> float:
        """Largest difference, as a share of the largest value; infinite for two shapes and for NaN."""
        return share_of(a - b, a) if a.shape == b.shape else float("inf")


def share_of(difference: Tensor, values: Tensor) -> float:
    """The largest of some numbers, as a share of the largest of others; infinite for NaN.

    Example:
        >>> share_of(torch.tensor([0.5]), torch.tensor([-2.0]))
        0.25
    """
    if not difference.numel():
        return 0.0
    share = difference.detach().abs().max().item() / max(values.detach().abs().max().item(), 1e-12)
    return share if share == share else float("inf")
