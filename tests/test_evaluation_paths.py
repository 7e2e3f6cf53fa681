"""Paths between codes: which rules leave which prior, and what a linear generator makes of that."""

import inspect
import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.evaluation.paths import PathPoint, evaluate_paths, path_codes, rejected_codes
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    Normal,
    NormalMixture,
    RadialPrior,
    SphericalCauchy,
    Uniform,
    interpolate,
)
from latentry.priors.univariate import UniformDistribution

T = (0.1, 0.25, 0.5)
PRIORS = [Normal(256), Uniform(256), HalfUniformHalfNormal(256)]


def rejections(prior: IIDPrior, rng: torch.Generator) -> dict[tuple[str | None, float | None], float]:
    rows = evaluate_paths(lambda z: z, prior, t=T, count=500, rng=rng)
    return {(row.rule, row.t): row.rejected.value for row in rows}


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_transport_alone_keeps_every_prior_at_every_step(prior: IIDPrior, rng: torch.Generator) -> None:
    share = rejections(prior, rng)
    for t in T:  # of 500 true samples 9 to 43 are rejected, with probability 0.9995
        assert 0.018 <= share["transport", t] <= 0.086
    assert 0.018 <= share[None, None] <= 0.086
    assert share["lerp", 0.5] > 0.9
    assert share["lerp", 0.1] < share["lerp", 0.25] < share["lerp", 0.5]


def test_the_middle_of_normal_codes_is_kept_by_slerp_and_the_variance_correction(rng: torch.Generator) -> None:
    share = rejections(Normal(256), rng)
    assert share["slerp", 0.5] < 0.086
    assert share["variance-corrected", 0.5] == share["transport", 0.5]


def test_the_middle_of_uniform_codes_is_kept_by_transport_alone(rng: torch.Generator) -> None:
    share = rejections(Uniform(256), rng)
    assert share["transport", 0.5] < 0.086 < 0.2 < share["slerp", 0.5] < 0.4 < share["lerp", 0.5]
    assert share["variance-corrected", 0.5] > 0.2


RADIAL = [SphericalCauchy(64), GammaRadius(64), RadialPrior(64, UniformDistribution(0.5, 1.0))]


@pytest.mark.parametrize("prior", RADIAL, ids=["cauchy", "gamma", "uniform"])
def test_transport_keeps_a_radial_prior(prior: RadialPrior, rng: torch.Generator) -> None:
    rows = evaluate_paths(lambda z: z, prior, t=(0.25, 0.5), combinations=[(-1.0, 1.0, 1.0)], count=500, rng=rng)
    share = {(row.rule, row.weights): row.rejected.value for row in rows}
    for weights in ((0.75, 0.25), (0.5, 0.5), (-1.0, 1.0, 1.0)):
        assert 0.018 <= share["transport", weights] <= 0.086
    assert 0.018 <= share[None, (1.0,)] <= 0.086
    if isinstance(prior, SphericalCauchy):  # where a straight line is transport already
        assert share["lerp", (0.5, 0.5)] == share["transport", (0.5, 0.5)]
        assert share["variance-corrected", (0.5, 0.5)] > 0.018


def mixture() -> NormalMixture:
    loc = torch.zeros(2, 64)
    loc[1] = 6.0
    return NormalMixture(loc, torch.stack([torch.ones(64), torch.full((64,), 2.0)]))


def test_transport_keeps_a_labelled_prior_within_its_components_alone(rng: torch.Generator) -> None:
    prior = mixture()

    def middle(labels: str) -> dict[str | None, float]:
        rows = evaluate_paths(lambda z: z, prior, t=(0.5,), count=500, labels=labels, rng=rng)  # type: ignore[arg-type]
        return {row.rule: row.rejected.value for row in rows}

    within, between = middle("same"), middle("independent")
    assert 0.018 <= within[None] <= 0.086
    assert 0.018 <= between[None] <= 0.086
    assert 0.018 <= within["transport"] <= 0.086
    assert within["slerp"] < 0.12 < within["lerp"]
    assert 0.4 < between["transport"] < 0.65  # half of all pairs are of two components


def test_codes_of_a_labelled_path_carry_their_label_while_they_have_one(rng: torch.Generator) -> None:
    prior = mixture()
    for codes in path_codes(prior, t=(0.5,), count=40, rng=rng):
        assert codes.y is not None
        assert torch.equal(prior.label_log_probs(codes.z).argmax(1), codes.y)
    at_prior, *paths = path_codes(prior, t=(0.5,), count=40, labels="independent", rng=rng)
    assert at_prior.y is not None
    assert {codes.y for codes in paths} == {None}


def variance_ratio(generated: Tensor, reference: Tensor) -> float:
    return (generated.var() / reference.var()).item()


def test_a_metric_sees_the_variance_that_a_linear_generator_loses(rng: torch.Generator) -> None:
    """Var((1 - t) z + t z') = (1 - t)^2 + t^2, beyond the ends and for any combination too."""
    prior, matrix = Normal(64), torch.randn(64, 12)
    reference = prior.sample(4000, rng=rng) @ matrix
    combinations = [(1 / 3, 1 / 3, 1 / 3), (-1.0, 1.0, 1.0)]
    rows = evaluate_paths(
        lambda z: z @ matrix,
        prior,
        reference=reference,
        t=(0.5, 1.5),
        combinations=combinations,
        metric=variance_ratio,
        count=4000,
        rng=rng,
    )
    assert [row.t for row in rows][:3] == [None, 0.5, 1.5]
    assert len(rows) == 1 + 3 * 4 + 2  # slerp joins two codes only
    for row in rows:
        expected = sum(w * w for w in row.weights) if row.rule == "lerp" else 1.0
        assert row.samples is not None
        assert_close(row.samples, expected, rtol=0.06, atol=0)


def test_each_row_uses_the_same_codes() -> None:
    prior = Uniform(8)
    sets = list(path_codes(prior, rules=("lerp", "transport"), t=(0.0, 0.3, 1.0), count=5))
    at_prior, lerp_0, lerp, lerp_1, transport_0, transport, _ = (codes.z for codes in sets)
    assert torch.equal(at_prior, lerp_0)
    assert torch.equal(at_prior, transport_0)
    assert torch.equal(transport, interpolate(at_prior, lerp_1, 0.3, prior))
    assert torch.equal(lerp, interpolate(at_prior, lerp_1, 0.3, prior, "lerp"))


def test_equal_seeds_give_equal_rows_and_batches_change_nothing() -> None:
    generator = nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.5))  # held in eval mode, or two runs would differ

    def run(batch_size: int) -> tuple[PathPoint[Tensor], ...]:
        rng = torch.Generator().manual_seed(3)
        return evaluate_paths(
            generator,
            Normal(8),
            reference=torch.zeros(1),
            metric=lambda x, y: x + y,
            count=20,
            batch_size=batch_size,
            rng=rng,
        )

    for first, second in zip(run(20), run(7), strict=True):
        assert first.rejected == second.rejected
        assert_close(first.samples, second.samples)
    assert generator.training
    assert run(20)[0].samples.grad_fn is None  # type: ignore[union-attr]


def test_without_a_metric_only_codes_are_judged() -> None:
    def generator(z: Tensor) -> Tensor:
        raise AssertionError("asked for data")

    assert {row.samples for row in evaluate_paths(generator, Normal(8), count=4)} == {None}


def test_a_code_of_equal_elements_is_rejected_and_a_true_one_is_not() -> None:
    quantiles = torch.special.ndtri((torch.arange(64) + 0.5) / 64)
    found = rejected_codes(torch.stack([quantiles, torch.zeros(64)]), Normal(64))
    assert (found.value, found.trials) == (0.5, 2)


def test_an_unknown_choice_of_labels_is_named() -> None:
    with pytest.raises(ValueError, match="labels among"):
        next(inspect.unwrap(path_codes)(Normal(4), labels="other"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count >= 1"),
        ({"rules": ()}, "at least one rule"),
        ({"combinations": [()]}, "at least one weight"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"t": (math.nan,)}, "finite"),
        ({"combinations": [(0.0, 0.0)]}, "not all zero"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_paths(lambda z: z, Normal(4), **arguments)  # type: ignore[arg-type]
