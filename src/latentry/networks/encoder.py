r"""Encoders: data to codes, for images, signals and vectors.

A generator that ends in a tanh or a sigmoid says much in what the eye takes for flat black: a pixel of -0.9999 and one of
-0.999999 came from different codes. Encoders therefore see data twice, as they are and stretched by the inverse of such an
end,

.. math:: s(x) = \tanh^{-1}\left(\frac{2 x - high - low}{high - low}\right),

with the ends of the range, and mean and deviation of both views, taken once from a sample of the data. On the shipped
digits, where three pixels of four lie within 0.001 of an end, the linear regression of the codes on s(x), from 8000 pairs,
leaves 0.76 of their variance unexplained, that on x 0.94.

Images and signals are halved by strided convolutions, as by the discriminator of Radford et al. (2016), until a side has 4
to 6 places; vectors go through a perceptron. A linear map of vectors stands beside it, so that a linear generator is
inverted by a linear encoder.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.networks.halving import halvings

__all__ = ["ConvolutionalEncoder", "VectorEncoder"]

_COARSEST = 6
"""Sides of up to so many places are not halved again."""
_WIDEST = 8
"""Widths double with every halving, up to this multiple of the first."""
_CLOSEST = 1e-6
"""How near to an end of the range, relative to half of it, stretching goes at most: what float32 can tell apart."""
_LEAST_SPREAD = 1e-6
"""Below this standard deviation an input is taken as constant."""


class _TwoViews(nn.Module):
    """Data, and data stretched at the ends of their range, both standardised by channel."""

    low: Tensor
    high: Tensor
    closest: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, data_shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(-1.0))
        self.register_buffer("high", torch.tensor(1.0))
        self.register_buffer("closest", torch.tensor(_CLOSEST))
        ones = torch.ones(2 * data_shape[0], *(1 for _ in data_shape[1:]))
        self.register_buffer("mean", torch.zeros_like(ones))
        self.register_buffer("scale", ones)

    def calibrate(self, x: Tensor, noise: float) -> None:
        self.low.copy_(x.min())
        self.high.copy_(x.max())
        self.closest.copy_((noise / self._half(x)).clamp(_CLOSEST, 0.5))
        views = self._views(x).transpose(0, 1).flatten(1)
        self.mean.copy_(views.mean(1).view_as(self.mean))
        spread = views.std(1)
        self.scale.copy_(spread.where(spread > _LEAST_SPREAD, 1.0).view_as(self.scale))

    def forward(self, x: Tensor) -> Tensor:
        return (self._views(x) - self.mean) / self.scale

    def _views(self, x: Tensor) -> Tensor:
        position = (x - (self.high + self.low) / 2) / self._half(x)
        return torch.cat([x, torch.atanh(torch.clamp(position, self.closest - 1, 1 - self.closest))], 1)

    def _half(self, x: Tensor) -> Tensor:
        return ((self.high - self.low) / 2).clamp(min=torch.finfo(x.dtype).tiny)


class ConvolutionalEncoder(nn.Module):
    """Images `(n, c, h, w)` or signals `(n, c, length)` to codes `(n, latent_dim)`.

    Args:
        latent_dim: Length of a code.
        data_shape: `(c, h, w)` or `(c, length)`, of any sides.
        width: Channels of the first hidden layer; they double with every halving, up to eightfold.

    Raises:
        ValueError: A number is below 1, or the shape is neither that of images nor of signals.
    """

    def __init__(self, latent_dim: int, data_shape: Sequence[int], width: int = 32) -> None:
        super().__init__()
        _check_sizes(latent_dim, data_shape, width)
        if len(data_shape) not in (2, 3):
            raise ValueError(
                f"expected the shape (c, h, w) of images or (c, length) of signals, got {tuple(data_shape)}; "
                "flatten other data"
            )
        self.arguments: dict[str, Any] = {"latent_dim": latent_dim, "data_shape": list(data_shape), "width": width}
        channels, *sides = data_shape
        kernels: list[tuple[int, ...]] = []
        while min(sides) > _COARSEST:
            kernels.append(tuple(4 - side % 2 for side in sides))
            sides = [(side + 1) // 2 for side in sides]
        if not kernels:  # too small to halve
            kernels = [tuple(4 - side % 2 for side in sides)]
            sides = [(side + 1) // 2 for side in sides]
        widths = [2 * channels, *(width * min(2**depth, _WIDEST) for depth in range(len(kernels)))]
        self.views = _TwoViews(data_shape)
        self.shrink = nn.Sequential(*halvings(widths, kernels, [True] * len(kernels)), nn.Flatten(1))
        self.code = nn.Linear(widths[-1] * torch.Size(sides).numel(), latent_dim)

    def calibrate(self, x: Float[Tensor, "n *s"], noise: float = 0.0) -> None:
        """Take range, mean and deviation of the inputs from a sample of the data; stretch nothing finer than `noise`."""
        self.views.calibrate(x, noise)

    def forward(self, x: Float[Tensor, "n *s"]) -> Float[Tensor, "n d"]:
        return self.code(self.shrink(self.views(x)))


class VectorEncoder(nn.Module):
    """Vectors `(n, m)` to codes `(n, latent_dim)`: a linear map, and a perceptron of two hidden layers beside it.

    Args:
        latent_dim: Length of a code.
        data_shape: `(m,)`.
        width: The hidden layers have eight times as many units.

    Raises:
        ValueError: A number is below 1, or the shape is not that of vectors.
    """

    def __init__(self, latent_dim: int, data_shape: Sequence[int], width: int = 32) -> None:
        super().__init__()
        _check_sizes(latent_dim, data_shape, width)
        if len(data_shape) != 1:
            raise ValueError(f"expected the shape (m,) of vectors, got {tuple(data_shape)}; flatten the data")
        self.arguments: dict[str, Any] = {"latent_dim": latent_dim, "data_shape": list(data_shape), "width": width}
        inputs, hidden = 2 * data_shape[0], _WIDEST * width
        self.views = _TwoViews(data_shape)
        self.straight = nn.Linear(inputs, latent_dim)
        last = nn.Linear(hidden, latent_dim)
        nn.init.zeros_(last.weight)  # it begins as a linear map
        self.bent = nn.Sequential(
            nn.Linear(inputs, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(),
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(),
            last,
        )

    def calibrate(self, x: Float[Tensor, "n m"], noise: float = 0.0) -> None:
        """Take range, mean and deviation of the inputs from a sample of the data; stretch nothing finer than `noise`."""
        self.views.calibrate(x, noise)

    def forward(self, x: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        views = self.views(x)
        return self.straight(views) + self.bent(views)


def _check_sizes(latent_dim: int, data_shape: Sequence[int], width: int) -> None:
    for name, value in (("latent_dim", latent_dim), ("width", width)):
        if value < 1:
            raise ValueError(f"expected {name} >= 1, got {value}")
    if not data_shape or min(data_shape) < 1:
        raise ValueError(f"expected a data shape of numbers >= 1, got {tuple(data_shape)}")
