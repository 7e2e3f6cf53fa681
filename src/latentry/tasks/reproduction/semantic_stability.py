"""Short trainings of `latentry reproduce semantic`: do they diverge, or lose most of the data?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from latentry.interfaces import evaluated
from latentry.models.level_reader import read_levels
from latentry.tasks.reproduction.semantic_models import (
    GANCell,
    ReaderCell,
    images_of,
    load_maker,
    load_reader,
    train_stage_one,
    train_stage_two,
)
from latentry.tasks.reproduction.semantic_scores import distances
from latentry.training.loop import TrainingDivergedError

__all__ = ["StabilityCell", "sound", "try_once"]

_LEAST_COVERAGE = 0.1
_RAREST = 0.01
_AT_ONCE = 500


@dataclass(frozen=True)
class StabilityCell:
    """One short training; a plain GAN has the iterations of both stages."""

    maker: GANCell
    reader: ReaderCell
    count: int
    """Samples that are looked at."""

    @property
    def name(self) -> str:
        return f"stability-{self.maker.name}"

    @property
    def builds_on(self) -> tuple[str]:
        """The training of the reader."""
        return (self.reader.name,)


def try_once(folder: Path, device: str, asked: StabilityCell) -> dict[str, Any]:
    """Train in a folder apart; coverage of the data, and the share of the rarest class among samples."""
    apart = folder / "stability"
    try:
        if asked.maker.model != "gan":
            train_stage_one(apart, device, asked.maker.vae)
        train_stage_two(apart, device, asked.maker)
    except TrainingDivergedError as error:
        return {"diverged": True, "why": str(error)}
    maker = load_maker(apart, asked.maker, device)
    network, heads = load_reader(folder, asked.reader, device)
    rng = torch.Generator(device).manual_seed(asked.maker.vae.seed)
    with evaluated(maker.generator), torch.no_grad():
        x = torch.cat([maker.generator(part) for part in maker.prior.sample(asked.count, rng=rng).split(_AT_ONCE)])
    images = images_of(asked.maker.vae.data, asked.maker.vae.held_out, "train").seen
    found = {"diverged": False, "coverage": distances(x, images, network)["coverage"]}
    if heads.exclusive:
        classes = read_levels(network, heads, x)[:, [heads.features.index(name) for name in heads.exclusive]]
        found["rarest"] = classes.mean(0).min().item()
    return found


def sound(result: dict[str, Any]) -> bool:
    """Whether a training neither diverged nor collapsed: coverage of a tenth, and no class under one in a hundred."""
    if result["diverged"]:
        return False
    return bool(result["coverage"] >= _LEAST_COVERAGE and result.get("rarest", 1.0) >= _RAREST)
