r"""How well data determine a code, from the Jacobian at the code.

Let data be made by a code and blurred by errors of variance :math:`\sigma^2`, and the prior have variance 1 in coordinates e
of the code. Near the code found the posterior is then normal with covariance :math:`(J^T J / \sigma^2 + I)^{-1}` (the
approximation of Laplace), J being the Jacobian of what is compared; and

.. math:: u = \frac{1}{d} \operatorname{tr} \left( J^T J / \sigma^2 + I \right)^{-1} \in [0, 1]

is the share of the prior's variance that the data leave open: 0 where they determine the code, k / d where k directions
leave no trace in them. As :math:`\sigma^2` the mean squared error of the reconstruction is taken, and what rounding makes at
least. It is the mean squared code error to be expected near this code, in units of the prior's variance; it knows nothing of
other codes far from it that make the same data.

Reference: MacKay, "Bayesian interpolation", 1992 (well determined parameters).
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.solvers.jacobian import jacobian
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import take

__all__ = ["undetermined"]

_ROWS = 512
"""Columns of Jacobians worked out at once."""


def undetermined(
    objective: Objective, z: Float[Tensor, "n d"], target: Target, sigma_squared: Float[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """Share of the prior's variance that the data leave open at each code; NaN where the generator gives NaN.

    Args:
        objective: What is compared.
        z: Codes.
        target: Their data.
        sigma_squared: Variance of the errors of an element.
    """
    counted = target.mask.flatten(1).sum(1) + target.features.shape[1]
    found = []
    for rows in torch.arange(len(z), device=z.device).split(max(1, _ROWS // z.shape[1])):
        compared = partial(objective.residuals, target=take(target, rows))
        r, columns = jacobian(compared, z[rows], objective.jacobian_mode)
        columns = columns.detach().double() * objective.location_scale.scale[:, None] / r.shape[1] ** 0.5
        information = columns @ columns.mT * (counted / sigma_squared)[rows, None, None].double()
        usable = information.isfinite().flatten(1).all(1)
        values = torch.linalg.eigvalsh(torch.where(usable[:, None, None], information, 0.0)).clamp(min=0)
        found.append(torch.where(usable, (1 / (1 + values)).mean(1), torch.nan))
    return torch.cat(found).to(z)
