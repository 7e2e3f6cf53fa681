"""The classifiers of scikit-learn that serve as probes, and how they are fitted."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int

__all__ = ["default_probes", "fitted", "strong_probes"]

_NEIGHBOURS = 15


def default_probes(size: int, seed: int) -> dict[str, Any]:
    """The probes that compete for codes in one piece: linear, local, and neither.

    Args:
        size: Number of codes that a probe is fitted to.
        seed: Seed of the perceptron's weights.

    Example:
        >>> [*default_probes(100, seed=0)]
        ['logistic', 'neighbours', 'perceptron']
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    return {
        "logistic": LogisticRegression(max_iter=500),
        "neighbours": KNeighborsClassifier(min(_NEIGHBOURS, size)),
        "perceptron": MLPClassifier((128,), alpha=0.01, learning_rate_init=0.003, max_iter=100, random_state=seed),
    }


def strong_probes(size: int, seed: int) -> dict[str, Any]:
    """The probes that compete for the codes of splits.

    Args:
        size: Number of codes that a probe is fitted to.
        seed: Seed of weights and splits.

    Example:
        >>> [*strong_probes(100, seed=0)]
        ['logistic', 'neighbours', 'perceptron', 'deep perceptron', 'trees']
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


def fitted(probe: Any, z: Float[np.ndarray, "n d"], y: Int[np.ndarray, "n"]) -> Any:
    """A fresh copy of a probe, fitted to standardised codes; it takes part as it is where it has not converged.

    Example:
        >>> import numpy as np
        >>> z, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
        >>> fitted(default_probes(4, 0)["logistic"], z, y).predict([[3.0]])
        array([1])
    """
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), clone(probe))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return pipeline.fit(z, y)
