"""What encoders say of codes: normal posteriors q(z | x), or codes without spread."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Posterior", "join_posteriors", "normal_posterior"]

_WIDEST = 10.0
"""Log variances are kept within so much of 0."""


@dataclass(frozen=True)
class Posterior:
    """Normal posteriors of codes, or codes themselves."""

    mean: Float[Tensor, "n d"]
    """Means, or the codes."""
    log_variance: Float[Tensor, "n d"] | None
    """Logarithms of the variances; None for codes without spread."""

    def drawn(self, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """A code of each posterior."""
        if self.log_variance is None:
            return self.mean
        noise = torch.randn(self.mean.shape, generator=rng, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def detached(self) -> "Posterior":
        """The same without a gradient."""
        return Posterior(self.mean.detach(), None if self.log_variance is None else self.log_variance.detach())

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "Posterior":
        """The same on a device."""
        spread = None if self.log_variance is None else self.log_variance.to(device, non_blocking=non_blocking)
        return Posterior(self.mean.to(device, non_blocking=non_blocking), spread)


def join_posteriors(parts: Sequence[Posterior]) -> Posterior:
    """Posteriors one after the other, on the CPU."""
    mean = torch.cat([part.mean.cpu() for part in parts])
    spread = [part.log_variance.cpu() for part in parts if part.log_variance is not None]
    return Posterior(mean, torch.cat(spread) if spread else None)


def normal_posterior(given: Float[Tensor, "n k"], least_deviation: float = 0.0) -> Posterior:
    """The posteriors whose means and log variances an encoder gives side by side, none narrower than the least deviation."""
    if given.ndim != 2:
        raise ValueError(f"expected rows (n, 2 d) of means and log variances, got {tuple(given.shape)}; give data n rows")
    mean, log_variance = given.chunk(2, 1)
    least = 2 * math.log(least_deviation) if least_deviation else -_WIDEST
    return Posterior(mean, log_variance.clamp(least, _WIDEST))
