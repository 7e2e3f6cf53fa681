"""What passes of a network cost here and now, by which long experiments are announced."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from latentry.data.sources import load_dataset
from latentry.networks import Zheng2019Decoder, Zheng2019Encoder, channels_last
from latentry.training.batches import square_images

__all__ = ["best_of", "forward_seconds", "seconds_of_passes"]


def best_of(work: Callable[[], Any], times: int = 3) -> float:
    """Least seconds of several runs."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def forward_seconds(network: nn.Module, x: torch.Tensor) -> float:
    """Seconds of a forward pass of one item of a batch."""
    with torch.no_grad():
        return best_of(lambda: network(x)) / len(x)


def seconds_of_passes(data: str, latent_dim: int, width: int, batch_size: int, device: str) -> float:
    """Seconds of a pass forward and back through an encoder and a decoder of Zheng and Sun (2019)."""
    side, channels = square_images(load_dataset(data))
    encoder = channels_last(Zheng2019Encoder(latent_dim, side, channels, width)).to(device)
    decoder = channels_last(Zheng2019Decoder(latent_dim, side, channels, width)).to(device)
    x = torch.zeros(batch_size, channels, side, side, device=device)
    z = torch.zeros(batch_size, latent_dim, device=device)

    def passes() -> None:
        encoder(x).mean().backward()
        decoder(z).mean().backward()

    return best_of(passes, times=4)
