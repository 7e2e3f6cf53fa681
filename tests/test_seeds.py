"""Intervals over seeds against scipy, and the seeds that have to match."""

import math

import numpy as np
import pytest
from scipy import stats
from torch.testing import assert_close

from latentry.evaluation.seeds import difference_over_seeds, mean_over_seeds

FIRST = {0: 5.1, 1: 4.0, 2: 6.2, 5: 5.5}
SECOND = {5: 5.0, 2: 5.9, 1: 3.4, 0: 4.8}


def test_the_interval_of_a_mean_is_scipys() -> None:
    found = mean_over_seeds(FIRST, level=0.9)
    expected = stats.ttest_1samp(list(FIRST.values()), 0).confidence_interval(0.9)
    assert_close((found.value, found.low, found.high), (5.2, float(expected.low), float(expected.high)))
    assert found.seeds == (0, 1, 2, 5)
    assert not found.paired


def test_differences_are_paired_by_seed_whatever_the_order() -> None:
    found = difference_over_seeds(FIRST, SECOND)
    pairs = np.array([(FIRST[seed], SECOND[seed]) for seed in FIRST])
    expected = stats.ttest_rel(pairs[:, 0], pairs[:, 1]).confidence_interval(0.95)
    assert_close((found.low, found.high), (float(expected.low), float(expected.high)))
    assert found.paired
    unpaired = stats.ttest_ind(pairs[:, 0], pairs[:, 1]).confidence_interval(0.95)
    assert found.high - found.low < 0.3 * (unpaired.high - unpaired.low)  # the seeds share most of what varies


def test_it_holds_the_mean_of_few_seeds_as_often_as_it_says() -> None:
    """400 replicates of three normal values at 95 %: outside 362 to 396 hits has probability 0.0003."""
    draws = np.random.default_rng(0).normal(2.0, 3.0, (400, 3))
    found = [mean_over_seeds(dict(enumerate(row))) for row in draws.tolist()]
    assert 362 <= sum(one.low <= 2.0 <= one.high for one in found) <= 396


def test_seeds_that_only_one_side_has_are_named() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\] and \[0, 2\]"):
        difference_over_seeds({0: 1.0, 1: 2.0}, {0: 1.0, 2: 2.0})


@pytest.mark.parametrize("values", [{}, {3: 1.0}, {0: 1.0, 1: math.nan}])
def test_one_seed_or_a_missing_value_gives_no_interval(values: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="at least two seeds"):
        mean_over_seeds(values)
