"""Masks: 1 where an element is measured, 0 where it is hidden; and the measurement that applies one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.measurements.operator import Measurement, check_shape
from latentry.numerics.inputs import check_fields, checked

__all__ = ["Hide", "hide_box", "keep_box", "keep_share"]


@dataclass(frozen=True, eq=False)
class Hide(Measurement):
    """Zero where a mask is 0: to hide elements *before* another measurement. Else pass the mask itself to `recover_codes`.

    Raises:
        ValueError: The mask has other values than 0 and 1, or, when called, another shape than a datum.

    Example:
        >>> import torch, latentry as lt
        >>> hidden = lt.measurements.Downsample(2) * lt.measurements.Hide(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        >>> hidden(torch.full((1, 2, 2), 4.0))
        tensor([[[3.]]])
    """

    mask: Tensor
    """Of the shape of one datum: 1 where an element stays, 0 where it is hidden."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not ((self.mask == 0) | (self.mask == 1)).all():
            raise ValueError("expected a mask of 0 (hidden) and 1 (measured), got other values; round it")

    @checked(differentiable=True, any_value=("x",))
    def __call__(self, x: Float[Tensor, "n *s"]) -> Float[Tensor, "n *s"]:
        if x.shape[1:] != self.mask.shape:
            raise ValueError(
                f"expected data of the shape of the mask, (n, {', '.join(map(str, self.mask.shape))}), got {tuple(x.shape)}"
            )
        return x * self.mask.to(x)

    def __repr__(self) -> str:
        return f"Hide({int((self.mask == 0).sum())} of {self.mask.numel()} elements)"


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
    check_shape(shape)
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
    check_shape(shape)
    if not 0 < share <= 1:
        raise ValueError(f"expected a share in (0, 1], got {share}")
    total = math.prod(shape)
    mask = torch.zeros(total)
    mask[torch.randperm(total, generator=rng)[: max(1, round(share * total))]] = 1
    return mask.view(tuple(shape))
