"""What a prior promises: codes that can be repeated, and a density, quantiles and normal coordinates that agree with them.

All random numbers are drawn with seeds of the check's own, so that the same prior gives the same report. A test of codes
against what the prior says of them breaks a promise at a level of 1e-4, over all numbers of a row together.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from latentry.holding import evaluated
from latentry.priors.adapters import draw
from latentry.testing.conformance import Conformance, Finding, Question, conformance, finding, not_applicable, undisturbed
from latentry.testing.prior_answers import (
    cdf_of_codes,
    density,
    density_agrees,
    density_alone,
    density_integrates,
    goodness_of_own_codes,
    icdf_undoes_cdf,
    jacobian_of_density,
    labels_of_codes,
    leads_back,
    outside,
    slope_of_density,
)
from latentry.testing.prior_trial import CODES, Absent, PriorTrial, threshold
from latentry.testing.row_map import share_of

__all__ = ["check_prior"]

IS_PRIOR = "is a prior"
SHAPES = "sample(shape) gives codes (*shape, d)"
REPEATED = "equal seeds of rng give equal codes"
UNTOUCHED = "with rng it leaves torch's own random numbers alone"
DEFAULT = "without rng it draws from torch's own random numbers"
DISTINCT = "codes of one call differ"
DOUBLE = "draws in double precision"
MOMENTS = "mean and variance are those of its codes"
EXPANDED = "expand gives a batch of distributions"
DENSITY = "log_prob gives one number for each code"
ALONE = "log_prob looks at each code alone"
OUTSIDE = "answers far from its codes too"
SLOPE = "the gradient of log_prob agrees with finite differences"
AGREES = "its codes follow log_prob"
INTEGRATES = "the density integrates to one"
CDF = "its codes follow cdf"
ICDF = "icdf undoes cdf"
LEADS_BACK = "from_normal undoes to_normal"
JACOBIAN = "to_normal has the Jacobian of the density"
FIT = "its codes pass goodness of fit"
LABELS = "labels of codes are whole numbers, one for each"


def check_prior(prior: Any, *, raises: bool = False) -> Conformance:
    """Look at what a prior promises.

    Args:
        prior: Whatever `latentry.priors.as_prior` takes: one of ours, or an object with `latent_dim` and
            `sample(shape, rng=None)`, and possibly `log_prob`, `cdf`, `icdf`, `to_normal`, `from_normal`, `marginal` or
            `sample_labels`.
        raises: Whether a broken promise is an error.

    Raises:
        ValueError: A promise is broken, and `raises`.

    Example:
        >>> import torch, latentry as lt
        >>> class Wide:
        ...     latent_dim = 2
        ...     def sample(self, shape=(), y=None, *, rng=None):
        ...         return 2 * torch.randn(*shape, 2, generator=rng)
        ...     def log_prob(self, z, y=None):
        ...         return lt.priors.Normal(2).log_prob(z)
        >>> [promise.name for promise in lt.testing.check_prior(Wide()).broken]
        ['its codes follow log_prob']
    """
    trial = PriorTrial(prior)
    rows: Sequence[tuple[str, Callable[[PriorTrial], Finding], str, tuple[str, ...]]] = (
        (IS_PRIOR, _is_prior, "give it latent_dim and sample(shape, rng=None), or take one of latentry.priors", ()),
        (SHAPES, _shapes, "return a floating tensor (*shape, latent_dim), where shape is a tuple of integers", (IS_PRIOR,)),
        (REPEATED, _repeated, "draw with torch.randn(..., generator=rng), and from nothing else", (SHAPES,)),
        (UNTOUCHED, _untouched, "pass generator=rng to all that draws; do not seed", (SHAPES,)),
        (DEFAULT, _default, "draw with generator=None where rng is None, and do not seed", (SHAPES,)),
        (DISTINCT, _distinct, "draw each code anew; expand repeats one", (SHAPES,)),
        (DOUBLE, _double, "keep its numbers in buffers, so that .double() moves them", (SHAPES,)),
        (MOMENTS, _moments, "correct mean and variance, or leave them out", (SHAPES, DISTINCT)),
        (EXPANDED, _expanded, "let expand(batch_shape) return a distribution of that batch shape", (SHAPES,)),
        (DENSITY, density, "sum over the coordinates of a code; without it no negative log prior, no posterior", (SHAPES,)),
        (ALONE, density_alone, "take no mean or sum over the batch", (DENSITY,)),
        (OUTSIDE, outside, "return -inf, and 0 or 1 for cdf, where there are no codes", (SHAPES,)),
        (SLOPE, slope_of_density, "let log_prob be differentiable: no detach, no .item()", (DENSITY, ALONE, OUTSIDE)),
        (AGREES, density_agrees, "let log_prob be the density of what sample draws", (DENSITY, ALONE, OUTSIDE, DISTINCT)),
        (INTEGRATES, density_integrates, "add the logarithm of the normalising constant", (AGREES,)),
        (CDF, cdf_of_codes, "let cdf be that of each coordinate, (n, d) to (n, d)", (SHAPES, DISTINCT)),
        (ICDF, icdf_undoes_cdf, "let icdf be the inverse of cdf", (CDF,)),
        (LEADS_BACK, leads_back, "let from_normal be the inverse of to_normal", (SHAPES,)),
        (JACOBIAN, jacobian_of_density, "let to_normal be differentiable, and log_prob its density", (DENSITY, LEADS_BACK)),
        (LABELS, labels_of_codes, "return labels (n,) of type int64", (SHAPES,)),
        (FIT, goodness_of_own_codes, "let marginal, to_normal or labels be those of the codes", (SHAPES, DISTINCT)),
    )
    with undisturbed(), evaluated(prior):
        questions = [
            Question(name, partial(_looked, look, trial), way_out, needs=needs) for name, look, way_out, needs in rows
        ]
        return conformance(f"prior {type(prior).__name__}", questions, raises=raises)


_ALLOWS = {
    "log_prob": "no negative log prior as a regularizer, and no posterior mode",
    "cdf": "no quantiles of single coordinates",
    "icdf": "no quantiles of single coordinates",
    "to_normal": "no transport interpolation, and no goodness of fit unless it has a marginal or labels",
    "from_normal": "no transport interpolation",
    "sample_labels": "no prior of each label",
    "distribution": "no mean and no variance: prior() would give a torch.distributions.Distribution",
}


def _looked(look: Callable[[PriorTrial], Finding], trial: PriorTrial) -> Finding:
    try:
        return look(trial)
    except Absent as absent:
        name = str(absent)
        return not_applicable(f"without {name} {_ALLOWS[name]}")


def _is_prior(trial: PriorTrial) -> Finding:
    known = trial.known
    return finding(known.latent_dim >= 1, known.latent_dim, "codes of {} elements")


def _shapes(trial: PriorTrial) -> Finding:
    shapes: tuple[tuple[int, ...], ...] = ((), (5,), (2, 3), (0,))
    drawn = [trial.drawn(shape, 0) for shape in shapes]
    if not all(z.is_floating_point() for z in drawn):
        return finding(False, math.nan, f"of {drawn[0].dtype}, which are no codes")
    broken = int((~trial.z.isfinite()).any(1).sum())
    return finding(
        not broken, broken, f"of {', '.join(map(str, shapes))}, with NaN or infinity in {broken} of {CODES} codes"
    )


def _repeated(trial: PriorTrial) -> Finding:
    first, again, other = (trial.drawn((4,), seed) for seed in (1, 1, 2))
    if torch.equal(first, other):
        return finding(False, 0.0, "codes of two seeds are equal too")
    off = share_of(first - again, first)
    return finding(off == 0, off, "differ by {} of the largest value")


def _untouched(trial: PriorTrial) -> Finding:
    rng = trial.rng(1)
    before = torch.get_rng_state()
    draw(trial.known, (4,), rng)
    same = torch.equal(before, torch.get_rng_state())
    return finding(same, float(not same), "they are as before" if same else "they have moved on")


def _default(trial: PriorTrial) -> Finding:
    if trial.device.type != "cpu":
        return not_applicable("looked at on the CPU alone")
    state = torch.get_rng_state()
    first, second = trial.drawn((4,), None), trial.drawn((4,), None)
    torch.set_rng_state(state)
    again = trial.drawn((4,), None)
    if torch.equal(first, second):
        return finding(False, 0.0, "two calls give the same codes")
    off = share_of(first - again, first)
    return finding(off == 0, off, "the same state gives codes that differ by {} of the largest value")


def _distinct(trial: PriorTrial) -> Finding:
    share = len(trial.z.unique(dim=0)) / CODES
    return finding(share > 0.5, share, f"{round(100 * share)} % of {CODES} codes are distinct")


def _double(trial: PriorTrial) -> Finding:
    dtype = trial.drawn((2,), 0).dtype
    if not isinstance(trial.original, nn.Module):
        return not_applicable(f"it is no module, and draws in {dtype}")
    return finding(dtype == torch.float64, math.nan, f"a copy in double precision draws in {dtype}")


def _moments(trial: PriorTrial) -> Finding:
    distribution, z = trial.distribution(), trial.z
    try:
        mean, variance = (moment.double().expand(z.shape[1]) for moment in (distribution.mean, distribution.variance))
    except (NotImplementedError, AttributeError, ValueError):
        return not_applicable("it states no mean and variance")
    if not (mean.isfinite().all() and variance.isfinite().all()):
        return not_applicable("they are not finite")
    squares = (z - mean).square()
    off = torch.cat([_deviation(z, mean), _deviation(squares, variance)]).abs().max().item()
    return finding(off <= threshold(2 * z.shape[1]), off, "off by {} standard errors, the largest of them")


def _deviation(values: Tensor, mean: Tensor) -> Tensor:
    return (values.mean(0) - mean) / (values.std(0) / len(values) ** 0.5).clamp(min=1e-12)


def _expanded(trial: PriorTrial) -> Finding:
    distribution = trial.distribution()
    wide = distribution.expand((3, *distribution.batch_shape))
    shape, wanted = tuple(wide.sample().shape), (3, *distribution.batch_shape, *distribution.event_shape)
    return finding(shape == wanted, math.nan, f"expand((3,)) draws {shape}, expected {wanted}")
