"""Calibration of classifiers whose confidences are right, and of such whose are not."""

import math

import pytest
import torch
from torch import Tensor

from latentry.evaluation.calibration import calibration


def forecasts(n: int, rng: torch.Generator, sharpened: float = 1.0) -> tuple[Tensor, Tensor]:
    """Labels drawn from probabilities, and those probabilities, made more or less sure than they should be."""
    logits = 2 * torch.randn(n, 5, dtype=torch.float64, generator=rng)
    y = torch.multinomial(logits.softmax(1), 1, generator=rng)[:, 0]
    return (sharpened * logits).log_softmax(1), y


def test_right_confidences_pass_and_others_do_not(rng: torch.Generator) -> None:
    good, bold, shy = (calibration(*forecasts(2000, rng, s), rng=rng) for s in (1.0, 2.0, 0.5))
    assert good.p_value > 0.01
    assert good.error < 2 * good.error_if_calibrated
    assert bold.p_value == shy.p_value == 0.001
    assert (bold.confidence > bold.bin_accuracy).double().mean() > 0.8
    assert (shy.confidence < shy.bin_accuracy).double().mean() > 0.8


def test_the_test_keeps_its_level() -> None:
    p = torch.tensor([
        calibration(*forecasts(300, rng), draws=199, rng=rng).p_value
        for rng in (torch.Generator().manual_seed(seed) for seed in range(200))
    ])  # fmt: skip
    assert 0.01 <= (p <= 0.05).double().mean() <= 0.1


def test_the_error_by_hand() -> None:
    """Two bins of two: (0.6, 0.7) with one hit, (0.8, 0.9) with two."""
    top = torch.tensor([0.9, 0.6, 0.8, 0.7], dtype=torch.float64)
    found = calibration(torch.stack([top, 1 - top], 1).log(), torch.tensor([0, 1, 0, 0]), bins=2)
    assert found.error == pytest.approx((abs(0.5 - 0.65) + abs(1.0 - 0.85)) / 2)
    assert found.accuracy.value == 0.75
    assert found.log_loss == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.7)) / 4)


@pytest.mark.parametrize(
    ("log_probs", "more", "said"),
    [
        (torch.zeros(3, 2), {}, "row for each"),
        (torch.zeros(4, 2), {}, "sum to 1"),
        (torch.full((4, 2), -math.log(2)), {"bins": 0}, "at least 1"),
    ],
)
def test_bad_input_is_refused(log_probs: Tensor, more: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        calibration(log_probs, torch.tensor([0, 1, 0, 1]), **more)
