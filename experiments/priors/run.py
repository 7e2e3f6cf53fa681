"""`python -m experiments priors`: what does a prior cost at the prior, and what between codes? The table of paper 3.

Generators that differ in nothing but their prior are trained on equal terms: network, steps, order of the data, seeds. Each
is judged at its prior and at interpolated codes, along the straight line and along the transported one. A ratio is that of
one generator's distances, at the step and at its prior; means and intervals are over seeds.

Reference: Singh, Turaga, Jayasuriya, Garg, Braun, "Non-parametric priors for generative adversarial networks", 2019.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.frame.cells import Cell
from experiments.frame.experiment import begin
from experiments.priors.comparison import BASELINE, METRICS, RULES, PriorRow, comparison_table, rows, short_table, verdict
from experiments.priors.settings import PriorsSettings
from latentry.data.sources import load_dataset
from latentry.evaluation.extractor import ClassifierExtractor, RememberingExtractor
from latentry.evaluation.paths import evaluate_paths
from latentry.evaluation.samples import SampleReport, evaluate_samples
from latentry.holding import evaluated
from latentry.models.gan import GAN
from latentry.models.pretrained import load_pretrained
from latentry.networks import DCGANDiscriminator, DCGANGenerator, channels_last
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
from latentry.reports.figures import step_figure, trade_off_figure
from latentry.reports.page import Picture, write_page
from latentry.reports.pictures import grid, write_png
from latentry.reports.tables import Table
from latentry.tasks.runs import RESULTS, command, load_generator, named_prior
from latentry.tasks.train import train_gan
from latentry.tasks.train_settings import TrainGANSettings
from latentry.training.loop import optimizer_update
from latentry.training.settings import LoopSettings

__all__ = ["run"]

_PARTS = ("index.html", "cells", "pictures", "priors", "work")


@dataclass(frozen=True)
class PriorCell:
    """One generator and how it is judged."""

    data: str
    extractor: str
    prior: str
    prior_fingerprint: str
    seed: int
    latent_dim: int
    width: int
    steps: int
    batch_size: int
    lr: float
    count: int
    t: tuple[float, ...]


@command
def run(settings: PriorsSettings) -> dict[str, Any]:
    """Write one file for each cell, then `index.html` and `results.json`; print the cost first and the table last."""
    settings = _rehearsal(settings) if settings.quick else settings
    if len(settings.data) != len(settings.extractors) or not settings.data:
        raise ValueError(
            f"expected one extractor for each data set, got {len(settings.extractors)} for {len(settings.data)}; "
            "name as many with --extractors"
        )
    experiment = begin(settings, *_PARTS)
    folder, device = experiment.folder, experiment.device

    table, designs = _priors(settings, folder)
    cells = _cells(settings, table, designs)
    seconds = _seconds(cells[0].settings, folder, device)
    results = experiment.results([cells], partial(_train_and_measure, folder, str(device)), lambda cell: seconds)

    seeds = range(settings.seed, settings.seed + settings.seeds)
    found = {
        data: rows({name: {seed: results[_name(data, name, seed)] for seed in seeds} for name in table})
        for data in settings.data
    }
    trade_off = {name: results[_name(settings.data[-1], name, settings.seed)] for name in [*table, *designs]}
    verdicts = [verdict(data, of_data) for data, of_data in found.items()]
    _write_page(folder, settings, found, trade_off, cells, verdicts)
    result = {
        "rows": {data: {name: dataclasses.asdict(row) for name, row in of.items()} for data, of in found.items()},
        "trade_off": trade_off,
        "verdicts": verdicts,
        "cells": results,
    }
    return experiment.finish(result, [short_table(data, of_data) for data, of_data in found.items()], verdicts)


def _rehearsal(settings: PriorsSettings) -> PriorsSettings:
    return dataclasses.replace(
        settings, data=settings.data[:1], extractors=settings.extractors[:1], seeds=2, latent_dim=8, width=2, steps=2,
        batch_size=16, count=120, t=settings.t[:1], workers=settings.workers or 1, trade_off=False,
    )  # fmt: skip


def _priors(settings: PriorsSettings, folder: Path) -> tuple[dict[str, UnlabelledPrior], dict[str, UnlabelledPrior]]:
    """The priors of the table and those of the trade-off, made once and kept as files."""
    d, (bins, radius_bins) = settings.latent_dim, (128, 32) if settings.quick else (1024, 128)

    def published() -> UnlabelledPrior:
        if settings.published is None:
            return redesign_singh2019(d, bins)
        return Tabulated.from_file(settings.published, d)

    table: dict[str, Callable[[], UnlabelledPrior]] = {
        "uniform": lambda: Uniform(d),
        BASELINE: lambda: Normal(d),
        "gamma": lambda: GammaRadius(d, theta=2.0 * d),
        "cauchy": lambda: SphericalCauchy(d),
        "published" if settings.published else "authors-problem": published,
        "designed-middle": lambda: design_interpolable(d, bins=bins, mix=(0.5,)),
        "designed-all": lambda: design_interpolable(d, bins=bins),
        "designed-radius": lambda: design_radial(d, bins=radius_bins),
    }
    unknown = set(settings.priors) - table.keys()
    if unknown:
        raise ValueError(f"expected priors among {', '.join(table)}, got {', '.join(sorted(unknown))}; choose some of these")
    if settings.priors:
        table = {name: make for name, make in table.items() if name in (BASELINE, *settings.priors)}
    designs: dict[str, Callable[[], UnlabelledPrior]] = {
        "designed-all, unit variance": lambda: _standardized(design_interpolable(d, bins=bins)),
        "designed-all, std 0.05": lambda: design_interpolable(d, bins=bins, std=0.05),
        "designed-all, std 0.1": lambda: design_interpolable(d, bins=bins, std=0.1),
        "designed-minimax": lambda: design_interpolable(d, bins=bins, combine="max"),
        "designed-all, smooth": lambda: design_interpolable(d, bins=bins, smoothness=0.1),
        "designed-radius, spread 4": lambda: design_radial(d, 4.0, bins=radius_bins),
        "designed-radius, spread 8": lambda: design_radial(d, 8.0, bins=radius_bins),
        "log-uniform-radius": lambda: LogUniformRadius(d),
    }
    wanted = table | (designs if settings.trade_off else {})
    kept = {name: _kept(folder, name, make) for name, make in wanted.items()}
    return {name: kept[name] for name in table}, {name: kept[name] for name in wanted if name not in table}


def _standardized(prior: UnlabelledPrior) -> Tabulated:
    assert isinstance(prior, Tabulated)
    return Tabulated(prior.latent_dim, prior.probs, prior.marginal.low, prior.marginal.high, standardize=True)


def _kept(folder: Path, name: str, make: Callable[[], UnlabelledPrior]) -> UnlabelledPrior:
    path = _prior_file(folder, name)
    if not path.exists():
        save_prior(path, make())
    return named_prior(str(path))


def _prior_file(folder: Path, name: str) -> Path:
    return folder / "priors" / f"{name}.json"


def _cells(
    settings: PriorsSettings, table: Mapping[str, UnlabelledPrior], designs: Mapping[str, UnlabelledPrior]
) -> list[Cell]:
    """Seed by seed, so that a run that is stopped early has compared all priors; the trade-off last."""

    def cell(data: str, extractor: str, name: str, prior: UnlabelledPrior, seed: int) -> Cell:
        made = PriorCell(
            data, extractor, name, _fingerprint(prior), seed, settings.latent_dim, settings.width, settings.steps,
            settings.batch_size, settings.lr, settings.count, settings.t,
        )  # fmt: skip
        return Cell(_name(data, name, seed), made)

    sets = list(zip(settings.data, settings.extractors, strict=True))
    cells = [
        cell(data, extractor, name, prior, settings.seed + seed)
        for seed in range(settings.seeds)
        for data, extractor in sets
        for name, prior in table.items()
    ]
    return cells + [cell(*sets[-1], name, prior, settings.seed) for name, prior in designs.items()]


def _name(data: str, prior: str, seed: int) -> str:
    return f"{Path(data).name}-{prior}-{seed}"


def _fingerprint(prior: UnlabelledPrior) -> str:
    return hashlib.sha256(json.dumps(files.record(prior), sort_keys=True).encode()).hexdigest()[:16]


def _train_and_measure(folder: Path, device_name: str, cell: Cell) -> dict[str, Any]:
    """Train one generator, unless that is done, and judge it at its prior and between codes."""
    asked: PriorCell = cell.settings
    home = folder / "work" / cell.name
    if not (home / RESULTS).exists():
        train_gan(_training(asked, _prior_file(folder, asked.prior), home, device_name))
    model, prior = load_generator(str(home / "model"))
    device = torch.device(device_name)
    generator = model.network.to(device)
    seen_through = load_pretrained(asked.extractor)
    extractor = ClassifierExtractor(
        seen_through.network.to(device), data_fingerprint=seen_through.card.get("data", {}).get("fingerprint")
    )
    data = load_dataset(asked.data)
    training, held_out = (
        split.images(range(min(asked.count, len(split)))).to(device)
        for split in (data.split("train"), data.split("held-out"))
    )
    remembering = RememberingExtractor(extractor, training)

    def measured(generated: Tensor, reference: Tensor) -> SampleReport:
        return evaluate_samples(generated, reference, remembering, max_rows=2000, halves=2, batch_size=500)

    def make(z: Tensor) -> Tensor:
        return generator(z.to(device))

    rng = torch.Generator().manual_seed(asked.seed)
    with evaluated(generator), torch.no_grad():
        write_png(_picture(folder, cell.name), _samples_and_strips(make, prior), magnify=2)
        generated = torch.cat([make(z) for z in prior.sample(asked.count, rng=rng).split(500)])
    points = evaluate_paths(make, prior, training, rules=RULES, t=asked.t, metric=measured, n=asked.count, rng=rng)
    return {
        "generator": model.fingerprint,
        "extractor": str(extractor.fingerprint),
        "prior": _numbers(points[0].samples),
        "held_out": _numbers(measured(generated, held_out)),
        **{rule: {f"{p.t:g}": _numbers(p.samples) for p in points if p.rule == rule} for rule in RULES},
    }


def _picture(folder: Path, name: str) -> Path:
    return folder / "pictures" / f"{name}.png"


def _samples_and_strips(make: Callable[[Tensor], Tensor], prior: UnlabelledPrior, columns: int = 8) -> Tensor:
    """Codes of the prior, beside middles of two of them, above four straight lines from one code to another."""
    a, b = prior.sample((2, 4 * columns), rng=torch.Generator().manual_seed(0))
    steps = torch.linspace(0, 1, 2 * columns)
    lines = torch.lerp(a[:4, None], b[:4, None], steps[:, None]).flatten(0, 1)
    at_prior, in_the_middle, strips = (make(z).cpu() for z in (a, (a + b) / 2, lines))
    sides = torch.stack([at_prior.unflatten(0, (-1, columns)), in_the_middle.unflatten(0, (-1, columns))], 1)
    return grid(torch.cat([sides.flatten(0, 2), strips]), 2 * columns)


def _training(asked: PriorCell, prior: Path, home: Path, device: str) -> TrainGANSettings:
    """The shipped generator's settings, at this size."""
    return TrainGANSettings(
        out=str(home),
        seed=asked.seed,
        device=device,
        json=True,
        data=asked.data,
        prior=str(prior),
        latent_dim=asked.latent_dim,
        width=asked.width,
        discriminator_width=asked.width,
        r1=0.5,
        r1_every=8,
        generator_lr=asked.lr,
        discriminator_lr=asked.lr,
        betas=(0.0, 0.99),
        ema=0.995,
        loop=LoopSettings(
            steps=asked.steps, batch_size=asked.batch_size, schedule="cosine", checkpoint_every=max(2, -(-asked.steps // 3))
        ),
    )


def _numbers(report: SampleReport | None) -> dict[str, float]:
    assert report is not None  # a metric was given
    return {name: report.estimates[name].value for name in METRICS}


def _seconds(asked: PriorCell, folder: Path, device: torch.device) -> float:
    """About what a cell will take: a few iterations and a few samples, timed here and now."""
    prior = named_prior(str(_prior_file(folder, asked.prior))).to(device)
    data = load_dataset(asked.data).split("train")
    side, channels = data.shape[1], data.shape[0]
    model = GAN(
        channels_last(DCGANGenerator(asked.latent_dim, side, channels, asked.width)).to(device),
        channels_last(DCGANDiscriminator(side, channels, asked.width, "none")).to(device),
        prior,
    )
    extractor = load_pretrained(asked.extractor).network.to(device)
    rng = torch.Generator(device).manual_seed(0)
    x = data.images(range(min(asked.batch_size, len(data)))).to(device)
    labels = torch.zeros(len(x), dtype=torch.long, device=device)

    update = optimizer_update(model.optimizers)

    def measured() -> None:
        with torch.no_grad():
            extractor(model.networks["generator"](prior.sample(asked.batch_size, rng=rng)))

    sets = 2 + len(RULES) * len(asked.t)
    measuring = _best_of(measured) * sets * asked.count / asked.batch_size
    return _best_of(lambda: model.step((x, labels), rng, update)) * asked.steps + measuring


def _best_of(work: Callable[[], Any], times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _write_page(
    folder: Path,
    settings: PriorsSettings,
    found: Mapping[str, Mapping[str, PriorRow]],
    trade_off: Mapping[str, Mapping[str, Any]],
    cells: Sequence[Cell],
    verdicts: Sequence[str],
) -> None:
    curves = {
        data: {
            name: {0.0: 1.0} | {float(step): numbers["frechet_ratio"].value for step, numbers in row.between["lerp"].items()}
            for name, row in of_data.items()
        }
        for data, of_data in found.items()
    }
    step = f"{settings.t[0]:g}"
    points = {
        name: (result["prior"]["frechet_distance"], result["lerp"][step]["frechet_distance"])
        for name, result in trade_off.items()
    }
    blocks: list[Table | Picture] = [
        *(comparison_table(data, of_data) for data, of_data in found.items()),
        Picture(
            "The price of the straight line", step_figure(curves, "Frechet distance, ratio to that at the prior"), _BAND
        ),
        Picture(
            f"What a design costs at the prior, and what it gains at t = {step}",
            trade_off_figure(points, "Frechet distance at the prior", f"at t = {step} on the straight line"),
            f"{settings.data[-1]}, one seed. On the dashed line nothing is lost between codes.",
        ),
        *(
            Picture(f"{cell.settings.data}: {cell.settings.prior}", _picture(folder, cell.name).read_bytes(), _SAMPLES)
            for cell in cells
            if cell.settings.seed == settings.seed and _picture(folder, cell.name).exists()
        ),
    ]
    facts = [
        ("network", f"DCGAN, width {settings.width}, {settings.latent_dim} latents"),
        ("training", f"{settings.steps} iterations of {settings.batch_size} images, {settings.seeds} seeds"),
        ("seen through", ", ".join(settings.extractors)),
        ("samples", f"{settings.count} a row"),
    ]
    lead = [
        "Generators that differ in nothing but the prior of their codes, measured at the prior and between two codes of it.",
        *verdicts,
    ]
    write_page(folder / "index.html", "Priors at the prior and between codes", lead, blocks, facts)


_BAND = "Straight lines between two codes. Grey: within 10 %."
_SAMPLES = "Above, left: codes of the prior; right: middles of two. Below: straight lines from one code to another."
