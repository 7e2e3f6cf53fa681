"""Whether a callable treats each row of a batch independently, and is deterministic."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentry.holding.trial import tried

__all__ = ["check_rows"]

_SHARE = 1e-3
"""Most that two results may differ by, as a share of the largest value."""


def check_rows(name: str, function: Callable[[Any], Any], x: Tensor) -> None:
    """Make sure that a callable is deterministic and gives each datum its own row, whatever stands around it.

    Args:
        name: What to call it in messages.
        function: A map of data to one row for each.
        x: Three data or more.

    Raises:
        ValueError: It gives other numbers at a second call, another number of rows, or rows that depend on the batch.

    Example:
        >>> check_rows("the operator", torch.tanh, torch.randn(3, 2))
        >>> check_rows("the operator", lambda x: x + torch.randn(3, 2), torch.randn(3, 2))
        Traceback (most recent call last):
        ...
        ValueError: expected the operator to give the same numbers at each call, got ones that differ by ...
    """
    with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []):  # of a stochastic one
        y = tried(function, x)
        if not isinstance(y, Tensor) or y.ndim < 1 or len(y) != len(x):
            got = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"expected one row of {name} for each of {len(x)} data, got {got}")
        tolerance = _SHARE * y.abs().max().item() + 1e-12
        again = (function(x) - y).abs().max().item()
        if again > tolerance:
            raise ValueError(
                f"expected {name} to give the same numbers at each call, got ones that differ by {again:.3g}; leave its "
                "noise out: that of the data is enough"
            )
        turned = _turned(name, function, x)
        moved = (turned - y.flip(0)).abs().max().item() if turned.shape == y.shape else float("inf")
    if moved > tolerance:
        raise ValueError(
            f"expected {name} to measure each datum on its own and all alike, got rows that change with their place in the "
            "batch; give it one mask or filter for all data, or recover the data one by one"
        )


def _turned(name: str, function: Callable[[Any], Any], x: Tensor) -> Tensor:
    """Rows in the other order, the first of them alone."""
    try:
        return torch.cat([function(x[-1:]), function(x[:-1].flip(0))])
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(
            f"expected {name} to take any number of data, got one that refuses fewer than {len(x)} "
            f"({(str(error).splitlines() or ['no message'])[0]}); give it one mask or filter for all data"
        ) from error
