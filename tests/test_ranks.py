"""Ranks against brute force and scikit-learn, and an interval that keeps its level."""

import math

import pytest
import torch
from scipy.special import ndtr, ndtri
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.ranks import conformal_p_value, roc_auc


@pytest.mark.parametrize("levels", [4, 10**6], ids=["many ties", "no ties"])
def test_the_area_is_that_of_scikit_learn(levels: int, rng: torch.Generator) -> None:
    positive = torch.randint(1, levels + 1, (40,), generator=rng).double()
    negative = torch.randint(0, levels, (25,), generator=rng).double()
    truth = [1] * 40 + [0] * 25
    assert_close(roc_auc(positive, negative).value, roc_auc_score(truth, torch.cat([positive, negative]).numpy()))


def test_the_interval_holds_the_area_of_two_normal_distributions_as_often_as_it_says(rng: torch.Generator) -> None:
    """300 replicates at 95 %: fewer than 273 or more than 297 hits have probability 0.002 each at most."""
    shift = 1.5
    area = float(ndtr(shift / math.sqrt(2)))
    found = [roc_auc(torch.randn(30, generator=rng) + shift, torch.randn(50, generator=rng)) for _ in range(300)]
    assert 273 <= sum(one.low <= area <= one.high for one in found) <= 297


def test_one_score_of_each_kind_has_the_interval_of_wilson() -> None:
    q = float(ndtri(0.975))
    found = roc_auc(torch.tensor([1.0]), torch.tensor([0.0]))
    assert_close((found.value, found.low, found.high), (1.0, 1 / (1 + q**2), 1.0))


def test_parted_scores_keep_an_interval_that_shrinks_with_their_number() -> None:
    ends = [roc_auc(torch.full((n,), math.inf), torch.zeros(n)).low for n in (5, 50, 500)]
    assert 0.5 < ends[0] < 0.8 < ends[1] < 0.97 < ends[2] < 1


def test_exchanging_the_samples_mirrors_area_and_interval(rng: torch.Generator) -> None:
    x, y = torch.randn(12, generator=rng, dtype=torch.float64) + 1, torch.randn(7, generator=rng, dtype=torch.float64)
    one, other = roc_auc(x, y, 0.9), roc_auc(y, x, 0.9)
    assert_close((one.value, one.low, one.high), (1 - other.value, 1 - other.high, 1 - other.low))


def test_a_conformal_p_value_counts_known_scores_that_are_as_high(rng: torch.Generator) -> None:
    known = torch.randint(0, 6, (19,), generator=rng).double()
    score = torch.tensor([-math.inf, 0.0, 2.0, 2.5, 5.0, math.inf], dtype=torch.float64)
    by_hand = [(1 + sum(one >= s for one in known.tolist())) / 20 for s in score.tolist()]
    assert conformal_p_value(score, known).tolist() == by_hand
    assert by_hand[0] == 1
    assert by_hand[-1] == 1 / 20


@pytest.mark.parametrize(
    ("positive", "level", "message"),
    [
        (torch.zeros(0), 0.95, "got 0 positive and 2 negative"),
        (torch.tensor([math.nan]), 0.95, "without NaN"),
        (torch.ones(1), 1.0, r"level in \(0, 1\), got 1"),
    ],
)
def test_bad_scores_are_named(positive: Tensor, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        roc_auc(positive, torch.zeros(2), level)
