r"""The most likely code given corrupted data (maximum a posteriori), and a start for the search.

For data :math:`x = C(G(z)) + \sigma \epsilon` of m elements with a known C, or with errors of density
:math:`\exp(-|e| / b)`, the likeliest code of d elements minimises

.. math:: \frac{1}{m} |C G(z) - x|^2 + \frac{2 \sigma^2 d}{m} R(z) \quad\text{or}\quad
    \frac{1}{m} |C G(z) - x|_1 + \frac{b d}{m} R(z), \qquad R(z) = -\frac{1}{d} \log p(z),

so the weight of `recover_codes` follows from the scale of the errors. For noise of standard deviation 1 on images of 784
pixels and 64 latents it is 0.16, far above the 0.01 that suits clean images. Absolute errors are a model of salt and pepper.

The loss has many valleys where there is much noise, so the start matters. Good starts are the posterior mean of a denoising
encoder (`fit_inverse` with `corrupt`) and the nearest of many samples (`nearest_samples`). With several starts, each datum
keeps the code of least loss.

Reference: Bora, Jalal, Price, Dimakis, "Compressed sensing using generative models", 2017.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.holding import Condition, evaluated
from latentry.interfaces import Generator, Prior
from latentry.latent.differences import Difference, Norm
from latentry.latent.likelihood import NegativeLogPrior
from latentry.latent.recovery import recover_codes
from latentry.latent.solvers.adam import Adam
from latentry.latent.start_codes import Encoder
from latentry.priors.adapters import draw

__all__ = ["nearest_samples", "posterior_mode", "posterior_weight"]

_AT_ONCE = 1000


def posterior_weight(norm: Norm, scale: float, latent_dim: int, elements: int) -> float:
    """Weight of `NegativeLogPrior` in `recover_codes` whose minimum is the mode of the posterior.

    Args:
        norm: `l2` for normal errors, `l1` for errors of density exp(-|e| / scale).
        scale: Standard deviation of normal errors, or b of the others.
        latent_dim: Length d of a code.
        elements: Number m of elements that are compared.

    Example:
        >>> from latentry.latent.posterior_mode import posterior_weight
        >>> round(posterior_weight("l2", 1.0, latent_dim=64, elements=784), 2)
        0.16
    """
    return (2 * scale**2 if norm == "l2" else scale) * latent_dim / elements


def posterior_mode(
    generator: Generator,
    x: Float[Tensor, "n *s"],
    prior: Prior,
    *,
    starts: Sequence[Encoder | Float[Tensor, "n d"]],
    condition: Condition | None = None,
    norm: Norm = "l2",
    scale: float = 1.0,
    operator: Callable[[Tensor], Tensor] | None = None,
    mask: Float[Tensor, "n *m"] | None = None,
    steps: int = 40,
    learning_rate: float = 0.1,
) -> Float[Tensor, "n d"]:
    """The likeliest code of each datum given its corrupted data, by Adam from each start.

    Args:
        generator: Any differentiable callable z -> x, or (z, condition) -> x.
        x: Corrupted data, in the units of the generator's output.
        prior: Distribution of the codes.
        starts: Codes, or maps of data to codes; at least one.
        condition: What a conditional generator takes along with codes, one row for each datum.
        norm, scale: Kind and size of the errors, as in `posterior_weight`.
        operator: C, where it is known.
        mask: 1 where an element counts, 0 where it is hidden, with channels broadcast; all count by default.
        steps, learning_rate: Of Adam, from each start.

    Raises:
        ValueError: There is no start, or what `recover_codes` raises.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.latent.posterior_mode import posterior_mode
        >>> x = torch.full((1, 1), 2.0)  # G(z) = z, N(0, 1) on codes and errors: the mode is x / 2
        >>> z = posterior_mode(lambda z: z, x, lt.priors.Normal(1), starts=[x], steps=200)
        >>> round(z.item(), 1)
        1.0
    """
    if not starts:
        raise ValueError("expected at least one start, got none; pass an encoder, or `nearest_samples`")
    elements = x[0].numel() if mask is None else round(mask.mean().item() * x[0].numel())
    found = [
        recover_codes(
            generator,
            x,
            prior,
            condition=condition,
            solver=Adam(steps=steps, learning_rate=learning_rate),
            start=start,
            regularizer=NegativeLogPrior(),
            weight=posterior_weight(norm, scale, prior.latent_dim, elements),
            unit=1.0,  # that of a likelihood
            difference=Difference(norm, operator),
            mask=mask,
            restarts=1,
            determination=False,
        )
        for start in starts
    ]
    best = torch.stack([recovery.loss for recovery in found]).argmin(0)
    return torch.stack([recovery.z for recovery in found])[best, torch.arange(len(x), device=x.device)]


def nearest_samples(
    generator: Generator,
    prior: Prior,
    count: int = 20_000,
    *,
    norm: Norm = "l2",
    operator: Callable[[Tensor], Tensor] | None = None,
    rng: torch.Generator | None = None,
) -> Callable[[Tensor], Tensor]:
    """A start of recovery without any training: for each datum the code of the nearest of many samples.

    Args:
        generator, prior: Where samples come from.
        count: Number of samples; they are kept with their data.
        norm: Distance between data.
        operator: What samples pass before they are compared, if the data passed it.
        rng: Source of the samples, on the prior's device.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.latent.posterior_mode import nearest_samples
        >>> start = nearest_samples(lambda z: 2 * z, lt.priors.Normal(3), 100, rng=torch.Generator().manual_seed(0))
        >>> z = start(torch.zeros(5, 3))
        >>> z.shape
        torch.Size([5, 3])
    """
    z = draw(prior, (count,), rng=rng)
    with evaluated(generator, operator), torch.no_grad():
        decoded = [generator(part) for part in z.split(_AT_ONCE)]
        data = torch.cat([part if operator is None else operator(part) for part in decoded]).flatten(1)

    def nearest(x: Tensor) -> Tensor:
        flat, p = x.to(data).flatten(1), 2.0 if norm == "l2" else 1.0
        distance = torch.cat([torch.cdist(flat, part, p=p) for part in data.split(_AT_ONCE)], 1)
        return z[distance.argmin(1)].to(x)

    return nearest
