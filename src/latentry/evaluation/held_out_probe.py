r"""Probes under the splits of a data set: fitted to training, chosen on validation, scored once on held-out codes.

What a *model* leaks is a question to codes that neither the model nor the probe has seen: an encoder places the data that it
was trained on otherwise than fresh ones. So the splits of the model serve its probes too. (`evaluation.structure` has probes
for codes that come in one piece, by cross-validation.) Since nothing here has seen the held-out codes, answers are
independent given the probe, and intervals are Wilson's.

Several probes compete, as a weak one would find no leak where there is one: linear, nearest neighbours, perceptrons with one
and with two hidden layers, and boosted trees. The probe that is best on validation codes has the word, and the same
procedure on shuffled labels, choice included, stands beside it, with the share of the commonest class, which a probe reaches
without knowing anything. The chosen probe's own probabilities bound from below what codes know, in nats.

References: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2017; Hewitt and Liang,
"Designing and interpreting probes with control tasks", 2019 (shuffled labels); Barber and Agakov, "The IM algorithm: a
variational approach to information maximization", 2003 (the bound).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.evaluation.information import information_from_posterior
from latentry.evaluation.proportions import Share, share
from latentry.numerics.interval import Interval

__all__ = ["Codes", "HeldOutProbe", "probe_held_out", "strong_probes"]

Codes = tuple[Float[Tensor, "..."], Int[Tensor, "..."]]
"""Codes of a split, with their labels."""

_NEIGHBOURS = 15
_LEAST_PROBABILITY = 1e-6


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


def strong_probes(size: int, seed: int) -> dict[str, Any]:
    """The probes that compete.

    Args:
        size: Number of codes that a probe is fitted to.
        seed: Seed of weights and splits.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    def perceptron(*hidden: int) -> Any:
        return MLPClassifier(
            hidden,
            alpha=0.01,
            learning_rate_init=0.003,
            max_iter=60,
            early_stopping=True,
            n_iter_no_change=5,
            random_state=seed,
        )

    return {
        "logistic": LogisticRegression(max_iter=300),
        "neighbours": KNeighborsClassifier(min(_NEIGHBOURS, size)),
        "perceptron": perceptron(128),
        "deep perceptron": perceptron(256, 256),
        "trees": HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=seed),
    }


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
    accuracies, answers, log_probs = _competed(parts, probes)
    chosen = max(accuracies, key=accuracies.__getitem__)
    by_luck = [(z, y[torch.randperm(len(y), generator=rng).numpy()]) for z, y in parts]
    luck_accuracies, luck_answers, _ = _competed(by_luck, probes)
    luckiest = max(luck_accuracies, key=luck_accuracies.__getitem__)
    y, y_shuffled = parts[2][1], by_luck[2][1]
    by_probe = {name: share(torch.from_numpy(answer == y), level) for name, answer in answers.items()}
    places = torch.from_numpy(np.searchsorted(known, y))
    return HeldOutProbe(
        accuracy=by_probe[chosen],
        chance=np.bincount(y).max() / len(y),
        shuffled=share(torch.from_numpy(luck_answers[luckiest] == y_shuffled), level),
        information=information_from_posterior(torch.from_numpy(log_probs[chosen]), places, level),
        chosen=chosen,
        validation=accuracies,
        by_probe=by_probe,
    )


def _competed(
    parts: list[tuple[np.ndarray, np.ndarray]], probes: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each probe its validation accuracy, its held-out answers and their log probabilities."""
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (z, y), (z_validation, y_validation), (z_held_out, _) = parts
    accuracies, answers, log_probs = {}, {}, {}
    for name, probe in probes.items():
        pipeline = make_pipeline(StandardScaler(), clone(probe))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            pipeline.fit(z, y)
        accuracies[name] = float((pipeline.predict(z_validation) == y_validation).mean())
        answers[name] = pipeline.predict(z_held_out)
        chances = pipeline.predict_proba(z_held_out).clip(_LEAST_PROBABILITY)
        log_probs[name] = np.log(chances / chances.sum(1, keepdims=True))
    return accuracies, answers, log_probs


def _checked(z: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    if z.ndim != 2 or z.shape[:1] != y.shape or len(z) < 2 or not z.isfinite().all():
        raise ValueError(
            f"expected finite codes (n, d), two or more, with a label each, got {tuple(z.shape)}, labels {tuple(y.shape)} "
            f"and {int((~z.isfinite()).sum())} numbers that are not finite"
        )
    return z.detach().cpu().double().numpy(), y.cpu().numpy()
