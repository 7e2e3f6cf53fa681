r"""A normalizing flow with companions: an invertible map of codes for every value of what comes with them.

With :math:`w = T_c(z)` the law of codes given their companions is that of :math:`T_c^{-1}(w)`, :math:`w \sim N(0, I)`:

.. math:: \log p(z | c) = \log N(T_c(z); 0, I) + \log | \det \partial T_c / \partial z | .

Where that is the law that codes have, w is N(0, I) whatever c is: it knows nothing of c, and z is found again from both.

The map is a chain of couplings with rational-quadratic splines, between random orders of the coordinates, from
`zuko <https://zuko.readthedocs.io>`_. A coupling and its inverse cost two passes through a small network each.

References: Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", 2017; Durkan, Bekasov, Murray, Papamakarios,
"Neural spline flows", 2019.
"""

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
        transforms: Couplings in the chain.
        bins: Pieces of each spline.
        hidden: Units of the hidden layers of each coupling's network.

    Raises:
        ValueError: A size is below 1.
    """

    loc: Tensor
    scale: Tensor
    context_loc: Tensor
    context_scale: Tensor

    def __init__(self, dim: int, context: int, transforms: int = 5, bins: int = 6, hidden: Sequence[int] = (64, 64)) -> None:
        from zuko.flows import NSF

        super().__init__()
        sizes = {"dim": dim, "context": context, "transforms": transforms, "bins": bins, "hidden": list(hidden)}
        if min(dim, context, transforms, *hidden) < 1 or bins < 2:
            raise ValueError(f"expected sizes of at least 1, and 2 bins or more, got {sizes}")
        self.arguments: dict[str, Any] = sizes
        self.flow = NSF(dim, context, bins, transforms=transforms, hidden_features=list(hidden), passes=2, randperm=True)
        for name, size in (("loc", dim), ("scale", dim), ("context_loc", context), ("context_scale", context)):
            self.register_buffer(name, torch.full((size,), float("scale" in name)))

    def standardise_(self, z: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> None:
        """Take mean and deviation of these codes and companions as those of all: splines reach to five deviations."""
        for name, values in (("", z), ("context_", context)):
            self.get_buffer(f"{name}loc").copy_(values.mean(0))
            self.get_buffer(f"{name}scale").copy_(values.std(0).clamp(min=torch.finfo(values.dtype).eps))

    def forward(self, z: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> Float[Tensor, "n dim"]:
        """w, normal where the codes are as they were in training."""
        return self._given(context).transform((z - self.loc) / self.scale)

    def inverse(self, w: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> Float[Tensor, "n dim"]:
        """The codes of numbers w."""
        return self.loc + self.scale * self._given(context).transform.inv(w)

    def log_prob(self, z: Float[Tensor, "n dim"], context: Float[Tensor, "n c"]) -> Float[Tensor, "n"]:
        """log p(z | c), in nats."""
        return self._given(context).log_prob((z - self.loc) / self.scale) - self.scale.log().sum()

    def _given(self, context: Tensor) -> Any:
        return self.flow((context - self.context_loc) / self.context_scale)
