"""`latentry evaluate`: how good is a generator at its prior and between its codes, and do codes fit the prior?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentry.data.array_data import load_array
from latentry.data.code_files import load_code_file
from latentry.data.recovered import load_codes
from latentry.data.sources import load_dataset
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.extractor import CallableExtractor, ClassifierExtractor, Extractor, RememberingExtractor
from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.evaluation.paths import PathPoint, evaluate_paths
from latentry.evaluation.sample_report import SampleReport
from latentry.evaluation.samples import evaluate_samples
from latentry.holding import evaluated
from latentry.models.classifier import Classifier
from latentry.models.saving import load_model
from latentry.numerics.interval import Interval
from latentry.paths import user_path
from latentry.reports.figures import fit_figure, path_figure
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.tables import Table, print_table
from latentry.tasks.evaluate.settings import EvaluateSettings
from latentry.tasks.evaluation_classifier import GeneratedData, class_count, generated_data
from latentry.tasks.loading import chosen_generator, prior_notes
from latentry.tasks.recover.options import are_images, data_shape
from latentry.tasks.runs import Run, command
from latentry.tasks.settings import refuse_unused

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
    "a test of their own elements rejects at 5 %; 0.05 for codes of the prior. Intervals: 95 %, each for its "
    "row alone; rows share their codes."
)


@command("index.html")
def evaluate(settings: EvaluateSettings, run: Run) -> dict[str, Any]:
    """Write `index.html` and `results.json`; print one row for the prior and one for each rule and step."""
    model, prior = chosen_generator(settings)
    generator = model.generator.to(run.device)
    made = generated_data(settings.generator, data_shape(generator, prior))
    reference = _reference(settings, made)
    x = reference.x.to(run.device)
    remembering = RememberingExtractor(_extractor(settings, made, run.device), x)
    z = None if settings.codes is None else _codes(settings.codes)

    def metric(generated: Tensor, data: Tensor) -> SampleReport:
        return evaluate_samples(generated.to(run.device), data, remembering, rng=torch.Generator().manual_seed(0))

    points = evaluate_paths(
        lambda codes: generator(codes.to(run.device)),
        prior,
        reference=x,
        rules=settings.rules,
        t=settings.t,
        metric=metric,
        count=settings.count,
        rng=run.rng(),
    )
    fit = None if z is None else goodness_of_fit(z, prior, rng=torch.Generator().manual_seed(0))

    with evaluated(generator), torch.no_grad():
        drawn = generator(prior.sample(_SHOWN, rng=run.rng()).to(run.device)).cpu()
    notes = [*reference.notes, *prior_notes(model)]
    if made.data not in (None, settings.data):
        notes.append(f"the generator was trained on {made.data}, and is compared with {settings.data}")
    lead = f"{settings.count} samples a row, against {reference.name}."
    facts = [
        ("generator", settings.generator),
        ("prior", repr(prior)),
        ("features by", settings.extractor if are_images(made.shape) else "the data themselves"),
        ("seed", str(run.seed)),
    ]
    codes = None if z is None or fit is None else Picture("Codes against the prior", fit_figure(z, prior, fit), fit.verdict)
    _write_page(run.folder / "index.html", lead, _samples(drawn, x[:_SHOWN].cpu()), points, codes, notes, facts)
    content = run.record(_numbers(points, fit) | {"generator": model.fingerprint, "prior": repr(prior), "notes": notes})
    print_table(_table(points, intervals=False), run.console)
    for note in notes:
        run.console.print(f"Note: {note}.")
    if fit is not None:
        run.console.print(fit.verdict)
    run.console.print(f"The report with figures: {run.folder / 'index.html'}")
    return content


@dataclasses.dataclass(frozen=True)
class _Reference:
    """Data to compare with."""

    x: Tensor
    name: str
    notes: tuple[str, ...] = ()


def _reference(settings: EvaluateSettings, made: GeneratedData) -> _Reference:
    if not are_images(made.shape):
        refuse_unused(settings, ["split"], "a generator of square images")
        x = load_array(settings.data, made.shape)
        return _Reference(x[: settings.count], settings.data)
    channels, side, _ = made.shape
    data = load_dataset(settings.data, image_size=side, channels=channels).split(settings.split)
    x = data.images(range(min(settings.count, len(data))))
    return _Reference(x, f"the {settings.split} split of {settings.data}", tuple(data.notes))


def _extractor(settings: EvaluateSettings, made: GeneratedData, device: torch.device) -> Extractor:
    """The features of a classifier; of data that are no images, these themselves."""
    if not are_images(made.shape):
        refuse_unused(settings, ["extractor"], "a generator of square images")
        return CallableExtractor(lambda x: x.flatten(1), name="the data themselves")
    classifier = load_model(settings.extractor, Classifier)
    class_count(classifier, settings.extractor, made, "--extractor")
    fingerprint = classifier.card.get("data", {}).get("fingerprint")
    return ClassifierExtractor(classifier.network.to(device), data_fingerprint=fingerprint)


def _codes(source: str) -> Tensor:
    path = user_path(source)
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
    path: Path,
    lead: str,
    samples: Picture,
    points: tuple[PathPoint[SampleReport], ...],
    codes: Picture | None,
    notes: Sequence[str],
    facts: Sequence[tuple[str, str]],
) -> None:
    distances = {_name(point): point.samples.frechet_distance for point in points if point.samples is not None}
    blocks = [
        samples,
        *(() if codes is None else (codes,)),
        Picture("Frechet distance to the data", path_figure(distances), "With 95 % intervals."),
        _table(points, intervals=True),
    ]
    at_prior = next(point.samples for point in points if point.rule is None)
    leads = [*(() if codes is None else (codes.caption,)), *(() if at_prior is None else (at_prior.meaning,)), lead]
    notes = [*notes, *sorted({note for point in points if point.samples is not None for note in point.samples.notes})]
    write_page(
        path, "A generator at its prior and between its codes", leads, blocks, [*facts, *(("note", note) for note in notes)]
    )
