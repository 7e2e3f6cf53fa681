"""Protocols: the least that Latentry needs of a user's generator, prior and model.

A **generator** is any differentiable callable that maps codes `(n, d)` to data `(n, *data_shape)`, each row on its own:
a module, a bound method, a lambda. A conditional one takes a condition too, one row for each code. A **feature extractor**
is any callable from data to features `(n, k)`. A **prior** is anything with codes to draw (`Prior`). What else it may have
is one of the three protocols below that; `latentry.priors.as_prior` makes a full prior of it
(`latentry.priors.description`).

**Random numbers.** A function that draws takes `rng`, a `torch.Generator`. `None` means torch's default generator, in all
functions alike: two calls then draw different numbers, and `torch.manual_seed` repeats them. No function seeds or resets
the default generator.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.numerics.univariate import UnivariateDistribution

__all__ = [
    "FeatureExtractor",
    "Generator",
    "IndependentPrior",
    "LabelledPrior",
    "LatentModel",
    "Prior",
    "PushforwardPrior",
]


@runtime_checkable
class Generator(Protocol):
    """Any callable z -> x, or (z, condition) -> x."""

    def __call__(self, z: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Data `(n, *data_shape)` for codes `(n, d)`; row i depends on code i alone, and on row i of a condition."""


@runtime_checkable
class LatentModel(Protocol):
    """A trained model of any paper: codes of a prior, and a generator that makes data of them.

    A model with an encoder has `encode(x)` too. It gives the posterior q(z | x), a `torch.distributions` distribution with
    `mean`, `sample(rng=...)` and `rsample(rng=...)`. `labels` names the classes that codes know of and `features` the
    features that are placed in them; both are empty where there are none.

    Example:
        >>> import latentry as lt
        >>> model = lt.load_model("digits-generator")
        >>> isinstance(model, LatentModel), model.generator(model.prior.sample(2)).shape
        (True, torch.Size([2, 1, 28, 28]))
    """

    @property
    def generator(self) -> Any:
        """Codes `(n, d)` to data `(n, *data_shape)`."""

    @property
    def prior(self) -> Any:
        """Distribution p(z) of the codes."""


@runtime_checkable
class FeatureExtractor(Protocol):
    """Any callable x -> features."""

    def __call__(self, x: Any, /) -> Any:
        """Features `(n, k)` for data `(n, *data_shape)`."""


@runtime_checkable
class Prior(Protocol):
    """p(z) of any kind: what recovery without a regularizer needs."""

    latent_dim: int

    def sample(self, shape: Any = ..., y: Int[Tensor, "..."] | None = None, *, rng: torch.Generator | None = None) -> Any:
        """Codes `(*shape, d)`."""


@runtime_checkable
class IndependentPrior(Prior, Protocol):
    """p(z) with independent coordinates of one distribution, as regularizers and goodness of fit need it."""

    @property
    def marginal(self) -> UnivariateDistribution:
        """The distribution of one coordinate."""

    def log_prob(self, z: Any, y: Int[Tensor, "..."] | None = None) -> Any:
        """log p(z), `(n,)` for codes `(n, d)`."""


@runtime_checkable
class PushforwardPrior(Prior, Protocol):
    """p(z) that a differentiable bijection carries to N(0, I), whatever the dependence of its own coordinates.

    In normal coordinates it is a prior with independent coordinates of one distribution; regularizers and goodness of fit
    look at codes there. Radial priors are of this kind.
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
