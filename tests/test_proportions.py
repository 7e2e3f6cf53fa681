"""Wilson intervals against scipy, and at the ends."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from latentry.evaluation.proportions import share


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (987, 1000)])
def test_the_interval_is_scipys(successes: int, trials: int) -> None:
    found = share(torch.arange(trials) < successes)
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert_close((found.low, found.high), (float(expected.low), float(expected.high)))
    assert found.value == successes / trials


def test_trials_counted_twice_have_the_interval_of_those_counted_once() -> None:
    successes = torch.arange(50) < 17
    once, twice = share(successes), share(successes.repeat(2), variance_inflation=2.0)
    assert_close((twice.value, twice.low, twice.high), (once.value, once.low, once.high))


def test_no_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        share(torch.zeros(0, dtype=torch.bool))
