"""The statistical distance of a code as Cho (2020) computes it: against draws of the prior, fresh for each code."""

import torch
from torch import Tensor

import latentry as lt

__all__ = ["DRAWS", "sampled_wasserstein"]

DRAWS = 10_000


def sampled_wasserstein(z: Tensor, prior: lt.priors.IIDPrior, rng: torch.Generator) -> Tensor:
    """W1 between a code's elements and the draws, `(n,)` for codes `(n, d)`: gradients flow through the gaps."""
    draws = prior.marginal.draw((len(z), DRAWS), rng, z).sort(dim=1).values
    ordered = z.sort(dim=1).values
    support = torch.cat([draws, ordered], 1).sort(dim=1).values
    inner = support[:, :-1].detach().contiguous()
    below_draws = torch.searchsorted(draws, inner, right=True) / DRAWS
    below_code = torch.searchsorted(ordered.detach(), inner, right=True) / z.shape[1]
    return ((below_draws - below_code).abs() * support.diff(dim=1)).sum(1)
