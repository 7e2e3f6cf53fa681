r"""Which elements of a code carry anything: of the posteriors of a VAE, or of codes alone.

With posterior means :math:`\mu_j(x)` and deviations :math:`\sigma_j(x)` an element is *active* where
:math:`\mathrm{Var}_x \, \mu_j > 0.01` (Burda et al., 2016): a decoder that passes over an element leaves its posterior at
the prior, and the mean does not move. Its mean divergence from N(0, 1),

.. math:: KL_j = E_x \tfrac12 (\mu_j^2 + \sigma_j^2 - 1 - \ln \sigma_j^2) ,

is 0 there as well. Elements can be active and yet move together: with :math:`\lambda` the eigenvalues of the covariance of
the means, the *participation ratio* :math:`(\sum \lambda)^2 / \sum \lambda^2` is the number of directions that they spread
over, d where all are alike and 1 where one has all.

References: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", 2016 (active units); Gao and Ganguli, "On
simplicity and complexity in the brave new world of large-scale neuroscience", 2015 (participation ratio).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution

from latentry.display import Facts, Plottable, number
from latentry.names import counted
from latentry.numerics.inputs import checked

__all__ = ["ActiveDimensions", "active_dimensions"]

_THRESHOLD = 0.01
_SHARE = 0.95


@dataclass(frozen=True, repr=False)
class ActiveDimensions(Plottable):
    """How much each element of a code carries.

    Example:
        >>> import torch, latentry as lt
        >>> z = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1.0, 0.01])
        >>> found = lt.metrics.active_dimensions(z)
        >>> found.active.tolist(), round(found.participation_ratio)
        ([True, True, False], 2)
    """

    variance: Float[Tensor, "d"]
    """Variance of each element over the data, of posterior means where there are posteriors."""
    divergence: Float[Tensor, "d"] | None
    """Mean divergence of each element's posterior from N(0, 1) in nats; None for codes without posteriors."""
    active: Bool[Tensor, "d"]
    """Whether the variance is above the threshold."""
    threshold: float
    """Variance of an active element at least."""
    participation_ratio: float
    """Number of directions that codes spread over, from 1 to d."""
    directions: int
    """Fewest principal directions with 95 % of the variance."""
    eigenvalues: Float[Tensor, "d"]
    """Variances along the principal directions, the largest first."""

    @property
    def count(self) -> int:
        """How many elements are active."""
        return int(self.active.sum())

    def _facts(self) -> Facts:
        d = len(self.active)
        idle = (~self.active).nonzero().flatten().tolist()
        rows = [
            ("active", f"{self.count} of {d}, of a variance above {self.threshold:g}"),
            ("participation ratio", f"{self.participation_ratio:.1f} directions"),
            ("95 % of the variance", f"in {counted(self.directions, 'direction')}"),
        ]
        if self.divergence is not None:
            rows.append(("divergence from N(0, I)", f"{number(self.divergence.sum().item())} nats a code"))
        meaning = "Every element is active." if not idle else f"Not active: {', '.join(map(str, idle[:20]))}."
        return Facts(f"Active dimensions of codes of {counted(d, 'element')}", tuple(rows), meaning)

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import GUIDE, LINE

        panel = figure.subplots()
        variances = self.variance.sort(descending=True).values.clamp(min=1e-12)
        panel.semilogy(variances.numpy(), color=LINE, marker="o", markersize=3)
        panel.axhline(self.threshold, color=GUIDE, linewidth=1, linestyle="--")
        panel.set_xlabel("element, by variance", fontsize=8)
        panel.set_ylabel("variance of posterior means" if self.divergence is not None else "variance", fontsize=8)
        panel.tick_params(labelsize=7)


@checked()
def active_dimensions(
    z: Float[Tensor, "n d"] | Distribution,
    logvar: Float[Tensor, "n d"] | None = None,
    *,
    threshold: float = _THRESHOLD,
) -> ActiveDimensions:
    """How many elements of codes are active, and over how many directions codes spread.

    Reference: Burda et al. (2016).

    Args:
        z: Codes or posterior means; or posteriors with `mean` and `variance` `(n, d)`, such as an encoder gives.
        logvar: Logarithms of the posterior variances, where `z` are posterior means.
        threshold: Variance of an active element at least, in the units of the codes; 0.01 is meant for a prior N(0, I).

    Raises:
        ValueError: There are fewer than two codes, they do not vary at all, or the posteriors are of another shape.

    Example:
        >>> import torch, latentry as lt
        >>> mean, logvar = torch.randn(100, 2) * torch.tensor([1.0, 0.0]), torch.tensor([[-4.0, 0.0]]).expand(100, 2)
        >>> found = lt.metrics.active_dimensions(mean, logvar)
        >>> found.count, found.divergence.round()[1]
        (1, tensor(0., dtype=torch.float64))
    """
    if isinstance(z, Distribution):
        if logvar is not None:
            raise ValueError("expected logvar beside posterior means, got it beside posteriors; leave it out")
        mean: Tensor = z.mean.detach()
        variance: Tensor | None = z.variance.detach()
    else:
        mean, variance = z, None if logvar is None else logvar.double().exp()
    if mean.ndim != 2 or len(mean) < 2 or not mean.isfinite().all():
        raise ValueError(f"expected finite codes (n, d), at least two, got {tuple(mean.shape)}; flatten them")
    if not threshold >= 0:
        raise ValueError(f"expected threshold >= 0, got {threshold}; 0.01 is usual")
    mean = mean.cpu().double()
    spread = mean.var(0)
    eigenvalues = torch.linalg.svdvals(mean - mean.mean(0)).square() / (len(mean) - 1)
    eigenvalues = torch.cat([eigenvalues, eigenvalues.new_zeros(mean.shape[1] - len(eigenvalues))])
    if not eigenvalues[0] > 0:
        raise ValueError(f"expected codes that vary, got {len(mean)} that are all equal; check the encoder")
    shares = eigenvalues.cumsum(0) / eigenvalues.sum()
    divergence = None
    if variance is not None:
        variance = variance.cpu().double()
        divergence = 0.5 * (mean.square() + variance - 1 - variance.log()).mean(0)
    return ActiveDimensions(
        variance=spread,
        divergence=divergence,
        active=spread > threshold,
        threshold=threshold,
        participation_ratio=(eigenvalues.sum().square() / eigenvalues.square().sum()).item(),
        directions=int((shares < _SHARE).sum()) + 1,
        eigenvalues=eigenvalues,
    )
