"""The Inception-style score at its ends, on a known distribution, and its interval."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.class_score import ClassScore, class_score, score_terms
from latentry.numerics.moments import merge_moments, moments

ROWS = torch.tensor([[0.7, 0.2, 0.1, 0.0], [0.1, 0.8, 0.1, 0.0], [0.3, 0.3, 0.4, 0.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def score(probabilities: Tensor) -> ClassScore:
    return class_score(moments(score_terms(probabilities)))


def log_score_of_distribution(rows: Tensor, weights: Tensor) -> float:
    mean = weights @ rows
    return (weights[:, None] * (torch.xlogy(rows, rows) - torch.xlogy(rows, mean))).sum().item()


def test_equal_rows_score_one_and_even_sure_ones_the_number_of_classes() -> None:
    assert_close(math.exp(score(ROWS[:1].expand(9, 4)).log_value), 1.0)
    assert_close(math.exp(score(torch.eye(4).repeat(5, 1)).log_value), 4.0)


def test_a_class_never_predicted_changes_nothing() -> None:
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], dtype=torch.float64)
    with_empty = torch.cat([p, torch.zeros(3, 1, dtype=torch.float64)], 1)
    a, b = score(p), score(with_empty)
    assert_close((b.log_value, b.bias, b.variance), (a.log_value, a.bias, a.variance))


def test_it_is_the_mean_divergence_from_the_mean_and_its_variance_that_of_the_divergences(rng: torch.Generator) -> None:
    p = torch.randn(50, 6, dtype=torch.float64, generator=rng).softmax(1)
    divergences = (p * (p / p.mean(0)).log()).sum(1)
    found = score(p)
    assert_close(found.log_value, divergences.mean().item())
    assert_close(found.variance, divergences.var().item() / 50)


def test_it_streams(rng: torch.Generator) -> None:
    terms = score_terms(torch.randn(50, 6, dtype=torch.float64, generator=rng).softmax(1))
    merged = class_score(merge_moments(moments(terms[:20]), moments(terms[20:])))
    whole = class_score(moments(terms))
    assert_close((merged.log_value, merged.variance), (whole.log_value, whole.variance))


@pytest.mark.parametrize("distribution", ["overlapping classes", "sure and even"])
def test_the_interval_holds_the_score_of_the_distribution(distribution: str, rng: torch.Generator) -> None:
    """300 replicates at 95 %: 270 hits or fewer have probability 0.0003."""
    rows, weights = (
        (ROWS, WEIGHTS)
        if distribution == "overlapping classes"
        else (torch.eye(4).double(), torch.full((4,), 0.25).double())
    )
    truth = log_score_of_distribution(rows, weights)
    hits, widths, values = 0, [], []
    for _ in range(300):
        found = score(rows[torch.multinomial(weights, 400, replacement=True, generator=rng)])
        half = 1.96 * math.sqrt(found.variance)
        hits += abs(found.log_value - found.bias - truth) <= half
        widths.append(half)
        values.append(found.log_value)
    assert hits >= 271
    assert sum(widths) / 300 < 1.96 * 1.7 * torch.tensor(values).std().item()


def test_with_many_classes_the_bias_is_most_of_the_error_and_is_taken_off(rng: torch.Generator) -> None:
    classes, n = 100, 1000
    found = [score(torch.eye(classes).double()[torch.randint(classes, (n,), generator=rng)]) for _ in range(20)]
    error = sum(one.log_value for one in found) / 20 - math.log(classes)
    assert_close(error, -(classes - 1) / (2 * n), rtol=0.1, atol=0)
    assert_close(sum(one.bias for one in found) / 20, error, rtol=0.1, atol=0)


@pytest.mark.parametrize("bad", [[[0.5, 0.6]], [[1.5, -0.5]], [[math.nan, 1.0]], [[2.0, -1.0]]])
def test_what_is_no_probability_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="softmax"):
        score_terms(torch.tensor(bad))
