"""The figures of a comparison of samples, each with its interval.

Which interval each has, and what it is for, says the table of `evaluation.samples`.
"""

import math

import torch
from torch import Tensor

from latentry.evaluation.proportions import wilson_interval
from latentry.evaluation.sample_gathering import GatheredSample
from latentry.evaluation.sample_report import SampleEstimate
from latentry.numerics.class_score import class_score
from latentry.numerics.frechet import frechet_jackknife
from latentry.numerics.jackknife import half_sample_variance, student_quantile
from latentry.numerics.kernel_distance import kernel_distance
from latentry.numerics.moments import Moments
from latentry.numerics.neighbours import half_sample_neighbour_metrics, neighbour_metrics

__all__ = ["EXACT", "frechet_estimates", "kernel_estimate", "neighbour_estimates", "score_estimate"]

EXACT = math.inf
"""Degrees of freedom of a normal interval."""


def _estimate(value: float, low: float, high: float, level: float, method: str, rows: tuple[int, int]) -> SampleEstimate:
    return SampleEstimate(value, low, high, level, method, *rows)


def frechet_estimates(
    generated: GatheredSample, reference: GatheredSample, level: float
) -> tuple[SampleEstimate, SampleEstimate]:
    found = frechet_jackknife(
        [block for block in generated.blocks if block is not None],
        [block for block in reference.blocks if block is not None],
    )
    half = student_quantile(level, found.freedom) * math.sqrt(found.variance)
    rows = (generated.count, reference.count)
    return (
        _estimate(
            found.value, found.value - half, found.value + half, level, "block jackknife, for samples of this size", rows
        ),
        _estimate(
            found.limit,
            found.limit - half,
            found.limit + half,
            level,
            "block jackknife without its bias, for the distributions",
            rows,
        ),
    )


def kernel_estimate(generated: GatheredSample, reference: GatheredSample, level: float) -> SampleEstimate:
    """The kernel distance of the two distributions."""
    found = kernel_distance(generated.rows, reference.rows)
    half = student_quantile(level, found.freedom) * math.sqrt(found.variance)
    rows = (len(generated.rows), len(reference.rows))
    return _estimate(
        found.value,
        found.value - half,
        found.value + half,
        level,
        "jackknife of the U-statistic, for the distributions",
        rows,
    )


def neighbour_estimates(
    generated: GatheredSample, reference: GatheredSample, neighbours: int, halves: int, level: float, rng: torch.Generator
) -> tuple[SampleEstimate, SampleEstimate, SampleEstimate, SampleEstimate]:
    """Precision, recall, density and coverage."""
    rows = (len(generated.rows), len(reference.rows))
    found = neighbour_metrics(generated.rows, reference.rows, neighbours)
    chosen = [(_half(generated.rows, rng), _half(reference.rows, rng)) for _ in range(halves)]
    of_halves = half_sample_neighbour_metrics(generated.rows, reference.rows, neighbours, chosen)
    quantile = student_quantile(level, halves - 1)

    def error(name: str) -> float:
        values = torch.tensor([getattr(half, name) for half in of_halves], dtype=torch.float64)
        return math.sqrt(half_sample_variance(values))

    def estimate(name: str, trials: int) -> SampleEstimate:
        value, spread = getattr(found, name), error(name)
        if 0 < value < 1 and spread > 0:  # as many independent trials as have this variance, but no more than rows
            effective = min(float(trials), max(1.0, value * (1 - value) / spread**2))
        else:
            effective = float(trials)
        low, high = wilson_interval(value, effective, quantile)
        return _estimate(value, low, high, level, "half-samples, Wilson, for samples of this size", rows)

    precision, recall, coverage = estimate("precision", rows[0]), estimate("recall", rows[1]), estimate("coverage", rows[1])
    if found.density > 0:
        relative, most = quantile * error("density") / found.density, rows[1] / neighbours
        low, high = (found.density * math.exp(min(side, math.log(most / found.density))) for side in (-relative, relative))
    else:  # nothing is inside: as much as precision could still be
        low, high = 0.0, precision.high
    density = _estimate(found.density, low, high, level, "half-samples, logarithmic, for samples of this size", rows)
    return precision, recall, density, coverage


def _half(rows: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randperm(len(rows), generator=rng)[: len(rows) // 2].to(rows.device)


def score_estimate(terms: Moments, level: float) -> SampleEstimate:
    """The score of the class probabilities of generated samples.

    Example:
        >>> from latentry.numerics.class_score import score_terms
        >>> from latentry.numerics.moments import moments
        >>> found = score_estimate(moments(score_terms(torch.eye(2).repeat(500, 1))), 0.95)
        >>> round(found.value, 3)
        2.0
    """
    found = class_score(terms)
    half = student_quantile(level, EXACT) * math.sqrt(found.variance)
    centre, classes = found.log_value - found.bias, len(terms.mean) - 1
    low, high = (min(max(math.exp(centre + side * half), 1.0), float(classes)) for side in (-1, 1))
    return _estimate(
        math.exp(found.log_value), low, high, level, "delta method, logarithmic, for the distribution", (terms.count, 0)
    )
