r"""What do codes know of labels, and what do directions do to attributes?

**Probes.** A label can be read off codes if a fresh classifier, never seen in training, predicts it for codes that it has
not been fitted to. Where the label should be in the codes this is their *probe accuracy*; where it should not, their
*leakage*. A weak probe would find no leak where there is one, so several compete: logistic regression, nearest neighbours
and a perceptron with a hidden layer. In K stratified folds each is fitted to K - 2 (standardised by their mean and
deviation), chosen by its accuracy on the next fold, and scored on the held-out one, which had no say. Each code is held out
once.

Intervals are for the accuracy, on new data, of probes fitted to (K - 2) / K of n codes: not for the best classifier there
could be, and more data can raise it. They are Wilson's over all n held-out answers, each of which counts for half. Answers
are dependent, since each code has taught the probes of the others. For stable probes that vanishes as n grows (Bayle et al.,
2020), but where there is nothing to learn it does not: the variance of an accuracy is then 1.2 to 1.4 times the binomial
one for logistic regression, neighbours and trees in five folds, and up to 1.8 times in ten
(`benchmarks/probe_intervals.py`). Twice is taken, as if all answers were tied in pairs. Beside the accuracy stand the share
of the commonest class, which a probe reaches without knowing anything, and all of the same again with shuffled labels.

**Edits and directions.** An edit leaks when attributes move that should not. Moves are counted in units of the attribute's
own standard deviation, so that attributes compare: the mean move, and the mean size of it, since an edit that moves half of
the data up and half down has leaked all the same. Along a direction an attribute is monotone if its ranks follow the steps:
Spearman's correlation of each path is 1.

**Subspaces.** With P the projection onto a subspace, :math:`\operatorname{tr} P \Sigma / \operatorname{tr} \Sigma` is its
share of the variance of codes (k / d where they are isotropic). Its share of label information is what a probe gains over
chance within it, over what a probe gains from whole codes.

References: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2017; Hewitt and Liang,
"Designing and interpreting probes with control tasks", 2019 (shuffled labels); Bayle et al., "Cross-validation confidence
intervals for test error", 2020.
"""

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from torch import Tensor

from latentry.evaluation.estimates import mean_estimate, median_estimate, ratio_estimate
from latentry.evaluation.proportions import Share, share
from latentry.holding import evaluated
from latentry.interfaces import Generator
from latentry.numerics.interval import Interval

__all__ = [
    "AttributeShift",
    "EditLeakage",
    "Monotonicity",
    "ProbeAccuracy",
    "SubspaceCapture",
    "default_probes",
    "edit_leakage",
    "monotonicity",
    "probe_accuracy",
    "subspace_capture",
]

_FEWEST_FOLDS = 3
_NEIGHBOURS = 15
_VARIANCE_INFLATION = 2.0
"""Of an accuracy over held-out answers, beyond that of independent trials; see the module's theory."""


@dataclass(frozen=True)
class ProbeAccuracy:
    """How well fresh probes read labels off codes they have not seen."""

    accuracy: Share
    """Share of held-out codes whose label the chosen probe names."""
    chance: float
    """Share of the commonest class: what a probe that knows nothing reaches."""
    shuffled: Share
    """Accuracy of the same procedure, choice included, on shuffled labels."""
    by_probe: dict[str, Share]
    """Held-out accuracy of each probe, whether chosen or not."""
    chosen: tuple[str, ...]
    """Which probe was best on the validation fold, for each held-out fold."""
    classes: Int[Tensor, "c"]
    """The labels that occur, in increasing order."""
    confusion: Int[Tensor, "c c"]
    """How many codes of each class (rows) were taken for each class (columns)."""
    correct: Bool[Tensor, "n"]
    """For each code whether its held-out answer was right."""
    y: Int[Tensor, "n"]
    """The labels."""
    level: float
    """Level of the intervals."""

    @property
    def leakage(self) -> Interval:
        """The way from chance (0) to certainty (1) that the probes go, with the interval of the accuracy."""
        ends = (self.accuracy.value, self.accuracy.low, self.accuracy.high)
        return Interval(*((end - self.chance) / (1 - self.chance) for end in ends))

    @property
    def recall(self) -> tuple[Share, ...]:
        """Share of each class that is found; 0 for a class that is never predicted."""
        return tuple(_held_out_share(self.correct[self.y == label], self.level) for label in self.classes)


def default_probes(size: int, seed: int) -> dict[str, Any]:
    """The probes that compete: linear, local, and neither.

    Args:
        size: Number of codes that a probe is fitted to.
        seed: Seed of the perceptron's weights.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    return {
        "logistic": LogisticRegression(max_iter=500),
        "neighbours": KNeighborsClassifier(min(_NEIGHBOURS, size)),
        "perceptron": MLPClassifier((128,), alpha=0.01, learning_rate_init=0.003, max_iter=100, random_state=seed),
    }


def probe_accuracy(
    z: Float[Tensor, "n d"],
    y: Int[Tensor, "n"],
    *,
    folds: int = 5,
    probes: Mapping[str, Any] | None = None,
    level: float = 0.95,
    rng: torch.Generator | None = None,
) -> ProbeAccuracy:
    """Read labels off codes with fresh probes, cross-validated.

    A constant coordinate tells nothing and is harmless. A probe that has not converged in its budget takes part as it is.

    Reference: the module's theory.

    Args:
        z: Codes, or any features.
        y: Labels, two classes or more.
        folds: K, at least 3; more give the probes more to learn from, take longer and make answers more dependent: beyond
            ten, intervals may be too short.
        probes: Classifiers with scikit-learn's `fit` and `predict`, by name; None for `default_probes`.
        level: Level of the intervals.
        rng: Source of folds, shuffled labels and seeds; on the CPU.

    Raises:
        ValueError: Codes hold NaN or do not fit the labels, there is one class only, or a class has fewer examples than
            there are folds.
    """
    _check_codes(z)
    classes, indices, counts = y.cpu().unique(return_inverse=True, return_counts=True)
    if len(y) != len(z) or len(classes) < 2:
        raise ValueError(
            f"expected a label for each of {len(z)} codes and two classes or more, got {len(y)} of {len(classes)}"
        )
    if folds < _FEWEST_FOLDS:
        raise ValueError(f"expected at least {_FEWEST_FOLDS} folds (to fit, to choose, to score), got {folds}")
    if counts.min() < folds:
        rarest = int(counts.argmin())
        raise ValueError(
            f"expected at least {folds} examples of each class, one for each fold, got {int(counts[rarest])} of class "
            f"{int(classes[rarest])}; leave the class out, merge it with another, or take fewer folds (3 at least)"
        )
    if probes is not None and not probes:
        raise ValueError("expected at least one probe, got none; leave the argument out for the default ones")
    seed = int(torch.randint(2**31 - 1, (), generator=rng))
    shuffled = indices[torch.randperm(len(y), generator=rng)]
    inputs = z.detach().cpu().double().numpy()
    if probes is None:
        probes = default_probes(len(z) * (folds - 2) // folds, seed)

    answers, predicted, chosen = _held_out_answers(inputs, indices.numpy(), folds, probes, seed)
    _, by_luck, _ = _held_out_answers(inputs, shuffled.numpy(), folds, probes, seed)
    confusion = torch.bincount(indices * len(classes) + predicted, minlength=len(classes) ** 2)
    return ProbeAccuracy(
        accuracy=_held_out_share(predicted == indices, level),
        chance=counts.max().item() / len(y),
        shuffled=_held_out_share(by_luck == shuffled, level),
        by_probe={name: _held_out_share(answer == indices, level) for name, answer in answers.items()},
        chosen=chosen,
        classes=classes,
        confusion=confusion.view(len(classes), -1),
        correct=predicted == indices,
        y=y.cpu(),
        level=level,
    )


def _held_out_share(correct: Bool[Tensor, "n"], level: float) -> Share:
    return share(correct, level, variance_inflation=_VARIANCE_INFLATION)


def _held_out_answers(
    z: Float[np.ndarray, "n d"], y: Int[np.ndarray, "n"], folds: int, probes: Mapping[str, Any], seed: int
) -> tuple[dict[str, Tensor], Tensor, tuple[str, ...]]:
    """Held-out answers of every probe, those of the probe chosen for each fold, and which that was."""
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(z, y)
    parts = [held_out for _, held_out in splits]
    answers = {name: np.empty_like(y) for name in probes}
    best = np.empty_like(y)
    chosen = []
    for index, held_out in enumerate(parts):
        validation = parts[(index + 1) % folds]
        fitted_to = np.setdiff1d(np.arange(len(y)), np.concatenate([held_out, validation]))
        scores = {}
        for name, probe in probes.items():
            pipeline = make_pipeline(StandardScaler(), clone(probe))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                pipeline.fit(z[fitted_to], y[fitted_to])
            scores[name] = (pipeline.predict(z[validation]) == y[validation]).mean()
            answers[name][held_out] = pipeline.predict(z[held_out])
        chosen.append(max(scores, key=scores.__getitem__))
        best[held_out] = answers[chosen[-1]][held_out]
    return {name: torch.from_numpy(answer) for name, answer in answers.items()}, torch.from_numpy(best), tuple(chosen)


@dataclass(frozen=True)
class AttributeShift:
    """How far an edit moved one attribute."""

    name: str
    """The attribute."""
    intended: bool
    """Whether the edit was meant to move it."""
    unit: float
    """Its standard deviation before the edit, or over the reference: what the moves are counted in."""
    shift: Interval
    """Mean move, with its sign."""
    magnitude: Interval
    """Mean size of the moves, without their sign."""

    @property
    def moved(self) -> bool:
        """Whether the mean move is told from 0."""
        return not self.shift.low <= 0 <= self.shift.high


@dataclass(frozen=True)
class EditLeakage:
    """How far an edit moved each attribute, meant or not."""

    shifts: tuple[AttributeShift, ...]
    """One for each attribute; all shift intervals hold together at the given level, and so do all those of magnitude."""

    @property
    def leaked(self) -> tuple[str, ...]:
        """Attributes that moved and should not have."""
        return tuple(row.name for row in self.shifts if row.moved and not row.intended)

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.shifts) + 2
        rows = [f"{row.name:{width}}{row.shift!s:28}{row.magnitude!s:28}{'meant' * row.intended}" for row in self.shifts]
        return "\n".join(line.rstrip() for line in [f"{'':{width}}{'shift (std)':28}{'magnitude (std)':28}", *rows])


def edit_leakage(
    attributes: Mapping[str, Callable[[Any], Tensor]],
    x: Any,
    x_edited: Any,
    *,
    intended: Collection[str] = (),
    reference: Any | None = None,
    level: float = 0.95,
) -> EditLeakage:
    """Measure how far an edit moved each attribute, in units of the attribute's standard deviation.

    Reference: the module's theory; Student's intervals, with Bonferroni's correction over the attributes.

    Args:
        attributes: Measures by name, each from data to one number a datum, `(n,)`; their modules are held in eval mode.
        x, x_edited: The data before and after, in the same order.
        intended: Names of the attributes that the edit was meant to move.
        reference: Data whose spread gives the units; None for `x`. The units count as known.
        level: Level at which the intervals of all attributes hold together.

    Raises:
        ValueError: A measure returns another shape, NaN or a constant, data are fewer than two, or a name is unknown.
    """
    if not attributes or not set(intended) <= set(attributes):
        raise ValueError(f"expected attributes, and intended ones among {[*attributes]}, got {[*intended]}")
    each = 1 - (1 - level) / len(attributes)

    def measured(name: str, data: Any) -> Tensor:
        with evaluated(attributes[name]) as (attribute,), torch.no_grad():
            values = attribute(data).detach().cpu().double()
        if values.shape != (len(data),) or len(values) < 2 or not values.isfinite().all():
            raise ValueError(
                f"expected one finite number for each of {len(data)} data (two or more) from attribute {name!r}, got shape "
                f"{tuple(values.shape)} with {int((~values.isfinite()).sum())} not finite"
            )
        return values

    rows = []
    for name in attributes:
        before, after = measured(name, x), measured(name, x_edited)
        if len(before) != len(after):
            raise ValueError(
                f"expected the data after in the order of before, got {len(before)} before and {len(after)} after"
            )
        unit = (before if reference is None else measured(name, reference)).std().item()
        if unit == 0:
            raise ValueError(
                f"expected attribute {name!r} to vary, got one value throughout; pass data on which it varies as reference"
            )
        move = (after - before) / unit
        rows.append(AttributeShift(name, name in intended, unit, mean_estimate(move, each), mean_estimate(move.abs(), each)))
    return EditLeakage(tuple(rows))


@dataclass(frozen=True)
class Monotonicity:
    """Whether an attribute rises along a direction."""

    spearman: Float[Tensor, "n"]
    """Rank correlation of attribute and step along the path of each code, in [-1, 1]; 0 where it does not move at all."""
    median: Interval
    """Median of them over the codes."""
    rising: Share
    """Share of paths on which each step raises the attribute."""
    unmoved: Share
    """Share of paths on which it stays what it is."""
    values: Float[Tensor, "n t"]
    """The attribute along each path."""


def monotonicity(
    generator: Generator,
    attribute: Callable[[Any], Tensor],
    z: Float[Tensor, "n d"],
    direction: Float[Tensor, "d"] | Float[Tensor, "n d"],
    *,
    distances: Float[Tensor, "t"] | None = None,
    level: float = 0.95,
) -> Monotonicity:
    """Follow an attribute of generated data along a direction from each code.

    Reference: Spearman, 1904; the interval of the median by order statistics, exact for independent codes.

    Args:
        generator: Any callable z -> x; modules behind it are held in eval mode meanwhile, as those behind `attribute`.
        attribute: Measure from data to one number a datum, `(n,)`.
        z: Codes that the paths go through.
        direction: One direction for all, or one for each code; distances are multiples of it as it is.
        distances: Increasing steps along it; None for 13 from -3 to 3.
        level: Level of the intervals.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite, there are fewer than two increasing
            distances, or the attribute returns another shape or NaN.
    """
    _check_codes(z)
    steps = torch.linspace(-3, 3, 13, dtype=torch.float64) if distances is None else distances
    if len(steps) < 2 or not (steps.diff() > 0).all():
        raise ValueError(f"expected two or more increasing distances, got {steps.tolist()}")
    fits = direction.shape in (z.shape, z.shape[1:])
    if not fits or not direction.isfinite().all() or not direction.ne(0).any(-1).all():
        raise ValueError(
            f"expected finite directions other than 0, of shape {tuple(z.shape[1:])} or {tuple(z.shape)}, "
            f"got shape {tuple(direction.shape)}"
        )
    with evaluated(generator, attribute) as (generator, attribute), torch.no_grad():
        columns = [attribute(generator(z + step * direction.to(z))) for step in steps.to(z)]
    if any(column.shape != (len(z),) for column in columns):
        raise ValueError(f"expected one number for each of {len(z)} data from the attribute, got {tuple(columns[0].shape)}")
    values = torch.stack(columns, 1).detach().cpu().double()
    if not values.isfinite().all():
        raise ValueError("expected finite attributes along the path, got NaN or infinity; take shorter distances")
    spearman = _spearman(values)
    return Monotonicity(
        spearman=spearman,
        median=median_estimate(spearman, level, support=(-1.0, 1.0)),
        rising=share((values.diff(dim=1) > 0).all(1), level),
        unmoved=share((values.diff(dim=1) == 0).all(1), level),
        values=values,
    )


def _spearman(values: Float[Tensor, "n t"]) -> Float[Tensor, "n"]:
    """Correlation of the ranks in each row (ties share theirs) with 1 .. t."""
    ranks = torch.from_numpy(stats.rankdata(values.numpy(), axis=1)) - (values.shape[1] + 1) / 2
    order = torch.arange(values.shape[1], dtype=torch.float64) - (values.shape[1] - 1) / 2
    spread = (ranks.square().sum(1) * order.square().sum()).sqrt()
    return torch.where(spread > 0, ranks @ order / spread.clamp(min=1), 0)


@dataclass(frozen=True)
class SubspaceCapture:
    """What of codes and their labels lies in a subspace."""

    dimension: int
    """Dimension k of the subspace: the rank of the basis."""
    variance: Interval
    """Share of the codes' variance inside, in [0, 1]."""
    isotropic_variance: float
    """What it would be if all directions were alike, k / d."""
    whole: ProbeAccuracy | None
    """Probes on whole codes; None without labels, like the rest."""
    inside: ProbeAccuracy | None
    """Probes on the k coordinates inside."""
    outside: ProbeAccuracy | None
    """Probes on the d - k coordinates outside: what leaks; None also where nothing is outside."""
    labels: Interval | None
    """Gain over chance inside, over the gain from whole codes; NaN with an endless interval where the latter has none."""


def subspace_capture(
    z: Float[Tensor, "n d"],
    basis: Float[Tensor, "k d"],
    y: Int[Tensor, "n"] | None = None,
    *,
    folds: int = 5,
    probes: Mapping[str, Any] | None = None,
    level: float = 0.95,
    rng: torch.Generator | None = None,
) -> SubspaceCapture:
    """Share of the variance of codes, and of what they know of labels, inside the span of a basis.

    Reference: the module's theory; intervals of both shares by the delta method over codes.

    Args:
        z: Codes.
        basis: Rows that span the subspace, neither orthogonal nor independent of necessity.
        y: Labels, for the probes.
        folds, probes, rng: As in `probe_accuracy`; all three sets of coordinates are cut into folds alike.
        level: Level of the intervals.

    Raises:
        ValueError: As in `probe_accuracy`; the basis does not fit the codes, or is zero; the codes do not vary.
    """
    _check_codes(z)
    if basis.shape[1] != z.shape[1] or not basis.isfinite().all() or not basis.any():
        raise ValueError(f"expected a finite basis other than 0 of {z.shape[1]} columns, got shape {tuple(basis.shape)}")
    codes = z.detach().cpu().double()
    _, singular, axes = torch.linalg.svd(basis.detach().cpu().double(), full_matrices=True)
    k = int((singular > singular[0] * max(basis.shape) * torch.finfo(basis.dtype).eps).sum())
    inside, outside = codes @ axes[:k].mT, codes @ axes[k:].mT
    energy = [(part - part.mean(0)).square().sum(1) for part in (inside, codes)]
    if not energy[1].any():
        raise ValueError("expected codes that vary, got one code throughout; there is no variance to share")
    variance = ratio_estimate(energy[0], energy[1], level)
    found: dict[str, ProbeAccuracy] = {}
    if y is not None:
        seed = int(torch.randint(2**31 - 1, (), generator=rng))
        for name, part in {"whole": codes, "inside": inside, "outside": outside}.items():
            if part.shape[1]:
                same = torch.Generator().manual_seed(seed)
                found[name] = probe_accuracy(part, y, folds=folds, probes=probes, level=level, rng=same)
    return SubspaceCapture(
        dimension=k,
        variance=Interval(variance.value, max(0.0, variance.low), min(1.0, variance.high)),
        isotropic_variance=k / z.shape[1],
        whole=found.get("whole"),
        inside=found.get("inside"),
        outside=found.get("outside"),
        labels=_label_share(found["inside"], found["whole"]) if found else None,
    )


def _label_share(part: ProbeAccuracy, whole: ProbeAccuracy) -> Interval:
    """Ratio of gains over the commonest class, paired by code."""
    if whole.accuracy.low <= whole.chance:
        return Interval(torch.nan, -torch.inf, torch.inf)
    commonest = whole.classes[whole.confusion.sum(1).argmax()]
    by_chance = (whole.y == commonest).double()
    inside, everywhere = (probed.correct.double() - by_chance for probed in (part, whole))
    return ratio_estimate(inside, everywhere, whole.level, variance_inflation=_VARIANCE_INFLATION)


def _check_codes(z: Tensor) -> None:
    if z.ndim != 2 or len(z) < 2 or z.shape[1] == 0:
        raise ValueError(f"expected codes of shape (n, d), n >= 2 and d >= 1, got {tuple(z.shape)}")
    if not z.isfinite().all():
        raise ValueError(f"expected finite codes, got NaN or infinity in {int((~z.isfinite()).any(1).sum())} of {len(z)}")
