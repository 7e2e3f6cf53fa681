"""What models are scored by, with an evaluation classifier that knows all levels and taught none of them.

- *Requested features*: samples at levels that occurred in training; the classifier reads which levels they show.
  Classes count as one feature. *Leakage* of a feature is the accuracy that others lose when it alone is moved from neutral
  to present.
- *Monotonicity*: the measure of a feature (thickness, slant), or the classifier's log odds, along its level.
- *Reversal*: codes at the reverse that was held out. They are *beyond the neutral* where the measure is below the tenth
  percentile of neutral training images of their class. Distances to the images that were held out, of these samples and of
  neutral ones, say whether the reverse looks like the truth.
- *Samples*: distances to the training images in the classifier's features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row
from experiments.semantics.models import VAE, GeneratorCell, LevelClassifierCell, VAECell
from experiments.semantics.reverse import STROKES, DividedImages, beyond, classes_of, divided_images, stroke
from latentry.data.features import FeaturedImages
from latentry.evaluation.extractor import CallableExtractor
from latentry.evaluation.monotonicity import monotonicity
from latentry.evaluation.proportions import share
from latentry.evaluation.samples import evaluate_samples
from latentry.holding import evaluated
from latentry.models.generative import GenerativeModel
from latentry.models.level_classifier import LevelHeads, predict_levels
from latentry.priors import SemanticPlacement
from latentry.reports.pictures import write_sheet

__all__ = ["FeatureScoring", "ScoresCell", "distances"]

_METRICS = ("frechet_distance", "kernel_distance", "precision", "recall", "coverage")
_AT_ONCE = 500
_MOST = 10_000
"""Most real images that samples are compared with."""
_STEPS = torch.linspace(-1.5, 1.5, 13)
_SHOWN = 100
_FILMS = 6
"""Codes of each feature in a picture."""
_FRAMES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


@dataclass(frozen=True)
class ScoresCell(Cell):
    """The scores of one trained model."""

    model: VAECell | GeneratorCell
    classifier: LevelClassifierCell
    count: int
    """Samples."""
    codes: int
    """Codes that are followed along each feature."""

    @property
    def name(self) -> str:
        return f"scores-{self.model.name}"

    @property
    def builds_on(self) -> tuple[str, str]:
        return self.model.name, self.classifier.name

    @property
    def recipe(self) -> Any:
        return self.model.recipe

    @property
    def row(self) -> Row:
        name = self.model.model if isinstance(self.model, GeneratorCell) else VAE
        return Row("scores", Path(self.vae.data).stem, name, self.vae.seed)

    @property
    def vae(self) -> VAECell:
        """The first stage of the model, or its data and seed."""
        return self.model if isinstance(self.model, VAECell) else self.model.vae

    def measures(self, result: dict[str, Any]) -> Mapping[str, float]:
        """All numbers; also the largest leakage, the lowest monotonicity, and means over the reverses."""
        more = {}
        if "accuracy" in result:
            more["largest_leakage"] = max(result["leakage"].values())
            more["lowest_monotonicity"] = min(found["median"] for found in result["monotonicity"].values())
            reverses = result["reversal"].values()
            if reverses and all("reversed" in found for found in reverses):
                more["reversed"] = fmean(found["reversed"]["value"] for found in reverses)
                more["distance_of_neutral's"] = fmean(
                    found["distance_of_reversed"] / found["distance_of_neutral"] for found in reverses
                )
        return {**super().measures(result), **more}

    def expected_seconds(self, place: Place) -> float:
        return 60 + self.count / self.vae.batch_size * 20 * self.vae.step_seconds(place)

    def work(self, place: Place) -> dict[str, Any]:
        """All numbers of one model, and pictures of its samples and of its features."""
        model = self.model.load(place)
        classifier, heads = self.classifier.load(place)
        images = divided_images(self.vae.data, self.vae.held_out, "train")
        rng = torch.Generator(place.device).manual_seed(self.vae.seed)
        x = model.decode(model.prior.sample(self.count, rng=rng))
        write_sheet(place.picture(f"{self.name}-samples"), [("", row) for row in x[:_SHOWN].cpu().split(10)])
        result: dict[str, Any] = {"samples": distances(x, images.shown, classifier)}
        if not isinstance(model.prior, SemanticPlacement):
            return result
        write_films(place.picture(f"{self.name}-films"), model, model.prior, self.vae.seed)
        scoring = FeatureScoring(model, model.prior, classifier, heads, images, self.classifier.real_reverses(place), rng)
        return result | scoring.scores(self.count, self.codes)


def distances(x: Float[Tensor, "n c h w"], real: FeaturedImages, classifier: Any) -> dict[str, float]:
    """Distances of samples to real images, in the features of a classifier's last layer."""
    reference = real.images.images(range(min(_MOST, len(real)))).to(x.device)
    extractor = CallableExtractor(classifier.features, name="classifier of levels")
    report = evaluate_samples(
        x, reference, extractor, max_rows=2000, halves=2, batch_size=_AT_ONCE, rng=torch.Generator().manual_seed(0)
    )
    return {name: report.estimates[name].value for name in _METRICS}


def write_films(path: Path, model: GenerativeModel, placement: SemanticPlacement, seed: int) -> None:
    """A picture: for each feature that is no class, rows of codes, and its level in columns; neutral is in the middle."""
    rng = torch.Generator(placement.loc.device).manual_seed(seed)
    y = torch.multinomial(placement.probs, _FILMS, replacement=True, generator=rng)
    rows: list[tuple[str, Tensor]] = []
    for name in (name for name in placement.features if name not in placement.exclusive):
        a = placement.combinations[y].clone()
        a[:, placement.index(name)] = 0
        z = placement.at(a).sample(rng=rng)
        frames = torch.stack([placement.moved(z, name, level) for level in _FRAMES], 1)
        x = model.decode(frames.flatten(0, 1)).cpu().split(len(_FRAMES))
        rows += [(name if index == 0 else "", row) for index, row in enumerate(x)]
    write_sheet(path, rows, [f"{level:g}" for level in _FRAMES])


@dataclass(frozen=True)
class FeatureScoring:
    """A model with placed features, the classifier of its samples, and the images that it is compared with."""

    model: GenerativeModel
    placement: SemanticPlacement
    classifier: nn.Module
    heads: LevelHeads
    images: DividedImages
    real: Mapping[str, Any]
    """What is known of real reverses (`real_reverses`)."""
    rng: torch.Generator

    def scores(self, count: int, codes: int) -> dict[str, Any]:
        """Requested features, leakage, monotonicity and reversal.

        Args:
            count: Samples.
            codes: Codes that are followed along each feature.
        """
        placement = self.placement
        y = torch.multinomial(placement.probs, count, replacement=True, generator=self.rng)
        a = placement.combinations[y]
        right = self.heads.right(self._read(placement.at(a).sample(rng=self.rng)), a)
        accuracy = {name: vars(share(shown.cpu())) for name, shown in right.items()}
        free = [name for name in placement.features if name not in placement.exclusive]
        reverses = {name: level for name, level in self.images.held_out.items() if name in free}
        return {
            "accuracy": accuracy,
            "mean_accuracy": fmean(found["value"] for found in accuracy.values()),
            "leakage": {name: self._leakage(a, name) for name in free},
            "monotonicity": {name: self._monotonicity(a[:codes], name) for name in free},
            "reversal": {name: self._reversal(a, name, level) for name, level in reverses.items()},
        }

    def _read(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Levels that samples show."""
        return predict_levels(self.classifier, self.heads, self.model.decode(z))

    def _neutral(self, a: Float[Tensor, "n k"], name: str) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"]]:
        """Levels with a feature at 0, and codes at them."""
        rest = a.clone()
        rest[:, self.placement.index(name)] = 0
        return rest, self.placement.at(rest).sample(rng=self.rng)

    def _leakage(self, a: Tensor, name: str) -> float:
        neutral, z = self._neutral(a, name)
        before, after = (self.heads.right(self._read(self.placement.moved(z, name, level)), neutral) for level in (0, 1))
        lost = [(before[other].double().mean() - after[other].double().mean()).item() for other in before if other != name]
        return fmean(lost) if lost else 0.0

    def _monotonicity(self, a: Tensor, name: str) -> dict[str, Any]:
        _, z = self._neutral(a, name)
        direction = self.placement.means[self.placement.index(name)]
        found = monotonicity(self.model.generator, self._measure(name), z, direction, distances=_STEPS)
        return {"median": found.median.value, "rising": found.rising.value, "course": found.values.mean(0).tolist()}

    def _reversal(self, a: Tensor, name: str, level: float) -> dict[str, Any]:
        """Samples at a level that was held out, beside neutral ones."""
        neutral, z = self._neutral(a, name)
        codes = {"neutral": z, "reversed": self.placement.moved(z, name, level)}
        samples = {what: self.model.decode(each) for what, each in codes.items()}
        found: dict[str, Any] = {
            f"distance_of_{what}": distances(x, self.images.withheld, self.classifier)["frechet_distance"]
            for what, x in samples.items()
        }
        if name in self.real:
            y = classes_of(neutral, self.heads.features, self.heads.exclusive)
            bounds = torch.tensor(self.real[name]["bounds"], dtype=torch.float64)
            found |= {what: vars(share(beyond(stroke(x, name), y, bounds, level))) for what, x in samples.items()}
            found["truth"] = self.real[name]["truth"]
        return found

    def _measure(self, name: str) -> Callable[[Tensor], Tensor]:
        """What a feature means, in numbers: of strokes (0 for a blank image), or the classifier's log odds."""
        if name in STROKES:
            return lambda x: stroke(x, name).nan_to_num().to(x)

        def log_odds(x: Tensor) -> Tensor:
            with evaluated(self.classifier), torch.no_grad():
                return self.heads.log_odds(self.classifier(x), name)

        return log_odds
