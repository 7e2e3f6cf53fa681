"""What Latentry asks of what it did not make: the least that will do.

A **generator** is any differentiable callable that maps codes `(n, d)` to data `(n, *data_shape)`, each row on its own:
a module, a bound method, a lambda. A **feature extractor** is any callable from data to features `(n, k)`. A **prior** is
what `latentry.priors` makes; the protocol below says which of its promises the other floors rely on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.numerics.law import Law

__all__ = [
    "FeatureExtractor",
    "Generator",
    "LabelledPrior",
    "Prior",
    "PushforwardPrior",
    "SampledPrior",
    "check_generator",
    "evaluated",
    "module_of",
]


@runtime_checkable
class Generator(Protocol):
    """Any callable z -> x."""

    def __call__(self, z: Any, /) -> Any:
        """Data `(n, *data_shape)` for codes `(n, d)`; row i depends on code i alone."""


@runtime_checkable
class FeatureExtractor(Protocol):
    """Any callable x -> features."""

    def __call__(self, x: Any, /) -> Any:
        """Features `(n, k)` for data `(n, *data_shape)`."""


@runtime_checkable
class SampledPrior(Protocol):
    """p(z) of any kind: what recovery without a regularizer needs."""

    latent_dim: int

    def sample(self, shape: Any = ..., y: Int[Tensor, "..."] | None = None, *, rng: torch.Generator | None = None) -> Any:
        """Codes `(*shape, d)`."""


@runtime_checkable
class Prior(SampledPrior, Protocol):
    """p(z) with independent coordinates of one law, as regularizers and goodness of fit need it."""

    @property
    def law(self) -> Law:
        """The law of one coordinate."""

    def log_prob(self, z: Any, y: Int[Tensor, "..."] | None = None) -> Any:
        """log p(z), `(n,)` for codes `(n, d)`."""


@runtime_checkable
class PushforwardPrior(SampledPrior, Protocol):
    """p(z) that a differentiable bijection carries to N(0, I), whatever the dependence of its own coordinates.

    In normal coordinates it is a prior with independent coordinates of one law; regularizers and goodness of fit look at
    codes there. Radial priors are of this kind.
    """

    def to_normal(self, z: Any) -> Any:
        """Normal coordinates `(n, d)` of codes `(n, d)`, with a gradient."""

    def from_normal(self, e: Any) -> Any:
        """Codes with these normal coordinates, with a gradient."""

    def log_prob(self, z: Any, y: Int[Tensor, "..."] | None = None) -> Any:
        """log p(z), `(n,)` for codes `(n, d)`."""


@runtime_checkable
class LabelledPrior(Protocol):
    """p(z) = sum_y p(y) p(z | y) whose coordinates are independent given the label, as goodness of fit needs it.

    Then u_j = F_j(z_j | y) are independent and uniform where (z, y) is from the prior. A code whose label is not known gets
    one from p(y | z): for z from the prior, the pair (z, y) is then from the prior too, so that every test keeps its level.
    The likeliest label would not do.
    """

    latent_dim: int

    def __call__(self, y: Int[Tensor, "n"]) -> Any:
        """p(z | y), a `torch.distributions.Distribution` of batch shape `(n,)`, whose `cdf`, `log_cdf` and `log_sf` map
        `(n, d)` to `(n, d)`, and whose `mean` and `variance` are `(n, d)`; interpolation needs `icdf` too, all for
        `(t, n, d)` as well."""

    def sample_labels(self, z: Float[Tensor, "n d"], *, rng: torch.Generator | None = None) -> Int[Tensor, "n"]:
        """Labels drawn from p(y | z)."""


def module_of(generator: Generator) -> nn.Module | None:
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


def check_generator(generator: Generator, z: Float[Tensor, "n d"]) -> None:
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
