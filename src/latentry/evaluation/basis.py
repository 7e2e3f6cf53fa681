r"""Evaluation of a basis: do its directions change the labels after which they are named?

A basis of codes has rows :math:`\xi_1 \dots \xi_m`, the first k of which are named after the k labels. Two properties of
each labelled row are measured.

**The decoded row has its label.** The label map is the label that a classifier predicts for the decoded :math:`+\xi_i` and
:math:`-\xi_i`, with its probability. A labelled row is *mapped* if the prediction for :math:`+\xi_l` is l. The *distinct*
labels are those predicted for any of the k rows. A classifier predicts a label for every image, also for a random row. So
the report has a *null band*: the same figures for random orthonormal rows of the same length. It also has the other rows of
the basis, which should have no label in particular. A single row may be far from all samples of the prior. The *pull* of a
row avoids this: for samples z of the prior, it is the share of :math:`(z + \xi_i) / \sqrt 2` with the label of the row.

**Codes of a label have a large coefficient there.** With coefficients c in :math:`z = \sum_i c_i \xi_i`, the rank of the
true label is one plus the number of other coefficients, of all m, that are at least as large: ties count against the basis.
Ranks are of c (signed) and of :math:`|c|` (absolute, as in the paper). Shares of rank one and of rank three or better have
Wilson's intervals. They too have a null: the ranks in random orthonormal bases.

Further figures: the share of :math:`|z|^2` in the span of the labelled rows (k / d for a random span), the share of
variance and of label information in that span (`evaluation.probes`), and the condition number of the basis.

**A spectral classifier** takes the k first coefficients for logits. With one temperature t, fitted on half of the codes, its
probabilities are :math:`\operatorname{softmax}(c / t)`. On the other half they are calibrated if the share of correct
predictions equals the confidence. The expected calibration error is the mean gap between the two over bins of confidence.

References: Toledo-Marin and Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
2023; Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", 2017.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor

from latentry.evaluation.basis_report import BasisNull, BasisReport, LabelMap, LabelRanks, SpectralCalibration
from latentry.evaluation.estimates import ratio_estimate
from latentry.evaluation.proportions import share
from latentry.evaluation.subspace import subspace_capture
from latentry.holding import evaluated
from latentry.network_outputs import logits_of
from latentry.numerics.batches import in_batches
from latentry.numerics.inputs import checked
from latentry.numerics.interval import Interval

__all__ = ["Classify", "coefficient_ranks", "evaluate_basis", "label_map", "rank_shares", "spectral_calibration"]

Classify = Callable[[Tensor], Tensor]
"""Codes `(n, d)` to logits of labels `(n, k)`: a classifier of what the generator makes of them."""
_AT_ONCE = 512
_TOP = 3
_BINS = 15


@checked()
def evaluate_basis(
    vectors: Float[Tensor, "m d"],
    z: Float[Tensor, "n d"],
    coefficients: Float[Tensor, "n m"],
    y: Int[Tensor, "n"],
    classify: Classify,
    *,
    num_labels: int,
    label_means: Float[Tensor, "k d"] | None = None,
    samples: Float[Tensor, "s d"] | None = None,
    null_draws: int = 100,
    folds: int = 5,
    probes: Mapping[str, Any] | None = None,
    level: float = 0.95,
    rng: torch.Generator | None = None,
) -> BasisReport:
    """Report on a basis: label map, ranks, energy and label information, each with its interval and its null.

    Reference: the module's theory; Toledo-Marin and Glazier (2023) for the map and the ranks.

    Args:
        vectors: Rows, the labelled ones first; of the length at which they are decoded.
        z: Held-out codes that no vector was made from, less the offset of the basis where it has one.
        coefficients: Those of the codes in the basis.
        y: Labels of the codes, 0 .. num_labels - 1.
        classify: Codes to logits of labels. Where the basis has an offset, this adds it before it decodes.
        num_labels: k, at least 2.
        label_means: Means of the codes of each label, less the offset, for the alignment.
        samples: Codes of the prior, for the pull of each row.
        null_draws: Random bases behind the null, two at least.
        folds, probes: As in `probe_accuracy`.
        level: Level of the intervals and of the null's band.
        rng: Source of random bases, folds and seeds; on the CPU.

    Raises:
        ValueError: Shapes do not fit, there are fewer rows than labels, a label is outside 0 .. k - 1, a value is not
            finite, or as in `probe_accuracy`.

    Example:
        >>> z = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
        >>> y = z.argmax(1)
        >>> report = evaluate_basis(3 * torch.eye(3), z, z / 3, y, lambda z: 5 * z, num_labels=3, null_draws=5)
        >>> report.one_to_one, report.signed.first.value
        (True, 1.0)
    """
    _check(vectors, z, coefficients, y, num_labels, null_draws)
    vectors, z, coefficients, y = vectors.detach(), z.detach(), coefficients.detach(), y.detach()
    plus, minus = (label_map(rows, classify, samples) for rows in (vectors, -vectors))
    own = torch.arange(num_labels)
    others = torch.arange(num_labels, len(vectors))
    labelled = vectors[:num_labels]
    singular = torch.linalg.svdvals(vectors.double())
    return BasisReport(
        num_labels=num_labels,
        plus=plus,
        minus=minus,
        mapped=share(plus.label[own] == own, level),
        mapped_reversed=share(minus.label[own] == own, level),
        distinct=_distinct(plus.label[own], num_labels),
        probability=plus.probability[own].mean().item(),
        complement_mapped=share(plus.label[others] == others % num_labels, level) if len(others) else None,
        complement_probability=plus.probability[others].mean().item() if len(others) else None,
        signed=rank_shares(coefficients, y, signed=True, num_labels=num_labels, level=level),
        absolute=rank_shares(coefficients, y, signed=False, num_labels=num_labels, level=level),
        calibration=spectral_calibration(coefficients[:, :num_labels], y, level=level, rng=rng),
        energy=_energy(z, labelled, level),
        capture=subspace_capture(z, labelled, y, folds=folds, probes=probes, level=level, rng=rng),
        null=_null(vectors, z, y, classify, num_labels, null_draws, level, rng),
        condition_number=(singular[0] / singular[-1]).item(),
        overlap=_overlap(vectors),
        alignment=None if label_means is None else torch.cosine_similarity(labelled, label_means.to(labelled)).cpu(),
    )


@checked()
def label_map(vectors: Float[Tensor, "m d"], classify: Classify, samples: Float[Tensor, "s d"] | None = None) -> LabelMap:
    """What a classifier sees in decoded vectors, and what they do to samples of the prior.

    Args:
        vectors: Codes to decode.
        classify: Codes to logits; modules behind it are held in eval mode meanwhile.
        samples: Codes of the prior, to which each vector is added, over the root of two.

    Example:
        >>> found = label_map(torch.eye(3), lambda z: 5 * z)
        >>> found.label
        tensor([0, 1, 2])
    """
    probability, label = _logits(vectors, classify).softmax(1).max(1)
    if samples is None:
        return LabelMap(label, probability, None)
    predicted = [_logits((samples + vector) / 2**0.5, classify).argmax(1) for vector in vectors]
    pull = (torch.stack(predicted) == label[:, None]).float().mean(1)
    return LabelMap(label, probability, pull)


@checked()
def coefficient_ranks(coefficients: Float[Tensor, "n m"], y: Int[Tensor, "n"], *, signed: bool = True) -> Int[Tensor, "n"]:
    """Rank of the true label's coefficient among all, 1 being the largest; ties count against it.

    Args:
        coefficients: Those of each code; column l belongs to label l.
        y: Labels.
        signed: Whether a coefficient below 0 is small; else absolute values are compared.

    Example:
        >>> c = torch.tensor([[0.1, 3.0, 2.0], [1.0, 0.0, -4.0]])
        >>> coefficient_ranks(c, torch.tensor([2, 0])), coefficient_ranks(c, torch.tensor([2, 0]), signed=False)
        (tensor([2, 1]), tensor([2, 2]))
    """
    size = coefficients if signed else coefficients.abs()
    return (size >= size.gather(1, y[:, None])).sum(1)


@checked()
def rank_shares(
    coefficients: Float[Tensor, "n m"], y: Int[Tensor, "n"], *, signed: bool, num_labels: int, level: float = 0.95
) -> LabelRanks:
    """Ranks of the true label with the shares of the best ones. Arguments as of `coefficient_ranks` and `evaluate_basis`.

    Example:
        >>> c = torch.tensor([[0.1, 3.0, 2.0], [4.0, 0.0, -1.0]])
        >>> rank_shares(c, torch.tensor([2, 0]), signed=True, num_labels=3).first.value
        0.5
    """
    rank = coefficient_ranks(coefficients, y, signed=signed).cpu()
    each = [rank[y.cpu() == label] == 1 for label in range(num_labels)]
    return LabelRanks(
        rank=rank,
        first=share(rank == 1, level),
        top_three=share(rank <= _TOP, level),
        first_by_label=tuple(share(one, level) if len(one) else None for one in each),
    )


@checked()
def spectral_calibration(
    coefficients: Float[Tensor, "n k"], y: Int[Tensor, "n"], *, level: float = 0.95, rng: torch.Generator | None = None
) -> SpectralCalibration:
    """Fit a temperature to one half of the codes and see on the other how far its probabilities can be trusted.

    Reference: Guo et al. (2017).

    Args:
        coefficients: Those of the labelled rows.
        y: Labels, 0 .. k - 1.
        level: Level of the interval.
        rng: Chooses the halves; on the CPU.

    Raises:
        ValueError: There are fewer than two codes.
    """
    if len(y) < 2:
        raise ValueError(f"expected two codes at least, one for the temperature and one to look at, got {len(y)}")
    order = torch.randperm(len(y), generator=rng)
    logits, labels = coefficients.cpu().double()[order], y.cpu()[order]
    half = len(y) // 2
    unit = logits[:half].std(correction=0).clamp(min=torch.finfo(torch.float64).tiny).item()

    def surprise(log_temperature: float) -> float:
        warmed = (logits[:half] / unit * math.exp(-log_temperature)).log_softmax(1)
        return -warmed.gather(1, labels[:half, None]).mean().item()

    temperature = unit * math.exp(minimize_scalar(surprise, bounds=(-7, 7), method="bounded").x)
    confidence, predicted = (logits[half:] / temperature).softmax(1).max(1)
    right = predicted == labels[half:]
    place = (confidence * _BINS).long().clamp(max=_BINS - 1)
    gap = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, place, right.double() - confidence)
    return SpectralCalibration(share(right, level), temperature, gap.abs().sum().item() / len(right))


def _logits(z: Tensor, classify: Classify) -> Float[Tensor, "n k"]:
    with evaluated(classify) as (classify,), torch.no_grad():
        return in_batches(lambda part: logits_of(classify(part)), z, size=_AT_ONCE).double().cpu()


def _distinct(labels: Int[Tensor, "k"], num_labels: int) -> float:
    return len(labels.unique()) / num_labels


def _inside(z: Tensor, rows: Float[Tensor, "k d"]) -> tuple[Tensor, Tensor]:
    """Squared length of each code in the span of the rows, and in all."""
    axes = torch.linalg.qr(rows.double().mT).Q
    return (z.double() @ axes).square().sum(1), z.double().square().sum(1)


def _energy(z: Float[Tensor, "n d"], rows: Float[Tensor, "k d"], level: float) -> Interval:
    inside, whole = _inside(z, rows)
    found = ratio_estimate(inside.cpu(), whole.cpu(), level)
    return Interval(found.value, max(0.0, found.low), min(1.0, found.high))


def _overlap(vectors: Float[Tensor, "m d"]) -> float:
    directions = torch.nn.functional.normalize(vectors.double(), dim=1)
    return (directions @ directions.mT).abs().fill_diagonal_(0).max().item()


def _null(
    vectors: Float[Tensor, "m d"],
    z: Float[Tensor, "n d"],
    y: Int[Tensor, "n"],
    classify: Classify,
    num_labels: int,
    draws: int,
    level: float,
    rng: torch.Generator | None,
) -> BasisNull:
    """The numbers of the report for random orthonormal rows, as many as there are vectors, of their mean length."""
    (m, d), length = vectors.shape, vectors.norm(dim=1).mean()
    bases = [_random_rows(m, d, rng).to(vectors) for _ in range(draws)]
    predicted = _logits(torch.cat([length * basis[:num_labels] for basis in bases]), classify).softmax(1)
    probability, label = (part.view(draws, num_labels) for part in predicted.max(1))
    first = [
        torch.stack([(coefficient_ranks(z @ basis.mT, y, signed=signed) == 1).double().mean() for basis in bases]).cpu()
        for signed in (True, False)
    ]
    energy = [torch.stack(_inside(z, basis[:num_labels])).sum(1).cpu() for basis in bases]
    return BasisNull(
        mapped=_band((label == torch.arange(num_labels)).double().mean(1), level),
        distinct=_band(torch.tensor([_distinct(row, num_labels) for row in label], dtype=torch.float64), level),
        probability=_band(probability.mean(1), level),
        signed_first=_band(first[0], level),
        absolute_first=_band(first[1], level),
        energy=_band(torch.stack([inside / whole for inside, whole in energy]), level),
        draws=draws,
    )


def _random_rows(m: int, d: int, rng: torch.Generator | None) -> Float[Tensor, "m d"]:
    """Orthonormal rows, all directions alike."""
    q, r = torch.linalg.qr(torch.randn(d, m, generator=rng, dtype=torch.float64))
    return (q * r.diagonal().sign()).mT  # the signs of QR are no accident


def _band(values: Float[Tensor, "r"], level: float) -> Interval:
    low, high = values.quantile(values.new_tensor([(1 - level) / 2, (1 + level) / 2])).tolist()
    return Interval(values.mean().item(), low, high)


def _check(vectors: Tensor, z: Tensor, coefficients: Tensor, y: Tensor, num_labels: int, null_draws: int) -> None:
    m, d = vectors.shape
    if not 2 <= num_labels <= m <= d:
        raise ValueError(
            f"expected 2 <= num_labels <= rows <= elements of a row, got {num_labels} labels and rows of shape {(m, d)}; "
            "a basis has no more vectors than the codes have elements"
        )
    n = len(z)
    if z.shape != (n, d) or coefficients.shape != (n, m) or y.shape != (n,) or n < 2:
        raise ValueError(
            f"expected n >= 2 codes (n, {d}), coefficients (n, {m}) and labels (n,), got {tuple(z.shape)}, "
            f"{tuple(coefficients.shape)} and {tuple(y.shape)}"
        )
    if not all(part.isfinite().all() for part in (vectors, z, coefficients)) or not vectors.any(1).all():
        raise ValueError("expected finite vectors other than 0, finite codes and coefficients; drop the others")
    if y.min() < 0 or y.max() >= num_labels:
        raise ValueError(f"expected labels 0 .. {num_labels - 1}, got {y.min().item()} .. {y.max().item()}")
    if null_draws < 2:
        raise ValueError(f"expected null_draws >= 2, got {null_draws}; a band needs several")
