r"""Coordinates of any distributions that depend on each other as normal ones do: tabulated marginals with a normal copula.

Each coordinate has an increasing map to its normal score, :math:`s_j = \Phi^{-1}(F_j(z_j))`, as a spline through a table of
quantiles; the scores are jointly normal with correlations R:

.. math:: e = L^{-1} s(z), \qquad R = L L^T .

Beyond the table a score goes on in a straight line. So the density falls there as that of a normal distribution, as wide as
the codes beyond the last knot say; every code has a density above 0 and finite normal coordinates, however far out it is.

*Fitting.* Knots lie at equal steps of the normal score, from 1 % to 99 % of the codes (or with ten codes beyond each end).
The slope of a tail is its maximum likelihood given the codes beyond: with scores :math:`s = c + \delta x` at distance x it
solves :math:`\delta^2 \sum x^2 + \delta c \sum x = m`. Correlations are those of the scores, shrunk as Ledoit and Wolf do.

References: Nelsen, "An introduction to copulas", 2006; Liu, Lafferty, Wasserman, "The nonparanormal", 2009.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.monotone_spline import MonotoneSpline, inner_slopes
from latentry.priors.encoded import double, encoded
from latentry.priors.multivariate_normal import correlation_of
from latentry.priors.pushforward import Pushforward, estimated_moments

__all__ = ["Copula"]

_BEYOND, _CODES_BEYOND, _MOST_BEYOND = 0.01, 10, 0.15
"""Share of codes beyond each end of the table, at least so many codes, and the largest share."""
_LEAST_STEP = 1e-9
"""Between knots, in units of the standard deviation."""
_MOMENTS_OF = 16384


class Copula(Pushforward):
    """Codes with tabulated marginals and normal dependence.

    Args:
        places: Codes at the knots of each coordinate, `(d, k)`, increasing.
        scores: Normal scores there, `(d, k)`, increasing.
        slopes: Slopes there, `(d, k)`, above 0; the first and the last are those of the tails.
        correlation_tril: Lower triangular factor of the correlations of the scores, `(d, d)`; independent by default.

    Raises:
        ValueError: Shapes do not fit each other, or numbers are outside their range.

    Example:
        >>> z = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).exp()
        >>> prior = Copula.fitted(z)
        >>> prior.to_normal(z).std(0).round(decimals=1)
        tensor([1., 1.])
    """

    def __init__(
        self,
        places: Tensor | Sequence[Any] | str,
        scores: Tensor | Sequence[Any] | str,
        slopes: Tensor | Sequence[Any] | str,
        correlation_tril: Tensor | Sequence[Any] | str | None = None,
    ) -> None:
        x, y, steep = double("places", places), double("scores", scores), double("slopes", slopes)
        if x.ndim != 2 or x.shape[1] < 2 or not x.shape == y.shape == steep.shape or x.shape[0] == 0:
            raise ValueError(
                f"expected places, scores and slopes of one shape (d, k), with two knots or more, got {tuple(x.shape)}, "
                f"{tuple(y.shape)} and {tuple(steep.shape)}; take Copula.fitted(codes)"
            )
        if not ((x.diff(dim=1) > 0).all() and (y.diff(dim=1) > 0).all() and (steep > 0).all()):
            raise ValueError(
                "expected increasing places and scores with slopes above 0, got others; take Copula.fitted(codes)"
            )
        d = len(x)
        tril = (
            torch.eye(d, dtype=torch.float64) if correlation_tril is None else double("correlation_tril", correlation_tril)
        )
        if tril.shape != (d, d) or not (tril.diagonal() > 0).all() or tril.triu(1).any():
            raise ValueError(
                f"expected a lower triangular factor ({d}, {d}) with a diagonal above 0, got {tuple(tril.shape)}; take "
                "torch.linalg.cholesky of the correlations"
            )
        super().__init__(d)
        self.spline, self.correlation_tril = MonotoneSpline(x, y, steep), tril

    @classmethod
    def fitted(cls, z: Float[Tensor, "n d"], knots: int | None = None) -> "Copula":
        """The copula prior of codes; the number of knots by default from how many there are.

        Raises:
            ValueError: There are fewer than 20 codes, or a coordinate is constant.
        """
        z = z.detach().cpu().double()
        n, deviation = len(z), z.std(0, correction=0)
        if n < 20 or not (deviation > 0).all():
            raise ValueError(f"expected at least 20 codes whose coordinates vary, got {n}; drop constant coordinates")
        knots = min(40, max(6, round(2 * n ** (1 / 3)))) if knots is None else knots
        share = min(_MOST_BEYOND, max(_BEYOND, _CODES_BEYOND / n))
        level = torch.special.ndtri(torch.tensor(1 - share, dtype=torch.float64))
        y = torch.linspace(-1, 1, knots, dtype=torch.float64) * level
        x = _increasing(z.quantile(torch.special.ndtr(y), 0).mT, _LEAST_STEP * deviation[:, None])
        y = y.expand_as(x).contiguous()
        slopes = inner_slopes(x, y)
        slopes[:, 0] = _tail_slope(x[:, 0] - z, y[:, 0].neg())
        slopes[:, -1] = _tail_slope(z - x[:, -1], y[:, -1])
        scores = MonotoneSpline(x, y, slopes)(z)[0]
        scores = scores - scores.mean(0)
        return cls(x, y, slopes, torch.linalg.cholesky(correlation_of(scores / scores.std(0, correction=0))))

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        table = {"places": self.spline.x, "scores": self.spline.y, "slopes": self.spline.slopes}
        return {
            name: encoded({"value": value}) for name, value in {**table, "correlation_tril": self.correlation_tril}.items()
        }

    def moments(self) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        """From draws, always the same."""
        return estimated_moments(lambda n, rng: self.drawn(n, rng, self.spline.x[0, :0]), _MOMENTS_OF)

    def _normalized(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        scores, slopes = self.spline.to(z)(z)
        tril = self.correlation_tril.to(z)
        e = torch.linalg.solve_triangular(tril, scores.mT, upper=False).mT
        return e, slopes.log().sum(1) - tril.diagonal().log().sum()

    def _pushed(self, e: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return self.spline.to(e).inverse(e @ self.correlation_tril.to(e).mT)

    def extra_repr(self) -> str:
        return f"latent_dim={self.latent_dim}, knots={self.spline.x.shape[1]}"


def _increasing(x: Float[Tensor, "d k"], step: Float[Tensor, "d 1"]) -> Float[Tensor, "d k"]:
    """The places, each at least a step beyond the one before it."""
    steps = step * torch.arange(x.shape[1], dtype=x.dtype)
    return (x - steps).cummax(1).values + steps


def _tail_slope(distance: Float[Tensor, "n d"], edge: Float[Tensor, "d"]) -> Float[Tensor, "d"]:
    """The most likely slope of a tail that starts at the score `edge`, of the codes beyond, whose distance is above 0."""
    beyond = distance > 0
    x = distance.clamp(min=0)
    count, first, second = beyond.sum(0).clamp(min=1), edge * x.sum(0), x.square().sum(0)
    # a quadratic equation, solved where it keeps its digits
    slope = 2 * count / (first + (first.square() + 4 * count * second).sqrt())
    return torch.where(second > 0, slope, 1 / distance.abs().amin(0).clamp(min=1e-12)).clamp(1e-12, 1e12)
