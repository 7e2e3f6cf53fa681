r"""Priors that a bijection carries to N(0, I), with its Jacobian: normalizing flows, and whatever is fitted to codes.

With :math:`e = T(z)` normal coordinates, the density of a code is

.. math:: \log p(z) = \log N(T(z); 0, I) + \log | \det \partial T / \partial z | ,

and draws are :math:`T^{-1}` of normal noise. A subclass gives T with its log determinant, its inverse, and the moments.

Everything is computed in double precision, whatever the codes come in, so that T and its inverse lead back to 1e-9.

Reference: Papamakarios, Nalisnick, Rezende, Mohamed, Lakshminarayanan, "Normalizing flows for probabilistic modeling and
inference", 2021.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import constraints

from latentry.numerics.inputs import checked
from latentry.priors.description import WithNormalCoordinates
from latentry.priors.distribution import CodeDistribution, checked_codes, sampled_shape
from latentry.priors.prior_module import PriorModule

__all__ = ["Pushforward", "PushforwardDistribution", "estimated_moments"]

_LOG_2PI = math.log(2 * math.pi)
_SHOWN = 1000


class PushforwardDistribution(CodeDistribution):
    """p(z) of codes that a bijection carries to N(0, I); its coordinates may depend on each other in any way.

    Example:
        >>> from latentry.priors.multivariate_normal import MultivariateNormal
        >>> p = MultivariateNormal([1.0, 2.0], [[1.0, 0.0], [1.0, 1.0]])()
        >>> p.mean, p.variance
        (tensor([1., 2.]), tensor([1., 2.]))
    """

    support = constraints.real_vector
    has_rsample = True

    def __init__(self, prior: "Pushforward", like: Tensor, batch_shape: Sequence[int] = ()) -> None:
        self.prior = prior
        super().__init__(prior.latent_dim, like, batch_shape)

    @property
    def mean(self) -> Tensor:
        return self._constant(self.prior.moments()[0].to(self._like))

    @property
    def variance(self) -> Tensor:
        """Of each coordinate."""
        return self._constant(self.prior.moments()[1].to(self._like))

    @checked(differentiable=True)
    def rsample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, *batch, d)`; `rng` makes them reproducible."""
        return self._draw((*sampled_shape(sample_shape), *self.batch_shape), rng)

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "..."]:
        def density(z: Tensor) -> Tensor:
            e, log_determinant = self.prior.normalized(z)
            return (-0.5 * (e.square() + _LOG_2PI).sum(-1) + log_determinant).to(z.dtype)

        return self._of_codes(value, density)

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        rows = self.prior.drawn(math.prod(shape), rng, self._like)
        return rows.view(*shape, *self.event_shape).to(self._like.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.prior!r})"


class Pushforward(WithNormalCoordinates, PriorModule):
    """p(z) as N(0, I) pushed through a bijection; what a subclass gives is `normalized`, `pushed` and `moments`."""

    def forward(self, y: Int[Tensor, "..."] | None = None) -> PushforwardDistribution:
        """The distribution p(z); these priors know no labels and pass over `y`."""
        return PushforwardDistribution(self, self._like)

    def _normalized(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        """Normal coordinates, and the log determinant of their Jacobian, of codes in double precision."""
        raise NotImplementedError

    def _pushed(self, e: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The codes with these normal coordinates, in double precision."""
        raise NotImplementedError

    def moments(self) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        """Mean and variance of each coordinate, in double precision."""
        raise NotImplementedError

    def normalized(self, z: Float[Tensor, "*n d"]) -> tuple[Float[Tensor, "*n d"], Float[Tensor, "*n"]]:
        """Normal coordinates and the log determinant of their Jacobian, in double precision."""
        rows = checked_codes(z, torch.Size([self.latent_dim])).reshape(-1, self.latent_dim).double()
        e, log_determinant = self._normalized(rows)
        return e.view(z.shape), log_determinant.view(z.shape[:-1])

    def drawn(self, n: int, rng: torch.Generator | None, like: Tensor) -> Float[Tensor, "n d"]:
        """So many codes, in double precision on the device of `like`."""
        noise = torch.randn(n, self.latent_dim, generator=rng, dtype=torch.float64, device=like.device)
        return self._pushed(noise)

    @checked(differentiable=True, any_value=("z",))
    def to_normal(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Normal coordinates: N(0, I) for codes of the prior."""
        return self.normalized(z)[0].to(z.dtype)

    @checked(differentiable=True, any_value=("e",))
    def from_normal(self, e: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The codes with these normal coordinates."""
        rows = checked_codes(e, torch.Size([self.latent_dim])).reshape(-1, self.latent_dim).double()
        return self._pushed(rows).view(e.shape).to(e.dtype)

    def mean_code(self, like: Tensor) -> Float[Tensor, "d"]:
        """Mean of each coordinate."""
        return self.moments()[0].to(like)

    def typical_norm(self) -> float:
        """Root of the mean square of the norm."""
        mean, variance = self.moments()
        return math.sqrt((mean.square() + variance).sum().item())

    def extra_repr(self) -> str:
        return f"latent_dim={self.latent_dim}"

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import LINE

        z = self.sample(_SHOWN, rng=torch.Generator(self._like.device).manual_seed(0)).cpu()
        panel = figure.subplots()
        if self.latent_dim == 1:
            panel.hist(z[:, 0].numpy(), bins=40, color=LINE)
            return
        first, second = self.moments()[1].topk(2).indices.tolist()
        panel.scatter(z[:, first].numpy(), z[:, second].numpy(), s=3, color=LINE)
        panel.set_xlabel(f"coordinate {first}", fontsize=8)
        panel.set_ylabel(f"coordinate {second}", fontsize=8)


def estimated_moments(
    draw: Callable[[int, torch.Generator], Float[Tensor, "n d"]], n: int
) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
    """Mean and variance of each coordinate from n draws, always the same."""
    z = draw(n, torch.Generator().manual_seed(0))
    return z.mean(0), z.var(0)
