"""The user's own networks in place of the default ones: tried before the training, and copied, not changed."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TRIAL", "chosen_network", "own_identity", "own_network"]

TRIAL = 2
"""Rows that a network is tried on."""


def own_network(network: nn.Module, name: str, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> nn.Module:
    """A copy of a network, in train mode, after a trial: it must take the inputs of the default network and return outputs
    of the same shape.

    Args:
        network: Any module.
        name: What it is called in messages.
        inputs: What it is tried on, `TRIAL` rows each.
        shape: What it has to give of each row; () for one number.

    Raises:
        ValueError: It is no module, fails on the inputs, or gives something of another shape.

    Example:
        >>> import torch
        >>> own_network(torch.nn.Linear(3, 5), "generator", [torch.zeros(2, 3)], (4,))
        Traceback (most recent call last):
        ...
        ValueError: expected the generator to give (2, 4) for inputs (2, 3), got (2, 5); change its last layer
    """
    if not isinstance(network, nn.Module):
        raise ValueError(f"expected the {name} as a torch.nn.Module, got {type(network).__name__}; wrap it in one")
    own = copy.deepcopy(network).eval()  # batches of two say nothing to batch normalisation
    weight = next(own.parameters(), None)
    if weight is None:
        raise ValueError(f"expected a {name} with parameters to train, got none in {type(network).__name__}")
    came = ", ".join(str(tuple(each.shape)) for each in inputs)
    try:
        with torch.no_grad():
            given: Any = own(*(each.to(weight.device) for each in inputs))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"expected a {name} that takes inputs {came}, got one that fails on them: {reason}; change its first layer"
        ) from error
    found = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
    if found != (wanted := (len(inputs[0]), *shape)):
        raise ValueError(f"expected the {name} to give {wanted} for inputs {came}, got {found}; change its last layer")
    return own.train()


def chosen_network(
    own: nn.Module | None, default: Callable[[], nn.Module], name: str, inputs: Sequence[Tensor], shape: tuple[int, ...]
) -> nn.Module:
    """The user's network as `own_network` returns it, or else the default one, which is built only then."""
    return default() if own is None else own_network(own, name, inputs, shape)


def own_identity(**networks: nn.Module | None) -> dict[str, str]:
    """By what a resumed run recognises the user's own networks: how they are built; default networks are left out."""
    return {name: repr(network) for name, network in networks.items() if network is not None}
