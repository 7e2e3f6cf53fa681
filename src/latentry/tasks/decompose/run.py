"""`latentry decompose`: directions that bear labels, whether they do what their names say, and codes as sums of them."""

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
from latentry.latent.spectral import QuasiEigenbasis, label_ranks, save_basis, spectral_labels
from latentry.numerics.interval import Interval
from latentry.reports.consoles import PlainConsole
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
    coded_images,
    decoded,
    labelled_codes,
    made_basis,
    noted,
    read_images,
)
from latentry.tasks.decompose.settings import DecomposeSettings
from latentry.tasks.judging import Judged, Reader, fitting, independent_reader, made_by, verdict
from latentry.tasks.recover.options import image_format
from latentry.tasks.runs import claim_folder, command, load_generator, pick_device, record

__all__ = ["decompose"]

_KEPT = (1, 2, 3, 4, 10)
"""Coefficients that are kept in the truncations, as in the paper."""
_SHOWN = 12
"""Images with a spectrum and truncations."""
_EXAMINED = 250
"""Images of fresh codes that are looked at: a generator that makes one image bears no label."""
_LISTED = 100
"""Images with a row in `results.json`."""


@command
def decompose(settings: DecomposeSettings) -> dict[str, Any]:
    """Write `basis/`, `index.html`, `results.json` and, for images, `coefficients.safetensors`; print the report."""
    if settings.report_codes < 100:
        raise ValueError(f"expected --report_codes of at least 100, got {settings.report_codes}")
    device = pick_device(settings.device)
    model, prior = load_generator(settings.generator)
    generator = model.generator.to(device)
    channels, side = image_format(generator, prior)
    made = made_by(settings.generator, (channels, side, side))
    classifier = fitting(settings.classifier, made, "--classifier", device)
    names = basis_classes(settings, classifier.classes)
    independent, unread = independent_reader(settings.reader, made, device, names, classifier.weights, exactly=True)
    reader = (independent or _of_the_basis(classifier, names)).network
    read = read_images(settings, channels, side)
    console = PlainConsole(quiet=settings.json)
    with progress_bar(quiet=settings.json) as track:
        basis = made_basis(settings, model, prior, classifier.network, track("drawing codes of each label"), names)
        coded = coded_images(settings, read, generator, prior, track("coding images"))
    notes = () if coded is None else coded.notes
    folder = claim_folder(settings, "basis", "index.html", "coefficients.safetensors")
    save_basis(folder / "basis", basis)

    # other codes than those the basis was made from
    fresh = labelled_codes(
        generator, reader, prior, settings.report_codes, torch.Generator().manual_seed(-1 - settings.seed)
    )

    def classify(z: Tensor) -> Tensor:
        with evaluated(generator, reader), torch.no_grad():
            return reader(generator((z + basis.offset).to(device))).cpu()

    report = evaluate_basis(
        basis.vectors,
        fresh.z - basis.offset,
        basis.coefficients(fresh.z),
        fresh.y,
        classify,
        num_labels=basis.num_labels,
        label_means=basis.label_means - basis.offset if len(basis.label_means) else None,
        rng=torch.Generator().manual_seed(settings.seed),
    )
    examined = verdict(independent, decoded(generator, fresh.z[:_EXAMINED]), unread=unread)
    sentence = _sentence(basis, report, examined, names)
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
        ("read by", str(independent or settings.classifier)),
        ("seed", str(settings.seed)),
    ]
    write_page(folder / "index.html", "Latent spectral decomposition", [sentence], blocks, facts + noted(notes))
    numbers = _numbers(basis, report, names) | {"examined": examined.numbers(), "notes": list(notes)}
    content = record(folder, settings, numbers | ({} if coded is None else _image_numbers(basis, coded, names)))
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


def _of_the_basis(classifier: Reader, names: tuple[str, ...]) -> Reader:
    """The classifier with the labels of the basis in their order, where no other reads them.

    Raises:
        ValueError: It has other classes.
    """
    found = classifier.in_order(names)
    if found is not None and found.num_classes == len(names):
        return found
    raise ValueError(
        f"expected a classifier with the classes of the basis, {listed(names)}, since labels are compared by name, got "
        f"{classifier.name} with {listed(classifier.classes)}; pass --classifier or --reader with one that has them"
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
        "On fresh codes of the prior, read by the classifier named below; 95 % intervals. Random: rows without any meaning."
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
    note = "Coefficients in units of a typical code: a vector itself has 1. Other: a vector that bears no label."
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
    kept = [k for k in _KEPT if k <= len(basis.vectors)]
    rows = [
        ("the image", x),
        ("its code", decoded(generator, z)),
        *((f"{k} coefficients" if k > 1 else "1 coefficient", decoded(generator, basis.denoise(z, keep=k))) for k in kept),
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


def _sentence(basis: QuasiEigenbasis, report: BasisReport, examined: Judged, names: Sequence[str]) -> str:
    one = "every label has a vector that shows it" if report.one_to_one else "not every label has a vector that shows it"
    wrong = [names[label] for label in range(basis.num_labels) if int(report.plus.label[label]) != label]
    named = f" (not {listed(wrong)})" if wrong else ""
    said = examined.headline(
        f"In this basis {one}{named}; of fresh codes {report.signed.first.value:.0%} have their label as the largest of all "
        f"{len(basis.vectors)} coefficients, {report.calibration.accuracy.value:.0%} as the largest among labels"
    )
    return f"{said}."


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
