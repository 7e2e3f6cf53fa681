r"""Increasing bijections of the line, one for each coordinate: rational-quadratic splines with linear tails.

Between knots :math:`(x_k, y_k)` and :math:`(x_{k+1}, y_{k+1})` with slopes :math:`\delta_k, \delta_{k+1}`, secant
:math:`s = (y_{k+1} - y_k) / (x_{k+1} - x_k)` and :math:`\xi = (x - x_k) / (x_{k+1} - x_k)` it is

.. math:: y = y_k + (y_{k+1} - y_k) \frac{s \xi^2 + \delta_k \xi (1 - \xi)}
                                     {s + (\delta_{k+1} + \delta_k - 2 s) \xi (1 - \xi)},

which increases and has a continuous slope for any slopes above 0 at the knots. Its inverse is the root of a quadratic
equation. Before the first knot and after the last it is a straight line with the slope there, so that it reaches every
number.

References: Gregory and Delbourgo, "Piecewise rational quadratic interpolation to monotonic data", 1982; Durkan, Bekasov,
Murray, Papamakarios, "Neural spline flows", 2019.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["MonotoneSpline", "inner_slopes"]


@dataclass(frozen=True)
class MonotoneSpline:
    """One spline for each of d coordinates, through as many knots each.

    Example:
        >>> knots = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64)
        >>> spline = MonotoneSpline(knots, 2 * knots, torch.full_like(knots, 2.0))
        >>> value, slope = spline(torch.tensor([[-1.0], [0.5]], dtype=torch.float64))
        >>> value.flatten().tolist(), slope.flatten().tolist()
        ([-2.0, 1.0], [2.0, 2.0])
        >>> spline.inverse(value).flatten().tolist()
        [-1.0, 0.5]
    """

    x: Float[Tensor, "d k"]
    """Places of the knots, increasing."""
    y: Float[Tensor, "d k"]
    """Values there, increasing."""
    slopes: Float[Tensor, "d k"]
    """Slopes there, above 0."""

    def to(self, like: Tensor) -> "MonotoneSpline":
        """The same in the dtype and on the device of `like`."""
        return MonotoneSpline(self.x.to(like), self.y.to(like), self.slopes.to(like))

    def __call__(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Values and slopes."""
        x0, x1, y0, y1, d0, d1 = self._piece(self.x, x)
        s = (y1 - y0) / (x1 - x0)
        low, high = self.x[:, 0], self.x[:, -1]
        place = (torch.minimum(torch.maximum(x, low), high) - x0) / (x1 - x0)
        rest = place * (1 - place)
        below = s + (d1 + d0 - 2 * s) * rest
        inner = y0 + (y1 - y0) * (s * place.square() + d0 * rest) / below
        slope = s.square() * (d1 * place.square() + 2 * s * rest + d0 * (1 - place).square()) / below.square()
        before, after = x < low, x > high
        value = torch.where(before, self.y[:, 0] + self.slopes[:, 0] * (x - low), inner)
        value = torch.where(after, self.y[:, -1] + self.slopes[:, -1] * (x - high), value)
        return value, torch.where(before, self.slopes[:, 0], torch.where(after, self.slopes[:, -1], slope))

    def inverse(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Where the values are y."""
        x0, x1, y0, y1, d0, d1 = self._piece(self.y, y)
        s = (y1 - y0) / (x1 - x0)
        low, high = self.y[:, 0], self.y[:, -1]
        above = torch.minimum(torch.maximum(y, low), high) - y0
        bend = above * (d1 + d0 - 2 * s)
        a, b, c = (y1 - y0) * (s - d0) + bend, (y1 - y0) * d0 - bend, -s * above
        root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
        inner = x0 + (x1 - x0) * 2 * c / (-b - root)
        found = torch.where(y < low, self.x[:, 0] + (y - low) / self.slopes[:, 0], inner)
        return torch.where(y > high, self.x[:, -1] + (y - high) / self.slopes[:, -1], found)

    def _piece(self, knots: Float[Tensor, "d k"], at: Float[Tensor, "n d"]) -> tuple[Tensor, ...]:
        """Both ends of the piece that each number lies in: places, values and slopes."""
        cell: Int[Tensor, "d n"] = torch.searchsorted(knots, at.detach().mT.contiguous(), right=True) - 1
        cell = cell.clamp(0, knots.shape[1] - 2)
        ends = [values.gather(1, cell + side).mT for values in (self.x, self.y, self.slopes) for side in (0, 1)]
        return tuple(ends)


def inner_slopes(x: Float[Tensor, "d k"], y: Float[Tensor, "d k"]) -> Float[Tensor, "d k"]:
    """Slopes at knots: the geometric mean of the two secants at each inner one, and the secant at each end.

    Example:
        >>> inner_slopes(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.0, 1.0, 5.0]]))
        tensor([[1., 2., 4.]])
    """
    secants = y.diff(dim=1) / x.diff(dim=1)
    return torch.cat([secants[:, :1], (secants[:, 1:] * secants[:, :-1]).sqrt(), secants[:, -1:]], 1)
