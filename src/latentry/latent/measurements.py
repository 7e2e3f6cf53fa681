r"""What of the data was measured: masks, and linear measurements y = A x.

A code is recovered from part of the data by comparing A G(z) with y, for any A with a derivative (`Difference.operator`);
the linear ones here are those of compressed sensing with generative models (Bora et al., 2017). Where elements are only
hidden, a mask says so: 1 where an element is measured, 0 where it is hidden (`Difference.prepare`).

Which codes a measurement leaves open is a matter of its null space: of a linear generator with matrix B, those of the null
space of A B; random projections to k numbers keep k directions, and so nearly all codes of less than k dimensions.

References: Bora, Jalal, Price, Dimakis, "Compressed sensing using generative models", 2017; Yeh et al., "Semantic image
inpainting with deep generative models", 2017.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.inputs import check_fields, checked

__all__ = ["Blur", "Downsample", "RandomProjection", "hide_box", "keep_box", "keep_share"]

_BLUR_REACH = 4
"""Where the weights of a blur are cut off, in standard deviations."""


@dataclass(frozen=True)
class Downsample:
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
class Blur:
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


@dataclass(frozen=True)
class RandomProjection:
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
        _check_shape(self.shape)
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


@checked()
def keep_box(shape: Sequence[int], rows: tuple[int, int], columns: tuple[int, int]) -> Float[Tensor, "*s"]:
    """Mask that is 1 in a box of the last two axes, 0 around it.

    Args:
        shape: Shape of one datum, `(..., h, w)`.
        rows: First row of the box, and the first one after it.
        columns: Likewise for columns.

    Raises:
        ValueError: The data have fewer than two axes, or the box is empty or leaves the image.

    Example:
        >>> import torch, latentry as lt
        >>> lt.measurements.keep_box((3, 4), rows=(0, 2), columns=(1, 3))
        tensor([[0., 1., 1., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 0.]])
    """
    _check_shape(shape)
    if len(shape) < 2:
        raise ValueError(
            f"expected data of at least two axes, got shape {tuple(shape)}; a mask may be any tensor of 0 and 1"
        )
    for name, (start, end), side in (("rows", rows, shape[-2]), ("columns", columns, shape[-1])):
        if not 0 <= start < end <= side:
            raise ValueError(f"expected {name} (start, end) with 0 <= start < end <= {side}, got {(start, end)}")
    mask = torch.zeros(tuple(shape))
    mask[..., slice(*rows), slice(*columns)] = 1
    return mask


@checked()
def hide_box(shape: Sequence[int], rows: tuple[int, int], columns: tuple[int, int]) -> Float[Tensor, "*s"]:
    """Mask that is 0 in a box of the last two axes, 1 around it: what inpainting fills. Arguments as of `keep_box`.

    Example:
        >>> import torch, latentry as lt
        >>> lt.measurements.hide_box((3, 4), rows=(0, 2), columns=(1, 3))
        tensor([[1., 0., 0., 1.],
                [1., 0., 0., 1.],
                [1., 1., 1., 1.]])
    """
    return 1 - keep_box(shape, rows, columns)


@checked()
def keep_share(shape: Sequence[int], share: float, *, rng: torch.Generator | None = None) -> Float[Tensor, "*s"]:
    """Mask that is 1 at a random share of all elements, their number rounded to the nearest, at least one.

    Args:
        shape: Shape of one datum, or of all `(n, ...)`.
        share: Share that is measured, in (0, 1].
        rng: Chooses the elements.

    Raises:
        ValueError: The share is outside (0, 1].

    Example:
        >>> import torch, latentry as lt
        >>> mask = lt.measurements.keep_share((1, 28, 28), 0.25)
        >>> mask.sum()  # a quarter of 784 elements
        tensor(196.)
    """
    _check_shape(shape)
    if not 0 < share <= 1:
        raise ValueError(f"expected a share in (0, 1], got {share}")
    total = math.prod(shape)
    mask = torch.zeros(total)
    mask[torch.randperm(total, generator=rng)[: max(1, round(share * total))]] = 1
    return mask.view(tuple(shape))


def _check_shape(shape: Sequence[int]) -> None:
    if not shape or min(shape) < 1:
        raise ValueError(f"expected a shape of positive sides, got {tuple(shape)}")
