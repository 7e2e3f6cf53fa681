"""`latentry evaluate`: how good is a generator at its prior and between its codes, and do codes fit the prior?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentry.data.code_files import load_code_file
from latentry.data.recovered import load_codes
from latentry.data.sources import load_dataset
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.extractor import ClassifierExtractor, RememberingExtractor
from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.evaluation.paths import PathPoint, evaluate_paths
from latentry.evaluation.sample_report import SampleReport
from latentry.evaluation.samples import evaluate_samples
from latentry.holding import evaluated
from latentry.models.classifier import Classifier
from latentry.models.saving import load_model
from latentry.numerics.interval import Interval
from latentry.paths import user_path
from latentry.priors import SavedPrior
from latentry.reports.consoles import PlainConsole
from latentry.reports.figures import fit_figure, path_figure
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.tables import Table, print_table
from latentry.tasks.evaluate.settings import EvaluateSettings
from latentry.tasks.judging import class_count, made_by
from latentry.tasks.recover.options import image_format
from latentry.tasks.runs import claim_folder, command, load_any_generator, named_prior, pick_device, record

__all__ = ["evaluate"]

_METRICS = {
    "frechet_distance": "Frechet",
    "kernel_distance": "KID",
    "precision": "P",
    "recall": "R",
    "density": "D",
    "coverage": "C",
    "score": "score",
}
_SHOWN = 14
_NOTE = (
    "Frechet and KID: 0 for equal distributions. P, R, D, C: precision, recall, density, coverage. Off: share of codes that "
    "a test of their own elements tells from the prior at 5 %; 0.05 for codes of the prior. Intervals: 95 %, each for its "
    "row alone; rows share their codes."
)


@command
def evaluate(settings: EvaluateSettings) -> dict[str, Any]:
    """Write `index.html` and `results.json`; print one row for the prior and one for each rule and step."""
    device = pick_device(settings.device)
    model, prior = load_any_generator(settings.generator)
    if settings.prior is not None:
        prior = named_prior(settings.prior, prior.latent_dim)
    generator = model.generator.to(device)
    channels, side = image_format(generator, prior)
    made = made_by(settings.generator, (channels, side, side))
    seen_through = load_model(settings.extractor, Classifier)
    extractor = ClassifierExtractor(
        seen_through.network, data_fingerprint=seen_through.card.get("data", {}).get("fingerprint")
    )
    class_count(seen_through, settings.extractor, made, "--extractor")
    seen_through.network.to(device)
    reference = load_dataset(settings.data, image_size=side, channels=channels).split(settings.split)
    x = reference.images(range(min(settings.count, len(reference)))).to(device)
    remembering = RememberingExtractor(extractor, x)
    z = None if settings.codes is None else _codes(settings.codes)
    folder = claim_folder(settings, "index.html")

    def metric(generated: Tensor, data: Tensor) -> SampleReport:
        return evaluate_samples(generated.to(device), data, remembering, rng=torch.Generator().manual_seed(0))

    rng = torch.Generator().manual_seed(settings.seed)
    points = evaluate_paths(
        lambda codes: generator(codes.to(device)),
        prior,
        x,
        rules=settings.rules,
        t=settings.t,
        metric=metric,
        n=settings.count,
        rng=rng,
    )
    fit = None if z is None else goodness_of_fit(z, prior, rng=torch.Generator().manual_seed(0))

    with evaluated(generator), torch.no_grad():
        drawn = generator(prior.sample(_SHOWN, rng=torch.Generator().manual_seed(settings.seed)).to(device)).cpu()
    notes = [*reference.notes]
    if made.data not in (None, settings.data):
        notes.append(f"the generator was trained on {made.data}, and is compared with {settings.data}")
    _write_page(folder, settings, _samples(drawn, x[:_SHOWN].cpu()), points, prior, z, fit, notes)
    content = record(
        folder, settings, _numbers(points, fit) | {"generator": model.fingerprint, "prior": repr(prior), "notes": notes}
    )
    console = PlainConsole(quiet=settings.json)
    print_table(_table(points, intervals=False), console)
    for note in notes:
        console.print(f"Note: {note}.")
    if fit is not None:
        console.print(fit.verdict)
    console.print(f"The report with figures: {folder / 'index.html'}")
    return content


def _codes(given: str) -> Tensor:
    path = user_path(given)
    return load_codes(path).z if path.is_dir() else load_code_file(path)


def _name(point: PathPoint[SampleReport]) -> str:
    return "prior" if point.rule is None else f"{point.rule}, t = {point.t:g}"


def _table(points: tuple[PathPoint[SampleReport], ...], *, intervals: bool) -> Table:
    rows = []
    for point in points:
        estimates = [getattr(point.samples, name) for name in _METRICS]
        rejected = f"{point.rejected.value:.3f}"
        place = ("prior", "") if point.rule is None else (point.rule, f"{point.t:g}")
        rows.append((*place, *(_cell(estimate, intervals) for estimate in estimates), rejected))
    return Table("Samples at the prior and between codes", ("codes", "t", *_METRICS.values(), "off"), tuple(rows), _NOTE)


def _cell(estimate: Interval | None, intervals: bool) -> str:
    if estimate is None:
        return ""
    value = f"{estimate.value:.3f}" if abs(estimate.value) >= 0.1 else f"{estimate.value:.2g}"
    return f"{value} [{estimate.low:.3g}, {estimate.high:.3g}]" if intervals else value


def _numbers(points: tuple[PathPoint[SampleReport], ...], fit: GoodnessOfFit | None) -> dict[str, Any]:
    rows = [
        {
            "rule": point.rule,
            "weights": list(point.weights),
            "rejected": vars(point.rejected),
            "samples": None if point.samples is None else dataclasses.asdict(point.samples),
        }
        for point in points
    ]
    codes = None
    if fit is not None:
        codes = {"passes": fit.passes, "verdict": fit.verdict, "checks": [vars(check) for check in fit.checks]}
    return {"rows": rows, "codes": codes}


def _samples(made: Tensor, real: Tensor) -> Picture:
    """Generated samples above real ones."""
    across = min(len(made), len(real), _SHOWN)
    rows = [("generated", made[:across]), ("real", real[:across])]
    return sheet("Samples of the prior, and of the data", rows, caption="As they come; nothing was chosen.")


def _write_page(
    folder: Path,
    settings: EvaluateSettings,
    samples: Picture,
    points: tuple[PathPoint[SampleReport], ...],
    prior: SavedPrior,
    z: Tensor | None,
    fit: GoodnessOfFit | None,
    notes: Sequence[str],
) -> None:
    distances = {_name(point): point.samples.frechet_distance for point in points if point.samples is not None}
    blocks: list[Table | Picture] = [
        samples,
        Picture("Frechet distance to the data", path_figure(distances), "With 95 % intervals."),
        _table(points, intervals=True),
    ]
    at_prior = next(point.samples for point in points if point.rule is None)
    lead = [] if at_prior is None else [at_prior.meaning]
    lead += [f"{settings.count} samples a row, against the {settings.split} split of {settings.data}."]
    if z is not None and fit is not None:
        blocks.insert(1, Picture("Codes against the prior", fit_figure(z, prior, fit), fit.verdict))
        lead.insert(0, fit.verdict)
    notes = [*notes, *sorted({note for point in points if point.samples is not None for note in point.samples.notes})]
    facts = [
        ("generator", settings.generator),
        ("prior", repr(prior)),
        ("seen through", settings.extractor),
        ("seed", str(settings.seed)),
        *(("note", note) for note in notes),
    ]
    write_page(folder / "index.html", "A generator at its prior and between its codes", lead, blocks, facts)
