r"""How well can labels be predicted from codes? Measured with freshly trained classifiers, the *probes*.

Codes hold a label if a freshly trained classifier predicts it for codes that it was not fitted to. Where the label
should be in the codes, its accuracy is their *probe accuracy*; where it should not, their *leakage*. A weak probe would miss
a leak, so several compete: each is fitted to some codes (standardised by their mean and deviation), the best one is chosen
on other codes, and its accuracy is measured on a third set. A result also has two references: the share of the most common
class, which a constant prediction reaches, and the same accuracy with shuffled labels.

**Codes in one piece** (`probe_accuracy`). In K stratified folds each probe is fitted to K - 2, chosen on the next fold, and
scored on the held-out one. Each code is held out once. Logistic regression, nearest neighbours and a perceptron with a
hidden layer compete.

Intervals are for the accuracy, on new data, of probes fitted to (K - 2) / K of n codes. The best possible classifier may be
better, and so may a probe of more data. They are Wilson intervals over all n held-out predictions, with twice the binomial
variance. The reason: predictions are dependent, since each code has trained the probes of the others. For stable probes the
dependence vanishes as n grows (Bayle et al., 2020). Where there is nothing to learn it does not: the variance is then 1.2 to
1.4 times the binomial one for logistic regression, neighbours and trees in five folds, and up to 1.8 times in ten
(`benchmarks/probe_intervals.py`).

**Codes of the splits of a data set** (`probe_held_out`). The leakage of a *model* is measured on codes of data that neither
the model nor the probe has seen, since an encoder treats its training data differently from new data. So the probes use the
same splits as the model: training, validation, held-out. Since nothing has seen the held-out codes, predictions are
independent given the probe, and intervals are Wilson's. A perceptron with two hidden layers and boosted trees compete as
well. The probabilities of the chosen probe give a lower bound on the mutual information of codes and labels, in nats.

References: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2017; Hewitt and Liang,
"Designing and interpreting probes with control tasks", 2019 (shuffled labels); Bayle et al., "Cross-validation confidence
intervals for test error", 2020; Barber and Agakov, "The IM algorithm: a variational approach to information maximization",
2003 (the bound).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.evaluation.information import information_from_posterior
from latentry.evaluation.probe_fitting import default_probes, fitted, strong_probes
from latentry.evaluation.proportions import Share, share
from latentry.numerics.interval import Interval

__all__ = ["Codes", "HeldOutProbe", "ProbeAccuracy", "VARIANCE_INFLATION", "check_codes", "probe_accuracy", "probe_held_out"]

Codes = tuple[Float[Tensor, "..."], Int[Tensor, "..."]]
"""Codes of a split, with their labels."""
_FEWEST_FOLDS = 3
_LEAST_PROBABILITY = 1e-6
VARIANCE_INFLATION = 2.0
"""Of an accuracy over held-out predictions of all folds, beyond that of independent trials; see the module's theory."""


@dataclass(frozen=True)
class ProbeAccuracy:
    """How well fresh probes read labels off codes they have not seen.

    Example:
        >>> y = torch.arange(60) % 2
        >>> found = probe_accuracy(y[:, None] + torch.zeros(60, 1), y, rng=torch.Generator().manual_seed(0))
        >>> found.confusion, found.leakage.value
        (tensor([[30,  0],
                [ 0, 30]]), 1.0)
    """

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
    """For each code whether its held-out prediction was right."""
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


@dataclass(frozen=True)
class HeldOutProbe:
    """How well fresh probes read labels off codes of data that nothing was fitted to."""

    accuracy: Share
    """Share of held-out codes whose label the chosen probe names."""
    chance: float
    """Share of the commonest class among them."""
    shuffled: Share
    """Accuracy of the same procedure, choice included, on shuffled labels."""
    information: Interval
    """Lower bound of I(z; c) in nats, by the chosen probe's probabilities; negative where it is too sure of itself."""
    chosen: str
    """The probe that was best on validation codes."""
    validation: dict[str, float]
    """Accuracy of each probe on validation codes."""
    by_probe: dict[str, Share]
    """Held-out accuracy of each, whether chosen or not."""

    @property
    def leak(self) -> float:
        """Accuracy beyond the commonest class, as a share."""
        return self.accuracy.value - self.chance


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
        folds: K, at least 3. More folds give the probes more to learn from, take longer and make predictions more
            dependent: beyond ten, intervals may be too short.
        probes: Classifiers with scikit-learn's `fit` and `predict`, by name; None for `default_probes`.
        level: Level of the intervals.
        rng: Source of folds, shuffled labels and seeds; on the CPU.

    Raises:
        ValueError: Codes hold NaN or do not fit the labels, there is one class only, or a class has fewer examples than
            there are folds.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> y = torch.arange(200) % 2
        >>> z = torch.randn(200, 3, generator=rng) + 4 * y[:, None]
        >>> found = probe_accuracy(z, y, rng=rng)
        >>> found.accuracy.value > 0.95, found.chance
        (True, 0.5)
    """
    check_codes(z)
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

    predictions, predicted, chosen = _held_out_predictions(inputs, indices.numpy(), folds, probes, seed)
    _, by_luck, _ = _held_out_predictions(inputs, shuffled.numpy(), folds, probes, seed)
    confusion = torch.bincount(indices * len(classes) + predicted, minlength=len(classes) ** 2)
    return ProbeAccuracy(
        accuracy=_held_out_share(predicted == indices, level),
        chance=counts.max().item() / len(y),
        shuffled=_held_out_share(by_luck == shuffled, level),
        by_probe={name: _held_out_share(prediction == indices, level) for name, prediction in predictions.items()},
        chosen=chosen,
        classes=classes,
        confusion=confusion.view(len(classes), -1),
        correct=predicted == indices,
        y=y.cpu(),
        level=level,
    )


def probe_held_out(
    training: Codes,
    validation: Codes,
    held_out: Codes,
    *,
    probes: Mapping[str, Any] | None = None,
    level: float = 0.95,
    rng: torch.Generator | None = None,
) -> HeldOutProbe:
    """Read labels off held-out codes with the fresh probe that reads validation codes best.

    Reference: the module's theory.

    Args:
        training: Codes and labels that probes are fitted to, standardised by their moments; every label occurs in them.
        validation: Codes and labels that one of them is chosen on.
        held_out: Codes and labels that it is scored on.
        probes: Classifiers with scikit-learn's `fit`, `predict` and `predict_proba`, by name; None for `strong_probes`.
        level: Level of the intervals.
        rng: Source of shuffled labels and seeds; on the CPU.

    Raises:
        ValueError: Codes hold NaN, do not fit each other or their labels, or a label occurs that training lacks.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> y = torch.arange(300) % 2
        >>> z = torch.randn(300, 3, generator=rng) + 4 * y[:, None]
        >>> splits = [(z[rows], y[rows]) for rows in (slice(200), slice(200, 250), slice(250, 300))]
        >>> probe_held_out(*splits, rng=rng).accuracy.value > 0.95
        True
    """
    parts = [_checked(*part) for part in (training, validation, held_out)]
    known = np.unique(parts[0][1])
    if len(known) < 2 or any(np.setdiff1d(y, known).size for _, y in parts[1:]) or len({z.shape[1] for z, _ in parts}) > 1:
        raise ValueError(
            "expected codes of one length, two classes or more, and none but those of training, got lengths "
            f"{[z.shape[1] for z, _ in parts]} and classes {[np.unique(y).tolist() for _, y in parts]}"
        )
    seed = int(torch.randint(2**31 - 1, (), generator=rng))
    if probes is None:
        probes = strong_probes(len(parts[0][0]), seed)
    accuracies, predictions, log_probs = _competed(parts, probes)
    chosen = max(accuracies, key=accuracies.__getitem__)
    by_luck = [(z, y[torch.randperm(len(y), generator=rng).numpy()]) for z, y in parts]
    luck_accuracies, luck_predictions, _ = _competed(by_luck, probes)
    luckiest = max(luck_accuracies, key=luck_accuracies.__getitem__)
    y, y_shuffled = parts[2][1], by_luck[2][1]
    by_probe = {name: share(torch.from_numpy(prediction == y), level) for name, prediction in predictions.items()}
    places = torch.from_numpy(np.searchsorted(known, y))
    return HeldOutProbe(
        accuracy=by_probe[chosen],
        chance=np.bincount(y).max() / len(y),
        shuffled=share(torch.from_numpy(luck_predictions[luckiest] == y_shuffled), level),
        information=information_from_posterior(torch.from_numpy(log_probs[chosen]), places, level),
        chosen=chosen,
        validation=accuracies,
        by_probe=by_probe,
    )


def _held_out_share(correct: Bool[Tensor, "n"], level: float) -> Share:
    return share(correct, level, variance_inflation=VARIANCE_INFLATION)


def _held_out_predictions(
    z: Float[np.ndarray, "n d"], y: Int[np.ndarray, "n"], folds: int, probes: Mapping[str, Any], seed: int
) -> tuple[dict[str, Tensor], Tensor, tuple[str, ...]]:
    """Held-out predictions of every probe, those of the probe chosen for each fold, and which that was."""
    from sklearn.model_selection import StratifiedKFold

    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(z, y)
    parts = [held_out for _, held_out in splits]
    predictions = {name: np.empty_like(y) for name in probes}
    best = np.empty_like(y)
    chosen = []
    for index, held_out in enumerate(parts):
        validation = parts[(index + 1) % folds]
        fitted_to = np.setdiff1d(np.arange(len(y)), np.concatenate([held_out, validation]))
        scores = {}
        for name, probe in probes.items():
            classifier = fitted(probe, z[fitted_to], y[fitted_to])
            scores[name] = (classifier.predict(z[validation]) == y[validation]).mean()
            predictions[name][held_out] = classifier.predict(z[held_out])
        chosen.append(max(scores, key=scores.__getitem__))
        best[held_out] = predictions[chosen[-1]][held_out]
    return (
        {name: torch.from_numpy(prediction) for name, prediction in predictions.items()},
        torch.from_numpy(best),
        tuple(chosen),
    )


def _competed(
    parts: list[tuple[np.ndarray, np.ndarray]], probes: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each probe its validation accuracy, its held-out predictions and their log probabilities."""
    (z, y), (z_validation, y_validation), (z_held_out, _) = parts
    accuracies, predictions, log_probs = {}, {}, {}
    for name, probe in probes.items():
        classifier = fitted(probe, z, y)
        accuracies[name] = float((classifier.predict(z_validation) == y_validation).mean())
        predictions[name] = classifier.predict(z_held_out)
        chances = classifier.predict_proba(z_held_out).clip(_LEAST_PROBABILITY)
        log_probs[name] = np.log(chances / chances.sum(1, keepdims=True))
    return accuracies, predictions, log_probs


def check_codes(z: Tensor) -> None:
    """Make sure that codes are finite, two or more.

    Raises:
        ValueError: They are not.

    Example:
        >>> check_codes(torch.zeros(3, 2))
    """
    if z.ndim != 2 or len(z) < 2 or z.shape[1] == 0:
        raise ValueError(f"expected codes of shape (n, d), n >= 2 and d >= 1, got {tuple(z.shape)}")
    if not z.isfinite().all():
        raise ValueError(f"expected finite codes, got NaN or infinity in {int((~z.isfinite()).any(1).sum())} of {len(z)}")


def _checked(z: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    if z.ndim != 2 or z.shape[:1] != y.shape or len(z) < 2 or not z.isfinite().all():
        raise ValueError(
            f"expected finite codes (n, d), two or more, with a label each, got {tuple(z.shape)}, labels {tuple(y.shape)} "
            f"and {int((~z.isfinite()).sum())} numbers that are not finite"
        )
    return z.detach().cpu().double().numpy(), y.cpu().numpy()
