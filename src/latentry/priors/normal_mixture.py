r"""A mixture of normal components with any covariances, and its way to N(0, I): the transport of Rosenblatt (1952).

Let component k have probability :math:`\pi_k`, mean :math:`\mu_k`, covariance :math:`L_k L_k^T` and normal coordinates
:math:`e_k = L_k^{-1} (z - \mu_k)`. Given the coordinates before it, coordinate j of that component is normal with the
standard score :math:`e_{kj}`, and the probability of the component is

.. math:: w_{kj} \propto \pi_k \prod_{i < j} \varphi(e_{ki}) / L_{kii} .

So the mixture's coordinate j has the conditional distribution function :math:`F_j = \sum_k w_{kj} \Phi(e_{kj})`, and
:math:`e_j = \Phi^{-1}(F_j)` are independent N(0, 1): a bijection that depends on the order of the coordinates, with tails
kept in the log domain. Its inverse finds the coordinates one after another, each by bisection and Newton's method. A code in
a gap between components, where F is constant to rounding, is not found again: no draw lies there.

References: Rosenblatt, "Remarks on a multivariate transformation", 1952; McLachlan and Peel, "Finite mixture models", 2000.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.dependence import far_normal_scores
from latentry.numerics.edges import log_normal_cdf
from latentry.priors.encoded import double, encoded
from latentry.priors.pushforward import Pushforward

__all__ = ["MultivariateNormalMixture", "mixture_quantile", "mixture_score"]

_SUMS_TO_ONE = 1e-4
_BISECTIONS, _NEWTON_STEPS = 40, 6
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class MultivariateNormalMixture(Pushforward):
    """A mixture of normal codes without labels.

    `NormalMixture` is the one with a label for each component; its components have independent coordinates.

    Args:
        loc: Means `(k, d)`.
        scale: Lower triangular factors of the covariances `(k, d, d)`, or standard deviations `(k, d)`.
        probs: Probabilities of the components, above 0, that sum to 1; equal by default.

    Raises:
        ValueError: Shapes do not fit each other, or numbers are outside their range.

    Example:
        >>> prior = MultivariateNormalMixture([[-3.0], [3.0]], [[1.0], [1.0]])
        >>> prior.to_normal(torch.tensor([[0.0], [3.0]])).abs().round(decimals=4)
        tensor([[0.0000],
                [0.6745]])
    """

    def __init__(
        self,
        loc: Tensor | Sequence[Any] | str,
        scale: Tensor | Sequence[Any] | str,
        probs: Float[Tensor, "k"] | Sequence[float] | str | None = None,
    ) -> None:
        locs, scales = double("loc", loc), double("scale", scale)
        if locs.ndim != 2 or locs.numel() == 0 or scales.shape not in (locs.shape, (*locs.shape, locs.shape[1])):
            raise ValueError(
                f"expected means (k, d) with standard deviations (k, d) or triangular factors (k, d, d), got "
                f"{tuple(locs.shape)} and {tuple(scales.shape)}; take torch.linalg.cholesky of covariances"
            )
        deviations = scales if scales.ndim == 2 else scales.diagonal(dim1=1, dim2=2)
        if not (deviations > 0).all() or (scales.ndim == 3 and scales.triu(1).any()):
            raise ValueError(
                "expected standard deviations above 0, or lower triangular factors with such a diagonal, got others"
            )
        chances = torch.full_like(locs[:, 0], 1 / len(locs)) if probs is None else double("probs", probs)
        if chances.shape != locs.shape[:1] or not (chances > 0).all() or abs(chances.sum().item() - 1) > _SUMS_TO_ONE:
            raise ValueError(
                f"expected {len(locs)} probabilities above 0 that sum to 1, got {chances.tolist()}; leave out components "
                "that never occur"
            )
        super().__init__(locs.shape[1])
        self.loc, self.scale, self.probs = locs, scales, chances / chances.sum()
        self.deviations = deviations

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {name: encoded({"value": getattr(self, name)}) for name in ("loc", "scale", "probs")}

    def moments(self) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        mean = self.probs @ self.loc
        within = self.scale.square() if self.scale.ndim == 2 else self.scale.square().sum(2)
        return mean, self.probs @ (within + (self.loc - mean).square())

    def drawn(self, n: int, rng: torch.Generator | None, like: Tensor) -> Float[Tensor, "n d"]:
        """So many codes: a component each, and normal noise in it."""
        if n == 0:
            return torch.empty(0, self.latent_dim, dtype=torch.float64, device=like.device)
        k = torch.multinomial(self.probs.to(like.device), n, replacement=True, generator=rng)
        noise = torch.randn(n, self.latent_dim, generator=rng, dtype=torch.float64, device=like.device)
        z = torch.empty_like(noise)
        for label in k.unique().tolist():
            rows, scale = k == label, self.scale[label].to(noise)
            z[rows] = self.loc[label].to(noise) + (noise[rows] * scale if scale.ndim == 1 else noise[rows] @ scale.mT)
        return z

    def _normalized(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        scores = self._scores(z)
        densities = -0.5 * scores.square() - _LOG_SQRT_2PI - self.deviations.to(z).log()[:, None]
        log_probs = self.probs.to(z).log()[:, None]
        joint = log_probs[..., None] + densities.cumsum(-1) - densities  # of what comes before each coordinate
        weights = joint.log_softmax(0)
        e = far_normal_scores(
            (weights + log_normal_cdf(scores)).logsumexp(0), (weights + log_normal_cdf(-scores)).logsumexp(0)
        )
        density = (log_probs + densities.sum(-1)).logsumexp(0)
        return e, density + (0.5 * e.square() + _LOG_SQRT_2PI).sum(-1)

    def _pushed(self, e: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        joint = self.probs.to(e).log()[:, None].expand(-1, len(e))
        found: list[Tensor] = []  # scores of each component so far, (k, n) each
        columns: list[Tensor] = []
        for j, target in enumerate(e.unbind(1)):
            deviation = self.deviations[:, j, None].to(e).expand(-1, len(e))
            centre = self.loc[:, j, None].to(e).expand(-1, len(e))
            if found and self.scale.ndim == 3:
                centre = centre + (torch.stack(found, -1) @ self.scale[:, j, :j, None].to(e))[..., 0]
            column = mixture_quantile(target, joint.log_softmax(0), centre, deviation)
            score = (column - centre) / deviation
            joint = joint - 0.5 * score.square() - deviation.log()
            found.append(score)
            columns.append(column)
        return torch.stack(columns, 1)

    def _scores(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "k n d"]:
        """Normal coordinates of each component."""
        centred = z - self.loc.to(z)[:, None]
        if self.scale.ndim == 2:
            return centred / self.scale.to(z)[:, None]
        return torch.linalg.solve_triangular(self.scale.to(z), centred.mT, upper=False).mT

    def extra_repr(self) -> str:
        shape = "independent" if self.scale.ndim == 2 else "correlated"
        return f"latent_dim={self.latent_dim}, components={len(self.loc)}, {shape}"


def mixture_score(
    x: Float[Tensor, "*n"],
    log_weights: Float[Tensor, "k *n"],
    centre: Float[Tensor, "k *n"],
    deviation: Float[Tensor, "k *n"],
) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """Normal scores of numbers under mixtures of normal distributions on the line, and their slopes.

    Example:
        >>> one = torch.zeros(1, 1)
        >>> score, slope = mixture_score(torch.tensor([2.0]), one, one, one + 1)
        >>> score.round(), slope.round()
        (tensor([2.]), tensor([1.]))
    """
    standard = (x - centre) / deviation
    below, above = ((log_weights + log_normal_cdf(side * standard)).logsumexp(0) for side in (1, -1))
    score = far_normal_scores(below, above)
    log_density = (log_weights - 0.5 * standard.square() - deviation.log()).logsumexp(0)
    return score, (log_density + 0.5 * score.square()).exp()


def mixture_quantile(
    target: Float[Tensor, "*n"],
    log_weights: Float[Tensor, "k *n"],
    centre: Float[Tensor, "k *n"],
    deviation: Float[Tensor, "k *n"],
) -> Float[Tensor, "*n"]:
    """Where mixtures of normal distributions on the line have these normal scores, with a gradient.

    Example:
        >>> one = torch.zeros(1, 1)
        >>> mixture_quantile(torch.tensor([2.0]), one, one, one + 1).round()
        tensor([2.])
    """
    with torch.no_grad():
        ends = centre + deviation * target
        low, high = ends.amin(0), ends.amax(0)  # where every component has this score, the mixture has it in between
        x = (low + high) / 2
        for _ in range(_BISECTIONS):
            above = mixture_score(x, log_weights, centre, deviation)[0] > target
            low, high = torch.where(above, low, x), torch.where(above, x, high)
            x = (low + high) / 2
        for _ in range(_NEWTON_STEPS):
            score, slope = mixture_score(x, log_weights, centre, deviation)
            step = x - (score - target) / slope
            x = torch.where(step.isfinite(), step.clamp(low, high), x)
    score, slope = mixture_score(x, log_weights, centre, deviation)
    # one more step, of nothing in value: it has the gradient of the implicit function
    step = (score - target) / slope.detach()
    return x - torch.where(slope > 0, step - step.detach(), 0)
