r"""Corruptions of images: noise, dead pixels, occlusion, blur.

A corruption is a small frozen setting, and a callable `(x, rng)` from images to corrupted images: what a method of denoising
is tried on, and what a denoising encoder is trained with (`latentry.latent.inverse.fit_inverse`). Images stay as they are;
nothing is clipped or rounded, so that normal noise is normal and a blur is linear. With x in [low, high]:

- normal noise adds :math:`\sigma \epsilon` to each element, so that its squared error is :math:`\sigma^2`;
- salt and pepper sets a share of the pixels to an end of the range, each end as often as the other, in all channels at once;
- an occlusion lays a square of one value over a place that is drawn anew for each image, all places alike;
- a blur takes normal weights around each element, with no noise at all: what it loses is lost to rounding only.

Reference: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", 2019;
Gonzalez and Woods, "Digital image processing", 2018, ch. 5 (models of noise).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentry.latent.measurements import Blur

__all__ = ["Blurring", "Corruption", "NormalNoise", "Occlusion", "OneOf", "SaltAndPepper"]


Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""`(x, rng)` to corrupted images of the same shape; row i is of image i."""


@dataclass(frozen=True)
class NormalNoise:
    """Independent normal noise on each element.

    Raises:
        ValueError: `sigma` is below 0 or not finite.
    """

    sigma: float
    """Standard deviation, in the images' units."""

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < math.inf:
            raise ValueError(f"expected a finite sigma >= 0, got {self.sigma}")

    def __call__(self, x: Float[Tensor, "n *s"], rng: torch.Generator) -> Float[Tensor, "n *s"]:
        return x + self.sigma * torch.randn(x.shape, generator=rng, device=rng.device).to(x)


@dataclass(frozen=True)
class SaltAndPepper:
    """A share of the pixels set to an end of the range.

    Raises:
        ValueError: The share is outside [0, 1], or the range is empty.
    """

    share: float
    """Chance of a pixel to be lost; half of the lost ones go to either end."""
    low: float = -1.0
    """Value of pepper."""
    high: float = 1.0
    """Value of salt."""

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and self.low < self.high):
            raise ValueError(f"expected a share in [0, 1] and low < high, got {self.share}, {self.low} and {self.high}")

    def __call__(self, x: Float[Tensor, "n c h w"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        luck = torch.rand(len(x), 1, *x.shape[2:], generator=rng, device=rng.device).to(x.device)
        ends = torch.where(luck < self.share / 2, self.low, self.high).to(x)
        return torch.where(luck < self.share, ends, x)


@dataclass(frozen=True)
class Occlusion:
    """A square of one value over a random place of each image.

    Raises:
        ValueError: The side is below 1 or, when called, larger than that of the images, or the value is not finite.
    """

    side: int
    """Side of the square, in elements."""
    value: float = -1.0
    """What the square shows: -1 is the background of drawings on black, where an occlusion looks the same."""

    def __post_init__(self) -> None:
        if self.side < 1 or not math.isfinite(self.value):
            raise ValueError(f"expected side >= 1 and a finite value, got {self.side} and {self.value}")

    def __call__(self, x: Float[Tensor, "n c h w"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        return x.masked_fill(self.hidden(x, rng), self.value)

    def hidden(self, x: Float[Tensor, "n c h w"], rng: torch.Generator) -> Bool[Tensor, "n 1 h w"]:
        """Where the square lies, by the same draws as those of a call."""
        if self.side > min(x.shape[-2:]):
            raise ValueError(
                f"expected images of sides {self.side} at least, got {tuple(x.shape[-2:])}; take a smaller square"
            )
        within = []
        for length in x.shape[-2:]:
            start = torch.randint(length - self.side + 1, (len(x), 1), generator=rng, device=rng.device)
            place = torch.arange(length, device=rng.device)
            within.append(((place >= start) & (place < start + self.side)).to(x.device))
        return within[0][:, None, :, None] & within[1][:, None, None, :]


@dataclass(frozen=True)
class Blurring:
    """A normal blur, the same for all images: `latentry.latent.measurements.Blur` as a corruption."""

    operator: Blur
    """The blur, also as a recovery that knows it takes it (`Difference.operator`)."""

    def __call__(self, x: Float[Tensor, "n c h w"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        return self.operator(x)


@dataclass(frozen=True)
class OneOf:
    """For each image one of several corruptions, all as likely as each other.

    Raises:
        ValueError: There are none.
    """

    corruptions: tuple[Corruption, ...]
    """What there is to draw from."""

    def __post_init__(self) -> None:
        if not self.corruptions:
            raise ValueError("expected at least one corruption, got none")

    def __call__(self, x: Float[Tensor, "n *s"], rng: torch.Generator) -> Float[Tensor, "n *s"]:
        which = torch.randint(len(self.corruptions), (len(x),), generator=rng, device=rng.device).to(x.device)
        corrupted = x.clone()
        for index, corruption in enumerate(self.corruptions):
            chosen = which == index
            if chosen.any():
                corrupted[chosen] = corruption(x[chosen], rng)
        return corrupted
