r"""Regularizers: losses R(z) that keep codes near the prior during recovery.

Recovery minimises dif(x, G(z)) + w R(z) for each code z. A regularizer is any callable `(z, prior) -> (n,)`. Those of this
module are frozen dataclasses, so that they can be compared, printed and saved.

- `L2` is the mean square of the elements; for a normal prior this is its negative log density, up to scale and a constant.
  It is smallest at zero, but no sample of a prior of many dimensions is near zero. `AbsoluteValue` is alike.
- `StatisticalDistance` (Cho, 2020) takes the d elements of one code as a sample and measures its distance to the
  distribution of one coordinate of the prior. It is small for codes that look like samples of the prior.
- `ComponentDistance` is the same for labelled priors. It measures the standard scores :math:`(z - \mu_y) / \sigma_y`, which
  are independent N(0, 1) for codes of label y.

For radial priors, whose coordinates are not independent, the distance is measured in normal coordinates (`to_normal`).

Every value is finite for finite codes, also far in a tail or outside the support, and its gradient leads back.

Reference: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.interfaces import Prior
from latentry.numerics.cdf_distances import anderson_darling_distance, cramer_von_mises_distance
from latentry.numerics.distances import (
    QuantileCells,
    energy_distance,
    quantile_cells,
    wasserstein2_distance,
    wasserstein_distance,
)
from latentry.numerics.inputs import check_fields, checked
from latentry.numerics.univariate import UnivariateDistribution
from latentry.priors.adapters import as_prior
from latentry.priors.univariate import NormalDistribution

__all__ = ["AbsoluteValue", "ComponentDistance", "Distance", "L2", "Regularizer", "StatisticalDistance", "WeightedSum"]

Regularizer = Callable[[Tensor, Any], Tensor]
"""`(z, prior)` to one loss per code, `(n, d)` to `(n,)`."""

Distance = Literal["wasserstein", "wasserstein2", "energy", "cramer-von-mises", "anderson-darling"]


@dataclass(frozen=True)
class L2:
    """Mean square of a code's elements, whatever the prior.

    Example:
        >>> import torch, latentry as lt
        >>> lt.regularizers.L2()(torch.tensor([[1.0, 3.0]]), lt.priors.Normal(2))
        tensor([5.])
    """

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior) -> Float[Tensor, "n"]:
        return z.square().mean(-1)


@dataclass(frozen=True)
class AbsoluteValue:
    """Mean absolute value of a code's elements, whatever the prior.

    Reference: Cho (2020), among the losses compared.

    Example:
        >>> import torch, latentry as lt
        >>> lt.regularizers.AbsoluteValue()(torch.tensor([[1.0, -3.0]]), lt.priors.Normal(2))
        tensor([2.])
    """

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior) -> Float[Tensor, "n"]:
        return z.abs().mean(-1)


@dataclass(frozen=True)
class StatisticalDistance:
    """Distance between a code's own elements and the distribution of one coordinate of the prior, in closed form.

    Reference: Cho (2020), the latent regulation loss; formulas in `latentry.numerics.distances` and, for the last two, in
    `latentry.numerics.cdf_distances`.

    Raises:
        ValueError: There is no such distance, or the prior has neither independent nor normal coordinates.

    Example:
        >>> import torch, latentry as lt
        >>> distance, prior = lt.regularizers.StatisticalDistance("wasserstein"), lt.priors.Normal(64)
        >>> near, far = distance(torch.stack([torch.randn(64), torch.zeros(64)]), prior)
        >>> bool(near < far)
        True
    """

    distance: Distance = "wasserstein"
    """`wasserstein` (W1), `wasserstein2` (W2), `energy`, `cramer-von-mises` or `anderson-darling`."""

    def __post_init__(self) -> None:
        check_fields(self)
        _check_distance(self.distance)

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior) -> Float[Tensor, "n"]:
        return _distance(self.distance, *as_prior(prior).iid_coordinates(z))


@dataclass(frozen=True)
class ComponentDistance:
    """Distance between a code's standard scores in one component of a labelled prior and N(0, 1), in closed form.

    The component is that of `label` for all codes, or for each code the most likely one, which is chosen again in each
    call. A regularizer does not know which datum a code belongs to, so it cannot have one label per datum: recover the data
    of each label in a separate call, with that `label`.

    Raises:
        ValueError: There is no such distance or label, or the prior has no labels.

    Example:
        >>> import torch, latentry as lt
        >>> prior = lt.priors.NormalMixture(torch.tensor([[0.0], [3.0]]).expand(2, 64), torch.ones(2, 64))
        >>> penalty, z = lt.regularizers.ComponentDistance(label=1), prior.sample((), torch.tensor([1]))
        >>> bool(penalty(z, prior) < penalty(z + 9, prior))
        True
    """

    label: int | None = None
    """The label of all codes; None takes the most likely one of each code."""
    distance: Distance = "wasserstein"
    """As in `StatisticalDistance`."""

    def __post_init__(self) -> None:
        check_fields(self)
        _check_distance(self.distance)

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Any) -> Float[Tensor, "n"]:
        if not hasattr(prior, "label_log_probs"):
            raise ValueError(
                f"expected a labelled prior (NormalMixture), got {type(prior).__name__}; "
                "without labels take StatisticalDistance"
            )
        if self.label is None:
            y = prior.label_log_probs(z.detach()).argmax(-1)
        else:
            y = torch.full(z.shape[:-1], self.label, device=prior.loc.device)
        component = prior(y)
        return _distance(self.distance, (z - component.mean.to(z)) / component.stddev.to(z), NormalDistribution())


@dataclass(frozen=True)
class WeightedSum:
    """Several regularizers at once, as in `WeightedSum(((L2(), 0.1), (StatisticalDistance(), 1.0)))`.

    Example:
        >>> import torch, latentry as lt
        >>> both = lt.regularizers.WeightedSum(((lt.regularizers.L2(), 2.0), (lt.regularizers.AbsoluteValue(), 1.0)))
        >>> both(torch.tensor([[1.0, 3.0]]), lt.priors.Normal(2))
        tensor([12.])
    """

    terms: tuple[tuple[Regularizer, float], ...]
    """Each regularizer with its weight; one at least."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.terms or not all(callable(part) and math.isfinite(weight) for part, weight in self.terms):
            raise ValueError(f"expected pairs of a regularizer and its finite weight, one at least, got {self.terms}")

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior) -> Float[Tensor, "n"]:
        return torch.stack([weight * regularizer(z, prior) for regularizer, weight in self.terms]).sum(0)


def _check_distance(distance: str) -> None:
    if distance not in get_args(Distance):
        raise ValueError(f"expected a distance among {get_args(Distance)}, got {distance!r}")


def _distance(distance: Distance, z: Float[Tensor, "n d"], distribution: UnivariateDistribution) -> Float[Tensor, "n"]:
    """The distance of this name between the elements of each code and the distribution."""
    if distance == "energy":
        return energy_distance(z, distribution)
    if distance == "cramer-von-mises":
        return cramer_von_mises_distance(z, distribution)
    if distance == "anderson-darling":
        return anderson_darling_distance(z, distribution)
    cells = _cells(distribution, z.shape[-1], z.dtype, z.device)
    if distance == "wasserstein2":
        return wasserstein2_distance(z, cells)
    return wasserstein_distance(z, distribution, cells)


@lru_cache(maxsize=32)
def _cells(distribution: UnivariateDistribution, d: int, dtype: torch.dtype, device: torch.device) -> QuantileCells:
    """Quantile cells, cached since they are the same at every step."""
    return quantile_cells(distribution, d, torch.empty(0, dtype=dtype, device=device))
