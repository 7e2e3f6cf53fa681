"""Toy data in the plane, with labels.

Reference: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019 (three moons).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["LabelledPoints", "three_moons"]

_CLASSES, _NOISE = 3, 0.15


class LabelledPoints:
    """Points with labels, as a training takes them: items that give whole batches.

    Example:
        >>> import torch
        >>> points = LabelledPoints(torch.zeros(4, 2), torch.arange(4))
        >>> points.__getitems__([2, 3])[1]
        tensor([2, 3])
    """

    def __init__(self, x: Float[Tensor, "n 2"], y: Int[Tensor, "n"]) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self.x[list(indices)], self.y[list(indices)]


def three_moons(n: int, rng: torch.Generator) -> LabelledPoints:
    """Points on three half circles that reach into each other, with normal noise of standard deviation 0.15.

    Args:
        n: Number of points; labels take turns.
        rng: Source of angles and noise.

    Example:
        >>> import torch
        >>> moons = three_moons(6, torch.Generator().manual_seed(0))
        >>> moons.y
        tensor([0, 1, 2, 0, 1, 2])
    """
    y = torch.arange(n) % _CLASSES
    angle = math.pi * torch.rand(n, generator=rng)
    up = torch.tensor([1.0, -1.0, 1.0])[y]  # the middle one hangs down between the others
    x = torch.stack([angle.cos() + y, up * (angle.sin() - 0.25)], 1)
    x = x + _NOISE * torch.randn(n, 2, generator=rng)
    return LabelledPoints((x - torch.tensor([1.0, 0.1])) / 1.2, y)
