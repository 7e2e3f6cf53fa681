"""What `python -m experiments recovery` compares: each way to keep codes near the prior, with the grid it is tuned on.

The protocol is that of Cho (2020): the mean absolute difference of pixels, 200 steps of Adam at a constant rate, several
starts, and a grid of learning rates and weights, the same for every method; where a method has a number of its own instead
of a weight, as resampling has, the grid is over that. Two things differ from the paper, and for a reason.

- The rates are 1e-3, 1e-2 and 1e-1 where the paper's are 1e-4, 1e-3 and 1e-2. In 200 steps of 1e-4 an element moves by 0.02
  at most, so that codes pass every test as the draws of the prior that they still are. The paper's own steps were three to
  six times their nominal rate (`latentry.latent.solvers.adam`), which the shift restores in part.
- Levenberg-Marquardt takes mean squares, has no rate, and runs from one start.

References: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020; Egan, Fuchs et al.,
"Generalized latent variable recovery for generative adversarial networks", 2018.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentry.interfaces import FeatureExtractor, Generator
from latentry.latent.discriminator_loss import DiscriminatorLoss
from latentry.latent.likelihood import NegativeLogPrior, NormShell
from latentry.latent.projection import quantile_projection
from latentry.latent.regularizers import L2, AbsoluteValue, Regularizer, StatisticalDistance
from latentry.latent.resampling import BoundaryResampling, LogisticResampling, Resampling, TruncatedNormalResampling
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.priors import IIDPrior

__all__ = ["METHODS", "TunedMethod", "GridPoint", "grid", "recovery_options"]


@dataclass(frozen=True)
class GridPoint:
    """One point of a method's grid."""

    learning_rate: float | None
    """Of Adam."""
    strength: float | None
    """Weight of the regularizer, or the number that resampling has instead."""

    def __str__(self) -> str:
        named = (("rate", self.learning_rate), ("strength", self.strength))
        return ", ".join(f"{name} {value:g}" for name, value in named if value is not None) or "as it is"


@dataclass(frozen=True)
class TunedMethod:
    """A way to keep codes near the prior."""

    title: str
    regularizer: Callable[[Generator, FeatureExtractor], Regularizer] | None = None
    """Its regularizer, given the generator and its discriminator."""
    resampling: Callable[[float, int], Resampling] | None = None
    """What is done to codes after each step, given its number and the steps of the run."""
    numbers: tuple[float, ...] = ()
    """Numbers that resampling is tuned over."""
    statistical: bool = False
    """Whether it is a distance between the elements of a code and the distribution of the prior, as the paper proposes."""
    damped: bool = False
    """Levenberg-Marquardt instead of Adam."""


def _regularized(title: str, regularizer: Regularizer, *, statistical: bool = False, damped: bool = False) -> TunedMethod:
    return TunedMethod(title, lambda generator, discriminator: regularizer, statistical=statistical, damped=damped)


def _projected(z: Tensor, prior: Any, rng: torch.Generator | None) -> Tensor:
    return quantile_projection(z, prior)


_CUTOFFS = (2.5, 3.0, 3.5)
_SLOPES = (2.0, 3.0, 4.0)

METHODS: dict[str, TunedMethod] = {
    "none": TunedMethod("no regularizer"),
    "l2": _regularized("L2", L2()),
    "absolute-value": _regularized("absolute value", AbsoluteValue()),
    "log-prior": _regularized("negative log-prior", NegativeLogPrior()),
    "norm-shell": _regularized("norm shell", NormShell()),
    "wasserstein": _regularized("W1", StatisticalDistance("wasserstein"), statistical=True),
    "wasserstein2": _regularized("W2", StatisticalDistance("wasserstein2"), statistical=True),
    "energy": _regularized("energy", StatisticalDistance("energy"), statistical=True),
    "cramer-von-mises": _regularized("Cramer-von Mises", StatisticalDistance("cramer-von-mises"), statistical=True),
    "anderson-darling": _regularized("Anderson-Darling", StatisticalDistance("anderson-darling"), statistical=True),
    "discriminator": TunedMethod("discriminator", DiscriminatorLoss),
    "projection": TunedMethod("quantile projection", resampling=lambda number, steps: _projected),
    "boundary": TunedMethod("boundary", resampling=lambda number, steps: BoundaryResampling(number), numbers=_CUTOFFS),
    "logistic": TunedMethod("logistic", resampling=lambda number, steps: LogisticResampling(number), numbers=_SLOPES),
    "truncated-normal": TunedMethod(
        "truncated normal", resampling=lambda number, steps: TruncatedNormalResampling(number), numbers=_CUTOFFS
    ),
    "truncated-normal-run": TunedMethod(
        "truncated normal, per run",
        resampling=lambda number, steps: TruncatedNormalResampling(number, steps),
        numbers=_CUTOFFS,
    ),
    "lm": TunedMethod("Levenberg-Marquardt", damped=True),
    "lm-wasserstein": _regularized(
        "Levenberg-Marquardt, W1", StatisticalDistance("wasserstein"), statistical=True, damped=True
    ),
}
"""All methods by name, in the order of the table."""


def grid(
    method: TunedMethod, prior: IIDPrior, learning_rates: tuple[float, ...], weights: tuple[float, ...]
) -> tuple[GridPoint, ...]:
    """The points a method is tuned over: every rate with every weight, or with every number it has instead."""
    strengths: tuple[float | None, ...] = (None,)
    if method.regularizer is not None:
        strengths = weights
    elif method.numbers:
        end = max(abs(side) for side in prior.marginal.support)
        # a bounded prior has a boundary of its own
        strengths = (end,) if method.title == "boundary" and math.isfinite(end) else method.numbers
    rates: tuple[float | None, ...] = (None,) if method.damped else learning_rates
    return tuple(GridPoint(rate, strength) for rate in rates for strength in strengths)


def recovery_options(
    method: TunedMethod,
    point: GridPoint,
    steps: int,
    restarts: int,
    generator: Generator,
    discriminator: FeatureExtractor,
) -> dict[str, Any]:
    """Arguments of `recover_codes` for one grid point of a method."""
    chosen: dict[str, Any] = {"restarts": restarts}
    if method.regularizer is not None:
        chosen |= {"regularizer": method.regularizer(generator, discriminator), "weight": point.strength}
        chosen["unit"] = 1.0  # as in the paper, against differences of images in [-1, 1]
    if method.damped:
        return chosen | {"solver": LevenbergMarquardt(steps=steps), "difference": "l2"}
    assert point.learning_rate is not None  # the grid of a method of gradients has one
    after = None if method.resampling is None else method.resampling(point.strength or 0.0, steps)
    adam = Adam(steps=steps, learning_rate=point.learning_rate, schedule="constant", betas=(0.9, 0.999), resampling=after)
    return chosen | {"solver": adam, "difference": "l1"}
