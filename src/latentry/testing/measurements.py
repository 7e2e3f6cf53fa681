"""What a measurement promises: to be a differentiable function of each datum alone; a linear one, its adjoint and norm."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from latentry.holding import evaluated, weights_like
from latentry.latent.measurements import Measurement, as_measurement
from latentry.latent.measurements.operator import check_shape
from latentry.numerics.inputs import checked
from latentry.testing import maps
from latentry.testing.conformance import Conformance, Finding, Question, conformance, finding, not_applicable, undisturbed
from latentry.testing.maps import questions_of
from latentry.testing.row_map import RowMap, flags_behind, share_of

__all__ = ["check_measurement"]

_TRIALS = 16
_WAYS_OUT: Mapping[str, str] = {
    maps.GIVES: "wrap it: lambda x: a(...), which gives one tensor of real numbers (n, ...) for data (n, *shape)",
    maps.DEVICE: "leave .to(device) and .cpu() out, and make masks and filters on x.device",
    maps.INPUT: "wrap it: lambda x: a(x.clone())",
    maps.STATE: "keep no counters or statistics in it",
    maps.NEW: "leave out copy_, out= and buffers that measurements are written to",
    maps.FINITE: "take no logarithm or root of data that may be negative",
    maps.DETERMINISTIC: "leave its noise out: that of the data is enough; draw random masks once and keep them",
    maps.OWN_ROW: "take no mean over the batch",
    maps.ORDER: "give all data one mask or filter, or recover the data one by one",
    maps.BATCH: "give it one mask or filter for all data",
    maps.DIFFERENT: "it measures nothing of the data: look at its mask",
    maps.GRADIENT: "remove no_grad, detach, rounding, and comparisons such as >",
    maps.DIFFERENCES: "let no straight-through rounding, detached part or backward of your own give another gradient",
    maps.FORWARD: "correct the jvp of your autograd function",
}
LINEAR = "is linear"
ADJOINT = "its adjoint is its transpose"
NORM = "its norm is its largest singular value"
_DOUBLE = "measures in double precision"
_LINEAR = 1e-4
_ADJOINT = 1e-4
_NORM = 0.01
"""Most that the norm may be below what is reached from a random start, or above it, as a share of it."""
_POWER_STEPS = 100


@checked()
def check_measurement(measurement: Callable[..., Any], shape: Sequence[int], *, raises: bool = False) -> Conformance:
    """Look at what a measurement promises, on normal random data.

    Args:
        measurement: Any callable x -> y, or an operator of `deepinv.physics`, which is taken without its noise. A method
            `adjoint(y, shape)`, or `A_adjoint(y)` as of deepinv, is looked at where it has one, as is `norm(shape)`.
        shape: Shape of one datum.
        raises: Whether a broken promise is an error.

    Raises:
        ValueError: A promise is broken, and `raises`; the measurement is no callable, or the shape has no axis.

    Example:
        >>> import torch, latentry as lt
        >>> bool(lt.testing.check_measurement(lt.measurements.Blur(1.0), (1, 8, 8)))
        True
        >>> lt.testing.check_measurement(lambda x: x > 0, (3,)).broken[0].measured
        '(4, 3) to (4, 3), of torch.bool, which are no real numbers of a floating type'
    """
    check_shape(shape)
    measure = as_measurement(measurement)
    dtype = weights_like(measurement, torch.empty(0)).dtype
    x = torch.randn(_TRIALS, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    with undisturbed(), evaluated(measurement):
        before = flags_behind(measurement)
        double = _in_double(measure, x)
        data = RowMap(
            lambda x, at: measure(x), x, "datum", "data", "measurements", behind=measurement, before=before,
            finer=(lambda x, at: measure(x)) if double else None,
        )  # fmt: skip
        deterministic = data.named(maps.DETERMINISTIC)
        questions = [
            *questions_of(data, dict(_WAYS_OUT)),
            Question(
                _DOUBLE,
                lambda: _double(data, double),
                allows="it would lead codes to the exact minimum",
                needs=(deterministic,),
            ),
            Question(
                LINEAR,
                lambda: _linear(measure, data),
                allows="only a linear measurement has an adjoint and a norm; recovery takes others too",
                needs=(deterministic,),
            ),
            Question(
                ADJOINT,
                lambda: _adjoint(measurement, measure, data, shape),
                "let <A x, y> = <x, A'y>; measurements of latentry have it from their derivative",
                needs=(LINEAR, *map(data.named, (maps.STATE, maps.GRADIENT, maps.DIFFERENCES))),
            ),
            Question(
                NORM,
                lambda: _norm(measurement, measure, data, shape),
                "return the largest singular value; as_measurement(a).norm(shape) works it out",
                needs=(ADJOINT, data.named(maps.DIFFERENCES)),
            ),
        ]
        name = getattr(measurement, "__qualname__", None) or type(measurement).__name__
        return conformance(f"measurement {name} of data {tuple(shape)}", questions, raises=raises)


def _in_double(measure: Measurement, x: Tensor) -> bool:
    try:
        with torch.no_grad():
            return measure(x[:4].double()).dtype == torch.float64
    except Exception:  # the checks report what is wrong with it
        return False


def _double(data: RowMap, double: bool) -> Finding:
    if not double:
        return not_applicable("refuses data in double precision, or gives other numbers for them")
    with torch.no_grad():
        exact = data(data.few.double())
    off = data.differ(exact, data.y.double())
    return finding(True, off, "differs by {} of the largest value, which is rounding")


def _linear(measure: Measurement, data: RowMap) -> Finding:
    with torch.no_grad():
        x, y = data.x[:4], data.x[4:8]
        off = data.differ(2 * measure(x) + measure(y), measure(2 * x + y))
    if off > _LINEAR:
        return Finding(None, off, f"A(2 x + y) is off 2 A(x) + A(y) by {off:.3g} of the largest value")
    return finding(True, off, "A(2 x + y) is off 2 A(x) + A(y) by {} of the largest value")


def _transposed(measurement: Any, measure: Measurement, y: Tensor, shape: Sequence[int]) -> Tensor:
    """A'y, by the measurement's own method where it has one."""
    if hasattr(measurement, "A_adjoint"):
        result: Tensor = measurement.A_adjoint(y)
    elif hasattr(measurement, "adjoint"):
        result = measurement.adjoint(y, shape)
    else:
        result = measure.adjoint(y, shape)
    return result.detach()


def _adjoint(measurement: Any, measure: Measurement, data: RowMap, shape: Sequence[int]) -> Finding:
    x = data.few
    with torch.no_grad():
        measured = measurement.A(x) if hasattr(measurement, "A_adjoint") else measure(x)
    if not isinstance(measured, Tensor) or measured.is_complex():
        return not_applicable("measurements are complex, or several")
    y = torch.randn(measured.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(x)
    pulled = _transposed(measurement, measure, y, shape)
    if pulled.shape != x.shape:
        return finding(False, float("nan"), f"of measurements of data {tuple(x.shape)} it has shape {tuple(pulled.shape)}")
    left, right = ((a.double() * b.double()).flatten(1).sum(1) for a, b in ((measured, y), (x, pulled)))
    lengths = measured.double().flatten(1).norm(dim=1) * y.double().flatten(1).norm(dim=1)
    off = share_of(left - right, lengths)
    return finding(off <= _ADJOINT, off, "<A x, y> is off <x, A'y> by {} of the product of lengths")


def _norm(measurement: Any, measure: Measurement, data: RowMap, shape: Sequence[int]) -> Finding:
    """The norm against power iteration."""
    if not hasattr(measurement, "norm") and not isinstance(measurement, Measurement):
        return not_applicable("it has no method norm(shape)")
    if hasattr(measurement, "A_adjoint"):
        return not_applicable("the norm of operators of deepinv is a method of theirs with other arguments")
    stated = float(measurement.norm(shape))
    x, reached = data.few[:1], 0.0
    for _ in range(_POWER_STEPS):
        with torch.enable_grad():
            x = (x / x.norm().clamp(min=1e-30)).detach().requires_grad_(True)
            y = measure(x)
            reached = y.detach().norm().item()
            (x,) = torch.autograd.grad(y, x, y.detach())
    off = abs(stated - reached) / max(reached, 1e-30)
    return finding(off <= _NORM, off, f"states {stated:.4g}, power iteration reaches {reached:.4g}: off by {{}} of it")
