r"""The share of codes in a subspace: of their variance, and of their information on labels.

With P the projection onto a subspace, :math:`\operatorname{tr} P \Sigma / \operatorname{tr} \Sigma` is its share of the
variance of codes (k / d where they are isotropic). Its share of label information is what a probe gains over chance within
it, over what a probe gains from whole codes (`evaluation.probes`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.evaluation.estimates import ratio_estimate
from latentry.evaluation.probes import VARIANCE_INFLATION, ProbeAccuracy, check_codes, probe_accuracy
from latentry.numerics.interval import Interval

__all__ = ["SubspaceCapture", "subspace_capture"]


@dataclass(frozen=True)
class SubspaceCapture:
    """What of codes and their labels lies in a subspace.

    Example:
        >>> z = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> subspace_capture(z, torch.eye(4)).variance.value
        1.0
    """

    dimension: int
    """Dimension k of the subspace: the rank of the basis."""
    variance: Interval
    """Share of the codes' variance inside, in [0, 1]."""
    isotropic_variance: float
    """What it would be if all directions were alike, k / d."""
    whole: ProbeAccuracy | None
    """Probes on whole codes; None without labels, like the rest."""
    inside: ProbeAccuracy | None
    """Probes on the k coordinates inside."""
    outside: ProbeAccuracy | None
    """Probes on the d - k coordinates outside: what leaks; None also where nothing is outside."""
    labels: Interval | None
    """Gain over chance inside, over the gain from whole codes; NaN with an endless interval where the latter has none."""


def subspace_capture(
    z: Float[Tensor, "n d"],
    basis: Float[Tensor, "k d"],
    y: Int[Tensor, "n"] | None = None,
    *,
    folds: int = 5,
    probes: Mapping[str, Any] | None = None,
    level: float = 0.95,
    rng: torch.Generator | None = None,
) -> SubspaceCapture:
    """Share of the variance of codes, and of what they know of labels, inside the span of a basis.

    Reference: the module's theory; intervals of both shares by the delta method over codes.

    Args:
        z: Codes.
        basis: Rows that span the subspace, neither orthogonal nor independent of necessity.
        y: Labels, for the probes.
        folds, probes, rng: As in `probe_accuracy`; all three sets of coordinates are cut into folds alike.
        level: Level of the intervals.

    Raises:
        ValueError: As in `probe_accuracy`; the basis does not fit the codes, or is zero; the codes do not vary.

    Example:
        >>> z = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
        >>> found = subspace_capture(z, torch.eye(4)[:1])
        >>> found.isotropic_variance, 0.25 in found.variance
        (0.25, True)
    """
    check_codes(z)
    if basis.shape[1] != z.shape[1] or not basis.isfinite().all() or not basis.any():
        raise ValueError(f"expected a finite basis other than 0 of {z.shape[1]} columns, got shape {tuple(basis.shape)}")
    codes = z.detach().cpu().double()
    _, singular, axes = torch.linalg.svd(basis.detach().cpu().double(), full_matrices=True)
    k = int((singular > singular[0] * max(basis.shape) * torch.finfo(basis.dtype).eps).sum())
    inside, outside = codes @ axes[:k].mT, codes @ axes[k:].mT
    energy = [(part - part.mean(0)).square().sum(1) for part in (inside, codes)]
    if not energy[1].any():
        raise ValueError("expected codes that vary, got one code throughout; there is no variance to share")
    variance = ratio_estimate(energy[0], energy[1], level)
    found: dict[str, ProbeAccuracy] = {}
    if y is not None:
        seed = int(torch.randint(2**31 - 1, (), generator=rng))
        for name, part in {"whole": codes, "inside": inside, "outside": outside}.items():
            if part.shape[1]:
                same = torch.Generator().manual_seed(seed)
                found[name] = probe_accuracy(part, y, folds=folds, probes=probes, level=level, rng=same)
    return SubspaceCapture(
        dimension=k,
        variance=Interval(variance.value, max(0.0, variance.low), min(1.0, variance.high)),
        isotropic_variance=k / z.shape[1],
        whole=found.get("whole"),
        inside=found.get("inside"),
        outside=found.get("outside"),
        labels=_label_share(found["inside"], found["whole"]) if found else None,
    )


def _label_share(part: ProbeAccuracy, whole: ProbeAccuracy) -> Interval:
    """Ratio of gains over the commonest class, paired by code."""
    if whole.accuracy.low <= whole.chance:
        return Interval(torch.nan, -torch.inf, torch.inf)
    commonest = whole.classes[whole.confusion.sum(1).argmax()]
    by_chance = (whole.y == commonest).double()
    inside, everywhere = (probed.correct.double() - by_chance for probed in (part, whole))
    return ratio_estimate(inside, everywhere, whole.level, variance_inflation=VARIANCE_INFLATION)
