"""Denoising as an experiment: every method tuned on validation images, each scored once on held-out ones.

Images are corrupted once, the same for all methods. A family of settings is tuned twice: by the squared error to the clean
image, and by how often a guiding classifier names the label of what comes out, since the two want different things: an
average of all that may have been is near in squares and looks like nothing. What was chosen meets the held-out images, where
the independent classifier, which no method knows, has the word. Labels serve tuning and scores alone; no method sees them.

Classifiers differ in what they make of the flat pictures that filters leave: the shipped guide reads 9 % of digits under
normal noise of standard deviation 1 after non-local means, the independent one 38 %. A filter tuned by the former is sold
below its worth. So it is fair to let the independent classifier itself guide on validation images, all methods alike, and to
tune the contrast of filters too.

A method that works on codes is tuned over its ways to codes and its filters of codes together; codes of one way are worked
out once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from experiments.spectrum.denoisers import CONTRASTS, CodeFilter, Contrast, Observed, PictureFilter, Recovering
from latentry.data.corruptions import Corruption, Occlusion
from latentry.evaluation.estimates import Estimate, mean_estimate
from latentry.evaluation.proportions import Share, share
from latentry.holding import evaluated
from latentry.interfaces import Generator

__all__ = ["DenoisingReport", "DenoisingRow", "Labelled", "Target", "compare_denoisers", "observe"]

Target = Literal["error", "accuracy"]
"""What a method is tuned by: squared error to the clean image, or accuracy of the guiding classifier."""
Kind = Literal["filter", "recovery", "basis"]

_AT_ONCE = 500


@dataclass(frozen=True)
class Labelled:
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
    """Whether it filters pictures, recovers codes, or filters them in a basis."""
    blind: bool
    """Whether it sees the corrupted image alone."""
    setting: str
    """What was chosen on validation images."""
    tuned_by: Target
    """By what."""
    validation_error: float
    """Mean squared error there."""
    validation_accuracy: float
    """Accuracy of the guiding classifier there."""
    error: Estimate
    """Mean squared error to the clean image on held-out images."""
    accuracy: Share
    """Accuracy of the independent classifier there."""
    correct: Bool[Tensor, "n"]
    """For each held-out image whether it was right."""
    seconds: float
    """Time an image."""
    images: Float[Tensor, "s c h w"]
    """The first held-out images, denoised."""


@dataclass(frozen=True)
class DenoisingReport:
    """All methods against one corruption."""

    corruption: str
    """Its settings."""
    clean: Float[Tensor, "s c h w"]
    """The first held-out images."""
    corrupted: Float[Tensor, "s c h w"]
    """What became of them."""
    accuracy_of_clean: Share
    """Accuracy of the independent classifier on clean held-out images."""
    rows: tuple[DenoisingRow, ...]
    """One for each family and target."""

    def best(self, kinds: Sequence[Kind], tuned_by: Target, *, blind: bool = True) -> DenoisingRow:
        """The row that was best on validation images, of these kinds and by this target.

        Args:
            kinds: Which kinds may be taken.
            tuned_by: What the rows were tuned by, and what is compared.
            blind: Whether methods that are told of the corruption are left out.

        Raises:
            ValueError: There is none.
        """
        rows = [row for row in self.rows if row.kind in kinds and row.tuned_by == tuned_by and row.blind >= blind]
        if not rows:
            raise ValueError(f"expected a row of kinds {list(kinds)} tuned by {tuned_by}, got none")
        if tuned_by == "error":
            return min(rows, key=lambda row: row.validation_error)
        return max(rows, key=lambda row: row.validation_accuracy)

    def gain(self, tuned_by: Target = "accuracy", *, blind: bool = True, level: float = 0.95) -> Estimate:
        """Accuracy of the recovery that was best on validation, less that of the filter that is best on *held-out* images.

        The filter is favoured, having been chosen by its score, whatever it was tuned by. Paired by image, Student's
        interval; `blind` as in `best`, on both sides.

        Raises:
            ValueError: There is no recovery.
        """
        ours = self.best(("recovery", "basis"), tuned_by, blind=blind)
        filters = [row for row in self.rows if row.kind == "filter" and row.blind >= blind]
        strongest = max(filters, key=lambda row: row.accuracy.value)
        return mean_estimate((ours.correct.double() - strongest.correct.double()).cpu(), level)


def observe(corruption: Corruption, x: Float[Tensor, "n c h w"], seed: int) -> Observed:
    """Corrupted images, and where an occlusion lies for those that may know."""
    corrupted = corruption(x, torch.Generator().manual_seed(seed))
    if not isinstance(corruption, Occlusion):
        return Observed(corrupted)
    return Observed(corrupted, (~corruption.hidden(x, torch.Generator().manual_seed(seed))).to(x))


def compare_denoisers(
    corruption: Corruption,
    validation: Labelled,
    held_out: Labelled,
    generator: Generator,
    *,
    filters: Sequence[PictureFilter],
    recoveries: Sequence[Recovering] = (),
    code_filters: Sequence[CodeFilter] = (),
    contrasts: Sequence[Contrast] = CONTRASTS,
    guide: Callable[[Tensor], Tensor],
    classifier: Callable[[Tensor], Tensor],
    seed: int = 0,
    shown: int = 16,
    level: float = 0.95,
    progress: Callable[[str], None] | None = None,
) -> DenoisingReport:
    """Tune every method on validation images and score it once on held-out ones.

    Args:
        corruption: What is done to both.
        validation, held_out: Clean images with labels.
        generator: Decodes codes.
        filters: Methods on pictures; settings of one family compete.
        recoveries: Ways to codes; each family is a method by itself, and one with each family of code filters.
        code_filters: Filters of codes in a basis.
        contrasts: What each filter of pictures may do with its contrast.
        guide: Logits of a classifier for tuning on validation images; another one than `classifier`, or the same.
        classifier: Logits of one that no method knows, for scores.
        seed: Seed of the corruption; held-out images have the next one.
        shown: Denoised images that the report keeps.
        level: Level of the intervals.
        progress: Called with the name of each family when it is tuned.

    Raises:
        ValueError: There is no filter, or a method returns images of another shape.
    """
    if not filters:
        raise ValueError("expected at least one filter to compare with, got none; take `picture_filters()`")
    parts = {"validation": validation, "held-out": held_out}
    observed = {name: observe(corruption, part.x, seed + place) for place, (name, part) in enumerate(parts.items())}
    families = _families(observed, generator, filters, recoveries, code_filters, contrasts)

    rows: list[DenoisingRow] = []
    for (family, kind), candidates in families.items():
        tuned = [(candidate, *_scores(candidate("validation")[0], validation, guide)) for candidate in candidates]
        best: dict[Target, tuple[_Candidate, float, float]] = {
            "error": min(tuned, key=lambda one: one[1]),
            "accuracy": max(tuned, key=lambda one: one[2]),
        }
        for target, (candidate, error, accuracy) in best.items():
            denoised, seconds = candidate("held-out")
            correct = _labels(denoised, classifier) == held_out.y
            squared = (denoised - held_out.x).square().flatten(1).mean(1)
            rows.append(
                DenoisingRow(
                    family=family,
                    kind=kind,
                    blind=candidate.blind,
                    setting=candidate.setting,
                    tuned_by=target,
                    validation_error=error,
                    validation_accuracy=accuracy,
                    error=mean_estimate(squared.cpu(), level),
                    accuracy=share(correct, level),
                    correct=correct,
                    seconds=seconds / len(held_out.x),
                    images=denoised[:shown],
                )
            )
        if progress is not None:
            progress(family)
    return DenoisingReport(
        corruption=repr(corruption),
        clean=held_out.x[:shown],
        corrupted=observed["held-out"].x[:shown],
        accuracy_of_clean=share(_labels(held_out.x, classifier) == held_out.y, level),
        rows=tuple(rows),
    )


class _Timed:
    """What a function makes of the observed images of a part, worked out once, and the time it took."""

    def __init__(self, make: Callable[[str], Tensor]) -> None:
        self._make, self._made, self._seconds = make, dict[str, Tensor](), dict[str, float]()

    def __call__(self, part: str) -> Tensor:
        if part not in self._made:
            began = time.perf_counter()
            self._made[part] = self._make(part)
            self._seconds[part] = time.perf_counter() - began
        return self._made[part]

    def seconds(self, part: str) -> float:
        self(part)
        return self._seconds[part]


@dataclass(frozen=True)
class _Candidate:
    """A method at one setting: what several settings share, codes or filtered pictures, and images from that."""

    setting: str
    blind: bool
    shared: _Timed
    finish: Callable[[Tensor], Tensor]
    """From what is shared to images."""

    def __call__(self, part: str) -> tuple[Tensor, float]:
        """Images of a part, and the time they took."""
        shared = self.shared(part)
        began = time.perf_counter()
        images = self.finish(shared)
        return images, self.shared.seconds(part) + time.perf_counter() - began


def _families(
    observed: dict[str, Observed],
    generator: Generator,
    filters: Sequence[PictureFilter],
    recoveries: Sequence[Recovering],
    code_filters: Sequence[CodeFilter],
    contrasts: Sequence[Contrast],
) -> dict[tuple[str, Kind], list[_Candidate]]:
    """Candidates that compete with each other, by name and kind."""
    found: dict[tuple[str, Kind], list[_Candidate]] = {}

    def add(family: str, kind: Kind, candidate: _Candidate) -> None:
        found.setdefault((family, kind), []).append(candidate)

    def made(method: Callable[[Observed], Tensor]) -> _Timed:
        return _Timed(lambda part: method(observed[part]))

    def decoded(apply: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def images(codes: Tensor) -> Tensor:
            with evaluated(generator), torch.no_grad():
                return torch.cat([generator(z) for z in apply(codes).split(_AT_ONCE)])

        return images

    for method in filters:
        pictures = made(method.denoise)
        add(method.family, "filter", _Candidate(method.setting, method.blind, pictures, lambda x: x))
        for contrast in contrasts if method.contrasted else ():
            setting = f"{method.setting}; {contrast}"
            add(method.family, "filter", _Candidate(setting, method.blind, pictures, contrast))
    for way in recoveries:
        codes = made(way.codes)
        add(way.family, "recovery", _Candidate(way.setting, way.blind, codes, decoded(lambda z: z)))
        for code_filter in code_filters:
            setting = f"{way.setting}; {code_filter.setting}"
            candidate = _Candidate(setting, way.blind, codes, decoded(code_filter.apply))
            add(f"{way.family}, {code_filter.family}", "basis", candidate)
    return found


def _scores(denoised: Tensor, clean: Labelled, guide: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Mean squared error, and accuracy of the guiding classifier."""
    if denoised.shape != clean.x.shape:
        raise ValueError(f"expected denoised images of shape {tuple(clean.x.shape)}, got {tuple(denoised.shape)}")
    accuracy = (_labels(denoised, guide) == clean.y).double().mean().item()
    return (denoised - clean.x).square().mean().item(), accuracy


def _labels(x: Tensor, classifier: Callable[[Tensor], Tensor]) -> Int[Tensor, "n"]:
    with evaluated(classifier), torch.no_grad():
        return torch.cat([classifier(part).argmax(1) for part in x.split(_AT_ONCE)])
