"""The precision in which a generator computes: its rounding errors, and a copy in double precision.

A code can make given data only up to rounding. The rounding error is measured: the difference between the generator and a
copy of it in double precision, on codes of the prior. The copy also distinguishes a code that makes the data from one that
nearly does, where single precision cannot.
"""

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.holding import Condition, called, module_of, tried, weights_like
from latentry.holding.conditions import arguments
from latentry.interfaces import Generator
from latentry.networks import folded

__all__ = ["Cast", "Rounding", "dtype_of", "in_dtype", "quickest", "rounding_of"]

_CANDIDATES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_SAME = 1e-4
"""Largest difference of two forms of a generator, over its largest value, that rounding may make in single precision."""
_COARSE = 32.0
"""The same in half precision, in roundings."""
_ROUNDINGS = 4.0
"""Roundings of its largest value that an output is off by, where nothing better is known."""


@dataclass(frozen=True)
class Cast:
    """A generator that is called in its own dtype, conditions too, and gives its data in another."""

    generator: Generator
    inside: torch.dtype
    outside: torch.dtype

    def __call__(self, z: Any, /, condition: Condition | None = None) -> Any:
        return called(self.generator, z.to(self.inside), condition).to(self.outside)


def dtype_of(
    generator: Generator, z: Float[Tensor, "n d"], preferred: torch.dtype, condition: Condition | None = None
) -> torch.dtype:
    """The floating-point dtype of the codes that a generator takes: that of the weights behind it, or one that it works in.

    Args:
        generator: Any callable z -> x.
        z: Codes to try it on.
        preferred: Taken where several would do, and where none does.
        condition: What a conditional generator takes along with these codes.
    """
    unknown = z.new_empty(0)
    weight = weights_like(generator, unknown)
    if weight is not unknown:
        return weight.dtype
    for dtype in dict.fromkeys((preferred, *_CANDIDATES)):
        try:
            with torch.no_grad():
                tried(generator, *arguments(z.to(dtype), condition))
        except (ValueError, NotImplementedError):
            continue
        return dtype
    return preferred


def module_dtype(generator: Generator) -> torch.dtype | None:
    """The dtype of the weights of the module behind a generator; None without one."""
    module = module_of(generator)
    numbers = [] if module is None else [*module.parameters(), *module.buffers()]
    return next((one.dtype for one in numbers if one.is_floating_point()), None)


def in_dtype(
    generator: Generator, dtype: torch.dtype, z: Float[Tensor, "n d"], condition: Condition | None = None
) -> Generator | None:
    """The same map computed in another dtype, on a copy of the module behind it; None where there is no such.

    Args:
        generator: Any callable z -> x.
        dtype: The other one.
        z: Codes on which the two are compared.
        condition: What a conditional generator takes along with these codes.
    """

    def copied(owner: torch.nn.Module) -> torch.nn.Module:
        return deepcopy(owner).to(dtype).eval().requires_grad_(False)

    other = _of_copy(generator, copied) if module_of(generator) is not None else generator
    if other is None:
        return None
    try:
        with torch.no_grad():
            x = called(other, z.to(dtype), condition)
            own = called(generator, z.to(module_dtype(generator) or z.dtype), condition)
    except (RuntimeError, TypeError, NotImplementedError):
        return None
    if x.dtype != dtype or x.shape != own.shape:
        return None
    allowed = max(_SAME, _COARSE * torch.finfo(module_dtype(generator) or own.dtype).eps)
    return other if (x - own).abs().max() <= allowed * x.abs().max() else None


def quickest(generator: Generator, z: Float[Tensor, "n d"], condition: Condition | None = None) -> Generator:
    """The same map with batch normalisation folded away; the generator itself where no copy does the same."""
    quick = _of_copy(generator, folded)
    if quick is None:
        return generator
    with torch.no_grad():
        own, other = called(generator, z, condition), called(quick, z, condition)
    alike = (own - other).abs().max() <= _SAME * own.abs().max()
    return quick if alike else generator


@dataclass(frozen=True)
class Rounding:
    """Mean squared rounding of what is compared."""

    of_data: float
    """Of data that a code of the generator's own numbers makes, over several codes."""
    at_most: float
    """Of data that a code between these makes too, the largest of several codes."""


def rounding_of(
    generator: Generator,
    finer: Generator | None,
    z: Float[Tensor, "n d"],
    numbers: torch.dtype,
    measure: Callable[[Tensor], Tensor],
    condition: Condition | None = None,
) -> Rounding:
    """What rounding does to what is measured of a generator's data.

    Args:
        generator: What makes the data.
        finer: The same in double precision; without it some roundings of the largest value are taken.
        z: Codes.
        numbers: What the generator computes in.
        measure: What is compared of the data.
        condition: What a conditional generator takes along with these codes.
    """
    epsilon = torch.finfo(numbers).eps
    with torch.no_grad():
        x = measure(called(generator, z, condition))
        one = (epsilon * x.double().abs().max()).square().item()
        if finer is None:
            return Rounding(one, _ROUNDINGS**2 * one)
        exact = z.to(numbers).double()
        between = exact * (1 + epsilon / 2 * torch.linspace(-1, 1, z.shape[1], dtype=torch.float64, device=z.device))
        try:
            data, most = (
                (x.double() - measure(called(finer, codes, condition))).flatten(1).square().mean(1)
                for codes in (exact, between)
            )
        except RuntimeError:  # a measurement of single precision
            return Rounding(one, _ROUNDINGS**2 * one)
        return Rounding(data.mean().item(), max(one, most.max().item()))


def _of_copy(generator: Generator, change: Callable[[torch.nn.Module], torch.nn.Module]) -> Generator | None:
    """The generator, or its method of the same name, of a changed copy of the module; None where there is no such."""
    owner = module_of(generator)
    if owner is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts that torch means to leave behind, as graphs that were exported have
            copy = change(owner)
    except Exception:  # modules that cannot be copied say so in every way
        return None
    if owner is generator:
        return copy
    return getattr(copy, getattr(generator, "__name__", ""), None)
