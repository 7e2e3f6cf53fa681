"""Adapters: a user's prior with the methods that every prior of Latentry has (`latentry.priors.description`).

Distributions of `torch.distributions` and zuko are priors too (`latentry.priors.distribution_priors`). A function that takes
a prior takes all of these: its argument `prior` becomes a full one at the boundary (`numerics.inputs`).
"""

from typing import Any

import torch
from torch import Tensor

from latentry.interfaces import Prior
from latentry.numerics.inputs import adapted_by
from latentry.priors.description import KnownBySamples, WithIndependentCoordinates, WithLabels, WithNormalCoordinates
from latentry.priors.distribution_priors import is_lazy, of_distribution, of_lazy

__all__ = ["as_prior", "draw"]

_METHODS = (
    "latent_dim",
    "marginal",
    "log_prob",
    "sample_labels",
    *(name for name in vars(KnownBySamples) if not name.startswith("_") and name != "sample"),
)
"""What a user's prior may implement itself."""


class _Adapted(KnownBySamples):
    """A user's prior: its own methods where it has them, those of `KnownBySamples` else."""

    def __init__(self, prior: Any) -> None:
        self.original = prior
        for name in _METHODS:
            if hasattr(prior, name):
                setattr(self, name, getattr(prior, name))
        self.one_distribution = self.one_distribution or hasattr(prior, "univariate")

    def sample(self, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*shape, d)`, of these labels where there are some."""
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        return draw(self.original, size, rng) if y is None else self.original.sample(size, y, rng=rng)

    def __call__(self, *args: Any) -> Any:
        return self.original(*args)


class _WithMarginal(WithIndependentCoordinates, _Adapted):
    """A user's prior with a `marginal`."""


class _WithNormalMap(WithNormalCoordinates, _Adapted):
    """A user's prior with normal coordinates."""


class _Labelled(WithLabels, _Adapted):
    """A user's labelled prior."""


def as_prior(prior: Any) -> Any:
    """A prior with all methods that Latentry calls: one of Latentry as it is, or a user's in an adapter.

    A distribution of `torch.distributions` has the event shape (d,), or the batch shape (d,) where it is univariate; events
    of more axes are flattened. Of zuko's, flows that were not called yet are taken as they are now. What they can do is said
    in `latentry.priors.distribution_priors`.

    A user's prior has `latent_dim` and `sample`, and possibly `log_prob`; a `marginal`, if its coordinates are
    independent draws of one distribution; `to_normal` and `from_normal`, if a bijection carries it to N(0, I); or
    `sample_labels`, if it is labelled (`latentry.interfaces`). Methods of its own come first.

    Raises:
        ValueError: It has no `latent_dim` or no `sample`; or it is a distribution that is discrete, a batch of
            distributions, or conditional.

    Example:
        >>> import torch
        >>> as_prior(torch.distributions.Uniform(torch.zeros(3), torch.ones(3)))
        Uniform(latent_dim=3, low=0.0, high=1.0)
        >>> class Shifted:
        ...     latent_dim = 2
        ...     def sample(self, shape=(), y=None, *, rng=None):
        ...         return 5 + torch.randn(*shape, 2, generator=rng)
        >>> as_prior(Shifted()).location_scale(torch.empty(0)).centre.round()
        tensor([5., 5.])
    """
    if isinstance(prior, KnownBySamples):
        return prior
    if isinstance(prior, torch.distributions.Distribution):
        return of_distribution(prior)
    if is_lazy(prior):
        return of_lazy(prior)
    if isinstance(prior, type) or not isinstance(prior, Prior):
        if isinstance(getattr(prior, "prior", None), Prior):
            raise ValueError(f"expected a prior, got {type(prior).__name__}, which holds one; pass its .prior")
        raise ValueError(
            f"expected a prior, got {prior.__name__ if isinstance(prior, type) else type(prior).__name__}; take one of "
            "latentry.priors, such as Normal(d), a distribution of torch.distributions, or give yours "
            "latent_dim and sample(shape, rng=None), where shape is a tuple such as (n,), rng a torch.Generator or None, "
            "and codes come as (*shape, latent_dim)"
        )
    if hasattr(prior, "marginal"):
        return _WithMarginal(prior)
    if hasattr(prior, "to_normal"):
        return _WithNormalMap(prior)
    return _Labelled(prior) if hasattr(prior, "sample_labels") else _Adapted(prior)


adapted_by(Prior, as_prior)


def draw(prior: Prior, shape: tuple[int, ...], rng: torch.Generator | None = None) -> Tensor:
    """Codes `(*shape, d)` of any prior. It is always called as `sample(shape, rng=rng)`, with a tuple.

    Args:
        prior: One of Latentry or a user's.
        shape: How many codes, along how many axes.
        rng: Source of them, on the prior's device.

    Raises:
        ValueError: A user's prior fails, or gives something else than codes of this shape.

    Example:
        >>> from latentry.priors import Normal
        >>> draw(Normal(3), (2, 4)).shape
        torch.Size([2, 4, 3])
    """
    size, name = (*shape, prior.latent_dim), type(prior).__name__
    expected = f"expected sample(shape, rng=rng) of the prior {name} to give a tensor of shape {size} for shape={shape}"
    try:
        z = prior.sample(shape, rng=rng)
    except (TypeError, AttributeError, IndexError, NotImplementedError) as error:  # mistakes of whoever wrote it
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{expected}, got {type(error).__name__}: {reason}; shape is always a tuple of integers") from error
    if not isinstance(z, Tensor) or z.shape != size:
        got = f"shape {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"{expected}, got {got}; shape is always a tuple of integers")
    return z
