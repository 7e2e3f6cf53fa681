"""Strided convolutions that halve images or signals: the first layers of encoders and discriminators."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

__all__ = ["halvings"]

_SLOPE = 0.2
"""Slope of the leaky rectifier below 0."""


def halvings(widths: Sequence[int], kernels: Sequence[tuple[int, ...]], normalised: Sequence[bool]) -> list[nn.Module]:
    """Convolutions of stride 2, each with batch normalisation if requested and a leaky rectifier.

    Args:
        widths: Channels before the first convolution and after each.
        kernels: Kernel of each convolution along each axis, one axis for signals and two for images. With padding 1 a
            kernel of 4 halves an even side, a kernel of 3 takes an odd one to the half rounded up.
        normalised: Whether each convolution is followed by batch normalisation, whose mean takes a bias out again.
    """
    layers: list[nn.Module] = []
    for (narrow, wide), kernel, norm in zip(pairwise(widths), kernels, normalised, strict=True):
        if len(kernel) == 1:
            layers.append(nn.Conv1d(narrow, wide, kernel[0], stride=2, padding=1, bias=not norm))
            normalisation: nn.Module = nn.BatchNorm1d(wide)
        else:
            layers.append(nn.Conv2d(narrow, wide, (kernel[0], kernel[1]), stride=2, padding=1, bias=not norm))
            normalisation = nn.BatchNorm2d(wide)
        layers += [normalisation, nn.LeakyReLU(_SLOPE)] if norm else [nn.LeakyReLU(_SLOPE)]
    return layers
