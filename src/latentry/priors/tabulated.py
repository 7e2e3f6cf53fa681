r"""A distribution of one coordinate given as a table: one probability mass for each of n equal bins of [low, high].

Inside a bin the density is constant, so that everything is exact and piecewise: with masses :math:`p_k`, edges
:math:`e_k` and bin width :math:`w`

.. math::
    F(x) &= \sum_{j < k} p_j + p_k \frac{x - e_k}{w}, & M(x) &= \sum_{j < k} p_j m_j + p_k \frac{x^2 - e_k^2}{2 w}, \\
    h &= -\sum_k p_k \log \frac{p_k}{w}, &
    E|X - X'| &= 2 w \sum_k \left( \frac{a_k + b_k}{2} - \frac{a_k^2 + a_k b_k + b_k^2}{3} \right)

for x in bin k, with bin centres :math:`m_k`, :math:`a_k = F(e_k)` and :math:`b_k = F(e_{k+1})`. The quantile function is
piecewise linear; a draw is a bin and a place in it (Singh et al., 2019).

Reference: Singh, Turaga, Jayasuriya, Garg, Braun, "Non-parametric priors for generative adversarial networks", 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.edges import log_density_on, log_of_probability, quantile_within
from latentry.priors.iid import IIDPrior
from latentry.priors.numbers import set_location
from latentry.priors.table_files import read_table

__all__ = ["Tabulated", "TabulatedDistribution"]

_SUMS_TO_ONE = 1e-6


@dataclass(frozen=True)
class TabulatedDistribution:
    """The distribution with density `probs[k] / width` in the k-th of n equal bins of [low, high].

    Raises:
        ValueError: A mass is negative or not finite, they do not sum to 1 (within 1e-6), or the ends are no interval.

    Example:
        >>> table = TabulatedDistribution((0.25, 0.5, 0.25), low=-3.0, high=3.0)
        >>> table.mean, table.variance
        (0.0, 2.3333333333333335)
        >>> table.cdf(torch.tensor([-1.0, 0.0]))
        tensor([0.2500, 0.5000])
    """

    probs: tuple[float, ...]
    """One mass for each bin."""
    low: float = -2.0
    """Lower edge of the first bin."""
    high: float = 2.0
    """Upper edge of the last bin."""

    def __post_init__(self) -> None:
        set_location(self, "low", "high")
        if not self.low < self.high:
            raise ValueError(f"expected finite low < high, got {self.low} and {self.high}")
        masses = np.asarray(self.probs, dtype=np.float64)
        if masses.ndim != 1 or not masses.size or not np.isfinite(masses).all() or (masses < 0).any():
            raise ValueError(
                f"expected one finite mass >= 0 for each bin, got shape {masses.shape} with least value "
                f"{masses.min() if masses.size else 'none'}; clip what rounding made negative"
            )
        if abs(masses.sum() - 1) > _SUMS_TO_ONE:
            raise ValueError(
                f"expected masses that sum to 1, got {masses.sum():.6g}; divide them by their sum (a density table becomes "
                "masses that way too)"
            )

    def __repr__(self) -> str:
        return f"TabulatedDistribution({len(self.probs)} bins, low={self.low:g}, high={self.high:g})"

    def __hash__(self) -> int:
        return self._hash

    @property
    def width(self) -> float:
        """Width of a bin."""
        return (self.high - self.low) / len(self.probs)

    @property
    def support(self) -> tuple[float, float]:
        """From the first bin with mass to the last."""
        table = self._table
        return (table.edges[table.first].item(), table.edges[table.last + 1].item())

    @property
    def mean(self) -> float:
        return self._table.moments[-1].item()

    @property
    def variance(self) -> float:
        table = self._table
        return (table.probs @ (table.centres - self.mean).square()).item() + self.width**2 / 12

    @property
    def mean_difference(self) -> float:
        a, b = self._table.below[:-1], self._table.below[1:]
        return 2 * self.width * ((a + b) / 2 - (a * a + a * b + b * b) / 3).sum().item()

    @property
    def entropy(self) -> float:
        p = self._table.probs
        return -torch.special.xlogy(p, p / self.width).sum().item()

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        cell = self._cell(value).clamp(self._table.first, self._table.last)  # the ends of the support belong to it
        # zero times the value: a density without a slope still has a gradient, which is zero
        return log_density_on(*self.support, value, self._table.log_density.to(value)[cell] + 0 * value)

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        cell, place = self._located(value)
        return self._table.below.to(value)[cell] + self._table.probs.to(value)[cell] * place

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        return log_of_probability(self.cdf(value).clamp(max=1))

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        cell, place = self._located(value)
        beyond = self._table.above.to(value)[cell + 1] + self._table.probs.to(value)[cell] * (1 - place)
        return log_of_probability(beyond.clamp(max=1))

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        table = self._table
        below = table.below.to(value)
        first, last = table.first, table.last
        # the first bin at whose upper edge F has reached u; at u = 0 the first with mass, not one before it
        cell = torch.searchsorted(below[1:].contiguous(), value.detach().contiguous()).clamp(first, last)
        mass = table.probs.to(value)[cell]
        place = ((value - below[cell]) / torch.where(mass > 0, mass, 1)).clamp(0, 1)
        return quantile_within(*self.support, value, table.edges.to(value)[cell] + self.width * place)

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        table, inside = self._table, value.clamp(self.low, self.high)
        cell = self._cell(value)
        edge = table.edges.to(value)[cell]
        return table.moments.to(value)[cell] + table.probs.to(value)[cell] * (inside - edge) * (inside + edge) / (
            2 * self.width
        )

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        below = self._table.below[1:-1].to(like)
        u, place = torch.rand((2, *shape), generator=rng, dtype=like.dtype, device=like.device)
        cell = torch.searchsorted(below, u, right=True).clamp(self._table.first, self._table.last)
        return self._table.edges.to(like)[cell] + self.width * place

    def standardized(self) -> "TabulatedDistribution":
        """The same table moved and scaled to mean 0 and variance 1."""
        scale = self.variance**0.5
        return TabulatedDistribution(self.probs, (self.low - self.mean) / scale, (self.high - self.mean) / scale)

    @cached_property
    def _hash(self) -> int:
        return hash((self.probs, self.low, self.high))

    @cached_property
    def _table(self) -> "_Table":
        probs = torch.tensor(self.probs, dtype=torch.float64)
        probs = probs / probs.sum()
        edges = torch.linspace(self.low, self.high, len(probs) + 1, dtype=torch.float64)
        centres = (edges[:-1] + edges[1:]) / 2
        zero = torch.zeros(1, dtype=torch.float64)
        occupied = probs.nonzero().flatten()
        return _Table(
            probs,
            edges,
            centres,
            torch.cat([zero, probs.cumsum(0)]),
            torch.cat([probs.flip(0).cumsum(0).flip(0), zero]),
            torch.cat([zero, (probs * centres).cumsum(0)]),
            (probs / self.width).log(),
            int(occupied[0]),
            int(occupied[-1]),
        )

    def _cell(self, value: Tensor) -> Tensor:
        """The bin of each value, the first or the last for those outside."""
        place = ((value.detach() - self.low) / self.width).nan_to_num()
        return place.floor().clamp(0, len(self.probs) - 1).long()

    def _located(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """The bin of each value and how far it lies into it, in [0, 1]."""
        cell = self._cell(value)
        place = ((value - self._table.edges.to(value)[cell]) / self.width).clamp(0, 1)
        return cell, torch.where(value <= self.low, 0, torch.where(value >= self.high, 1, place))


@dataclass(frozen=True)
class _Table:
    """A table and its running sums, in double precision."""

    probs: Float[Tensor, "n"]
    edges: Float[Tensor, "n+1"]
    centres: Float[Tensor, "n"]
    below: Float[Tensor, "n+1"]
    """F at the edges."""
    above: Float[Tensor, "n+1"]
    """1 - F at the edges, summed from above so that it keeps its digits."""
    moments: Float[Tensor, "n+1"]
    """M at the edges."""
    log_density: Float[Tensor, "n"]
    first: int
    """The first bin with mass."""
    last: int
    """The last."""


class Tabulated(IIDPrior):
    """Independent coordinates whose density is a table of equal bins.

    Args:
        latent_dim: Number of coordinates d, at least 1.
        probs: One mass for each bin, summing to 1.
        low: Lower edge of the first bin.
        high: Upper edge of the last bin.
        standardize: Move and scale the table to mean 0 and variance 1.

    Raises:
        ValueError: As in `TabulatedDistribution`, or `latent_dim` is below 1.

    Example:
        >>> prior = Tabulated(2, [0.2, 0.3, 0.5], low=0.0, high=3.0)
        >>> prior.log_prob(torch.tensor([[0.5, 2.5]])).exp()
        tensor([0.1000])
    """

    marginal: TabulatedDistribution

    def __init__(
        self,
        latent_dim: int,
        probs: Sequence[float] | Float[Tensor, "n"],
        low: float = -2.0,
        high: float = 2.0,
        *,
        standardize: bool = False,
    ) -> None:
        try:
            masses = [float(mass) for mass in (probs.tolist() if isinstance(probs, Tensor) else probs)]
        except (TypeError, ValueError):
            raise ValueError(
                f"expected one mass for each bin, a number each, got {type(probs).__name__} with something else in it; "
                "pass a list or a tensor of one axis"
            ) from None
        distribution = TabulatedDistribution(tuple(masses), low, high)
        super().__init__(latent_dim, distribution.standardized() if standardize else distribution)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        latent_dim: int,
        *,
        support: tuple[float, float] | None = None,
        standardize: bool = False,
    ) -> "Tabulated":
        """The prior of a table on disk, see `read_table`.

        Args:
            path: A .npy, .npz, .json or .mat file.
            latent_dim: Number of coordinates.
            support: Ends of the table; by default those that the file names, else (-2, 2), as Singh et al. (2019) have it.
            standardize: Move and scale the table to mean 0 and variance 1.
        """
        probs, found = read_table(path)
        low, high = support or found or (-2.0, 2.0)
        return cls(latent_dim, probs, low, high, standardize=standardize)

    @property
    def probs(self) -> Float[Tensor, "n"]:
        """One mass for each bin, in double precision."""
        return torch.tensor(self.marginal.probs, dtype=torch.float64)

    def arguments(self) -> dict[str, Any]:
        return {
            "latent_dim": self.latent_dim,
            "probs": list(self.marginal.probs),
            "low": self.marginal.low,
            "high": self.marginal.high,
        }

    def extra_repr(self) -> str:
        table = self.marginal
        return f"latent_dim={self.latent_dim}, bins={len(table.probs)}, low={table.low:g}, high={table.high:g}"
