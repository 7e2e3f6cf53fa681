"""The shape of one code of a third-party generator: passed by the user, or found from the generator and by trial calls.

Sources, in this order: an attribute such as `code_shape` or `latent_dim`, the signature of an exported file, the length of
the codes of the prior, the first layer. A length `d` may mean `(d,)`, `(d, 1, 1)` or `(d, 1)`, as in a DCGAN: the first one
with which a call succeeds is taken. If the shape stays unknown, as for a convolution of any height and width, the error
requests it.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from latentry.holding import Condition, evaluated, module_of, modules_behind, weights_like
from latentry.holding.conditions import arguments, cycled

__all__ = ["check_code_shape", "found_code_shape"]

_SHAPES = ("code_shape", "latent_shape", "z_shape")
_LENGTHS = (
    "latent_dim", "latent_dims", "latent_size", "latents_dim", "dim_latent", "n_latent", "code_dim", "code_size",
    "z_dim", "z_size", "dim_z", "zdim", "nz", "noise_dim", "input_dim",
)  # fmt: skip
"""What others call the shape and the length of a code."""
_TRIAL, _ODD = 3, 7
"""Codes of a trial call, and a length that no generator has."""
_MISSING = re.compile(r"missing 1 required positional argument: '(\w+)'")
"""What Python says of a call without the condition."""
_SAID = re.compile(r"\(\d+x(?P<got>\d+) and (?P<wanted>\d+)x\d+\)")
"""What torch says where a matrix product does not fit."""


def check_code_shape(code_shape: Sequence[int] | int) -> tuple[int, ...]:
    """The shape as a tuple.

    Raises:
        ValueError: It is no shape.

    Example:
        >>> check_code_shape(8), check_code_shape([4, 8, 8])
        ((8,), (4, 8, 8))
    """
    sizes = (code_shape,) if isinstance(code_shape, int) else tuple(code_shape)
    if not sizes or not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes):
        raise ValueError(f"expected the shape of one code as whole numbers, got {code_shape!r}; write (64,) or (4, 8, 8)")
    return sizes


def found_code_shape(
    function: Callable[..., Any],
    code_shape: Sequence[int] | int | None = None,
    *,
    signature: tuple[int, ...] | None = None,
    latent_dim: int | None = None,
    condition: Condition | None = None,
) -> tuple[int, ...]:
    """The shape of one code as a generator takes it, after a call on such codes.

    Args:
        function: The generator.
        code_shape: The shape where it is known.
        signature: What an exported file says of its input.
        latent_dim: Length of the codes of the prior where one is given.
        condition: Some rows of what a conditional generator takes along with codes.

    Raises:
        ValueError: It does not take such codes, takes one number of them alone, or leaves their shape open.

    Example:
        >>> found_code_shape(nn.Linear(8, 3)), found_code_shape(nn.ConvTranspose2d(8, 1, 4))
        ((8,), (8, 1, 1))
    """
    if code_shape is not None:
        shape = check_code_shape(code_shape)
        if (failure := _failure(function, shape, condition)) is not None:
            raise ValueError(_refusal(function, shape, failure, "as code_shape sets", condition))
        _check_length(shape, latent_dim)
        return shape
    known = list(_known(function, signature, latent_dim, condition))
    for shapes, why in known:
        failures = []
        for shape in shapes:
            failure = _failure(function, shape, condition)
            if failure is None:
                _check_length(shape, latent_dim)
                return shape
            failures.append(failure)
        if why != "as its first layer is":
            raise ValueError(_refusal(function, shapes[0], failures[0], why, condition))
    raise ValueError(
        f"expected a generator that tells the shape of its codes, got {_name(function)}, of which neither an attribute such "
        f"as latent_dim nor the first layer tells it{_said_of_channels(function)}; write code_shape=(d,), or "
        "(channels, height, width) or whatever it takes (--code_shape)"
    )


def _known(
    function: Any, signature: tuple[int, ...] | None, latent_dim: int | None, condition: Condition | None
) -> Iterator[tuple[list[tuple[int, ...]], str]]:
    """Shapes that may be meant, and who says so."""
    owner = module_of(function) or function
    for place in (owner, getattr(owner, "config", None)):
        for name in _SHAPES:
            shape = getattr(place, name, None)
            if isinstance(shape, list | tuple) and _is_shape(shape):
                yield [check_code_shape(tuple(shape))], f"as its attribute {name} says"
    if signature is not None:
        yield [signature], "as the file says of its input"
    for place in (owner, getattr(owner, "config", None)):
        for name in _LENGTHS:
            length = getattr(place, name, None)
            if isinstance(length, int) and not isinstance(length, bool) and length > 0:
                yield _of_length(length), f"as its attribute {name} says"
    if latent_dim is not None:
        yield _of_length(latent_dim), "as the codes of the prior are"
    if (layer := _first_layer(function)) is not None:
        yield _of_layer(layer), "as its first layer is"
    if (length := _told_by_an_error(function, condition)) is not None:
        yield [(length,)], "as its first layer is"


def _is_shape(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(size, int) and size > 0 for size in value)


def _of_length(length: int) -> list[tuple[int, ...]]:
    return [(length,), (length, 1, 1), (length, 1)]


def _first_layer(function: Any) -> nn.Module | None:
    """The first layer with weights among the modules behind a callable, in the order of their definition."""
    module = module_of(function)
    behind = [*module.modules()] if module is not None else modules_behind(function)
    return next(
        (part for part in behind if isinstance(getattr(part, "weight", None), Tensor) and not [*part.children()]), None
    )


def _kind(layer: nn.Module) -> str:
    return str(getattr(layer, "original_name", type(layer).__name__))  # scripts keep the name of the class


def _of_layer(layer: nn.Module) -> list[tuple[int, ...]]:
    """Shapes that a first layer takes; none where it takes several of them."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    kind = _kind(layer)
    if kind == "Linear":
        return [(weight.shape[1],)]
    if kind.startswith("ConvTranspose"):  # weights are (in, out, ...)
        length, axes = weight.shape[0], weight.ndim - 2
        return [(length,), (length, *[1] * axes)] if _projects(layer) else [(length,)]
    if kind.startswith("Conv"):
        return [(weight.shape[1],)]
    return [(weight.shape[0],)] if weight.ndim == 1 else []  # a normalization, which keeps the shape


def _projects(layer: nn.Module) -> bool:
    """Whether a transposed convolution makes a map of one pixel, as the first one of a DCGAN does."""
    padding = getattr(layer, "padding", (0,))
    return not any(padding) and all(getattr(layer, "weight").shape[2:][axis] > 1 for axis in range(len(padding)))  # noqa: B009


def _said_of_channels(function: Any) -> str:
    layer = _first_layer(function)
    if layer is None or not _kind(layer).startswith("Conv"):
        return ""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    channels = weight.shape[0 if _kind(layer).startswith("ConvTranspose") else 1]
    return f" (it begins with a convolution of {channels} channels, which takes any height and width)"


def _told_by_an_error(function: Callable[..., Any], condition: Condition | None) -> int | None:
    """The length that a matrix product wants, where a call of another length tells it."""
    failure = _failure(function, (_ODD,), condition)
    found = None if failure is None else _SAID.search(str(failure))
    return int(found["wanted"]) if found is not None and int(found["got"]) == _ODD else None


def _failure(
    function: Callable[..., Any], shape: tuple[int, ...], condition: Condition | None, count: int = _TRIAL
) -> Exception | None:
    """What a call on codes of a shape raises; None where it gives a row for each."""
    z = weights_like(function, torch.empty(0))
    codes = torch.zeros(count, *shape, dtype=z.dtype, device=z.device)
    codes += torch.linspace(-1, 1, count).to(z).reshape(-1, *[1] * len(shape))
    try:
        with evaluated(function) as (held,), torch.no_grad(), torch.random.fork_rng([]):
            returned = held(*arguments(codes, cycled(condition, count)))
    except Exception as error:  # others' code raises what it likes
        if isinstance(error, torch.OutOfMemoryError):
            raise
        return error.__cause__ if isinstance(error, ValueError) and isinstance(error.__cause__, Exception) else error
    leaves = [returned] if isinstance(returned, Tensor) else _leaves(returned)
    if any(isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == count for leaf in leaves) or not leaves:
        return None
    shapes = [tuple(leaf.shape) for leaf in leaves if isinstance(leaf, Tensor)]
    return ValueError(f"shapes {shapes} for {count} codes" if shapes else f"{type(returned).__name__} in place of a tensor")


def _leaves(returned: Any) -> list[Any]:
    return [leaf for part in (returned, getattr(returned, "__dict__", None)) for leaf in tree_leaves(part)]


def _refusal(
    function: Callable[..., Any], shape: tuple[int, ...], failure: Exception, why: str, condition: Condition | None
) -> str:
    missing = _MISSING.search(str(failure))
    if missing is not None and condition is None:
        return (
            f"expected a generator of codes alone, got {_name(function)}, which takes {missing[1]} along with them; from "
            "Python pass condition=, some rows of it"
        )
    fixed = next((count for count in (1, 2, 4) if _failure(function, shape, condition, count) is None), None)
    if fixed is not None:
        return (
            f"expected a generator of any number of codes, got {_name(function)}, which takes {fixed} at a time but not "
            f"{_TRIAL}; export it with dynamic_shapes, or trace it without a fixed batch"
        )
    message = (str(failure).splitlines() or ["no message"])[0][:300]
    return (
        f"expected {_name(function)} to take codes of shape (n, {', '.join(map(str, shape))}), {why}, got "
        f"{type(failure).__name__}: {message}; write the shape of one code as it takes them: code_shape=... (--code_shape)"
    )


def _check_length(shape: tuple[int, ...], latent_dim: int | None) -> None:
    if latent_dim is not None and math.prod(shape) != latent_dim:
        raise ValueError(
            f"expected a prior of length {math.prod(shape)}, as the generator takes codes of shape {shape}, got one of "
            f"length {latent_dim}; pass such a prior, or another code_shape"
        )


def _name(function: Any) -> str:
    return str(
        getattr(function, "original_name", None) or getattr(function, "__qualname__", None) or type(function).__name__
    )
