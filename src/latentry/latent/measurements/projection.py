"""Random projections, the measurements of compressed sensing (Bora et al., 2017)."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.measurements.operator import Measurement, check_shape
from latentry.numerics.inputs import check_fields, checked

__all__ = ["RandomProjection"]


@dataclass(frozen=True)
class RandomProjection(Measurement):
    r"""k inner products with fixed normal vectors, scaled so that :math:`E |A x|^2 = |x|^2`.

    The vectors depend on `k`, `shape` and `seed` alone: not on the device, nor on the type of number.

    Reference: Bora et al. (2017), section 3.

    Raises:
        ValueError: `k` or a side of `shape` is below 1, or, when called, data have another shape.

    Example:
        >>> import torch, latentry as lt
        >>> measure = lt.measurements.RandomProjection(10, (1, 28, 28), seed=3)
        >>> measure(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    k: int
    """Number of measurements."""
    shape: tuple[int, ...]
    """Shape of one datum."""
    seed: int = 0
    """Seed of the vectors."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_shape(self.shape)
        if self.k < 1:
            raise ValueError(f"expected k >= 1, got {self.k}")

    @checked(differentiable=True, any_value=("x",))
    def __call__(self, x: Float[Tensor, "n *s"]) -> Float[Tensor, "n k"]:
        if x.shape[1:] != self.shape:
            raise ValueError(f"expected data of shape (n, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}")
        return x.flatten(1) @ _normal_rows(self.k, math.prod(self.shape), self.seed, x.dtype, x.device).mT


@lru_cache(maxsize=4)
def _normal_rows(k: int, m: int, seed: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(k, m, dtype=torch.float64, generator=rng) / math.sqrt(k)).to(device, dtype)
