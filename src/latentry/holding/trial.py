"""A trial call of a user's callable: side effects are undone, and errors are explained in one sentence.

A callable may write to tensors that existed before the call, such as the running statistics of batch normalisation, even if
its modules cannot be found (they may be in a C extension) or switch themselves to train mode. torch's dispatcher reports
every such write.

One module, though over 350 lines: every sentence explains what one and the same trial call shows.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentry.holding.conditions import Condition, arguments, called, rows_at

__all__ = ["Watched", "WatchedCall", "require_generator", "tried", "watched_call"]

_STATISTICS = ("running_mean", "running_var")
"""Arguments that batch normalisation writes to though its schema does not say so."""
_UNFIT = (AssertionError, IndexError, RuntimeError, TypeError)
"""What torch raises where a network and its input do not fit."""
_MISREAD = (AttributeError, KeyError)
"""What Python raises where a condition is of another kind than the network reads."""


class _Writes(TorchDispatchMode):
    """Keeps what tensors from before the call held before they were first written to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: set[int] = set()
        self.before: dict[int, tuple[StorageWeakRef, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for tensor in _written(operation, args, kwargs):
            self._keep(tensor)
        result = operation(*args, **kwargs)
        taken_in = "lift" in operation._schema.name  # what `torch.tensor` gives shares memory with what it was made of
        self.made |= _numbers(result) - (set() if taken_in else _numbers((args, kwargs)))
        return result

    def _keep(self, tensor: Tensor) -> None:
        number = _number(tensor)
        if number not in self.made and number not in self.before:
            storage = tensor.untyped_storage()
            self.before[number] = StorageWeakRef(storage), storage.clone()

    def undo(self, result: Any) -> set[int]:
        """Put back what changed and outlives the call, its result aside; the numbers of the tensors that did."""
        returned, undone = _numbers(result), set()
        for number, (reference, content) in self.before.items():
            if number in returned or reference.expired():
                continue
            storage = torch.UntypedStorage._new_with_weak_ptr(reference.cdata)
            if storage is not None and not torch.equal(_bytes(storage), _bytes(content)):
                storage.copy_(content)
                undone.add(number)
        return undone


class Watched:
    """A callable whose first call is tried, and the others are not."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function
        self._is_tried = False

    def __call__(self, *args: Any) -> Any:
        if self._is_tried:
            return self.__wrapped__(*args)
        result = tried(self.__wrapped__, *args)
        self._is_tried = True
        return result


@dataclass(frozen=True)
class WatchedCall:
    """One call, and what it wrote to that was there before; all of that has its old values again."""

    result: Any
    wrote_to_input: bool
    """Whether one of its arguments was written to."""
    written: int
    """How many tensors, those of the arguments among them."""


def watched_call(function: Callable[..., Any], *args: Any) -> WatchedCall:
    """Call, and put back what the call changed.

    Raises:
        ValueError: The call failed, as it does for codes `(n, d)` where a network wants images of one pixel.

    Example:
        >>> call = watched_call(lambda x: x.zero_() + 1, torch.ones(2))
        >>> call.result, call.wrote_to_input
        (tensor([1., 1.]), True)
    """
    writes = _Writes()
    try:
        with writes:
            result = function(*args)
    except BaseException as error:
        writes.undo(None)
        unfit = (*_UNFIT, *_MISREAD) if len(args) > 1 else _UNFIT
        if isinstance(error, unfit) and not isinstance(error, torch.OutOfMemoryError):
            raise _explained(function, args, error) from error
        raise
    undone = writes.undo(result)
    return WatchedCall(result, bool(undone & _numbers(args)), len(undone))


def tried(function: Callable[..., Any], *args: Any) -> Any:
    """What a callable gives, once it is sure that the call changed nothing.

    Raises:
        ValueError: The call wrote to tensors that were there before, which have their old values again; or it failed, as it
            does for codes `(n, d)` where a network wants images of one pixel.

    Example:
        >>> tried(torch.tanh, torch.zeros(2))
        tensor([0., 0.])
    """
    call = watched_call(function, *args)
    if call.wrote_to_input:
        raise ValueError(
            f"expected {_name(function)} to leave its input as it is, got one that writes to it; "
            "wrap it: lambda x: f(x.clone())"
        )
    if call.written:
        raise ValueError(
            f"expected {_name(function)} to change nothing when it is called, got {call.written} tensors that it wrote to "
            "and that are as before again; put batch normalisation inside in eval mode with .eval()"
        )
    return call.result


def require_generator(generator: Callable[..., Any], z: Float[Tensor, "n d"], condition: Condition | None = None) -> None:
    """Make sure that a generator is a differentiable function of each code alone, on three or more trial codes.

    Args:
        generator: A callable z -> x, or (z, condition) -> x.
        z: Codes to try it on.
        condition: What a conditional generator takes along with these codes, one row for each.

    Raises:
        ValueError: The generator fails, or writes to tensors from before the call, such as what it returned before; it
            returns no tensor of real numbers, another number of rows, NaN or infinity, is stochastic, lets rows of a batch
            influence each other, has no gradient with respect to its codes, lacks the condition that it takes, or makes the
            same data whatever condition it is given.

    Example:
        >>> require_generator(torch.tanh, torch.randn(3, 2))
        >>> require_generator(lambda z: z.detach(), torch.randn(3, 2))
        Traceback (most recent call last):
        ...
        ValueError: ...
    """
    z = z.detach().clone().requires_grad_(True)
    with torch.random.fork_rng([z.device] if z.is_cuda else []):  # of a stochastic one, before it is refused
        with torch.enable_grad():
            x = tried(generator, *arguments(z, condition))
        if not isinstance(x, Tensor):
            raise ValueError(f"expected the generator to return one tensor, got {type(x).__name__}; wrap it in a lambda")
        if x.is_complex():
            raise ValueError(
                f"expected real numbers from the generator, got {x.dtype}; take .real, or .real and .imag as two channels"
            )
        if x.ndim < 2 or len(x) != len(z):
            raise ValueError(
                f"expected {len(z)} rows for {len(z)} codes, got shape {tuple(x.shape)}; the first axis must be the batch"
            )
        if not x.isfinite().all():
            raise ValueError(
                "expected finite data from the generator, got NaN or infinity on codes of the prior; "
                "pass the prior that it was trained with, or mend it"
            )

        tolerance = 1e-3 * x.detach().abs().max().item() + 1e-12
        with torch.no_grad():
            version = _version(x)
            again = (called(generator, z, condition) - x).abs().max().item()
            if _version(x) != version:
                raise ValueError(
                    "expected a generator that returns a new tensor at each call, got one that writes to the one that it "
                    "returned before; leave out copy_, out= and the like in it"
                )
            others = slice(1, None)  # so that what reads the first row alone, of codes or of a condition, shows
            fewer = (_of_fewer(generator, z[others], rows_at(condition, others)) - x[others]).abs().max().item()
    if not again <= tolerance:  # NaN too
        raise ValueError(
            f"expected a deterministic generator, got outputs that differ by {again:.3g} for the same codes; "
            "switch off dropout and noise inputs, or fix their noise"
        )
    if not fewer <= tolerance:
        raise ValueError(
            f"expected each row to depend on its own code{' and condition' * (condition is not None)}, got outputs that "
            f"change by {fewer:.3g} with the batch; put batch normalisation in eval mode (pass the module itself, or call "
            ".eval())"
        )
    _check_heeded(generator, z, x, condition)
    # parameters may ask for a gradient where the codes get none
    if not x.requires_grad or _gradient(x, z) is None:
        raise ValueError("expected a differentiable generator, got an output without gradient; remove no_grad or detach")


def _version(x: Tensor) -> int:
    """How often the memory of a tensor was written to; inference mode does not count it."""
    return 0 if x.is_inference() else x._version


def _gradient(x: Tensor, z: Tensor) -> Tensor | None:
    try:
        return torch.autograd.grad(x, z, torch.ones_like(x), allow_unused=True)[0]
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(
            f"expected a differentiable generator, got one whose gradient fails ({_first_line(error)}); where it calls "
            "torch.utils.checkpoint, pass use_reentrant=False there"
        ) from error


def _check_heeded(generator: Callable[..., Any], z: Tensor, x: Tensor, condition: Condition | None) -> None:
    """Make sure that a condition has a say, where its rows differ."""
    other = rows_at(condition, torch.arange(len(z)).roll(1))
    if other is None or all(torch.equal(a, b) for a, b in zip(tree_leaves(other), tree_leaves(condition), strict=True)):
        return
    with torch.no_grad():
        unmoved = torch.equal(called(generator, z, other), x)
    if unmoved:
        raise ValueError(
            "expected a generator that heeds its condition, got the same data for other conditions; leave condition out, or "
            "pass a generator (z, condition) -> x that reads it"
        )


def _of_fewer(generator: Callable[..., Any], z: Float[Tensor, "n d"], condition: Condition | None) -> Tensor:
    try:
        x: Tensor = called(generator, z, condition)
        return x
    except _UNFIT as error:
        raise ValueError(
            f"expected a generator of any number of codes, got one that refuses {len(z)} after it took {len(z) + 1} "
            f"({_first_line(error)}); export it with dynamic_shapes, or trace it without a fixed batch"
        ) from error


def _explained(function: Callable[..., Any], args: tuple[Any, ...], error: Exception) -> ValueError:
    if "functions with out=" in str(error):
        return ValueError(
            f"expected {_name(function)} to return a new tensor at each call, got one that writes to a given one by out=; "
            "leave out= out, since gradients do not pass it"
        )
    about_condition = _of_condition(function, args, error)
    if about_condition is not None:
        return about_condition
    z = args[0] if args and isinstance(args[0], Tensor) else torch.empty(0)
    for axes in (2, 1, 3) if z.ndim == 2 and len(args) == 1 else ():
        if _takes(function, z[(..., *[None] * axes)]):
            shape = f"(n, {z.shape[1]}{', 1' * axes})"
            return ValueError(
                f"expected {_name(function)} to take codes of shape (n, {z.shape[1]}), got one that wants {shape}; "
                f"wrap it: lambda z: g(z[:, :{', None' * axes}])"
            )
    lengths = _lengths(str(error), z.shape[1]) if z.ndim == 2 and len(args) == 1 else None
    if lengths is not None:
        return ValueError(
            f"expected codes of length {lengths}, as {_name(function)} takes them, got codes of length {z.shape[1]}; pass a "
            f"prior of length {lengths}, such as Normal({lengths})"
        )
    shapes = " and ".join(str(tuple(arg.shape)) for arg in args if isinstance(arg, Tensor))
    return ValueError(
        f"expected {_name(function)} to take a tensor of shape {shapes}, got {type(error).__name__}: {_first_line(error)}; "
        "wrap it in a lambda that gives it what it takes"
    )


def _of_condition(function: Callable[..., Any], args: tuple[Any, ...], error: Exception) -> ValueError | None:
    """What to say where codes came without the condition that is missing, or with one that is not taken or misread."""
    said = str(error) if isinstance(error, TypeError) else ""
    missing = re.search(r"missing 1 required positional argument: '(\w+)'", said)
    if missing is not None and len(args) == 1:
        return ValueError(
            f"expected the {missing[1]} of each code along with it, as {_name(function)} takes them, got codes alone; pass "
            "condition= with one row for each datum"
        )
    if "positional argument" in said and " were given" in said and len(args) == 2:
        return ValueError(
            f"expected no condition for {_name(function)}, which takes codes alone, got one; leave condition out"
        )
    if isinstance(error, _MISREAD):
        kinds = " and ".join(f"a dict of {[*arg]}" if isinstance(arg, Mapping) else "a tensor" for arg in args[1:])
        return ValueError(
            f"expected {_name(function)} to take codes and a condition, {kinds}, got {type(error).__name__}: "
            f"{_first_line(error)}; pass the condition in the form that it reads"
        )
    return None


def _lengths(message: str, tried_length: int) -> int | None:
    """Length of a code that a network wants, where what torch says of another one holds it."""
    for pattern in (
        r"\(\d+x(?P<got>\d+) and (?P<wanted>\d+)x\d+\)",
        r"to have (?P<wanted>\d+) channels, but got (?P<got>\d+) ",
    ):
        found = re.search(pattern, message)
        if found is not None and int(found["got"]) == tried_length:
            return int(found["wanted"])
    return None


def _takes(function: Callable[[Any], Any], z: Tensor) -> bool:
    """Whether a call on these codes gives as many rows; nothing of it is left."""
    writes = _Writes()
    try:
        with writes, torch.no_grad():
            result = function(z)
    except (*_UNFIT, ValueError):
        return False
    finally:
        writes.undo(None)
    return isinstance(result, Tensor) and result.ndim > 0 and len(result) == len(z)


def _written(operation: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    for place, argument in enumerate(operation._schema.arguments):
        marked = argument.alias_info is not None and argument.alias_info.is_write
        if marked or argument.name in _STATISTICS:
            yield from _tensors(args[place] if place < len(args) else kwargs.get(argument.name))


def _tensors(tree: Any) -> list[Tensor]:
    """Tensors of a nest of them that lie in a storage of their own."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.layout is torch.strided]


def _numbers(tree: Any) -> set[int]:
    """Numbers of the storages of all tensors in a nest of them."""
    return {_number(tensor) for tensor in _tensors(tree)}


def _number(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _bytes(storage: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def _name(function: Any) -> str:
    function = getattr(function, "__wrapped__", function)
    return str(getattr(function, "__qualname__", None) or type(function).__name__)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]
