"""Which modules a callable uses: found by the garbage collector and the globals that its code names.

`gc.get_referents` lists what any object refers to: attributes and slots, items of containers, the parts of bound methods,
of `functools.partial`, of caches and of suspended generators. For two kinds of objects this is too much. A function refers
to all globals of its module, so only those are followed whose names occur in its code. A class refers to its bases, so only
its own functions and attributes and those of its bases are followed, but not those of classes of libraries.
"""

import builtins
import gc
import sys
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Set
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

__all__ = ["module_of", "modules_behind", "weights_like"]

_LIBRARIES = sys.stdlib_module_names | {"beartype", "jaxtyping", "latentry", "numpy", "scipy", "sklearn", "torch"}
"""Packages whose globals hold no network of a user's."""
_TOOLS = {"beartype", "importlib", "inspect", "jaxtyping", "logging", "typing"}
"""Packages whose objects know much and call no network: what a function of theirs wraps is followed, but nothing else."""
_MOST_OBJECTS = 100_000
"""Objects that are looked at; nearer ones come first."""
_LEAVES = (Tensor, np.ndarray, CodeType, BuiltinFunctionType, str, bytes, bytearray, int, float, complex, type(None))
"""What refers to no module, or to nothing of interest."""
_CONTAINERS = {dict, OrderedDict, list, tuple, set, frozenset}
"""Refer to nothing where they are empty, as most of the many hooks of a module are."""


def module_of(function: Any) -> nn.Module | None:
    """The module that a callable *is*: itself, or the owner of a bound method; None for any other.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> module_of(layer.forward) is layer, module_of(len)
        (True, None)
    """
    owner = getattr(function, "__self__", function)
    return owner if isinstance(owner, nn.Module) else None


def modules_behind(*callables: Any) -> list[nn.Module]:
    """Every module that these callables may call, submodules included, the nearest first.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> modules_behind(nn.Sequential(layer).forward)[-1] is layer
        True
    """
    waiting = deque(callables)
    seen: dict[int, Any] = {}  # also keeps what is seen alive, so that no number is given twice
    found: dict[int, nn.Module] = {}
    while waiting and len(seen) < _MOST_OBJECTS:
        thing = waiting.popleft()
        if type(thing) in _CONTAINERS and not thing:
            continue
        if id(thing) in seen or issubclass(type(thing), _LEAVES):  # isinstance would ask a proxy for its class
            continue
        seen[id(thing)] = thing
        if issubclass(type(thing), nn.Module) and id(thing) not in found:
            found.update((id(part), part) for part in thing.modules())
        waiting.extend(_referents(thing))
    return list(found.values())


def weights_like(function: Any, default: Tensor) -> Tensor:
    """A weight of a module, or of those behind a callable where all agree, whose dtype and device its input needs; else
    `default`.

    Example:
        >>> import torch
        >>> weights_like(nn.Linear(2, 3).double(), torch.zeros(1)).dtype, weights_like(len, torch.zeros(1)).dtype
        (torch.float64, torch.float32)
    """
    module = module_of(function)
    modules = [module] if module is not None else modules_behind(function)
    weights = [weight.detach() for part in modules for weight in part.parameters() if weight.is_floating_point()]
    agree = module is not None or len({(weight.dtype, weight.device) for weight in weights}) == 1
    return weights[0] if weights and agree else default


def _referents(thing: Any) -> Iterable[Any]:
    if isinstance(thing, FunctionType):
        return [*gc.get_referents(*(thing.__closure__ or ())), thing.__defaults__, thing.__kwdefaults__, *_extras(thing)]
    if issubclass(type(thing), type):
        return _class_parts(thing)
    if isinstance(thing, ModuleType):
        return ()  # functions name what they take from it
    if isinstance(thing, weakref.ref):
        return (thing(),)
    if _is_of(_TOOLS, type(thing).__module__):
        return ()
    return gc.get_referents(thing)


def _extras(function: FunctionType) -> Iterator[Any]:
    """Attributes of a function, such as what it wraps, and the globals that its code names."""
    yield from vars(function).values()
    home = function.__globals__
    if _is_of(_LIBRARIES, home.get("__name__")):
        return
    names = _names(function.__code__)
    spaces: list[Mapping[str, Any]] = [home, sys.modules, vars(builtins)]
    for space in spaces:  # grows by each module that is named, once
        for value in [space[name] for name in names if name in space]:
            if not isinstance(value, ModuleType):
                yield value
            elif not _is_of(_LIBRARIES, value.__name__) and not any(vars(value) is known for known in spaces):
                spaces.append(vars(value))


def _names(code: CodeType) -> set[str]:
    """Names of globals and attributes in a code and in those within it; strings too, since `getattr` takes them."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    strings = {constant for constant in code.co_consts if isinstance(constant, str)}
    return strings.union(code.co_names, *map(_names, inner))


def _class_parts(kind: type) -> Iterator[Any]:
    for base in kind.__mro__:
        if not _is_of(_LIBRARIES, base.__module__):
            yield from vars(base).values()


def _is_of(packages: Set[str], name: Any) -> bool:
    return isinstance(name, str) and name.partition(".")[0] in packages
