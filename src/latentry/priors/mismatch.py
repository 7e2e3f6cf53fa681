r"""The mismatch of a prior: how far the distribution of interpolated codes is from it, without a generator or samples.

Let P be the distribution of a code z of the prior, and :math:`Q_t` that of :math:`(1 - t) z + t z'` for two independent
ones, on the straight line between them (or beyond, for t < 0 and t > 1). This is the mismatch that other rules than lerp
correct, and that a designed prior makes small (Singh et al., 2019).

*One coordinate.* :math:`KL(P || Q_t)` and the total variation, by closed forms for normal and tabulated distributions and by
quadrature for others (`numerics.pair_density`). For a normal prior at t = 1/2 the divergence is :math:`(1 - \ln 2) / 2`, for
a uniform one :math:`1 - \ln 2`. The divergence may be infinite.

*A whole code* of d independent coordinates has d times the divergence D of one. Its total variation has no such form, but is
at least that of one coordinate, at least the Kolmogorov-Smirnov distance of the norms, and at most

.. math:: \min \left( d \, TV_1, \; \sqrt{D / 2}, \; \sqrt{1 - e^{-D}} \right)

(union bound; Pinsker; Bretagnolle and Huber). The direction of an isotropic code is uniform on the sphere under both
distributions, so that divergence and total variation of the code are those of its norm, and no bounds are needed.

*Norms.* A mid-point is atypical by its norm: the Kolmogorov-Smirnov distance between the distributions of the norm
(`numerics.norm_distribution`) at d = 100 is 0.985 for a normal prior. It is smaller for a prior with heavy tails, whose norm
varies over orders of magnitude.

References: Singh et al., "Non-parametric priors for generative adversarial networks", 2019; Kilcher, Lucchi, Hofmann,
"Semantic interpolation in implicit models", 2018; Lesniak, Sieradzki, Podolak, "Distribution-interpolation trade off in
generative models", 2019 (a linear path within the distribution forbids a finite mean); Bretagnolle and Huber, "Estimation
des densites: risque minimax", 1979.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.display import Described, Facts, Plottable, number, percent
from latentry.interfaces import Prior
from latentry.numerics.inputs import checked
from latentry.numerics.norm_distribution import norm_cdfs
from latentry.numerics.pair_density import (
    WIDEST_SCORE,
)
from latentry.priors.between_codes import (
    cdf_between,
    coordinate_divergences,
    density_between,
    norm_cdf_between,
    norm_divergences,
    norm_log_density,
)
from latentry.priors.distribution import SampledDistribution
from latentry.priors.quadrature import univariate_of

__all__ = ["DensityCurves", "Mismatch", "NormCurves", "density_curves", "mismatch", "norm_curves"]

_NORM_POINTS = 4001
_CURVE_POINTS, _NORM_CURVE_POINTS = 801, 101
_TAIL_PROBABILITY = 5e-4
"""Probability beyond each end of a density curve."""


@dataclass(frozen=True, repr=False)
class Mismatch(Plottable):
    """What `mismatch` found, for one t or for several: tensors have the shape of t, in double precision.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> found = mismatch(Normal(100), [0.25, 0.5])
        >>> found.divergence.round(decimals=2)
        tensor([ 6.5000, 15.3400], dtype=torch.float64)
    """

    t: Float[Tensor, "*t"]
    """Steps between two codes."""
    latent_dim: int
    """Elements d of a code."""
    coordinate_divergence: Float[Tensor, "*t"] | None
    """KL(P || Q_t) of one coordinate in nats; None for isotropic codes, whose coordinates are dependent."""
    coordinate_total_variation: Float[Tensor, "*t"] | None
    """Total variation of one coordinate, in [0, 1]; None for isotropic codes."""
    divergence: Float[Tensor, "*t"]
    """KL(P || Q_t) of whole codes in nats."""
    total_variation_low: Float[Tensor, "*t"]
    """Lower bound on the total variation of whole codes."""
    total_variation_high: Float[Tensor, "*t"]
    """Upper bound on it; for isotropic codes the two are equal."""
    norm_distance: Float[Tensor, "*t"]
    """Kolmogorov-Smirnov distance between the distributions of the norm of whole codes."""

    def _facts(self) -> Facts:
        columns = (self.t, self.divergence, self.total_variation_low, self.total_variation_high, self.norm_distance)
        points = list(zip(*(column.flatten().tolist() for column in columns), strict=True))
        rows = tuple(
            (
                f"t = {t:g}",
                f"divergence {number(kl)} nats, total variation {number(low)} to {number(high)}, norms {number(ks)}",
            )
            for t, kl, low, high, ks in points[:8]
        )
        t, _, low, high, _ = max(points, key=lambda point: point[2])
        return Facts(
            f"Mismatch of codes between two codes, {self.latent_dim} elements",
            rows,
            f"At t = {t:g} the best test tells codes on the line from codes of the prior with an advantage of "
            f"{percent(low)}" + (f" to {percent(high)}" if high - low > 1e-3 else "") + " over a guess.",
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import FILL, LINE

        panel = figure.subplots()
        order = self.t.flatten().argsort()
        t, low, high, norms = (
            column.flatten()[order].cpu().numpy()
            for column in (self.t, self.total_variation_low, self.total_variation_high, self.norm_distance)
        )
        panel.fill_between(t, low, high, color=FILL, alpha=0.6, linewidth=0, label="total variation of codes, its bounds")
        panel.plot(t, norms, color=LINE, marker="o", markersize=3, linewidth=1.4, label="distance of the norms")
        panel.set_ylim(0, 1.02)
        panel.set_xlabel("step between two codes", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=7, frameon=False)


@dataclass(frozen=True, repr=False)
class DensityCurves(Described):
    """Densities at the prior and between its codes: of a coordinate, or of the norm of an isotropic code.

    Example:
        >>> from latentry.priors.iid import Uniform
        >>> curves = density_curves(Uniform(4))
        >>> round(torch.trapezoid(curves.between[0], curves.x).item(), 3)
        1.0
    """

    x: Float[Tensor, "n"]
    """Where, in increasing order."""
    prior: Float[Tensor, "n"]
    """Density at the prior."""
    between: Float[Tensor, "t n"]
    """Density at each step."""
    of_norm: bool
    """Whether x is the norm of a code."""


@dataclass(frozen=True, repr=False)
class NormCurves(Described):
    """Distribution functions of the norm at the prior and at one step between its codes.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> round(norm_curves(Normal(100)).distance, 3)
        0.985
    """

    norm: Float[Tensor, "n"]
    """Norms in increasing order."""
    prior: Float[Tensor, "n"]
    """Their distribution function at the prior."""
    between: Float[Tensor, "n"]
    """The one at the step."""

    @property
    def distance(self) -> float:
        """Kolmogorov-Smirnov distance of the two."""
        return (self.prior - self.between).abs().max().item()


@checked(any_value=("t",))
def mismatch(prior: Prior, t: float | Sequence[float] | Float[Tensor, "*t"] = 0.5) -> Mismatch:
    """How far codes on the line between two codes of the prior are from the prior.

    Accurate to 1e-4 or better: to rounding for normal and uniform priors, and for tables where t is a fraction with a
    denominator up to 64. Isotropic codes of two elements cost a digit. Where their norms are bounded, divergences are within
    0.1 %, or 1 % for a table of norms. For a distribution of your own, its `support` is all that is known of its edges; a
    density that jumps elsewhere costs digits.

    Args:
        prior: What the two codes are drawn from.
        t: Step between them, 0 and 1 being the codes themselves; beyond for extrapolation. A sequence gives tensors.

    Raises:
        ValueError: t is not finite, or the prior has neither independent coordinates of one distribution nor a uniform
            direction.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> found = mismatch(Normal(100))
        >>> round(found.coordinate_divergence.item(), 4), round((1 - math.log(2)) / 2, 4)
        (0.1534, 0.1534)
        >>> round(found.norm_distance.item(), 3)
        0.985
    """
    distribution, d, isotropic = univariate_of(prior)
    steps = torch.as_tensor(t, dtype=torch.float64).cpu()
    if not steps.isfinite().all():
        raise ValueError(f"expected finite steps t, got {steps.tolist()}; leave out the others")
    row = _isotropic_row if isotropic else _iid_row
    rows = [row(distribution, d, step) if step not in (0, 1) else (0.0,) * 6 for step in steps.flatten().tolist()]
    divergence, variation, *whole = torch.tensor(rows, dtype=torch.float64).view(*steps.shape, 6).unbind(-1)
    if isotropic:
        return Mismatch(steps, d, None, None, *whole)
    return Mismatch(steps, d, divergence, variation, *whole)


@checked()
def density_curves(prior: Prior, t: Sequence[float] = (0.5,)) -> DensityCurves:
    """Densities at the prior and at steps between its codes, to be drawn; of the norm for isotropic codes.

    Raises:
        ValueError: There is no step, or as in `mismatch`.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> curves = density_curves(Normal(4), t=[0.25, 0.5])
        >>> curves.x.shape, curves.between.shape
        (torch.Size([801]), torch.Size([2, 801]))
    """
    distribution, d, isotropic = univariate_of(prior)
    if not t or not all(map(math.isfinite, t)):
        raise ValueError(f"expected one finite step t or more, got {list(t)}; leave out the others")
    low, high = distribution.icdf(torch.tensor([_TAIL_PROBABILITY, 1 - _TAIL_PROBABILITY], dtype=torch.float64)).tolist()
    if isotropic:
        x = torch.logspace(math.log10(low), math.log10(high), _NORM_CURVE_POINTS, dtype=torch.float64)
        between = [norm_log_density(distribution, d, step, x).exp() for step in t]
    else:
        pad = 0.1 * (high - low)
        ends = max(distribution.support[0], low - pad), min(distribution.support[1], high + pad)
        x = torch.linspace(*ends, _CURVE_POINTS, dtype=torch.float64)
        between = [density_between(distribution, step, x) for step in t]
    return DensityCurves(x, distribution.log_prob(x).exp(), torch.stack(between), isotropic)


@checked(any_value=("t",))
def norm_curves(prior: Prior, t: float = 0.5) -> NormCurves:
    """Distributions of the norm at the prior and at one step between its codes, without sampling.

    Raises:
        ValueError: As in `mismatch`.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> curves = norm_curves(Normal(100), t=0.5)
        >>> curves.prior.shape == curves.between.shape
        True
    """
    distribution, d, isotropic = univariate_of(prior)
    if not math.isfinite(t):
        raise ValueError(f"expected a finite step t, got {t}; leave it out")
    return _isotropic_norms(distribution, d, t) if isotropic else _iid_norms(distribution, d, t)


def _iid_norms(distribution: SampledDistribution, d: int, t: float) -> NormCurves:
    square = distribution.variance + distribution.mean**2
    spread = distribution.icdf(torch.tensor([0.25, 0.75], dtype=torch.float64)).abs().max().item()
    typical = math.sqrt(d * square) if math.isfinite(square) else d * spread
    return NormCurves(*norm_cdfs((distribution.cdf, cdf_between(distribution, t)), d, typical))


def _isotropic_norms(distribution: SampledDistribution, d: int, t: float) -> NormCurves:
    scores = torch.linspace(-WIDEST_SCORE, WIDEST_SCORE, _NORM_POINTS, dtype=torch.float64)
    norm = distribution.icdf(torch.special.ndtr(scores))
    return NormCurves(norm, distribution.cdf(norm), norm_cdf_between(distribution, d, t)(norm))


def _iid_row(distribution: SampledDistribution, d: int, t: float) -> tuple[float, ...]:
    """The fields of `Mismatch` after the first two, for one t."""
    divergence, variation = coordinate_divergences(distribution, t)
    norm = _iid_norms(distribution, d, t).distance
    total = d * divergence
    high = min(1.0, d * variation, math.sqrt(total / 2), math.sqrt(-math.expm1(-total)))
    return divergence, variation, total, min(high, max(variation, norm)), high, norm


def _isotropic_row(distribution: SampledDistribution, d: int, t: float) -> tuple[float, ...]:
    divergence, variation = norm_divergences(distribution, d, t)
    return math.nan, math.nan, divergence, variation, variation, _isotropic_norms(distribution, d, t).distance
