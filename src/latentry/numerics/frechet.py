r"""Frechet distance between the Gaussians that two samples' moments describe.

.. math:: d^2 = |m_1 - m_2|^2 + \mathrm{tr}\, S_1 + \mathrm{tr}\, S_2 - 2\, \mathrm{tr} (S_1^{1/2} S_2 S_1^{1/2})^{1/2}

is the squared 2-Wasserstein distance between :math:`N(m_1, S_1)` and :math:`N(m_2, S_2)`; the square is what everybody
reports (FID on Inception features), and so it is here. No matrix square root is needed: with :math:`S_1 = L L^T` the last
trace is the sum of the square roots of the eigenvalues of :math:`L^T S_2 L`, which is symmetric and costs one Cholesky
factor, one congruence and the eigenvalues alone. Where a covariance is singular - fewer samples than dimensions, or features
that depend on each other - the square root of an eigenvalue that is zero but for rounding, :math:`\sqrt{10^{-16}}`, would be
eight digits too large. There each :math:`S_i = R_i R_i^T` is factored by its eigenvectors, what is zero is left out, and the
trace is the sum of the singular values of :math:`R_1^T R_2`, which squares nothing.

**Bias.** The distance is convex in the errors of the moments, so its value on samples lies above the distance of the
distributions, by a / n to first order and by more with more dimensions. Two numbers are of use: the value at this sample
size, to be compared with others of the *same* size alone, and its limit for infinitely many samples (FID_inf). Chong and
Forsyth fit a line in 1/n through random subsamples; here the line goes through the values with all blocks and with one left
out, whose sampling noise cancels to first order. With fewer samples than a few times the dimension the bias is no longer a
line in 1/n, and the limit remains too high: say so.

**Interval.** The block jackknife, for each sample by itself, since they are independent; Student's t with Satterthwaite's
degrees of freedom. The naive bootstrap fails: see `numerics.jackknife`.

References: Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; Heusel et al., "GANs
trained by a two time-scale update rule", 2017; Chong and Forsyth, "Effectively unbiased FID and Inception Score and where to
find them", 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.jackknife import Jackknife, block_jackknife
from latentry.numerics.linalg import congruent_lower, symmetric_eigh
from latentry.numerics.moments import Moments, merge_all

__all__ = ["FrechetJackknife", "frechet_distance", "frechet_jackknife", "gaussian_frechet_distance"]


def frechet_distance(generated: Moments, reference: Moments) -> Float[Tensor, ""]:
    """Squared Frechet distance between two samples, from their moments with unbiased covariances.

    Raises:
        ValueError: The samples have different dimensions, or one has a single row.

    Example:
        >>> from latentry.numerics.moments import moments
        >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
        >>> frechet_distance(moments(x), moments(x + 1))
        tensor(3.0000, dtype=torch.float64)
    """
    return gaussian_frechet_distance(generated.mean, generated.covariance, reference.mean, reference.covariance)


def gaussian_frechet_distance(
    mean1: Float[Tensor, "d1"],
    covariance1: Float[Tensor, "d1 d1"],
    mean2: Float[Tensor, "d2"],
    covariance2: Float[Tensor, "d2 d2"],
) -> Float[Tensor, ""]:
    """Squared Frechet distance between two Gaussians; singular covariances are handled.

    Reference: Dowson and Landau (1982), eq. 16.

    Raises:
        ValueError: The Gaussians have different dimensions.

    Example:
        >>> a, b = torch.zeros(2), torch.ones(2)
        >>> gaussian_frechet_distance(a, torch.eye(2), b, 4 * torch.eye(2))
        tensor(4., dtype=torch.float64)
    """
    if mean1.shape != mean2.shape:
        raise ValueError(
            f"expected features of one dimension, got {len(mean1)} and {len(mean2)}; use one extractor for both samples"
        )
    mean1, covariance1, mean2, covariance2 = (part.double() for part in (mean1, covariance1, mean2, covariance2))
    spread = covariance1.trace() + covariance2.trace()
    return (mean1 - mean2).square().sum() + spread - 2 * _trace_of_root(covariance1, covariance2, 1e-8 * spread)


def _trace_of_root(s1: Float[Tensor, "d d"], s2: Float[Tensor, "d d"], tolerance: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """tr (S1^(1/2) S2 S1^(1/2))^(1/2), by eigenvalues where their rounding errors stay below the tolerance."""
    lower, failed = torch.linalg.cholesky_ex(s1)
    if failed == 0:
        roots = torch.linalg.eigvalsh(congruent_lower(lower, s2)).clamp(min=0).sqrt()
        # an eigenvalue is off by up to eps times the largest, and its root by that over twice the root
        if torch.finfo(roots.dtype).eps * roots[-1].square() * (0.5 / roots).sum() <= tolerance:
            return roots.sum()
    return torch.linalg.svdvals(_factor(s1).mT @ _factor(s2)).sum()


def _factor(s: Float[Tensor, "d d"]) -> Float[Tensor, "d r"]:
    """R with S = R R^T and as many columns as S has rank."""
    values, vectors = symmetric_eigh(s)
    positive = values > len(s) * torch.finfo(s.dtype).eps * values[0].abs()
    return vectors[:, positive] * values[positive].sqrt()


@dataclass(frozen=True)
class FrechetJackknife:
    """A squared Frechet distance between two samples with what each contributes to its error."""

    value: float
    """The distance between all rows of both."""
    generated: Jackknife
    """Bias and variance due to the generated sample."""
    reference: Jackknife
    """Bias and variance due to the reference sample."""

    @property
    def limit(self) -> float:
        """The distance followed in 1/n to infinitely many rows of both samples; may be negative for equal distributions."""
        return self.value - self.generated.bias - self.reference.bias

    @property
    def variance(self) -> float:
        """Variance of the value, and to first order of its limit."""
        return self.generated.variance + self.reference.variance

    @property
    def freedom(self) -> float:
        """Degrees of freedom of that variance (Satterthwaite, 1946)."""
        parts = (self.generated, self.reference)
        spread = sum(part.variance**2 / part.freedom for part in parts)
        return self.variance**2 / spread if spread > 0 else sum(part.freedom for part in parts)


def frechet_jackknife(generated: Sequence[Moments], reference: Sequence[Moments]) -> FrechetJackknife:
    """Squared Frechet distance between two samples given as the moments of their blocks, with its bias and variance.

    Costs one distance for each block of either sample and one for all.

    Raises:
        ValueError: A sample has fewer than two blocks, or too few rows are left without one.

    Example:
        >>> from latentry.numerics.moments import moments
        >>> x, y = torch.randn(2, 1000, 3, generator=torch.Generator().manual_seed(0))
        >>> blocks = [[moments(part) for part in sample.split(100)] for sample in (x, y)]
        >>> found = frechet_jackknife(*blocks)
        >>> found.limit < found.value  # the limit is without the bias of samples of this size
        True
    """
    if min(len(generated), len(reference)) < 2:
        raise ValueError(f"expected at least two blocks of each sample, got {len(generated)} and {len(reference)}")
    all_generated, all_reference = merge_all(generated), merge_all(reference)
    value = frechet_distance(all_generated, all_reference).item()
    without_generated = [frechet_distance(rest, all_reference).item() for rest in _leave_one_out(generated)]
    without_reference = [frechet_distance(all_generated, rest).item() for rest in _leave_one_out(reference)]
    return FrechetJackknife(
        value, _jackknife(value, without_generated, generated), _jackknife(value, without_reference, reference)
    )


def _leave_one_out(blocks: Sequence[Moments]) -> list[Moments]:
    return [merge_all([*blocks[:j], *blocks[j + 1 :]]) for j in range(len(blocks))]


def _jackknife(value: float, left_out: list[float], blocks: Sequence[Moments]) -> Jackknife:
    sizes = torch.tensor([block.count for block in blocks], dtype=torch.float64)
    return block_jackknife(value, torch.tensor(left_out, dtype=torch.float64), sizes)
