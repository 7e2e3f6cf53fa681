"""What an iteration of the paper networks of Zheng and Sun costs here and now, by which long experiments are announced."""

import time

import torch

from latentry.data.sources import load_dataset
from latentry.networks import Zheng2019Decoder, Zheng2019Encoder, channels_last
from latentry.tasks.trainings import square_shape

__all__ = ["seconds_of_passes"]


def seconds_of_passes(data: str, latent_dim: int, width: int, batch_size: int, device: torch.device) -> float:
    """Seconds of a pass forward and back through an encoder and a decoder, the least of three."""
    side, channels = square_shape(load_dataset(data))
    encoder = channels_last(Zheng2019Encoder(latent_dim, side, channels, width)).to(device)
    decoder = channels_last(Zheng2019Decoder(latent_dim, side, channels, width)).to(device)
    x = torch.zeros(batch_size, channels, side, side, device=device)
    z = torch.zeros(batch_size, latent_dim, device=device)

    def passes() -> float:
        began = time.perf_counter()
        encoder(x).mean().backward()
        decoder(z).mean().backward()
        return time.perf_counter() - began

    passes()
    return min(passes() for _ in range(3))
