r"""Evaluation of operators on codes: does an operator do what its name says, and what else does it change?

The purpose of an operator is to give codes a label. The data before and after are compared.

*Success*: the share of edited data to which an evaluation classifier gives the label. The classifier had no part in making
the operator.

*Identity kept*: attributes that do not depend on the label, such as how thick and slanted a digit is drawn, should be kept.
For each attribute this is the correlation of its values before and after, over the data. Labels differ in their mean
attributes (a 1 is slimmer than an 8), which an edit changes rightly. So within each pair of labels, a to b, values are taken
relative to their means. For n data in g pairs the interval is Fisher's, normal with variance 1 / (n - g - 2) in
:math:`\operatorname{artanh} r`. Even the best edit need not reach a correlation of 1; the figure serves to compare operators
at equal success. How far the attributes moved is in `EditLeakage`.

*Features beside the label*: with :math:`r` and :math:`r'` the features of an extractor before and after, relative to the
same means,

.. math:: D = \frac{\operatorname{mean} \|r' - r\|^2}{\operatorname{mean} (\|r\|^2 + \|r'\|^2)}

is 0 if the differences between data of a label are kept exactly, and 1 if before and after are as different as unrelated
data.

*Prior kept*: the goodness-of-fit report of the edited codes, and for comparison of the codes before (codes of chosen labels
are not a random sample of the prior), and the largest relative change of a norm.

*Reversibility*: the error of codes and data after an edit and its inverse, and whether the first label is back.

A stronger edit reaches the label more often and keeps less. So operators are compared at equal success: `match_success`
finds on validation codes the smallest strength that reaches a given success.

References: Toledo-Marin and Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
2023 (the operators); Shen et al., "Interpreting the latent space of GANs for semantic face editing", 2020 (re-scored
attributes); Fisher, "On the probable error of a coefficient of correlation", 1921.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from scipy.special import ndtri
from torch import Tensor

from latentry.display import Described
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.edit_leakage import EditLeakage, edit_leakage
from latentry.evaluation.estimates import mean_estimate, ratio_estimate
from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.evaluation.proportions import Share, share
from latentry.evaluation.strokes import stroke_attributes
from latentry.holding import evaluated
from latentry.interfaces import FeatureExtractor, Prior
from latentry.network_outputs import features_of, logits_of
from latentry.numerics.batches import in_batches
from latentry.numerics.interval import Interval

__all__ = ["OperatorReport", "PriorKept", "Reversibility", "evaluate_operator", "prior_kept", "reversibility"]

_ROWS = 512
"""Data that go through a classifier or an extractor at once."""


@dataclass(frozen=True, repr=False)
class OperatorReport(Described):
    """What an operator did to data that it was to give labels."""

    success: Share
    """Share of edited data with the label they should have."""
    identity: dict[str, Interval]
    """Correlation of each attribute before and after, within pairs of labels."""
    leakage: EditLeakage
    """How far each attribute moved, in its standard deviations before."""
    measured: Share
    """Share of data whose attributes could be measured before and after: the others are left out of both of these."""
    feature_distance: Interval | None
    """Distance in features beside the label, 0 for none and 1 for unrelated; None without an extractor."""


def evaluate_operator(
    classifier: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n *s"],
    x_edited: Float[Tensor, "n *s"],
    y: Int[Tensor, "n"],
    target: Int[Tensor, "n"],
    *,
    measure: Callable[[Tensor], Mapping[str, Tensor]] = stroke_attributes,
    extractor: FeatureExtractor | None = None,
    level: float = 0.95,
    variance_inflation: float = 1.0,
) -> OperatorReport:
    """Evaluate what an operator did: success, and what else changed.

    Reference: the module's theory.

    Args:
        classifier: From data to logits `(n, k)`; modules behind it are held in eval mode meanwhile.
        x, x_edited: The data before and after, in the same order.
        y, target: Labels before and those wanted after; each pair is one group for what is kept.
        measure: From data to attributes by name, `(n,)` each, NaN where there are none; those of strokes by default.
        extractor: From data to features, modules behind it are held in eval mode meanwhile.
        level: Level of each interval; those of the leakage hold together.
        variance_inflation: Variance of means over that of independent data; with k edits of each code, k is safe.

    Raises:
        ValueError: Data, edited data and labels are not as many, or there are too few for as many pairs of labels, or an
            attribute does not vary.
    """
    n = len(x)
    if not n == len(x_edited) == len(y) == len(target):
        raise ValueError(
            f"expected as many data before and after, labels and targets, got {n}, {len(x_edited)}, {len(y)}, {len(target)}"
        )
    groups = _groups(y, target)
    with evaluated(measure) as (measure,):
        before, after = measure(x), measure(x_edited)
    values = [torch.stack([each[name].detach().cpu().double() for name in before], 1) for each in (before, after)]
    known = torch.cat(values, 1).isfinite().all(1)
    a, b = (each[known] for each in values)
    left = groups[known].unique(return_inverse=True)[1]
    columns = {name: partial(_column, index) for index, name in enumerate(before)}
    if len(left) == 0 or len(left) < left.max() + 4:
        raise ValueError(
            f"expected at least four data more than pairs of labels, got {len(left)} that can be measured, of {n} in "
            f"{int(groups.max()) + 1} pairs; edit more codes"
        )
    return OperatorReport(
        success=share(_labels(classifier, x_edited) == target.cpu(), level, variance_inflation=variance_inflation),
        identity={
            name: _correlation(column(a), column(b), left, level, variance_inflation) for name, column in columns.items()
        },
        leakage=edit_leakage(columns, a, b, level=level),
        measured=share(known, level),
        feature_distance=None
        if extractor is None
        else _feature_distance(_through(extractor, x), _through(extractor, x_edited), groups, level, variance_inflation),
    )


@dataclass(frozen=True, repr=False)
class PriorKept(Described):
    """Whether moved codes could still have come from the prior."""

    before: GoodnessOfFit
    """The report of the codes as they were."""
    after: GoodnessOfFit
    """The report of the moved codes."""
    norm_error: float
    """Largest relative change of the norm of a code."""


def prior_kept(
    z: Float[Tensor, "n d"],
    z_edited: Float[Tensor, "n d"],
    prior: Prior,
    *,
    rng: torch.Generator | None = None,
) -> PriorKept:
    """Ask the prior about codes before and after an operator.

    Reference: `latentry.evaluation.codes`.

    Args:
        z, z_edited: The codes before and after, each there once: repeated ones fail whatever was done to them.
        prior: Their prior.
        rng: As in `goodness_of_fit`.

    Raises:
        ValueError: As in `goodness_of_fit`, or a code is zero.

    Example:
        >>> from latentry.priors import Normal
        >>> z = Normal(32).sample(300, rng=torch.Generator().manual_seed(0))
        >>> kept = prior_kept(z, -z, Normal(32))
        >>> kept.before.passes, kept.after.passes
        (True, True)
    """
    norm, moved = z.norm(dim=1), z_edited.norm(dim=1)
    if not norm.all():
        raise ValueError("expected codes other than 0, got one that is zero; no norm can be compared with its own")
    error = ((moved - norm) / norm).abs().max().item()
    return PriorKept(goodness_of_fit(z, prior, rng=rng), goodness_of_fit(z_edited, prior, rng=rng), error)


@dataclass(frozen=True)
class Reversibility:
    """What is left of an edit after there and back."""

    code_error: Interval
    """Mean distance of a code from where it was, over its norm."""
    image_error: Interval
    """Mean squared difference of the data from what they were."""
    label_back: Share
    """Share of the data that have their old label again."""


def reversibility(
    classifier: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n *s"],
    x_back: Float[Tensor, "n *s"],
    y: Int[Tensor, "n"],
    z: Float[Tensor, "n d"],
    z_back: Float[Tensor, "n d"],
    *,
    level: float = 0.95,
    variance_inflation: float = 1.0,
) -> Reversibility:
    """Compare codes and data with themselves after an operator and the one that leads back.

    Args:
        classifier: From data to logits `(n, k)`; modules behind it are held in eval mode meanwhile.
        x, x_back: Data before, and after there and back.
        y: Labels before.
        z, z_back: The codes of both.
        level, variance_inflation: As in `evaluate_operator`.

    Raises:
        ValueError: There are fewer than two codes.
    """
    code_error = (z_back - z).norm(dim=1) / z.norm(dim=1)
    image_error = (x_back - x).flatten(1).square().mean(1)
    inflation = variance_inflation
    return Reversibility(
        code_error=mean_estimate(code_error.detach().cpu(), level, variance_inflation=inflation),
        image_error=mean_estimate(image_error.detach().cpu(), level, variance_inflation=inflation),
        label_back=share(_labels(classifier, x_back) == y.cpu(), level, variance_inflation=inflation),
    )


def _column(index: int, values: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
    return values[:, index]


def _groups(y: Int[Tensor, "n"], target: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Number of the pair of labels that each datum belongs to, from 0 without gaps."""
    return torch.stack([y.cpu(), target.cpu()], 1).unique(dim=0, return_inverse=True)[1]


def _within(values: Float[Tensor, "n k"], groups: Int[Tensor, "n"]) -> Float[Tensor, "n k"]:
    """Values relative to the mean of their group."""
    count = groups.bincount().to(values)
    means = values.new_zeros(len(count), values.shape[1]).index_add(0, groups, values) / count[:, None]
    return values - means[groups]


def _correlation(
    a: Float[Tensor, "n"], b: Float[Tensor, "n"], groups: Int[Tensor, "n"], level: float, variance_inflation: float
) -> Interval:
    """Correlation within groups and Fisher's interval; 0 with an endless one where `b` does not vary within any."""
    a, b = (_within(each[:, None], groups).squeeze(1) for each in (a, b))
    spread = (a.square().sum() * b.square().sum()).sqrt().item()
    tiny = torch.finfo(a.dtype).eps * len(a) * max(a.abs().max().item(), b.abs().max().item(), 1.0) ** 2
    if spread <= tiny:
        return Interval(0.0, -1.0, 1.0)
    r = max(-1.0, min(1.0, (a @ b).item() / spread))
    degrees = len(a) - int(groups.max()) - 1  # n - g
    half = float(ndtri((1 + level) / 2)) * math.sqrt(variance_inflation / max(1, degrees - 2))
    centre = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, r)))
    return Interval(r, math.tanh(centre - half), math.tanh(centre + half))


def _feature_distance(
    f: Float[Tensor, "n k"],
    f_edited: Float[Tensor, "n k"],
    groups: Int[Tensor, "n"],
    level: float,
    variance_inflation: float,
) -> Interval:
    """D of the module's theory."""
    r, r_edited = _within(f, groups), _within(f_edited, groups)
    energy = r.square().sum(1) + r_edited.square().sum(1)
    return ratio_estimate((r_edited - r).square().sum(1), energy, level, variance_inflation=variance_inflation)


def _through(function: Callable[[Tensor], Tensor], x: Float[Tensor, "n *s"]) -> Float[Tensor, "n k"]:
    with evaluated(function) as (function,), torch.no_grad():
        return in_batches(lambda part: features_of(function(part)).flatten(1), x, size=_ROWS).cpu().double()


def _labels(classifier: Callable[[Tensor], Tensor], x: Float[Tensor, "n *s"]) -> Int[Tensor, "n"]:
    return _through(lambda part: logits_of(classifier(part)), x).argmax(1)
