r"""The density of a weighted sum of two independent draws, and divergences between densities.

Let :math:`Y = a X + b X'` with :math:`|a| \ge |b|` and X, X' of density f and distribution function F. Then

.. math:: q(y) = \frac{1}{|a|} E \, f \!\left( \frac{y - b X'}{a} \right).

*Tables.* If f is constant in bins, with masses :math:`p_i` between edges :math:`e_i` a width w apart, q is a sum of
trapezoids,

.. math:: q(y) = \sum_i \frac{p_i}{|a| w} \left| F\!\left(\frac{y - a e_i}{b}\right) -
    F\!\left(\frac{y - a e_{i+1}}{b}\right) \right|,

and linear between the knots :math:`a e_i + b e_j`. Where a + b = 1 and a m is an integer, cells of w/m end at all of them.
There :math:`\int \log q` and :math:`\int (p - q)_+` are closed forms, cell by cell, and so exact.

*Any other distribution.* X' runs in normal scores, by Gauss's rule between all places where the integrand may jump or peak:
the edges of X', and where the argument of f meets an edge or the median of X. That is exact to better than 1e-6 for
distributions whose edges are known, against adaptive quadrature.

*Isotropic codes* of d elements, with p the density of their norm. Let c be the cosine of two random directions, of density
proportional to :math:`(1 - c^2)^{(d-3)/2}`, and v the logarithm of the quotient of the two parts' lengths. The norm s of the
sum then has, in coordinates with unit Jacobian on the logarithmic scale,

.. math:: q(s) = \frac{1}{a b \, s} \, E_c \int p\!\left(\frac{\alpha}{a}\right) p\!\left(\frac{\beta}{b}\right) \alpha \beta
    \, dv, \qquad \alpha = \frac{s}{\sqrt{1 + e^{2v} + 2 c \, e^v}}, \quad \beta = e^v \alpha,

smooth in v and in the angle however heavy the tails of p, and summed in the log domain. Where p jumps, as that of a table,
it is better to weigh pairs of lengths by the density that they leave to s,

.. math:: q(s) = \frac{\Gamma(d/2)}{\sqrt{\pi} \, \Gamma((d-1)/2)} \, E_{\alpha, \beta} \, (1 - c^2)^{(d-3)/2}
    \frac{s}{\alpha \beta}, \qquad c = \frac{s^2 - \alpha^2 - \beta^2}{2 \alpha \beta},

which in four dimensions or more is smooth in both.

Both divergences are expectations at P: :math:`KL(P || Q) = E_P \log (p / q)` and :math:`TV = E_P (1 - q/p)_+`.

Reference: Singh et al., "Non-parametric priors for generative adversarial networks", 2019 (the density of a mid-point).

One module of more than 350 lines: a density and the two divergences that integrate it share one grid.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.batches import in_batches

__all__ = [
    "WIDEST_SCORE",
    "divergences",
    "end_nodes",
    "isotropic_pair_log_density",
    "pair_log_density",
    "score_nodes",
    "table_divergences",
    "table_pair_cdf",
    "table_pair_density",
    "weighed_pair_log_density",
]

Function = Callable[[Tensor], Tensor]

WIDEST_SCORE = 8.0
"""Quantiles further out than this normal score (probability 6e-16) are left out."""
_INNER_NODES = 48
_PIECE = 2**21
"""Numbers held at once."""
_FINE, _FAR = 40001, 50.0
_LARGEST_DENOMINATOR = 64
_FEWEST_CELLS, _CDF_CELLS = 4096, 8192
_CELLS_OF_A_BIN = 16
_LEAST = 1e-300
"""Stands for 0 where there is a division or a logarithm."""
_FEW = 10
"""Elements of a code below which integrands are less smooth."""
_STEP, _FINE_STEP, _DENSE_NODES = 0.14, 0.05, 60
_FEWEST_ANGLES, _MOST_ANGLES = 48, 1024


def score_nodes(
    breaks: Float[Tensor, "*s k"], count: int = _INNER_NODES
) -> tuple[Float[Tensor, "*s m"], Float[Tensor, "*s m"]]:
    """Normal scores, and the probability that each stands for: Gauss's rule between breaks, each row with its own.

    Args:
        breaks: Scores in any order; those beyond the widest are moved there.
        count: Nodes between two breaks.

    Example:
        >>> scores, chances = score_nodes(torch.tensor([-8.0, 0.0, 8.0], dtype=torch.float64))
        >>> round(chances.sum().item(), 6), round((chances @ scores.square()).item(), 6)
        (1.0, 1.0)
    """
    breaks = breaks.nan_to_num(nan=0.0).clamp(-WIDEST_SCORE, WIDEST_SCORE)
    ends = torch.full((*breaks.shape[:-1], 1), WIDEST_SCORE, dtype=breaks.dtype)
    breaks = torch.cat([-ends, breaks, ends], -1).sort(-1).values
    place, share = _legendre(count)
    length = breaks.diff(dim=-1)[..., None]
    scores = (breaks[..., :-1, None] + length * place).flatten(-2)
    chances = (length * share).flatten(-2) * torch.exp(-0.5 * scores.square()) / math.sqrt(2 * math.pi)
    return scores, chances


def pair_log_density(
    log_prob: Function, cdf: Function, icdf: Function, edges: Sequence[float], a: float, b: float, y: Float[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """Log density at y of a X + b X' for a distribution given by its functions; -inf where there is none.

    Args:
        log_prob, cdf, icdf: Log density, distribution function and quantiles of X, elementwise, in double precision.
        edges: Finite places where the density of X is not smooth, such as the ends of its support.
        a, b: Weights, |a| >= |b| > 0.
        y: Where, in double precision.

    Example:
        >>> from latentry.priors.univariate import NormalDistribution
        >>> p, x = NormalDistribution(), torch.tensor([0.0], dtype=torch.float64)
        >>> pair_log_density(p.log_prob, p.cdf, p.icdf, (), 0.5, 0.5, x).exp().round(decimals=4)
        tensor([0.5642], dtype=torch.float64)
    """
    inner = torch.tensor([*edges, icdf(y.new_tensor(0.5)).item()], dtype=y.dtype)
    fixed = _score(cdf, y.new_tensor([*edges])).expand(len(y), -1)
    moving = _score(cdf, (y[:, None] - a * inner) / b)
    scores, chances = score_nodes(torch.cat([fixed, moving], 1))
    draws = icdf(torch.special.ndtr(scores))
    found = torch.where(chances > 0, log_prob((y[:, None] - b * draws) / a), -math.inf) + chances.log()
    return found.logsumexp(1) - math.log(abs(a))


def isotropic_pair_log_density(
    log_prob: Function, d: int, a: float, b: float, s: Float[Tensor, "n"], span: float
) -> Float[Tensor, "n"]:
    """Log density of the norm s of a Z + b Z', for independent isotropic codes with this log density of their norm.

    Args:
        log_prob: Log density of the norm of one code, elementwise.
        d: Elements of a code, at least 1.
        a, b: Weights, neither zero; their signs do not matter.
        s: Norms above 0, in double precision.
        span: Log of the quotient of the longest and the shortest code that count.
    """
    a, b = abs(a), abs(b)
    cosine, log_chance = (column[:, None] for column in _cosines(d))
    quotient, step = _quotients(span + 1.5 + abs(math.log(b / a)), min(span / 64, _STEP), _FINE_STEP if d < _FEW else _STEP)
    # 1 + e^2v + 2 c e^v = (1 - e^v)^2 + 2 (1 + c) e^v loses no digits where the parts cancel
    log_length = 0.5 * torch.log((1 - quotient.exp()).square() + 2 * (1 + cosine) * quotient.exp() + _LEAST)

    def log_density(log_s: Tensor) -> Tensor:
        first = log_s[:, None, None] - log_length
        second = first + quotient
        found = log_prob(first.exp() / a) + log_prob(second.exp() / b) + first + second + log_chance + step.log()
        return found.flatten(1).logsumexp(1) - log_s - math.log(a * b)

    return in_batches(log_density, s.log(), size=max(1, _PIECE // log_length.numel()))


def weighed_pair_log_density(
    first: Float[Tensor, "m"],
    first_share: Float[Tensor, "m"],
    second: Float[Tensor, "k"],
    second_share: Float[Tensor, "k"],
    d: int,
    s: Float[Tensor, "n"],
) -> Float[Tensor, "n"]:
    """Log density of the norm s of a sum of two independent isotropic codes of d elements.

    Args:
        first, second: Norms of the two codes, above 0; close together against |second| / sqrt(d), and reaching as far as s.
        first_share, second_share: Their probabilities, above 0.
        d: Elements of a code, at least 2.
        s: Norms above 0, in double precision.
    """
    log_weight = (first_share.log()[:, None] + second_share.log() - (first[:, None] * second).log()).flatten()
    squares, product = (first.square()[:, None] + second.square()).flatten(), 2 * (first[:, None] * second).flatten()
    constant = math.lgamma(d / 2) - math.lgamma((d - 1) / 2) - 0.5 * math.log(math.pi)

    def log_density(s: Tensor) -> Tensor:
        cosine = (s[:, None].square() - squares) / product
        inside = torch.where(cosine.abs() < 1, 1 - cosine.square(), 0).clamp(min=_LEAST)
        found = torch.where(cosine.abs() < 1, 0.5 * (d - 3) * inside.log() + log_weight, -math.inf)
        return found.logsumexp(1) + s.log() + constant

    return in_batches(log_density, s, size=max(1, _PIECE // len(product)))


def _quotients(reach: float, step: float, least: float) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
    """Logarithms of the quotient of two lengths, and the step at each: smaller about 0, where sums cancel."""
    dip, width = max(0.0, step - least), _DENSE_NODES
    count = math.ceil((reach + dip * width) / step)
    index = torch.arange(-count, count + 1, dtype=torch.float64)
    # an analytic map of equidistant nodes, so that the trapezoid rule keeps its accuracy
    return step * index - dip * width * (index / width).tanh(), step - dip * (index / width).cosh().square().reciprocal()


def divergences(
    log_p: Float[Tensor, "n"], log_q: Float[Tensor, "n"], scores: Float[Tensor, "n"], chances: Float[Tensor, "n"]
) -> tuple[float, float]:
    """Kullback-Leibler divergence in nats and total variation, from both log densities at the quantiles of P.

    Args:
        log_p, log_q: Log densities at the quantiles of these scores.
        scores, chances: Nodes in increasing order and their probabilities under P, as `score_nodes` gives them.

    Example:
        >>> scores, chances = score_nodes(torch.tensor([-8.0, 0.0, 8.0], dtype=torch.float64))
        >>> log_p = -0.5 * scores.square()
        >>> divergences(log_p, log_p, scores, chances)
        (0.0, 0.0)
    """
    positive = chances > 0
    gap = (log_p - log_q)[positive]
    divergence = max(0.0, (chances[positive] @ gap).item())
    # the positive part has kinks, between which the gap itself is smooth
    from scipy.interpolate import PchipInterpolator

    x, first = np.unique(scores[positive].numpy(), return_index=True)
    fine = torch.linspace(float(x[0]), float(x[-1]), _FINE, dtype=torch.float64)
    between = torch.from_numpy(PchipInterpolator(x, gap.numpy()[first].clip(-_FAR, _FAR))(fine.numpy()))
    weight = torch.softmax(-0.5 * fine.square(), 0)
    return divergence, (weight @ -torch.expm1(-between.clamp(min=0))).item()


def table_pair_density(
    probs: Float[Tensor, "n"], low: float, high: float, a: float, b: float, y: Float[Tensor, "m"]
) -> Float[Tensor, "m"]:
    """Density at y of a X + b X', |a| >= |b| > 0, for X with these masses in equal bins of [low, high]; exact.

    Example:
        >>> table_pair_density(torch.ones(1), -1.0, 1.0, 0.5, 0.5, torch.tensor([0.0, 0.5]))
        tensor([1.0000, 0.5000])
    """
    width = (high - low) / len(probs)
    below = torch.cat([probs.new_zeros(1), probs.cumsum(0)])
    edges = torch.linspace(low, high, len(probs) + 1, dtype=probs.dtype)

    def cdf(value: Tensor) -> Tensor:
        place = ((value - low) / width).clamp(0, len(probs))
        cell = place.floor().clamp(max=len(probs) - 1).long()
        return below[cell] + probs[cell] * (place - cell)

    def density(y: Tensor) -> Tensor:
        return cdf((y[:, None] - a * edges) / b).diff(dim=1).abs() @ probs

    return in_batches(density, y, size=max(1, _PIECE // (len(probs) + 1))) / (abs(a) * width)


def table_pair_cdf(probs: Float[Tensor, "n"], low: float, high: float, a: float, b: float) -> Function:
    """Distribution function of a X + b X', with a + b = 1, for X with these masses in equal bins of [low, high].

    Exact on cells as in `table_divergences`, and linear within them.

    Example:
        >>> table_pair_cdf(torch.ones(1), -1.0, 1.0, 0.5, 0.5)(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    bins = len(probs)
    cells = _cells(bins, b)
    cells *= -(-_CDF_CELLS // (bins * cells))
    step = (high - low) / (bins * cells)
    start, count = min(a * low, a * high) + min(b * low, b * high), math.ceil((abs(a) + abs(b)) * bins * cells - 1e-6)
    y = start + step * torch.arange(count + 1, dtype=probs.dtype)
    below = torch.cumulative_trapezoid(table_pair_density(probs, low, high, a, b, y), dx=step)
    below = torch.cat([probs.new_zeros(1), below]) / below[-1]

    def cdf(value: Tensor) -> Tensor:
        place = ((value - start) / step).clamp(0, count)
        cell = place.floor().clamp(max=count - 1).long()
        return torch.lerp(below[cell], below[cell + 1], place - cell)

    return cdf


def table_divergences(probs: Float[Tensor, "n"], low: float, high: float, a: float, b: float) -> tuple[float, float]:
    """KL(P || Q) in nats and total variation, for P a table of masses and Q the distribution of a X + b X', with a + b = 1.

    Exact to rounding where b is a fraction with a denominator up to 64; else q is taken as linear in a sixteenth of a bin.
    Both are finite: two draws from one bin land around that bin.

    Example:
        >>> divergence, variation = table_divergences(torch.ones(1, dtype=torch.float64), -1.0, 1.0, 0.5, 0.5)
        >>> round(divergence, 4), round(1 - math.log(2), 4)
        (0.3069, 0.3069)
    """
    cells = _cells(len(probs), b)
    y = torch.linspace(low, high, len(probs) * cells + 1, dtype=probs.dtype)
    q = table_pair_density(probs, low, high, a, b, y)
    step = (high - low) / (len(probs) * cells)
    p = (probs / (step * cells)).repeat_interleave(cells)
    left, right, positive = q[:-1], q[1:], p > 0
    variation = _positive_part(p - left, p - right).sum().item() * step
    log_q = _mean_log(left[positive].clamp(min=_LEAST), right[positive].clamp(min=_LEAST))
    divergence = (p[positive] @ (p[positive].log() - log_q)).item() * step
    return max(0.0, divergence), variation


def _cells(bins: int, b: float) -> int:
    """Cells of a bin: enough of them, and all knots among them where that can be."""
    exact = Fraction(b).limit_denominator(_LARGEST_DENOMINATOR)
    if abs(exact - Fraction(b)) < 1e-12:
        return exact.denominator
    return max(_CELLS_OF_A_BIN, -(-_FEWEST_CELLS // bins))


def _mean_log(left: Tensor, right: Tensor) -> Tensor:
    """Mean of log q over a cell where q is linear from left to right."""
    middle, slope = (left + right) / 2, right - left
    flat = slope.abs() < 1e-4 * middle
    exact = (torch.xlogy(right, right) - torch.xlogy(left, left)) / torch.where(flat, 1, slope) - 1
    return torch.where(flat, middle.log() - (slope / middle).square() / 24, exact)


def _positive_part(left: Tensor, right: Tensor) -> Tensor:
    """Mean of the positive part over a cell where the difference is linear from left to right."""
    above, below = torch.maximum(left, right), torch.minimum(left, right)
    crossing = above.clamp(min=0).square() / (2 * (above - below).clamp(min=_LEAST))
    return torch.where(below >= 0, (left + right) / 2, crossing)


def _score(cdf: Function, value: Tensor) -> Tensor:
    return torch.special.ndtri(cdf(value).clamp(0, 1))


def end_nodes(count: int) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
    """Nodes in (0, 1) that are dense at both ends, and weights for an integral over it.

    Example:
        >>> u, weights = end_nodes(10)
        >>> round(weights.sum().item(), 6)
        1.0
    """
    place, share = _legendre(count)
    return place.square() * (3 - 2 * place), share * 6 * place * (1 - place)


@lru_cache(maxsize=8)
def _legendre(count: int) -> tuple[Tensor, Tensor]:
    """Gauss's nodes and weights for the integral over (0, 1)."""
    x, weight = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy(x + 1) / 2, torch.from_numpy(weight) / 2


def _cosines(d: int) -> tuple[Tensor, Tensor]:
    """Cosines c of two random directions, and the log of the probability that each stands for."""
    if d == 1:
        return torch.tensor([-1.0, 1.0], dtype=torch.float64), torch.full((2,), math.log(0.5), dtype=torch.float64)
    count = min(_MOST_ANGLES, max(_FEWEST_ANGLES, math.ceil(2 * math.pi * math.sqrt(d))))
    place, share = end_nodes(count) if d < _FEW else _legendre(count)
    angle = math.pi * (place - 0.5)
    log_chance = share.log() + (d - 2) * angle.cos().log()  # of the angle to the plane in which the cosine is 0
    return angle.sin(), log_chance - log_chance.logsumexp(0)
