"""Held-out probes at known answers: nothing to read, all to read, and what only some probes can."""

import math

import pytest
import torch
from torch import Tensor

from latentry.evaluation.probes import Codes, probe_held_out


def splits(make: object, rng: torch.Generator, sizes: tuple[int, ...] = (1500, 400, 800)) -> list[Codes]:
    assert callable(make)
    return [make(torch.arange(n) % 2, rng) for n in sizes]


def blind(y: Tensor, rng: torch.Generator) -> Codes:
    return torch.randn(len(y), 3, generator=rng), y


def ringed(y: Tensor, rng: torch.Generator) -> Codes:
    """One class within the other: no line parts them."""
    z = torch.randn(len(y), 2, generator=rng)
    return z / z.norm(dim=1, keepdim=True) * (1 + 2 * y[:, None]), y


def test_nothing_is_read_where_there_is_nothing(rng: torch.Generator) -> None:
    found = probe_held_out(*splits(blind, rng), rng=rng)
    assert found.chance == 0.5
    assert found.accuracy.low < 0.5 < found.accuracy.high
    assert found.shuffled.low < 0.5 < found.shuffled.high
    assert found.information.low < 0.01


def test_what_a_line_cannot_read_another_probe_does(rng: torch.Generator) -> None:
    found = probe_held_out(*splits(ringed, rng), rng=rng)
    assert found.accuracy.value > 0.99
    assert found.chosen != "logistic"
    assert found.by_probe["logistic"].value < 0.7
    assert found.leak == pytest.approx(found.accuracy.value - 0.5)
    assert found.information.value == pytest.approx(math.log(2), abs=0.05)


def test_the_probe_is_chosen_on_validation_alone(rng: torch.Generator) -> None:
    """With validation labels turned round, the probe that reads nothing is the best."""
    training, validation, held_out = splits(ringed, rng)
    found = probe_held_out(training, (validation[0], 1 - validation[1]), held_out, rng=rng)
    assert found.chosen == "logistic"
    assert found.accuracy == found.by_probe["logistic"]


def test_codes_that_do_not_fit_are_refused(rng: torch.Generator) -> None:
    good = splits(blind, rng, (20, 20, 20))
    with pytest.raises(ValueError, match="none but those of training"):
        probe_held_out(good[0], good[1], (good[2][0], good[2][1] + 1))
    with pytest.raises(ValueError, match="codes of one length"):
        probe_held_out(good[0], good[1], (good[2][0][:, :2], good[2][1]))
    with pytest.raises(ValueError, match="finite codes"):
        probe_held_out(good[0], good[1], (good[2][0] / 0, good[2][1]))
