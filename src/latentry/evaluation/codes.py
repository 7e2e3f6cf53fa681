r"""Could these codes have come from the prior?

Under an iid prior all elements of all codes together are one sample of its law, and so are the elements of each code. The
pooled Kolmogorov-Smirnov test (Cho, 2020) asks the first question. It is a test of calibration: with 16,384 elements it
sees a standard deviation of 0.98, and it says nothing of which codes are off. The per-code tests ask the second: their
p-values are uniform on [0, 1] for true samples. Too many small ones mean codes that left the prior; too many large ones
mean codes that were pressed onto its quantiles, which no true sample is. Both questions are asked two-sided.

Necessary, not sufficient: neither sees dependence between coordinates.

References: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020 (latent distribution goodness
of fit test); Palmer et al., "Auto-encoding goodness of fit", 2023 (uniformity of p-values).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.evaluation.proportions import Share, share
from latentry.interfaces import Prior
from latentry.numerics.goodness_of_fit import ks_p_value, ks_quantile, ks_statistic, two_sided

__all__ = ["GoodnessOfFit", "goodness_of_fit"]


@dataclass(frozen=True)
class GoodnessOfFit:
    """How well codes fit a prior."""

    statistic: float
    """Pooled Kolmogorov-Smirnov distance of all elements, in [0, 1]."""
    p_value: float
    """Chance that true samples are as far off or further."""
    null_band: tuple[float, float]
    """Where the pooled statistic of true samples of this size lies, with probability 0.95."""
    code_statistic: Float[Tensor, "n"]
    """Kolmogorov-Smirnov distance of each code's elements."""
    code_p_value: Float[Tensor, "n"]
    """Its p-value; uniform on [0, 1] for true samples."""
    rejected: Share
    """Share of codes with a p-value below 0.05; near 0.05 for true samples."""
    uniformity_p_value: float
    """p-value of the test that the per-code p-values are uniform; small for codes too far off *or* too regular."""
    mean: float
    """Mean of all elements."""
    std: float
    """Standard deviation of all elements."""
    prior_mean: float
    """What it should be."""
    prior_std: float
    """What it should be."""

    @property
    def passes(self) -> bool:
        """Whether neither question is answered no, at 1 % over both together (Bonferroni), each of them two-sided."""
        pooled = two_sided(torch.tensor(self.p_value)).item()
        return min(pooled, self.uniformity_p_value) >= 0.005

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.passes:
            return "These codes look like samples of the prior."
        if self.uniformity_p_value < 0.005 and self.code_p_value.median().item() > 0.5:
            return "These codes are more regular than samples of the prior: lower the regularizer's weight."
        width = "wider" if self.std > self.prior_std else "narrower"
        return (
            f"These codes do not look like samples of the prior: std {self.std:.3f} for {self.prior_std:.3f} ({width}), "
            f"{self.rejected.value:.0%} of them rejected at 5 %."
        )


def goodness_of_fit(z: Float[Tensor, "n d"], prior: Prior) -> GoodnessOfFit:
    """Test codes against a prior with independent coordinates: pooled and per code, two-sided, with a null band.

    Reference: Cho (2020); p-values are exact (`latentry.numerics.goodness_of_fit`).

    Raises:
        ValueError: The codes hold NaN, are none, or have another length than the prior's.
    """
    if z.ndim != 2 or len(z) == 0 or z.shape[1] != prior.latent_dim:
        raise ValueError(f"expected codes of shape (n, {prior.latent_dim}), n >= 1, got {tuple(z.shape)}")
    if not z.isfinite().all():
        raise ValueError(f"expected finite codes, got NaN or infinity in {int((~z.isfinite()).any(1).sum())} of {len(z)}")
    z = z.detach().cpu().double()
    u = prior.law.cdf(z)
    pooled = ks_statistic(u.flatten())
    code_statistic = ks_statistic(u)
    code_p_value = ks_p_value(code_statistic, z.shape[1])
    uniformity = ks_p_value(ks_statistic(code_p_value), len(z))
    return GoodnessOfFit(
        statistic=pooled.item(),
        p_value=ks_p_value(pooled, z.numel()).item(),
        null_band=(ks_quantile(0.025, z.numel()), ks_quantile(0.975, z.numel())),
        code_statistic=code_statistic,
        code_p_value=code_p_value,
        rejected=share(code_p_value < 0.05),
        uniformity_p_value=uniformity.item(),
        mean=z.mean().item(),
        std=z.std(correction=0).item(),
        prior_mean=prior.law.mean,
        prior_std=prior.law.variance**0.5,
    )
