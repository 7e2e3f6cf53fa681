r"""Could these codes have come from the prior?

Let u be the codes in the coordinates of their prior, :math:`u_{ij} = F_j(z_{ij})`. For samples of the prior all elements of
u are uniform and independent. The report has five groups of tests of this.

*Elements.* All elements of all codes are one sample of a uniform distribution (Cho, 2020), by the Kolmogorov-Smirnov,
Cramer-von Mises and Anderson-Darling tests, and the sum of their squared normal scores :math:`\Phi^{-1}(u)^2` is
:math:`\chi^2_{n d}`. These tests do not show which codes are off.

*Codes.* The elements of each single code are a sample of the uniform distribution too, so the p-values of codes are uniform.
Too many small p-values mean codes outside the prior. Too many large ones mean codes that are more regular than samples, such
as those that were projected onto quantiles. Whether only a few codes are off is tested by higher criticism of the two-sided
Anderson-Darling p-values.

*Norm.* The norms of the codes follow their distribution. Codes may pass the other tests and all have the same norm.

*Correlation.* Normal scores of different coordinates are uncorrelated.

*Projections.* Normal scores have N(0, 1) projections in every direction. On a random orthonormal basis the projections are
again independent, so that the directions' Anderson-Darling p-values are independent too; higher criticism sums them up.
Codes pass the fourth test and fail this one when their coordinates depend on each other without correlation.

Tests are two-sided where a sample can be too regular: elements, each code, correlation. Holm's correction over all tests
keeps the chance that true samples fail any of them at 1 % or below: codes *pass* when no corrected p-value is below 0.01.
The more codes, the smaller the deviations that the tests detect; the verdict is meant for 256 codes. With more, read the
effect sizes too: std, and the 1-Wasserstein distance to the prior.

Power (`benchmarks/goodness_of_fit_power.py`, 100 trials each, 256 codes): under the normal prior a std of 0.98 fails in 60
of 100 trials with 64 elements and in 97 with 128; under the uniform prior, where it leaves the ends empty, always.
Coordinates that are correlated by 0.04 through a common factor always fail with 64 elements, by 0.02 in 46 of 100. A single
code among 256 fails the report only if its own p-value is below about 4e-6; others are visible in `code_ad_p_value`.
Dependence between codes is not tested.

Codes of a radial prior are tested in normal coordinates, where everything holds as for a normal prior.

References: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020 (latent distribution goodness
of fit test); Palmer et al., "Auto-encoding goodness of fit", 2023 (uniformity of p-values, higher criticism).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from scipy import special
from torch import Tensor

from latentry.evaluation.code_distances import FEWEST_VALUES, Distance, accurate_tests, distances_of, kolmogorov_distance
from latentry.evaluation.coordinates import Coordinates, Lengths, coordinates, lengths
from latentry.evaluation.fit_report import Check, GoodnessOfFit
from latentry.evaluation.proportions import share
from latentry.interfaces import Prior
from latentry.numerics.dependence import correlation_p_value, correlation_statistic
from latentry.numerics.distances import quantile_cells, wasserstein_distance
from latentry.numerics.goodness_of_fit import (
    ks_quantile,
    two_sided,
)
from latentry.numerics.inputs import checked
from latentry.numerics.multiplicity import higher_criticism, higher_criticism_p_value, holm
from latentry.numerics.univariate import UnivariateDistribution
from latentry.priors.adapters import as_prior
from latentry.priors.univariate import NormalDistribution

__all__ = ["goodness_of_fit"]


@checked(any_length=("z",))
def goodness_of_fit(
    z: Float[Tensor, "n d"],
    prior: Prior,
    y: Int[Tensor, "..."] | None = None,
    *,
    rng: torch.Generator | None = None,
) -> GoodnessOfFit:
    """Test codes against their prior: elements, codes, norm, correlation and projections, with effect sizes and a null band.

    Tests that the codes are too few for are left out of `checks`: with fewer than 8 elements in all, or in a code, only
    Kolmogorov-Smirnov is left of the three; correlation takes two codes and coordinates; projections take 8 codes.

    Reference: Cho (2020); the theory and the accuracy of each p-value stand at the heads of this module, of
    `latentry.numerics.goodness_of_fit`, `dependence` and `multiplicity`.

    Args:
        z: Codes.
        prior: A prior with independent coordinates, with normal ones (radial priors), in which the codes are then looked at,
            or with coordinates independent given a label.
        y: Labels of the codes. Without them a labelled prior draws them from p(y | z), which keeps every test at its level.
        rng: Source of the directions of the projections and of labels, on the device of the codes; pass one with a seed for
            the same p-values at every call.

    Raises:
        ValueError: The codes hold NaN, are none, or have another length than the prior's, or there are not as many labels.

    Example:
        >>> from latentry.priors import Normal
        >>> prior = Normal(64)
        >>> z = prior.sample(256, rng=torch.Generator().manual_seed(0))
        >>> goodness_of_fit(z, prior).passes, goodness_of_fit(0.9 * z, prior).passes
        (True, False)
    """
    if z.ndim != 2 or len(z) == 0 or z.shape[1] != prior.latent_dim:
        raise ValueError(f"expected codes of shape (n, {prior.latent_dim}), n >= 1, got {tuple(z.shape)}")
    if not z.isfinite().all():
        raise ValueError(f"expected finite codes, got NaN or infinity in {int((~z.isfinite()).any(1).sum())} of {len(z)}")
    if y is not None and len(y) != len(z):
        raise ValueError(f"expected one label for each of {len(z)} codes, got {len(y)}; leave y out where it is unknown")
    view = _view(z.detach(), prior, y, rng)
    n, d = view.z.shape
    pooled, codes = distances_of(view.under.flatten()), distances_of(view.under)
    uniformity = {name: kolmogorov_distance(fit.p_value) for name, fit in codes.items()}
    found = [
        *_elements(view, pooled),
        *_codes(codes, uniformity, d),
        _norm(view),
        *_dependence(view.scores, _orthonormal(d, rng)),
    ]
    adjusted = holm(torch.tensor([check.p_value for check in found], dtype=torch.float64)).tolist()
    steps, width = torch.arange(n + 1, dtype=torch.float64) / n, ks_quantile(0.95, n)
    return GoodnessOfFit(
        statistic=pooled["KS"].statistic.item(),
        p_value=pooled["KS"].p_value.item(),
        null_band=(ks_quantile(0.025, n * d), ks_quantile(0.975, n * d)),
        code_statistic=codes["KS"].statistic,
        code_p_value=codes["KS"].p_value,
        code_cvm_p_value=codes["CvM"].p_value,
        code_ad_p_value=codes["AD"].p_value,
        p_value_band=torch.stack([steps[1:] - width, steps[:-1] + width], 1).clamp(0, 1),
        rejected=share(codes["KS"].p_value < 0.05),
        uniformity_p_value=uniformity["KS"].p_value.item(),
        mean=view.mean,
        std=view.std,
        prior_mean=view.prior_mean,
        prior_std=view.prior_std,
        wasserstein=view.wasserstein,
        checks=tuple(replace(check, adjusted_p_value=p) for check, p in zip(found, adjusted, strict=True)),
    )


@dataclass(frozen=True)
class _View:
    """Codes as the tests look at them."""

    z: Float[Tensor, "n d"]
    under: Coordinates
    scores: Float[Tensor, "n d"]
    lengths: Lengths
    prior_mean: float
    prior_std: float
    wasserstein: float

    @property
    def mean(self) -> float:
        return self.z.mean().item()

    @property
    def std(self) -> float:
        return self.z.std(correction=0).item()


def _view(z: Tensor, prior: Prior, y: Tensor | None, rng: torch.Generator | None) -> _View:
    known = as_prior(prior)
    if known.labelled:
        conditional = known(known.sample_labels(z, rng=rng) if y is None else y)
        under = coordinates(z, conditional).cpu()
        means, variances = (moment.double().expand(z.shape) for moment in (conditional.mean, conditional.variance))
        mean, variance = means.mean().item(), (variances.mean() + means.var(correction=0)).item()
        distribution: UnivariateDistribution = NormalDistribution()
        measured = under.scores
    else:
        z, distribution = known.iid_coordinates(z.cpu())
        under = coordinates(z, distribution)
        mean, variance, measured = distribution.mean, distribution.variance, z.double()
    distance = wasserstein_distance(
        measured.flatten(), distribution, quantile_cells(distribution, measured.numel(), measured)
    )
    z = z.cpu().double()
    return _View(z, under, under.scores, lengths(measured, distribution), mean, variance**0.5, distance.item())


def _check(name: str, statistic: float, p_value: float, effect: str, finding: str) -> Check:
    return Check(name, statistic, p_value, p_value, effect, finding)


def _elements(view: _View, pooled: dict[str, Distance]) -> Iterator[Check]:
    effect = (
        f"mean {view.mean:.3f} where the prior has {view.prior_mean:.3f}, standard deviation {view.std:.3f} where it has "
        f"{view.prior_std:.3f}, Wasserstein distance {view.wasserstein:.2g}"
    )
    for name in accurate_tests(view.z.numel()):
        fit = pooled[name]
        finding = "their elements are more regular than those of samples" if fit.p_value > 0.5 else _shape(view)
        yield _check(f"elements, {name}", fit.statistic.item(), two_sided(fit.p_value).item(), effect, finding)
    squares, count = view.scores.square().sum().item(), view.scores.numel()
    p = torch.tensor(float(special.gammaincc(count / 2, squares / 2)), dtype=torch.float64)
    yield _check("elements, scale", (squares / count) ** 0.5, two_sided(p).item(), effect, _shape(view))


def _shape(view: _View) -> str:
    shift, stretch = (view.mean - view.prior_mean) / view.prior_std, view.std / view.prior_std - 1
    if max(abs(shift), abs(stretch)) < 0.01:
        return "their elements are distributed otherwise, with the right mean and std"
    if abs(shift) > abs(stretch):
        return f"their elements are too {'high' if shift > 0 else 'low'}"
    return f"they are {'wider' if stretch > 0 else 'narrower'} than the prior"


def _codes(codes: dict[str, Distance], uniformity: dict[str, Distance], d: int) -> Iterator[Check]:
    for name in accurate_tests(d):
        p = codes[name].p_value
        effect = f"{(p < 0.05).double().mean().item():.0%} of codes rejected at 5 %, median p-value {p.median().item():.2f}"
        finding = "one by one they are too far from the prior"
        if p.median() > 0.5:
            finding = "one by one they are more regular than samples, so lower the regularizer's weight"
        yield _check(f"codes, {name}", uniformity[name].statistic.item(), uniformity[name].p_value.item(), effect, finding)
    yield _criticism("single codes", "a few of them are off on their own", codes[accurate_tests(d)[-1]].p_value)


def _criticism(name: str, finding: str, p: Float[Tensor, "n"]) -> Check:
    """Whether a few p-values are too near to 0 or 1."""
    p = two_sided(p)
    statistic = higher_criticism(p)
    effect = f"{int((p < 0.01).sum())} of {len(p)} below 0.01, where {0.01 * len(p):.1f} are expected"
    return _check(f"{name}, HC", statistic, higher_criticism_p_value(statistic, len(p)), effect, finding)


def _norm(view: _View) -> Check:
    fits, name = distances_of(view.lengths.under, view.lengths.weight), accurate_tests(len(view.z))[-1]
    ratio = view.lengths.ratio
    finding = f"their norms are too {'large' if ratio > 1 else 'small'}: they are {'wider' if ratio > 1 else 'narrower'}"
    if abs(ratio - 1) < 0.01:
        finding = "their norms spread unlike those of samples"
    effect = f"root mean square norm {ratio:.3f} of what it should be"
    return _check(f"norm, {name}", fits[name].statistic.item(), fits[name].p_value.item(), effect, finding)


def _dependence(scores: Float[Tensor, "n d"], basis: Float[Tensor, "d d"]) -> Iterator[Check]:
    n, d = scores.shape
    if n >= 2 and d >= 2:
        statistic = correlation_statistic(scores)
        p = two_sided(torch.tensor(correlation_p_value(statistic, n, d), dtype=torch.float64)).item()
        typical = (2 * statistic / (d * (d - 1))) ** 0.5
        finding = f"their coordinates are {'correlated' if typical > n**-0.5 else 'less correlated than those of samples'}"
        effect = f"root mean square correlation {typical:.3f}, where {n**-0.5:.3f} is expected"
        yield _check("correlation", statistic, p, effect, finding)
    if n >= FEWEST_VALUES and d >= 2:
        projected = coordinates((scores @ basis).mT.contiguous(), NormalDistribution())
        directions = distances_of(projected)["AD"].p_value
        yield _criticism("projections", "their random projections are not those of samples", directions)


def _orthonormal(d: int, rng: torch.Generator | None) -> Float[Tensor, "d d"]:
    """A random orthonormal basis, in columns."""
    return torch.linalg.qr(
        torch.randn(d, d, generator=rng, dtype=torch.float64, device=None if rng is None else rng.device).cpu()
    ).Q
