r"""Evaluation of a generator at codes that are interpolated between samples of its prior.

A generator is trained on codes of its prior, and often used on interpolated codes. Two things are measured at each point of
the path:

- **Codes.** Whether interpolated codes have the distribution of the prior depends on the interpolation rule alone
  (`latentry.priors.interpolation`). It is tested without a generator: under an iid prior the Kolmogorov-Smirnov test of the
  elements of each code rejects at its nominal rate. Codes of a radial prior are tested in normal coordinates. Codes of a
  labelled prior are tested against the component they were drawn from, or, between two labels, one drawn from p(y | z).
- **Samples.** Any metric of samples compares what the generator makes with reference data, at the prior and along the path.
  The difference between the two is the loss of quality by interpolation.

All rules and weights use the same codes, which removes chance differences between rows. So rows are dependent, and each
interval holds for its row alone. A row of n codes needs at most k n draws, where k is the largest number of weights in a
combination.

References: Singh et al., "Non-parametric priors for generative adversarial networks", 2019 (metrics at the prior and at the
mid-point); Agustsson et al., "Optimal transport maps for distribution preserving operations on latent spaces of generative
models", 2019.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.display import Described, Facts, Plottable, percent
from latentry.evaluation.coordinates import coordinates_of_prior
from latentry.evaluation.proportions import Share, share
from latentry.holding import Condition, as_condition, called, evaluated
from latentry.holding.conditions import for_draws, rows_at
from latentry.interfaces import Generator, Prior
from latentry.numerics.batches import in_batches
from latentry.numerics.data_range import check_range
from latentry.numerics.goodness_of_fit import ks_quantile, ks_statistic
from latentry.numerics.inputs import checked
from latentry.priors.adapters import as_prior
from latentry.priors.interpolation import Rule, combine

__all__ = ["PathCodes", "PathPoint", "PathReport", "evaluate_paths", "path_codes", "rejected_codes"]

_RULES: tuple[Rule, ...] = get_args(Rule)
_STEPS = (0.1, 0.25, 0.5)

Labels = Literal["same", "independent"]
"""Whether the codes that a labelled prior's paths join are of one component or of any two."""

MetricResult = TypeVar("MetricResult")


@dataclass(frozen=True, repr=False)
class PathCodes(Described):
    """Codes of one rule and one set of weights.

    Example:
        >>> from latentry.priors import Normal
        >>> at_prior = next(path_codes(Normal(4), count=10))
        >>> at_prior.rule, at_prior.weights, at_prior.z.shape
        (None, (1.0,), torch.Size([10, 4]))
    """

    rule: Rule | None
    """How they were combined; None for codes of the prior as they are drawn."""
    weights: tuple[float, ...]
    """With which weights: (1 - t, t) for a step t between two codes, (1,) at the prior."""
    z: Float[Tensor, "n d"]
    """The codes."""
    y: Int[Tensor, "n"] | None = None
    """Labels of the codes where the prior has any and each combination stays within one component."""


@dataclass(frozen=True, repr=False)
class PathPoint(Generic[MetricResult]):
    """What `evaluate_paths` found for one rule and one set of weights.

    Example:
        >>> from latentry.evaluation.proportions import Share
        >>> PathPoint("lerp", (0.5, 0.5), Share(0.4, 0.3, 0.5, 100), None)
        PathPoint(lerp, t = 0.5: 40 % of codes rejected)
    """

    rule: Rule | None
    """How codes were combined; None for codes of the prior as they are drawn."""
    weights: tuple[float, ...]
    """With which weights: (1 - t, t) for a step t between two codes, (1,) at the prior."""
    rejected: Share
    """Share of codes that the prior's test rejects at 5 %; near 0.05 for codes of the prior."""
    samples: MetricResult | None
    """The result of the metric for the generated samples; None without a metric."""

    @property
    def t(self) -> float | None:
        """The step between two codes; None at the prior and for other combinations."""
        return self.weights[1] if len(self.weights) == 2 else None

    @property
    def name(self) -> str:
        """Where the codes lie."""
        if self.rule is None:
            return "prior"
        place = f"t = {self.t:g}" if self.t is not None else ", ".join(f"{weight:.3g}" for weight in self.weights)
        return f"{self.rule}, {place}"

    def __repr__(self) -> str:
        distance = getattr(self.samples, "frechet_distance", None)
        measured = "" if distance is None else f", Frechet distance {distance}"
        return f"PathPoint({self.name}: {percent(self.rejected.value)} of codes rejected{measured})"


class PathReport(Plottable, tuple[PathPoint[Any], ...]):
    """A generator at its prior and along paths: a `PathPoint` for the prior, then one for every rule and step.

    Example:
        >>> from latentry.priors import Normal
        >>> report = evaluate_paths(torch.sin, Normal(8), rules=["lerp"], t=[0.5], count=50)
        >>> len(report), report[0].name
        (2, 'prior')
    """

    __slots__ = ()

    def _facts(self) -> Facts:
        rows = tuple((point.name, _summary(point)) for point in self)
        worst = max(self[1:], key=lambda point: point.rejected.value, default=None)
        meaning = ""
        if worst is not None:
            meaning = (
                f"A test at 5 % rejects {percent(self[0].rejected.value)} of the prior's own codes; between codes, at most "
                f"{percent(worst.rejected.value)} ({worst.name})."
            )
        return Facts(f"A generator at its prior and at {len(self) - 1} places between codes", rows, meaning)

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import GUIDE, draw_bars

        figure.set_size_inches(7.2, 0.9 + 0.24 * len(self))
        distances = {point.name: getattr(point.samples, "frechet_distance", None) for point in self}
        known = {name: found for name, found in distances.items() if found is not None}
        panels = figure.subplots(1, 1 + bool(known), squeeze=False)[0]
        draw_bars(panels[0], {point.name: point.rejected for point in self}, "share of codes rejected at 5 %")
        panels[0].axvline(0.05, color=GUIDE, linewidth=1, linestyle="--")
        if known:
            draw_bars(panels[1], known, "Frechet distance")
            panels[1].set_yticks([])


@checked()
def path_codes(
    prior: Prior,
    *,
    rules: Sequence[Rule] = _RULES,
    t: Sequence[float] = _STEPS,
    combinations: Sequence[Sequence[float]] = (),
    count: int = 1000,
    labels: Labels = "same",
    rng: torch.Generator | None = None,
) -> Iterator[PathCodes]:
    """Codes at the prior, then of every rule at every step and combination; one set at a time.

    Args:
        prior: What codes are drawn from.
        rules: Interpolation rules; slerp joins two codes, and is left out where a combination is none of two that sums to 1.
        t: Steps between two codes, beyond the ends too (t < 0, t > 1).
        combinations: Weights of further combinations, such as (1/3, 1/3, 1/3) or (-1, 1, 1).
        count: Codes in each set.
        labels: For a labelled prior, whether codes that are combined are of the same component or independent of each other.
        rng: Source of the codes, on the prior's device.

    Raises:
        ValueError: `count` is below 1, there is nothing to do, no such choice of labels, or as in `latentry.priors.combine`.

    Example:
        >>> from latentry.priors import Normal
        >>> [(codes.rule, codes.weights) for codes in path_codes(Normal(4), rules=["lerp"], t=[0.5], count=10)]
        [(None, (1.0,)), ('lerp', (0.5, 0.5))]
    """
    mixes = [(1 - step, step) for step in t] + [tuple(map(float, weights)) for weights in combinations]
    if count < 1 or not rules or not all(mixes):
        raise ValueError(
            f"expected count >= 1, at least one rule and at least one weight a combination, got {count}, {len(rules)} rules "
            f"and combinations {[*combinations]}"
        )
    if labels not in get_args(Labels):
        raise ValueError(f"expected labels among {get_args(Labels)}, got {labels!r}")
    codes, y = _drawn(prior, max([1, *map(len, mixes)]), count, labels, rng)
    yield PathCodes(None, (1.0,), codes[0], None if y is None else y[0])
    endpoint_labels = None if y is None or labels == "independent" else y[0]
    for rule in rules:
        for weights in mixes:
            if rule != "slerp" or _joins_two(weights):
                of_codes = None if y is None else y[: len(weights)]
                yield PathCodes(
                    rule, weights, combine(codes[: len(weights)], weights, prior, rule, y=of_codes), endpoint_labels
                )


@checked()
def rejected_codes(
    z: Float[Tensor, "n d"],
    prior: Prior,
    level: float = 0.05,
    *,
    y: Int[Tensor, "n"] | None = None,
    rng: torch.Generator | None = None,
) -> Share:
    """Share of codes whose own elements a Kolmogorov-Smirnov test tells from the prior's distribution at this level.

    Args:
        z: Codes.
        prior: Their prior; a radial one is tested in normal coordinates, a labelled one given the labels.
        level: Chance to reject a true code.
        y: Labels of the codes; drawn from p(y | z) where they are not given.
        rng: Source of the labels, on the device of the codes.

    Example:
        >>> from latentry.priors import Normal
        >>> rejected_codes(torch.zeros(10, 64), Normal(64)).value
        1.0
    """
    u = coordinates_of_prior(z.detach(), prior, y, rng=rng).u
    return share(ks_statistic(u) > ks_quantile(1 - level, z.shape[1]))


@checked()
def evaluate_paths(
    generator: Generator,
    prior: Prior,
    *,
    reference: Any = None,
    condition: Condition | None = None,
    rules: Sequence[Rule] = _RULES,
    t: Sequence[float] = _STEPS,
    combinations: Sequence[Sequence[float]] = (),
    metric: Callable[[Tensor, Any], MetricResult] | None = None,
    count: int = 1000,
    batch_size: int = 1024,
    labels: Labels = "same",
    rng: torch.Generator | None = None,
) -> PathReport:
    """Evaluate a generator at its prior and along paths between its codes.

    Reference: Singh et al. (2019), there for linear interpolation.

    Args:
        generator: Any callable z -> x, or (z, condition) -> x; modules behind it are held in eval mode meanwhile.
        prior: What its codes are drawn from.
        reference: What the metric compares with, such as a tensor of data.
        condition: What a conditional generator takes along with codes: row i for path i if there are `count` rows, otherwise
            rows drawn from these. Both ends of a path, and all between them, have one condition.
        rules, t, combinations, count, labels, rng: As in `path_codes`.
        metric: Called as `metric(generated, reference)` for each set of samples; its result becomes `samples`.
        batch_size: Codes that the generator sees at once.

    Returns:
        One row at the prior, then one for every rule and every step or combination.

    Raises:
        ValueError: The batch size is below 1, the reference is in another range than what the generator makes, or as in
            `path_codes`.

    Example:
        >>> from latentry.priors import Normal
        >>> rng = torch.Generator().manual_seed(0)
        >>> report = evaluate_paths(torch.sin, Normal(64), rules=["lerp", "transport"], t=[0.5], rng=rng)
        >>> [(point.name, point.rejected.value > 0.1) for point in report]
        [('prior', False), ('lerp, t = 0.5', True), ('transport, t = 0.5', False)]
    """
    if batch_size < 1:
        raise ValueError(f"expected batch_size >= 1, got {batch_size}")

    of_paths = None if condition is None else for_draws(as_condition(condition), count, rng)

    def data_of(z: Tensor, rows: Tensor) -> Tensor:
        return _data_of(called(generator, z, rows_at(of_paths, rows)), z)

    def measured(z: Tensor) -> MetricResult | None:
        if metric is None:
            return None
        made = in_batches(data_of, z, torch.arange(len(z)), size=batch_size)
        if isinstance(reference, Tensor) and reference.shape[1:] == made.shape[1:]:
            check_range(reference, made)
        return metric(made, reference)

    with evaluated(generator, metric, prior) as (generator, *_), torch.no_grad():
        return PathReport(
            PathPoint(codes.rule, codes.weights, rejected_codes(codes.z, prior, y=codes.y, rng=rng), measured(codes.z))
            for codes in path_codes(prior, rules=rules, t=t, combinations=combinations, count=count, labels=labels, rng=rng)
        )


def _summary(point: PathPoint[Any]) -> str:
    distance = getattr(point.samples, "frechet_distance", None)
    return f"{percent(point.rejected.value)} rejected" + ("" if distance is None else f", Frechet distance {distance}")


def _data_of(x: Any, z: Float[Tensor, "n d"]) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim < 2 or len(x) != len(z):
        got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(
            f"expected one tensor with {len(z)} rows for {len(z)} codes, got {got}; wrap the generator in a lambda"
        )
    return x


def _drawn(
    prior: Prior, k: int, n: int, labels: Labels, rng: torch.Generator | None
) -> tuple[Float[Tensor, "k n d"], Int[Tensor, "k n"] | None]:
    """k batches of n codes, and their labels where the prior has any."""
    known = as_prior(prior)
    z: Tensor = known.sample((k, n), rng=rng)
    if not known.labelled:
        return z, None
    y = torch.stack([known.sample_labels(part, rng=rng) for part in z])
    if labels == "independent":
        return z, y
    return torch.cat([z[:1], known(y[0]).sample((k - 1,), rng=rng)]), y[:1].expand(k, -1)


def _joins_two(weights: Sequence[float]) -> bool:
    return len(weights) == 2 and abs(sum(weights) - 1) < 1e-6
