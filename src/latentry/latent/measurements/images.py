"""Measurements of images: downsampling and blur."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.measurements.operator import Measurement
from latentry.numerics.inputs import check_fields, checked

__all__ = ["Blur", "Downsample"]

_BLUR_REACH = 4
"""Where the weights of a blur are cut off, in standard deviations."""


@dataclass(frozen=True)
class Downsample(Measurement):
    """Means over squares of `factor` by `factor` elements of the last two axes: what super-resolution starts from.

    Raises:
        ValueError: `factor` is below 1, or, when called, does not divide both sides of the images.

    Example:
        >>> import torch, latentry as lt
        >>> lt.measurements.Downsample(2)(torch.tensor([[[0.0, 2.0], [4.0, 6.0]]]))
        tensor([[[3.]]])
    """

    factor: int
    """Side of a square."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.factor < 1:
            raise ValueError(f"expected factor >= 1, got {self.factor}")

    @checked(differentiable=True, any_value=("x",))
    def __call__(self, x: Float[Tensor, "n *s h w"]) -> Float[Tensor, "n *s h2 w2"]:
        if any(side % self.factor for side in x.shape[-2:]):
            raise ValueError(
                f"expected images whose sides {self.factor} divides, got {tuple(x.shape[-2:])}; crop, or take another factor"
            )
        return x.unflatten(-1, (-1, self.factor)).unflatten(-3, (-1, self.factor)).mean((-3, -1))


@dataclass(frozen=True)
class Blur(Measurement):
    """Normal weights around each element of the last two axes; beyond the border the image goes on as it ends.

    Raises:
        ValueError: `sigma` is not above 0, or not finite.

    Example:
        >>> import torch, latentry as lt
        >>> point = torch.zeros(1, 5, 5)
        >>> point[0, 2, 2] = 1
        >>> lt.measurements.Blur(0.5)(point)[0, 2].round(decimals=2)
        tensor([0.0000, 0.0800, 0.6200, 0.0800, 0.0000])
    """

    sigma: float
    """Standard deviation of the weights, in elements; they are cut off at four times that."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"expected a finite sigma > 0, got {self.sigma}; leave the blur out")

    @checked(differentiable=True, any_value=("x",))
    def __call__(self, x: Float[Tensor, "n *s h w"]) -> Float[Tensor, "n *s h w"]:
        down, across = (_blur_rows(side, self.sigma, x.dtype, x.device) for side in x.shape[-2:])
        return down @ x @ across.mT


@lru_cache(maxsize=8)
def _blur_rows(side: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix `(side, side)` whose row i holds the weights of all elements for element i."""
    reach = math.ceil(_BLUR_REACH * sigma)
    offsets = torch.arange(-reach, reach + 1)
    weights = (-0.5 * (offsets / sigma).double().square()).exp()
    places = (torch.arange(side)[:, None] + offsets).clamp(0, side - 1)
    rows = torch.zeros(side, side, dtype=torch.float64)
    rows.scatter_add_(1, places, (weights / weights.sum()).expand(side, -1))
    return rows.to(device, dtype)
