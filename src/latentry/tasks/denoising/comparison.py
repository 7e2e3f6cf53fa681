"""Denoisers compared: every method tuned on validation images, and scored once on held-out ones.

Images are corrupted once, the same for all methods. Each family of settings is tuned twice: by squared error to the clean
image, and by accuracy of a guide, a classifier that reads what comes out. The two targets differ: an average of all that
may have been has a small squared error and looks like nothing. The chosen setting meets the held-out images, where an
evaluation classifier scores it. Labels serve tuning and scores alone; no method sees them.

Classifiers differ on the flat images that filters leave: under normal noise of standard deviation 1 the shipped guide reads
9 % of digits after non-local means, the evaluation classifier 38 %. Tuning by the former would sell filters below their
worth. So the evaluation classifier itself may be the guide on validation images, for all methods alike.

A method that works on codes is tuned over its ways to codes and its filters of codes together; the codes of one way are
worked out once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.data.corruptions import Corruption
from latentry.data.image_filters import Contrast, ImageFilter, Observation, observe
from latentry.evaluation.estimates import mean_estimate
from latentry.evaluation.proportions import Share, share
from latentry.holding import evaluated
from latentry.interfaces import Generator
from latentry.numerics.batches import in_batches
from latentry.numerics.interval import Interval
from latentry.tasks.denoising.methods import CONTRASTS, CodeFilter, RecoveryMethod

__all__ = ["DenoisingReport", "DenoisingRow", "Kind", "LabelledBatch", "Target", "compare_denoisers"]

Target = Literal["error", "accuracy"]
"""What a method is tuned by: squared error to the clean image, or accuracy of the guide."""
Kind = Literal["filter", "recovery", "basis"]
"""Whether a method filters images, recovers codes, or filters codes in a basis."""
Logits = Callable[[Tensor], Tensor]

_AT_ONCE = 500


@dataclass(frozen=True)
class LabelledBatch:
    """Clean images and their labels."""

    x: Float[Tensor, "n c h w"]
    """Images in [-1, 1]."""
    y: Int[Tensor, "n"]
    """Their labels, for tuning and scores."""

    def __post_init__(self) -> None:
        if len(self.x) < 2 or len(self.x) != len(self.y):
            raise ValueError(f"expected two images or more, each with its label, got {len(self.x)} and {len(self.y)}")


@dataclass(frozen=True)
class DenoisingRow:
    """One family of settings, tuned by one target."""

    family: str
    """Name of the method."""
    kind: Kind
    blind: bool
    """Whether it sees the corrupted image alone."""
    setting: str
    """What was chosen on validation images."""
    tuned_by: Target
    """By what."""
    validation_error: float
    """Mean squared error there."""
    validation_accuracy: float
    """Accuracy of the guide there."""
    error: Interval
    """Mean squared error to the clean image on held-out images."""
    accuracy: Share
    """Accuracy of the evaluation classifier there."""
    seconds: float
    """Time an image."""
    correct: Bool[Tensor, "n"]
    """For each held-out image whether it was right."""
    images: Float[Tensor, "s c h w"]
    """The first held-out images, denoised."""

    def numbers(self) -> dict[str, Any]:
        """All but the tensors; intervals as value, low and high."""
        found = {name: value for name, value in vars(self).items() if name not in ("correct", "images")}
        for name in ("error", "accuracy"):
            interval = found.pop(name)
            found |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        return found


@dataclass(frozen=True)
class DenoisingReport:
    """All methods against one corruption."""

    clean: Float[Tensor, "s c h w"]
    """The first held-out images."""
    corrupted: Float[Tensor, "s c h w"]
    """The same, corrupted."""
    accuracy_of_clean: Share
    """Accuracy of the evaluation classifier on clean held-out images."""
    rows: tuple[DenoisingRow, ...]
    """One for each family and target."""

    def columns(self) -> dict[str, list[Any]]:
        """Numbers of all rows, column by column."""
        numbers = [row.numbers() for row in self.rows]
        return {name: [row[name] for row in numbers] for name in numbers[0]}

    def best(self, kinds: Sequence[Kind], tuned_by: Target, *, blind: bool = True) -> DenoisingRow:
        """The row that was best on validation images, of these kinds and by this target.

        Args:
            kinds: Which kinds may be taken.
            tuned_by: What the rows were tuned by, and what is compared.
            blind: Whether methods that know the corruption are left out.

        Raises:
            ValueError: There is none.
        """
        rows = [row for row in self.rows if row.kind in kinds and row.tuned_by == tuned_by and row.blind >= blind]
        if not rows:
            raise ValueError(f"expected a row of kinds {list(kinds)} tuned by {tuned_by}, got none")
        if tuned_by == "error":
            return min(rows, key=lambda row: row.validation_error)
        return max(rows, key=lambda row: row.validation_accuracy)

    def gain(self, *, blind: bool = True, level: float = 0.95) -> Interval:
        """Accuracy of the recovery that was best on validation, less that of the filter that is best on *held-out* images.

        The filter is favoured: it is chosen by its score, whatever it was tuned by. Paired by image, Student's interval;
        `blind` as in `best`, on both sides.

        Raises:
            ValueError: There is no recovery.
        """
        ours = self.best(("recovery", "basis"), "accuracy", blind=blind)
        filters = [row for row in self.rows if row.kind == "filter" and row.blind >= blind]
        strongest = max(filters, key=lambda row: row.accuracy.value)
        return mean_estimate((ours.correct.double() - strongest.correct.double()).cpu(), level)


def compare_denoisers(
    corruption: Corruption,
    validation: LabelledBatch,
    held_out: LabelledBatch,
    generator: Generator,
    *,
    filters: Sequence[ImageFilter],
    recoveries: Sequence[RecoveryMethod] = (),
    code_filters: Sequence[CodeFilter] = (),
    contrasts: Sequence[Contrast] = CONTRASTS,
    guide: Logits,
    classifier: Logits,
    seed: int = 0,
    shown: int = 16,
) -> DenoisingReport:
    """Tune every method on validation images and score it once on held-out ones.

    Args:
        corruption: What is done to both.
        validation, held_out: Clean images with labels.
        generator: Decodes codes.
        filters: Methods on images; settings of one family compete.
        recoveries: Ways to codes; each family is a method by itself, and one with each family of code filters.
        code_filters: Filters of codes in a basis.
        contrasts: What may follow each filter of images.
        guide: Logits of a classifier for tuning on validation images; `classifier`, or another.
        classifier: Logits of one that no method knows, for scores.
        seed: Seed of the corruption; held-out images have the next one.
        shown: Denoised images that the report keeps.

    Raises:
        ValueError: There is no filter, or a method returns images of another shape.

    Example:
        >>> import torch
        >>> from latentry.data.corruptions import NormalNoise
        >>> from latentry.data.image_filters import classical_filters
        >>> x, y = torch.rand(4, 1, 8, 8), torch.arange(4) % 2
        >>> def brightness(x):
        ...     return torch.stack([-x.mean((1, 2, 3)), x.mean((1, 2, 3))], 1)
        >>> clean, decode = LabelledBatch(x, y), torch.nn.Unflatten(1, (1, 8, 8))
        >>> report = compare_denoisers(
        ...     NormalNoise(0.3), clean, clean, decode, filters=classical_filters()[:2], contrasts=(), guide=brightness,
        ...     classifier=brightness,
        ... )
        >>> report.best(("filter",), "error").kind
        'filter'
    """
    if not filters:
        raise ValueError("expected at least one filter to compare with, got none; take `classical_filters()`")
    observed = [observe(corruption, part.x, seed + index) for index, part in enumerate((validation, held_out))]
    rows = []
    for (family, kind), candidates in _families(generator, filters, recoveries, code_filters, contrasts).items():
        tuned = [(candidate, *_scores(candidate(observed[0])[0], validation, guide)) for candidate in candidates]
        best: dict[Target, tuple[_Candidate, float, float]] = {
            "error": min(tuned, key=lambda one: one[1]),
            "accuracy": max(tuned, key=lambda one: one[2]),
        }
        for target, (candidate, error, accuracy) in best.items():
            x_hat, seconds = candidate(observed[1])
            correct = _labels(x_hat, classifier) == held_out.y
            rows.append(
                DenoisingRow(
                    family, kind, candidate.blind, candidate.setting, target, error, accuracy,
                    error=mean_estimate((x_hat - held_out.x).square().flatten(1).mean(1).cpu()),
                    accuracy=share(correct), seconds=seconds / len(correct), correct=correct, images=x_hat[:shown],
                )
            )  # fmt: skip
    clean = share(_labels(held_out.x, classifier) == held_out.y)
    return DenoisingReport(held_out.x[:shown], observed[1].x[:shown], clean, tuple(rows))


class _Once:
    """A method whose result for an observation is kept, with the seconds that it took."""

    def __init__(self, method: Callable[[Observation], Tensor]) -> None:
        self._method, self._kept = method, dict[int, tuple[Tensor, float]]()

    def __call__(self, observed: Observation) -> tuple[Tensor, float]:
        if id(observed) not in self._kept:
            began = time.perf_counter()
            self._kept[id(observed)] = self._method(observed), time.perf_counter() - began
        return self._kept[id(observed)]


@dataclass(frozen=True)
class _Candidate:
    """A method at one setting: a first step that several settings share, and the rest."""

    setting: str
    blind: bool
    first: _Once
    """Observation to codes or filtered images."""
    rest: Callable[[Tensor], Tensor]
    """These to images."""

    def __call__(self, observed: Observation) -> tuple[Tensor, float]:
        """Images, and the seconds they took."""
        codes, seconds = self.first(observed)
        began = time.perf_counter()
        images = self.rest(codes)
        return images, seconds + time.perf_counter() - began


def _families(
    generator: Generator,
    filters: Sequence[ImageFilter],
    recoveries: Sequence[RecoveryMethod],
    code_filters: Sequence[CodeFilter],
    contrasts: Sequence[Contrast],
) -> dict[tuple[str, Kind], list[_Candidate]]:
    """Candidates that compete with each other, by name and kind."""
    found: dict[tuple[str, Kind], list[_Candidate]] = {}

    def add(family: str, kind: Kind, *candidate: Any) -> None:
        found.setdefault((family, kind), []).append(_Candidate(*candidate))

    def decoded(apply: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def images(codes: Tensor) -> Tensor:
            with evaluated(generator), torch.no_grad():
                return in_batches(generator, apply(codes), size=_AT_ONCE)

        return images

    for each in filters:
        filtered = _Once(each.denoise)
        add(each.family, "filter", each.setting, each.blind, filtered, lambda x: x)
        for contrast in contrasts if each.stretches else ():
            add(each.family, "filter", f"{each.setting}; {contrast}", each.blind, filtered, contrast)
    for way in recoveries:
        codes = _Once(way.codes)
        add(way.family, "recovery", way.setting, way.blind, codes, decoded(lambda z: z))
        for last in code_filters:
            setting = f"{way.setting}; {last.setting}"
            add(f"{way.family}, {last.family}", "basis", setting, way.blind, codes, decoded(last.apply))
    return found


def _scores(x_hat: Tensor, clean: LabelledBatch, guide: Logits) -> tuple[float, float]:
    """Mean squared error, and accuracy of the guide."""
    if x_hat.shape != clean.x.shape:
        raise ValueError(f"expected denoised images of shape {tuple(clean.x.shape)}, got {tuple(x_hat.shape)}")
    accuracy = (_labels(x_hat, guide) == clean.y).double().mean().item()
    return (x_hat - clean.x).square().mean().item(), accuracy


def _labels(x: Tensor, classifier: Logits) -> Int[Tensor, "n"]:
    with evaluated(classifier), torch.no_grad():
        return in_batches(lambda part: classifier(part).argmax(1), x, size=_AT_ONCE)
