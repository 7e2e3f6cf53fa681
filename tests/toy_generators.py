"""Generators whose best codes are known: linear ones, by the pseudo-inverse, and linear ones whose output is squashed."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def random_matrix(pixels: int, latent_dim: int, rng: torch.Generator) -> Tensor:
    """`(pixels, latent_dim)`, so scaled that each pixel of a normal code has deviation 1."""
    return torch.randn(pixels, latent_dim, dtype=torch.float64, generator=rng) / math.sqrt(latent_dim)


def linear(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: z @ matrix.mT


def squashed(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.tanh(z @ matrix.mT)
