r"""Functions of distributions near the edges of their support, elementwise and with gradients.

Outside the support the density is 0; outside [0, 1] there is no quantile; of NaN everything is NaN. Where the logarithm of a
probability is :math:`-\infty` its slope is taken as 0, so that no gradient turns into NaN.

For the normal distribution, with :math:`\operatorname{erfcx}(x) = e^{x^2} \operatorname{erfc}(x)`,

.. math:: \log \Phi(x) = \log \tfrac12 \operatorname{erfcx}(-x / \sqrt 2) - x^2 / 2 \quad (x < -1),

whose two terms have slopes that keep their digits however far out; that of `torch.special.log_ndtr` does not, beyond 1e4
deviations in single precision.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["log_density_on", "log_normal_cdf", "log_of_probability", "quantile_within"]


def log_density_on(
    low: int | float, high: int | float, value: Float[Tensor, "*s"], log_density: Float[Tensor, "*s"]
) -> Float[Tensor, "*s"]:
    """A log density on the support [low, high]: -inf outside, and NaN for NaN.

    Example:
        >>> log_density_on(0.0, 1.0, torch.tensor([0.5, 2.0]), torch.tensor([0.1, 0.1]))
        tensor([0.1000,   -inf])
    """
    inside = (value >= low) & (value <= high) & value.isfinite()
    return torch.where(inside, log_density, torch.where(value.isnan(), value, -math.inf))


def quantile_within(
    low: int | float, high: int | float, u: Float[Tensor, "*s"], quantile: Float[Tensor, "*s"]
) -> Float[Tensor, "*s"]:
    """Quantiles of the probabilities u: the ends of the support at 0 and 1, and NaN outside [0, 1].

    Example:
        >>> u = torch.tensor([0.0, 0.5, 2.0])
        >>> quantile_within(0.0, 4.0, u, 4 * u)
        tensor([0., 2., nan])
    """
    inside = torch.where(u <= 0, low, torch.where(u >= 1, high, quantile.clamp(low, high)))
    return torch.where((u >= 0) & (u <= 1), inside, math.nan)


def log_of_probability(p: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """log p for p >= 0, with a slope of 0 where it is -inf.

    Example:
        >>> log_of_probability(torch.tensor([0.0, 1.0]))
        tensor([-inf, 0.])
    """
    return torch.where(p <= 0, -math.inf, torch.where(p <= 0, 1, p).log())


def log_normal_cdf(x: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """log Phi(x), and its slope, accurate at any distance.

    Example:
        >>> log_normal_cdf(torch.tensor([-40.0, 0.0]))
        tensor([-8.0461e+02, -6.9315e-01])
    """
    far, near = x.clamp(max=-1), x.clamp(min=-1)
    below = (torch.special.erfcx(-far / math.sqrt(2)) / 2).log() - far.square() / 2
    above = torch.log1p(-torch.special.erfc(near / math.sqrt(2)) / 2)
    return torch.where(x < -1, torch.where(x == -math.inf, x, below), above)
