"""Conversion and checks of arguments: `@checked` makes the arguments of a public function match its annotations.

The annotations are the contract, and nothing else has to be written. Of `z: Float[Tensor, "n d"]` the function sees a tensor
of a floating type with two axes, whose d is that of every other argument. What may be passed for it is more:

- numpy arrays, lists of numbers and whatever has `__array__` become tensors. Lists take the type of the tensors beside them.
- Codes and directions (axis d) of different floating types are promoted to the widest, as torch does; angles, steps and
  the like take their type. Half precision is computed in float32, and a tensor that is returned has the caller's type
  again; the fields of a report stay in float32.
- Graphs are cut, so that results carry none, unless the decorator has `differentiable=True`.
- Labels (`Int`) may be of any whole type, bools, or whole numbers of a floating type; they go where the codes are.
- Codes have the length of those of the argument `prior`.
- What stands for an object of another kind becomes one where a package said how (`adapted_by`): a distribution a prior.

What cannot be meant is refused with one `ValueError` that says what was expected, what came, and the way out: integers,
complex numbers and bools for codes, another number of axes, axes of length 0 behind the first, sparse tensors and those
without values, NaN and infinity (except for the arguments named in `any_value`), two devices, and objects of another kind.
"""

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from numbers import Real
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import jaxtyped
from torch import Tensor

from latentry.numerics.annotations import Parameter, parameters, takes_type

__all__ = ["adapted_by", "as_attributes", "as_tensor", "check_fields", "checked"]

P = ParamSpec("P")
R = TypeVar("R")


def checked(
    *, differentiable: bool = False, any_value: Collection[str] = (), any_length: Collection[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make the arguments of a function what its annotations say, or refuse them; see the module.

    Args:
        differentiable: Whether tensors keep their graph.
        any_value: Names of arguments that may hold NaN and infinity.
        any_length: Names of arguments whose last axis d is not the length of codes of the argument `prior`.

    Example:
        >>> from jaxtyping import Float
        >>> @checked()
        ... def mean_square(z: Float[Tensor, "n d"]) -> Tensor:
        ...     return z.square().mean(1)
        >>> mean_square([[3.0, 4.0]])
        tensor([12.5000])
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature, known = inspect.signature(function), parameters(function)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            boundary = _Boundary(known, bound.arguments, differentiable, any_value)
            boundary.take_in()
            boundary.check(any_length)
            return boundary.as_given(function(*bound.args, **bound.kwargs))

        return call

    return decorate


def adapted_by(kind: type, adapter: Callable[[Any], Any]) -> None:
    """Say what makes an object of `kind` of other objects that are passed where one is annotated.

    Args:
        kind: The class or protocol in annotations.
        adapter: Object to object of that kind; it raises ValueError for what cannot be meant.
    """
    _ADAPTERS[kind] = adapter


_ADAPTERS: dict[Any, Callable[[Any], Any]] = {}


def check_fields(settings: Any) -> None:
    """Make sure that the fields of a settings dataclass are of the types that it says; their ranges are its own matter.

    Raises:
        ValueError: One is not.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     steps: int = 3
        ...     def __post_init__(self):
        ...         check_fields(self)
        >>> Settings(5)
        Settings(steps=5)
    """
    for field in parameters(type(settings)):
        value = getattr(settings, field.name)
        if not (field.takes(value) or (isinstance(value, float) and float in field.others)):
            raise ValueError(f"expected {field.name} as {field.in_words}, got {_kind_of(value)}")


def as_tensor(name: str, value: Any, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of what a user passed as one: a tensor, a numpy array, a list of numbers or of tensors.

    Args:
        name: What to call it in messages.
        value: What was passed.
        dtype: Type of the tensor where a list is passed.

    Raises:
        ValueError: It is nothing of these, not rectangular, sparse, or without values.

    Example:
        >>> as_tensor("codes", [[1.0, 2.0]])
        tensor([[1., 2.]])
    """
    if isinstance(value, Tensor) and (value.layout != torch.strided or value.is_quantized or value.is_meta):
        got = "one without values" if value.is_meta else str(value.layout)
        raise ValueError(f"expected {name} as a dense tensor with values, got {got}; convert it with .to_dense()")
    try:
        if isinstance(value, list | tuple) and any(isinstance(part, Tensor) for part in value):
            return torch.stack([torch.as_tensor(part) for part in value])
        if isinstance(value, list | tuple | Real):
            return torch.tensor(np.array(value).tolist(), dtype=dtype)
        return value if isinstance(value, Tensor) else torch.from_numpy(_plain(np.asarray(value)))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"expected {name} as a tensor, an array or a list of numbers, got {_kind_of(value)} ({error})"
        ) from None


def as_attributes(a: Tensor) -> Tensor:
    """Attributes as -1 (without), 0 (not known) and 1 (with), from these or from bools.

    Raises:
        ValueError: There are other values, or 0 and 1 alone, so that 0 may mean either.

    Example:
        >>> as_attributes(torch.tensor([True, False]))
        tensor([ 1, -1])
    """
    if a.dtype == torch.bool:
        return 2 * a.long() - 1
    values = a.unique().tolist()
    if not set(values) <= {-1, 0, 1}:
        raise ValueError(
            f"expected attributes -1, 0 or 1, or bools, got {values[:5]}; map them to -1 (without) and 1 (with)"
        )
    if values == [0, 1]:
        raise ValueError(
            "expected attributes -1 (without), 0 (not known) or 1 (with), or bools, got 0 and 1 alone; if 0 means without, "
            "pass a.bool()"
        )
    return a.long()


class _Boundary:
    """The arguments of one call on their way in, and its result on its way out."""

    def __init__(
        self, known: tuple[Parameter, ...], values: dict[str, Any], differentiable: bool, any_value: Collection[str]
    ) -> None:
        self.parameters = {one.name: one for one in known if one.name in values}
        self.values, self.differentiable, self.any_value = values, differentiable, any_value
        self.tensors: dict[str, Tensor] = {}
        self.lists: set[str] = set()
        self.half: torch.dtype | None = None

    def take_in(self) -> None:
        """Make tensors of what is to be tensors, on one device and of one floating type."""
        for name, parameter in self.parameters.items():
            self.values[name] = self._taken(parameter, self.values[name])
            if parameter.arrays and isinstance(self.values[name], Tensor):
                self.tensors[name] = self.values[name]
        self._place()
        self._promote()
        self.values.update(self.tensors)

    def check(self, any_length: Collection[str]) -> None:
        """Refuse shapes that do not fit, and values that make no sense."""
        self._check_shapes()
        length = getattr(self.values.get("prior"), "latent_dim", None)
        for name, tensor in self.tensors.items():
            codes = name not in any_length and any(
                array.dim_str.split()[-1:] == ["d"] for array in self.parameters[name].arrays
            )
            if codes and isinstance(length, int) and tensor.shape[-1] != length:
                raise ValueError(
                    f"expected codes of length {length} as the prior has them, got {name} of shape {tuple(tensor.shape)}; "
                    "check the prior's latent_dim"
                )
            if name not in self.any_value and tensor.is_floating_point():
                _refuse_nan(name, tensor)

    def as_given(self, result: Any) -> Any:
        """The result in the caller's type."""
        if self.half is not None and isinstance(result, Tensor) and result.is_floating_point():
            return result.to(self.half)
        return result

    def _taken(self, parameter: Parameter, value: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        array = isinstance(value, Tensor) or hasattr(value, "__array__")
        number = float in parameter.others or int in parameter.others
        if array and number and np.ndim(value) == 0 and not parameter.has_axes(0):
            return self._taken(parameter, value.item())
        if array and parameter.arrays:
            return self._tensor(parameter, value)
        unchecked = parameter.name in self.any_value and float in parameter.others and isinstance(value, float)
        if unchecked or parameter.takes(value):
            return value
        if parameter.arrays and isinstance(value, list | tuple):
            self.lists.add(parameter.name)
            return self._tensor(parameter, value)
        for kind in parameter.others:
            if kind in _ADAPTERS and value is not None:
                return _ADAPTERS[kind](value)
        raise ValueError(f"expected {parameter.name} as {parameter.in_words}, got {_kind_of(value)}{_way_out(parameter)}")

    def _tensor(self, parameter: Parameter, value: Any) -> Tensor:
        name = parameter.name
        floating = all(takes_type(array, torch.empty(0)) for array in parameter.arrays)
        tensor = as_tensor(name, value, torch.get_default_dtype() if floating else None)
        tensor = tensor if self.differentiable else tensor.detach()
        if any(takes_type(array, tensor) for array in parameter.arrays_of(tensor.ndim)):
            return tensor.long() if _is_whole(tensor) and not parameter.of_any_type else tensor
        if any(takes_type(array, torch.empty(0, dtype=torch.int64)) for array in parameter.arrays_of(tensor.ndim)):
            return _whole(name, tensor)
        way_out = "take .real, or .real and .imag apart" if tensor.is_complex() else "convert it with .float()"
        raise ValueError(
            f"expected {name} as {parameter.in_words}, got {tensor.dtype} of shape {tuple(tensor.shape)}; {way_out}"
        )

    def _place(self) -> None:
        """Labels go where the codes are; other tensors on two devices are no accident to pass over."""
        places = {
            name: tensor.device
            for name, tensor in self.tensors.items()
            if tensor.is_floating_point() and name not in self.lists
        }
        if len(set(places.values())) > 1:
            got = ", ".join(f"{name} on {device}" for name, device in places.items())
            raise ValueError(f"expected tensors on one device, got {got}; move them with .to(device)")
        for device in set(places.values()):
            self.tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}

    def _promote(self) -> None:
        """One floating type for all that is computed with, of codes where there are any; data of any type keep theirs."""
        mine = [name for name, t in self.tensors.items() if t.is_floating_point() and not self.parameters[name].of_any_type]
        telling = [name for name in mine if name not in self.lists]
        codes = [name for name in telling if self.parameters[name].last_axis == "d"]
        types = [self.tensors[name].dtype for name in codes or telling] or [torch.get_default_dtype()]
        dtype = types[0]
        for other in types[1:]:
            dtype = torch.promote_types(dtype, other)
        if dtype.itemsize < torch.float32.itemsize:
            self.half, dtype = dtype, torch.float32
        self.tensors.update({name: self.tensors[name].to(dtype) for name in mine})

    def _check_shapes(self) -> None:
        with jaxtyped("context"):  # where equal names of axes are equal lengths
            for name, tensor in self.tensors.items():
                fits = any(isinstance(tensor, array) for array in self.parameters[name].arrays)
                lengths = tensor.shape[-1:] if self.parameters[name].many_batches else tensor.shape[1:]
                if fits and (self.parameters[name].only_batches or all(lengths)):
                    continue
                beside = [f"{other} of {tuple(there.shape)}" for other, there in self.tensors.items() if other != name]
                raise ValueError(
                    f"expected {name} as {self.parameters[name].in_words}{', without an axis of length 0' if fits else ''}, "
                    f"got {tensor.dtype} of shape {tuple(tensor.shape)}{' beside ' if beside else ''}{', '.join(beside)}"
                    f"{_shape_way_out(self.parameters[name], tensor)}"
                )


def _plain(array: Any) -> Any:
    """An array that torch can share: writable, of the machine's byte order and forward strides."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy()


def _is_whole(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _whole(name: str, tensor: Tensor) -> Tensor:
    """Labels that came as another type."""
    if tensor.is_complex() or (tensor.is_floating_point() and not bool((tensor == tensor.round()).all())):
        raise ValueError(
            f"expected whole numbers as {name}, got {tensor.dtype} of shape {tuple(tensor.shape)} with others or NaN; "
            "take .argmax(1) of probabilities"
        )
    return tensor.long()


def _refuse_nan(name: str, tensor: Tensor) -> None:
    broken = ~tensor.detach().isfinite()
    try:
        found = bool(broken.any())
    except RuntimeError:  # torch.func.vmap lets no value be looked at
        return
    if found:
        rows = broken.flatten(1).any(1) if tensor.ndim > 1 else broken.reshape(-1)
        raise ValueError(f"expected finite {name}, got NaN or infinity in {int(rows.sum())} of {len(rows)}; drop them")


def _kind_of(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return repr(value)[:40] if value is None or isinstance(value, int | float | str) else type(value).__name__


def _way_out(parameter: Parameter) -> str:
    if torch.Generator in parameter.others:
        return "; make one with torch.Generator().manual_seed(0)"
    if parameter.name == "prior":
        return "; take one of latentry.priors, such as Normal(d), or give yours latent_dim and sample(shape, rng=rng)"
    return ""


def _shape_way_out(parameter: Parameter, tensor: Tensor) -> str:
    if parameter.has_axes(tensor.ndim):
        return ""
    if parameter.has_axes(tensor.ndim + 1):
        return f"; add an axis with {parameter.name}[None]"
    return f"; take {parameter.name}.argmax(1) of one-hot rows" if _is_whole(tensor) and tensor.ndim == 2 else ""
