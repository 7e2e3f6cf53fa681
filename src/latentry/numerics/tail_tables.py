r"""Distributions of test statistics as tables that are accurate in both tails and fast for many values.

A p-value is wanted to a *relative* accuracy in both tails: small ones are multiplied by the number of tests, and those near
1 say that a sample is too regular. So what is tabulated is neither F nor 1 - F but

.. math:: \ell(t) = \log \frac{1 - F(e^t)}{F(e^t)}, \qquad 1 - F = \frac{1}{1 + e^{-\ell}}, \quad F = \frac{1}{1 + e^{\ell}},

on an even grid of t, with cubic splines between: an error of :math:`\epsilon` in :math:`\ell` is a relative error of at most
:math:`\epsilon` in either tail. Beyond the table the value at its end stands.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

__all__ = ["LogSpline", "TailTable", "log_spline", "tail_table"]


@dataclass(frozen=True)
class LogSpline:
    """A function of log x between even nodes; constant beyond them, below 0 too, and NaN at NaN."""

    start: float
    """First node."""
    step: float
    """Distance of the nodes."""
    coefficients: Float[Tensor, "4 m"]
    """Cubic pieces between the nodes, highest power first."""

    def __call__(self, x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        pieces = self.coefficients.shape[1]
        place = ((x.clamp(min=0).log() - self.start) / self.step).clamp(0, pieces)
        piece = place.nan_to_num().long().clamp(max=pieces - 1)
        rest = (place - piece) * self.step
        a, b, c, d = self.coefficients[:, piece]
        return ((a * rest + b) * rest + c) * rest + d


@dataclass(frozen=True)
class TailTable:
    """The distribution of a positive statistic."""

    log_odds: LogSpline
    """log((1 - F(x)) / F(x))."""

    def sf(self, x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """1 - F(x)."""
        return self.log_odds(x).sigmoid()

    def cdf(self, x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """F(x)."""
        return (-self.log_odds(x)).sigmoid()


def log_spline(log_x: np.ndarray, values: np.ndarray) -> LogSpline:
    """The cubic spline through `values` at the even nodes `log_x`."""
    coefficients = torch.as_tensor(CubicSpline(log_x, values).c, dtype=torch.float64)
    return LogSpline(float(log_x[0]), float(log_x[1] - log_x[0]), coefficients)


def tail_table(log_x: np.ndarray, sf: np.ndarray, cdf: np.ndarray) -> TailTable:
    """The table of a distribution from both its tails at the even nodes `log_x`.

    Raises:
        ValueError: 1 - F does not fall from node to node.
    """
    log_odds = np.log(sf) - np.log(cdf)
    if not (np.diff(log_odds) < 0).all():
        raise ValueError("expected 1 - F to fall from node to node, got a rise; leave out nodes where a tail is inaccurate")
    return TailTable(log_spline(log_x, log_odds))
