r"""Calibration: do predicted probabilities agree with observed frequencies?

Of the data for which a classifier names a label with confidence p a share p should bear it. Data are sorted by confidence
and cut into bins of equal counts; the *expected calibration error* is the mean over bins of the distance of accuracy and
mean confidence. It is never 0 for finite data: beside it stands what a calibrated classifier of the same confidences would
have, by drawing its successes.

References: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", 2017; Nguyen and O'Connor, "Posterior
calibration and exploratory analysis for natural language processing models", 2015 (bins of equal counts); Broecker and
Smith, "Increasing the reliability of reliability diagrams", 2007 (what calibrated forecasts would show).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.evaluation.proportions import Share, share

__all__ = ["Calibration", "calibration"]


@dataclass(frozen=True)
class Calibration:
    """Accuracy, confidence and what lies between them.

    Example:
        >>> log_probs = torch.tensor([[0.8, 0.2]]).log().repeat(100, 1)
        >>> y = (torch.arange(100) >= 50).long()
        >>> round(calibration(log_probs, y, bins=1, rng=torch.Generator().manual_seed(0)).error, 6)
        0.3
    """

    accuracy: Share
    """Share of data whose likeliest label is right."""
    log_loss: float
    """Mean negative log-probability of the labels, in nats."""
    error: float
    """Expected calibration error, in [0, 1]."""
    error_if_calibrated: float
    """Mean of what it would be if the confidences were right."""
    p_value: float
    """Chance that it would then be at least as large."""
    confidence: Float[Tensor, "b"]
    """Mean confidence in each bin."""
    bin_accuracy: Float[Tensor, "b"]
    """Share of right labels in each bin."""


def calibration(
    log_probs: Float[Tensor, "n k"],
    y: Int[Tensor, "..."],
    *,
    bins: int = 15,
    draws: int = 999,
    level: float = 0.95,
    rng: torch.Generator | None = None,
) -> Calibration:
    """Hold the confidences of a classifier against its hits.

    Reference: the module's theory.

    Args:
        log_probs: log p(y | x) for every label, rows that sum to 1 after exp.
        y: The labels.
        bins: Bins of equal counts; fewer where there are fewer data.
        draws: Simulations of a calibrated classifier.
        level: Level of the interval of the accuracy.
        rng: Source of the simulations, on the CPU.

    Raises:
        ValueError: Shapes do not fit, rows are no probabilities, or a number is below 1.

    Example:
        >>> log_probs = torch.tensor([[0.8, 0.2]]).log().repeat(100, 1)
        >>> y = (torch.arange(100) >= 80).long()
        >>> found = calibration(log_probs, y, bins=1, rng=torch.Generator().manual_seed(0))
        >>> round(found.error, 6), found.accuracy.value
        (0.0, 0.8)
    """
    if log_probs.shape[:1] != y.shape or len(y) < 2:
        raise ValueError(f"expected a row for each of two labels or more, got {tuple(log_probs.shape)} for {len(y)} labels")
    if bins < 1 or draws < 1:
        raise ValueError(f"expected bins and draws of at least 1, got {bins} and {draws}")
    log_probs, y = log_probs.detach().cpu().double(), y.cpu()
    if not (log_probs.exp().sum(1) - 1).abs().max() < 1e-3:
        raise ValueError("expected logarithms of probabilities that sum to 1, got others; take log_softmax of logits")
    top, predicted = log_probs.max(1)
    order = top.argsort()
    confidence, hit = top.exp()[order], (predicted == y)[order]
    parts = torch.arange(len(y)).tensor_split(min(bins, len(y)))
    simulated = torch.rand(draws, len(y), generator=rng, dtype=torch.float64) < confidence
    errors = _calibration_error(torch.cat([hit[None], simulated]), confidence, parts)
    return Calibration(
        accuracy=share(predicted == y, level),
        log_loss=-log_probs[range(len(y)), y].mean().item(),
        error=errors[0].item(),
        error_if_calibrated=errors[1:].mean().item(),
        p_value=(1 + (errors[1:] >= errors[0]).sum().item()) / (1 + draws),
        confidence=torch.stack([confidence[part].mean() for part in parts]),
        bin_accuracy=torch.stack([hit[part].double().mean() for part in parts]),
    )


def _calibration_error(hits: Tensor, confidence: Float[Tensor, "n"], parts: tuple[Tensor, ...]) -> Float[Tensor, "r"]:
    """Expected calibration error of each row of hits, data in order of confidence."""
    gaps = [(hits[:, part].double().mean(1) - confidence[part].mean()).abs() * len(part) for part in parts]
    return torch.stack(gaps).sum(0) / len(confidence)
