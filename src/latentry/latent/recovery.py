r"""Latent code recovery: the code from which a generator makes given data.

For data x, a generator G and a prior p(z), each code minimises

.. math:: L(z) = dif(x, G(z)) + w R(z)

by Adam from several starts drawn from the prior, all images and all starts in one batch. The generator stays as it is: held
in eval mode, its parameters frozen, and given back with the modes and flags it had.

The kept start is the one whose *final* loss is least. Codes, images and losses that are returned belong together: the
images are computed once more from the final codes, after the last step.

References: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020; Lipton and Tripathi, "Precise
recovery of latent vectors from generative adversarial networks", 2017.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.optim import Adam

from latentry.interfaces import Generator, SampledPrior, check_generator, evaluated
from latentry.latent.regularizers import Regularizer

__all__ = ["Recovery", "recover_codes"]

_TRIAL_CODES = 3
_WARM_UP = 0.05


@dataclass(frozen=True)
class Recovery:
    """What `recover_codes` found for each data point."""

    z: Float[Tensor, "n d"]
    """Recovered codes, of the best start each."""
    x_hat: Float[Tensor, "n *s"]
    """What the generator makes of them."""
    reconstruction_error: Float[Tensor, "n"]
    """Mean squared error of each reconstruction."""
    loss: Float[Tensor, "n"]
    """Loss of each code: difference to the data and weighted regularizer."""
    converged: Bool[Tensor, "n"]
    """Whether the gradient of the loss fell below a hundredth of what it was at the start."""
    restart: Int[Tensor, "n"]
    """Which start was best."""
    restart_loss: Float[Tensor, "n r"]
    """Final loss of every start; infinite where the generator returned NaN."""


def recover_codes(
    generator: Generator,
    x: Shaped[Tensor, "n *s"],
    prior: SampledPrior,
    *,
    regularizer: Regularizer | None = None,
    weight: float = 0.01,
    restarts: int = 4,
    steps: int = 200,
    learning_rate: float = 0.1,
    difference: Literal["l1", "l2"] = "l2",
    batch_size: int = 1024,
    rng: torch.Generator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recovery:
    r"""Find codes z with G(z) = x, by gradient descent from several starts.

    Reference: Cho (2020), there one image at a time.

    Args:
        generator: Any differentiable, deterministic callable z -> x. If it is a module or a method of one, it is held in
            eval mode with frozen parameters meanwhile.
        x: Data, in the units of the generator's output; codes are computed in its dtype and on its device.
        prior: Law of the codes: source of the starts, and what the regularizer compares with.
        regularizer: R, such as `StatisticalDistance("wasserstein")` or `L2()`; None leaves codes free.
        weight: w, at least 0, against a difference that is a mean over the elements of x.
        restarts: Starts for each data point.
        steps: Adam iterations of each start.
        learning_rate: Highest learning rate; warmed up over the first twentieth of the steps, then lowered along a cosine.
        difference: Mean absolute (`l1`, as in the paper) or mean squared (`l2`) difference.
        batch_size: Codes in memory at once, starts included.
        rng: Source of the starts, on the prior's device.
        progress: Called as `progress(done, total)` after each iteration of each batch.

    Raises:
        ValueError: The data do not fit the generator or hold NaN, a number is outside its range, or the generator is
            stochastic, depends on its batch or has no gradient.
    """
    _check_arguments(x, weight, restarts, steps, learning_rate, batch_size)
    with evaluated(generator):
        trial = prior.sample(_TRIAL_CODES, rng=torch.Generator(_device_of(prior)).manual_seed(0)).to(x)
        check_generator(generator, trial)
        _check_shapes(x, generator, trial)

        def loss_parts(z: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            x_hat = generator(z)
            residual = (x_hat - target).flatten(1)
            mean_square = residual.square().mean(1)
            loss = residual.abs().mean(1) if difference == "l1" else mean_square
            if regularizer is not None:
                loss = loss + weight * regularizer(z, prior)
            return loss, mean_square, x_hat

        images_a_batch = max(1, batch_size // restarts)
        chunks = x.split(images_a_batch)
        starts = prior.sample((len(x), restarts), rng=rng).split(images_a_batch)
        found = []
        for index, (chunk, start) in enumerate(zip(chunks, starts, strict=True)):

            def advance(step: int, done: int = index * steps) -> None:
                if progress is not None:
                    progress(done + step, len(chunks) * steps)

            found.append(_descend(loss_parts, chunk, start.to(x), steps, learning_rate, advance))
    return Recovery(*(torch.cat([getattr(part, field.name) for part in found]) for field in fields(Recovery)))


def _descend(
    loss_parts: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
    x: Tensor,
    start: Tensor,
    steps: int,
    learning_rate: float,
    advance: Callable[[int], None],
) -> Recovery:
    """Adam on all starts `(n, r, d)` of all data points at once, then the best start of each."""
    n, restarts, d = start.shape
    target = x.repeat_interleave(restarts, 0)
    z = start.reshape(n * restarts, d).clone().requires_grad_(True)
    optimizer = Adam([z], lr=learning_rate, betas=(0.9, 0.99))

    def slope() -> Tensor:
        (gradient,) = torch.autograd.grad(loss_parts(z, target)[0].sum(), z)
        return gradient

    first_slope = torch.empty(0)
    with torch.enable_grad():
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = learning_rate * _rate_factor(step / steps)
            z.grad = slope()
            if step == 0:
                first_slope = z.grad.norm(dim=1)
            optimizer.step()
            advance(step + 1)
        loss, mean_square, x_hat = loss_parts(z, target)
        (last_slope,) = torch.autograd.grad(loss.sum(), z)

    table = loss.detach().nan_to_num(nan=math.inf).view(n, restarts)
    restart = table.argmin(1)
    kept = torch.arange(n, device=x.device) * restarts + restart
    return Recovery(
        z=z.detach()[kept],
        x_hat=x_hat.detach()[kept],
        reconstruction_error=mean_square.detach()[kept],
        loss=loss.detach()[kept],
        converged=(last_slope.norm(dim=1) <= 0.01 * first_slope)[kept],
        restart=restart,
        restart_loss=table,
    )


def _rate_factor(share: float) -> float:
    """Learning rate after this share of the steps, as a part of the highest."""
    warm = min(1.0, (share + 1e-2) / _WARM_UP)
    return warm * 0.5 * (1 + math.cos(math.pi * share))


def _device_of(prior: SampledPrior) -> torch.device:
    return prior.sample(0).device


def _check_arguments(x: Tensor, weight: float, restarts: int, steps: int, learning_rate: float, batch_size: int) -> None:
    for name, value in (("restarts", restarts), ("steps", steps), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"expected {name} >= 1, got {value}")
    if not (weight >= 0 and learning_rate > 0):
        raise ValueError(f"expected weight >= 0 and learning_rate > 0, got {weight} and {learning_rate}")
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(f"expected data of shape (n, ...), n >= 1, got {tuple(x.shape)}; add a batch axis with x[None]")
    if not x.is_floating_point():
        raise ValueError(f"expected floating-point data, got {x.dtype}; scale images to [-1, 1]")
    broken = (~x.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
    if broken:
        raise ValueError(f"expected finite data, got NaN or infinity in items {broken[:8]}; mask or drop them")


def _check_shapes(x: Tensor, generator: Generator, trial: Tensor) -> None:
    with torch.no_grad():
        made = generator(trial).shape[1:]
    if x.shape[1:] != made:
        raise ValueError(
            f"expected data of shape (n, {', '.join(map(str, made))}) as the generator makes them, got {tuple(x.shape)}; "
            "resize, or convert the channels (grey or colour)"
        )
