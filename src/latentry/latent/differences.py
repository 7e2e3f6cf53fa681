r"""The difference between G(z) and the data that recovery minimises.

The difference of a code is a mean over residuals r, so that a solver may take it for a loss, or r for least squares:

.. math:: dif(x, G(z)) = \frac{1}{m} \sum_i r_i^2 \;\text{(l2)} \quad\text{or}\quad \frac{1}{m} \sum_i |r_i| \;\text{(l1)}.

Here x may be a measurement A(x) of the data. A mask M of 0 and 1 may hide some of its elements. Features f of an extractor
may join the pixels. With M of P elements, K features and the weights a and b, m = P + K and

.. math::
    r = \Big( \sqrt{a m / |M|} \; M (A G(z) - x), \;\; \sqrt{b m / K} \; \big(f(M A G(z)) - f(M x)\big) \Big),

without the roots for l1. So dif is a times the mean over the measured elements plus b times the mean over the features,
however many there are of either. Hidden elements are zero for the extractor on both sides, so that the true code still has
no difference.

The features and the mask of the data do not change while codes do: `prepare` works them out once, `residuals` reads them.

References: Lipton and Tripathi, "Precise recovery of latent vectors from generative adversarial networks", 2017 (pixels);
Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", 2016 (features); Bora et al.,
"Compressed sensing using generative models", 2017 (measurements).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from latentry.holding import Condition, evaluated
from latentry.interfaces import FeatureExtractor
from latentry.latent.measurements import as_measurement
from latentry.network_outputs import features_of
from latentry.numerics.batches import in_batches
from latentry.numerics.inputs import check_fields, checked

__all__ = ["Difference", "Norm", "Target"]

Norm = Literal["l2", "l1"]

_ROWS = 256
"""Data that go through an extractor at once."""


@dataclass(frozen=True)
class Target:
    """Data as `Difference.residuals` reads them; every field has one row for each datum."""

    x: Float[Tensor, "n *s"]
    """Data or measurements, zero where hidden."""
    mask: Float[Tensor, "n *s"]
    """1 where an element is measured, 0 where it is hidden."""
    scale: Float[Tensor, "n"]
    """What the differences of elements are multiplied with."""
    features: Float[Tensor, "n k"]
    """Features of the data; k = 0 without an extractor."""
    condition: Condition | None = None
    """What a conditional generator takes along with the code of each datum."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Difference:
    """Mean squared or mean absolute difference of pixels, of features, or of both, after a measurement and under a mask.

    A solver holds `operator` and `extractor` in eval mode, as it does the generator (`holding.evaluated`).

    Raises:
        ValueError: There is no such norm, or a weight is negative, not finite, or leaves nothing to compare.

    Example:
        >>> import torch, latentry as lt
        >>> difference = lt.metrics.Difference("l1")
        >>> target = difference.prepare(torch.zeros(2, 4))
        >>> difference.loss(difference.residuals(torch.tensor([[3.0, 1, 0, 0], [2, 2, 2, 2]]), target))
        tensor([1., 2.])
    """

    norm: Norm = "l2"
    """Mean of squares (`l2`) or of absolute values (`l1`)."""
    operator: Callable[[Tensor], Tensor] | None = None
    """A, a differentiable map of data to measurements, as in `latentry.measurements`, or an operator of `deepinv.physics`,
    which is taken without its noise; None for the identity."""
    extractor: FeatureExtractor | None = None
    """f, from measurements to features; None compares pixels alone."""
    pixel_weight: float = 1.0
    """Weight a of the mean over pixels; 0 compares features alone."""
    feature_weight: float = 1.0
    """Weight b of the mean over features, where there is an extractor."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.operator is not None:
            object.__setattr__(self, "operator", as_measurement(self.operator))
        if self.norm not in get_args(Norm):
            raise ValueError(f"expected a norm among {get_args(Norm)}, got {self.norm!r}")
        if not (0 <= self.pixel_weight < math.inf and 0 < self.feature_weight < math.inf):
            raise ValueError(
                f"expected finite weights, pixel_weight >= 0 and feature_weight > 0, got {self.pixel_weight} and "
                f"{self.feature_weight}; leave the extractor out to compare pixels alone"
            )
        if self.pixel_weight == 0 and self.extractor is None:
            raise ValueError("expected pixel_weight > 0 where there is no extractor, got 0; nothing would be compared")

    @checked(any_value=("x", "mask"))
    def prepare(self, x: Shaped[Tensor, "n *s"], mask: Shaped[Tensor, "..."] | None = None) -> Target:
        """Work out once what `residuals` needs of the data.

        Args:
            x: Data, or their measurements A(x) where there is an operator; anything, NaN too, where hidden.
            mask: 1 where an element is measured, 0 where it is hidden: `(n, *s)`, or `(*s,)` for all data alike, or what
                broadcasts to these.

        Raises:
            ValueError: The data are no batch of floating-point numbers or not finite where measured, or the mask has another
                shape, other values, or hides all of a datum.
        """
        if x.ndim < 2 or len(x) == 0 or not x.is_floating_point():
            raise ValueError(
                f"expected floating-point data of shape (n, ...), n >= 1, got {x.dtype} of shape {tuple(x.shape)}; "
                "scale images to [-1, 1], and add a batch axis with x[None]"
            )
        full_mask = _full_mask(x, mask)
        target = torch.where(full_mask.bool(), x, 0.0)
        _refuse(~target.isfinite(), "finite data where they are measured, got NaN or infinity", "mask or drop them")
        features = x.new_zeros(len(x), 0) if self.extractor is None else self._features_of(self.extractor, target)
        size = features.shape[1] + (x[0].numel() if self.pixel_weight > 0 else 0)
        count = full_mask.sum(tuple(range(1, x.ndim)))
        return Target(target, full_mask, (self.pixel_weight * size / count) ** self._power, features)

    def measured(self, x_hat: Float[Tensor, "n *s"]) -> Float[Tensor, "n *t"]:
        """A(x_hat), or the data themselves without an operator."""
        return x_hat if self.operator is None else self.operator(x_hat)

    @checked(differentiable=True, any_value=("x_hat",))
    def residuals(self, x_hat: Float[Tensor, "n *s"], target: Target) -> Float[Tensor, "n m"]:
        """r of the module's theory; differentiable in x_hat, in forward and in reverse mode, and under `torch.func.vmap`.

        Args:
            x_hat: What the generator makes, before the measurement.
            target: `prepare` of as many data.

        Raises:
            ValueError: The measurement of x_hat has another shape than that of the data.
        """
        made = self.measured(x_hat)
        if made.shape != target.x.shape:
            raise ValueError(
                f"expected data of shape {tuple(made.shape)} as the generator makes and the operator measures them, got "
                f"{tuple(target.x.shape)}; with an operator, x is the measurement A(x) itself"
            )
        parts = []
        if self.pixel_weight > 0:
            parts.append(((made - target.x) * target.mask).flatten(1) * target.scale[:, None])
        if self.extractor is not None:
            features = features_of(self.extractor(made * target.mask)).flatten(1)
            size = features.shape[1] + sum(part.shape[1] for part in parts)
            parts.append((features - target.features) * (self.feature_weight * size / features.shape[1]) ** self._power)
        return torch.cat(parts, 1)

    @checked(differentiable=True, any_value=("residuals",))
    def loss(self, residuals: Float[Tensor, "n m"]) -> Float[Tensor, "n"]:
        """Mean of the squares or of the absolute values."""
        return (residuals.square() if self.norm == "l2" else residuals.abs()).mean(1)

    @property
    def _power(self) -> float:
        """Power of a weight that residuals carry, so that the loss carries its first."""
        return 0.5 if self.norm == "l2" else 1.0

    @staticmethod
    def _features_of(extractor: FeatureExtractor, x: Tensor) -> Tensor:
        with evaluated(extractor) as (extractor,), torch.no_grad():
            return in_batches(lambda part: features_of(extractor(part)).flatten(1), x, size=_ROWS)


def _full_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mask of all data as numbers of their kind; without memory where there is none."""
    if mask is None:
        return x.new_ones(()).expand_as(x)
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError("expected a mask of 0 (hidden) and 1 (measured), got other values; round it")
    try:
        full_mask = mask.to(x).broadcast_to(x.shape)
    except RuntimeError:
        raise ValueError(
            f"expected a mask of shape {tuple(x.shape)} or {tuple(x.shape[1:])}, got {tuple(mask.shape)}"
        ) from None
    _refuse(
        ~full_mask.bool().flatten(1).any(1, keepdim=True), "a mask that shows part of each datum, got only 0", "drop them"
    )
    return full_mask


def _refuse(broken: Tensor, expected: str, way_out: str) -> None:
    items = broken.flatten(1).any(1).nonzero().flatten().tolist()
    if items:
        raise ValueError(f"expected {expected} in items {items[:8]}; {way_out}")
