"""The priors that are compared, and the cell that trains a generator under one of them and judges it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.framework.cell import Cell, Place, Row, no_progress
from experiments.framework.timing import best_of
from experiments.priors.settings import PriorsSettings
from experiments.priors.tables import BASELINE, METRICS, RULES, measures
from latentry.data.sources import load_dataset
from latentry.evaluation.extractor import ClassifierExtractor, RememberingExtractor
from latentry.evaluation.paths import evaluate_paths
from latentry.evaluation.sample_report import SampleReport
from latentry.evaluation.samples import evaluate_samples
from latentry.holding import evaluated
from latentry.models.classifier import Classifier
from latentry.models.gan import fit_gan
from latentry.models.saving import load_model, save_model
from latentry.models.settings import GANSettings
from latentry.networks import DCGANGenerator, channels_last
from latentry.numerics.batches import in_batches
from latentry.priors import (
    GammaRadius,
    LogUniformRadius,
    Normal,
    SphericalCauchy,
    Tabulated,
    Uniform,
    UnlabelledPrior,
    design_interpolable,
    design_radial,
    files,
    redesign_singh2019,
    save_prior,
)
from latentry.reports.pictures import write_sheet
from latentry.tasks.loading import load_with_unlabelled_prior, named_prior

__all__ = ["DESIGNS", "PART", "TABLE", "TRADE_OFF", "PriorCell", "fingerprint", "kept_priors"]

PART, TRADE_OFF = "priors", "trade-off"
"""What the table of results calls the table of priors, and the family of designs beside it."""

SHOWN = 16
"""Images in a row of a picture."""
Maker = Callable[[PriorsSettings], UnlabelledPrior]


def _interpolable(**options: Any) -> Maker:
    return lambda settings: design_interpolable(settings.latent_dim, bins=settings.bins, **options)


def _radial(**options: Any) -> Maker:
    return lambda settings: design_radial(settings.latent_dim, bins=settings.radius_bins, **options)


def _published(settings: PriorsSettings) -> UnlabelledPrior:
    assert settings.published is not None
    return Tabulated.from_file(settings.published, settings.latent_dim)


def _standardized(settings: PriorsSettings) -> UnlabelledPrior:
    prior = _interpolable()(settings)
    assert isinstance(prior, Tabulated)
    return Tabulated(prior.latent_dim, prior.probs, prior.marginal.low, prior.marginal.high, standardize=True)


TABLE: dict[str, Maker] = {
    "uniform": lambda settings: Uniform(settings.latent_dim),
    BASELINE: lambda settings: Normal(settings.latent_dim),
    "gamma": lambda settings: GammaRadius(settings.latent_dim, theta=2.0 * settings.latent_dim),
    "cauchy": lambda settings: SphericalCauchy(settings.latent_dim),
    "published": _published,
    "authors-problem": lambda settings: redesign_singh2019(settings.latent_dim, settings.bins),
    "designed-middle": _interpolable(mix=(0.5,)),
    "designed-all": _interpolable(),
    "designed-radius": _radial(),
}
"""Rows of the table; of the published masses and the authors' problem solved again it has one."""
DESIGNS: dict[str, Maker] = {
    "designed-all, unit variance": _standardized,
    "designed-all, std 0.05": _interpolable(std=0.05),
    "designed-all, std 0.1": _interpolable(std=0.1),
    "designed-minimax": _interpolable(combine="max"),
    "designed-all, smooth": _interpolable(smoothness=0.1),
    "designed-radius, spread 4": _radial(spread=4.0),
    "designed-radius, spread 8": _radial(spread=8.0),
    "log-uniform-radius": lambda settings: LogUniformRadius(settings.latent_dim),
}
"""Designs of other spread, scale and smoothness, for the trade-off."""


def kept_priors(names: list[str], settings: PriorsSettings, place: Place) -> dict[str, UnlabelledPrior]:
    """Priors by name, made once and kept as files."""
    for name in names:
        if not (path := _file(place, name)).exists():
            save_prior(path, (TABLE | DESIGNS)[name](settings))
    return {name: named_prior(str(_file(place, name))) for name in names}


def _file(place: Place, name: str) -> Path:
    return place.folder / "priors" / f"{name}.json"


def fingerprint(prior: UnlabelledPrior) -> str:
    """Hash of all that makes a prior."""
    return hashlib.sha256(json.dumps(files.record(prior), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PriorCell(Cell):
    """One generator and how it is evaluated: at its prior, and between codes along the straight and the transported line."""

    data: str
    extractor: str
    prior: str
    prior_fingerprint: str
    seed: int
    latent_dim: int
    width: int
    steps: int
    batch_size: int
    learning_rate: float
    count: int
    t: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{Path(self.data).name}-{self.prior}-{self.seed}"

    @property
    def row(self) -> Row:
        return Row(TRADE_OFF if self.prior in DESIGNS else PART, Path(self.data).name, self.prior, self.seed)

    def measures(self, result: dict[str, Any]) -> dict[str, float]:
        return measures(result)

    def expected_seconds(self, place: Place) -> float:
        forward, evaluated = _seconds(self.data, self.extractor, self.latent_dim, self.width, self.batch_size, place.device)
        measured = self.count * (2 + len(RULES) * len(self.t))
        return self.steps * self.batch_size * 14 * forward + measured * (forward + evaluated)

    def work(self, place: Place) -> dict[str, Any]:
        generator, prior, mark = self._trained(place)
        model = load_model(self.extractor, Classifier)
        extractor = ClassifierExtractor(
            model.network.to(place.device), data_fingerprint=model.card.get("data", {}).get("fingerprint")
        )
        data = load_dataset(self.data)
        training, held_out = (
            split.images(range(min(self.count, len(split)))).to(place.device)
            for split in (data.split("train"), data.split("held-out"))
        )
        remembering = RememberingExtractor(extractor, training)

        def metric(generated: Tensor, reference: Tensor) -> SampleReport:
            return evaluate_samples(
                generated,
                reference,
                remembering,
                max_rows=2000,
                halves=2,
                batch_size=500,
                rng=torch.Generator().manual_seed(0),
            )

        def make(z: Tensor) -> Tensor:
            return generator(z.to(place.device))

        rng = torch.Generator().manual_seed(self.seed)
        with evaluated(generator), torch.no_grad():
            write_sheet(place.picture(self.name), _samples_and_lines(make, prior))
            generated = in_batches(make, prior.sample(self.count, rng=rng), size=500)
        points = evaluate_paths(
            make, prior, reference=training, rules=RULES, t=self.t, metric=metric, count=self.count, rng=rng
        )
        return {
            "generator": mark,
            "extractor": str(extractor.fingerprint),
            "prior": _numbers(points[0].samples),
            "held_out": _numbers(metric(generated, held_out)),
            **{rule: {f"{p.t:g}": _numbers(p.samples) for p in points if p.rule == rule} for rule in RULES},
        }

    def _trained(self, place: Place) -> tuple[torch.nn.Module, UnlabelledPrior, str]:
        """Generator, prior and fingerprint, trained as the shipped one was, at this size."""
        home = place.home(self.name)
        settings = GANSettings(
            latent_dim=self.latent_dim, width=self.width, discriminator_width=self.width, r1=0.5, r1_every=8,
            generator_learning_rate=self.learning_rate, discriminator_learning_rate=self.learning_rate, betas=(0.0, 0.99),
            ema=0.995, steps=self.steps, batch_size=self.batch_size, schedule="cosine",
            checkpoint_every=max(2, -(-self.steps // 3)),
        )  # fmt: skip
        fitted = fit_gan(
            load_dataset(self.data).split("train"),
            named_prior(str(_file(place, self.prior))),
            settings,
            device=place.device,
            rng=self.seed,
            progress=no_progress,
            checkpoint=home,
        )
        save_model(home / "model", fitted.model, {"settings": asdict(self)})
        model, prior = load_with_unlabelled_prior(str(home / "model"))
        return model.generator.to(place.device), prior, model.fingerprint


@lru_cache(maxsize=4)
def _seconds(data: str, extractor: str, latent_dim: int, width: int, batch: int, device: str) -> tuple[float, float]:
    """Of a forward pass of a generator, and of the extractor on what it makes."""
    channels, side, _ = load_dataset(data).shape
    generator = channels_last(DCGANGenerator(latent_dim, side, channels, width)).to(device).eval()
    classifier = load_model(extractor, Classifier).network.to(device)
    z = torch.randn(batch, latent_dim, device=device)
    with torch.no_grad():
        x = generator(z)
        return best_of(lambda: generator(z)) / batch, best_of(lambda: classifier(x)) / batch


def _samples_and_lines(make: Callable[[Tensor], Tensor], prior: UnlabelledPrior) -> list[tuple[str, Tensor]]:
    """Codes of the prior, middles of two of them, and two straight lines from one code to another."""
    a, b = prior.sample((2, SHOWN), rng=torch.Generator().manual_seed(0))
    first, second = (
        torch.lerp(start, end, torch.linspace(0, 1, SHOWN)[:, None]) for start, end in zip(a[:2], b[:2], strict=True)
    )
    rows = (("codes of the prior", a), ("middles of two", (a + b) / 2), ("straight line", first), ("straight line", second))
    return [(name, make(z).cpu()) for name, z in rows]


def _numbers(report: SampleReport | None) -> dict[str, float]:
    assert report is not None  # a metric was given
    return {name: report.estimates[name].value for name in METRICS}
