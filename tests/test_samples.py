"""Reports on samples: the same from every source, never silently exchanged, and clear about what went wrong."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.evaluation.extractor import CallableExtractor, ClassifierExtractor
from latentry.evaluation.sample_gathering import SampleSource
from latentry.evaluation.sample_report import SampleReport, check_comparable
from latentry.evaluation.samples import evaluate_samples
from latentry.networks import PlainClassifier
from latentry.numerics.frechet import frechet_distance
from latentry.numerics.kernel_distance import kernel_distance
from latentry.numerics.moments import moments
from latentry.numerics.neighbours import neighbour_metrics

PIXELS = CallableExtractor(lambda x: x.flatten(1), name="pixels")
CLASSES = CallableExtractor(lambda x: x.flatten(1), lambda x: x.flatten(1)[:, :3].softmax(1), name="pixels")


def images(n: int, rng: torch.Generator, std: float = 1.0, shift: float = 0.0) -> Tensor:
    return torch.randn(n, 1, 2, 3, generator=rng) * std + shift


def numbers(report: SampleReport) -> dict[str, tuple[float, float, float]]:
    return {name: (one.value, one.low, one.high) for name, one in report.estimates.items()}


def sampler(x: Tensor) -> Callable[[int], Tensor]:
    start = 0

    def draw(n: int) -> Tensor:
        nonlocal start
        start += n
        return x[start - n : start]

    return draw


def test_the_values_are_those_of_the_formulas(rng: torch.Generator) -> None:
    x, y = images(60, rng, 1.2), images(80, rng)
    a, b = x.flatten(1), y.flatten(1)
    report = evaluate_samples(x, y, CLASSES)
    assert_close(report.frechet_distance.value, frechet_distance(moments(a), moments(b)).item())
    assert_close(report.kernel_distance.value, kernel_distance(a, b).value)
    found = neighbour_metrics(a, b, 5)
    assert [one.value for one in (report.precision, report.recall, report.density, report.coverage)] == list(
        dataclasses.astuple(found)
    )
    p = a[:, :3].double().softmax(1)
    assert report.score is not None
    assert_close(report.score.value, (p * (p / p.mean(0)).log()).sum(1).mean().exp().item(), rtol=1e-5, atol=0)
    assert (report.precision.generated, report.precision.reference) == (60, 80)
    assert list(report.estimates) == [
        "frechet_distance", "frechet_distance_limit", "kernel_distance",
        "precision", "recall", "density", "coverage", "score",
    ]  # fmt: skip


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_tensors_batches_and_samplers_give_one_report(rng: torch.Generator) -> None:
    """Also where only a part of the rows is kept for pairs: the choice does not depend on the batches."""
    x, y = images(130, rng, 1.2), images(90, rng)
    whole = evaluate_samples(x, y, CLASSES, max_rows=50, rng=seeded())
    batches: SampleSource = [y[:7], y[7:7], y[7:60], y[60:]]
    streamed = evaluate_samples(sampler(x), batches, CLASSES, count=130, batch_size=33, max_rows=50, rng=seeded())

    def stream() -> Iterator[Tensor]:
        yield from x.split(41)

    generated = evaluate_samples(stream(), y, CLASSES, max_rows=50, rng=seeded())
    for other in (streamed, generated):
        assert_close(numbers(other), numbers(whole))
        assert other.reference_fingerprint == whole.reference_fingerprint
        check_comparable(other, whole)
    assert (whole.precision.generated, whole.frechet_distance.generated) == (50, 130)
    assert "among 50 of 130 generated" in whole.notes[0]


def test_generated_and_reference_cannot_be_exchanged_unseen(rng: torch.Generator) -> None:
    """Generated samples from the middle of the reference are all realistic and miss most of it; exchanged, the contrary."""
    generated, reference = images(100, rng, 0.2), images(100, rng)
    right, wrong = evaluate_samples(generated, reference, PIXELS), evaluate_samples(reference, generated, PIXELS)
    assert right.precision.low > 0.9
    assert right.recall.high < 0.3
    assert wrong.precision.high < 0.3
    assert wrong.recall.low > 0.9
    assert right.density.value > 1 > wrong.density.value
    with pytest.raises(ValueError, match="reference samples"):
        check_comparable(right, wrong)


def test_one_seed_gives_one_report_and_another_seed_moves_only_what_is_drawn(rng: torch.Generator) -> None:
    x, y = images(60, rng), images(60, rng)
    first, again = (evaluate_samples(x, y, PIXELS, rng=seeded()) for _ in range(2))
    assert first == again
    other = evaluate_samples(x, y, PIXELS, rng=torch.Generator().manual_seed(1))
    assert other.frechet_distance == first.frechet_distance
    assert other.precision.value == first.precision.value
    assert other.density.low != first.density.low


def test_neighbour_intervals_hold_the_mean_over_samples_of_that_size(rng: torch.Generator) -> None:
    """60 replicates at 95 %: 51 hits or fewer have probability 0.0002."""

    def pair() -> tuple[Tensor, Tensor]:
        return images(120, rng, 1.1, 0.4), images(120, rng)

    targets = [neighbour_metrics(x.flatten(1), y.flatten(1)) for x, y in (pair() for _ in range(200))]
    reports = [evaluate_samples(*pair(), PIXELS, blocks=2) for _ in range(60)]
    for name in ("precision", "recall", "density", "coverage"):
        values = torch.tensor([getattr(one, name) for one in targets])
        found = [getattr(report, name) for report in reports]
        hits = sum(one.low <= values.mean() <= one.high for one in found)
        assert hits >= 52, name
        width = sum(one.high - one.low for one in found) / 60
        assert width < 2 * 2.1 * 1.7 * values.std(), name
        assert all(one.low <= one.value <= one.high for one in found)


def test_the_density_of_samples_that_collapsed_has_a_finite_interval(rng: torch.Generator) -> None:
    """All samples but one lie in a gap, which balls of the reference reach only when half of its far rows are left out."""
    reference = images(200, rng)
    reference[:6] = 30 + 1e-3 * images(6, rng)
    generated = torch.full((4000, 1, 2, 3), 15.0)
    generated[0] = reference[:6].mean(0)
    density = evaluate_samples(generated, reference, PIXELS, halves=8).density
    assert 0 < density.value < 1e-3
    assert density.low == pytest.approx(0)
    assert density.high == pytest.approx(200 / 5)  # every sample in the ball of every row


def test_a_share_of_none_or_all_still_has_an_interval(rng: torch.Generator) -> None:
    y = images(50, rng)
    report = evaluate_samples(y + 40, y, PIXELS)
    for one in (report.precision, report.recall, report.density, report.coverage):
        assert (one.value, one.low) == (0, 0)
        assert 0.03 < one.high < 0.15  # about 4 of 50


def test_the_bias_of_the_frechet_distance_is_seen(rng: torch.Generator) -> None:
    report = evaluate_samples(images(100, rng), images(100, rng), PIXELS)
    assert report.frechet_distance.low > 0
    limit = report.frechet_distance_limit
    assert limit.low < 0 < limit.high
    assert "samples of this size" in report.frechet_distance.method
    assert "for the distributions" in limit.method


@pytest.mark.parametrize(("channels", "size"), [(1, 20), (3, 17)])
def test_grey_and_colour_of_any_size(channels: int, size: int, rng: torch.Generator) -> None:
    network = PlainClassifier(4, channels=channels, width=2)
    x, y = torch.randn(2, 30, channels, size, size, generator=rng)
    report = evaluate_samples(x, y, ClassifierExtractor(network, data_fingerprint="noise"))
    assert all(one.low <= one.high for one in report.estimates.values())
    assert report.score is not None
    assert 1 <= report.score.low <= report.score.high <= 4
    assert report.extractor.data == "noise"


def test_fewer_samples_than_dimensions_is_a_stated_fallback(rng: torch.Generator) -> None:
    x, y = torch.randn(2, 20, 1, 6, 6, generator=rng)
    report = evaluate_samples(x, y, PIXELS)
    assert [note for note in report.notes if "20 generated samples in 36 dimensions" in note]
    assert report.frechet_distance.value > report.frechet_distance_limit.value > 0


def test_a_collapsed_generator_is_a_stated_fallback(rng: torch.Generator) -> None:
    y = images(60, rng)
    report = evaluate_samples(torch.full((40, 1, 2, 3), 0.1), y, PIXELS)
    assert [note for note in report.notes if "All generated features are equal" in note]
    assert report.recall.value == 0
    variance = y.flatten(1).double().var(0).sum().item()
    assert_close(
        report.frechet_distance.value,
        variance + (y.flatten(1).double().mean(0) - 0.1).square().sum().item(),
        rtol=1e-5,
        atol=0,
    )


def test_a_class_never_predicted_is_named(rng: torch.Generator) -> None:
    def two_of_three(x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1)[:, :2].softmax(1), torch.zeros(len(x), 1)], 1)

    report = evaluate_samples(images(30, rng), images(30, rng), CallableExtractor(lambda x: x.flatten(1), two_of_three))
    assert report.notes[:1] == ("Classes with probability 0 in every generated sample add nothing to the score: [2].",)


def nan_at(row: int, n: int = 30) -> Tensor:
    x = torch.randn(n, 1, 2, 3)
    x[row] = torch.nan
    return x


GOOD = torch.randn(30, 1, 2, 3, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("generated", "reference", "extractor", "message"),
    [
        pytest.param(GOOD[:1], GOOD, PIXELS, "at least 12 generated samples", id="one sample"),
        pytest.param(GOOD, [], PIXELS, "at least 12 reference samples .* got 0", id="no samples"),
        pytest.param(nan_at(17), GOOD, PIXELS, "finite generated samples, got NaN or infinity in rows 17", id="NaN"),
        pytest.param(GOOD, nan_at(0), PIXELS, "finite reference samples", id="NaN in the reference"),
        pytest.param(GOOD, GOOD, lambda x: x.flatten(1).log(), "finite features", id="NaN features"),
        pytest.param(GOOD, torch.full((30, 1, 2, 3), 1 / 3), PIXELS, "features that vary", id="constant reference"),
        pytest.param(GOOD, GOOD[:, :, :1], PIXELS, "got 6 for generated and 3 for reference", id="another size"),
        pytest.param(GOOD, GOOD, lambda x: x, "flatten them", id="features with a shape"),
        pytest.param(GOOD, GOOD, lambda x: x.flatten(1) > 0, "floating-point", id="features without fractions"),
        pytest.param(GOOD, GOOD, lambda x: x.flatten(1)[:1], "flatten them", id="rows lost"),
        pytest.param(lambda n: GOOD[: n - 1], GOOD, PIXELS, "expected 20 generated rows .* got 19", id="sampler too short"),
        pytest.param([(GOOD, 0)], GOOD, PIXELS, "for x, y in batches", id="batches with labels"),
        pytest.param(GOOD, GOOD, CallableExtractor(lambda x: x.flatten(1), lambda x: x.flatten(1)), "softmax", id="logits"),
    ],
)
def test_bad_samples_and_extractors_are_named(generated: Any, reference: Any, extractor: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_samples(generated, reference, extractor, count=20)


@pytest.mark.parametrize(
    "setting",
    [{"blocks": 1}, {"halves": 1}, {"count": 0}, {"batch_size": 0}, {"neighbours": 0}, {"max_rows": 11}, {"level": 95.0}],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        evaluate_samples(GOOD, GOOD, PIXELS, **setting)


def test_only_reports_made_alike_are_comparable() -> None:
    report = evaluate_samples(GOOD, GOOD, PIXELS)
    check_comparable(report, evaluate_samples(GOOD.flip(0), GOOD, PIXELS))
    network, pictures = PlainClassifier(3, width=2), torch.randn(20, 1, 12, 12)
    by_network = evaluate_samples(pictures, pictures, ClassifierExtractor(network))
    with torch.no_grad():
        network.body[0][0].weight += 0.1
    for other, message in (
        (evaluate_samples(GOOD, GOOD, CallableExtractor(lambda x: x.flatten(1), name="pixels v2")), "extractors pixels"),
        (evaluate_samples(GOOD, GOOD.flip(0), PIXELS), "reference samples"),
        (evaluate_samples(GOOD, GOOD, PIXELS, neighbours=3), "neighbours 5 and 3"),
        (evaluate_samples(GOOD[:20], GOOD, PIXELS), "numbers of rows"),
        (evaluate_samples(GOOD, GOOD, PIXELS, max_rows=20), "numbers of rows"),
    ):
        with pytest.raises(ValueError, match=message):
            check_comparable(report, other)
    with pytest.raises(ValueError, match="PlainClassifier"):
        check_comparable(by_network, evaluate_samples(pictures, pictures, ClassifierExtractor(network)))
    unnamed = evaluate_samples(GOOD, GOOD, lambda x: x.flatten(1))
    with pytest.raises(ValueError, match="unnamed function"):
        check_comparable(unnamed, unnamed)


PICTURES = (
    torch.nn.functional.interpolate(torch.randn(24, 1, 4, 4, generator=torch.Generator().manual_seed(8)), 12).mul(3).tanh()
)
QUICK: dict[str, Any] = {"blocks": 2, "halves": 2}
RANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "[-1, 1]": lambda x: x,
    "[0, 1]": lambda x: (x + 1) / 2,
    "[0, 255]": lambda x: 127.5 * (x + 1),
}


@pytest.mark.parametrize(("made", "given"), list(itertools.permutations(RANGES, 2)))
def test_samples_in_two_ranges_are_not_compared_and_the_named_conversion_makes_them_alike(made: str, given: str) -> None:
    generated, reference = RANGES[made](PICTURES[:12]), RANGES[given](PICTURES[12:])
    right = evaluate_samples(generated, RANGES[made](PICTURES[12:]), PIXELS, **QUICK)
    with pytest.raises(ValueError, match="expected samples in one range") as caught:
        evaluate_samples(iter(generated.split(5)), lambda n: reference, PIXELS, count=12, **QUICK)
    message = str(caught.value)
    assert f"generated ones in {made}" in message
    assert f"reference ones in {given}" in message
    converted = eval(message.partition("convert the reference with ")[2], {"x": reference})
    found = evaluate_samples(generated, converted, PIXELS, **QUICK)
    assert_close(found.frechet_distance.value, right.frechet_distance.value, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 12])
def test_the_size_of_batches_has_no_say_in_what_range_they_are_in(size: int) -> None:
    """One image in [0, 1] shows no range, several do; channels may be the last axis."""
    generated, reference = PICTURES[:12], RANGES["[0, 1]"](PICTURES[12:])
    for axis in (1, 3):
        made, given = (x.movedim(1, axis) for x in (generated, reference))
        with pytest.raises(ValueError, match=r"generated ones in \[-1, 1\].* and reference ones in \[0, 1\]"):
            evaluate_samples(made.split(size), iter(given.split(size)), PIXELS, **QUICK)
        with pytest.raises(ValueError, match=r"generated ones in \[0, 1\].* and reference ones in \[-1, 1\]"):
            evaluate_samples(given.split(size), iter(made.split(size)), PIXELS, **QUICK)
        evaluate_samples(made.split(size), made.flip(0).split(size), PIXELS, **QUICK)


@pytest.mark.parametrize("scale", RANGES)
def test_samples_in_one_range_are_compared_in_any(scale: str) -> None:
    evaluate_samples(RANGES[scale](PICTURES[:12]), RANGES[scale](PICTURES[12:]), PIXELS, **QUICK)


def test_numbers_of_eight_bits_are_compared_with_such_alone() -> None:
    eight_bits = (127.5 * (PICTURES + 1)).round().to(torch.uint8)
    seen = CallableExtractor(lambda x: x.flatten(1).float(), name="pixels")
    report = evaluate_samples(eight_bits[:12], eight_bits[12:], seen, rng=seeded(), **QUICK)
    alike = evaluate_samples(eight_bits[:12].float(), eight_bits[12:].float(), seen, rng=seeded(), **QUICK)
    assert report.estimates == alike.estimates
    with pytest.raises(ValueError, match="convert one of them"):  # nothing says in which range paler ones are
        evaluate_samples(PICTURES / 5 + 0.5, eight_bits.float(), PIXELS, **QUICK)
    for other in (PICTURES, torch.randn(12, 1, 12, 12)):  # in another range, and in none that shows
        with pytest.raises(ValueError, match=r"torch\.uint8 .*convert"):
            evaluate_samples(eight_bits[:12], other, seen, **QUICK)


def test_a_numpy_array_and_a_tensor_with_a_graph_are_samples() -> None:
    report = evaluate_samples(PICTURES[:12], PICTURES[12:], PIXELS, rng=seeded(), **QUICK)
    x, y = PICTURES[:12].numpy(), PICTURES[12:].clone().requires_grad_()
    assert evaluate_samples(x, y, PIXELS, rng=seeded(), **QUICK).estimates == report.estimates
