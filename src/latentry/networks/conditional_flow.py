r"""A conditional normalizing flow: for every condition an invertible map of codes.

With :math:`w = T_c(z)` the distribution of codes given their companions is that of :math:`T_c^{-1}(w)`, :math:`w \sim N(0,
I)`:

.. math:: \log p(z | c) = \log N(T_c(z); 0, I) + \log | \det \partial T_c / \partial z | .

Where that is the distribution that codes have, w is N(0, I) whatever c is: it knows nothing of c, and z is found again from
both.

The map is a chain of couplings with rational-quadratic splines, between random orders of the coordinates, from
`zuko <https://zuko.readthedocs.io>`_: first some that are common to all companions, :math:`u = S(z)`, then some that heed
them, :math:`w = T_c(u)`. A coupling and its inverse cost two passes through a small network each.

References: Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", 2017; Durkan, Bekasov, Murray, Papamakarios,
"Neural spline flows", 2019.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ConditionalFlow"]


class ConditionalFlow(nn.Module):
    """Codes `(n, dim)` with companions `(n, context)` to as many numbers, and back.

    Args:
        dim: Length of a code.
        context: Length of its companion.
        transforms: Couplings that heed the companions.
        common: Couplings before them that do not.
        bins: Pieces of each spline.
        hidden: Units of the hidden layers of each coupling's network.

    Raises:
        ValueError: A size is below 1.
    """

    loc: Tensor
    scale: Tensor
    context_loc: Tensor
    context_scale: Tensor

    def __init__(
        self,
        dim: int,
        context: int,
        transforms: int = 3,
        common: int = 3,
        bins: int = 6,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        from zuko.flows import NSF

        super().__init__()
        sizes = {"dim": dim, "context": context, "transforms": transforms, "common": common, "bins": bins}
        self.arguments: dict[str, Any] = {**sizes, "hidden": list(hidden)}
        if min(dim, context, transforms, common, *hidden) < 1 or bins < 2:
            raise ValueError(f"expected sizes of at least 1, and 2 bins or more, got {self.arguments}")
        shape: dict[str, Any] = {"bins": bins, "hidden_features": list(hidden), "passes": 2, "randperm": True}
        self.first = NSF(dim, 0, transforms=common, **shape)
        self.then = NSF(dim, context, transforms=transforms, **shape)
        for name, size in (("loc", dim), ("scale", dim), ("context_loc", context), ("context_scale", context)):
            self.register_buffer(name, torch.full((size,), float("scale" in name)))

    def standardise_(self, z: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> None:
        """Take mean and deviation of these codes and companions as those of all: splines reach to five deviations."""
        for name, values in (("", z), ("context_", context)):
            self.get_buffer(f"{name}loc").copy_(values.mean(0))
            self.get_buffer(f"{name}scale").copy_(values.std(0).clamp(min=torch.finfo(values.dtype).eps))

    def forward(self, z: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> Float[Tensor, "n dim"]:
        """w, normal where the codes are as they were in training."""
        return self._then(context)(self.first().transform((z - self.loc) / self.scale))

    def inverse(self, w: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> Float[Tensor, "n dim"]:
        """The codes of numbers w."""
        return self.loc + self.scale * self.first().transform.inv(self._then(context).inv(w))

    def log_prob(self, z: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> Float[Tensor, "n"]:
        """log p(z | c), in nats."""
        return self.displaced(z, context)[0]

    def displaced(
        self, z: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
        """log p(z | c), in nats, and |w - u|^2, by how much the companions displace each code."""
        u, of_first = self.first().transform.call_and_ladj((z - self.loc) / self.scale)
        w, of_then = self._then(context).call_and_ladj(u)
        normal = -0.5 * (w.square() + math.log(2 * math.pi)).sum(1)
        return normal + of_first + of_then - self.scale.log().sum(), (w - u).square().sum(1)

    def _then(self, context: Tensor) -> Any:
        return self.then((context - self.context_loc) / self.context_scale).transform
