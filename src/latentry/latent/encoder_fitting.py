"""What the trainings of encoders share, on the generator's own pairs (`inverse`) or on data (`encoding`).

A network for the shape of the data, pairs of a code and what the generator makes of it, and an optimiser that begins gently.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer

from latentry.holding import Condition, evaluated, made, weights_like
from latentry.holding.conditions import drawn_rows
from latentry.interfaces import Generator, Prior
from latentry.networks import ConvolutionalEncoder, VectorEncoder, channels_last
from latentry.numerics.batches import in_batches
from latentry.priors import files as prior_files
from latentry.priors.adapters import draw
from latentry.priors.location_scale import Standardization
from latentry.training.own_networks import TRIAL, own_network

__all__ = [
    "Pairs",
    "code_error",
    "deviations",
    "element_errors",
    "encode",
    "encoder_for",
    "first_encoder",
    "gentle_adam",
    "prior_record",
]

AT_ONCE = 256
"""Codes or data in memory at once where no gradient is requested."""
_WARM_UP = 50
"""Iterations until the full learning rate. On the shipped digits 250 iterations leave an error of 0.82, without it 0.90."""
_LONGEST_GRADIENT = 1.0


class Pairs:
    """Endless pairs of a code and what the generator makes of it, both in single precision on the generator's device.

    A conditional generator makes it under one of the given conditions, drawn anew for each code.
    """

    def __init__(
        self,
        generator: Generator,
        prior: Prior,
        noise: float = 0.0,
        corrupt: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        condition: Condition | None = None,
    ) -> None:
        self.generator, self.prior, self.noise, self.corrupt = generator, prior, noise, corrupt
        self.condition = condition
        self.prior_device = draw(prior, (0,)).device
        self.like = weights_like(generator, draw(prior, (0,)))

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """n codes `(n, d)` of the prior and their data, corruption and noise included."""
        z, condition = self.codes(n, rng), drawn_rows(self.condition, n, rng)
        with torch.no_grad():
            x = made(self.generator, self.for_generator(z), condition, size=AT_ONCE).float()
        if self.corrupt is not None:
            x = self.corrupt(x, rng)
        if self.noise > 0:
            x = x + self.noise * torch.randn(x.shape, generator=rng, device=rng.device).to(x)
        return z.to(x.device), x

    def codes(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Codes of the prior."""
        return draw(self.prior, (n,), rng=self._on_prior_device(rng))

    def for_generator(self, z: Tensor) -> Tensor:
        """Codes in the dtype and on the device of the generator's weights."""
        return z.to(self.like)

    def _on_prior_device(self, rng: torch.Generator) -> torch.Generator:
        if rng.device == self.prior_device:
            return rng
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
        return torch.Generator(self.prior_device).manual_seed(seed)


def prior_record(prior: Prior) -> dict[str, Any] | None:
    """What tells a prior from another, where it is one of this package."""
    return prior_files.record(prior) if isinstance(prior, prior_files.SavedPrior) else None


def gentle_adam(encoder: nn.Module, learning_rate: float) -> Optimizer:
    """Adam that clips the gradient before a step, and lets the learning rate that the loop has set rise over the first."""
    adam = Adam(encoder.parameters(), lr=learning_rate, betas=(0.9, 0.99))

    def soften(optimizer: Optimizer, arguments: Any, options: Any) -> None:
        clip_grad_norm_(encoder.parameters(), _LONGEST_GRADIENT)
        turn = 1 + next((int(state["step"]) for state in optimizer.state.values()), 0)
        for group in optimizer.param_groups:
            group["lr"] *= min(1.0, turn / _WARM_UP)

    adam.register_step_pre_hook(soften)
    return adam


def encoder_for(data_shape: tuple[int, ...], outputs: int, width: int) -> ConvolutionalEncoder | VectorEncoder:
    """The encoder of images, signals or vectors.

    Raises:
        ValueError: The data are of another kind.
    """
    if len(data_shape) == 1:
        return VectorEncoder(outputs, data_shape, width)
    if len(data_shape) in (2, 3):
        return channels_last(ConvolutionalEncoder(outputs, data_shape, width))  # type: ignore[return-value]
    raise ValueError(
        f"expected a generator of images (n, c, h, w), signals (n, c, length) or vectors (n, m), got data of shape "
        f"(n, {', '.join(map(str, data_shape))}); wrap it in a lambda that reshapes them"
    )


def first_encoder(
    own: nn.Module | None, x: Float[Tensor, "n *s"], outputs: int, width: int, noise: float = 0.0
) -> nn.Module:
    """The caller's encoder, once it was tried, or the default one, calibrated on data.

    Raises:
        ValueError: The default encoders do not take data of this kind, or the caller's encoder gives no `(n, outputs)`.
    """
    if own is not None:
        return own_network(own, "encoder", [x[:TRIAL].cpu()], (outputs,))
    encoder = encoder_for(tuple(x.shape[1:]), outputs, width)
    encoder.calibrate(x, noise)
    return encoder


def encode(encoder: nn.Module, x: Tensor) -> Float[Tensor, "n k"]:
    """What an encoder makes of data in eval mode, in single precision on its device."""
    like = next(encoder.parameters())
    with evaluated(encoder), torch.no_grad():
        return in_batches(lambda part: encoder(part.to(like)), x, size=AT_ONCE)


def code_error(encoder: nn.Module, scale: Standardization, z: Float[Tensor, "n d"], x: Float[Tensor, "n *s"]) -> float:
    """Mean squared error in the prior's scale of an encoder's codes of x, brought back into the support."""
    units = scale.units(z)
    found = encode(encoder, x)[:, : z.shape[1]]  # a variational encoder gives deviations too
    return (scale.inside(found).to(units) - units).square().mean().item()


def element_errors(
    encoder: nn.Module, scale: Standardization, z: Float[Tensor, "n d"], x: Float[Tensor, "n *s"]
) -> tuple[float, ...]:
    """Root mean square error of each element of an encoder's codes of x, in the units of the codes."""
    found = scale.codes(encode(encoder, x)[:, : z.shape[1]]).to(z)
    return tuple((found - z).square().mean(0).sqrt().tolist())


def deviations(raw: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Standard deviations from the second half of a variational encoder's outputs: about 0.14 before any training."""
    return (raw - 2).clamp(-6, 2).exp()
