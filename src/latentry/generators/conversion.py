"""The weights of a pickle, taken out of it into safetensors: once, and only where its owner trusts it."""

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentry.generators.found import first_line
from latentry.generators.weights import state_dict_in
from latentry.storage import write_tensors

__all__ = ["convert_weights"]

_REFUSED = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError)


def convert_weights(path: Path, out: Path, *, allow_pickle: bool = False, key: str | None = None) -> dict[str, Tensor]:
    """Write the state dict in a file of `torch.save`, or in a pickle, as safetensors.

    Args:
        path: A state dict or a module.
        out: Where to.
        allow_pickle: Whether the file may be unpickled, **which runs what code it holds**, where it is more than tensors. A
            pickled module needs its class: that is looked for beside the file and in the present folder.
        key: Which of several state dicts, by name.

    Returns:
        What was written.

    Raises:
        ValueError: There is no such file, it needs to be unpickled and may not be, or holds no weights.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> torch.save({"g": torch.nn.Linear(2, 3).state_dict()}, folder / "net.pt")
        >>> sorted(convert_weights(folder / "net.pt", folder / "net.safetensors"))
        ['bias', 'weight']
    """
    if not path.is_file():
        raise ValueError(f"expected a file to convert at {path}, found none; check its name")
    if out.suffix != ".safetensors":
        raise ValueError(f"expected the name of a .safetensors file to write to, got {out}; name one with --out")
    weights = state_dict_in(_content(path, allow_pickle=allow_pickle), path, key)
    write_tensors(out, weights)
    return weights


def _content(path: Path, *, allow_pickle: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of storages of old files
            return torch.load(path, map_location="cpu", weights_only=True)
    except _REFUSED:
        if not allow_pickle:
            raise ValueError(
                f"expected tensors alone in {path}, got more, which only unpickling reads, and that can run code; if you "
                "trust it, pass --allow_pickle"
            ) from None
    places = [str(path.resolve().parent), str(Path.cwd())]
    sys.path[:0] = places
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return torch.load(path, map_location="cpu", weights_only=False)
            except pickle.UnpicklingError:
                with path.open("rb") as file:
                    return pickle.load(file)
    except Exception as error:  # of whatever the pickle runs
        raise ValueError(
            f"expected a state dict or a module in {path}, got {first_line(error)}; start where its classes can be imported"
        ) from error
    finally:
        for place in places:
            sys.path.remove(place)
