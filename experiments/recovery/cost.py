"""What the cells of `python -m experiments recovery` will take, from a few passes timed here and now.

Recovery costs evaluations (`latent.solvers.solver`), each about a forward pass of the generator times what a solver does
beside it; how often a search ends early is a guess from trials.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from experiments.frame.cells import Cell
from experiments.recovery.cells import (
    GANCell,
    HeldOutCell,
    InverseCell,
    KnownCell,
    Places,
    ProvenanceCell,
    TuningCell,
    gan,
    tuning_grid,
)
from experiments.recovery.methods import METHODS
from latentry.data.sources import load_dataset
from latentry.networks import ConvolutionalEncoder, channels_last
from latentry.tasks.runs import load_generator, named_prior
from latentry.training.loop import optimizer_update

__all__ = ["seconds_of"]

_ADAM, _DAMPED = 1.3, 1.8
"""Seconds of an evaluation over those of a forward pass."""
_TRIALS = 13
"""Evaluations of a step of Levenberg-Marquardt beside the columns of its Jacobian."""
_USED = {"learned": 0.08, "prior": 0.17}
"""Share of the most evaluations that Levenberg-Marquardt is expected to need, by its start."""
_BATCH = 128


def seconds_of(places: Places, cell: Cell) -> float:
    """About what a cell will take."""
    asked = cell.settings
    if isinstance(asked, GANCell):
        return asked.steps * _timed_gan(_alike(asked), places.device)[0]
    if isinstance(asked, TuningCell):
        return len(tuning_grid(asked)) * asked.images * _protocol_seconds(asked, places.device)
    if isinstance(asked, HeldOutCell):
        return (asked.images + asked.known) * _protocol_seconds(asked.tuning, places.device)
    generator, d, forward = _loaded(places.generators[asked.generator], places.device)
    if isinstance(asked, InverseCell):
        return asked.steps * (asked.batch_size * forward + _encoder_step(generator, d, asked))
    if isinstance(asked, KnownCell):
        if asked.solver == "adam":
            return asked.count * asked.starts * asked.steps * 3 * _ADAM * forward
        used = _USED["prior" if asked.inverse is None else "learned"]
        return asked.count * asked.starts * asked.steps * (d + _TRIALS) * used * _DAMPED * forward
    assert isinstance(asked, ProvenanceCell)
    images = asked.images * (2 if asked.other is None else 3) + asked.calibration
    return images * asked.steps * (d + _TRIALS) * _DAMPED * forward


def _protocol_seconds(asked: TuningCell, device: str) -> float:
    """Of one image with one setting."""
    trained, protocol = asked.gan, asked.protocol
    forward = _timed_gan(_alike(trained), device)[1]
    if METHODS[asked.method].damped:
        return protocol.damped_steps * (trained.latent_dim + _TRIALS) * _DAMPED * forward
    return protocol.restarts * protocol.steps * 3 * _ADAM * forward


@lru_cache(maxsize=1)
def _timed_gan(asked: GANCell, device: str) -> tuple[float, float]:
    """Seconds of an iteration, and of a forward pass of one code."""
    data = load_dataset(asked.data).split("train")
    channels, side, _ = data.shape
    model = gan(asked, named_prior(asked.prior, asked.latent_dim).to(device), side, channels)
    for network in model.networks.values():
        network.to(device)
    x = data.images(range(min(asked.batch_size, len(data)))).to(device)
    labels = torch.zeros(len(x), dtype=torch.long, device=device)
    rng = torch.Generator(device).manual_seed(0)

    update = optimizer_update(model.optimizers)
    step = _best_of(lambda: model.step((x, labels), rng, update))
    return step, _forward(model.networks["generator"].eval(), asked.latent_dim)


def _alike(asked: GANCell) -> GANCell:
    """Another prior and another seed cost the same."""
    return replace(asked, prior="normal", seed=0)


@lru_cache(maxsize=8)
def _loaded(name: str, device: str) -> tuple[nn.Module, int, float]:
    """A generator, the length of its codes and the seconds of a forward pass of one."""
    model, prior = load_generator(name)
    generator = model.network.to(device)
    return generator, prior.latent_dim, _forward(generator, prior.latent_dim)


def _forward(generator: nn.Module, d: int) -> float:
    z = torch.randn(_BATCH, d, device=next(generator.parameters()).device)
    with torch.no_grad():
        return _best_of(lambda: generator(z)) / _BATCH


@lru_cache(maxsize=8)
def _encoder_step(generator: nn.Module, d: int, asked: InverseCell) -> float:
    """Seconds of a forward and a backward pass of the encoder on a batch."""
    like = next(generator.parameters())
    with torch.no_grad():
        x = generator(torch.randn(asked.batch_size, d, device=like.device))
    encoder = channels_last(ConvolutionalEncoder(d, tuple(x.shape[1:]), asked.width)).to(like.device)
    return _best_of(lambda: encoder(x).square().mean().backward())


def _best_of(work: Callable[[], Any], times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
