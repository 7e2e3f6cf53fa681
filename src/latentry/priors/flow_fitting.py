r"""Flows trained on codes by maximum likelihood, until codes held back stop to gain.

One flow bends what a normal distribution leaves of the codes, another what a copula leaves; the better one for the codes
held back is kept.

References: Kingma and Ba, "Adam: a method for stochastic optimization", 2015; Prechelt, "Early stopping - but when?", 1998.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from latentry.priors.copula import Copula
from latentry.priors.flow import Flow
from latentry.priors.multivariate_normal import MultivariateNormal

__all__ = ["fitted_flow"]

_HELD_BACK = 5
"""One code in so many."""
_EPOCHS, _PATIENCE, _BATCH = 60, 12, 256
_MOST_UPDATES = 1500
_LEARNING_RATE, _LONGEST_GRADIENT = 3e-3, 5.0


def fitted_flow(z: Float[Tensor, "n d"], rng: torch.Generator, tell: Callable[[int, int], None] | None = None) -> Flow:
    """A flow whose weights are those at which codes held back, a fifth, were most likely.

    Args:
        z: Codes, at least 40.
        rng: Source of the split and of the batches.
        tell: Called with how many epochs of how many are done.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> angle = 6.3 * torch.rand(300, generator=rng)
        >>> z = torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(300, 2, generator=rng)
        >>> flow = fitted_flow(z, rng)
        >>> (flow.log_prob(z).mean() > MultivariateNormal.fitted(z).log_prob(z).mean()).item()
        True
    """
    z = z.double()[torch.randperm(len(z), generator=rng)]
    count = len(z) // _HELD_BACK
    back, fit = z[:count], z[count:]
    epochs = max(1, min(_EPOCHS, _MOST_UPDATES * min(_BATCH, len(fit)) // len(fit)))
    found = []
    bases: tuple[MultivariateNormal | Copula, ...] = (MultivariateNormal.fitted(fit), Copula.fitted(fit))
    for place, base in enumerate(bases):
        found.append(
            _trained(base, fit, back, epochs, rng, None if tell is None else _after(tell, place * epochs, 2 * epochs))
        )
    return max(found, key=lambda flow: flow.log_prob(back).mean().item())


def _after(tell: Callable[[int, int], None], before: int, total: int) -> Callable[[int], None]:
    return lambda done: tell(before + done, total)


def _trained(
    base: MultivariateNormal | Copula,
    fit: Float[Tensor, "n d"],
    back: Float[Tensor, "m d"],
    epochs: int,
    rng: torch.Generator,
    tell: Callable[[int], None] | None,
) -> Flow:
    fit, back = base.to_normal(fit).float(), base.to_normal(back).float()
    flow = Flow(base).networks[0].float().requires_grad_(True).train()
    adam = Adam(flow.parameters(), lr=_LEARNING_RATE)
    schedule = CosineAnnealingLR(adam, epochs)
    best, since, weights = torch.inf, 0, {name: value.clone() for name, value in flow.state_dict().items()}
    for epoch in range(epochs):
        for rows in torch.randperm(len(fit), generator=rng).split(_BATCH):
            loss = -flow().log_prob(fit[rows]).mean()
            adam.zero_grad()
            loss.backward()
            clip_grad_norm_(flow.parameters(), _LONGEST_GRADIENT)
            adam.step()
        schedule.step()
        with torch.no_grad():
            error = -flow().log_prob(back).mean().item()
        since = 0 if error < best else since + 1
        if error < best:
            best, weights = error, {name: value.clone() for name, value in flow.state_dict().items()}
        if tell is not None:
            tell(epoch + 1)
        if since >= _PATIENCE:
            break
    doubled = {name: value.double() if value.is_floating_point() else value for name, value in weights.items()}
    return Flow(base, weights=doubled)
