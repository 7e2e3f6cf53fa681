"""Modules held as they are to be looked at, and strangers' callables tried before they are used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["check_generator", "evaluated", "module_of"]


def module_of(generator: Callable[[Any], Any]) -> nn.Module | None:
    """The module behind a generator: itself, or the owner of a bound method; None for a plain function."""
    owner = getattr(generator, "__self__", generator)
    return owner if isinstance(owner, nn.Module) else None


@contextmanager
def evaluated(*callables: Any) -> Iterator[None]:
    """Hold modules in eval mode with frozen parameters; afterwards each submodule has its own mode and flags again.

    What is no module, or None, is passed over.
    """
    owners = [module_of(function) for function in callables if function is not None]
    modules = [module for module in owners if module is not None]
    modes = [(part, part.training) for module in modules for part in module.modules()]
    flags = [(parameter, parameter.requires_grad) for module in modules for parameter in module.parameters()]
    try:
        for module in modules:
            module.eval().requires_grad_(False)
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def check_generator(generator: Callable[[Any], Any], z: Float[Tensor, "n d"]) -> None:
    """Make sure that a generator is a differentiable function of each code alone, on three or more trial codes.

    Raises:
        ValueError: The generator returns no tensor, another number of rows, NaN or infinity, is stochastic, lets rows of a
            batch influence each other, or has no gradient with respect to its codes.
    """
    z = z.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        x = generator(z)
    if not isinstance(x, Tensor):
        raise ValueError(f"expected the generator to return one tensor, got {type(x).__name__}; wrap it in a lambda")
    if x.ndim < 2 or len(x) != len(z):
        raise ValueError(
            f"expected {len(z)} rows for {len(z)} codes, got shape {tuple(x.shape)}; the first axis must be the batch"
        )
    if not x.isfinite().all():
        raise ValueError("expected finite data from the generator, got NaN or infinity on codes of the prior")

    tolerance = 1e-3 * x.detach().abs().max().item() + 1e-12
    with torch.no_grad():
        again = (generator(z) - x).abs().max().item()
        fewer = (generator(z[:-1]) - x[:-1]).abs().max().item()
    if not again <= tolerance:  # NaN too
        raise ValueError(
            f"expected a deterministic generator, got outputs that differ by {again:.3g} for the same codes; "
            "switch off dropout and noise inputs, or fix their noise"
        )
    if not fewer <= tolerance:
        raise ValueError(
            f"expected each row to depend on its own code, got outputs that change by {fewer:.3g} with the batch; "
            "put batch normalisation in eval mode (pass the module itself, or call .eval())"
        )
    # parameters may ask for a gradient where the codes get none
    if not x.requires_grad or torch.autograd.grad(x, z, torch.ones_like(x), allow_unused=True)[0] is None:
        raise ValueError("expected a differentiable generator, got an output without gradient; remove no_grad or detach")
