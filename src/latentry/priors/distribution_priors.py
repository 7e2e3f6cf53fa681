r"""Distributions of `torch.distributions` and zuko as priors of codes.

What a distribution draws is flattened to codes `(n, d)`: an event of shape (d,) as it is, an event (c, h, w) to c h w
numbers, a batch (d,) of univariate distributions as independent coordinates. Normal and uniform ones, and mixtures of normal
ones, become the priors of this package that they are. Others have normal coordinates where `latentry.priors.transports`
knows a way; what is left is known by its samples and its density, and functions that need more say so.
"""

import copy
import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch import distributions as of_torch

from latentry.numerics.inputs import checked
from latentry.priors.description import LEAST_LOG_DENSITY, KnownBySamples, WithNormalCoordinates
from latentry.priors.diagonal_normal import DiagonalNormal
from latentry.priors.distribution import IIDDistribution, checked_codes, sampled_shape
from latentry.priors.iid import IIDPrior, Normal, Uniform
from latentry.priors.labelled import NormalMixture, NormalMixtureDistribution
from latentry.priors.location_scale import LocationScale
from latentry.priors.multivariate_normal import MultivariateNormal
from latentry.priors.normal_mixture import MultivariateNormalMixture
from latentry.priors.pushforward import PushforwardDistribution
from latentry.priors.radial import RadialPrior
from latentry.priors.radial_distribution import RadialDistribution
from latentry.priors.transports import Transport, low_rank_covariance, transport_of

__all__ = ["DistributionPrior", "is_lazy", "of_distribution", "of_lazy"]

_MOMENTS_OF = 4096
_INSIDE = 1e-6
"""How far inside the ends of the support, in units of the scale, a density is taken for codes outside it."""


class DistributionPrior(KnownBySamples):
    """A distribution of another library as a prior: samples, density and what samples can tell.

    Example:
        >>> prior = of_distribution(of_torch.Dirichlet(torch.ones(3)))
        >>> prior.sample((2,)).shape, prior.log_prob(torch.full((1, 3), 1 / 3)).exp().round()
        (torch.Size([2, 3]), tensor([2.]))
    """

    def __init__(self, distribution: of_torch.Distribution, dtype: torch.dtype | None = None) -> None:
        self.original = distribution
        self.code_shape = (*distribution.batch_shape, *distribution.event_shape)
        self.latent_dim = math.prod(self.code_shape)
        like = distribution.sample()
        self.computed_in, self.dtype, self.device = like.dtype, dtype or like.dtype, like.device

    def sample(self, shape: int | Sequence[int] = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*shape, d)`; `rng` makes them reproducible, and torch's own generator is left as it is."""
        size = torch.Size(sampled_shape(shape))
        if size.numel() == 0:
            return torch.empty(*size, self.latent_dim, dtype=self.dtype, device=self.device)
        with torch.no_grad():
            if rng is None:
                found = self.original.sample(size)
            else:
                seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
                with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                    torch.default_generator.manual_seed(seed)
                    if self.device.type == "cuda":
                        torch.cuda.manual_seed(seed)
                    found = self.original.sample(size)
        return found.reshape(*size, self.latent_dim).to(self.dtype)

    @checked(differentiable=True, any_value=("z",))
    def log_prob(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        """log p(z) of whole codes; -inf outside the support."""
        x = self._shaped(z)
        inside = self._supported(x)
        safe = torch.where(inside.view(-1, *[1] * len(self.code_shape)), x, self.original.sample().to(x))
        density = self.original.log_prob(safe)
        density = density.sum(tuple(range(1, density.ndim))) if density.ndim > 1 else density
        density = torch.where(inside, density, -math.inf)
        density = torch.where(x.flatten(1).isnan().any(1), math.nan, density)
        return _bare(density, z).to(z.dtype).view(z.shape[:-1])

    def mean_log_prob(self, z: Tensor) -> Tensor:
        """log p(z) / d; outside the support that of the nearest code inside, less the distance to it in scales."""
        known = self.location_scale(z)
        margin = _INSIDE * known.scale
        nearest = torch.minimum(torch.maximum(z, known.low + margin), known.high - margin)
        density = self.log_prob(nearest).nan_to_num(neginf=LEAST_LOG_DENSITY * self.latent_dim) / self.latent_dim
        return density - ((z - nearest).abs() / known.scale).mean(-1)

    def typical_norm(self) -> float:
        """Median of the norm, which exists where the mean does not."""
        rng = torch.Generator().manual_seed(0)
        return self.sample(_MOMENTS_OF, rng=rng).norm(dim=1).median().item()

    def _shaped(self, z: Tensor) -> Tensor:
        """Codes as the distribution has them, `(n, *shape)`."""
        return (
            checked_codes(z, torch.Size([self.latent_dim])).reshape(-1, *self.code_shape).to(self.device, self._precise(z))
        )

    def _precise(self, z: Tensor) -> torch.dtype:
        return self.computed_in if self._has_weights() else torch.promote_types(z.dtype, torch.float64)

    def _has_weights(self) -> bool:
        """Whether networks compute the distribution, which take one dtype alone."""
        return hasattr(self.original, "transform")

    def _supported(self, x: Tensor) -> Tensor:
        try:
            found: Tensor = self.original.support.check(x)  # type: ignore[union-attr]
        except (NotImplementedError, AttributeError):
            return x.flatten(1).isfinite().all(1)
        return found.flatten(1).all(1) if found.ndim > 1 else found

    def __repr__(self) -> str:
        return f"{type(self.original).__name__} prior of {self.latent_dim} elements"


class TransportedDistributionPrior(WithNormalCoordinates, DistributionPrior):
    """A distribution of another library with a way to N(0, I).

    Example:
        >>> prior = of_distribution(of_torch.Beta(torch.tensor([2.0, 2.0]), torch.tensor([2.0, 5.0])))
        >>> z = torch.tensor([[0.1, 0.2]], dtype=torch.float64)
        >>> torch.allclose(prior.from_normal(prior.to_normal(z)), z, rtol=1e-12)
        True
    """

    def __init__(self, distribution: of_torch.Distribution, transport: Transport, dtype: torch.dtype | None = None) -> None:
        super().__init__(distribution, dtype)
        self.transport = transport

    @checked(differentiable=True, any_value=("z",))
    def to_normal(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Normal coordinates: N(0, I) for codes of the distribution."""
        return _bare(self.transport.to_normal(self._shaped(z)), z).reshape(z.shape).to(z)

    @checked(differentiable=True, any_value=("e",))
    def from_normal(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The codes with these normal coordinates."""
        return _bare(self.transport.from_normal(self._shaped(e)), e).reshape(e.shape).to(e)

    def location_scale(self, like: Tensor) -> LocationScale:
        """Quantiles and ends of each coordinate, exactly where they are independent; else of samples."""
        if not self.transport.coordinatewise:
            return super().location_scale(like)
        scores = torch.tensor([-math.inf, -1.0, 0.0, 1.0, math.inf], dtype=torch.float64)
        places = self.from_normal(scores[:, None].expand(-1, self.latent_dim)).detach()
        below, centre, above = (place.to(like) for place in places[1:4].sort(dim=0).values)
        low, high = (
            torch.where(end.isnan(), infinite, end).to(like)
            for end, infinite in (
                (torch.fmin(places[0], places[-1]), -math.inf),
                (torch.fmax(places[0], places[-1]), math.inf),
            )
        )
        return LocationScale(centre, (above - below) / 2, low, high)


@singledispatch
def of_distribution(distribution: Any) -> Any:
    """The prior of a distribution.

    Raises:
        ValueError: It is discrete, or a batch of distributions of vectors.
    """
    return _general(distribution)


def _general(distribution: Any, dtype: torch.dtype | None = None) -> Any:
    name = type(distribution).__name__
    if getattr(distribution, "batch_shape", ()) and distribution.event_shape:
        raise ValueError(
            f"expected one distribution of codes, got a batch {tuple(distribution.batch_shape)} of {name} with events "
            f"{tuple(distribution.event_shape)}; pass one of them, or torch.distributions.Independent(distribution, "
            f"{len(distribution.batch_shape)}) where they are the parts of one code"
        )
    if not (distribution.batch_shape or distribution.event_shape):
        raise ValueError(
            f"expected a distribution of codes (d,), got {name} of a single number; give its parameters the shape (d,), or "
            "(1,) for codes of one element"
        )
    if _is_discrete(distribution):
        raise ValueError(f"expected a distribution with a density, got the discrete {name}; take a continuous one")
    mixture = _normal_mixture(distribution)
    if mixture is not None:
        return mixture
    transport = transport_of(distribution)
    if transport is None:
        return DistributionPrior(distribution, dtype)
    return TransportedDistributionPrior(distribution, transport, dtype)


@of_distribution.register
def _(distribution: of_torch.Normal) -> Any:
    if not distribution.batch_shape:
        return _general(distribution)
    loc, scale = distribution.loc.detach().flatten(), distribution.scale.detach().flatten()
    if (loc == loc[0]).all() and (scale == scale[0]).all():
        return Normal(len(loc), loc[0].item(), scale[0].item()).to(loc)
    return MultivariateNormal(loc, scale).to(loc)


@of_distribution.register
def _(distribution: of_torch.Uniform) -> Any:
    low, high = distribution.low.detach().flatten(), distribution.high.detach().flatten()
    if distribution.batch_shape and (low == low[0]).all() and (high == high[0]).all():
        return Uniform(len(low), low[0].item(), high[0].item()).to(low)
    return _general(distribution)


@of_distribution.register(of_torch.Independent)
def _(distribution: Any) -> Any:
    base = distribution.base_dist
    if isinstance(base, of_torch.Normal | of_torch.Uniform) and not distribution.batch_shape:
        return of_distribution(base)
    return _general(distribution)


@of_distribution.register(of_torch.MultivariateNormal)
@of_distribution.register(of_torch.LowRankMultivariateNormal)
def _(distribution: Any) -> Any:
    if distribution.batch_shape:
        return _general(distribution)
    return MultivariateNormal(distribution.loc, _tril(distribution)).to(distribution.loc.detach())


@of_distribution.register
def _(distribution: IIDDistribution) -> IIDPrior:
    return IIDPrior(distribution.event_shape[0], distribution.marginal).to(distribution._like)


@of_distribution.register
def _(distribution: RadialDistribution) -> RadialPrior:
    return RadialPrior(distribution.event_shape[0], distribution.radius_distribution).to(distribution._like)


@of_distribution.register
def _(distribution: NormalMixtureDistribution) -> NormalMixture:
    parts = distribution.components
    return NormalMixture(parts.loc, parts.scale, distribution.log_probs.exp())


@of_distribution.register
def _(distribution: DiagonalNormal) -> Any:
    if distribution.batch_shape:
        return _general(distribution)
    return MultivariateNormal(distribution.loc, distribution.scale).to(distribution.loc.detach())


@of_distribution.register
def _(distribution: PushforwardDistribution) -> Any:
    return distribution.prior


def is_lazy(thing: Any) -> bool:
    """Whether a thing is a lazy distribution of zuko, which gives one when it is called."""
    return isinstance(thing, nn.Module) and any(kind.__module__ == "zuko.lazy" for kind in type(thing).__mro__)


def of_lazy(flow: nn.Module) -> Any:
    """The prior of a lazy distribution of zuko as it is now: later training does not change it.

    Raises:
        ValueError: It needs a condition.
    """
    dtype = next((parameter.dtype for parameter in flow.parameters()), torch.get_default_dtype())
    held = copy.deepcopy(flow).double().eval().requires_grad_(False)
    try:
        distribution = held()
        distribution.sample()
    except (TypeError, RuntimeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"expected a distribution without a condition, got {type(flow).__name__} that cannot be called without one "
            f"({str(error).splitlines()[0]}); pass flow(condition) for one condition"
        ) from None
    return _general(distribution, dtype)


def _normal_mixture(distribution: Any) -> MultivariateNormalMixture | None:
    """A mixture of normal distributions as the prior that it is; None for others."""
    if isinstance(distribution, of_torch.MixtureSameFamily):
        parts, probs = distribution.component_distribution, distribution.mixture_distribution.probs
    elif hasattr(distribution, "logits") and hasattr(distribution, "base"):  # zuko's Mixture
        parts, probs = distribution.base, distribution.logits.softmax(-1)
    else:
        return None
    inner = parts.base_dist if isinstance(parts, of_torch.Independent) else parts
    if distribution.batch_shape or len(parts.batch_shape) != 1:
        return None
    like = distribution.sample()
    if isinstance(parts, of_torch.Independent) and isinstance(inner, of_torch.Normal):
        return MultivariateNormalMixture(inner.loc.flatten(1), inner.scale.flatten(1), probs).to(like)
    if isinstance(parts, of_torch.MultivariateNormal | of_torch.LowRankMultivariateNormal):
        return MultivariateNormalMixture(parts.loc, _tril(parts), probs).to(like)
    return None


def _tril(distribution: Any) -> Tensor:
    if isinstance(distribution, of_torch.LowRankMultivariateNormal):
        return torch.linalg.cholesky(low_rank_covariance(distribution))
    tril: Tensor = distribution.scale_tril.detach()
    return tril.tril()


def _is_discrete(distribution: Any) -> bool:
    try:
        return bool(distribution.support.is_discrete)
    except (NotImplementedError, AttributeError):
        return False


def _bare(found: Tensor, given: Tensor) -> Tensor:
    """Without a graph to the parameters of the distribution, where the codes have none."""
    return found if given.requires_grad else found.detach()
