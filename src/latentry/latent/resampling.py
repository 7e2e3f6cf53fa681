r"""Resampling: replace improbable elements of a code by fresh draws from the prior during recovery.

After a solver's step, each element :math:`z_j` is replaced with a probability p that depends on its absolute value:

.. math::
    p(z_j) &= 1\{|z_j| > c\} && \text{boundary (stochastic clipping)} \\
    p(z_j) &= \frac{1}{1 + e^{-a (|z_j| - b)}} && \text{logistic} \\
    p(z_j) &= \min\left(1, e^{(z_j^2 - c^2) / 2}\right) && \text{truncated normal.}

The papers differ in what p refers to, and `steps` chooses:

- `steps=E` (Egan et al.): p is the probability over a whole run of E steps. In each step it is :math:`1 - (1 - p)^{1/E}`.
- `steps=None` (Cho): p is the probability in every step. The logistic rule then replaces about a tenth of the elements of a
  true sample in each step.

Codes of a radial prior are resampled in their normal coordinates.

References: Lipton and Tripathi, "Precise recovery of latent vectors from generative adversarial networks", 2017 (boundary);
Egan, Fuchs et al., "Generalized latent variable recovery for generative adversarial networks", 2018 (logistic, truncated
normal); Cho, "Latent code recovery by statistical distance latent regulation loss", 2020.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from latentry.interfaces import Prior
from latentry.numerics.inputs import check_fields, checked
from latentry.priors.adapters import as_prior, draw

__all__ = ["BoundaryResampling", "LogisticResampling", "Resampling", "TruncatedNormalResampling"]

Resampling = Callable[[Tensor, Prior, torch.Generator | None], Tensor]
"""`(z, prior, rng)` to codes `(n, d)`, some of whose elements are drawn anew."""


@dataclass(frozen=True)
class BoundaryResampling:
    """Replace every element with `|z_j| > bound`.

    Reference: Lipton and Tripathi (2017).

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> import torch, latentry as lt
        >>> replaced = lt.solvers.BoundaryResampling(1.0)(torch.tensor([[0.5, 9.0]]), lt.priors.Normal(2))
        >>> replaced[0, 0], replaced[0, 1] < 9
        (tensor(0.5000), tensor(True))
    """

    bound: float
    """c, above 0; 1 for U(-1, 1)."""
    steps: int | None = None
    """Has no effect here, since p is 0 or 1; it is there because the other rules have it."""

    def __post_init__(self) -> None:
        check_fields(self)
        _check(self.steps, bound=self.bound)

    @checked(any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior, rng: torch.Generator | None = None) -> Float[Tensor, "n d"]:
        return _resampled(z, prior, rng, self.steps, lambda z: torch.where(z.abs() > self.bound, -math.inf, 0.0))


@dataclass(frozen=True)
class LogisticResampling:
    """Replace elements with probability `1 / (1 + exp(-slope (|z_j| - centre)))`.

    Reference: Egan et al. (2018); Cho (2020) has the centre at 2.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> import torch, latentry as lt
        >>> replaced = lt.solvers.LogisticResampling(slope=50.0)(torch.tensor([[0.5, 9.0]]), lt.priors.Normal(2))
        >>> replaced[0, 0], replaced[0, 1] < 9
        (tensor(0.5000), tensor(True))
    """

    slope: float
    """a, above 0."""
    centre: float = 2.0
    """b, above 0."""
    steps: int | None = None
    """Number E of steps over which p is the probability; None: p is the probability in each step."""

    def __post_init__(self) -> None:
        check_fields(self)
        _check(self.steps, slope=self.slope, centre=self.centre)

    @checked(any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior, rng: torch.Generator | None = None) -> Float[Tensor, "n d"]:
        return _resampled(z, prior, rng, self.steps, lambda z: logsigmoid(-self.slope * (z.abs() - self.centre)))


@dataclass(frozen=True)
class TruncatedNormalResampling:
    """Replace elements with probability exp((z_j^2 - cutoff^2) / 2), surely where `|z_j| >= cutoff`.

    Reference: Egan et al. (2018).

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> import torch, latentry as lt
        >>> replaced = lt.solvers.TruncatedNormalResampling(9.0)(torch.tensor([[0.5, 9.0]]), lt.priors.Normal(2))
        >>> replaced[0, 0], replaced[0, 1] < 9
        (tensor(0.5000), tensor(True))
    """

    cutoff: float
    """c, above 0."""
    steps: int | None = None
    """Number E of steps over which p is the probability; None: p is the probability in each step."""

    def __post_init__(self) -> None:
        check_fields(self)
        _check(self.steps, cutoff=self.cutoff)

    @checked(any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior, rng: torch.Generator | None = None) -> Float[Tensor, "n d"]:
        def log_keep(z: Tensor) -> Tensor:
            return (-((z.square() - self.cutoff**2) / 2).clamp(max=0).exp()).log1p()

        return _resampled(z, prior, rng, self.steps, log_keep)


@torch.no_grad()
def _resampled(
    z: Tensor,
    prior: Prior,
    rng: torch.Generator | None,
    steps: int | None,
    log_keep: Callable[[Tensor], Tensor],
) -> Tensor:
    """Replace elements, each kept with probability exp(log_keep), by those of a fresh code; draws are on rng's device."""
    adapted = as_prior(prior)
    coordinates, _ = adapted.iid_coordinates(z)
    fresh, _ = adapted.iid_coordinates(draw(prior, (len(z),), rng=rng).to(z))
    chances = torch.rand(z.shape, generator=rng, dtype=z.dtype, device=z.device if rng is None else rng.device).to(z.device)
    chosen = chances < -torch.expm1(log_keep(coordinates) / (steps or 1))
    mixed = adapted.from_iid_coordinates(torch.where(chosen, fresh, coordinates))
    return torch.where(chosen.any(-1, keepdim=True), mixed, z)  # exactly z, where no element is replaced


def _check(steps: int | None, **numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise ValueError(f"expected a finite {name} above 0, got {value}")
    if steps is not None and steps < 1:
        raise ValueError(f"expected steps >= 1, got {steps}; None takes the probability in every step")
