"""Posteriors q(z | x) of encoders: a diagonal normal distribution, or a point."""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import constraints

from latentry.numerics.inputs import checked
from latentry.priors import DiagonalNormal
from latentry.priors.distribution import CodeDistribution, checked_codes, sampled_shape

__all__ = ["Delta", "Posterior", "joined", "normal_posterior", "parameters", "selected", "standard_normal"]

_WIDEST = 10.0
"""Log variances are kept within so much of 0."""


class Delta(CodeDistribution):
    """All mass on one code, `(*batch, d)`: the posterior of an encoder that gives codes.

    It has no density, so that its divergence from a distribution with one is infinite; a loss takes `log_prob` of the code
    under that distribution instead. `log_prob` here is 0 at the code and -inf elsewhere, as in Pyro's `Delta`.

    Example:
        >>> import torch
        >>> from latentry.models.posteriors import Delta
        >>> q = Delta(torch.tensor([[1.0, 2.0]]))
        >>> torch.equal(q.sample(), q.mean)
        True
    """

    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Float[Tensor, "*b d"]) -> None:
        self.loc = loc
        super().__init__(loc.shape[-1], loc, loc.shape[:-1])

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> "Delta":
        """The same distribution for a batch of codes of this shape."""
        return Delta(self.loc.expand(*batch_shape, *self.event_shape))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.loc)

    @checked(differentiable=True)
    def rsample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """The codes `(*sample_shape, *batch, d)`; nothing is drawn."""
        return self._draw((*sampled_shape(sample_shape), *self.batch_shape), rng)

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Tensor:
        here = (checked_codes(value, self.event_shape) == self.loc).all(-1)
        return torch.where(here, 0.0, -math.inf).to(self.loc)

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        return self.loc.expand(*shape, *self.event_shape)


Posterior = DiagonalNormal | Delta
"""q(z | x)."""
OnePosterior = TypeVar("OnePosterior", bound=DiagonalNormal | Delta)


def normal_posterior(outputs: Float[Tensor, "n k"], least_deviation: float = 0.0) -> DiagonalNormal:
    """The posterior of an encoder that gives means and log variances side by side.

    Args:
        outputs: Means `(n, d)` and log variances `(n, d)` in one tensor `(n, 2 d)`.
        least_deviation: Standard deviations below this are raised to it.

    Raises:
        ValueError: The outputs are no rows.

    Example:
        >>> import torch
        >>> from latentry.models.posteriors import normal_posterior
        >>> q = normal_posterior(torch.tensor([[1.0, 2.0, 0.0, 0.0]]))
        >>> q.mean, q.stddev
        (tensor([[1., 2.]]), tensor([[1., 1.]]))
    """
    if outputs.ndim != 2:
        raise ValueError(f"expected rows (n, 2 d) of means and log variances, got {tuple(outputs.shape)}; give data n rows")
    mean, log_variance = outputs.chunk(2, 1)
    least = 2 * math.log(least_deviation) if least_deviation else -_WIDEST
    return DiagonalNormal(mean, (0.5 * log_variance.clamp(least, _WIDEST)).exp())


def standard_normal(q: DiagonalNormal) -> DiagonalNormal:
    """N(0, I) for codes of the same length, dtype and device."""
    return DiagonalNormal(torch.zeros_like(q.loc), torch.ones_like(q.loc))


def parameters(q: Posterior) -> tuple[Tensor, ...]:
    """The tensors that a posterior is made of."""
    return (q.loc, q.scale) if isinstance(q, DiagonalNormal) else (q.loc,)


def selected(q: OnePosterior, rows: Tensor) -> OnePosterior:
    """The posteriors of some of the data."""
    return type(q)(*(values[rows] for values in parameters(q)))


def joined(parts: Sequence[OnePosterior]) -> OnePosterior:
    """Posteriors of several batches of data as those of one, on the CPU."""
    whole = (torch.cat([values.cpu() for values in part]) for part in zip(*map(parameters, parts), strict=True))
    return type(parts[0])(*whole)
