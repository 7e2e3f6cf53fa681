"""All denoisers against one kind of corruption: classical filters, recovery, and recovery filtered in a basis."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.frame.cells import unseen
from experiments.spectrum.denoisers import STRENGTHS, code_filters, filters_for, recoveries_for
from experiments.spectrum.denoising import compare_denoisers
from experiments.spectrum.spaces import (
    SHOWN,
    EncoderCell,
    Places,
    bench_of,
    coded,
    home_of,
    picture_of,
)
from latentry.data.corruptions import OneOf
from latentry.latent.inverse import fit_inverse, load_inverse, save_inverse
from latentry.reports.pictures import grid, interleave, write_png
from latentry.tasks.coding import load_classifier

__all__ = ["DenoiserCell", "DenoisingCell", "denoise", "fit_denoiser"]


@dataclass(frozen=True)
class DenoiserCell:
    """An encoder of corrupted images, one for all corruptions of a generator's images."""

    encoder: EncoderCell
    corruptions: tuple[str, ...]
    strengths: int
    """How many of the strengths of each, the strongest first."""
    steps: int

    @property
    def name(self) -> str:
        return f"denoiser-{Path(self.encoder.space.data).name}-{self.encoder.space.seed}"


@dataclass(frozen=True)
class DenoisingCell:
    """All denoisers against one kind of corruption, at each strength."""

    denoiser: DenoiserCell
    reader: str
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
        return f"denoising-{Path(space.data).name}-{self.corruption.replace(' ', '-')}-{space.seed}"


def fit_denoiser(places: Places, asked: DenoiserCell) -> dict[str, Any]:
    """Train on pairs of a code and its corrupted image: no real images, no labels."""
    bench, home = bench_of(places, asked.encoder), home_of(places, asked.name)
    denoiser = fit_inverse(
        bench.generator,
        bench.prior,
        steps=asked.steps,
        batch_size=asked.encoder.batch_size,
        noise=1 / 255,  # images went through 8 bits
        corrupt=OneOf(tuple(each for kind in asked.corruptions for each in STRENGTHS[kind][-asked.strengths :])),
        rng=torch.Generator().manual_seed(asked.encoder.space.seed),
        folder=home,
        checkpoint_every=max(1, min(250, asked.steps // 2)),
        progress=unseen,
    )
    save_inverse(home, denoiser)
    return {"code_error": denoiser.report.code_error}


def denoise(places: Places, asked: DenoisingCell) -> dict[str, Any]:
    """Accuracy and error of every method, tuned on validation images.

    The reader tunes as well as it scores, on other images: what a filter leaves is no image that the guide knows, so that
    it would choose the wrong settings for filters alone.
    """
    bench, reader = bench_of(places, asked.encoder), load_classifier(asked.reader, torch.device(places.device))
    basis, _ = coded(places, asked.encoder, bench)
    seed = asked.encoder.space.seed
    encoder = load_inverse(home_of(places, asked.denoiser.name), bench.generator)
    validation, held_out = bench.images("validation", asked.validation), bench.images("held-out", asked.held_out)
    found = {}
    strengths = list(enumerate(STRENGTHS[asked.corruption], 1))
    for strength, corruption in strengths[-asked.denoiser.strengths :]:
        report = compare_denoisers(
            corruption,
            validation,
            held_out,
            bench.generator,
            filters=filters_for(corruption, held_out.x.shape[-1]),
            recoveries=recoveries_for(
                corruption,
                bench.generator,
                bench.prior,
                encoder,
                samples=asked.samples,
                steps=asked.recovery_steps,
                rng=torch.Generator().manual_seed(seed),
            ),
            code_filters=code_filters(basis),
            guide=reader,
            classifier=reader,
            seed=seed,
            shown=SHOWN,
        )
        best = [report.best((kind,), "accuracy") for kind in ("filter", "recovery", "basis")]
        rows = interleave([report.clean.cpu(), report.corrupted.clamp(-1, 1).cpu(), *(row.images.cpu() for row in best)])
        write_png(picture_of(places, f"{asked.name}-{strength}"), grid(rows, 2 + len(best)), magnify=2)
        found[str(corruption)] = {
            "clean": report.accuracy_of_clean.value,
            "gain": asdict(report.gain()),
            "gain_told": asdict(report.gain(blind=False)),
            "rows": [row.numbers() for row in report.rows],
        }
    return found
