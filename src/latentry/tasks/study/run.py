"""`latentry study`: recover real and generated images four ways, test the codes against the prior, write one page."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentry.data.sources import load_dataset
from latentry.display import percent
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.proportions import share
from latentry.holding import evaluated, weights_like
from latentry.latent.known_codes import code_errors
from latentry.latent.recovery import recover_codes
from latentry.latent.regularizers import L2, Regularizer, StatisticalDistance
from latentry.latent.solvers import Adam, LevenbergMarquardt
from latentry.models.classifier import Classifier, predict_labels
from latentry.models.saving import load_model
from latentry.names import counted
from latentry.priors import UnlabelledPrior
from latentry.reports.figures import histogram_figure, p_value_figure
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import write_sheet
from latentry.reports.progress import progress_bar
from latentry.reports.recoveries import Outcome, comparison_table
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.evaluation_classifier import beside_doubts, reconstruction_doubts
from latentry.tasks.loading import chosen_unlabelled_generator
from latentry.tasks.runs import Run, command
from latentry.tasks.study.settings import StudySettings

__all__ = ["METHODS", "Method", "study"]

_SHOWN, _STRIP = 13, 12


@dataclass(frozen=True)
class Method:
    """A way to recover codes."""

    name: str
    title: str
    row: str
    """What its row of pictures is called."""
    regularizer: Regularizer | None
    weight: float | None
    damped: bool = False
    """By Levenberg-Marquardt; by gradient descent else."""


METHODS = (
    Method("LM", "Levenberg-Marquardt", "Levenberg-Marquardt", None, None, damped=True),
    Method("none", "Gradient descent", "gradient descent", None, None),
    Method("L2", "Gradient descent with L2", "the same with L2", L2(), 0.01),
    Method(
        "W1",
        "Gradient descent with the statistical distance (1-Wasserstein)",
        "the same with W1",
        StatisticalDistance("wasserstein"),
        0.01,
    ),
)
"""Weights chosen on validation digits by `scripts/choose_study_weights.py` (`evidence/study_weights.json`)."""


@dataclass(frozen=True)
class Targets:
    """Images to recover, and what is known of them."""

    title: str
    x: Tensor
    codes: Tensor | None = None
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.x)

    @property
    def named(self) -> tuple[str, ...]:
        """The classes of the first images, by their names."""
        return () if self.labels is None else tuple(self.class_names[label] for label in self.labels[:_SHOWN].tolist())


@dataclass(frozen=True)
class Search:
    """How long codes are searched for."""

    restarts: int
    """Starts from the prior for each image."""
    steps: int
    """Iterations of gradient descent from each start."""
    damped_steps: int
    """Iterations of Levenberg-Marquardt from each start."""
    seed: int
    """Seed of the starts, which are the same for every method."""


@command("index.html", "recovered.png", "codes.safetensors")
def study(settings: StudySettings, run: Run) -> dict[str, Any]:
    """Write `index.html`, `recovered.png`, `codes.safetensors`, `results.json`; print the tables and where the page lies."""
    began = time.perf_counter()
    model, prior = chosen_unlabelled_generator(settings)
    generator = model.generator.to(run.device)
    targets = _targets(generator, prior, settings.data, settings.count, run.rng())
    search = Search(settings.restarts, settings.steps, settings.damped_steps, run.seed + 1)
    classifier = load_model("digits-evaluator", Classifier).network.to(run.device) if settings.data == "digits" else None

    outcomes: dict[str, list[Outcome]] = {}
    with progress_bar(quiet=run.quiet) as track:
        bars = {
            (kind, method.name): track(f"{counted(target.count, f'{kind} image')}, {method.row}")
            for kind, target in targets.items()
            for method in METHODS
        }
        for kind, target in targets.items():
            outcomes[kind] = [
                _outcome(generator, prior, target, method, search, classifier, bars[kind, method.name]) for method in METHODS
            ]

    result: dict[str, Any] = {
        kind: [_numbers(targets[kind], outcome) for outcome in rows] for kind, rows in outcomes.items()
    }
    result |= {"generator": model.fingerprint, "prior": repr(prior), "seconds": time.perf_counter() - began}
    tables = {kind: comparison_table(targets[kind].title, rows) for kind, rows in outcomes.items()}
    _write_codes(run.folder, targets, outcomes, {"generator": model.fingerprint, "prior": repr(prior)})
    _write_strip(run.folder / "recovered.png", targets["real"], outcomes["real"])
    facts = [
        ("generator", f"{settings.generator}, weights {model.fingerprint}"),
        ("prior", repr(prior)),
        ("data", f"{settings.data}, seed {run.seed}"),
        ("gradient descent", f"{search.restarts} starts of {search.steps} Adam steps for each image and method"),
        ("Levenberg-Marquardt", f"up to {search.restarts} starts of {search.damped_steps} steps, one for real images"),
        ("weights", ", ".join(f"{method.name} {method.weight or 0:g}" for method in METHODS)),
        ("seconds", f"{result['seconds']:.0f}"),
    ]
    _write_report(run.folder / "index.html", targets, outcomes, tables, prior, facts)
    content = run.record(result)

    console = run.console
    for table in tables.values():
        print_table(table, console)
    for sentence in [*_verdicts(targets["real"], outcomes["real"]), *_what_worked(outcomes)]:
        console.print(sentence)
    console.print(f"The report with pictures: {run.folder / 'index.html'}")
    return content


def _targets(
    generator: nn.Module, prior: UnlabelledPrior, data: str, count: int, rng: torch.Generator
) -> dict[str, Targets]:
    """Held-out images, and images of the generator's own."""
    device = weights_like(generator, torch.empty(0)).device
    held_out = load_dataset(data).split("held-out")
    if not 1 <= count <= len(held_out):
        raise ValueError(f"expected a count of 1 to {len(held_out)}, what {held_out.name} holds, got {count}")
    codes = prior.sample(count, rng=rng).to(device)
    with evaluated(generator), torch.no_grad():
        own = generator(codes)
    real = held_out.images(range(count)).to(device)
    titles = (
        counted(count, "real, held-out image"),
        f"{counted(count, 'image')} of the generator's own, with known codes",
    )
    labels = held_out.labels[:count]
    return {
        "own": Targets(titles[1], own, codes=codes),
        "real": Targets(titles[0], real, labels=labels, class_names=held_out.class_names),
    }


def _outcome(
    generator: nn.Module,
    prior: UnlabelledPrior,
    target: Targets,
    method: Method,
    search: Search,
    classifier: nn.Module | None,
    progress: Callable[[int, int], None],
) -> Outcome:
    began = time.perf_counter()
    recovery = recover_codes(
        generator,
        target.x,
        prior,
        solver=LevenbergMarquardt(search.damped_steps) if method.damped else Adam(search.steps),
        regularizer=method.regularizer,
        weight=method.weight,
        unit=None if method.regularizer is None else 1.0,  # images in [-1, 1], as where the weights were chosen
        # a start that makes the data is the last one; on data that no code makes, one has to do
        restarts=1 if method.damped and target.codes is None else search.restarts,
        rng=torch.Generator().manual_seed(search.seed),  # the same starts for every method
        progress=progress,
    )
    seconds = time.perf_counter() - began
    code_error = None if target.codes is None else code_errors(recovery.z, target.codes, prior)
    label_kept = None
    if target.labels is not None and classifier is not None:
        label_kept = share(predict_labels(classifier, recovery.x_hat)[0].cpu() == target.labels)
    fit = goodness_of_fit(recovery.z, prior, rng=torch.Generator(recovery.z.device).manual_seed(0))
    return Outcome(method.name, recovery, fit, seconds, code_error, label_kept)


def _doubts(target: Targets, outcome: Outcome) -> tuple[str, ...]:
    return reconstruction_doubts(target.x, outcome.recovery.reconstruction_error)


def _numbers(target: Targets, outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON holds it; codes that do not make the images pass for nothing."""
    doubts = _doubts(target, outcome)
    return outcome.numbers() | {"passes": outcome.fit.passes and not doubts, "doubts": [*doubts]}


def _verdicts(target: Targets, outcomes: list[Outcome]) -> list[str]:
    return [
        f"{method.title}: {beside_doubts(row.fit.verdict, _doubts(target, row))}"
        for method, row in zip(METHODS, outcomes, strict=True)
    ]


def _what_worked(outcomes: dict[str, list[Outcome]]) -> list[str]:
    """In plain words: codes that were found again, and what became of images that the generator had not made."""
    damped, *descents = outcomes["own"]
    assert damped.found is not None
    found, n = round(damped.found.value * damped.found.trials), damped.found.trials
    most = max(round(other.found.value * n) for other in descents if other.found is not None)
    sentences = [
        f"What worked: Levenberg-Marquardt finds the codes of {found} of {counted(n, 'image')} that the generator made; "
        f"gradient descent on pixels, in the steps that it has here, finds {most} at best."
    ]
    real = outcomes["real"][0]
    error = real.recovery.reconstruction_error.mean().item() ** 0.5 / 2
    nearest = f"Real images come back as the nearest that was found, {percent(error, 2)} of the range of grey off"
    if real.label_kept is not None:
        same = round(real.label_kept.value * real.label_kept.trials)
        nearest += f"; an evaluation classifier gives the same digit in {same} of {real.label_kept.trials}"
    return [*sentences, f"{nearest}."]


def _write_codes(
    folder: Path, targets: dict[str, Targets], outcomes: dict[str, list[Outcome]], metadata: dict[str, str]
) -> None:
    codes = {f"{kind}/{row.name}": row.recovery.z for kind, rows in outcomes.items() for row in rows}
    known = {f"{kind}/known": target.codes for kind, target in targets.items() if target.codes is not None}
    write_tensors(folder / "codes.safetensors", codes | known, metadata)


def _rows(target: Targets, outcomes: list[Outcome], count: int) -> list[tuple[str, Tensor]]:
    """The first images above what each method made of them."""
    made = [(method.row, row.recovery.x_hat[:count]) for method, row in zip(METHODS, outcomes, strict=True)]
    return [("original", target.x[:count]), *made]


def _write_strip(path: Path, target: Targets, outcomes: list[Outcome]) -> None:
    write_sheet(path, _rows(target, outcomes, _STRIP), target.named[:_STRIP], magnify=3)


def _write_report(
    path: Path,
    targets: dict[str, Targets],
    outcomes: dict[str, list[Outcome]],
    tables: dict[str, Table],
    prior: UnlabelledPrior,
    facts: list[tuple[str, str]],
) -> None:
    def pictures(kind: str, title: str) -> Picture:
        caption = "Above the original image, below it what the generator makes of the code that each method found."
        return sheet(title, _rows(targets[kind], outcomes[kind], _SHOWN), targets[kind].named, caption)

    def histograms(kind: str, title: str) -> Picture:
        png = histogram_figure({row.name: row.recovery.z for row in outcomes[kind]}, prior)
        verdicts = " ".join(_verdicts(targets[kind], outcomes[kind]))
        return Picture(title, png, f"Bars: all elements of all recovered codes. Line: the prior's density. {verdicts}")

    p_values = Picture(
        "Could each code of a real image have come from the prior?",
        p_value_figure({row.name: row.fit for row in outcomes["real"]}),
        "Below the diagonal: codes too far from the prior. Above: codes more regular than any sample of it.",
    )
    lead = [
        "A generator makes images from codes drawn from its prior. Here the codes of images were recovered by "
        "damped least squares, and by gradient descent with three regularizers; each set was compared "
        "with the prior.",
        *_what_worked(outcomes),
    ]
    blocks: list[Table | Picture] = [
        pictures("own", "The generator's own images and what was recovered"),
        pictures("real", "Real images and what was recovered"),
        tables["own"],
        tables["real"],
        histograms("real", "Codes of real images over the prior"),
        p_values,
        histograms("own", "Codes of the generator's own images over the prior"),
    ]
    write_page(path, "Recovered codes, compared with their prior", lead, blocks, facts)
