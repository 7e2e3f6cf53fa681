"""The problem that recovery solves: generator, prior and data, checked and prepared for a solver.

It holds in which dtype the generator computes and how large its rounding is, whether it ends in an output activation, how
large its samples are, whether the data are in its range and of eight bits, and at which error they count as met.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from latentry.holding import Condition, called, check_rows, require_generator, tried
from latentry.holding.conditions import cycled, rows_at
from latentry.interfaces import Generator, Prior
from latentry.latent.differences import Difference, Target
from latentry.latent.precision import Cast, Rounding, dtype_of, in_dtype, quickest, rounding_of
from latentry.latent.regularizers import Regularizer
from latentry.latent.solvers.driver import Tolerance
from latentry.latent.solvers.jacobian import jacobian_mode
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.output_activation import output_activation_of, range_of_last_layer
from latentry.latent.solvers.rows import take
from latentry.network_outputs import features_of
from latentry.numerics.data_range import check_range, conversion_of_bytes, on_eight_bit_grid, possible_ranges
from latentry.priors.adapters import as_prior, draw

__all__ = ["Problem", "posed", "with_jacobian"]

_TRIAL_CODES, _QUICK, _FEW = 64, 8, 3
"""Codes on which a generator is looked at: its samples, its copies, and its derivatives."""
_SHIFTS = (1, 2, 4, 8)
"""How far apart the samples are that are held against each other."""
_ROUNDINGS = 16.0
"""How much more than its mean squared rounding a generator may miss data that are met by: four times in the root."""
_AS_GOOD_AS_MET = 1e-20
"""Mean squared error over the variance of the generator's samples that is nothing, even where rounding is less."""
_SMALL, _LEAST_SHARE = 100.0, 1e-3
"""Data are small where their largest value, so many times, is below that of the samples; the least share of rounding."""
_NO_MORE_THAN = 1e-8
"""Part of the rounding of data that a minimum in double precision is led to."""
_EIGHT_BITS = 2.0
"""The same for images of eight bits, whose rounding is that of the file."""
_OFF_IN_HALF = 0.13
"""How far off its level an element of eight bits may be after it was kept in float16, in levels."""
_NEARLY, _NEARLY_EIGHT_BIT = 1e-6, 25.0
"""Mean squared error that nearly meets data: over the variance of the generator's samples, or over what meets images of
eight bits, which right starts leave before the output activation at 3 to 12 times that, wrong ones mostly at hundreds."""


@dataclass(frozen=True)
class Problem:
    """What is to be minimised for which data, and when they are met."""

    generator: Generator
    """G, called in its own dtype, from and to numbers that can be computed with."""
    trial: Float[Tensor, "k d"]
    """Some codes of the prior."""
    objective: Objective
    exact: Objective | None
    """The same in double precision, where it helps and can be had."""
    target: Target
    tolerance: Tolerance
    rounding: Float[Tensor, "n"]
    """Mean squared rounding of each datum."""
    rounding_at_most: Float[Tensor, "n"]
    """The most that rounding alone makes of each, that of the code included."""


def posed(
    generator: Generator,
    x: Shaped[Tensor, "n *s"],
    prior: Prior,
    *,
    difference: Difference,
    regularizer: Regularizer | None,
    weight: float | Callable[[float], float],
    unit: float | None,
    mask: Shaped[Tensor, "..."] | None,
    met: float | None,
    condition: Condition | None = None,
) -> Problem:
    """Look at generator, prior and data, and make them ready; arguments as of `recover_codes`.

    Raises:
        ValueError: They do not fit each other, or are not what they should be.
    """
    rng = torch.Generator(draw(prior, (0,)).device).manual_seed(0)
    trial = draw(prior, (_TRIAL_CODES,), rng=rng).to(x.device)
    of_trial = cycled(condition, len(trial))
    few, quick = rows_at(of_trial, slice(_FEW)), rows_at(of_trial, slice(_QUICK))
    numbers = dtype_of(generator, trial[:_FEW], x.dtype if x.is_floating_point() else trial.dtype, few)
    dtype = numbers if numbers.itemsize >= torch.float32.itemsize else torch.float32
    trial = trial.to(dtype)
    own_generator: Generator = generator if dtype == numbers else Cast(generator, numbers, dtype)
    used = own_generator if dtype == numbers else in_dtype(generator, dtype, trial[:_FEW], few) or own_generator
    require_generator(used, trial[:_FEW], few)
    with torch.no_grad():
        x_own = called(own_generator, trial, of_trial)
        x_own = x_own[x_own.flatten(1).isfinite().all(1)]  # a generator may break far out
        if difference.operator is not None:
            check_rows("the operator", difference.operator, x_own[:_FEW])
        own = difference.measured(x_own)
    if regularizer is not None:
        tried(regularizer, trial[:2], prior)
    _check_compared(difference, x_own[:_FEW])
    last_layer = _ends(used, trial[:_FEW], few)
    ends = None if difference.operator is not None else last_layer
    if last_layer is None:  # what squashes may have no gradient left, and is undone
        _check_slope(used, trial[:_QUICK], quick)
    if x.is_complex():
        raise ValueError(f"expected real data, got {x.dtype}; take .real, or .real and .imag as the generator makes them")
    if not x.is_floating_point():
        raise ValueError(
            f"expected floating-point data, got {x.dtype}; for this generator convert them with "
            f"{conversion_of_bytes(own, ends)}"
        )
    target = replace(difference.prepare(x.detach().to(trial), mask), condition=condition)
    _check_data(target, own, ends)

    float32 = torch.finfo(torch.float32)
    variance = min(max(_half_mean_difference(difference, x_own, own), float32.tiny), float32.max)
    eight_bit, step = _eight_bit(target, own, ends, x.dtype)
    objective = Objective(
        quickest(used, trial[:_QUICK], quick),
        prior,
        difference,
        regularizer,
        _scaled(weight, variance if unit is None else unit),
        as_prior(prior).location_scale(trial),
        output_activation_of(ends, own, target.x, difference, bool(eight_bit.any())),
        variance=variance,
        rounding=(own.double().abs().max() * torch.finfo(numbers if used is own_generator else dtype).eps).square().item(),
    )
    finer = None if numbers == torch.float64 else in_dtype(generator, torch.float64, trial[:_FEW], few)
    exact = None
    if regularizer is None and not eight_bit.all() and difference.norm == "l2" and difference.extractor is None:
        exact = objective if dtype == torch.float64 else _in_double(objective, finer, trial, of_trial)
    off = Rounding(0.0, 0.0)
    if not eight_bit.all():
        off = rounding_of(own_generator, finer, trial[:_QUICK], numbers, difference.measured, quick)
    of_the_file = step**2 / 12
    enough, near = max(_ROUNDINGS * off.at_most, _AS_GOOD_AS_MET * variance), _NEARLY * variance

    small = _share_of_rounding(target, own)

    def by_datum(of_files: float, of_others: float) -> Float[Tensor, "n"]:
        return (of_others * small).masked_fill(eight_bit, of_files)

    half_rounding = _rounding_of_half(target, x.dtype)
    met_by = by_datum(_EIGHT_BITS * of_the_file, enough) if met is None else torch.full_like(small, met)
    met_by = torch.maximum(met_by, _EIGHT_BITS * half_rounding) if met is None else met_by
    tolerance = Tolerance(met_by, torch.where(eight_bit, _NEARLY_EIGHT_BIT * met_by, met_by.clamp(min=near)))
    rounding, at_most = by_datum(of_the_file, off.of_data), by_datum(of_the_file, off.at_most)
    rounding, at_most = torch.maximum(rounding, half_rounding), torch.maximum(at_most, half_rounding)
    return Problem(own_generator, trial, objective, exact, target, tolerance, rounding, at_most)


def with_jacobian(problem: Problem) -> Problem:
    """The same with the fastest way to Jacobians that its generator allows.

    Raises:
        ValueError: It allows none.
    """
    objective = problem.objective
    # two codes: torch lays out batches of one otherwise, and some of its layers fail for larger ones alone
    twice = take(problem.target, torch.zeros(2, dtype=torch.long, device=problem.trial.device))
    mode = jacobian_mode(lambda z: objective.residuals(z, twice), problem.trial[:2])
    exact = None if problem.exact is None else replace(problem.exact, jacobian_mode=mode)
    return replace(problem, objective=replace(objective, jacobian_mode=mode), exact=exact)


def _ends(generator: Generator, z: Float[Tensor, "k d"], condition: Condition | None) -> tuple[float, float] | None:
    with torch.enable_grad():
        return range_of_last_layer(called(generator, z.detach().requires_grad_(True), condition))


def _scaled(weight: float | Callable[[float], float], unit: float) -> Callable[[float], float]:
    return (lambda share: unit * weight(share)) if callable(weight) else (lambda share: unit * weight)


def _half_mean_difference(difference: Difference, x_own: Tensor, own: Tensor) -> float:
    """v of `solvers.objective`, by samples held against others of them."""
    with torch.no_grad():
        between = [
            difference.loss(difference.residuals(x_own, difference.prepare(own.roll(shift, 0))).double()).mean()
            for shift in _SHIFTS
        ]
    return torch.stack(between).mean().item() / 2


def _share_of_rounding(target: Target, own: Float[Tensor, "k *s"]) -> Float[Tensor, "n"]:
    """How much of the rounding of the generator's samples there is in each datum: all, but where its values are small.

    Samples of a generator may differ in size by orders of magnitude, and rounding goes with the size. Data whose largest
    value is below a hundredth of that of the samples are rounded less. Data of zeros alone tell no size.
    """
    largest = target.x.flatten(1).abs().max(1).values.double()
    most = own.double().abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    share = (_SMALL * largest / most).clamp(_LEAST_SHARE, 1.0).square()
    return share.masked_fill(largest == 0, 1.0)


def _rounding_of_half(target: Target, dtype: torch.dtype) -> Float[Tensor, "n"]:
    """Mean squared rounding of data that came in half precision, over the measured elements of each; else 0."""
    x, mask = target.x.double().flatten(1), target.mask.double().flatten(1)
    if dtype.itemsize >= torch.float32.itemsize:
        return x.new_zeros(len(x))
    spacing = torch.finfo(dtype).eps * torch.exp2(x.abs().clamp(min=torch.finfo(dtype).tiny).log2().floor())
    return (spacing.square() * mask).sum(1) / (12 * mask.sum(1))


def _eight_bit(
    target: Target, own: Tensor, ends: tuple[float, float] | None, dtype: torch.dtype
) -> tuple[Bool[Tensor, "n"], float]:
    """Which data lie in 256 levels where they are seen, of the range where most of them do; and the step of the levels."""
    off = _OFF_IN_HALF if dtype == torch.float16 else 0.01
    found, step = torch.zeros(len(target), dtype=torch.bool, device=target.x.device), 0.0
    for low, high in possible_ranges(own, ends):
        on_grid = on_eight_bit_grid(torch.where(target.mask.bool(), target.x, low), low, high, off)
        if on_grid.sum() > found.sum():
            found, step = on_grid, (high - low) / 255
    return found, step


def _in_double(
    objective: Objective, finer: Generator | None, trial: Float[Tensor, "k d"], condition: Condition | None
) -> Objective | None:
    if finer is None:
        return None
    z = trial[:1].double()
    try:
        with torch.no_grad():
            objective.difference.measured(called(finer, z, rows_at(condition, slice(1))))
    except RuntimeError:  # an operator of single precision
        return None
    rounding = _NO_MORE_THAN * objective.rounding  # the data themselves are rounded
    return replace(objective, generator=finer, location_scale=as_prior(objective.prior).location_scale(z), rounding=rounding)


def _check_compared(difference: Difference, x_own: Tensor) -> None:
    """Make sure that operator and extractor pass a gradient on."""
    with torch.enable_grad():
        x = x_own.detach().requires_grad_(True)
        own = x if difference.operator is None else tried(difference.operator, x)
        if difference.operator is not None and not own.requires_grad:
            raise ValueError(
                "expected a differentiable operator, got measurements without gradient; remove no_grad, detach, and "
                "comparisons such as >"
            )
        if difference.extractor is not None and not features_of(tried(difference.extractor, own)).requires_grad:
            raise ValueError("expected a differentiable extractor, got features without gradient; remove no_grad or detach")


def _check_slope(generator: Generator, z: Float[Tensor, "k d"], condition: Condition | None) -> None:
    """Make sure that a generator whose data differ has a gradient somewhere that is not zero."""
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        x: Tensor = called(generator, z, condition)
        (slope,) = torch.autograd.grad(x, z, torch.linspace(1, 2, x.numel()).to(x).view_as(x))
    if (x != x[:1]).any() and not slope.any():
        raise ValueError(
            f"expected a generator whose gradient tells how its data change, got a gradient of 0 at {len(z)} codes whose "
            "data differ; take rounding, comparisons and argmax out of it"
        )


def _check_data(target: Target, own: Tensor, ends: tuple[float, float] | None) -> None:
    if target.x.shape == own.shape[1:]:
        raise ValueError(
            f"expected data of shape (n, {', '.join(map(str, own.shape[1:]))}), got one datum without its batch axis "
            f"{tuple(target.x.shape)}; pass x[None]"
        )
    if target.x.shape[1:] != own.shape[1:]:
        raise ValueError(
            f"expected data of shape (n, {', '.join(map(str, own.shape[1:]))}) as the generator makes them, got "
            f"{tuple(target.x.shape)}; resize, or convert the channels (grey or colour)"
        )
    check_range(_measured_elements(target), own, ends)


def _measured_elements(target: Target) -> Float[Tensor, "n *s"]:
    """Data whose hidden elements are replaced by measured ones: the zeros there would say nothing of the range."""
    mask = target.mask.flatten(1).bool()
    if mask.all():
        return target.x
    first = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(mask.shape[1], device=mask.device) % mask.sum(1, keepdim=True)
    return target.x.flatten(1).gather(1, first.gather(1, places)).view_as(target.x)
