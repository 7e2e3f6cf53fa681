r"""A normalizing flow as a prior: couplings with rational-quadratic splines between random orders of the coordinates.

Codes are carried to normal coordinates by a simpler prior first, its base, so that the flow only bends what that one does
not say. The couplings come from `zuko <https://zuko.readthedocs.io>`_; a coupling and its inverse cost two passes through a
small network each.

References: Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", 2017; Durkan, Bekasov, Murray, Papamakarios,
"Neural spline flows", 2019.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.priors.copula import Copula
from latentry.priors.encoded import decoded, encoded
from latentry.priors.multivariate_normal import MultivariateNormal
from latentry.priors.pushforward import Pushforward, estimated_moments
from latentry.records import class_name, rebuilt

__all__ = ["Flow"]

_MOMENTS_OF = 16384
_BASES: dict[str, type] = {kind.__name__: kind for kind in (Copula, MultivariateNormal)}
"""Bases that a saved flow may name."""


class Flow(Pushforward):
    """Codes whose normal coordinates under a simpler prior a neural spline flow carries to N(0, I).

    The weights are those of an untrained flow, always the same, where none are given; `latentry.fit_prior` trains them.

    Args:
        base: The simpler prior, a `MultivariateNormal` or a `Copula`; or its class and arguments.
        transforms: Couplings.
        bins: Pieces of each spline.
        hidden: Units of the hidden layers of each coupling's network.
        weights: Weights of the couplings, by name.

    Raises:
        ValueError: A size is below 1, the base is of another kind, or the weights do not fit.

    Example:
        >>> prior = Flow(MultivariateNormal([0.0, 0.0], [1.0, 1.0]), transforms=1, bins=4, hidden=(8,))
        >>> z = prior.sample(3).double()
        >>> torch.allclose(prior.from_normal(prior.to_normal(z)), z)
        True
    """

    def __init__(
        self,
        base: MultivariateNormal | Copula | Mapping[str, Any],
        transforms: int = 3,
        bins: int = 8,
        hidden: Sequence[int] = (64, 64),
        weights: Mapping[str, Tensor] | str | None = None,
    ) -> None:
        from zuko.flows import NSF

        known = rebuilt(base, _BASES, "base of a flow") if isinstance(base, Mapping) else base
        class_name(known, _BASES, "latentry.priors", "take a MultivariateNormal or a Copula")
        if min(transforms, *hidden) < 1 or bins < 2:
            raise ValueError(f"expected sizes of at least 1, and 2 bins or more, got {transforms}, {bins} and {[*hidden]}")
        d = known.latent_dim
        super().__init__(d)
        self.bases = (known,)  # in a tuple, as the networks, so that no .float() of the prior takes their digits
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
        self.networks = (flow,)

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        base = {"class": type(self.base).__name__, "arguments": self.base.arguments()}
        return {"base": base, **self.sizes, "weights": encoded(self.networks[0].state_dict())}

    @property
    def base(self) -> Pushforward:
        """The simpler prior."""
        return self.bases[0]

    def moments(self) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        """From draws, always the same."""
        return estimated_moments(lambda n, rng: self.drawn(n, rng, torch.empty(0)), _MOMENTS_OF)

    def _normalized(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        inner, of_base = self.base.normalized(z)
        e, of_flow = self._transform(z).call_and_ladj(inner)
        return e, of_base + of_flow

    def _pushed(self, e: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return self.base.from_normal(self._transform(e).inv(e))

    def _transform(self, like: Tensor) -> Any:
        return self.networks[0].to(like.device)().transform

    def extra_repr(self) -> str:
        return f"latent_dim={self.latent_dim}, base={type(self.base).__name__}, " + ", ".join(
            f"{name}={value}" for name, value in self.sizes.items()
        )
