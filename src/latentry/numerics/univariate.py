r"""The protocol of a distribution of one coordinate: what distances and tests need of it.

Let :math:`X` have continuous distribution function :math:`F` and write

.. math:: M(x) = E[X \, 1\{X \le x\}] = \int_{-\infty}^{x} t \, dF(t)

for its partial mean. Then everything else follows without sampling, because every integral that a transport or energy
distance needs is one of

.. math::
    E|x - X| &= x (2 F(x) - 1) - 2 M(x) + E X \\
    \int_{F(a)}^{F(b)} F^{-1}(u) \, du &= M(b) - M(a).
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

__all__ = ["UnivariateDistribution"]


@runtime_checkable
class UnivariateDistribution(Protocol):
    """A continuous distribution on the line, elementwise on tensors of any shape and defined on the whole line."""

    def __hash__(self) -> int:
        """Equal distributions have equal hashes, so that what is worked out for one can be kept."""

    @property
    def mean(self) -> float:
        """E X."""

    @property
    def variance(self) -> float:
        """Var X."""

    @property
    def mean_difference(self) -> float:
        """Gini's mean difference E|X - X'| for independent X, X'."""

    def cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """F(x), 0 below the support and 1 above it."""

    def log_cdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """log F(x), accurate far out in the lower tail; -inf below the support."""

    def log_sf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """log(1 - F(x)), accurate far out in the upper tail; -inf above the support."""

    def icdf(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """F^-1(u) for u in [0, 1]; the ends of the support at 0 and 1, infinite where it has none."""

    def partial_mean(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """M(x) = E[X 1{X <= x}]; 0 below the support and E X above it, also at infinity."""
