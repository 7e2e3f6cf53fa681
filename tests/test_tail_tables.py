"""A tabulated distribution against the distribution."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from latentry.numerics.tail_tables import tail_table

LOG_X = np.linspace(-3, 5, 200)


def test_both_tails_of_a_table_are_accurate_relative_to_themselves() -> None:
    distribution = stats.gamma(3)
    table = tail_table(LOG_X, distribution.sf(np.exp(LOG_X)), distribution.cdf(np.exp(LOG_X)))
    x = torch.linspace(0.06, 140, 1001, dtype=torch.float64)
    assert_close(table.sf(x).numpy(), distribution.sf(x.numpy()), rtol=1e-5, atol=0)
    assert_close(table.cdf(x).numpy(), distribution.cdf(x.numpy()), rtol=1e-5, atol=0)


def test_beyond_its_ends_a_table_keeps_its_value() -> None:
    distribution = stats.gamma(3)
    table = tail_table(LOG_X, distribution.sf(np.exp(LOG_X)), distribution.cdf(np.exp(LOG_X)))
    x = torch.tensor([0.0, 1e9], dtype=torch.float64)
    assert_close(table.cdf(x)[0].item(), float(distribution.cdf(np.exp(-3))))
    assert_close(table.sf(x)[1].item(), float(distribution.sf(np.exp(5))))


def test_a_tail_that_rises_is_refused() -> None:
    rising = np.linspace(0.1, 0.9, 200)
    with pytest.raises(ValueError, match="to fall"):
        tail_table(LOG_X, rising, 1 - rising)
