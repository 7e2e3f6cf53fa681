"""One type for a number with its interval, of which records keep the names."""

from dataclasses import asdict

import torch

from latentry.evaluation.estimates import mean_estimate
from latentry.evaluation.proportions import Share, share
from latentry.evaluation.seeds import mean_over_seeds
from latentry.numerics.interval import Interval
from latentry.numerics.ranks import roc_auc


def test_records_of_each_kind_have_the_three_numbers_first_and_what_else_is_known_after_them() -> None:
    scores = torch.randn(20, generator=torch.Generator().manual_seed(0))
    found = {
        mean_estimate(scores): (),
        roc_auc(scores + 1, scores): (),
        share(scores > 0): ("trials",),
        mean_over_seeds({0: 1.0, 1: 2.0}): ("level", "seeds", "paired"),
    }
    for estimate, more in found.items():
        assert isinstance(estimate, Interval)
        assert tuple(asdict(estimate)) == ("value", "low", "high", *more)
        assert estimate.value in estimate


def test_a_format_is_that_of_each_number() -> None:
    assert f"{Interval(0.5, 0.25, 0.75):.2f}" == "0.50 [0.25, 0.75]"
    assert f"{Share(0.5, 0.25, 0.75, 4)}" == "50.0% [25.0%, 75.0%]"
    assert f"{Share(0.5, 0.25, 0.75, 4).scaled(100):.0f}" == "50 [25, 75]"
    assert str(Interval(0.5, 0.25, 0.75)) == "0.5 [0.25, 0.75]"
