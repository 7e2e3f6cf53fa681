"""Trainings of `python -m experiments semantics` that stand in no table of models.

- *Stability*: do short trainings diverge, or lose most of the data?
- *Tuning*: learning rates of the GANs beside ours, each tried on a seed that no table has, on validation images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from experiments.semantics.models import (
    GANCell,
    ReaderCell,
    images_of,
    load_maker,
    load_reader,
    train_stage_one,
    train_stage_two,
)
from experiments.semantics.scores import decoded, distances
from latentry.models.level_reader import read_levels
from latentry.training.loop import TrainingDivergedError

__all__ = ["TUNING_SEED", "StabilityCell", "TuningCell", "sound", "try_once", "try_rate"]

TUNING_SEED = 100
_LEAST_COVERAGE = 0.1
_RAREST = 0.01


@dataclass(frozen=True)
class _Trial:
    """One training, and what looks at it."""

    maker: GANCell
    reader: ReaderCell
    count: int
    """Samples that are looked at."""

    @property
    def recipe(self) -> Any:
        """That of the model."""
        return self.maker.recipe

    @property
    def builds_on(self) -> tuple[str]:
        """The training of the reader."""
        return (self.reader.name,)


@dataclass(frozen=True)
class StabilityCell(_Trial):
    """One short training; GANs without a first stage have the iterations of both."""

    @property
    def name(self) -> str:
        return f"stability-{self.maker.name}"


@dataclass(frozen=True)
class TuningCell(_Trial):
    """One learning rate of one GAN."""

    @property
    def name(self) -> str:
        return f"tuning-{self.maker.name}-{self.maker.lr[0]:g}"


def try_once(folder: Path, device: str, asked: StabilityCell) -> dict[str, Any]:
    """Train in a folder apart; coverage of the data, and the share of the rarest class among samples."""
    apart = folder / "stability"
    try:
        if asked.maker.builds_on:
            train_stage_one(apart, device, asked.maker.vae)
        train_stage_two(apart, device, asked.maker)
    except TrainingDivergedError as error:
        return {"diverged": True, "why": str(error)}
    x = _samples(apart, device, asked.maker, asked.count)
    network, heads = load_reader(folder, asked.reader, device)
    images = images_of(asked.maker.vae.data, asked.maker.vae.held_out, "train").seen
    found = {"diverged": False, "coverage": distances(x, images, network)["coverage"]}
    if heads.exclusive:
        classes = read_levels(network, heads, x)[:, [heads.features.index(name) for name in heads.exclusive]]
        found["rarest"] = classes.mean(0).min().item()
    return found


def try_rate(folder: Path, device: str, asked: TuningCell) -> dict[str, Any]:
    """Train in a folder apart; distances of samples to validation images."""
    apart = folder / "tuning" / f"{asked.maker.lr[0]:g}"
    train_stage_two(apart, device, asked.maker)
    x = _samples(apart, device, asked.maker, asked.count)
    network: nn.Module = load_reader(folder, asked.reader, device)[0]
    return distances(x, images_of(asked.maker.vae.data, asked.maker.vae.held_out, "validation").seen, network)


def sound(result: dict[str, Any]) -> bool:
    """Whether a training neither diverged nor collapsed: coverage of a tenth, and no class under one in a hundred."""
    if result["diverged"]:
        return False
    return bool(result["coverage"] >= _LEAST_COVERAGE and result.get("rarest", 1.0) >= _RAREST)


def _samples(apart: Path, device: str, asked: GANCell, count: int) -> Float[Tensor, "n c h w"]:
    maker = load_maker(apart, asked, device)
    rng = torch.Generator(device).manual_seed(asked.vae.seed)
    return decoded(maker.generator, maker.prior.sample(count, rng=rng))
