r"""The normal prior of any mean and covariance, :math:`N(\mu, L L^T)`, with :math:`e = L^{-1} (z - \mu)`.

Fitted to n codes of d elements the covariance is that of Ledoit and Wolf between standardised coordinates: the sample's,
shrunk towards no correlation by as much as its own noise asks for. So it is regular for n < d too, and there is no cliff.

Reference: Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.priors.encoded import double, encoded
from latentry.priors.pushforward import Pushforward

__all__ = ["MultivariateNormal", "correlation_of"]


class MultivariateNormal(Pushforward):
    """N(loc, L L^T) codes.

    Args:
        loc: Mean `(d,)`.
        scale: Lower triangular factor L of the covariance, `(d, d)`, with a diagonal above 0; or the standard deviations
            `(d,)` of independent coordinates.

    Raises:
        ValueError: Shapes do not fit each other, or numbers are outside their range.

    Example:
        >>> prior = MultivariateNormal([0.0, 1.0], [[2.0, 0.0], [1.0, 1.0]])
        >>> prior.to_normal(torch.tensor([[2.0, 3.0]]))
        tensor([[1., 1.]])
        >>> MultivariateNormal([0.0, 1.0], [1.0, 2.0]).sample(5).shape
        torch.Size([5, 2])
    """

    def __init__(self, loc: Float[Tensor, "d"] | Sequence[float] | str, scale: Tensor | Sequence[Any] | str) -> None:
        self_loc, self_scale = double("loc", loc), double("scale", scale)
        d = len(self_loc) if self_loc.ndim == 1 else 0
        if d == 0 or self_scale.shape not in ((d,), (d, d)):
            raise ValueError(
                f"expected a mean (d,) with standard deviations (d,) or a triangular factor (d, d), got "
                f"{tuple(self_loc.shape)} and {tuple(self_scale.shape)}; take torch.linalg.cholesky of a covariance"
            )
        deviations = self_scale if self_scale.ndim == 1 else self_scale.diagonal()
        if not (deviations > 0).all() or (self_scale.ndim == 2 and self_scale.triu(1).any()):
            raise ValueError(
                "expected standard deviations above 0, or a lower triangular factor with such a diagonal, got others; "
                "take torch.linalg.cholesky of a covariance"
            )
        super().__init__(d)
        self.loc, self.scale = self_loc, self_scale

    @classmethod
    def fitted(cls, z: Float[Tensor, "n d"], *, independent: bool = False) -> "MultivariateNormal":
        """The prior with mean and standard deviations of codes, and with their correlations unless `independent`.

        Example:
            >>> z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
            >>> MultivariateNormal.fitted(z).scale.shape, MultivariateNormal.fitted(z, independent=True).scale.shape
            (torch.Size([2, 2]), torch.Size([2]))
        """
        z = z.double()
        loc, scale = z.mean(0), z.std(0, correction=0)
        if independent:
            return cls(loc, scale)
        return cls(loc, scale[:, None] * torch.linalg.cholesky(correlation_of((z - loc) / scale)))

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {"loc": encoded({"value": self.loc}), "scale": encoded({"value": self.scale})}

    def moments(self) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        return self.loc, self.scale.square() if self.scale.ndim == 1 else self.scale.square().sum(1)

    def _normalized(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        scale, centred = self.scale.to(z), z - self.loc.to(z)
        if scale.ndim == 1:
            return centred / scale, -scale.log().sum().expand(len(z))
        e = torch.linalg.solve_triangular(scale, centred.mT, upper=False).mT
        return e, -scale.diagonal().log().sum().expand(len(z))

    def _pushed(self, e: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        scale = self.scale.to(e)
        return self.loc.to(e) + (scale * e if scale.ndim == 1 else e @ scale.mT)

    def extra_repr(self) -> str:
        return f"latent_dim={self.latent_dim}, {'independent' if self.scale.ndim == 1 else 'correlated'}"


def correlation_of(scores: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Correlations of standardised numbers, shrunk as Ledoit and Wolf (2004) do.

    Example:
        >>> scores = torch.randn(100, 1, generator=torch.Generator().manual_seed(0)).expand(100, 2)
        >>> correlation_of(scores)[0, 1] > 0.9
        tensor(True)
    """
    from sklearn.covariance import ledoit_wolf

    covariance = torch.from_numpy(ledoit_wolf(scores.double().cpu().numpy(), assume_centered=True)[0])
    deviations = covariance.diagonal().sqrt()
    return covariance / deviations[:, None] / deviations
