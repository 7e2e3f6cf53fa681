"""The report of a comparison of generated with reference samples: figures, intervals and settings."""

from dataclasses import dataclass
from typing import Any

from latentry.display import Facts, Plottable, interval, number, percent
from latentry.evaluation.extractor import Fingerprint
from latentry.numerics.interval import Interval

__all__ = ["SampleEstimate", "SampleReport", "check_comparable"]


@dataclass(frozen=True)
class SampleEstimate(Interval):
    """A number about samples, as it is usually reported, and its sampling interval.

    Example:
        >>> print(SampleEstimate(12.3456, 11.0, 13.0, 0.95, "block jackknife", 1000, 1000))
        12.35 [11, 13]
    """

    level: float
    """How often such an interval holds what it is for."""
    method: str
    """How the interval was made, and what it is for."""
    generated: int
    """Generated rows used."""
    reference: int
    """Reference rows used; 0 where none are looked at."""

    def __str__(self) -> str:
        return f"{self:.4g}"


@dataclass(frozen=True, repr=False)
class SampleReport(Plottable):
    """Generated samples against reference samples.

    Example:
        >>> import torch
        >>> from latentry.evaluation.samples import evaluate_samples
        >>> x, y = torch.randn(2, 100, 2, generator=torch.Generator().manual_seed(0))
        >>> report = evaluate_samples(x, y, lambda x: x)
        >>> report.neighbours, report.precision.generated
        (5, 100)
    """

    frechet_distance: SampleEstimate
    """Squared Frechet distance of the features at this sample size (FID, on Inception features)."""
    frechet_distance_limit: SampleEstimate
    """The same, followed in 1/n to infinitely many samples (FID_inf); negative values are near zero."""
    kernel_distance: SampleEstimate
    """Unbiased squared kernel distance (KID, on Inception features); negative values are near zero."""
    precision: SampleEstimate
    """Share of generated samples within the reference's neighbourhoods."""
    recall: SampleEstimate
    """Share of reference samples within the generated's neighbourhoods."""
    density: SampleEstimate
    """How many of the reference's neighbourhoods hold a generated sample, over k; 1 for equal distributions."""
    coverage: SampleEstimate
    """Share of the reference's neighbourhoods that hold a generated sample."""
    score: SampleEstimate | None
    """Inception-style score of the generated samples; None where the extractor has no classes."""
    extractor: Fingerprint
    """What the samples were looked at with."""
    reference_fingerprint: str
    """Hash of the reference samples in their order."""
    neighbours: int
    """The k of the neighbourhoods."""
    notes: tuple[str, ...]
    """Fallbacks that were taken, one sentence each."""

    @property
    def estimates(self) -> dict[str, SampleEstimate]:
        """All numbers by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, SampleEstimate)}

    @property
    def meaning(self) -> str:
        """Two sentences: how many samples pass for data, and how much of the data's variety they have."""
        return (
            f"{percent(self.precision.value)} of the generated samples lie among the data, and {percent(self.recall.value)} "
            f"of the data among the generated samples, as {self.extractor.name} sees them. "
            f"The Frechet distance is {number(self.frechet_distance.value)}, where 0 means no difference."
        )

    def _facts(self) -> Facts:
        sizes = self.frechet_distance
        rows = [(name.replace("_", " "), interval(found)) for name, found in self.estimates.items()]
        return Facts(
            f"{sizes.generated:,} generated samples against {sizes.reference:,}, "
            f"with {self.frechet_distance.level:.0%} intervals",
            tuple(rows),
            self.meaning,
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import GUIDE, draw_bars

        panel = figure.subplots()
        names = ("precision", "recall", "density", "coverage")
        draw_bars(panel, {name: self.estimates[name] for name in names}, "1 is best")
        panel.axvline(1, color=GUIDE, linewidth=1, linestyle="--")
        found = self.frechet_distance
        panel.set_title(f"Frechet distance {interval(found)}", fontsize=9)


def check_comparable(first: SampleReport, second: SampleReport) -> None:
    """Make sure that two reports have the same settings and reference, so that their numbers may be compared.

    Raises:
        ValueError: They were made with different extractors, or one that has no identity, on different
            reference samples, with another number of rows or neighbours; every difference is named.

    Example:
        >>> import torch
        >>> from latentry.evaluation.extractor import CallableExtractor
        >>> from latentry.evaluation.samples import evaluate_samples
        >>> x, y, z = torch.randn(3, 100, 2, generator=torch.Generator().manual_seed(0))
        >>> pixels = CallableExtractor(lambda x: x, name="pixels")
        >>> check_comparable(evaluate_samples(x, z, pixels), evaluate_samples(y, z, pixels))
    """
    differences = []
    if first.extractor != second.extractor:
        differences.append(f"extractors {first.extractor} and {second.extractor}")
    elif not first.extractor.known:
        differences.append(
            f"an unnamed function {first.extractor.name!r} that may have changed; name it in CallableExtractor"
        )
    for what, a, b in (
        ("reference samples", first.reference_fingerprint, second.reference_fingerprint),
        ("neighbours", first.neighbours, second.neighbours),
        ("numbers of rows", _sizes(first), _sizes(second)),
    ):
        if a != b:
            differences.append(f"{what} {a} and {b}")
    if differences:
        raise ValueError(
            f"expected two reports that can be compared, got {'; '.join(differences)}; evaluate both again in the same way"
        )


def _sizes(report: SampleReport) -> tuple[int, int, int, int]:
    whole, part = report.frechet_distance, report.precision
    return whole.generated, whole.reference, part.generated, part.reference
