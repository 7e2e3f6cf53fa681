r"""The objective of recovery, as solvers call it.

For data x, a generator G and a prior p(z), each code minimises :math:`L(z) = dif(x, G(z)) + w v R(z)`, with the difference
of `latent.differences`, a regularizer R of `latent.regularizers`, and half the mean difference of two of the generator's own
samples,

.. math:: v = \tfrac{1}{2} E \, dif(G(z'), G(z'')), \qquad z', z'' \sim p,

which for pixels under l2 is their variance. So w has no units: it means the same for images in [-1, 1] and in [0, 255].

A solver of least squares reads the residuals of the difference instead. While it searches, it may read them before the
output activation of the generator (`solvers.output_activation`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentry.holding import called
from latentry.interfaces import Generator, Prior
from latentry.latent.differences import Difference, Target
from latentry.latent.regularizers import Regularizer
from latentry.latent.solvers.jacobian import JacobianMode
from latentry.latent.solvers.output_activation import OutputActivation
from latentry.priors.location_scale import LocationScale

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """The loss of codes, its gradient and its residuals."""

    generator: Generator
    prior: Prior
    difference: Difference
    regularizer: Regularizer | None
    weight: Callable[[float], float]
    """w v by the share of the steps done."""
    location_scale: LocationScale
    """Where the bulk of the prior lies."""
    output_activation: OutputActivation | None = None
    """What residuals may be freed of, where the difference is one of pixels."""
    jacobian_mode: JacobianMode = "batched"
    """How solvers get at the Jacobian."""
    variance: float = 1.0
    """v of the module's theory, for the size of what is compared."""
    rounding: float = 0.0
    """Mean squared rounding of the generator's outputs."""

    def loss(self, z: Float[Tensor, "n d"], target: Target, share: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """L of each code, with the weight it has after its share of the steps."""
        return self.difference.loss(self.residuals(z, target)) + self.penalty(z, share)

    def slope(
        self, z: Float[Tensor, "n d"], target: Target, share: Float[Tensor, "n"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n d"]]:
        """L of each code, and its gradient."""
        return _value_and_gradient(lambda codes: self.loss(codes, target, share), z)

    def difference_slope(
        self, z: Float[Tensor, "n d"], target: Target, *, preactivation: bool = False
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n d"]]:
        """The difference of each code to the data, without the regularizer, and its gradient."""
        residuals = self.preactivation_residuals if preactivation else self.residuals
        return _value_and_gradient(lambda codes: self.difference.loss(residuals(codes, target)), z)

    def penalty(self, z: Float[Tensor, "n d"], share: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """w v R of each code."""
        if self.regularizer is None:
            return z.new_zeros(len(z))
        return z.new_tensor([self.weight(part) for part in share.tolist()]) * self.regularizer(z, self.prior)

    def penalty_slope(
        self, z: Float[Tensor, "n d"], share: Float[Tensor, "n"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n d"]]:
        """w v R of each code, and its gradient."""
        if self.regularizer is None:
            return z.new_zeros(len(z)), torch.zeros_like(z)
        return _value_and_gradient(lambda codes: self.penalty(codes, share), z)

    def penalty_curvature(self, z: Float[Tensor, "n d"], share: Float[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """Diagonal of the Hessian of w v R, where it is above 0: exact for sums over elements, one probe of it else.

        Reference: Bekas, Kokiopoulou, Saad, "An estimator for the diagonal of a matrix", 2007.
        """
        flat = torch.zeros_like(z)
        if self.regularizer is None:
            return flat
        signs = (torch.randint(2, z.shape[1:], generator=torch.Generator().manual_seed(0)) * 2 - 1).to(z)
        with torch.enable_grad():
            z = z.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.penalty(z, share).sum(), z, create_graph=True)
            if not gradient.requires_grad:
                return flat
            try:
                (bend,) = torch.autograd.grad((gradient * signs).sum(), z, materialize_grads=True)
            except RuntimeError:  # a regularizer whose gradient has none
                return flat
        return (signs * bend).nan_to_num(nan=0.0, posinf=0.0).clamp(min=0)

    def made(self, z: Float[Tensor, "n d"], target: Target) -> Tensor:
        """What the generator makes of codes, under the conditions of their data."""
        x_hat: Tensor = called(self.generator, z, target.condition)
        return x_hat

    def residuals(self, z: Float[Tensor, "n d"], target: Target) -> Float[Tensor, "n m"]:
        """Residuals of the difference."""
        return self.difference.residuals(self.made(z, target), target)

    def preactivation_residuals(self, z: Float[Tensor, "n d"], target: Target) -> Float[Tensor, "n m"]:
        """Residuals of the difference, before the output activation."""
        assert self.output_activation is not None, "only objectives with an output activation have these"
        x_hat, x = self.output_activation.undo(self.made(z, target)), self.output_activation.undo(target.x)
        return ((x_hat - x) * target.mask).flatten(1) * target.scale[:, None]

    def reconstruction_error(self, x_hat: Float[Tensor, "n *s"], target: Target) -> Float[Tensor, "n"]:
        """Mean squared error over what is measured, in the units of the data or of their measurements."""
        error = ((self.difference.measured(x_hat) - target.x) * target.mask).flatten(1).square().sum(1)
        return error / target.mask.flatten(1).sum(1)

    def is_stationary(self, z: Float[Tensor, "n d"], target: Target) -> Bool[Tensor, "n"]:
        r"""Whether the gradient of L is small, in standardized coordinates e and with the weight at the end.

        For the l2 difference alone it is :math:`2 J^T r / m`, and

        .. math:: |\nabla L| \le 2 \sqrt{v} \, (\epsilon^{1/3} \sqrt{L} + \rho)

        says that the cosine of the angle between the residuals and what the Jacobian, whose squares sum to about m v, can
        change of them is below the cube root of the machine's epsilon; :math:`\rho` is the root mean square of what rounding
        makes. An l1 difference has residuals of slope 1, whatever L is. Slopes that point out of the support are none.

        Reference: Dennis and Schnabel, "Numerical methods for unconstrained optimization and nonlinear equations", 1983,
        section 7.2 (the power of epsilon).
        """
        loss, slope = self.slope(z, target, z.new_ones(len(z)))
        slope = slope * self.location_scale.scale
        steepness = torch.where(self.location_scale.at_bound(z, -slope), 0.0, slope).norm(dim=1)
        small = torch.finfo(self.location_scale.scale.dtype).eps ** (1 / 3)
        if self.difference.norm == "l1":
            return steepness <= small * self.variance
        return steepness <= 2 * self.variance**0.5 * (small * loss.sqrt() + self.rounding**0.5)


def _value_and_gradient(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        value = loss(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
