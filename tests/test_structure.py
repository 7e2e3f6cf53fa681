"""Probes, edits, directions and subspaces whose answers are known beforehand."""

import inspect
import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.evaluation.edit_leakage import edit_leakage
from latentry.evaluation.monotonicity import monotonicity
from latentry.evaluation.probe_fitting import default_probes
from latentry.evaluation.probes import probe_accuracy
from latentry.evaluation.subspace import subspace_capture
from latentry.numerics.interval import Interval

LINEAR = {"logistic": LogisticRegression()}
NEAREST = {"neighbours": KNeighborsClassifier(5)}


def two_gaussians(n: int, d: int, distance: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two even classes at this distance along the first axis: the best possible accuracy is Phi(distance / 2)."""
    y = torch.arange(n) % 2
    z = torch.randn(n, d, generator=rng)
    z[:, 0] += distance * (y - 0.5)
    return z, y


def phi(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("distance", [0.5, 2.0, 4.0])
def test_probes_of_two_gaussians_reach_the_bayes_accuracy(distance: float, rng: torch.Generator) -> None:
    found = probe_accuracy(*two_gaussians(500, 3, distance, rng), rng=rng)
    assert found.accuracy.low <= phi(distance / 2) <= found.accuracy.high
    assert found.chance == 0.5
    assert found.shuffled.low <= 0.5 <= found.shuffled.high
    assert set(found.by_probe) == set(found.chosen) | set(default_probes(300, 0))
    assert len(found.chosen) == 5


@pytest.mark.parametrize("probes", [LINEAR, NEAREST], ids=str)
def test_the_interval_covers_chance_where_labels_are_independent(probes: dict[str, object], rng: torch.Generator) -> None:
    """An accuracy above chance for nothing is rarer than 2.5 %, although probes are made from each other's codes."""
    y = torch.arange(80) % 2
    found = [probe_accuracy(torch.randn(80, 8, generator=rng), y, probes=probes, rng=rng) for _ in range(80)]
    assert sum(each.accuracy.low <= 0.5 <= each.accuracy.high for each in found) >= 73  # 3.5 % at exactly 95 %
    assert sum(each.shuffled.low <= 0.5 <= each.shuffled.high for each in found) >= 73


def test_a_label_that_no_line_can_read_is_read_by_another_probe(rng: torch.Generator) -> None:
    z = torch.randn(600, 2, generator=rng)
    y = (z[:, 0] * z[:, 1] > 0).long()
    found = probe_accuracy(z, y, rng=rng)
    assert found.by_probe["logistic"].value < 0.62
    assert "logistic" not in found.chosen
    assert found.accuracy.value > 0.9
    assert found.leakage.low > 0.7


def test_nothing_leaks_where_labels_are_independent_and_uneven(rng: torch.Generator) -> None:
    y = (torch.arange(300) % 3 > 0).long() * 7
    found = probe_accuracy(torch.randn(300, 4, generator=rng), y, probes=LINEAR, rng=rng)
    assert_close(found.chance, 2 / 3)
    assert found.leakage.low <= 0
    assert found.classes.tolist() == [0, 7]


def test_labels_written_into_codes_are_read_without_error(rng: torch.Generator) -> None:
    y = torch.arange(150) % 3 - 1
    z = torch.nn.functional.one_hot(y + 1).float() + 0.01 * torch.randn(150, 3, generator=rng)
    found = probe_accuracy(z, y, rng=rng)
    assert found.accuracy.value == 1.0
    assert_close(found.leakage.value, 1.0)
    assert torch.equal(found.confusion, 50 * torch.eye(3, dtype=torch.int64))
    assert [recall.value for recall in found.recall] == [1.0, 1.0, 1.0]


def test_standardised_inputs_make_units_irrelevant(rng: torch.Generator) -> None:
    z, y = two_gaussians(200, 3, 1.5, rng)
    units = torch.tensor([1e-4, 1.0, 1e3])
    plain, scaled = (
        probe_accuracy(codes, y, probes=NEAREST, rng=torch.Generator().manual_seed(1)) for codes in (z, z * units + 5)
    )
    assert plain.accuracy == scaled.accuracy


def test_a_class_that_is_never_predicted_has_recall_0(rng: torch.Generator) -> None:
    y = (torch.arange(100) % 5 == 0).long()
    dummy = {"commonest": DummyClassifier(strategy="most_frequent")}
    found = probe_accuracy(torch.randn(100, 2, generator=rng), y, probes=dummy, rng=rng)
    assert [recall.value for recall in found.recall] == [1.0, 0.0]
    assert found.confusion.tolist() == [[80, 0], [20, 0]]
    assert found.accuracy.value == found.chance == 0.8
    assert found.leakage.value == 0


def test_constant_features_tell_nothing_and_harm_nothing(rng: torch.Generator) -> None:
    z, y = two_gaussians(120, 2, 3.0, rng)
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    beside = probe_accuracy(torch.cat([z, torch.full((120, 1), 3.0)], 1), y, probes=NEAREST, rng=seeds[0])
    assert beside.accuracy == probe_accuracy(z, y, probes=NEAREST, rng=seeds[1]).accuracy
    alone = probe_accuracy(torch.ones(120, 2), y, rng=rng)
    assert alone.accuracy.low <= 0.5


def test_equal_seeds_give_equal_answers_and_leave_the_given_probes_alone(rng: torch.Generator) -> None:
    z, y = two_gaussians(90, 2, 1.0, rng)
    probe = LogisticRegression()
    first, second = (probe_accuracy(z, y, probes={"own": probe}, rng=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.correct, second.correct)
    assert not hasattr(probe, "coef_")


SMALL = torch.arange(24.0).view(12, 2)
HALVES = torch.arange(12) % 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: probe_accuracy(SMALL, torch.tensor([5] + [0, 1] * 5 + [0])), "got 1 of class 5"),
        (lambda: probe_accuracy(SMALL, torch.zeros(12, dtype=torch.int64)), "two classes or more, got 12 of 1"),
        (lambda: probe_accuracy(SMALL.log().sub(torch.inf), HALVES), "finite codes"),
        (lambda: probe_accuracy(SMALL, HALVES, folds=2), "at least 3 folds"),
        (lambda: probe_accuracy(SMALL, HALVES, probes={}), "at least one probe"),
        (lambda: probe_accuracy(SMALL[:1], HALVES[:1]), "n >= 2"),
    ],
)
def test_codes_and_labels_that_cannot_be_probed_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def column(index: int) -> object:
    return lambda x: x[:, index]


COLUMNS = {"smile": column(0), "age": column(1), "hat": column(2)}


def test_a_shift_by_two_deviations_is_measured_as_2(rng: torch.Generator) -> None:
    x = torch.randn(400, 3, generator=rng, dtype=torch.float64) * torch.tensor([1.0, 30.0, 0.1])
    found = edit_leakage(COLUMNS, x, x + 2 * x.std(0) * torch.tensor([1, 0, 0]), intended=["smile"])
    smile, age, _ = found.shifts
    assert_close((smile.shift.value, smile.shift.low, smile.magnitude.value), (2.0, 2.0, 2.0))
    assert age.shift == age.magnitude == Interval(0.0, 0.0, 0.0)
    assert smile.moved
    assert smile.intended
    assert found.leaked == ()
    assert_close(age.unit, x[:, 1].std().item())


def test_what_moves_beside_is_named_as_leaked(rng: torch.Generator) -> None:
    x = torch.randn(400, 3, generator=rng)
    found = edit_leakage(COLUMNS, x, x + torch.tensor([1.0, 0.3, 0.0]), intended=["smile"], reference=10 * x)
    assert found.leaked == ("age",)
    assert_close(found.shifts[1].shift.value, 0.03, rtol=0.1, atol=0)  # in the spread of the reference
    assert "smile" in str(found).splitlines()[1]
    assert str(found).splitlines()[1].endswith("meant")


def test_moves_that_cancel_show_in_their_magnitude(rng: torch.Generator) -> None:
    x = torch.randn(400, 3, generator=rng, dtype=torch.float64)
    away = (torch.arange(400) % 2 * 2 - 1).double() * x[:, 1].std()
    age = edit_leakage(COLUMNS, x, x + away[:, None] * torch.tensor([0, 1, 0])).shifts[1]
    assert not age.moved
    assert_close(age.magnitude.value, 1.0)


def test_a_null_edit_seldom_shows_any_attribute_moved(rng: torch.Generator) -> None:
    """The intervals of all attributes hold together: 5 % of null edits show a leak, not 5 % of each of ten attributes."""
    measures = {str(index): column(index) for index in range(10)}
    x = torch.randn(60, 10, generator=rng)
    edits = [edit_leakage(measures, x, x + torch.randn(60, 10, generator=rng)) for _ in range(200)]
    assert sum(bool(edit.leaked) for edit in edits) <= 22  # of 200 at 5 %: more have probability 0.0002; alone it were 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": {"one": lambda x: x[:, 0] * 0}}, "'one' to vary"),
        ({"attributes": {"all": lambda x: x}}, "one finite number"),
        ({"attributes": {"log": lambda x: (x[:, 0] - 9).log()}}, "one finite number"),
        ({"attributes": {"first": column(0)}, "intended": ["second"]}, "among"),
        ({"attributes": {}}, "expected attributes"),
        ({"attributes": {"first": column(0)}, "x_edited": SMALL[:5]}, "in the order of before"),
    ],
)
def test_edits_that_cannot_be_measured_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edit_leakage(**{"x": SMALL, "x_edited": SMALL + 1} | arguments)  # type: ignore[arg-type]


def test_a_linear_attribute_is_perfectly_monotone(rng: torch.Generator) -> None:
    z, weights = torch.randn(20, 4, generator=rng), torch.randn(4, generator=rng)
    found = monotonicity(lambda z: z.exp(), lambda x: x.log() @ weights, z, weights)
    assert torch.equal(found.spearman, torch.ones(20, dtype=torch.float64))
    assert found.median == Interval(1.0, 1.0, 1.0)
    assert (found.rising.value, found.unmoved.value) == (1.0, 0.0)
    backwards = monotonicity(lambda z: z, lambda x: x @ weights, z, -weights.expand(20, 4))
    assert backwards.median.value == -1.0
    assert backwards.rising.value == 0.0


def test_rank_correlations_with_ties_agree_with_scipy(rng: torch.Generator) -> None:
    def attribute(x: Tensor) -> Tensor:
        return (x[:, 0] * 1.5 + 2 * x[:, 0].sin()).round()

    z = torch.randn(9, 2, generator=rng)
    found = monotonicity(lambda z: z, attribute, z, torch.tensor([1.0, 0.0]), distances=torch.arange(-4.0, 5.0))
    for path, rho in zip(found.values, found.spearman, strict=True):
        assert_close(rho.item(), float(stats.spearmanr(range(9), path.numpy()).statistic))
    assert found.rising.value < 1


def test_an_attribute_across_the_direction_does_not_move() -> None:
    found = monotonicity(lambda z: z, column(1), torch.randn(8, 2), torch.tensor([1.0, 0.0]))
    assert torch.equal(found.spearman, torch.zeros(8, dtype=torch.float64))
    assert (found.unmoved.value, found.median.value) == (1.0, 0.0)


def test_a_symmetric_attribute_is_as_often_falling_as_rising() -> None:
    found = monotonicity(lambda z: z, lambda x: x[:, 0] ** 2, torch.zeros(6, 2), torch.tensor([1.0, 0.0]))
    assert_close(found.spearman, torch.zeros(6, dtype=torch.float64))


def test_a_module_is_followed_in_eval_mode() -> None:
    generator = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Dropout(0.9))
    weight = generator[0].weight[0].detach()
    found = monotonicity(generator, column(0), torch.randn(5, 2), weight)
    assert found.median.value == 1.0
    assert generator.training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"direction": torch.zeros(2)}, "other than 0"),
        ({"distances": torch.tensor([1.0, 1.0])}, "increasing"),
        ({"attribute": lambda x: x}, "one number for each"),
        ({"attribute": lambda x: x[:, 0].log()}, "finite attributes"),
        ({"z": SMALL / 0}, "finite codes"),
    ],
)
def test_paths_that_cannot_be_followed_are_named(arguments: dict[str, object], message: str) -> None:
    given = {"generator": lambda z: z, "attribute": column(0), "z": SMALL, "direction": torch.ones(2)}
    with pytest.raises(ValueError, match=message):
        monotonicity(**given | arguments)  # type: ignore[arg-type]


def test_a_subspace_holds_its_share_of_the_variance(rng: torch.Generator) -> None:
    scale = torch.tensor([3.0, 2.0, 1.0, 1.0])
    z = torch.randn(3000, 4, generator=rng, dtype=torch.float64) * scale + 7
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=rng, dtype=torch.float64)).Q
    basis = torch.tensor([[1.0, 1, 0, 0], [1.0, -1, 0, 0], [2.0, 0, 0, 0]], dtype=torch.float64) @ rotation
    found = subspace_capture(z @ rotation, basis)
    assert found.dimension == 2  # one row of the basis depends on the others
    assert found.variance.low <= 13 / 15 <= found.variance.high
    assert found.variance.high - found.variance.low < 0.03
    assert found.isotropic_variance == 0.5
    assert (found.whole, found.inside, found.outside, found.labels) == (None, None, None, None)


def test_labels_along_one_axis_are_captured_by_it_and_by_nothing_else(rng: torch.Generator) -> None:
    z, y = two_gaussians(400, 4, 3.0, rng)
    axis = subspace_capture(z, torch.eye(4)[:1], y, probes=LINEAR, rng=rng)
    assert axis.labels is not None
    assert axis.labels.low <= 1 <= axis.labels.high
    assert axis.outside is not None
    assert axis.outside.accuracy.low <= 0.5
    across = subspace_capture(z, torch.eye(4)[1:], y, probes=LINEAR, rng=rng)
    assert across.labels is not None
    assert across.labels.low <= 0 <= across.labels.high
    assert across.labels.high < 0.3


def test_the_whole_space_captures_everything(rng: torch.Generator) -> None:
    z, y = two_gaussians(100, 2, 3.0, rng)
    found = subspace_capture(z, torch.tensor([[1.0, 1.0], [0.0, 1.0]]), y, probes=LINEAR, rng=rng)
    assert found.outside is None
    assert_close(found.variance.value, 1.0)
    assert found.labels is not None
    assert found.labels.low <= 1 <= found.labels.high


def test_where_codes_know_nothing_there_is_no_share_of_it(rng: torch.Generator) -> None:
    z, y = two_gaussians(80, 3, 0.0, rng)
    found = subspace_capture(z, torch.eye(3)[:1], y, probes=LINEAR, rng=rng)
    assert found.labels is not None
    assert math.isnan(found.labels.value)
    assert (found.labels.low, found.labels.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: subspace_capture(SMALL, torch.zeros(1, 2)), "other than 0"),
        (lambda: subspace_capture(torch.ones(5, 2), torch.eye(2)), "codes that vary"),
    ],
)
def test_subspaces_without_an_answer_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (probe_accuracy, (SMALL, HALVES[:-1]), "label for each of 12"),
        (subspace_capture, (SMALL, torch.ones(1, 3)), "of 2 columns"),
        (monotonicity, (lambda z: z, column(0), SMALL, torch.ones(3)), "of shape \\(2,\\) or \\(12, 2\\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named_without_annotations_too(
    function: Callable[..., object], arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(function)(*arguments)  # as users have it, whose annotations nobody checks
