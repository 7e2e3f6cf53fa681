"""All denoisers against one kind of corruption: classical filters, recovery, and recovery filtered in a basis."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from latentry.data.corruptions import OneOf
from latentry.latent.inverse import fit_inverse
from latentry.reports.pictures import grid, interleave, write_png
from latentry.tasks.coding import load_classifier
from latentry.tasks.reproduction.denoisers import STRENGTHS, code_filters, filters_for, recoveries_for
from latentry.tasks.reproduction.denoising import DenoisingRow, compare_denoisers
from latentry.tasks.reproduction.spectral_spaces import (
    SHOWN,
    EncoderCell,
    Places,
    bench_of,
    coded,
    home_of,
    picture_of,
    unseen,
)

__all__ = ["DenoisingCell", "denoise"]


@dataclass(frozen=True)
class DenoisingCell:
    """All denoisers against one kind of corruption, at each strength."""

    encoder: EncoderCell
    reader: str
    corruption: str
    strengths: int
    """How many of the strengths, the strongest first."""
    inverse_steps: int
    samples: int
    recovery_steps: int
    validation: int
    held_out: int

    @property
    def name(self) -> str:
        space = self.encoder.space
        return f"denoising-{Path(space.data).name}-{self.corruption.replace(' ', '-')}-{space.seed}"


def denoise(places: Places, asked: DenoisingCell) -> dict[str, Any]:
    bench, reader = bench_of(places, asked.encoder), load_classifier(asked.reader, torch.device(places.device))
    basis, _ = coded(places, asked.encoder, bench)
    corruptions = STRENGTHS[asked.corruption][-asked.strengths :]
    home, seed = home_of(places, asked.name), asked.encoder.space.seed
    encoder = fit_inverse(
        bench.generator,
        bench.prior,
        steps=asked.inverse_steps,
        batch_size=asked.encoder.batch_size,
        corrupt=OneOf(corruptions) if len(corruptions) > 1 else corruptions[0],
        rng=torch.Generator().manual_seed(seed),
        folder=home,
        checkpoint_every=max(1, min(250, asked.inverse_steps // 2)),
        progress=unseen,
    )
    validation, held_out = bench.images("validation", asked.validation), bench.images("held-out", asked.held_out)
    found = {}
    for corruption in corruptions:
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
            guide=bench.guide,
            classifier=reader,
            seed=seed,
            shown=SHOWN,
        )
        best = [report.best((kind,), "accuracy") for kind in ("filter", "recovery", "basis")]
        rows = interleave([report.clean.cpu(), report.corrupted.clamp(-1, 1).cpu(), *(row.images.cpu() for row in best)])
        write_png(picture_of(places, f"{asked.name}-{corruption}"), grid(rows, 2 + len(best)), magnify=2)
        found[str(corruption)] = {
            "clean": report.accuracy_of_clean.value,
            "gain": asdict(report.gain()),
            "gain_told": asdict(report.gain(blind=False)),
            "rows": [_row(row) for row in report.rows],
        }
    return found


def _row(row: DenoisingRow) -> dict[str, Any]:
    return {
        "family": row.family,
        "kind": row.kind,
        "blind": row.blind,
        "setting": row.setting,
        "tuned_by": row.tuned_by,
        "validation_accuracy": row.validation_accuracy,
        "validation_error": row.validation_error,
        "accuracy": asdict(row.accuracy),
        "error": asdict(row.error),
        "seconds": row.seconds,
    }
