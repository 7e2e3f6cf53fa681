r"""A normalizing flow as a prior: couplings with rational-quadratic splines between random orders of the coordinates.

Codes are whitened by their mean and covariance first, so that the flow only bends what a normal distribution does not say.
The couplings come from `zuko <https://zuko.readthedocs.io>`_; a coupling and its inverse cost two passes through a small
network each. Where there is a single coordinate, its spline has no network to feed it.

References: Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", 2017; Durkan, Bekasov, Murray, Papamakarios,
"Neural spline flows", 2019.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.priors.encoded import decoded, encoded
from latentry.priors.multivariate_normal import MultivariateNormal
from latentry.priors.pushforward import Pushforward, estimated_moments

__all__ = ["Flow"]

_MOMENTS_OF = 16384


class Flow(Pushforward):
    """Codes whose whitened coordinates a neural spline flow carries to N(0, I).

    The weights are those of an untrained flow, drawn with seed 0, where none are given; `latentry.fit_prior` trains them.

    Args:
        loc: Mean that codes are whitened by, `(d,)`.
        scale: Lower triangular factor of their covariance, `(d, d)`, or standard deviations `(d,)`.
        transforms: Couplings.
        bins: Pieces of each spline.
        hidden: Units of the hidden layers of each coupling's network.
        weights: Weights of the couplings, by name.

    Raises:
        ValueError: A size is below 1, or the weights do not fit.

    Example:
        >>> prior = Flow(torch.zeros(2), torch.ones(2), transforms=1, bins=4, hidden=(8,))
        >>> z = prior.sample(3).double()
        >>> torch.allclose(prior.from_normal(prior.to_normal(z)), z)
        True
    """

    def __init__(
        self,
        loc: Tensor | Sequence[float] | str,
        scale: Tensor | Sequence[Any] | str,
        transforms: int = 3,
        bins: int = 8,
        hidden: Sequence[int] = (64, 64),
        weights: Mapping[str, Tensor] | str | None = None,
    ) -> None:
        from zuko.flows import NSF

        whitening = MultivariateNormal(loc, scale)
        d = whitening.latent_dim
        if min(transforms, *hidden) < 1 or bins < 2:
            raise ValueError(f"expected sizes of at least 1, and 2 bins or more, got {transforms}, {bins} and {[*hidden]}")
        super().__init__(d)
        self.whitening = whitening
        self.sizes: dict[str, Any] = {"transforms": transforms, "bins": bins, "hidden": list(hidden)}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            flow = NSF(d, transforms=transforms, bins=bins, hidden_features=list(hidden), passes=2, randperm=d > 1)
        flow = flow.double().eval().requires_grad_(False)
        if weights is not None:
            found = decoded(weights) if isinstance(weights, str) else dict(weights)
            try:
                flow.load_state_dict(found)
            except RuntimeError as error:
                raise ValueError(f"expected weights of a flow of these sizes, got others ({error}); fit it again") from None
        self.networks = (flow,)  # in a tuple, so that no .float() of the prior takes their digits

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {**self.whitening.arguments(), **self.sizes, "weights": encoded(self.networks[0].state_dict())}

    def moments(self) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        """From draws, always the same."""
        return estimated_moments(lambda n, rng: self.drawn(n, rng, self.whitening.loc[:0]), _MOMENTS_OF)

    def _normalized(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        white, of_whitening = self.whitening._normalized(z)
        e, of_flow = self._transform(z).call_and_ladj(white)
        return e, of_whitening + of_flow

    def _pushed(self, e: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return self.whitening._pushed(self._transform(e).inv(e))

    def _transform(self, like: Tensor) -> Any:
        return self.networks[0].to(like.device)().transform

    def extra_repr(self) -> str:
        return f"latent_dim={self.latent_dim}, " + ", ".join(f"{name}={value}" for name, value in self.sizes.items())
