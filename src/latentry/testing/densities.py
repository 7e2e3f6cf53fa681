r"""Whether codes follow a density: three questions that need no more than codes and a log density.

*Codes and density agree.* One Metropolis step for the density p leaves codes that follow p as they are distributed. With a
proposal :math:`z' = z + s \epsilon` and :math:`\alpha = \min(1, p(z') / p(z))`, each function h has

.. math:: E \, \alpha(z, z') \, (h(z') - h(z)) = 0,

whatever the support of p, and without its normalising constant. Here h are bounded functions of each coordinate, odd and
even.

*The density integrates to one.* Bridge sampling from a density q that is fitted to other codes solves

.. math:: Z = \frac{E_q \, p / (p + Z q)}{E_p \, q / (p + Z q)}.

Of three kinds of q the one with the smallest error is taken: normal, independent coordinates, uniform direction.

*The map to normal coordinates has the Jacobian of the density*: :math:`\log p(z) = \log \phi(e(z)) + \log |\det e'(z)|`.

References: Metropolis et al., "Equation of state calculations by fast computing machines", 1953; Meng and Wong, "Simulating
ratios of normalizing constants via a simple identity", 1996, equation 4.1.
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.radial import log_sphere_area

__all__ = ["bridge_estimate", "change_of_variables", "metropolis_drift"]

LogDensity = Callable[[Tensor], Tensor]

_STEP = 2.4
"""Length of a proposal, in standard deviations over the root of the dimension (Roberts, Gelman, Gilks, 1997)."""
_CELLS = 32
"""Cells of a histogram of equal shares."""
_ROUNDS = 200


def metropolis_drift(z: Float[Tensor, "n d"], log_density: LogDensity, rng: torch.Generator) -> Float[Tensor, "m"]:
    """How far one Metropolis step moves the means of 2 d bounded functions of codes, in standard errors: N(0, 1) each, where
    the codes follow the density.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> z = torch.randn(4096, 2, generator=rng)
        >>> right = metropolis_drift(z, lambda x: -0.5 * x.square().sum(1), rng)
        >>> wide = metropolis_drift(z, lambda x: -0.125 * x.square().sum(1), rng)
        >>> bool(right.abs().max() < 4), bool(wide.abs().max() > 10)
        (True, True)
    """
    below, centre, above = z.quantile(torch.tensor([0.16, 0.5, 0.84]).to(z), 0)
    scale = ((above - below) / 2).clamp(min=1e-12)
    noise = torch.randn(z.shape, generator=rng, dtype=torch.float64).to(z)
    proposed = z + _STEP / z.shape[1] ** 0.5 * scale * noise
    accepted = (log_density(proposed) - log_density(z)).nan_to_num(nan=-math.inf).exp().clamp(max=1).double()

    def bounded(codes: Tensor) -> Tensor:
        odd = ((codes - centre) / scale).double().tanh()
        return torch.cat([odd, odd.square()], 1)

    moved = accepted[:, None] * (bounded(proposed) - bounded(z))
    return moved.mean(0) / (moved.std(0) / len(z) ** 0.5).clamp(min=1e-12)


def bridge_estimate(z: Float[Tensor, "n d"], log_density: LogDensity, rng: torch.Generator) -> tuple[float, float]:
    """Logarithm of the integral of a density, and its standard error, from codes that follow it.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> value, error = bridge_estimate(torch.rand(4096, 2, generator=rng), lambda x: torch.full((len(x),), 0.7), rng)
        >>> abs(value - 0.7) < 5 * error < 0.5
        True
    """
    fitted_to, own = z[: len(z) // 2].double(), z[len(z) // 2 :].double()
    found = [(math.nan, math.inf)]
    for drawn, log_q in _fitted(fitted_to, len(own), rng):
        with torch.no_grad():
            at_own = (log_density(own.to(z)).double() - log_q(own)).nan_to_num(nan=-math.inf)
            at_drawn = (log_density(drawn.to(z)).double() - log_q(drawn)).nan_to_num(nan=-math.inf)
        found.append(_bridged(at_own, at_drawn))
    return min(found, key=lambda one: one[1])


def change_of_variables(z: Float[Tensor, "n d"], to_normal: LogDensity, log_prob: LogDensity) -> Float[Tensor, "n"]:
    """log p(z) less what the Jacobian of the map to normal coordinates says it is.

    Example:
        >>> z = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
        >>> def log_prob(x):
        ...     return -0.125 * x.square().sum(1) - math.log(8 * math.pi)
        >>> change_of_variables(z, lambda x: x / 2, log_prob).abs() < 1e-12
        tensor([True])
    """
    with torch.enable_grad():
        rows = [torch.autograd.functional.jacobian(lambda one: to_normal(one[None])[0], code) for code in z]
    volume = torch.linalg.slogdet(torch.stack([torch.as_tensor(row) for row in rows]).double()).logabsdet
    with torch.no_grad():
        e = to_normal(z).double()
        normal = -0.5 * e.square().sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
        return log_prob(z).double() - normal - volume


def _bridged(at_own: Tensor, at_drawn: Tensor) -> tuple[float, float]:
    """log Z and its error from log(p / q) at codes of p and of q."""
    log_z = torch.zeros((), dtype=torch.float64)
    for _ in range(_ROUNDS):
        of_q, of_p = (at_drawn - log_z).sigmoid(), (log_z - at_own).sigmoid()
        if not (of_q.mean() > 0 and of_p.mean() > 0):
            return math.nan, math.inf
        log_z = (of_q.mean().log() - of_p.mean().log()) + log_z
    parts = [part.var() / part.mean().square() / len(part) for part in (of_q, of_p)]
    return log_z.item(), torch.stack(parts).sum().sqrt().item()


def _fitted(z: Tensor, count: int, rng: torch.Generator) -> Iterator[tuple[Tensor, LogDensity]]:
    """Codes of densities that are fitted to codes, and their log densities."""
    yield _normal(z, count, rng)
    yield _independent(z, count, rng)
    yield _radial(z, count, rng)


def _normal(z: Tensor, count: int, rng: torch.Generator) -> tuple[Tensor, LogDensity]:
    d = z.shape[1]
    covariance = torch.cov(z.mT).reshape(d, d)
    jitter = 1e-9 * covariance.diagonal().mean() * torch.eye(d, dtype=z.dtype, device=z.device)
    fitted = torch.distributions.MultivariateNormal(z.mean(0), covariance + jitter, validate_args=False)
    noise = torch.randn(count, d, generator=rng, dtype=torch.float64).to(z)
    return fitted.loc + noise @ fitted.scale_tril.mT, fitted.log_prob


def _independent(z: Tensor, count: int, rng: torch.Generator) -> tuple[Tensor, LogDensity]:
    columns = [_histogram(column, count, rng) for column in z.mT]
    return torch.stack([drawn for drawn, _ in columns], 1), lambda codes: sum(
        (log_q(column) for column, (_, log_q) in zip(codes.mT, columns, strict=True)), codes.new_zeros(len(codes))
    )


def _radial(z: Tensor, count: int, rng: torch.Generator) -> tuple[Tensor, LogDensity]:
    d = z.shape[1]
    radius, log_radius = _histogram(z.norm(dim=1), count, rng)
    way = torch.nn.functional.normalize(torch.randn(count, d, generator=rng, dtype=torch.float64), dim=1).to(z)

    def log_q(codes: Tensor) -> Tensor:
        r = codes.norm(dim=1)
        return log_radius(r) - log_sphere_area(d) - (d - 1) * r.clamp(min=1e-300).log()

    return radius[:, None] * way, log_q


def _histogram(x: Tensor, count: int, rng: torch.Generator) -> tuple[Tensor, LogDensity]:
    """Cells that hold equal shares of numbers."""
    edges = x.quantile(torch.linspace(0, 1, _CELLS + 1).to(x))
    width = edges.diff().clamp(min=1e-300)
    cell = torch.randint(_CELLS, (count,), generator=rng).to(x.device)
    drawn = edges[cell] + width[cell] * torch.rand(count, generator=rng, dtype=torch.float64).to(x)

    def log_q(values: Tensor) -> Tensor:
        inside = (values >= edges[0]) & (values <= edges[-1])
        place = (torch.searchsorted(edges, values.contiguous(), right=True) - 1).clamp(0, _CELLS - 1)
        return torch.where(inside, -(width[place] * _CELLS).log(), -torch.inf)

    return drawn, log_q
