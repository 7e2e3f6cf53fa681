"""Fully connected layers with leaky rectifiers between: classifiers of codes, and all networks for data of few numbers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Perceptron"]

_LEAST = 1e-10
"""Variance of inputs that counts as none: codes that are hardly used may still tell."""


class Perceptron(nn.Module):
    """Vectors `(n, inputs)` to vectors `(n, outputs)`.

    Args:
        inputs: Length of what comes in.
        outputs: Length of what goes out, without a rectifier.
        hidden: Units of each hidden layer; none makes a linear map.
        slope: Of the rectifiers below 0.
        normalised: Whether the inputs are brought to mean 0 and deviation 1 by batch statistics first, so that the least
            coordinate counts as much as the largest.

    Raises:
        ValueError: A size is below 1.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: Sequence[int] = (256,), slope: float = 0.0, *, normalised: bool = False
    ) -> None:
        super().__init__()
        sizes = [inputs, *hidden, outputs]
        if min(sizes) < 1:
            raise ValueError(f"expected sizes of at least 1, got {sizes}")
        self.arguments: dict[str, Any] = {
            "inputs": inputs, "outputs": outputs, "hidden": list(hidden), "slope": slope, "normalised": normalised
        }  # fmt: skip
        layers: list[nn.Module] = [nn.BatchNorm1d(inputs, eps=_LEAST, affine=False)] if normalised else []
        for before, after in pairwise(sizes[:-1]):
            layers += [nn.Linear(before, after), nn.LeakyReLU(slope)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-2], outputs))

    def forward(self, x: Float[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        return self.layers(x)
