r"""Many p-values at once: Holm's correction, and higher criticism.

*Which of m tests say no?* With the p-values in ascending order Holm's adjusted ones,

.. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) \, p_{(j)}),

keep the chance of any false no below the level at which they are read, however the tests depend on each other.

*Are a few of n independent p-values too small, though no one of them says so alone?* Higher criticism compares the share of
p-values below each threshold with the threshold,

.. math:: HC = \max_{1 \le i \le n / 2} \sqrt{n} \, \frac{i / n - p_{(i)}}{\sqrt{p_{(i)} (1 - p_{(i)})}}.

Its limit distribution is useless at any real n, but its distribution is known: HC stays below h if and only if every
:math:`p_{(i)}` stays above a bound :math:`b_i(h)`, and how many of n uniform values lie below :math:`b_1 \le b_2 \le \dots`
is a Poisson process conditioned on its end. So its p-value is a product of short convolutions, exact.

References: Holm, "A simple sequentially rejective multiple test procedure", 1979; Donoho and Jin, "Higher criticism for
detecting sparse heterogeneous mixtures", 2004; Moscovich and Nadler, "Fast calculation of boundary crossing probabilities
for Poisson processes", 2017.
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

__all__ = ["higher_criticism", "higher_criticism_p_value", "holm"]


def holm(p: Float[Tensor, "m"]) -> Float[Tensor, "m"]:
    """Adjusted p-values, in the order of `p`.

    Reference: Holm (1979).

    Example:
        >>> holm(torch.tensor([0.01, 0.04, 0.5]))
        tensor([0.0300, 0.0800, 0.5000])
    """
    ordered, places = p.sort()
    factors = torch.arange(len(p), 0, -1, dtype=p.dtype, device=p.device)
    adjusted = torch.empty_like(p)
    adjusted[places] = (factors * ordered).clamp(max=1).cummax(0).values
    return adjusted


def higher_criticism(p: Float[Tensor, "n"]) -> float:
    """HC of p-values; those below 1e-100 count as that, so that it is finite.

    Reference: Donoho and Jin (2004), eq. 1.4, with half of the p-values.

    Example:
        >>> p = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
        >>> higher_criticism(p) < 1, higher_criticism(p**3) > 5
        (True, True)
    """
    n = len(p)
    ordered = p.double().sort().values[: _counted(n)].clamp(1e-100, 1 - 1e-16)
    shares = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / n
    return (n**0.5 * (shares - ordered) / (ordered * (1 - ordered)).sqrt()).max().item()


def higher_criticism_p_value(statistic: float, n: int) -> float:
    """Probability that n independent uniform p-values have an HC at least this large; exact.

    Below 1e-7 the union bound over i is returned instead, which is tight there.

    Example:
        >>> higher_criticism_p_value(10.0, 256) < 0.05
        True
    """
    if statistic <= 0:
        return 1.0
    index = np.arange(1, _counted(n) + 1)
    share, c = index / n, statistic**2 / n
    bounds = 2 * share**2 / (2 * share + c + np.sqrt(c**2 + 4 * c * share * (1 - share)))
    union = float(special.betainc(index, n - index + 1, bounds).sum())
    return union if union < 1e-7 else float(np.clip(1 - _all_above(bounds, n), 0, min(1, union)))


def _counted(n: int) -> int:
    return max(1, n // 2)


def _all_above(bounds: np.ndarray, n: int) -> float:
    """P(U_(i) >= b_i for all i) of n uniform values in ascending order, for ascending bounds."""
    count = np.ones(1)  # weight of 0, 1, ... values so far, as long as there are never too many
    before = 0.0
    for allowed, bound in enumerate(bounds.tolist(), start=1):
        mean = n * (bound - before)
        longest = min(allowed, int(mean + 10 * mean**0.5 + 30))
        count = np.convolve(count, _poisson(np.arange(longest), mean))[:allowed]
        before = bound
    rest = _poisson(n - np.arange(len(count)), n * (1 - before))
    return float(count @ rest / _poisson(np.array([n]), float(n))[0])


def _poisson(count: np.ndarray, mean: float) -> np.ndarray:
    """Probability of `count` under a Poisson distribution, faster than scipy's checks of its arguments."""
    return np.exp(special.xlogy(count, mean) - mean - special.gammaln(count + 1))
