"""The jackknife on statistics whose bias and variance are known exactly."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from latentry.numerics.jackknife import block_jackknife, half_sample_variance, student_quantile


def leave_out(x: torch.Tensor, sizes: list[int], statistic: str) -> torch.Tensor:
    parts = x.split(sizes)
    rest = [torch.cat([part for k, part in enumerate(parts) if k != j]) for j in range(len(parts))]
    return torch.stack([part.mean() if statistic == "mean" else part.var(correction=0) for part in rest])


def test_for_a_mean_the_bias_is_zero_and_leaving_one_out_gives_its_textbook_variance(rng: torch.Generator) -> None:
    x = torch.randn(30, dtype=torch.float64, generator=rng)
    found = block_jackknife(x.mean().item(), leave_out(x, [1] * 30, "mean"), torch.ones(30, dtype=torch.float64))
    assert_close(found.bias, 0.0, rtol=0, atol=1e-13)
    assert_close(found.variance, x.var().item() / 30)
    assert found.freedom == 29


def test_the_bias_of_the_plug_in_variance_is_taken_off_exactly(rng: torch.Generator) -> None:
    x = torch.randn(30, dtype=torch.float64, generator=rng)
    theta = x.var(correction=0).item()
    found = block_jackknife(theta, leave_out(x, [1] * 30, "variance"), torch.ones(30, dtype=torch.float64))
    assert_close(theta - found.bias, x.var().item())


def test_unequal_blocks_leave_a_mean_without_bias(rng: torch.Generator) -> None:
    x, sizes = torch.randn(30, dtype=torch.float64, generator=rng), [3, 10, 5, 12]
    found = block_jackknife(x.mean().item(), leave_out(x, sizes, "mean"), torch.tensor(sizes, dtype=torch.float64))
    assert_close(found.bias, 0.0, rtol=0, atol=1e-13)
    assert found.variance > 0


def test_means_of_random_halves_vary_as_the_mean_does(rng: torch.Generator) -> None:
    x = torch.randn(100, dtype=torch.float64, generator=rng)
    halves = torch.stack([x[torch.randperm(100, generator=rng)[:50]].mean() for _ in range(4000)])
    assert_close(half_sample_variance(halves), x.var().item() / 100, rtol=0.08, atol=0)


def test_quantiles_are_scipys_and_end_in_the_normal_distribution() -> None:
    assert_close(student_quantile(0.9, 7), float(stats.t.ppf(0.95, 7)))
    assert_close(student_quantile(0.95, float("inf")), float(stats.norm.ppf(0.975)))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_zero_to_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        student_quantile(level, 3)
