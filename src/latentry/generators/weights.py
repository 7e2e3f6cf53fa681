"""Weights beside a class: `file.py:Class@weights.safetensors`, or a state dict that torch reads without unpickling.

Nothing is unpickled: files of `torch.save` are read by `torch.load(weights_only=True)`, which knows tensors, numbers and
plain containers.
"""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentry.generators.found import Found, first_line
from latentry.paths import user_path
from latentry.storage import read_tensors

__all__ = ["read_state_dict", "state_dict_in", "with_weights"]

_SHOWN = 4


def with_weights(found: Found, text: str, source: str) -> Found:
    """The module that was found, with the weights of a file in it.

    Raises:
        ValueError: It is no module, or the weights are not those of it.
    """
    path = user_path(text)
    module = found.function
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"expected a module to put the weights of {path} into, got {type(module).__name__} from {source}; name a class, "
            "or a function that makes a module"
        )
    weights = _fitted(read_state_dict(path), module)
    _load(module, weights, path)
    return replace(found, files=(*found.files, path.resolve()), parts=(*found.parts, "@", path.resolve()))


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a state dict of `torch.save`, by name; nothing is unpickled.

    Raises:
        ValueError: The file is missing or broken, holds more than tensors, or several state dicts.
    """
    if not path.is_file():
        raise ValueError(f"expected weights at {path}, found none; check its name")
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of storages of old files
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(
            f"expected a state dict in {path}, got a file that torch.load(weights_only=True) refuses: it is broken, or a "
            f"pickle that can run code; if you trust it, `latentry convert {path} --allow_pickle "
            f"--out {path.with_suffix('.safetensors')}` takes its weights out"
        ) from None
    return state_dict_in(content, path)


def state_dict_in(content: Any, path: Path, key: str | None = None) -> dict[str, Tensor]:
    """The state dict in what a file holds: itself, or the only one within it, or that under a key.

    Raises:
        ValueError: There is none, or there are several and none is named.
    """
    if isinstance(content, nn.Module):
        content = dict(content.state_dict())
    if not isinstance(content, Mapping):
        raise ValueError(f"expected a state dict in {path}, got {type(content).__name__}; save module.state_dict()")
    inner = {str(name): value for name, value in content.items() if isinstance(value, nn.Module) or _is_state_dict(value)}
    if key is not None:
        if key not in inner:
            raise ValueError(
                f"expected weights named {key!r} in {path}, got {', '.join(inner) or 'none by names'}; choose one"
            )
        return state_dict_in(inner[key], path)
    if _is_state_dict(content):
        return dict(content)
    if len(inner) == 1:
        return state_dict_in(next(iter(inner.values())), path)
    if inner:
        raise ValueError(
            f"expected one state dict in {path}, got {', '.join(inner)}; take one out: "
            f"`latentry convert {path} --key {next(iter(inner))} --out {path.with_suffix('.safetensors')}`"
        )
    raise ValueError(
        f"expected a state dict in {path}, got {', '.join(map(str, content)) or 'nothing'}; save module.state_dict()"
    )


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(one, Tensor) for one in value.values())


def _fitted(weights: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Without the prefix that `DataParallel` and `torch.compile` give to all names, where the module has none like it."""
    for prefix in ("module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in weights) and not any(
            name.startswith(prefix) for name in module.state_dict()
        ):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _load(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    known = module.state_dict()
    missing, more = [name for name in known if name not in weights], [name for name in weights if name not in known]
    if missing or more:
        parts = [f"without {_few(missing)}" if missing else "", f"with {_few(more)} besides" if more else ""]
        raise ValueError(
            f"expected the weights of {type(module).__name__} in {path}, got others: {', '.join(filter(None, parts))}; "
            "name the class that they are of"
        )
    for name, value in known.items():
        if value.shape != weights[name].shape:
            raise ValueError(
                f"expected {name} of shape {tuple(value.shape)} for {type(module).__name__}, got "
                f"{tuple(weights[name].shape)} in {path}; make the module with the sizes that it was trained with"
            )
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"expected the weights of {type(module).__name__} in {path}, got {first_line(error)}") from None
    if spoilt := next((name for name, w in weights.items() if w.is_floating_point() and not w.isfinite().all()), None):
        raise ValueError(f"expected finite weights in {path}, got NaN or infinity in {spoilt}; save them again")


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
