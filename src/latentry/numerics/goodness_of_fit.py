r"""Kolmogorov-Smirnov statistics against a known law, for many samples at once.

For a sample with :math:`u_j = F(x_j)` sorted, the statistic is

.. math:: D = \max_i \max\left( \frac{i}{n} - u_{(i)}, \; u_{(i)} - \frac{i - 1}{n} \right).

Under the law, D does not depend on F. Its exact distribution for n values is scipy's `kstwo` (Simard and L'Ecuyer, 2011).

A p-value near 0 says that the sample is not from the law. A p-value near 1 says that it is *too* regular: codes that sit
on the quantiles of the prior have D near 0, and no sample of that size does. So the other tail counts as well:
:math:`p_\pm = 2 \min(p, 1 - p)`.

References: Kolmogorov, 1933; Simard and L'Ecuyer, "Computing the two-sided Kolmogorov-Smirnov distribution", 2011.
"""

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

__all__ = ["ks_p_value", "ks_quantile", "ks_statistic", "two_sided"]


def ks_statistic(u: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """Kolmogorov-Smirnov distance between each row of u = F(x) and the uniform law on [0, 1]."""
    d = u.shape[-1]
    ordered = u.sort(dim=-1).values
    steps = torch.arange(d + 1, dtype=u.dtype, device=u.device) / d
    return torch.maximum(steps[1:] - ordered, ordered - steps[:-1]).amax(-1)


def ks_p_value(statistic: Float[Tensor, "*n"], size: int) -> Float[Tensor, "*n"]:
    """Probability that a sample of `size` values from the law has a statistic at least this large; exact."""
    return torch.as_tensor(stats.kstwo.sf(statistic.double().cpu().numpy(), size), dtype=torch.float64)


def ks_quantile(probability: float, size: int) -> float:
    """The statistic that a sample of `size` values from the law stays below with this probability."""
    return float(stats.kstwo.ppf(probability, size))


def two_sided(p: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """p-value that is small in both tails: too far from the law, or too close to it."""
    return 2 * torch.minimum(p, 1 - p)
