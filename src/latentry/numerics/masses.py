r"""Masses (probabilities of the bins of a grid) as a function of free parameters, so that constraints hold by construction.

For free parameters x, and the value :math:`s_i` of a statistic in each bin i, the masses are

.. math:: p_i = x_i^2 \, e^{a + \kappa s_i}.

Here :math:`a` is such that :math:`\sum p_i = 1`. If a statistic is fixed, :math:`\kappa` is such that
:math:`\sum p_i s_i = 1`; otherwise :math:`\kappa = 0`. So every x gives masses that meet the constraints, and a search over
x is unconstrained. Each of the two sums is a rising function of a or :math:`\kappa`, and Newton's method solves for both.

- With squares, a step in x has the same length in the Fisher metric of p. So large and small masses change at the same
  rate, and a mass becomes 0 at a finite x.
- With a largest mass u of a bin (the cap), it is :math:`u (1 - e^{-w_i / u})` instead of
  :math:`w_i = x_i^2 e^{a + \kappa s_i}`. Both are nearly the same for small :math:`w_i`.
- Scaling x changes nothing. Symmetric grids have one parameter for each bin and its mirror image.

The code calls :math:`e^{a + \kappa s_i}` the *tilt*. A *pullback* maps a gradient with respect to the masses to one with
respect to x.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["Masses", "largest_expectation", "roughness"]

_NEWTON_STEPS = 100
_LONGEST_RISE = 5.0
"""Largest increase of an exponent in one step of Newton's method."""
_EXACT = 1e-13
_LEAST = 1e-300


class Masses:
    """Masses of n bins from free parameters x, one for each allowed bin (or pair of mirrored ones).

    Args:
        allowed: Bins that may hold mass.
        symmetric: Whether a bin and its mirror image hold the same; `allowed` and `fixed_statistic` must be symmetric then.
        cap: Largest mass of a bin.
        fixed_statistic: A statistic s whose expectation is to be 1; some distribution below the cap must have it.
    """

    def __init__(
        self,
        allowed: Bool[Tensor, "n"],
        *,
        symmetric: bool = False,
        cap: float = math.inf,
        fixed_statistic: Float[Tensor, "n"] | None = None,
    ) -> None:
        self._bins = len(allowed)
        number = torch.arange(self._bins)
        first = number <= self._bins - 1 - number if symmetric else torch.ones_like(allowed)
        self._places = (allowed & first).nonzero().flatten()
        self._mirrors = self._bins - 1 - self._places if symmetric else self._places
        self._count = 1 + (self._mirrors != self._places).double()
        self._cap = cap if cap < 1 else math.inf
        self._fixed = None if fixed_statistic is None else fixed_statistic[self._places]
        self._kappa = 0.0
        self.price = 0.0
        """Multiplier of the fixed statistic in the last pullback: derivative of the function in the fixed expectation."""

    def __len__(self) -> int:
        return len(self._places)

    def free(self, p: Float[Tensor, "n"]) -> Float[Tensor, "h"]:
        """Parameters x of the masses p, or of masses near p that meet the cap and the fixed statistic."""
        mean = (p[self._places] + p[self._mirrors]) / 2
        self._kappa = 0.0
        if self._cap < math.inf:
            mean = -self._cap * torch.log1p(-(mean / self._cap).clamp(max=0.95))
        return mean.sqrt()

    def __call__(self, x: Float[Tensor, "h"]) -> Float[Tensor, "n"]:
        """The masses at x."""
        return self.with_pullback(x)[0]

    def with_pullback(self, x: Float[Tensor, "h"]) -> tuple[Float[Tensor, "n"], Callable[[Tensor], Tensor]]:
        """The masses at x, and the pullback: a gradient in the masses to the gradient in x."""
        tilt, p = self._tilt_and_masses(x.square())
        masses = p.new_zeros(self._bins)
        masses[self._places] = p
        masses[self._mirrors] = p
        return masses, partial(self._pulled_back, x, tilt)

    def _pulled_back(self, x: Tensor, tilt: Tensor, gradient: Tensor) -> Tensor:
        g = (gradient[self._places] + gradient[self._mirrors]) / 2
        slope = self._count * tilt * (-x.square() * tilt / self._cap).exp()
        d = slope * x.square()
        # the part of the gradient that changes neither the sum nor the statistic: its residual in a regression on 1 and s
        total = d.sum().clamp(min=_LEAST)
        residual = g - (d @ g) / total
        if self._fixed is not None:
            s = self._fixed - (d @ self._fixed) / total
            self.price = float((d * s) @ residual / ((d * s) @ s).clamp(min=_LEAST))
            residual = residual - self.price * s
        return 2 * slope * residual * x

    def _tilt_and_masses(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """e^(a + kappa s) and p, by Newton's method on the logarithm of the fixed expectation, within an interval that is
        bisected."""
        if self._fixed is None:
            return self._normalized(square, torch.ones_like(square))[:2]
        kappa, low, high = self._kappa, -math.inf, math.inf
        longest = _LONGEST_RISE / float(self._fixed.max())
        for _ in range(_NEWTON_STEPS):
            tilt, p, d = self._normalized(square, (kappa * self._fixed).exp())
            value = float((p * self._count) @ self._fixed)
            if abs(value - 1) < _EXACT:
                break
            low, high = (kappa, high) if value < 1 else (low, kappa)
            d = d * self._count
            share = d / d.sum().clamp(min=_LEAST)
            slope = float(d @ (self._fixed - share @ self._fixed).square())
            step = -value * math.log(max(value, _LEAST)) / max(slope, _LEAST)
            if high == math.inf:
                step = min(step, longest)
            if abs(step) <= _EXACT * abs(kappa) / 100:
                break
            # Newton's step, or the midpoint of the bracket if the step leaves it
            inside = low < kappa + step < high or low + high in (math.inf, -math.inf)
            kappa = kappa + step if inside else (low + high) / 2
        self._kappa = kappa
        return tilt, p

    def _normalized(self, square: Tensor, tilt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The tilt, scaled so that the masses sum to 1; the masses; and their derivatives in log w."""
        total = ((square * tilt) @ self._count).clamp(min=_LEAST)
        tilt = tilt / total
        w = square * tilt
        if self._cap == math.inf:
            return tilt, w, w
        # the sum is a concave function of the scale and below 1 at first, so Newton's method approaches the root from below
        for _ in range(_NEWTON_STEPS):
            p, d = -self._cap * torch.expm1(-w / self._cap), w * (-w / self._cap).exp()
            gap = 1 - float(p @ self._count)
            if gap < _EXACT:
                break
            scale = 1 + gap / max(float(d @ self._count), _LEAST)
            w, tilt = w * scale, tilt * scale
        return tilt, p, d


def largest_expectation(s: Float[Tensor, "n"], cap: Float[Tensor, "n"]) -> float:
    """The largest expectation of s for masses up to their caps: bins of large s are filled first.

    Args:
        s: The statistic.
        cap: Largest masses; they must sum to 1 or more.
    """
    order = s.argsort(descending=True)
    filled = cap[order].clamp(max=1).cumsum(0).clamp(max=1)
    masses = filled.diff(prepend=filled.new_zeros(1))
    return float(masses @ s[order])


def roughness(p: Float[Tensor, "n"]) -> tuple[float, Float[Tensor, "n"]]:
    """Sum of squared second differences over the sum of squared masses, in [0, 16], and its gradient.

    Example:
        >>> roughness(torch.full((8,), 0.125))
        (0.0, tensor([0., 0., 0., 0., 0., 0., 0., 0.]))
    """
    second = p.diff(n=2)
    size = float(p @ p)
    value = float(second @ second) / size
    back = torch.zeros_like(p)
    back[:-2] += second
    back[1:-1] -= 2 * second
    back[2:] += second
    return value, 2 * (back - value * p) / size
