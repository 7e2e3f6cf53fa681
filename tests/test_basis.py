"""Reports of bases whose every number follows by hand: a linear classifier, axes, and what is not axes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.testing import assert_close

from latentry.evaluation.basis import coefficient_ranks, evaluate_basis, label_map, rank_shares, spectral_calibration
from latentry.evaluation.basis_report import BasisReport

K, D, LENGTH = 4, 12, 5.0
PROBES = {"logistic": LogisticRegression(max_iter=200)}


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def largest(z: Tensor) -> Tensor:
    """Logits of a classifier for which the label is the largest of the first K elements."""
    return 4 * z[:, :K]


def codes(n: int = 400) -> tuple[Tensor, Tensor]:
    z = torch.randn(n, D, generator=seeded(1))
    return z, z[:, :K].argmax(1)


def report(vectors: Tensor, classify: Callable[[Tensor], Tensor] = largest, **settings: Any) -> BasisReport:
    z, y = codes()
    coefficients = z @ torch.linalg.pinv(vectors)
    settings = {"num_labels": K, "null_draws": 40, "folds": 3, "probes": PROBES, "rng": seeded()} | settings
    return evaluate_basis(vectors, z, coefficients, y, classify, **settings)


@pytest.fixture(scope="module")
def axes() -> BasisReport:
    return report(LENGTH * torch.eye(D), label_means=torch.eye(K, D))


def test_axes_show_their_labels_and_their_negatives_never_do(axes: BasisReport) -> None:
    assert axes.one_to_one
    assert axes.mapped.value == axes.distinct == 1
    assert axes.mapped_reversed.value == 0
    assert axes.plus.label[:K].tolist() == list(range(K))
    assert axes.probability > 0.99
    assert not (axes.minus.label[:K] == torch.arange(K)).any()


def test_directions_that_the_classifier_does_not_see_show_a_label_without_confidence(axes: BasisReport) -> None:
    assert_close(axes.plus.probability[K:], torch.full((D - K,), 1 / K, dtype=torch.float64))
    assert axes.complement_probability == pytest.approx(1 / K)


def test_a_permuted_basis_is_distinct_and_not_mapped() -> None:
    rows = LENGTH * torch.eye(D)
    rows[:K] = rows[:K].roll(1, 0)
    found = report(rows)
    assert (found.mapped.value, found.distinct, found.one_to_one) == (0, 1, False)
    assert found.plus.label[:K].tolist() == [3, 0, 1, 2]


def test_a_label_that_two_rows_show_is_counted_once() -> None:
    rows = LENGTH * torch.eye(D)
    rows[1] = torch.eye(D)[0] + torch.eye(D)[K]
    found = report(rows)
    assert (found.mapped.value, found.distinct) == (0.75, 0.75)


def test_random_rows_are_mapped_as_often_as_chance_has_it(axes: BasisReport) -> None:
    null = axes.null
    assert null.mapped.value == pytest.approx(1 / K, abs=4 * (0.25 * 0.75 / (null.draws * K)) ** 0.5)
    assert null.signed_first.value == pytest.approx(1 / D, abs=0.05)
    assert null.energy.value == pytest.approx(K / D, abs=0.05)
    assert null.mapped.low <= null.mapped.value <= null.mapped.high < 1


def test_a_random_basis_lies_in_its_null() -> None:
    rows = torch.linalg.qr(torch.randn(D, D, generator=seeded(77))).Q.mT
    found = report(LENGTH * rows)
    for value, band in ((found.mapped.value, found.null.mapped), (found.energy.value, found.null.energy)):
        assert band.low <= value <= band.high


def test_random_rows_point_either_way() -> None:
    """A QR decomposition alone would give the first row a sign of its own."""
    rows = report(LENGTH * torch.eye(D), classify=lambda z: torch.stack([z[:, 0], -z[:, 0]], 1).repeat(1, 2), null_draws=200)
    assert rows.null.mapped.value == pytest.approx(0.25, abs=0.05)


def test_ranks_count_coefficients_at_least_as_large() -> None:
    c = torch.tensor([[3.0, 1.0, -5.0], [3.0, 1.0, -5.0], [2.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    y = torch.tensor([0, 1, 1, 0])
    assert coefficient_ranks(c, y).tolist() == [1, 2, 2, 3]
    assert coefficient_ranks(c, y, signed=False).tolist() == [2, 3, 2, 3]


def test_shares_of_ranks_are_those_of_the_codes() -> None:
    c = torch.tensor([[5.0, 4.0, 3.0, 2.0]]).expand(4, -1)
    found = rank_shares(c, torch.arange(4), signed=True, num_labels=5)
    assert found.rank.tolist() == [1, 2, 3, 4]
    assert (found.first.value, found.top_three.value) == (0.25, 0.75)
    assert [None if one is None else one.value for one in found.first_by_label] == [1.0, 0.0, 0.0, 0.0, None]


def test_the_label_is_the_largest_coefficient_of_its_own_axes(axes: BasisReport) -> None:
    """Labels are the largest of the first k coordinates: first among all d only where none of the others is larger."""
    z, y = codes()
    assert axes.calibration.accuracy.value == 1
    assert axes.signed.first.value == (z.argmax(1) == y).double().mean().item()
    assert axes.absolute.first.value == (z.abs().argmax(1) == y).double().mean().item()


def test_energy_and_variance_of_isotropic_codes_are_shared_by_dimension(axes: BasisReport) -> None:
    z, _ = codes()
    assert axes.energy.value == pytest.approx((z[:, :K].square().sum() / z.square().sum()).item())
    assert axes.energy.low <= K / D <= axes.energy.high
    assert axes.capture.isotropic_variance == K / D
    assert axes.capture.labels is not None
    assert axes.capture.labels.low > 1  # coordinates that tell nothing only confuse a probe of few codes


def test_the_shape_of_a_basis_is_that_of_its_rows(axes: BasisReport) -> None:
    assert axes.condition_number == pytest.approx(1)
    assert axes.overlap == 0
    assert axes.alignment is not None
    assert_close(axes.alignment, torch.ones(K))
    slanted = LENGTH * torch.eye(D)
    slanted[1] = torch.eye(D)[0] + torch.eye(D)[1]
    found = report(slanted, label_means=torch.eye(K, D))
    assert found.overlap == pytest.approx(0.5**0.5)
    assert found.condition_number == pytest.approx(torch.linalg.cond(slanted.double()).item())
    assert found.alignment is not None
    assert found.alignment[1].item() == pytest.approx(0.5**0.5)


def test_a_long_vector_pulls_every_sample_and_one_that_is_not_seen_pulls_none() -> None:
    samples, labels = codes()
    vectors = torch.stack([100 * torch.eye(D)[2], torch.eye(D)[K]])
    pull = label_map(vectors, largest, samples).pull
    assert pull is not None
    assert pull[0] == 1
    assert pull[1].item() == pytest.approx((labels == label_map(vectors, largest).label[1]).double().mean().item())


def test_labels_drawn_from_a_softmax_give_back_its_temperature() -> None:
    c = 3 * torch.randn(20_000, 5, generator=seeded())
    y = (c / 1.7).softmax(1).multinomial(1, generator=seeded(8)).flatten()
    found = spectral_calibration(c, y, rng=seeded())
    assert found.temperature == pytest.approx(1.7, rel=0.05)
    assert found.error < 0.02


def test_answers_that_are_surer_than_right_are_not_calibrated() -> None:
    """Half of the codes are sure and right, half as sure and wrong: a temperature can but make all of them even."""
    c = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(200, 1)
    y = torch.tensor([0, 0]).repeat(200)
    found = spectral_calibration(c, y, rng=seeded())
    assert found.accuracy.low <= 0.5 <= found.accuracy.high
    assert found.error < 0.1


def test_a_basis_of_its_labels_alone_has_no_complement() -> None:
    found = report(LENGTH * torch.eye(D)[:K])
    assert found.complement_mapped is None
    assert found.complement_probability is None


def test_equal_seeds_give_equal_reports(axes: BasisReport) -> None:
    again = report(LENGTH * torch.eye(D), label_means=torch.eye(K, D))
    assert again.null == axes.null
    assert again.capture.labels == axes.capture.labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_labels": D + 1}, "rows"),
        ({"num_labels": 1}, "num_labels"),
        ({"null_draws": 1}, "null_draws"),
        ({"y": torch.full((400,), K)}, "labels 0 .. 3"),
        ({"z": torch.full((400, D), torch.nan)}, "finite"),
        ({"vectors": torch.zeros(D, D)}, "other than 0"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    z, y = codes()
    arguments: dict[str, Any] = {"vectors": torch.eye(D), "z": z, "coefficients": z, "y": y, "num_labels": K}
    with pytest.raises(ValueError, match=message):
        evaluate_basis(classify=largest, **{**arguments, **change})
