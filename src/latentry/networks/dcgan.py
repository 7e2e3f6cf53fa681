r"""Deep convolutional generator and discriminator for images of 28, 32, 64 or 128 pixels, grey or colour.

The generator projects a code to a grid of 4 x 4 and doubles it with 4 x 4 transposed convolutions; the discriminator is its
mirror. Widths double with every halving of the side: with `width=64` and 64 pixels they are 512, 256, 128, 64. At 28 pixels
the grid goes 4, 7, 14, 28, by a 3 x 3 convolution first: a coarse grid is where the parts of a digit agree on which it is.

Reference: Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional generative adversarial
networks", 2016.
"""

from itertools import pairwise
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from latentry.networks.halving import halvings

__all__ = ["IMAGE_SIZES", "DCGANDiscriminator", "DCGANGenerator"]

IMAGE_SIZES = (28, 32, 64, 128)


GRID = 4
"""Side of the coarsest grid."""


def _kernels(image_size: int) -> list[int]:
    """Kernel sizes of the doublings from the coarsest grid to `image_size`: 4 doubles a side, 3 takes 4 to 7."""
    if image_size not in IMAGE_SIZES:
        raise ValueError(f"expected an image size among {IMAGE_SIZES}, got {image_size}; resize the data to one of them")
    doublings = (image_size - 1).bit_length() - GRID.bit_length() + 1
    return [3 if image_size == 28 else 4, *[4] * (doublings - 1)]


def _check_widths(channels: int, width: int) -> None:
    if channels not in (1, 3):
        raise ValueError(f"expected 1 (grey) or 3 (colour) channels, got {channels}")
    if width < 1:
        raise ValueError(f"expected width >= 1, got {width}")


class DCGANGenerator(nn.Module):
    """Codes `(n, latent_dim)` to images `(n, channels, image_size, image_size)` in [-1, 1].

    Args:
        latent_dim: Length of a code.
        image_size: 28, 32, 64 or 128.
        channels: 1 for grey, 3 for colour.
        width: Channels of the last hidden layer.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, latent_dim: int, image_size: int = 28, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"expected latent_dim >= 1, got {latent_dim}")
        _check_widths(channels, width)
        *kernels, last_kernel = _kernels(image_size)
        self.arguments: dict[str, Any] = {
            "latent_dim": latent_dim, "image_size": image_size, "channels": channels, "width": width
        }  # fmt: skip
        widths = [width * 2**k for k in reversed(range(len(kernels) + 1))]

        self.project = nn.Sequential(
            nn.Linear(latent_dim, widths[0] * GRID**2, bias=False),
            nn.Unflatten(1, (widths[0], GRID, GRID)),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        for (wide, narrow), kernel in zip(pairwise(widths), kernels, strict=True):
            blocks += [
                nn.ConvTranspose2d(wide, narrow, kernel, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            ]
        self.grow = nn.Sequential(*blocks)
        self.paint = nn.Sequential(nn.ConvTranspose2d(widths[-1], channels, last_kernel, stride=2, padding=1), nn.Tanh())
        self.apply(_initialise)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        if z.shape[-1] != self.arguments["latent_dim"]:
            raise ValueError(f"expected codes of length {self.arguments['latent_dim']}, got {z.shape[-1]}")
        return self.paint(self.grow(self.project(z)))


class DCGANDiscriminator(nn.Module):
    """Images `(n, channels, image_size, image_size)` to one score each, `(n,)`, higher for real.

    Args:
        image_size: 28, 32, 64 or 128.
        channels: 1 for grey, 3 for colour.
        width: Channels of the first hidden layer.
        norm: Batch normalisation, spectral normalisation (Miyato et al., 2018) or none (with R1).

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        width: int = 64,
        norm: Literal["batch", "spectral", "none"] = "none",
    ) -> None:
        super().__init__()
        _check_widths(channels, width)
        kernels = _kernels(image_size)[::-1]
        self.arguments: dict[str, Any] = {
            "image_size": image_size, "channels": channels, "width": width, "norm": norm
        }  # fmt: skip
        widths = [channels, *(width * 2**k for k in range(len(kernels)))]

        normalised = [norm == "batch" and depth > 0 for depth in range(len(kernels))]  # every layer but the first
        self.shrink = nn.Sequential(*halvings(widths, [(kernel, kernel) for kernel in kernels], normalised), nn.Flatten(1))
        self.score = nn.Linear(widths[-1] * GRID**2, 1)
        self.apply(_initialise)
        if norm == "spectral":
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    spectral_norm(layer)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        return self.score(self.shrink(x)).squeeze(1)


def _initialise(layer: nn.Module) -> None:
    """Weights N(0, 0.02^2), the initialisation of Radford et al. (2016)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
