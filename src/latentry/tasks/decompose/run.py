"""`latentry decompose`: directions that have labels, whether they show their labels, and the coefficients of codes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.evaluation.basis import evaluate_basis
from latentry.evaluation.basis_report import BasisReport
from latentry.holding import evaluated
from latentry.latent.spectral import QuasiEigenbasis, label_ranks, load_basis, save_basis, spectral_labels
from latentry.numerics.interval import Interval
from latentry.reports.figures import heat_figure, spectrum_figure
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, png
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.class_names import listed
from latentry.tasks.coding.codes import (
    Coded,
    basis_classes,
    code_source,
    coded_images,
    data_facts,
    decoded,
    labelled_codes,
    made_basis,
)
from latentry.tasks.decompose.settings import DecomposeSettings
from latentry.tasks.evaluation_classifier import (
    Evaluation,
    SavedClassifier,
    evaluation,
    evaluation_classifier,
    generated_data,
    load_classifier,
)
from latentry.tasks.loading import chosen_unlabelled_generator
from latentry.tasks.recover.options import image_format
from latentry.tasks.runs import Run, command

__all__ = ["decompose"]

_TRUNCATIONS = (1, 2, 3, 4, 10)
"""Numbers of coefficients in the truncated codes, as in the paper."""
_SHOWN = 12
"""Images with a spectrum and truncations."""
_CHECKED = 250
"""Images of fresh codes that must differ: a generator that makes one image has no labels."""
_LISTED = 100
"""Images with a row in `results.json`."""


@command("basis", "index.html", "coefficients.safetensors")
def decompose(settings: DecomposeSettings, run: Run) -> dict[str, Any]:
    """Write `basis/`, `index.html`, `results.json` and, for images, `coefficients.safetensors`; print the report."""
    if settings.report_codes < 100:
        raise ValueError(f"expected --report_codes of at least 100, got {settings.report_codes}")
    model, prior = chosen_unlabelled_generator(settings)
    generator = model.generator.to(run.device)
    channels, side = image_format(generator, prior)
    generated = generated_data(settings.generator, (channels, side, side))
    classifier = load_classifier(settings.classifier, generated, "--classifier", run.device)
    names = basis_classes(settings.basis, classifier.classes)
    evaluator, no_evaluator = evaluation_classifier(
        settings.evaluation_classifier, generated, run.device, names, classifier.weights, exactly=True
    )
    network = (evaluator or _with_classes(classifier, names)).network
    source = code_source(settings, channels, side)
    console, folder = run.console, run.folder
    with progress_bar(quiet=run.quiet) as track:
        basis = (
            made_basis(
                settings.kind, model, prior, classifier, per_label=settings.per_label, rng=run.rng(),
                progress=track("drawing codes of each label"),
            )
            if settings.basis is None
            else load_basis(settings.basis, generator)
        )  # fmt: skip
        coded = (
            None
            if source is None
            else coded_images(source, generator, prior, rng=run.rng(), progress=track("coding images"))
        )
    notes = () if coded is None else coded.notes
    save_basis(folder / "basis", basis)

    # other codes than those the basis was made from
    fresh = labelled_codes(generator, network, prior, settings.report_codes, run.other_rng())

    def classify(z: Tensor) -> Tensor:
        with evaluated(generator, network), torch.no_grad():
            return network(generator((z + basis.offset).to(run.device))).cpu()

    report = evaluate_basis(
        basis.vectors,
        fresh.z - basis.offset,
        basis.coefficients(fresh.z),
        fresh.y,
        classify,
        num_labels=basis.num_labels,
        label_means=basis.label_means - basis.offset if len(basis.label_means) else None,
        rng=run.rng(),
    )
    checked = evaluation(evaluator, decoded(generator, fresh.z[:_CHECKED]), no_classifier=no_evaluator)
    sentence = _sentence(basis, report, checked, names)
    tables = [_basis_table(basis, report)]
    if coded is not None:
        write_tensors(
            folder / "coefficients.safetensors",
            {"z": coded.z, "coefficients": basis.coefficients(coded.z)},
            {"generator": model.fingerprint, "basis": basis.method},
        )
        tables.append(_images_table(basis, coded, names))
    blocks: list[Table | Picture] = [*_pictures(generator, basis, coded, names), *tables]
    facts = [
        ("generator", f"{settings.generator}, weights {model.fingerprint}"),
        ("basis", basis.method if settings.basis is None else f"{basis.method}, from {settings.basis}"),
        ("codes behind a label's mean", ", ".join(f"{count:,}" for count in basis.counts) or "none"),
        ("labels by", settings.classifier),
        ("evaluation classifier", str(evaluator or settings.classifier)),
        ("seed", str(run.seed)),
    ]
    write_page(folder / "index.html", "Latent spectral decomposition", [sentence], blocks, facts + data_facts(notes))
    numbers = _numbers(basis, report, names) | {"evaluation": checked.numbers(), "notes": list(notes)}
    content = run.record(numbers | ({} if coded is None else _image_numbers(basis, coded, names)))
    for note in notes:
        console.print(note)
    for table in tables:
        print_table(table, console)
    console.print(sentence)
    console.print(f"Basis and page: {folder}")
    return content


def _known(estimate: Interval | None) -> Interval | None:
    """The estimate, where there is one: of codes in which a probe finds no labels there is no share of what it finds."""
    return None if estimate is None or not math.isfinite(estimate.value) else estimate


def _with_classes(classifier: SavedClassifier, names: tuple[str, ...]) -> SavedClassifier:
    """The classifier with the labels of the basis in their order, where there is no evaluation classifier.

    Raises:
        ValueError: It has other classes.
    """
    ordered = classifier.in_order(names)
    if ordered is not None and ordered.num_classes == len(names):
        return ordered
    raise ValueError(
        f"expected a classifier with the classes of the basis, {listed(names)}, since labels are compared by name, got "
        f"{classifier.name} with {listed(classifier.classes)}; pass --classifier or --evaluation_classifier with one that "
        "has them"
    )


def _percent(of: Interval) -> str:
    return f"{of.scaled(100):.1f}"


def _basis_table(basis: QuasiEigenbasis, report: BasisReport) -> Table:
    null, labels = report.null, _known(report.capture.labels)
    rows = [
        ("labelled vectors that show their label, %", _percent(report.mapped), _percent(null.mapped)),
        ("their negatives that do, %", _percent(report.mapped_reversed), ""),
        ("labels that any of them shows, %", f"{100 * report.distinct:.0f}", _percent(null.distinct)),
        ("probability of the label shown, %", f"{100 * report.probability:.1f}", _percent(null.probability)),
        ("codes with their label at rank one, signed, %", _percent(report.signed.first), _percent(null.signed_first)),
        ("codes with their label at rank one, absolute, %", _percent(report.absolute.first), _percent(null.absolute_first)),
        ("codes with their label among three, signed, %", _percent(report.signed.top_three), ""),
        ("label right by label coefficients alone, %", _percent(report.calibration.accuracy), ""),
        ("energy in the label sub-domain, %", _percent(report.energy), _percent(null.energy)),
        ("label information in it, %", "" if labels is None else _percent(labels), ""),
        ("condition number before orthogonalisation", f"{basis.condition_number:.3g}", ""),
        ("largest cosine between two vectors", f"{report.overlap:.2g}", ""),
    ]
    if report.complement_probability is not None:
        rows.insert(4, ("the same for the other vectors, %", f"{100 * report.complement_probability:.1f}", ""))
    if report.alignment is not None:
        low, mean = report.alignment.min().item(), report.alignment.mean().item()
        rows.append(("cosine of a vector and its class mean", f"{mean:.2f}, least {low:.2f}", ""))
    note = (
        "On fresh codes of the prior, by the evaluation classifier that is named below; 95 % intervals. Random: random rows."
    )
    return Table(f"Basis ({basis.method}): {len(basis.vectors)} vectors", ("what", "basis", "random"), tuple(rows), note)


def _images_table(basis: QuasiEigenbasis, coded: Coded, names: Sequence[str]) -> Table:
    c = basis.coefficients(coded.z)
    first = spectral_labels(basis, coded.z)
    rows = []
    for index, name in enumerate(coded.names[: 2 * _SHOWN]):
        top = c[index].topk(min(3, c.shape[1])).indices.tolist()
        coefficients = ", ".join(f"{_named(names, row)}: {c[index, row]:.2f}" for row in top)
        label = "" if coded.labels is None else coded.labels[index]
        rows.append((Path(name).name, label, _named(names, int(first[index])), coefficients))
    columns = ("image", "label", "largest coefficient", "three largest")
    note = "Coefficients in units of a typical code: a vector itself has 1. Other: a vector without a label."
    return Table("Images", columns, tuple(rows), note)


def _named(names: Sequence[str], row: int) -> str:
    return names[row] if row < len(names) else "other"


def _pictures(generator: nn.Module, basis: QuasiEigenbasis, coded: Coded | None, names: Sequence[str]) -> list[Picture]:
    vectors = basis.vectors[: basis.num_labels]
    others = basis.vectors[basis.num_labels :][:40] + basis.offset
    blocks = [
        sheet(
            "What the labelled vectors show",
            [
                ("vector", decoded(generator, vectors + basis.offset)),
                ("negative", decoded(generator, basis.offset - vectors)),
            ],
            names,
            "The vector of each label, and its negative, decoded.",
        )
    ]
    if len(others):
        blocks.append(Picture("The other vectors", _shown(generator, others, 10), "In order."))
    means = basis.label_means - basis.offset
    blocks.append(
        Picture(
            "Inner products",
            heat_figure({"of class means": means @ means.mT, "of vectors": basis.vectors @ basis.vectors.mT}),
            "A basis is as good as its diagonal is clear of the rest.",
        )
    )
    if coded is None:
        return blocks
    z, x = coded.z[:_SHOWN], coded.x[:_SHOWN]
    counts = [k for k in _TRUNCATIONS if k <= len(basis.vectors)]
    rows = [
        ("the image", x),
        ("its code", decoded(generator, z)),
        *((f"{k} coefficients" if k > 1 else "1 coefficient", decoded(generator, basis.denoise(z, keep=k))) for k in counts),
    ]
    titles = () if coded.labels is None else coded.labels[:_SHOWN]
    blocks.insert(0, sheet("Truncations", rows, titles, "What is made of a code, and of its largest coefficients alone."))
    spectra = {f"{Path(name).name}": c for name, c in zip(coded.names[:_SHOWN], basis.coefficients(z), strict=False)}
    figure = spectrum_figure(spectra, basis.num_labels, names)
    blocks.append(
        Picture("Spectra", figure, "Coefficients; those of labels in orange, the largest of these with its label.")
    )
    return blocks


def _shown(generator: nn.Module, z: Float[Tensor, "n d"], columns: int) -> bytes:
    return png(grid(decoded(generator, z), columns), magnify=2)


def _sentence(basis: QuasiEigenbasis, report: BasisReport, checked: Evaluation, names: Sequence[str]) -> str:
    one = "every label has a vector that shows it" if report.one_to_one else "not every label has a vector that shows it"
    wrong = [names[label] for label in range(basis.num_labels) if int(report.plus.label[label]) != label]
    named = f" (not {listed(wrong)})" if wrong else ""
    sentence = checked.headline(
        f"In this basis {one}{named}; of fresh codes {report.signed.first.value:.0%} have their label as the largest of all "
        f"{len(basis.vectors)} coefficients, {report.calibration.accuracy.value:.0%} as the largest among labels"
    )
    return f"{sentence}."


def _numbers(basis: QuasiEigenbasis, report: BasisReport, names: Sequence[str]) -> dict[str, Any]:
    labels = _known(report.capture.labels)
    return {
        "class_names": list(names),
        "method": basis.method,
        "counts": list(basis.counts),
        "condition_number": basis.condition_number,
        "mapped": vars(report.mapped),
        "shows": [names[label] for label in report.plus.label.tolist()],
        "negatives_show": [names[label] for label in report.minus.label.tolist()],
        "rank_one": vars(report.signed.first),
        "rank_one_absolute": vars(report.absolute.first),
        "top_three": vars(report.signed.top_three),
        "label_accuracy": vars(report.calibration.accuracy),
        "energy": vars(report.energy),
        "label_information": None if labels is None else vars(labels),
    }


def _image_numbers(basis: QuasiEigenbasis, coded: Coded, names: Sequence[str]) -> dict[str, Any]:
    largest = spectral_labels(basis, coded.z).tolist()
    rows = zip(coded.names[:_LISTED], largest, basis.coefficients(coded.z).tolist(), strict=False)
    found: dict[str, Any] = {
        "images": [
            {"image": name, "largest": _named(names, row), "row": row, "coefficients": [round(value, 4) for value in c]}
            for name, row, c in rows
        ]
    }
    if coded.labels is not None and set(coded.labels) <= set(names):
        ranks = label_ranks(basis, coded.z, torch.tensor([names.index(label) for label in coded.labels]))
        found["images_at_rank_one"] = (ranks == 1).double().mean().item()
    return found
