"""What the models of `python -m experiments semantics` are scored by, with a reader that knows all levels and taught none.

- *Asked features*: samples at levels that occurred in training; the reader says which levels they show. Classes count as one
  feature. *Leakage* of a feature is what the others lose of that when it alone is moved from neutral to present.
- *Monotonicity*: what a feature means, measured (thickness, slant) or as the reader's log odds, along its level.
- *Reversal*: codes at the reverse that was held out. They are *beyond the neutral* where the measure lies below the tenth
  percentile of neutral training images of their class. Distances to the images that were held out, of these samples and of
  neutral ones, say whether the reverse looks like the truth.
- *Samples*: distances to the training images in the reader's features; for stability, also the rarest class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from experiments.semantics.models import (
    GANCell,
    PartedImages,
    ReaderCell,
    VAECell,
    images_of,
    load_maker,
    load_reader,
    real_reverses_of,
)
from experiments.semantics.reverse import STROKES, beyond, classes_of, stroke
from latentry.data.features import FeaturedImages
from latentry.evaluation.extractor import CallableExtractor
from latentry.evaluation.proportions import share
from latentry.evaluation.samples import evaluate_samples
from latentry.evaluation.structure import monotonicity
from latentry.holding import evaluated
from latentry.models.level_reader import LevelHeads, read_levels
from latentry.models.semantic import SemanticModel
from latentry.priors import SemanticPlacement
from latentry.reports.pictures import grid, write_png
from latentry.tasks.train_semantic import feature_films

__all__ = ["ScoresCell", "decoded", "distances", "score_maker"]

_METRICS = ("frechet_distance", "kernel_distance", "precision", "recall", "coverage")
_AT_ONCE = 500
_MOST = 10_000
"""Most real images that samples are compared with."""
_STEPS = torch.linspace(-1.5, 1.5, 13)
_SHOWN = 100


@dataclass(frozen=True)
class ScoresCell:
    """One trained model, as it is scored."""

    maker: VAECell | GANCell
    reader: ReaderCell
    count: int
    """Samples."""
    codes: int
    """Codes that are followed along each feature."""

    @property
    def name(self) -> str:
        return f"scores-{self.maker.name}"

    @property
    def builds_on(self) -> tuple[str, str]:
        """The training of the model, and of the reader."""
        return self.maker.name, self.reader.name

    @property
    def recipe(self) -> Any:
        """That of the model."""
        return self.maker.recipe if isinstance(self.maker, GANCell) else None

    @property
    def vae(self) -> VAECell:
        """The first stage of the model, or its data and seed."""
        return self.maker if isinstance(self.maker, VAECell) else self.maker.vae

    @property
    def seed(self) -> int:
        """Seed of the model."""
        return self.vae.seed


@dataclass(frozen=True)
class _Scene:
    """A model, the reader of its samples, and the images it is held against."""

    generator: nn.Module
    placement: SemanticPlacement
    reader: nn.Module
    heads: LevelHeads
    images: PartedImages
    real: Mapping[str, Any]
    """What is known of real reverses (`real_reverses`)."""
    rng: torch.Generator

    def decoded(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        return decoded(self.generator, z)

    def read(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Levels that samples show."""
        return read_levels(self.reader, self.heads, self.decoded(z))

    def neutral(self, a: Float[Tensor, "n k"], name: str) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"]]:
        """Levels with a feature at 0, and codes at them."""
        rest = a.clone()
        rest[:, self.placement.index(name)] = 0
        return rest, self.placement.at(rest).sample(rng=self.rng)


def score_maker(folder: Path, device: str, asked: ScoresCell) -> dict[str, Any]:
    """All numbers of one model, and pictures of its samples and of its features."""
    maker = load_maker(folder, asked.maker, device)
    reader, heads = load_reader(folder, asked.reader, device)
    images = images_of(asked.vae.data, asked.vae.held_out, "train")
    rng = torch.Generator(device).manual_seed(asked.seed)
    x = decoded(maker.generator, maker.prior.sample(asked.count, rng=rng))
    pictures = folder / "pictures"
    write_png(pictures / f"{asked.name}-samples.png", grid(x[:_SHOWN].cpu(), 10), magnify=2)
    result: dict[str, Any] = {"samples": distances(x, images.seen, reader)}
    if not isinstance(maker.prior, SemanticPlacement):
        return result
    model = SemanticModel(maker.generator, maker.prior, nn.Identity())
    write_png(pictures / f"{asked.name}-films.png", feature_films(model, asked.seed).cpu(), magnify=2)
    scene = _Scene(maker.generator, maker.prior, reader, heads, images, real_reverses_of(folder, asked.reader), rng)
    return result | _features(scene, asked)


def distances(x: Float[Tensor, "n c h w"], real: FeaturedImages, reader: Any) -> dict[str, float]:
    """Distances of samples to real images, in the features of a reader's last layer."""
    reference = real.images.images(range(min(_MOST, len(real)))).to(x.device)
    extractor = CallableExtractor(reader.features, name="reader of levels")
    report = evaluate_samples(x, reference, extractor, max_rows=2000, halves=2, batch_size=_AT_ONCE)
    return {name: report.estimates[name].value for name in _METRICS}


def _features(scene: _Scene, asked: ScoresCell) -> dict[str, Any]:
    placement = scene.placement
    y = torch.multinomial(placement.probs, asked.count, replacement=True, generator=scene.rng)
    a = placement.combinations[y]
    right = scene.heads.right(scene.read(placement.at(a).sample(rng=scene.rng)), a)
    accuracy = {name: vars(share(shown.cpu())) for name, shown in right.items()}
    free = [name for name in placement.features if name not in placement.exclusive]
    reverses = {name: level for name, level in scene.images.held_out.items() if name in free}
    return {
        "accuracy": accuracy,
        "mean_accuracy": fmean(found["value"] for found in accuracy.values()),
        "leakage": {name: _leakage(scene, a, name) for name in free},
        "monotonicity": {name: _monotonicity(scene, a[: asked.codes], name) for name in free},
        "reversal": {name: _reversal(scene, a, name, level) for name, level in reverses.items()},
    }


def _leakage(scene: _Scene, a: Tensor, name: str) -> float:
    """Share of accuracy that other features lose, on average, when this one moves from neutral to present."""
    neutral, z = scene.neutral(a, name)
    before, after = (scene.heads.right(scene.read(scene.placement.moved(z, name, by)), neutral) for by in (0, 1))
    lost = [(before[other].double().mean() - after[other].double().mean()).item() for other in before if other != name]
    return fmean(lost) if lost else 0.0


def _monotonicity(scene: _Scene, a: Tensor, name: str) -> dict[str, Any]:
    """What a feature means, from reverse to more than present."""
    _, z = scene.neutral(a, name)
    direction = scene.placement.means[scene.placement.index(name)]
    found = monotonicity(scene.generator, _measure(name, scene), z, direction, distances=_STEPS)
    return {"median": found.median.value, "rising": found.rising.value, "course": found.values.mean(0).tolist()}


def _reversal(scene: _Scene, a: Tensor, name: str, level: float) -> dict[str, Any]:
    """Samples at a level that was held out, beside neutral ones."""
    neutral, z = scene.neutral(a, name)
    made = {"neutral": scene.decoded(z), "reversed": scene.decoded(scene.placement.moved(z, name, level))}
    hidden = scene.images.unseen
    found: dict[str, Any] = {
        f"distance_of_{what}": distances(x, hidden, scene.reader)["frechet_distance"] for what, x in made.items()
    }
    if name in scene.real:
        y = classes_of(neutral, scene.heads.features, scene.heads.exclusive)
        bounds = torch.tensor(scene.real[name]["bounds"], dtype=torch.float64)
        found |= {what: vars(share(beyond(stroke(x, name), y, bounds, level))) for what, x in made.items()}
        found["truth"] = scene.real[name]["truth"]
    return found


def _measure(name: str, scene: _Scene) -> Callable[[Tensor], Tensor]:
    """What a feature means, in numbers: of strokes, of which a blank image has none, or how sure the reader is."""
    if name in STROKES:
        return lambda x: stroke(x, name).nan_to_num().to(x)

    def odds(x: Tensor) -> Tensor:
        with evaluated(scene.reader), torch.no_grad():
            return scene.heads.log_odds(scene.reader(x), name)

    return odds


def decoded(generator: nn.Module, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
    """Samples of codes, in eval mode, a few hundred at a time."""
    with evaluated(generator), torch.no_grad():
        return torch.cat([generator(part) for part in z.split(_AT_ONCE)])
