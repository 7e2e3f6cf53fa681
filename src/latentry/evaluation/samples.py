r"""How close are generated samples to the data? Five kinds of number, each with an interval made for it.

All look at features (`evaluation.extractor`), and none replaces the others:

- `frechet_distance`, between Gaussians with the samples' moments, and its limit for infinitely many samples. It sees means
  and covariances, and has a bias that depends on the number of samples (`numerics.frechet`).
- `kernel_distance`, unbiased, sees three moments (`numerics.kernel_distance`).
- `precision`, `recall`, `density`, `coverage`: realism and variety apart (`numerics.neighbours`).
- `score`: class probabilities of the generated samples alone (`numerics.class_score`).

| number                            | interval                                              | is for            |
|-----------------------------------|-------------------------------------------------------|-------------------|
| `frechet_distance`                | block jackknife, Student's t                          | samples this size |
| `frechet_distance_limit`          | the same, bias taken off                              | the two distributions      |
| `kernel_distance`                 | delete-one jackknife of the U-statistic, Student's t  | the two distributions      |
| `precision`, `recall`, `coverage` | half-samples without replacement, Wilson's form       | samples this size |
| `density`                         | half-samples without replacement, on the logarithm    | samples this size |
| `score`                           | delta method on the logarithm, bias taken off, normal | the distribution           |

They are sampling intervals: what more samples of the same model could change. What another seed would change is in
`evaluation.seeds`. No interval comes from a bootstrap: duplicates in a resample lower the rank of covariances, set radii to
zero, and add the bias of a distance a second time (`numerics.jackknife`). One weakness is known: where the distributions
hardly overlap, precision and recall hang on the balls of a few outliers, and their 95 % interval holds the mean about 86
times in 100. Another is small samples, which a note of the report says: with 30 rows, or with features of long tails up to
200, the intervals of 95 % hold the kernel distance 80 to 92 times in 100, the Frechet distance 83 to 95 and the score 87 to
91 (`benchmarks/sample_intervals.py`).

Samples stream: the Frechet distance and the score use every row in constant memory; pairs of rows are taken among a random
`max_rows` of each sample. Fallbacks are stated in the report's `notes`.

References: those of the modules named above; Politis and Romano, "Large sample confidence regions based on subsamples under
minimal assumptions", 1994.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from latentry.display import Facts, Shown, interval, number, percent
from latentry.evaluation.extractor import Extraction, Extractor, Fingerprint, as_extractor
from latentry.evaluation.proportions import wilson_interval
from latentry.holding import Watched, evaluated
from latentry.interfaces import FeatureExtractor
from latentry.numerics.class_score import class_score, score_terms
from latentry.numerics.data_range import check_same_range
from latentry.numerics.frechet import frechet_jackknife
from latentry.numerics.inputs import as_tensor, checked
from latentry.numerics.interval import Interval
from latentry.numerics.jackknife import half_sample_variance, student_quantile
from latentry.numerics.kernel_distance import kernel_distance
from latentry.numerics.moments import Moments, merge_all, merge_moments, moments
from latentry.numerics.neighbours import half_sample_neighbour_metrics, neighbour_metrics

__all__ = ["SampleEstimate", "SampleReport", "SampleSource", "check_comparable", "evaluate_samples"]

SampleSource = Tensor | Iterable[Any] | Callable[[int], Tensor]
"""All rows at once, batches of rows, or a sampler that makes as many rows as it is asked for."""

_LOOKED_AT = 64
"""Rows of each sample by which its range is known."""
_FEW = 200
"""Samples below which a note says what their intervals are worth."""

EXACT = math.inf
"""Degrees of freedom of a normal interval."""


@dataclass(frozen=True)
class SampleEstimate(Interval):
    """A number about samples, as it is usually reported, and its sampling interval."""

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
class SampleReport(Shown):
    """Generated samples against reference samples."""

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


@checked()
def evaluate_samples(
    generated: SampleSource,
    reference: SampleSource,
    extractor: Extractor | FeatureExtractor,
    *,
    count: int = 10_000,
    neighbours: int = 5,
    max_rows: int = 5000,
    blocks: int = 10,
    halves: int = 20,
    level: float = 0.95,
    batch_size: int = 250,
    rng: torch.Generator | None = None,
) -> SampleReport:
    """Compare generated samples with reference samples: distances, neighbourhoods and score, with intervals.

    Rows of a sample are taken for independent draws. Samples are grey or colour, of any size that the extractor takes, and
    both in the range that it takes.

    Args:
        generated: Generated samples: a tensor `(n, *data_shape)`, batches, or a sampler `n -> (n, *data_shape)`.
        reference: Samples of the data, likewise.
        extractor: What they are looked at with; any callable x -> features will do, but only a named one, or a module, gives
            numbers that can be compared with others.
        count: Rows asked of a sampler.
        neighbours: The k of precision, recall, density and coverage.
        max_rows: Rows of each sample used for pairs; a random choice of them where there are more.
        blocks: Blocks of each sample for the jackknife of the Frechet distance; each costs one more distance.
        halves: Half-samples for the intervals of precision, recall, density and coverage.
        level: Confidence level of the intervals.
        batch_size: Rows that go through the extractor at once.
        rng: Chooses the rows for pairs and the halves; a fixed one if not given, so that a report repeats.

    Raises:
        ValueError: A sample is too small for k, holds NaN, or does not suit the extractor; the two are evidently in
            different ranges, such as [0, 1] and [-1, 1]; the reference's features are all equal; the two samples have
            features of different length; or a setting is out of its range.
    """
    if blocks < 2 or halves < 2 or count < 1 or batch_size < 1 or neighbours < 1 or max_rows < 2 * neighbours + 2:
        raise ValueError(
            "expected at least 2 blocks, 2 halves, one row, batch and neighbour, and max_rows >= 2 * neighbours + 2, got "
            f"{blocks}, {halves}, {count}, {batch_size}, {neighbours} and {max_rows}"
        )
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    rng = rng or torch.Generator().manual_seed(0)
    seeds = torch.randint(2**62, (3,), generator=rng).tolist()  # one stream each, whatever the sizes of batches
    rng_generated, rng_reference, rng_halves = (torch.Generator().manual_seed(seed) for seed in seeds)
    extractor = as_extractor(extractor)
    with evaluated(extractor, generated, reference):
        made = _batches("generated", generated, count, batch_size)
        of_generated = _gather(_Side("generated", [None] * blocks), made, extractor, max_rows, rng_generated)
        given = _batches("reference", reference, count, batch_size)
        of_reference = _gather(
            _Side("reference", [None] * blocks, of_generated.first), given, extractor, max_rows, rng_reference
        )
    for side in (of_generated, of_reference):
        if side.count < 2 * neighbours + 2:
            raise ValueError(
                f"expected at least {2 * neighbours + 2} {side.name} samples for {neighbours} neighbours, got {side.count}; "
                "take more samples or fewer neighbours"
            )
    if of_generated.rows.shape[1] != of_reference.rows.shape[1]:
        raise ValueError(
            f"expected features of one length, got {of_generated.rows.shape[1]} for generated and "
            f"{of_reference.rows.shape[1]} for reference samples; give both the same size and channels"
        )
    if _constant(of_reference):
        raise ValueError(
            "expected reference features that vary, got equal ones for all samples; check the reference data and that the "
            "extractor sees them in the range it was trained on"
        )
    frechet, limit = _frechet(of_generated, of_reference, level)
    precision, recall, density, coverage = _neighbours(of_generated, of_reference, neighbours, halves, level, rng_halves)
    return SampleReport(
        frechet_distance=frechet,
        frechet_distance_limit=limit,
        kernel_distance=_kernel(of_generated, of_reference, level),
        precision=precision,
        recall=recall,
        density=density,
        coverage=coverage,
        score=None if of_generated.terms is None else _score(of_generated.terms, level),
        extractor=extractor.fingerprint,
        reference_fingerprint=of_reference.digest.hexdigest()[:16],
        neighbours=neighbours,
        notes=_notes(of_generated, of_reference),
    )


def check_comparable(first: SampleReport, second: SampleReport) -> None:
    """Make sure that two reports answer the same question, so that their numbers may be compared.

    Raises:
        ValueError: They were made with different extractors, or one that cannot be told from others, on different reference
            samples, with another number of rows or neighbours; every difference is named.
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


@dataclass
class _Side:
    """What is kept of one sample while it streams by."""

    name: str
    blocks: list[Moments | None]
    compared: Tensor | None = None
    """First rows of the sample that this one is compared with."""
    first: Tensor = field(default_factory=lambda: torch.empty(0, 1))
    """First rows, by which the range is known."""
    rows: Tensor = field(default_factory=lambda: torch.empty(0))
    keys: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))
    terms: Moments | None = None
    count: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, x: Tensor, seen: Extraction, max_rows: int, rng: torch.Generator) -> None:
        features = seen.features.detach()
        for block in range(len(self.blocks)):  # row i belongs to block i mod g, so that ordered data fall into all blocks
            mine = features[(block - self.count) % len(self.blocks) :: len(self.blocks)]
            if len(mine):
                self.blocks[block] = _joined(self.blocks[block], moments(mine))
        if seen.probabilities is not None:
            self.terms = _joined(self.terms, moments(score_terms(seen.probabilities)))
        self._keep(features, max_rows, rng)
        self.digest.update(f"{x.dtype} {tuple(x.shape[1:])};".encode() if self.count == 0 else b"")
        self.digest.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        self.count += len(features)

    def _keep(self, features: Tensor, max_rows: int, rng: torch.Generator) -> None:
        """The rows with the smallest random keys: at any time a random choice among all that came by."""
        keys = torch.cat([self.keys, torch.rand(len(features), generator=rng, dtype=torch.float64)])
        rows = features if self.count == 0 else torch.cat([self.rows, features])
        if len(keys) > max_rows:
            chosen = keys.topk(max_rows, largest=False).indices.sort().values
            keys, rows = keys[chosen], rows[chosen.to(rows.device)]
        self.keys, self.rows = keys, rows


def _joined(a: Moments | None, b: Moments) -> Moments:
    return b if a is None else merge_moments(a, b)


def _batches(name: str, source: SampleSource, count: int, batch_size: int) -> Iterator[Tensor]:
    if isinstance(source, Tensor) or hasattr(source, "__array__") or _is_of_numbers(source):
        yield from as_tensor(f"{name} samples", source).split(batch_size)
    elif callable(source):
        for start in range(0, count, batch_size):
            size = min(batch_size, count - start)
            with torch.no_grad():
                batch = source(size)
            if hasattr(batch, "__array__"):
                batch = as_tensor(f"{name} samples", batch)
            if not isinstance(batch, Tensor) or batch.ndim == 0 or len(batch) != size:
                rows = isinstance(batch, Tensor) and batch.ndim > 0
                got = f"{len(batch)} rows" if rows else type(batch).__name__
                raise ValueError(f"expected {size} {name} rows from the sampler, got {got}; it is called with their number")
            yield batch
    else:
        if not isinstance(source, Iterable) or isinstance(source, str | bytes | Mapping):
            raise ValueError(
                f"expected {name} samples as a tensor, batches, or a sampler of as many as it is asked for, got "
                f"{type(source).__name__}; pass a tensor (n, *data_shape)"
            )
        for batch in source:
            if not (isinstance(batch, Tensor) or hasattr(batch, "__array__")):
                raise ValueError(
                    f"expected batches of {name} samples as tensors, got {type(batch).__name__}; "
                    "pass (x for x, y in batches) if labels come along"
                )
            yield from as_tensor(f"batches of {name} samples", batch).split(batch_size)


def _is_of_numbers(source: Any) -> bool:
    """Whether it is a nested list of numbers: the rows themselves, and no batches of them."""
    while isinstance(source, list | tuple) and source:
        source = source[0]
    return isinstance(source, int | float)


def _gather(side: _Side, batches: Iterator[Tensor], extractor: Extractor, max_rows: int, rng: torch.Generator) -> _Side:
    extract = Watched(extractor.extract)
    for x in batches:
        if len(x) == 0:
            continue
        _check_samples(x, side)
        seen: Extraction = extract(x)
        features = seen.features
        if features.ndim != 2 or len(features) != len(x) or not features.is_floating_point():
            raise ValueError(
                f"expected floating-point features of shape ({len(x)}, k), got {features.dtype} of {tuple(features.shape)}; "
                "flatten them in the extractor"
            )
        if not features.isfinite().all():
            raise ValueError(
                f"expected finite features of {side.name} samples, got NaN or infinity in rows "
                f"{_bad_rows(features, side.count)}; check the range of the samples and the extractor"
            )
        side.add(x, seen, max_rows, rng)
    return side


def _check_samples(x: Tensor, side: _Side) -> None:
    """Make sure that samples are numbers in the range of those that they are compared with."""
    if x.ndim < 2 or x.is_complex() or x.dtype == torch.bool:
        raise ValueError(
            f"expected {side.name} samples of shape (n, *data_shape), got {x.dtype} of {tuple(x.shape)}; "
            "the first axis counts samples"
        )
    if not x.isfinite().all():
        raise ValueError(f"expected finite {side.name} samples, got NaN or infinity in rows {_bad_rows(x, side.count)}")
    missing = _LOOKED_AT - len(side.first)
    if side.count > 0 and (missing <= 0 or (x.dtype, x.shape[1:]) != (side.first.dtype, side.first.shape[1:])):
        return
    seen = x[:_LOOKED_AT] if side.count == 0 else torch.cat([side.first, x[:missing]])
    side.first = seen.detach()
    if side.compared is not None:
        check_same_range(side.compared, side.first)


def _bad_rows(x: Tensor, start: int) -> str:
    rows = (start + (~x.isfinite()).flatten(1).any(1).nonzero().flatten()).tolist()
    return ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


def _all_moments(side: _Side) -> Moments:
    return merge_all(block for block in side.blocks if block is not None)


def _constant(side: _Side) -> bool:
    gathered = _all_moments(side)
    eps = torch.finfo(side.rows.dtype).eps
    return bool(gathered.scatter.trace() <= gathered.count * (eps * gathered.mean).square().sum())


def _estimate(value: float, low: float, high: float, level: float, method: str, rows: tuple[int, int]) -> SampleEstimate:
    return SampleEstimate(value, low, high, level, method, *rows)


def _frechet(generated: _Side, reference: _Side, level: float) -> tuple[SampleEstimate, SampleEstimate]:
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


def _kernel(generated: _Side, reference: _Side, level: float) -> SampleEstimate:
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


def _neighbours(
    generated: _Side, reference: _Side, neighbours: int, halves: int, level: float, rng: torch.Generator
) -> tuple[SampleEstimate, SampleEstimate, SampleEstimate, SampleEstimate]:
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


def _score(terms: Moments, level: float) -> SampleEstimate:
    found = class_score(terms)
    half = student_quantile(level, EXACT) * math.sqrt(found.variance)
    centre, classes = found.log_value - found.bias, len(terms.mean) - 1
    low, high = (min(max(math.exp(centre + side * half), 1.0), float(classes)) for side in (-1, 1))
    return _estimate(
        math.exp(found.log_value), low, high, level, "delta method, logarithmic, for the distribution", (terms.count, 0)
    )


def _notes(generated: _Side, reference: _Side) -> tuple[str, ...]:
    notes = []
    for side in (generated, reference):
        d = side.rows.shape[1]
        if side.count <= d:
            notes.append(
                f"{side.count} {side.name} samples in {d} dimensions: their covariance is singular, the Frechet distance is "
                "far above its limit, and the limit is itself too high."
            )
        if side.count > len(side.rows):
            notes.append(f"Pairs are taken among {len(side.rows)} of {side.count} {side.name} samples.")
    if _constant(generated):
        notes.append("All generated features are equal: their neighbourhoods hold nothing, and recall is 0.")
    if generated.terms is not None:
        never = (generated.terms.mean[1:] == 0).nonzero().flatten().tolist()
        if never:
            notes.append(f"Classes with probability 0 in every generated sample add nothing to the score: {never}.")
    fewest = min(generated.count, reference.count)
    if fewest < _FEW:
        notes.append(
            f"{fewest} samples are few for intervals: those of the kernel distance, the Frechet distances and the score may "
            "hold their numbers less often than said, above all where features have long tails; from 200 on they are about "
            "right."
        )
    return tuple(notes)
