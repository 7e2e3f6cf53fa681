"""Generator and discriminator of Cho (2020), for images of 28 or 32 pixels.

The generator projects a code to a quarter of the side and doubles it twice by repeating pixels, each time followed by three
3 x 3 convolutions while the channels halve; the discriminator is its mirror, with means over squares. Every hidden layer is
normalised within its image and channel (instance normalisation), so that no row of a batch knows another.

Reference: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020, from the authors' public code.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Cho2020Discriminator", "Cho2020Generator"]

_SIZES = (28, 32)
_DOUBLINGS, _CONVOLUTIONS = 2, 3


class Cho2020Generator(nn.Module):
    """Codes `(n, latent_dim)` to images `(n, channels, image_size, image_size)` in [-1, 1].

    Args:
        latent_dim: Length of a code.
        image_size: 28 or 32.
        channels: 1 for grey, 3 for colour.
        width: Channels of the finest layers; the paper has 128, and four times as many at the start.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, latent_dim: int, image_size: int = 28, channels: int = 1, width: int = 128) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"expected latent_dim >= 1, got {latent_dim}")
        _check(image_size, channels, width)
        self.arguments: dict[str, Any] = {
            "latent_dim": latent_dim, "image_size": image_size, "channels": channels, "width": width
        }  # fmt: skip
        wide, side = width * 2**_DOUBLINGS, image_size // 2**_DOUBLINGS
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, wide * side**2),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (wide, side, side)),
            nn.InstanceNorm2d(wide),
        ]
        for depth in range(_DOUBLINGS):
            before = wide // 2**depth
            layers += [nn.Upsample(scale_factor=2, mode="nearest"), *_convolutions(before, before // 2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 1), nn.Tanh())

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        return self.layers(z)


class Cho2020Discriminator(nn.Module):
    """Images `(n, channels, image_size, image_size)` to one score each, `(n,)`, higher for real.

    Args:
        image_size: 28 or 32.
        channels: 1 for grey, 3 for colour.
        width: Channels of the finest layers.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, image_size: int = 28, channels: int = 1, width: int = 128) -> None:
        super().__init__()
        _check(image_size, channels, width)
        self.arguments: dict[str, Any] = {"image_size": image_size, "channels": channels, "width": width}
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2), nn.InstanceNorm2d(width)]
        for depth in range(_DOUBLINGS):
            before = width * 2**depth
            layers += [nn.AvgPool2d(2), *_convolutions(before, 2 * before)]
        side = image_size // 2**_DOUBLINGS
        self.layers = nn.Sequential(*layers, nn.Flatten(1), nn.Linear(width * 2**_DOUBLINGS * side**2, 1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        return self.layers(x).squeeze(1)


def _convolutions(before: int, after: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index in range(_CONVOLUTIONS):
        layers += [
            nn.Conv2d(before if index == 0 else after, after, 3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.InstanceNorm2d(after),
        ]
    return layers


def _check(image_size: int, channels: int, width: int) -> None:
    if image_size not in _SIZES:
        raise ValueError(f"expected an image size among {_SIZES}, got {image_size}; resize the data to one of them")
    if channels not in (1, 3) or width < 1:
        raise ValueError(f"expected 1 (grey) or 3 (colour) channels and width >= 1, got {channels} and {width}")
