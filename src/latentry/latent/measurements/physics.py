r"""The operators of `deepinv.physics` as measurements: without their noise, and in real numbers.

An operator of deepinv measures :math:`y = \eta(N(A(x)))` with a noise N and a sensor :math:`\eta`. The noise belongs to
the data and has no place in a comparison, so here it is left out: what is compared is :math:`\eta(A(G(z)))`. Complex
measurements become pairs of real ones, and those of stacked operators one row. Nothing of deepinv is imported: its operators
are known by what they have.
"""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["as_real", "is_physics", "without_noise"]


def is_physics(operator: Any) -> bool:
    """Whether this is an operator of `deepinv.physics`.

    Example:
        >>> is_physics(nn.Identity())
        False
    """
    return isinstance(operator, nn.Module) and all(
        callable(getattr(operator, name, None)) for name in ("A", "sensor", "noise")
    )


def without_noise(physics: Any, x: Tensor) -> Any:
    """What the sensor of an operator of `deepinv.physics` makes of A(x)."""
    return physics.sensor(physics.A(x))


def as_real(y: Any) -> Tensor:
    """Measurements as one real tensor, as an operator of `as_measurement` gives them.

    Args:
        y: Measurements of `deepinv.physics`: real or complex, `(n, *t)`, or a list of such, from stacked operators.

    Returns:
        Real ones as they are; complex ones `(n, *t, 2)` as real and imaginary parts; a list as rows `(n, m)`.

    Raises:
        ValueError: It is nothing of these.

    Example:
        >>> import torch, latentry as lt
        >>> lt.measurements.as_real(torch.tensor([[1 + 2j]]))
        tensor([[[1., 2.]]])
        >>> lt.measurements.as_real([torch.ones(1, 2), torch.zeros(1, 1)])
        tensor([[1., 1., 0.]])
    """
    if isinstance(y, Tensor):
        return torch.view_as_real(y) if y.is_complex() else y
    parts = getattr(y, "x", y)  # deepinv keeps a list in a class of its own
    if not isinstance(parts, list | tuple) or not parts or not all(isinstance(part, Tensor) for part in parts):
        raise ValueError(f"expected measurements as a tensor or a list of tensors, got {type(y).__name__}")
    return torch.cat([as_real(part).flatten(1) for part in parts], 1)
