r"""Codes in the coordinates of their prior: :math:`u_{ij} = F_j(z_{ij})`, uniform and independent for true samples.

Tails are kept as logarithms. Codes come rounded to their dtype, and so a draw from U(-1, 1) may sit on -1 itself, where u
is 0: one rounding step is granted, and an element within it counts as half of what lies within. An element further out has
probability 0 under the prior; its u is 0 or 1 and its log tail -inf, which the statistics cut at `LOG_TINY`.

Lengths need a distribution of their own. For N(0, scale^2) coordinates :math:`\|z\|^2 / scale^2` is :math:`\chi^2_d`. For
another distribution of independent coordinates :math:`\|z\|^2` is compared with 32,768 draws made once with a fixed seed. An
average over n codes against a table of m draws has the variance of :math:`1 / n + 1 / m`, so that statistics of squared type
are multiplied by :math:`m / (n + m)`. For labelled priors the length of the normal scores is taken, again :math:`\chi^2_d`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.interfaces import Prior
from latentry.numerics.dependence import normal_scores
from latentry.numerics.univariate import UnivariateDistribution
from latentry.priors.adapters import as_prior
from latentry.priors.univariate import NormalDistribution

__all__ = ["Coordinates", "Lengths", "coordinates", "coordinates_of_prior", "lengths"]

_DRAWS = 32_768


@dataclass(frozen=True)
class Coordinates:
    """Values under their distribution, and the logarithms of both tails.

    Example:
        >>> from latentry.priors import Normal
        >>> coordinates_of_prior(torch.ones(1, 2), Normal(2)).scores.round(decimals=4)
        tensor([[1., 1.]], dtype=torch.float64)
    """

    u: Float[Tensor, "*s"]
    """F(x)."""
    log_cdf: Float[Tensor, "*s"]
    """log F(x); -inf outside the support."""
    log_sf: Float[Tensor, "*s"]
    """log(1 - F(x)); -inf outside the support."""

    @property
    def scores(self) -> Float[Tensor, "*s"]:
        """Phi^-1(F(x))."""
        return normal_scores(self.log_cdf, self.log_sf)

    def cpu(self) -> "Coordinates":
        """The same on the CPU."""
        return Coordinates(self.u.cpu(), self.log_cdf.cpu(), self.log_sf.cpu())

    def flatten(self) -> "Coordinates":
        """All values as one sample."""
        return Coordinates(self.u.flatten(), self.log_cdf.flatten(), self.log_sf.flatten())


def coordinates(z: Float[Tensor, "n d"], distribution: Any) -> Coordinates:
    """Codes under p(z) or p(z | y), in double precision.

    Args:
        z: Codes, in the dtype that they were made in: it says how they are rounded.
        distribution: The distribution of every coordinate, or a distribution with `cdf`, `log_cdf` and `log_sf` per
            coordinate and a `variance`.

    Example:
        >>> coordinates(torch.tensor([[0.0, 1.0]]), NormalDistribution()).u
        tensor([[0.5000, 0.8413]], dtype=torch.float64)
    """
    u = distribution.cdf(z.double())
    return Coordinates(
        u,
        _log_tail(u.log(), u < 0.01, distribution, distribution.log_cdf, z, 1),
        _log_tail((-u).log1p_(), u > 0.99, distribution, distribution.log_sf, z, -1),
    )


def coordinates_of_prior(
    z: Float[Tensor, "n d"],
    prior: Prior,
    y: Int[Tensor, "n"] | None = None,
    *,
    rng: torch.Generator | None = None,
) -> Coordinates:
    """Codes under the distribution that their prior has for each of them.

    Args:
        z: Codes.
        prior: Their prior; a radial one is tested in normal coordinates, a labelled one given the labels.
        y: Labels of the codes; drawn from p(y | z) where they are not given.
        rng: Source of the labels, on the device of the codes.

    Example:
        >>> from latentry.priors import Uniform
        >>> coordinates_of_prior(torch.tensor([[0.0, 0.5]]), Uniform(2)).u
        tensor([[0.5000, 0.7500]], dtype=torch.float64)
    """
    known = as_prior(prior)
    if not known.labelled:
        return coordinates(*known.iid_coordinates(z.cpu()))
    if y is None:
        y = known.sample_labels(z, rng=rng)
    return coordinates(z, known(y)).cpu()


def _log_tail(
    near: Tensor, far: Tensor, distribution: Any, log_tail: Callable[[Tensor], Tensor], z: Tensor, inwards: int
) -> Tensor:
    """The log of a tail: from F where that is exact, which is faster; from the distribution where `far` says so."""
    if not far.any():
        return near
    codes = z.double()
    exact = log_tail(codes[far]) if isinstance(distribution, UnivariateDistribution) else log_tail(codes)[far]
    near[far] = exact
    if exact.min() == -math.inf:
        step = torch.finfo(z.dtype).eps * (codes.abs() + torch.as_tensor(distribution.variance).double().sqrt())
        near = torch.where(near == -math.inf, log_tail(codes + inwards * step) - math.log(2), near)
    return near


@dataclass(frozen=True)
class Lengths:
    """Squared lengths of codes under their distribution.

    Example:
        >>> lengths(torch.ones(3, 4), NormalDistribution()).ratio
        1.0
    """

    under: Coordinates
    """Where each lies in the distribution."""
    weight: float
    """What a squared statistic of them is to be multiplied by: 1 where the distribution is known in closed form."""
    ratio: float
    """Root mean square length over what it should be."""


def lengths(z: Float[Tensor, "n d"], distribution: UnivariateDistribution) -> Lengths:
    """||z||^2 of codes under a prior with independent coordinates of one distribution.

    Example:
        >>> found = lengths(torch.ones(1, 2), NormalDistribution())
        >>> found.under.u, found.weight
        (tensor([0.6321], dtype=torch.float64), 1.0)
    """
    squares = z.double().square().sum(1)
    ratio = (squares.mean() / (z.shape[1] * (distribution.variance + distribution.mean**2))).sqrt().item()
    return Lengths(*_squares_under(distribution, squares, z.shape[1]), ratio)


@singledispatch
def _squares_under(distribution: Any, squares: Float[Tensor, "n"], d: int) -> tuple[Coordinates, float]:
    """Squared lengths under their distribution, with the weight of `Lengths`; for any distribution, among draws."""
    drawn = _squared_lengths(distribution, d)
    rank = torch.searchsorted(drawn, squares)
    u = (rank + 0.5) / (len(drawn) + 1)
    return Coordinates(u, u.log(), torch.log1p(-u)), len(drawn) / (len(squares) + len(drawn))


@_squares_under.register
def _(distribution: NormalDistribution, squares: Float[Tensor, "n"], d: int) -> tuple[Coordinates, float]:
    if distribution.loc != 0:
        return _squares_under.dispatch(object)(distribution, squares, d)
    half = squares / (2 * distribution.scale**2)
    shape = half.new_tensor(d / 2)
    cdf, sf = torch.special.gammainc(shape, half), torch.special.gammaincc(shape, half)
    return Coordinates(cdf, cdf.log(), sf.log()), 1.0


@lru_cache(maxsize=16)
def _squared_lengths(distribution: UnivariateDistribution, d: int) -> Float[Tensor, "m"]:
    """||z||^2 of draws from the distribution, sorted; always the same."""
    rng = torch.Generator().manual_seed(0)
    parts = [
        distribution.icdf(torch.rand(_DRAWS // 16, d, generator=rng, dtype=torch.float64)).square().sum(1) for _ in range(16)
    ]
    return torch.cat(parts).sort().values
