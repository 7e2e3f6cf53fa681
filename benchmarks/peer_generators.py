"""Generators for `against_peers.py`, trained in plain PyTorch: the networks of somebody who has never seen this library.

Each is the decoder of a variational autoencoder (Kingma and Welling, 2014), trained in about a minute of one core and kept
in `--work` as a file. Four kinds:

- `vae`: handwritten digits, convolutions with group normalisation, tanh; 20 latents with a normal prior.
- `style`: painted digits in colour, a mapping network and modulated convolutions (Karras et al., 2020); codes are those of
  W, 32 elements, and their prior is a normal distribution fitted to W.
- `signal`: heart beats made of five waves, one-dimensional convolutions, no output activation; 12 latents.
- `other-vae`: Fashion-MNIST, transposed convolutions without normalisation, sigmoid; 32 latents. Nothing was tuned on it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import latentry as lt
from latentry.storage import read_tensors, write_tensors

__all__ = ["KINDS", "Subject", "heart_beats", "subject"]

_SEEDS = {"vae": 10, "style": 20, "signal": 30, "other-vae": 41}


@dataclass(frozen=True)
class Subject:
    """A generator, the distribution of its codes, and data that it has never seen."""

    name: str
    generator: Callable[[Tensor], Tensor]
    prior: Any
    """With `latent_dim` and `sample(shape, rng=rng)`."""
    held_out: Tensor
    """In the units of the generator's output."""


class FittedNormal:
    """The normal distribution with mean and covariance of given codes."""

    def __init__(self, codes: Tensor) -> None:
        self.latent_dim, self.mean = codes.shape[1], codes.mean(0)
        self.root = torch.linalg.cholesky(codes.T.cov()).T

    def sample(self, shape: tuple[int, ...] = (), *, rng: torch.Generator | None = None) -> Tensor:
        return self.mean + torch.randn(*shape, self.latent_dim, generator=rng) @ self.root


class ConvolutionalDecoder(nn.Sequential):
    """20 latents to 28 x 28 in [-1, 1]."""

    def __init__(self, latent_dim: int = 20, width: int = 32) -> None:
        super().__init__(
            nn.Linear(latent_dim, 2 * width * 49), nn.Unflatten(1, (2 * width, 7, 7)), nn.GroupNorm(8, 2 * width), nn.SiLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(2 * width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(width, width // 2, 3, padding=1), nn.GroupNorm(4, width // 2), nn.SiLU(),
            nn.Conv2d(width // 2, 1, 3, padding=1), nn.Tanh(),
        )  # fmt: skip


class TransposedDecoder(nn.Sequential):
    """32 latents to 28 x 28 in [0, 1]."""

    def __init__(self, latent_dim: int = 32, width: int = 24) -> None:
        super().__init__(
            nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, 2 * width * 49), nn.ReLU(),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1), nn.Sigmoid(),
        )  # fmt: skip


class SignalDecoder(nn.Sequential):
    """12 latents to signals `(1, 128)` of any size."""

    def __init__(self, latent_dim: int = 12, width: int = 32) -> None:
        super().__init__(
            nn.Linear(latent_dim, 16 * width), nn.Unflatten(1, (width, 16)), nn.GELU(),
            nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 5, padding=2), nn.GELU(),
            nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 5, padding=2), nn.GELU(),
            nn.Upsample(scale_factor=2), nn.Conv1d(width, width // 2, 5, padding=2), nn.GELU(),
            nn.Conv1d(width // 2, 1, 5, padding=2),
        )  # fmt: skip


class ModulatedConvolution(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose output has unit variance (Karras et al., 2020)."""

    def __init__(self, w_dim: int, channels: int, out: int) -> None:
        super().__init__()
        self.style, self.bias = nn.Linear(w_dim, channels), nn.Parameter(torch.zeros(out, 1, 1))
        self.weight = nn.Parameter(torch.randn(out, channels, 3, 3) / math.sqrt(9 * channels))
        nn.init.ones_(self.style.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.style(w)
        size = (self.weight.square().sum((2, 3)) @ style.square().T + 1e-8).rsqrt().T
        y = functional.conv2d(x * style[:, :, None, None], self.weight, padding=1) * size[:, :, None, None]
        return functional.leaky_relu(y + self.bias, 0.2)


class Synthesis(nn.Module):
    """W, 32 elements, to colour images of 32 x 32 in [-1, 1]."""

    def __init__(self, w_dim: int = 32, width: int = 32) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(width, 4, 4))
        widths = (width, width, width, width // 2)
        self.blocks = nn.ModuleList(
            ModulatedConvolution(w_dim, a, b) for a, b in zip(widths, (*widths[1:], width // 2), strict=True)
        )
        self.to_image = nn.Conv2d(width // 2, 3, 1)

    def forward(self, w: Tensor) -> Tensor:
        x = self.constant.expand(len(w), -1, -1, -1)
        for i, block in enumerate(self.blocks):
            x = block(x if i == 0 else functional.interpolate(x, scale_factor=2.0), w)
        return self.to_image(x).tanh()


class StyleGenerator(nn.Module):
    """Z, through a mapping network to W, through `Synthesis` to images."""

    def __init__(self, w_dim: int = 32) -> None:
        super().__init__()
        layers = [layer for _ in range(3) for layer in (nn.Linear(w_dim, w_dim), nn.LeakyReLU(0.2))]
        self.mapping, self.synthesis = nn.Sequential(*layers[:-1]), Synthesis(w_dim)

    def forward(self, z: Tensor) -> Tensor:
        return self.synthesis(self.mapping(z))


def image_encoder(channels: int, size: int, latent_dim: int) -> nn.Module:
    """Images to mean and log variance of their codes."""
    return nn.Sequential(
        nn.Conv2d(channels, 24, 4, stride=2, padding=1), nn.SiLU(),
        nn.Conv2d(24, 48, 4, stride=2, padding=1), nn.SiLU(),
        nn.Flatten(), nn.Linear(48 * (size // 4) ** 2, 128), nn.SiLU(), nn.Linear(128, 2 * latent_dim),
    )  # fmt: skip


def signal_encoder(latent_dim: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 24, 5, stride=4, padding=2), nn.SiLU(), nn.Conv1d(24, 48, 5, stride=4, padding=2), nn.SiLU(),
        nn.Flatten(), nn.Linear(48 * 8, 128), nn.SiLU(), nn.Linear(128, 2 * latent_dim),
    )  # fmt: skip


def heart_beats(count: int, rng: torch.Generator) -> Tensor:
    """Signals `(n, 1, 128)` like an electrocardiogram: the waves P, Q, R, S and T of one beat, each with its own place,
    width and height, and a base line that wanders."""
    t = torch.linspace(0, 1, 128)
    place = torch.tensor([0.22, 0.42, 0.46, 0.5, 0.75]) + 0.015 * torch.randn(count, 5, generator=rng)
    place = place + 0.05 * torch.randn(count, 1, generator=rng)
    width = torch.tensor([0.035, 0.012, 0.014, 0.014, 0.06]) * (0.15 * torch.randn(count, 5, generator=rng)).exp()
    height = torch.tensor([0.2, -0.15, 1.2, -0.3, 0.35]) * (0.3 * torch.randn(count, 5, generator=rng)).exp()
    waves = height[..., None] * (-0.5 * ((t - place[..., None]) / width[..., None]).square()).exp()
    phase = 2 * math.pi * torch.rand(count, 1, generator=rng)
    base = 0.05 * torch.randn(count, 1, generator=rng) * (2 * math.pi * t + phase).sin()
    return (waves.sum(1) + base)[:, None]


@dataclass(frozen=True)
class Kind:
    """What is trained on what."""

    networks: Callable[[], tuple[nn.Module, nn.Module, int]]
    """Encoder, decoder and length of the codes."""
    data: Callable[[str, str], Tensor]
    """Data of a split, given where Fashion-MNIST lies."""
    spread: float
    """Standard deviation of the likelihood, against which codes cost."""
    steps: int


def _images(name: str, split: str, size: int | None = None) -> Tensor:
    return lt.load_dataset(name, image_size=size).split(split).images()


def _beats(split: str) -> Tensor:
    return heart_beats(
        {"train": 20_000, "held-out": 64}[split], torch.Generator().manual_seed({"train": 0, "held-out": 1}[split])
    )


KINDS = {
    "vae": Kind(
        lambda: (image_encoder(1, 28, 20), ConvolutionalDecoder(), 20), lambda split, _: _images("digits", split), 0.4, 2500
    ),
    "style": Kind(
        lambda: (image_encoder(3, 32, 32), StyleGenerator(), 32),
        lambda split, _: _images("painted-digits", split, 32), 0.2, 1500,
    ),
    "signal": Kind(lambda: (signal_encoder(12), SignalDecoder(), 12), lambda split, _: _beats(split), 0.05, 5000),
    "other-vae": Kind(
        lambda: (image_encoder(1, 28, 32), TransposedDecoder(), 32),
        lambda split, fashion: (_images(fashion, split) + 1) / 2, 0.1, 3000,
    ),
}  # fmt: skip


def subject(name: str, work: Path, fashion: str) -> Subject:
    """The generator of this name, trained unless it lies in `work`."""
    kind = KINDS[name]
    torch.manual_seed(_SEEDS[name])
    encoder, decoder, latent_dim = kind.networks()
    path = work / f"{name}.safetensors"
    if not path.exists():
        train(encoder, decoder, kind.data("train", fashion), kind.spread, kind.steps, _SEEDS[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, decoder.state_dict())
    decoder.load_state_dict(read_tensors(path))
    decoder.eval().requires_grad_(False)
    held_out = kind.data("held-out", fashion)
    if isinstance(decoder, StyleGenerator):
        w = decoder.mapping(torch.randn(20_000, latent_dim, generator=torch.Generator().manual_seed(0)))
        return Subject(name, decoder.synthesis, FittedNormal(w), held_out)
    return Subject(name, decoder, lt.priors.Normal(latent_dim), held_out)


def train(encoder: nn.Module, decoder: nn.Module, data: Tensor, spread: float, steps: int, seed: int) -> None:
    """A variational autoencoder with a normal likelihood of this standard deviation."""
    rng = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, total_steps=steps)
    for _ in range(steps):
        x = data[torch.randint(len(data), (64,), generator=rng)]
        mean, log_variance = encoder(x).chunk(2, 1)
        z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=rng)
        misfit = (decoder(z) - x).square().flatten(1).sum(1) / (2 * spread**2)
        divergence = (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2
        adam.zero_grad()
        (misfit + divergence).mean().backward()
        adam.step()
        schedule.step()
