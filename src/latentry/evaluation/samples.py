r"""Evaluation of generated samples against reference data: five kinds of figure, each with an interval.

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

import torch

from latentry.evaluation.extractor import Extractor, as_extractor
from latentry.evaluation.sample_estimates import frechet_estimates, kernel_estimate, neighbour_estimates, score_estimate
from latentry.evaluation.sample_gathering import GatheredSample, SampleSource, batches_of, gather, is_constant
from latentry.evaluation.sample_report import SampleReport
from latentry.holding import Condition, as_condition, evaluated
from latentry.holding.conditions import for_draws
from latentry.interfaces import FeatureExtractor
from latentry.numerics.inputs import checked

__all__ = ["evaluate_samples"]

_FEW = 200
"""Samples below which a note says what their intervals are worth."""


@checked()
def evaluate_samples(
    generated: SampleSource,
    reference: SampleSource,
    extractor: Extractor | FeatureExtractor,
    *,
    condition: Condition | None = None,
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
        condition: Conditions of a conditional generator: a sampler of generated samples is then called as
            `generated(n, condition)`, with row i for sample i where there are `count` rows, else with rows drawn from these.
            `lambda n, y: generator(prior.sample(n), y)` is such a sampler.
        count: Rows requested from a sampler.
        neighbours: The k of precision, recall, density and coverage.
        max_rows: Rows of each sample used for pairs; a random choice of them where there are more.
        blocks: Blocks of each sample for the jackknife of the Frechet distance; each costs one more distance.
        halves: Half-samples for the intervals of precision, recall, density and coverage.
        level: Confidence level of the intervals.
        batch_size: Rows that go through the extractor at once.
        rng: Source of the choice of rows for pairs and of the halves. Pass one with a seed for the same report at every
            call.

    Raises:
        ValueError: A sample is too small for k, holds NaN, or does not suit the extractor; the two are evidently in
            different ranges, such as [0, 1] and [-1, 1]; there is a condition and no sampler; the reference's features are
            all equal; the two samples have features of different length; or a setting is out of its range.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> data, near = torch.randn(2, 300, 4, generator=rng)
        >>> report = evaluate_samples(near, data, lambda x: x)
        >>> [*report.estimates][:3]
        ['frechet_distance', 'frechet_distance_limit', 'kernel_distance']
        >>> evaluate_samples(near + 3, data, lambda x: x).frechet_distance.value > report.frechet_distance.value
        True
    """
    if blocks < 2 or halves < 2 or count < 1 or batch_size < 1 or neighbours < 1 or max_rows < 2 * neighbours + 2:
        raise ValueError(
            "expected at least 2 blocks, 2 halves, one row, batch and neighbour, and max_rows >= 2 * neighbours + 2, got "
            f"{blocks}, {halves}, {count}, {batch_size}, {neighbours} and {max_rows}"
        )
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    seeds = torch.randint(2**62, (3,), generator=rng).tolist()  # one stream each, whatever the sizes of batches
    rng_generated, rng_reference, rng_halves = (torch.Generator().manual_seed(seed) for seed in seeds)
    extractor = as_extractor(extractor)
    of_generated_rows = for_draws(as_condition(condition), count, rng)
    with evaluated(extractor, generated, reference):
        made = batches_of("generated", generated, count, batch_size, of_generated_rows)
        of_generated = gather(GatheredSample("generated", [None] * blocks), made, extractor, max_rows, rng_generated)
        reference_batches = batches_of("reference", reference, count, batch_size)
        of_reference = gather(
            GatheredSample("reference", [None] * blocks, of_generated.first),
            reference_batches,
            extractor,
            max_rows,
            rng_reference,
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
    if is_constant(of_reference):
        raise ValueError(
            "expected reference features that vary, got equal ones for all samples; check the reference data and that the "
            "extractor sees them in the range it was trained on"
        )
    frechet, limit = frechet_estimates(of_generated, of_reference, level)
    precision, recall, density, coverage = neighbour_estimates(
        of_generated, of_reference, neighbours, halves, level, rng_halves
    )
    return SampleReport(
        frechet_distance=frechet,
        frechet_distance_limit=limit,
        kernel_distance=kernel_estimate(of_generated, of_reference, level),
        precision=precision,
        recall=recall,
        density=density,
        coverage=coverage,
        score=None if of_generated.terms is None else score_estimate(of_generated.terms, level),
        extractor=extractor.fingerprint,
        reference_fingerprint=of_reference.digest.hexdigest()[:16],
        neighbours=neighbours,
        notes=_notes(of_generated, of_reference),
    )


def _notes(generated: GatheredSample, reference: GatheredSample) -> tuple[str, ...]:
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
    if is_constant(generated):
        notes.append("All generated features are equal: their neighbourhoods hold nothing, and recall is 0.")
    if generated.terms is not None:
        never = (generated.terms.mean[1:] == 0).nonzero().flatten().tolist()
        if never:
            notes.append(f"Classes with probability 0 in every generated sample add nothing to the score: {never}.")
    fewest = min(generated.count, reference.count)
    if fewest < _FEW:
        notes.append(
            f"{fewest} samples are few for intervals: those of the kernel distance, the Frechet distances and the score may "
            "cover less often than their level, above all where features have long tails. From 200 samples on they are "
            "about right."
        )
    return tuple(notes)
