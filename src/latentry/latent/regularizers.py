r"""What keeps a code near its prior while it is being recovered.

Recovery minimises, for each code, dif(x, G(z)) + w R(z). A regularizer is any callable `(z, prior) -> (n,)`; the ones here
are small frozen settings, so that they can be compared, printed and saved.

For a prior whose coordinates are not independent but which a bijection makes normal (radial priors), the distance is taken
of the code's normal coordinates.

The usual R is the mean square of the elements (for a normal prior: its negative log density), which is least at zero, where
no sample of the prior ever is. Cho (2020) takes the distance between a code's own elements and the law of one coordinate:
it has no wish to shrink, only to look like a sample.

Reference: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.interfaces import SampledPrior
from latentry.numerics.distances import (
    QuantileCells,
    energy_distance,
    quantile_cells,
    wasserstein2_distance,
    wasserstein_distance,
)
from latentry.numerics.law import Law
from latentry.priors.coordinates import iid_coordinates

__all__ = ["L2", "Distance", "Regularizer", "StatisticalDistance"]

Regularizer = Callable[[Tensor, Any], Tensor]
"""`(z, prior)` to one loss per code, `(n, d)` to `(n,)`."""

Distance = Literal["wasserstein", "wasserstein2", "energy"]


@dataclass(frozen=True)
class L2:
    """Mean square of a code's elements, whatever the prior."""

    def __call__(self, z: Float[Tensor, "n d"], prior: SampledPrior) -> Float[Tensor, "n"]:
        return z.square().mean(-1)


@dataclass(frozen=True)
class StatisticalDistance:
    """Distance between a code's own elements and the law of one coordinate of the prior, in closed form.

    Reference: Cho (2020), the latent regulation loss; formulas in `latentry.numerics.distances`.

    Raises:
        ValueError: There is no such distance, or the prior has neither independent nor normal coordinates.
    """

    distance: Distance = "wasserstein"
    """`wasserstein` (W1), `wasserstein2` (W2) or `energy`."""

    def __post_init__(self) -> None:
        if self.distance not in get_args(Distance):
            raise ValueError(f"expected a distance among {get_args(Distance)}, got {self.distance!r}")

    def __call__(self, z: Float[Tensor, "n d"], prior: SampledPrior) -> Float[Tensor, "n"]:
        z, law = iid_coordinates(z, prior)
        if self.distance == "energy":
            return energy_distance(z, law)
        cells = _cells(law, z.shape[-1], z.dtype, z.device)
        if self.distance == "wasserstein2":
            return wasserstein2_distance(z, cells)
        return wasserstein_distance(z, law, cells)


@lru_cache(maxsize=32)
def _cells(law: Law, d: int, dtype: torch.dtype, device: torch.device) -> QuantileCells:
    """The cells of a law are the same at every step."""
    return quantile_cells(law, d, torch.empty(0, dtype=dtype, device=device))
