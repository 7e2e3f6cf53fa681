"""All denoisers against one kind of corruption: classical filters, recovery, and recovery filtered in a basis."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from experiments.framework.cell import Cell, Place, Row, no_progress
from experiments.spectrum.spaces import SHOWN, EncoderCell, evaluation_classifier
from latentry.data.corruptions import Blurring, Corruption, NormalNoise, Occlusion, OneOf, SaltAndPepper
from latentry.latent.inverse import fit_inverse
from latentry.latent.inverse_files import load_inverse, save_inverse
from latentry.latent.measurements import Blur
from latentry.latent.settings import InverseSettings
from latentry.reports.pictures import write_sheet
from latentry.tasks.denoising.comparison import Kind, compare_denoisers
from latentry.tasks.denoising.methods import code_filters, filters_for, recoveries_for

__all__ = ["STRENGTHS", "DenoiserCell", "DenoisingCell", "corruption_titles"]

STRENGTHS: dict[str, tuple[Corruption, ...]] = {
    "normal noise": (NormalNoise(0.3), NormalNoise(0.6), NormalNoise(1.0)),
    "salt and pepper": (SaltAndPepper(0.1), SaltAndPepper(0.3), SaltAndPepper(0.5)),
    "occlusion": (Occlusion(6), Occlusion(10), Occlusion(14)),
    "blur": (Blurring(Blur(1.0)), Blurring(Blur(2.0)), Blurring(Blur(3.0))),
}
"""What methods are compared on, the strongest last: for images of 28 x 28 in [-1, 1] on a background of -1."""


def corruption_titles() -> dict[str, str]:
    """Kind and strength of each corruption, by its repr."""

    def strength(of: Any) -> int | float:
        if isinstance(of, NormalNoise):
            return of.sigma
        if isinstance(of, SaltAndPepper):
            return of.share
        return of.side if isinstance(of, Occlusion) else of.operator.sigma

    return {str(of): f"{kind} {strength(of):g}" for kind, several in STRENGTHS.items() for of in several}


@dataclass(frozen=True)
class DenoiserCell(Cell):
    """An encoder of corrupted images, one for all corruptions of a generator's images."""

    encoder: EncoderCell
    corruptions: tuple[str, ...]
    strengths: int
    """How many of the strengths of each, the strongest first."""
    steps: int

    @property
    def name(self) -> str:
        return f"denoiser-{self.encoder.space.data_name}-{self.encoder.space.seed}"

    @property
    def row(self) -> Row:
        return Row("encoder", self.encoder.space.data_name, "denoising encoder", self.encoder.space.seed)

    def expected_seconds(self, place: Place) -> float:
        return self.steps * self.encoder.pair_seconds(place)

    def work(self, place: Place) -> dict[str, Any]:
        """Train on pairs of a code and its corrupted image: no real images, no labels."""
        space, home = self.encoder.load(place), place.home(self.name)
        denoiser = fit_inverse(
            space.generator,
            space.prior,
            InverseSettings(
                steps=self.steps,
                batch_size=self.encoder.batch_size,
                noise=1 / 255,  # images went through 8 bits
                checkpoint_every=max(1, min(250, self.steps // 2)),
            ),
            corrupt=OneOf(tuple(each for kind in self.corruptions for each in STRENGTHS[kind][-self.strengths :])),
            rng=torch.Generator().manual_seed(self.encoder.space.seed),
            checkpoint=home,
            progress=no_progress,
        )
        save_inverse(home, denoiser)
        return {"code_error": denoiser.report.code_error}


@dataclass(frozen=True)
class DenoisingCell(Cell):
    """All denoisers against one kind of corruption, at each strength."""

    denoiser: DenoiserCell
    classifier: str
    corruption: str
    samples: int
    recovery_steps: int
    validation: int
    held_out: int

    @property
    def encoder(self) -> EncoderCell:
        return self.denoiser.encoder

    @property
    def name(self) -> str:
        space = self.encoder.space
        return f"denoising-{space.data_name}-{self.corruption.replace(' ', '-')}-{space.seed}"

    def rows(self, result: dict[str, Any]) -> Mapping[Row, Mapping[str, float]]:
        """One for each strength: the blind method of each kind that was best on validation images, and paired gains."""
        space, titles = self.encoder.space, corruption_titles()
        return {
            Row("denoising", space.data_name, titles.get(corruption, corruption), space.seed): {
                "clean": of["clean"],
                "gain": of["gain"]["value"],
                "gain_informed": of["gain_informed"]["value"],
                "nothing.accuracy": _best(of["rows"], "accuracy", "filter", family="nothing"),
                "filter.accuracy": _best(of["rows"], "accuracy", "filter"),
                "recovery.accuracy": _best(of["rows"], "accuracy", "recovery"),
                "basis.accuracy": _best(of["rows"], "accuracy", "basis"),
                "filter.error": _best(of["rows"], "error", "filter"),
                "recovery or basis.error": _best(of["rows"], "error", "recovery", "basis"),
            }
            for corruption, of in result.items()
        }

    def expected_seconds(self, place: Place) -> float:
        one = self.encoder.space.seconds(place.device)
        images = (self.validation + self.held_out) * (0.3 + self.recovery_steps * 18 * one)
        return self.denoiser.strengths * (self.samples * one + images)

    def work(self, place: Place) -> dict[str, Any]:
        """Accuracy and error of every method, tuned on validation images.

        The evaluation classifier tunes as well as it scores, on other images: what a filter leaves is no image that the
        guide knows, so that it would choose the wrong settings for filters alone.
        """
        space, classifier = self.encoder.load(place), evaluation_classifier(self.classifier, place)
        basis, _ = self.encoder.codes(place, space)
        encoder = load_inverse(place.home(self.denoiser.name), space.generator)
        validation = space.images("validation", self.validation)
        held_out = space.images("held-out", self.held_out)
        seed = self.encoder.space.seed
        found = {}
        for strength, corruption in enumerate(STRENGTHS[self.corruption][-self.denoiser.strengths :], 1):
            rng = torch.Generator().manual_seed(seed)
            report = compare_denoisers(
                corruption, validation, held_out, space.generator,
                filters=filters_for(corruption, held_out.x.shape[-1]),
                recoveries=recoveries_for(
                    corruption, space.generator, space.prior, encoder, samples=self.samples, steps=self.recovery_steps,
                    rng=rng,
                ),
                code_filters=code_filters(basis), guide=classifier, classifier=classifier, seed=seed, shown=SHOWN,
            )  # fmt: skip
            kinds: dict[str, Kind] = {"best filter": "filter", "recovery": "recovery", "in the basis": "basis"}
            best = {title: report.best((kind,), "accuracy").images for title, kind in kinds.items()}
            shown = {"clean": report.clean, "corrupted": report.corrupted.clamp(-1, 1), **best}
            rows = [(title, x.cpu()) for title, x in shown.items()]
            write_sheet(place.picture(f"{self.name}-{strength}"), rows)
            found[str(corruption)] = {
                "clean": report.accuracy_of_clean.value,
                "gain": asdict(report.gain()),
                "gain_informed": asdict(report.gain(blind=False)),
                "rows": report.columns(),
            }
        return found


def _best(columns: dict[str, list[Any]], target: str, *kinds: str, family: str | None = None) -> float:
    """Score of the row that was best on validation images, of methods that see the corrupted image alone."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    candidates = [
        row
        for row in rows
        if row["blind"]
        and row["kind"] in kinds
        and row["tuned_by"] == target
        and (family is None or row["family"] == family)
    ]
    best = min if target == "error" else max
    score: float = best(candidates, key=lambda row: row[f"validation_{target}"])[target]
    return score
