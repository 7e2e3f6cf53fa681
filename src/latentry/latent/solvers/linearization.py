r"""The linearization of a generator at codes: the quadratic model that a Levenberg-Marquardt step minimises.

Coordinates e are standardized by the prior, in double precision. The model holds residuals r and the Jacobian J there. One
eigendecomposition of :math:`J^T J` gives the damped steps :math:`(J^T J + \mu I)^{-1} g` for every :math:`\mu`. Broyden's
formula updates J after a step. A sketch replaces long residuals by random signed sums of them, which keep :math:`J^T J` and
:math:`J^T r` in expectation.

References: Broyden, "A class of methods for solving nonlinear simultaneous equations", 1965; Clarkson and Woodruff, "Low
rank approximation and regression in input sparsity time", 2013 (sketch).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import choose
from latentry.priors.location_scale import LocationScale

__all__ = [
    "Linearization",
    "Penalty",
    "damped_steps",
    "rounding_threshold",
    "penalty_at",
    "sketched",
    "spectrum",
    "within_support",
]


@dataclass(frozen=True)
class Linearization:
    """Residuals as a linear function of codes in standardized coordinates, in double precision; one row for each code."""

    e: Float[Tensor, "n d"]
    """Where."""
    loss: Float[Tensor, "n"]
    """Mean squared residual there."""
    r: Float[Tensor, "n k"]
    """Residuals there, divided by the root of their number; perhaps sketched."""
    columns: Float[Tensor, "n d k"]
    """Jacobian, transposed, divided likewise."""
    jtj: Float[Tensor, "n d d"]
    """J^T J."""
    least: Float[Tensor, "n"]
    """Eigenvalue of J^T J below which there is rounding alone."""

    def z(self, location_scale: LocationScale) -> Float[Tensor, "n d"]:
        """The codes, in the dtype of the prior's location and scale."""
        return location_scale.unstandardized(self.e).to(location_scale.scale)

    @property
    def gradient(self) -> Float[Tensor, "n d"]:
        """J^T r."""
        return (self.columns @ self.r[:, :, None])[..., 0]

    def moved(self, e: Float[Tensor, "n d"], loss: Float[Tensor, "n"], r: Float[Tensor, "n k"]) -> "Linearization":
        """At another place, with the least change of J that agrees with the residuals there (Broyden, 1965)."""
        s = e - self.e
        length = s.square().sum(1).clamp(min=torch.finfo(s.dtype).tiny)
        missed = r - self.r - (s[:, None] @ self.columns)[:, 0]
        u = missed / length[:, None]
        across = (self.columns @ u[:, :, None])[..., 0]
        turn = across[:, :, None] * s[:, None] + u.square().sum(1)[:, None, None] / 2 * s[:, :, None] * s[:, None]
        columns, jtj = self.columns + s[:, :, None] * u[:, None], self.jtj + turn + turn.mT
        return Linearization(e, loss, r, columns, jtj, self.least)


@dataclass(frozen=True)
class Penalty:
    """w R at the codes of a model, in double precision; one row for each code."""

    value: Float[Tensor, "n"]
    slope: Float[Tensor, "n d"]
    """Half its gradient in standardized coordinates, as J^T r is half that of the loss."""
    curvature: Float[Tensor, "n d"]
    """Half the diagonal of its Hessian there."""


def penalty_at(model: Linearization, share: Float[Tensor, "n"], objective: Objective) -> Penalty:
    """The regularizer's part of the loss at a model's codes, with the weight it has after this share of the steps."""
    if objective.regularizer is None:
        none = torch.zeros_like(model.e)
        return Penalty(torch.zeros_like(model.loss), none, none)
    scale, z = objective.location_scale.scale.double(), model.z(objective.location_scale)
    value, slope = objective.penalty_slope(z, share)
    bend = objective.penalty_curvature(z, share).double()
    return Penalty(value.double(), scale * slope.double() / 2, scale.square() * bend / 2)


def within_support(
    model: Linearization, curvature: Float[Tensor, "n d"], downhill: Float[Tensor, "n d"], location_scale: LocationScale
) -> tuple[Float[Tensor, "n d d"], Float[Tensor, "n d"]]:
    """Half the Hessian and the downhill direction. Both are 0 for coordinates that are held at an end of the support."""
    free = (~location_scale.at_bound(location_scale.unstandardized(model.e), downhill)).to(downhill)
    return (model.jtj + curvature.diag_embed()) * free[:, :, None] * free[:, None], downhill * free


def rounding_threshold(jtj: Float[Tensor, "n d d"], noise: float) -> Float[Tensor, "n"]:
    """Eigenvalue of J^T J below which there is only rounding: of the Jacobian's elements, and of J^T J in double
    precision."""
    most = jtj.diagonal(dim1=1, dim2=2).sum(1)
    return most * max((4 * noise) ** 2, torch.finfo(jtj.dtype).eps)


def damped_steps(
    hessian: Float[Tensor, "n d d"],
    downhill: Float[Tensor, "n d"],
    dampings: Float[Tensor, "n k"],
    least: Float[Tensor, "n"],
) -> Float[Tensor, "n k d"]:
    """(H + mu I)^-1 g for every mu, from one eigendecomposition; 0 along directions below `least`."""
    values, along, vectors = spectrum(hessian, downhill)
    damped = values[:, None] + dampings[..., None]
    return torch.where(damped > least[:, None, None], along[:, None] / damped, 0.0) @ vectors.mT


def spectrum(
    hessian: Float[Tensor, "n d d"], downhill: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"], Float[Tensor, "n d d"]]:
    """Eigenvalues, components of the downhill direction along the eigenvectors, and the eigenvectors."""
    usable = hessian.isfinite().flatten(1).all(1)
    values, vectors = torch.linalg.eigh(choose(usable, hessian, torch.zeros_like(hessian)))
    return values.clamp(min=0), (vectors.mT @ downhill[..., None])[..., 0], vectors


def sketched(columns: Float[Tensor, "*n m"], cells: int) -> Float[Tensor, "*n k"]:
    """Residuals with random signs, summed into cells; the same signs and cells each time."""
    m = columns.shape[-1]
    rng = torch.Generator().manual_seed(0)
    order = torch.randperm(m, generator=rng).to(columns.device)
    signs = (torch.randint(2, (m,), generator=rng) * 2 - 1).to(columns)
    padded = torch.nn.functional.pad((columns * signs)[..., order], (0, -m % cells))
    return padded.unflatten(-1, (-1, cells)).sum(-2)
