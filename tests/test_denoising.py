"""The experiment on toys: what is tuned on what, and what is scored on what."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from latentry.data.corruptions import NormalNoise
from latentry.data.image_filters import Contrast, ImageFilter, Observation, observe
from latentry.tasks.denoising.comparison import DenoisingReport, LabelledBatch, compare_denoisers
from latentry.tasks.denoising.methods import CodeFilter, RecoveryMethod

SIDE = 4


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labelled(n: int, seed: int) -> LabelledBatch:
    """Images that are dark or bright."""
    y = torch.arange(n) % 2
    x = (y.float() - 0.5)[:, None, None, None] + 0.1 * torch.randn(n, 1, SIDE, SIDE, generator=seeded(seed))
    return LabelledBatch(x, y)


VALIDATION, HELD_OUT = labelled(20, 1), labelled(30, 2)


def brightness(x: Tensor) -> Tensor:
    """Logits of a classifier that knows dark from bright."""
    mean = x.mean((1, 2, 3))
    return torch.stack([-mean, mean], 1)


def scaled(family: str, factor: float, calls: Counter[tuple[float, int]] | None = None, blind: bool = True) -> ImageFilter:
    def denoise(observed: Observation) -> Tensor:
        if calls is not None:
            calls[factor, len(observed.x)] += 1
        return factor * observed.x

    return ImageFilter(family, f"times {factor:g}", denoise, blind)


def compared(**settings: Any) -> DenoisingReport:
    arguments: dict[str, Any] = {
        "corruption": NormalNoise(0.0),
        "validation": VALIDATION,
        "held_out": HELD_OUT,
        "generator": lambda z: z.view(-1, 1, SIDE, SIDE),
        "filters": [scaled("scale", factor) for factor in (-1.0, 0.5, 1.0)],
        "contrasts": (),
        "guide": brightness,
        "classifier": brightness,
    }
    return compare_denoisers(**(arguments | settings))


def test_a_family_is_tuned_to_its_best_setting() -> None:
    by_error, _ = compared().rows
    assert (by_error.setting, by_error.tuned_by) == ("times 1", "error")
    assert by_error.error.value == by_error.validation_error == 0
    assert by_error.accuracy.value == by_error.validation_accuracy == 1


def test_the_guide_tunes_and_the_classifier_scores() -> None:
    """A guide that takes dark for bright asks for the negative, and the classifier finds every negative wrong."""
    _, by_accuracy = compared(guide=lambda x: -brightness(x)).rows
    assert by_accuracy.setting == "times -1"
    assert by_accuracy.validation_accuracy == 1
    assert by_accuracy.accuracy.value == 0
    assert not by_accuracy.correct.any()


def test_contrast_is_tuned_with_the_filter_and_costs_it_one_pass() -> None:
    """Black and white at a tenth of their contrast are far off; stretched, they are black and white again."""
    calls: Counter[tuple[float, int]] = Counter()
    whole = Contrast(0.0, 100.0)
    drawn = LabelledBatch(torch.randn(20, 1, SIDE, SIDE, generator=seeded()).sign(), VALIDATION.y)
    report = compared(filters=[scaled("scale", 0.1, calls)], contrasts=(whole,), validation=drawn, held_out=drawn)
    assert report.rows[0].setting == f"times 0.1; {whole}"
    assert report.rows[0].error.value == pytest.approx(0, abs=1e-10)
    assert calls == {(0.1, 20): 2}


def test_only_what_was_chosen_meets_the_held_out_images_and_only_once() -> None:
    calls: Counter[tuple[float, int]] = Counter()
    compared(filters=[scaled("scale", factor, calls) for factor in (0.5, 1.0, 2.0)])
    assert calls == {(0.5, 20): 1, (1.0, 20): 1, (2.0, 20): 1, (1.0, 30): 1, (0.5, 30): 1}


def test_codes_of_one_way_are_worked_out_once_for_all_their_filters() -> None:
    calls: Counter[int] = Counter()

    def codes(observed: Observation) -> Tensor:
        calls[len(observed.x)] += 1
        return observed.x.flatten(1)

    halved = [CodeFilter("halved", f"{share:g}", lambda z, share=share: share * z) for share in (0.25, 0.5)]
    report = compared(recoveries=[RecoveryMethod("codes", "as they are", codes)], code_filters=halved)
    assert calls == {20: 1, 30: 1}
    kinds = {(row.family, row.kind): row.setting for row in report.rows if row.tuned_by == "error"}
    assert kinds["codes", "recovery"] == "as they are"
    assert kinds["codes, halved", "basis"] == "as they are; 0.5"
    assert report.best(("recovery", "basis"), "error").family == "codes"


def test_the_gain_over_the_strongest_filter_is_paired() -> None:
    """Recovery is always right; the filter turns every image bright, which is right for half of them."""
    bright = ImageFilter("bright", "as it is", lambda observed: observed.x.abs())
    report = compared(filters=[bright], recoveries=[RecoveryMethod("codes", "as they are", lambda seen: seen.x.flatten(1))])
    assert report.gain().value == 0.5
    assert report.gain().low > 0.2


def test_methods_that_know_more_are_compared_with_their_like() -> None:
    informed = RecoveryMethod("informed", "as it is", lambda seen: seen.x.flatten(1), blind=False)
    blind = RecoveryMethod("blind", "as it is", lambda seen: -seen.x.flatten(1))
    report = compared(recoveries=[informed, blind])
    assert report.best(("recovery",), "error").family == "blind"
    assert report.best(("recovery",), "error", blind=False).family == "informed"
    assert report.gain().value == -1
    assert report.gain(blind=False).value == 0


def test_the_report_shows_the_first_held_out_images() -> None:
    report = compared(corruption=NormalNoise(0.3), shown=5)
    assert torch.equal(report.clean, HELD_OUT.x[:5])
    assert torch.equal(report.corrupted, observe(NormalNoise(0.3), HELD_OUT.x, 1).x[:5])
    assert torch.equal(report.rows[0].images, report.corrupted)
    assert report.accuracy_of_clean.value == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: compared(filters=[]), "at least one filter"),
        (lambda: compared(filters=[ImageFilter("cut", "", lambda seen: seen.x[..., :2])]), "shape"),
        (lambda: LabelledBatch(HELD_OUT.x[:1], HELD_OUT.y[:1]), "each with its label"),
        (lambda: compared().best(("basis",), "error"), "got none"),
    ],
)
def test_what_cannot_be_compared_is_refused(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
