"""Edits whose success and harm are known beforehand."""

import inspect
import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.evaluation.matched_strength import match_success
from latentry.evaluation.operators import evaluate_operator, prior_kept, reversibility
from latentry.latent.operators import rotate, translate
from latentry.priors import Normal


def measure(x: Tensor) -> dict[str, Tensor]:
    """Data are (label, style, noise), one column each."""
    return {"style": x[:, 1], "noise": x[:, 2]}


def reads(x: Tensor) -> Tensor:
    """Logits of labels 0, 1, 2 from the first column."""
    return -(x[:, :1] - torch.arange(3.0)).square()


def data(rng: torch.Generator, n: int = 300) -> tuple[Tensor, Tensor, Tensor]:
    """Data, their labels, and others that they are to get."""
    y = torch.arange(n) % 3
    x = torch.cat([y[:, None].float(), torch.randn(n, 2, generator=rng)], 1)
    x[:, 1] += 5 * y  # style goes with the label
    return x, y, (y + 1) % 3


def relabelled(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """The ideal edit: the label and what goes with it are changed, what tells data of one label apart is kept."""
    edited = x.clone()
    edited[:, 0] = target
    edited[:, 1] += 5 * (target - y)
    return edited


def test_the_ideal_edit_succeeds_and_keeps_all_within_labels(rng: torch.Generator) -> None:
    x, y, target = data(rng)
    report = evaluate_operator(reads, x, relabelled(x, y, target), y, target, measure=measure, extractor=lambda x: x[:, 1:])
    assert report.success.value == 1
    assert {name: kept.value for name, kept in report.identity.items()} == pytest.approx({"style": 1, "noise": 1})
    assert report.feature_distance is not None
    assert report.feature_distance.value == pytest.approx(0, abs=1e-12)
    assert report.leakage.shifts[1].magnitude.value == 0
    assert report.measured.value == 1


def test_an_edit_that_draws_anew_keeps_nothing_although_labels_alone_would_correlate(rng: torch.Generator) -> None:
    x, y, _ = data(rng)
    anew = x[torch.randperm(100, generator=rng).repeat_interleave(3) * 3 + y]  # another of the same label
    report = evaluate_operator(reads, x, anew, y, y, measure=measure, extractor=lambda x: x[:, 1:])
    assert torch.corrcoef(torch.stack([x[:, 1], anew[:, 1]]))[0, 1] > 0.9
    assert all(kept.low < 0 < kept.high for kept in report.identity.values())
    assert report.feature_distance is not None
    assert report.feature_distance.low < 1 < report.feature_distance.high


def test_identity_is_the_correlation_put_in_and_its_interval_covers_it(rng: torch.Generator) -> None:
    inside = 0
    for _ in range(60):
        x, y, target = data(rng, 90)
        edited = relabelled(x, y, target)
        edited[:, 2] = 0.6 * x[:, 2] + 0.8 * torch.randn(90, generator=rng)
        kept = evaluate_operator(reads, x, edited, y, target, measure=measure).identity["noise"]
        inside += kept.low <= 0.6 <= kept.high
    assert inside >= 52  # 57 expected, below this 1 in 100


def test_the_fewer_succeed_the_lower_the_success(rng: torch.Generator) -> None:
    x, y, target = data(rng)
    edited = relabelled(x, y, target)
    edited[:75] = x[:75]
    assert evaluate_operator(reads, x, edited, y, target, measure=measure).success.value == 0.75


def test_repeated_codes_widen_every_interval(rng: torch.Generator) -> None:
    x, y, target = data(rng)
    edited = relabelled(x, y, target) + 0.3 * torch.randn(x.shape, generator=rng)
    narrow, wide = (
        evaluate_operator(reads, x, edited, y, target, measure=measure, extractor=lambda x: x, variance_inflation=factor)
        for factor in (1.0, 4.0)
    )
    for a, b in [*zip(narrow.identity.values(), wide.identity.values(), strict=True), (narrow.success, wide.success)]:
        assert b.value == a.value
        assert b.high - b.low > a.high - a.low


def test_data_without_attributes_are_counted_and_left_out(rng: torch.Generator) -> None:
    x, y, target = data(rng)
    edited = relabelled(x, y, target)
    edited[:30, 1] = math.nan
    report = evaluate_operator(reads, x, edited, y, target, measure=measure)
    assert report.measured.value == 0.9
    assert report.identity["style"].value == pytest.approx(1)
    assert report.success.value == 1


def test_an_edit_to_one_and_the_same_datum_keeps_nothing(rng: torch.Generator) -> None:
    x, y, target = data(rng)
    same = torch.stack([target.float(), torch.ones(300), torch.ones(300)], 1)
    kept = evaluate_operator(reads, x, same, y, target, measure=measure).identity["noise"]
    assert (kept.value, kept.low, kept.high) == (0, -1, 1)


def test_a_rotation_keeps_the_prior_and_a_translation_does_not(rng: torch.Generator) -> None:
    z, plane = torch.randn(256, 16, generator=rng), torch.eye(16)[:2]
    turned = prior_kept(z, rotate(z, plane, 1.0), Normal(16))
    assert turned.norm_error < 1e-5
    assert turned.before.passes
    assert turned.after.passes
    moved = prior_kept(z, translate(z, plane[0], 4.0), Normal(16))
    assert moved.norm_error > 0.3
    assert not moved.after.passes


def test_there_and_back_by_a_rotation_is_where_one_was(rng: torch.Generator) -> None:
    z, plane = torch.randn(50, 3, generator=rng), torch.eye(3)[:2]
    y = reads(z).argmax(1)
    back = rotate(rotate(z, plane, 1.0), plane, -1.0)
    found = reversibility(reads, z, back, y, z, back)
    assert found.code_error.value < 1e-6
    assert found.image_error.value < 1e-12
    assert found.label_back.value == 1


def test_the_errors_of_a_way_back_that_misses_by_a_tenth() -> None:
    z = torch.eye(3)
    found = reversibility(reads, z, z + 0.1, torch.tensor([1, 0, 0]), z, 1.1 * z)
    assert_close(found.code_error.value, 0.1)
    assert_close(found.image_error.value, 0.01)
    assert found.label_back.value == 1


def test_the_matched_strength_is_the_least_with_the_success() -> None:
    thresholds = torch.arange(1, 101) / 10.0  # the i-th of 100 codes succeeds from i / 10 on
    found = match_success(lambda strength: strength >= thresholds, 0.8, 0.0, 20.0, halvings=12)
    assert found.reached
    assert found.strength == pytest.approx(8.0, abs=0.01)
    assert found.strength >= 8.0
    assert found.success == 0.8
    assert found.tried == tuple(sorted(found.tried))


def test_success_that_falls_again_is_met_on_its_way_up() -> None:
    found = match_success(lambda angle: torch.full((10,), math.sin(angle) > 0.9), 1.0, 0.0, math.pi, halvings=12)
    assert found.strength == pytest.approx(math.asin(0.9), abs=1e-3)


def test_a_success_out_of_reach_is_said_so_and_the_best_is_given() -> None:
    found = match_success(lambda angle: torch.arange(100) < 80 * math.sin(angle), 0.95, 0.0, math.pi)
    assert not found.reached
    assert found.strength == pytest.approx(math.pi / 2)
    assert found.success == 0.8


def test_a_success_without_any_strength_is_found_at_the_least() -> None:
    assert match_success(lambda _: torch.ones(4, dtype=torch.bool), 0.9, 0.5, 1.0).strength == 0.5


def test_bad_input_is_refused(rng: torch.Generator) -> None:
    x, y, target = data(rng, 30)
    with pytest.raises(ValueError, match="as many data before and after"):
        inspect.unwrap(evaluate_operator)(reads, x, x[1:], y, target, measure=measure)
    with pytest.raises(ValueError, match="edit more codes"):
        evaluate_operator(reads, x[:3], x[:3], y[:3], target[:3], measure=measure)
    with pytest.raises(ValueError, match="low < high"):
        match_success(lambda _: torch.ones(4, dtype=torch.bool), 0.9, 1.0, 1.0)
    with pytest.raises(ValueError, match="other than 0"):
        prior_kept(torch.zeros(4, 8), torch.ones(4, 8), Normal(8))
