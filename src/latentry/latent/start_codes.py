"""The codes that a recovery starts from: given as codes, or by an encoder of any kind."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution

from latentry.holding import evaluated

__all__ = ["Encoder", "start_codes"]

Encoder = Callable[[Tensor], Any]
"""Data to codes `(n, d)`, to a pair of means and log variances `(n, d)` each, or to a distribution of codes."""
_AT_ONCE = 256


def start_codes(start: Encoder | Float[Tensor, "n d"], x: Shaped[Tensor, "n *s"], latent_dim: int) -> Float[Tensor, "n d"]:
    """One code for each datum, in the dtype and on the device of the data: of a distribution its mean.

    Args:
        start: Codes; or an encoder, x -> z, x -> (mean, logvar) or x -> a distribution with a mean.
        x: Data.
        latent_dim: Elements of a code.

    Raises:
        ValueError: What comes is nothing of these, of another shape, or not finite.

    Example:
        >>> posterior = lambda x: (x[:, :2] / 2, torch.zeros(len(x), 2))
        >>> start_codes(posterior, torch.ones(1, 4), 2)
        tensor([[0.5000, 0.5000]])
    """
    if isinstance(start, Tensor):
        found = start.to(x)
    else:
        with evaluated(start) as (encoder,), torch.no_grad():
            found = torch.cat([_mean(encoder(part)).to(x) for part in x.split(_AT_ONCE)])
    if found.shape != (len(x), latent_dim) or not found.isfinite().all():
        values = "" if found.isfinite().all() else " with NaN or infinity"
        raise ValueError(
            f"expected finite starts of shape {(len(x), latent_dim)}, one for each datum, got {tuple(found.shape)}{values}; "
            "pass codes, or an encoder of these data"
        )
    return found.detach()


def _mean(found: Any) -> Tensor:
    if isinstance(found, Distribution):
        mean: Tensor = found.mean
        return mean
    pair = isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(part, Tensor) for part in found)
    if pair and found[0].shape == found[1].shape:
        first: Tensor = found[0]
        return first
    if isinstance(found, Tensor):
        return found
    got = f"shapes {' and '.join(str(tuple(part.shape)) for part in found)}" if pair else type(found).__name__
    raise ValueError(
        f"expected start(x) to give codes (n, d), a pair (mean, logvar) of that shape each, or a distribution with such a "
        f"mean, got {got}; wrap it, such as in lambda x: encoder(x)[0]"
    )
