r"""Networks of Zheng and Sun (2019) for images: encoder, decoder, and a discriminator that is conditioned on labels.

The encoder halves images by 5 x 5 convolutions of stride 2 until a side has 4 places or fewer, then a hidden layer and a
linear one follow; the decoder is its mirror, from a grid of half that side; at 28 pixels these are the paper's for MNIST,
with `width=64`. The discriminator scores an image with a label by projection (Miyato and Koyama, 2018),

.. math:: D(x, y) = b + w \cdot h(x) + e_y \cdot h(x),

with spectral normalisation of every layer, that of the labels included, or without any (for R1). Where several features come
with an image, :math:`e` is the sum of their rows by their levels.

References: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019, from the
authors' public code; Miyato and Koyama, "cGANs with projection discriminator", 2018.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["Zheng2019Decoder", "Zheng2019Discriminator", "Zheng2019Encoder"]

_COARSEST = 4
_WIDEST = 4
_HIDDEN = 16
"""Units of the hidden layers, as a multiple of the width."""
_SLOPE = 0.2


def _sides(image_size: int) -> list[int]:
    """Sides of the grids from the image down to the coarsest."""
    sides = [image_size]
    while sides[-1] > _COARSEST:
        sides.append((sides[-1] + 1) // 2)
    return sides


def _widths(width: int, count: int) -> list[int]:
    return [width * min(2**depth, _WIDEST) for depth in range(count)]


class Zheng2019Encoder(nn.Module):
    """Images `(n, channels, image_size, image_size)` to numbers `(n, outputs)`: a code, or mean and log variance of one.

    Args:
        outputs: Numbers for each image.
        image_size: Side of the images, at least 8.
        channels: 1 for grey, 3 for colour.
        width: Channels of the first layer; the paper has 64.
        standardised: So many outputs, the first ones, are brought to mean 0 and deviation 1 by batch statistics.
        num_classes: Number of labels that come with the images, as maps beside their channels; 0 for none.

    Raises:
        ValueError: An argument is outside its range, or labels are given that were not announced, or the other way round.
    """

    def __init__(
        self,
        outputs: int,
        image_size: int = 28,
        channels: int = 1,
        width: int = 64,
        *,
        standardised: int = 0,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        _check(image_size, channels, outputs=outputs, width=width)
        if not 0 <= standardised <= outputs or num_classes < 0:
            raise ValueError(
                f"expected 0 to {outputs} standardised outputs and num_classes >= 0, got {standardised} and {num_classes}"
            )
        self.arguments: dict[str, Any] = {
            "outputs": outputs, "image_size": image_size, "channels": channels, "width": width,
            "standardised": standardised, "num_classes": num_classes,
        }  # fmt: skip
        sides = _sides(image_size)
        widths = [channels + num_classes, *_widths(width, len(sides) - 1)]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        self.shrink = nn.Sequential(*layers, nn.Flatten(1))
        hidden = _HIDDEN * width
        self.code = nn.Sequential(
            nn.Linear(widths[-1] * sides[-1] ** 2, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, outputs),
        )
        self.standard = nn.BatchNorm1d(standardised, affine=False) if standardised else None

    def forward(self, x: Float[Tensor, "n c h w"], y: Int[Tensor, "n"] | None = None) -> Float[Tensor, "n k"]:
        classes = self.arguments["num_classes"]
        _check_labels(y, classes)
        if y is not None:
            maps = one_hot(y, classes).to(x)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, maps], 1)
        parameters = self.code(self.shrink(x))
        if self.standard is None:
            return parameters
        first = parameters[:, : self.standard.num_features]
        return torch.cat([self.standard(first), parameters[:, self.standard.num_features :]], 1)


class Zheng2019Decoder(nn.Module):
    """Codes `(n, latent_dim)` to images `(n, channels, image_size, image_size)` in [-1, 1].

    Args:
        latent_dim: Length of a code.
        image_size: Side of the images, at least 8.
        channels: 1 for grey, 3 for colour.
        width: A quarter of the channels of the coarsest grid; the paper has 64.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, latent_dim: int, image_size: int = 28, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        _check(image_size, channels, latent_dim=latent_dim, width=width)
        self.arguments: dict[str, Any] = {
            "latent_dim": latent_dim, "image_size": image_size, "channels": channels, "width": width
        }  # fmt: skip
        sides = [(_sides(image_size)[-1] + 1) // 2, *reversed(_sides(image_size))]
        widths = [_WIDEST * width, *reversed(_widths(width, len(sides) - 2))]
        self.project = nn.Sequential(
            nn.Linear(latent_dim, widths[0] * sides[0] ** 2, bias=False),
            nn.BatchNorm1d(widths[0] * sides[0] ** 2),
            nn.ReLU(),
            nn.Unflatten(1, (widths[0], sides[0], sides[0])),
        )
        *doubled, last = [1 - finer % 2 for finer in sides[1:]]
        blocks: list[nn.Module] = []
        for (wide, narrow), even in zip(pairwise(widths), doubled, strict=True):
            blocks += [_doubling(wide, narrow, even, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        self.grow = nn.Sequential(*blocks)
        self.paint = nn.Sequential(_doubling(widths[-1], channels, last, bias=True), nn.Tanh())

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        if z.shape[-1] != self.arguments["latent_dim"]:
            raise ValueError(f"expected codes of length {self.arguments['latent_dim']}, got {z.shape[-1]}")
        return self.paint(self.grow(self.project(z)))


class Zheng2019Discriminator(nn.Module):
    """Images `(n, channels, image_size, image_size)` with labels `(n,)` to one score each, `(n,)`, higher for real.

    In place of labels there may be levels `(n, num_classes)`, of which labels are the rows with a single 1.

    Args:
        num_classes: Number of labels or features; with 0 the score knows no labels.
        image_size: Side of the images, at least 8.
        channels: 1 for grey, 3 for colour.
        width: A quarter of the channels of the coarsest grid; the paper has 64.
        norm: Spectral normalisation (Miyato et al., 2018), or none (with R1).

    Raises:
        ValueError: An argument is outside its range, or labels are given that were not announced, or the other way round.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int = 28,
        channels: int = 1,
        width: int = 64,
        norm: Literal["spectral", "none"] = "spectral",
    ) -> None:
        super().__init__()
        if num_classes < 0:
            raise ValueError(f"expected num_classes >= 0, got {num_classes}")
        _check(image_size, channels, width=width)
        self.arguments: dict[str, Any] = {
            "num_classes": num_classes, "image_size": image_size, "channels": channels, "width": width, "norm": norm
        }  # fmt: skip
        sides = _sides(image_size)
        widths = [max(1, width // 2), *_widths(2 * width, len(sides) - 1)]
        widths = [min(wide, _WIDEST * width) for wide in widths]
        normed: Callable[[nn.Module], nn.Module] = spectral_norm if norm == "spectral" else nn.Identity()
        layers: list[nn.Module] = [normed(nn.Conv2d(channels, widths[0], 5, padding=2)), nn.LeakyReLU(_SLOPE)]
        for narrow, wide in pairwise(widths):
            layers += [normed(nn.Conv2d(narrow, wide, 5, stride=2, padding=2)), nn.LeakyReLU(_SLOPE)]
        hidden = _HIDDEN // 2 * width
        layers += [nn.Flatten(1), normed(nn.Linear(widths[-1] * sides[-1] ** 2, hidden)), nn.LeakyReLU(_SLOPE)]
        self.look = nn.Sequential(*layers)
        self.score = normed(nn.Linear(hidden, 1))
        self.label = None
        if num_classes:
            rows = nn.Embedding(num_classes, hidden)
            if norm == "none":
                nn.init.normal_(rows.weight, std=hidden**-0.5)
            self.label = normed(rows)

    def forward(
        self, x: Float[Tensor, "n c h w"], y: Int[Tensor, "n"] | Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "n"]:
        _check_labels(y, self.arguments["num_classes"])
        h = self.look(x)
        scores = self.score(h)[:, 0]
        if y is None:
            return scores
        of_labels: Any = self.label
        rows = y @ of_labels.weight if y.is_floating_point() else of_labels(y)
        return scores + (rows * h).sum(1)


def _doubling(wide: int, narrow: int, even: int, *, bias: bool) -> nn.ConvTranspose2d:
    """A transposed convolution to twice the side, or to one place less, where the finer side is odd."""
    return nn.ConvTranspose2d(wide, narrow, 5, stride=2, padding=2, output_padding=even, bias=bias)


def _check_labels(y: Tensor | None, num_classes: int) -> None:
    if (y is None) != (num_classes == 0):
        raise ValueError(
            "expected labels with the images where num_classes is above 0, and none where it is 0; got the other"
        )


def _check(image_size: int, channels: int, **sizes: int) -> None:
    if image_size < 2 * _COARSEST:
        raise ValueError(f"expected images of {2 * _COARSEST} pixels a side or more, got {image_size}; resize them")
    if channels not in (1, 3):
        raise ValueError(f"expected 1 (grey) or 3 (colour) channels, got {channels}")
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"expected {name} >= 1, got {value}")
