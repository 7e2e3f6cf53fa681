"""Short trainings for questions of their own.

- *Stability*: do short trainings diverge, or lose most of the data?
- *Tuning*: learning rates of the GANs beside ours, each tried on a seed that no table has, on validation images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row
from experiments.semantics.models import GeneratorCell, LevelClassifierCell
from experiments.semantics.reverse import divided_images
from experiments.semantics.scores import distances
from latentry.models.level_classifier import predict_levels
from latentry.training.loop import TrainingDivergedError

__all__ = ["TUNING_SEED", "StabilityCell", "TuningCell", "sound"]

TUNING_SEED = 100
_LEAST_COVERAGE = 0.1
_RAREST = 0.01


@dataclass(frozen=True)
class _Trial(Cell):
    """One training, and the classifier of its samples."""

    model: GeneratorCell
    classifier: LevelClassifierCell
    count: int
    """Samples that are looked at."""

    @property
    def recipe(self) -> Any:
        return self.model.recipe

    @property
    def builds_on(self) -> tuple[str]:
        return (self.classifier.name,)

    def expected_seconds(self, place: Place) -> float:
        return self.model.steps * 5 * self.model.vae.step_seconds(place) + 20

    def _samples(self, apart: Place) -> Float[Tensor, "n c h w"]:
        trained = self.model.load(apart)
        rng = torch.Generator(apart.device).manual_seed(self.model.vae.seed)
        return trained.decode(trained.prior.sample(self.count, rng=rng))


@dataclass(frozen=True)
class StabilityCell(_Trial):
    """One short training; GANs without a first stage have the iterations of both."""

    @property
    def name(self) -> str:
        return f"stability-{self.model.name}"

    @property
    def row(self) -> Row:
        return Row("stability", Path(self.model.vae.data).stem, self.model.model, self.model.vae.seed)

    def measures(self, result: dict[str, Any]) -> Mapping[str, float]:
        """All numbers, and whether the training is sound."""
        return {**super().measures(result), "sound": float(sound(result))}

    def work(self, place: Place) -> dict[str, Any]:
        """Train in a folder apart; coverage of the data, and the share of the rarest class among samples."""
        apart = replace(place, folder=place.folder / "stability")
        try:
            if self.model.builds_on:
                self.model.vae.work(apart)
            self.model.work(apart)
        except TrainingDivergedError as error:
            return {"diverged": True, "why": str(error)}
        x = self._samples(apart)
        network, heads = self.classifier.load(place)
        images = divided_images(self.model.vae.data, self.model.vae.held_out, "train").shown
        found = {"diverged": False, "coverage": distances(x, images, network)["coverage"]}
        if heads.exclusive:
            classes = predict_levels(network, heads, x)[:, [heads.features.index(name) for name in heads.exclusive]]
            found["rarest"] = classes.mean(0).min().item()
        return found


@dataclass(frozen=True)
class TuningCell(_Trial):
    """One learning rate of one GAN."""

    @property
    def name(self) -> str:
        return f"tuning-{self.model.name}-{self.model.learning_rates[0]:g}"

    @property
    def row(self) -> Row:
        method = f"{self.model.model} {self.model.learning_rates[0]:g}"
        return Row("tuning", Path(self.model.vae.data).stem, method, self.model.vae.seed)

    def work(self, place: Place) -> dict[str, Any]:
        """Train in a folder apart; distances of samples to validation images."""
        apart = replace(place, folder=place.folder / "tuning" / f"{self.model.learning_rates[0]:g}")
        self.model.work(apart)
        network: nn.Module = self.classifier.load(place)[0]
        images = divided_images(self.model.vae.data, self.model.vae.held_out, "validation").shown
        return distances(self._samples(apart), images, network)


def sound(result: Mapping[str, Any]) -> bool:
    """Whether a training neither diverged nor collapsed: coverage of a tenth, and no class under one in a hundred."""
    if result["diverged"]:
        return False
    return bool(result["coverage"] >= _LEAST_COVERAGE and result.get("rarest", 1.0) >= _RAREST)
