r"""Errors of recovered codes where the true codes are known, as for the generator's own samples.

The error of a code is the mean squared difference of its coordinates in units of the prior's variance :math:`\sigma^2`:

.. math:: e = \frac{1}{d \sigma^2} \| \hat z - z \|^2 .

A code is *found* where its error is below `FOUND`; two independent codes of the prior have an error of about 2. Coordinates
are those in which the prior is independent: normal ones for radial priors, the code's own for all others.

Data need not determine their code. Near a code :math:`G(z + v) \approx G(z) + J v`, and directions v whose singular value of
the Jacobian J is below `IDENTIFIABLE` times the largest leave the data as they are. The others span the *identifiable
subspace*, of dimension r with orthonormal rows U, where the error is

.. math:: e_U = \frac{1}{r \sigma^2} \| U (\hat z - z) \|^2 .

The Jacobian is that of the code itself, so here coordinates and variance are the code's own for every prior.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.holding import Condition, as_condition, called
from latentry.holding.conditions import rows_at
from latentry.interfaces import Generator
from latentry.latent.solvers.jacobian import jacobian, jacobian_mode
from latentry.priors import NormalMixture, SavedPrior

__all__ = ["FOUND", "IDENTIFIABLE", "IdentifiableErrors", "code_errors", "identifiable_errors"]

FOUND = 1e-2
"""Error below which a known code counts as found."""
IDENTIFIABLE = 1e-3
"""Least singular value of the Jacobian, relative to the largest, of a direction that the data determine."""


@dataclass(frozen=True)
class IdentifiableErrors:
    """Errors of codes where the data determine them."""

    error: Float[Tensor, "n"]
    """Mean squared error within the identifiable subspace, in units of the prior's variance."""
    rank: Int[Tensor, "n"]
    """Dimension of that subspace, from 1 to d."""


def code_errors(z_hat: Float[Tensor, "n d"], z: Float[Tensor, "n d"], prior: SavedPrior) -> Float[Tensor, "n"]:
    """Mean squared error of each code in units of the prior's variance.

    Codes of a prior with normal coordinates are compared in these, where the variance is 1.

    Args:
        z_hat: Recovered codes.
        z: True codes.
        prior: Their distribution.

    Example:
        >>> from latentry.priors import Uniform  # of variance 1/3
        >>> code_errors(torch.tensor([[0.5, 0.0]]), torch.zeros(1, 2), Uniform(2))
        tensor([0.3750])
    """
    if isinstance(prior, NormalMixture):
        return (z_hat - z).square().mean(1) / prior().variance.mean()
    (found, distribution), (true, _) = (prior.iid_coordinates(codes) for codes in (z_hat, z))
    return (found - true).square().mean(1) / distribution.variance


def identifiable_errors(
    generator: Generator,
    z_hat: Float[Tensor, "n d"],
    z: Float[Tensor, "n d"],
    prior: SavedPrior,
    condition: Condition | None = None,
) -> IdentifiableErrors:
    """Errors of codes within the subspace that their data determine, and its dimension.

    Args:
        generator: z -> x, or (z, condition) -> x, differentiable; modules in eval mode.
        z_hat: Recovered codes.
        z: True codes, at which the Jacobian is taken.
        prior: Their distribution, of finite variance.
        condition: What a conditional generator takes along with codes, one row for each.

    Raises:
        ValueError: The prior has no finite variance, or the generator no derivatives.

    Example:
        >>> from latentry.priors import Normal
        >>> def generator(z):
        ...     return z * torch.tensor([1.0, 2.0, 1e-5])  # of which the last coordinate leaves no trace
        >>> z_hat = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
        >>> identifiable_errors(generator, z_hat, torch.zeros(2, 3), Normal(3))
        IdentifiableErrors(error=tensor([4.5000, 0.0000]), rank=tensor([2, 2]))
    """
    variance = float(prior().variance.mean())
    if not 0 < variance < float("inf"):
        raise ValueError(f"expected a prior of finite variance, got {prior!r}; compare codes with code_errors")

    condition = as_condition(condition, len(z), z.device)

    def of_row(row: int) -> Callable[[Tensor], Tensor]:
        return lambda codes: called(generator, codes, rows_at(condition, slice(row, row + 1))).flatten(1)

    mode = jacobian_mode(of_row(0), z[:1])
    differences = (z_hat - z).double()
    errors, ranks = [], []
    for row, (code, difference) in enumerate(zip(z.split(1), differences, strict=True)):
        columns = jacobian(of_row(row), code, mode)[1][0].detach().double()
        squares, directions = torch.linalg.eigh(columns @ columns.mT)
        identifiable = directions[:, squares >= IDENTIFIABLE**2 * squares[-1]]
        errors.append((difference @ identifiable).square().mean() / variance)
        ranks.append(identifiable.shape[1])
    return IdentifiableErrors(torch.stack(errors).float(), torch.tensor(ranks))
