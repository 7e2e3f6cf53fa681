"""Two small image classifiers of different architecture: one to guide methods, one to evaluate them."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["PlainClassifier", "ResidualClassifier"]


def _convolution(narrow: int, wide: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU())


class PlainClassifier(nn.Module):
    """Three pairs of 3 x 3 convolutions with max pooling between, then one linear layer.

    Args:
        num_classes: Number of classes.
        channels: 1 for grey, 3 for colour.
        width: Channels of the first pair; the next two have twice as many.
    """

    def __init__(self, num_classes: int, channels: int = 1, width: int = 24) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"num_classes": num_classes, "channels": channels, "width": width}
        self.body = nn.Sequential(
            _convolution(channels, width),
            _convolution(width, width),
            nn.MaxPool2d(2),
            _convolution(width, 2 * width),
            _convolution(2 * width, 2 * width),
            nn.MaxPool2d(2),
            _convolution(2 * width, 2 * width),
            nn.AdaptiveMaxPool2d(3),
            nn.Flatten(1),
        )
        self.head = nn.Linear(18 * width, num_classes)

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """What the last layer sees, `(n, 18 width)`."""
        return self.body(x)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits `(n, num_classes)` of images in [-1, 1]."""
        return self.head(self.features(x))


class _Residual(nn.Module):
    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(narrow),
            nn.SiLU(),
            nn.Conv2d(narrow, wide, 5, stride=stride, padding=2, bias=False),
            nn.BatchNorm2d(wide),
            nn.SiLU(),
            nn.Conv2d(wide, wide, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(narrow, wide, 1, bias=False))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h2 w2"]:
        return self.shortcut(x) + self.branch(x)


class ResidualClassifier(nn.Module):
    """Three residual blocks of a 5 x 5 and a 3 x 3 convolution with strides, global mean pooling, one linear layer.

    Args:
        num_classes: Number of classes.
        channels: 1 for grey, 3 for colour.
        width: Channels of the first block; the next two have twice and three times as many.
    """

    def __init__(self, num_classes: int, channels: int = 1, width: int = 16) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"num_classes": num_classes, "channels": channels, "width": width}
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            _Residual(width, width, 2),
            _Residual(width, 2 * width, 2),
            _Residual(2 * width, 3 * width, 1),
            nn.BatchNorm2d(3 * width),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
        )
        self.head = nn.Linear(3 * width, num_classes)

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """What the last layer sees, `(n, 3 width)`."""
        return self.body(x)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits `(n, num_classes)` of images in [-1, 1]."""
        return self.head(self.features(x))
