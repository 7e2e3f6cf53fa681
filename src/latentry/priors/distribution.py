"""The distribution that a prior returns, with the names of `torch.distributions` and functions of each coordinate.

Functions of codes take any floating type (`numerics.inputs`); NaN comes out where NaN went in.
"""

import copy
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from latentry.numerics.edges import quantile_within
from latentry.numerics.inputs import checked
from latentry.numerics.univariate import UnivariateDistribution

__all__ = [
    "CodeDistribution",
    "IIDDistribution",
    "SampledDistribution",
    "at_least_single",
    "checked_codes",
    "sampled_shape",
]


@runtime_checkable
class SampledDistribution(UnivariateDistribution, Protocol):
    """A marginal that also has a density, tails in the log domain and a sampler."""

    @property
    def support(self) -> tuple[float, float]:
        """Ends of the support, possibly infinite."""

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""

    def log_prob(self, value: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """Log density, -inf outside the support."""

    def draw(self, shape: tuple[int, ...], rng: torch.Generator | None, like: Tensor) -> Tensor:
        """Independent draws in the dtype and on the device of `like`."""


class CodeDistribution(Distribution):
    """What distributions of whole codes share: how they are sampled and expanded."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, latent_dim: int, like: Tensor, batch_shape: Sequence[int] = ()) -> None:
        self._like = like
        super().__init__(torch.Size(batch_shape), torch.Size([latent_dim]), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a batch of codes of this shape."""
        torch.broadcast_shapes(self.batch_shape, batch_shape)
        expanded = copy.copy(self)
        expanded._batch_shape = torch.Size(batch_shape)
        return expanded

    @checked(differentiable=True)
    def sample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, *batch, d)` without a gradient; `rng` makes them reproducible."""
        with torch.no_grad():
            return self._draw((*sampled_shape(sample_shape), *self.batch_shape), rng)

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        """Codes `(*shape, d)`."""
        raise NotImplementedError

    def _constant(self, value: int | float | Tensor, *, of_codes: bool = True) -> Tensor:
        """A number for every coordinate of every code, or for every code."""
        shape = self._extended_shape() if of_codes else self.batch_shape
        return torch.as_tensor(value, dtype=self._like.dtype, device=self._like.device).expand(shape).clone()

    def _of_codes(self, value: Any, function: Callable[[Tensor], Tensor]) -> Tensor:
        """A function of whole codes, for all of the batch."""
        found = function(checked_codes(value, self.event_shape))
        return found.expand(torch.broadcast_shapes(found.shape, self.batch_shape))


class IIDDistribution(CodeDistribution):
    """p(z) with `latent_dim` independent coordinates of one marginal.

    `log_prob` is of whole codes, `(..., d)` to `(...)`. `cdf`, `icdf`, `log_cdf` and `log_sf` act per coordinate, `(..., d)`
    to `(..., d)`, and are defined outside the support too; `icdf` outside [0, 1] is NaN.

    Example:
        >>> from latentry.priors.univariate import UniformDistribution
        >>> p = IIDDistribution(UniformDistribution(0.0, 2.0), latent_dim=3, like=torch.empty(0))
        >>> p.mean, p.log_prob(torch.ones(3)).exp()
        (tensor([1., 1., 1.]), tensor(0.1250))
    """

    has_rsample = True

    def __init__(
        self, marginal: SampledDistribution, latent_dim: int, like: Tensor, batch_shape: Sequence[int] = ()
    ) -> None:
        self.marginal = marginal
        super().__init__(latent_dim, like, batch_shape)

    @property
    def support(self) -> constraints.Constraint:
        low, high = self.marginal.support
        if low == -torch.inf and high == torch.inf:
            return constraints.real_vector
        return constraints.independent(constraints.interval(low, high), 1)

    @property
    def mean(self) -> Tensor:
        return self._constant(self.marginal.mean)

    @property
    def variance(self) -> Tensor:
        return self._constant(self.marginal.variance)

    def entropy(self) -> Tensor:
        """Entropy of a whole code, in nats."""
        return self._constant(self.event_shape[0] * self.marginal.entropy, of_codes=False)

    @checked(differentiable=True)
    def rsample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, *batch, d)`; `rng` makes them reproducible."""
        return self._draw((*sampled_shape(sample_shape), *self.batch_shape), rng)

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "..."]:
        return self._of_codes(value, lambda z: self.marginal.log_prob(z).sum(-1))

    @checked(differentiable=True, any_value=("value",))
    def cdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.marginal.cdf(checked_codes(value, self.event_shape))

    @checked(differentiable=True, any_value=("value",))
    def icdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        u = checked_codes(value, self.event_shape)
        return quantile_within(*self.marginal.support, u, self.marginal.icdf(u))

    @checked(differentiable=True, any_value=("value",))
    def log_cdf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.marginal.log_cdf(checked_codes(value, self.event_shape))

    @checked(differentiable=True, any_value=("value",))
    def log_sf(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.marginal.log_sf(checked_codes(value, self.event_shape))

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        like = at_least_single(self._like)
        codes = self.marginal.draw((*shape, *self.event_shape), rng, like)
        if like.dtype == self._like.dtype:
            return codes
        low, high = torch.tensor(self.marginal.support, dtype=like.dtype, device=like.device)
        low_half, high_half = low.to(self._like.dtype), high.to(self._like.dtype)
        # ends that rounding moved out of the support, one step back into it
        low_half = torch.where(low_half < low, torch.nextafter(low_half, torch.full_like(low_half, math.inf)), low_half)
        high_half = torch.where(
            high_half > high, torch.nextafter(high_half, torch.full_like(high_half, -math.inf)), high_half
        )
        return codes.to(self._like.dtype).clamp(low_half, high_half)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.marginal}, latent_dim={self.event_shape[0]})"


def sampled_shape(sample_shape: Any) -> tuple[int, ...]:
    """A sample shape as a tuple; a whole number is one axis.

    Raises:
        ValueError: It is neither a whole number nor a sequence of them, or one is below 0.

    Example:
        >>> sampled_shape(3), sampled_shape((2, 5))
        ((3,), (2, 5))
    """
    one = isinstance(sample_shape, str) or not isinstance(sample_shape, Sequence)
    axes: tuple[Any, ...] = (sample_shape,) if one else tuple(sample_shape)
    try:
        sizes = tuple(operator.index(size) for size in axes)
    except TypeError:
        sizes = (-1,)
    if isinstance(sample_shape, bool) or any(size < 0 for size in sizes):
        raise ValueError(f"expected a sample shape of whole numbers >= 0, got {sample_shape!r}; pass (n,) or n")
    return sizes


def at_least_single(like: Tensor) -> Tensor:
    """A tensor of the dtype in which numbers like this one are drawn: single precision for half.

    Example:
        >>> at_least_single(torch.zeros(1, dtype=torch.float16)).dtype
        torch.float32
    """
    return like if like.dtype.itemsize > 2 else like.float()


def checked_codes(value: Any, event_shape: torch.Size) -> Tensor:
    """The codes themselves, if they are as long as the prior's and of a floating type.

    Raises:
        ValueError: They are not.

    Example:
        >>> checked_codes(torch.zeros(3, 2), torch.Size([2])).shape
        torch.Size([3, 2])
    """
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"expected codes as a tensor of a floating type, got {got}; convert them with .float()")
    if value.shape[-1:] != event_shape:
        raise ValueError(
            f"expected codes of shape (..., {event_shape[0]}), got {tuple(value.shape)}; check the prior's latent_dim"
        )
    return value
