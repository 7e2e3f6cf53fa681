"""Every basis held against the same codes: those of held-out images, and fresh ones of the prior."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.spectrum.spaces import (
    SHOWN,
    Bench,
    EncoderCell,
    Places,
    bench_of,
    coded,
    pair,
    picture_of,
    read_labels,
)
from latentry.evaluation.basis import evaluate_basis
from latentry.holding import evaluated
from latentry.latent.boundaries import boundary_directions, fisher_directions
from latentry.latent.directions import activation_directions, first_weight_directions, match_labels, random_directions
from latentry.latent.inverse import Inverse
from latentry.latent.spectral import (
    QuasiEigenbasis,
    basis_from_codes,
    energy_share,
    label_ranks,
    quasi_eigenvectors_toledo2023,
    spectral_labels,
)
from latentry.reports.figures import heat_figure
from latentry.reports.pictures import grid, interleave, write_png
from latentry.storage import write_bytes
from latentry.tasks.coding import Labelled, labelled_codes, load_classifier

__all__ = ["BASES", "BasesCell", "hold_bases"]

_MEANS = 200
"""Codes for each label of the paper's basis, whose blocks are many."""


@dataclass(frozen=True)
class BasesCell:
    """Every basis, held against the same codes."""

    encoder: EncoderCell
    reader: str
    images: int
    codes: int
    bases: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"bases-{Path(self.encoder.space.data).name}-{self.encoder.space.seed}"


BASES: dict[str, str] = {
    "loewdin": "Loewdin, from the prior",
    "loewdin-encoded": "Loewdin, from encoded images",
    "paper": "as in the paper, from the prior",
    "paper-encoded": "as in the paper, from encoded images",
    "fisher": "Fisher",
    "boundaries": "linear boundaries, conditional",
    "activations": "principal directions of the first layer",
    "first-weights": "first weights",
    "random": "random, matched",
}
"""Bases by name, in the order of the table."""
_LENGTHS = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Shares of the length of a typical code at which label vectors are decoded."""
_COMPARED = ("loewdin", "paper")
"""Those whose inner products are shown, of the means that they began with and of their vectors."""


def _makers(
    asked: EncoderCell, bench: Bench, loewdin: QuasiEigenbasis, encoder: Inverse
) -> dict[str, Callable[[], QuasiEigenbasis]]:
    """How each basis is made; those without labels are matched with labels on codes of the prior."""
    generator, prior, guide = bench.generator, bench.prior, bench.guide
    known: dict[str, Any] = {"generator": generator, "prior": prior}

    def rng() -> torch.Generator:
        return torch.Generator().manual_seed(asked.space.seed + 7)

    @cache
    def drawn() -> tuple[Tensor, Tensor]:
        return pair(labelled_codes(generator, guide, prior, loewdin.num_labels * asked.per_label, rng()))

    @cache
    def images() -> tuple[Tensor, Tensor]:
        train = bench.images("train", asked.images)
        return train.x, train.y

    def paper(**of: Any) -> QuasiEigenbasis:
        return quasi_eigenvectors_toledo2023(
            generator, guide, prior, per_label=min(_MEANS, asked.per_label), rng=rng(), **of
        )

    few = {"samples": 4000, "components": min(prior.latent_dim, 3 * loewdin.num_labels)}
    return {
        "loewdin": lambda: loewdin,
        "loewdin-encoded": lambda: basis_from_codes(encoder(images()[0]).cpu(), images()[1], **known),
        "paper": paper,
        "paper-encoded": lambda: paper(encoder=encoder, x=images()[0]),
        "fisher": lambda: fisher_directions(*drawn(), **known),
        "boundaries": lambda: boundary_directions(*drawn(), conditional=True, model="ridge", **known),
        "activations": lambda: match_labels(
            activation_directions(next(generator.children()), prior, rng=rng(), generator=generator, **few), *drawn()
        ),
        "first-weights": lambda: match_labels(first_weight_directions(generator, prior, generator=generator), *drawn()),
        "random": lambda: match_labels(random_directions(prior, rng=rng()), *drawn()),
    }


def hold_bases(places: Places, asked: BasesCell) -> dict[str, Any]:
    bench, reader = bench_of(places, asked.encoder), load_classifier(asked.reader, torch.device(places.device))
    loewdin, encoder = coded(places, asked.encoder, bench)
    held_out = bench.images("held-out", asked.images)
    z = encoder(held_out.x).cpu()
    read = read_labels(reader, bench.decode(z))
    rng = torch.Generator().manual_seed(asked.encoder.space.seed + 1)
    fresh = labelled_codes(bench.generator, reader, bench.prior, asked.codes, rng)
    found: dict[str, Any] = {}
    sheets = []
    products: dict[str, Tensor] = {}
    makers = _makers(asked.encoder, bench, loewdin, encoder)
    for name in asked.bases:
        basis = makers[name]()
        found[name] = _numbers(basis, z, held_out.y, fresh, bench, reader)
        sheets.append(bench.decode(basis.vectors[: basis.num_labels] + basis.offset).cpu())
        if name in _COMPARED:
            means = basis.label_means - basis.offset
            products[f"{name}: class means"] = means @ means.mT
            products[f"{name}: vectors"] = basis.vectors @ basis.vectors.mT
        if name == "loewdin":
            found[name] |= _in_full(basis, z, held_out.y, bench, reader)
    write_png(picture_of(places, asked.name), grid(torch.cat(sheets), loewdin.num_labels), magnify=2)
    x_hat = bench.decode(z[: 4 * SHOWN])
    write_bytes(picture_of(places, f"{asked.name}-products"), heat_figure(products))
    pairs = interleave([held_out.x[: 4 * SHOWN].cpu(), x_hat.cpu()])
    write_png(picture_of(places, f"{asked.name}-encoded"), grid(pairs, 2 * SHOWN), magnify=2)
    return {
        "bases": found,
        "agreement": (read == held_out.y.cpu()).double().mean().item(),
        "reconstruction_error": (bench.decode(z) - held_out.x).square().mean().item(),
        "std": z.std().item(),
        "norm": (z.norm(dim=1).mean() / bench.prior.latent_dim**0.5).item(),
    }


def _numbers(
    basis: QuasiEigenbasis, z: Tensor, y: Tensor, fresh: Labelled, bench: Bench, reader: nn.Module
) -> dict[str, Any]:
    signed, absolute = (label_ranks(basis, z, y, signed=signed) for signed in (True, False))
    rows = basis.vectors[: basis.num_labels]
    places = torch.arange(basis.num_labels)
    shown, reversed_ = (read_labels(reader, bench.decode(sign * rows + basis.offset)) for sign in (1, -1))
    length, pictured = _pictured(basis, bench)
    return {
        "rank_one": (signed == 1).double().mean().item(),
        "top_three": (signed <= 3).double().mean().item(),
        "rank_one_absolute": (absolute == 1).double().mean().item(),
        "top_three_absolute": (absolute <= 3).double().mean().item(),
        "among_labels": (spectral_labels(basis, z, labels_only=True) == y).double().mean().item(),
        "prior_rank_one": (label_ranks(basis, fresh.z, fresh.y) == 1).double().mean().item(),
        "prior_among_labels": (spectral_labels(basis, fresh.z, labels_only=True) == fresh.y).double().mean().item(),
        "mapped": (shown == places).double().mean().item(),
        "length": length,
        "mapped_at_length": (read_labels(reader, pictured) == places).double().mean().item(),
        "mapped_reversed": (reversed_ == places).double().mean().item(),
        "energy": energy_share(basis, z).mean().item(),
        "condition_number": basis.condition_number,
        "shows": shown.tolist(),
    }


def _pictured(basis: QuasiEigenbasis, bench: Bench) -> tuple[float, Tensor]:
    """Label vectors decoded at the share of their length at which the guide is surest of the label that it doubts most."""
    rows = basis.vectors[: basis.num_labels]
    decoded = {share: bench.decode(share * rows + basis.offset) for share in _LENGTHS}

    def least(x: Tensor) -> float:
        with evaluated(bench.guide), torch.no_grad():
            return bench.guide(x).log_softmax(1).diagonal().min().item()

    best = max(_LENGTHS, key=lambda share: least(decoded[share]))
    return best, decoded[best]


def _in_full(basis: QuasiEigenbasis, z: Tensor, y: Tensor, bench: Bench, reader: nn.Module) -> dict[str, Any]:
    """The whole report, with its null and the label information in the sub-domain, as a linear probe finds it."""

    from sklearn.linear_model import LogisticRegression

    def classify(codes: Tensor) -> Tensor:
        with evaluated(reader), torch.no_grad():
            return reader(bench.decode(codes + basis.offset)).cpu()

    report = evaluate_basis(
        basis.vectors, z - basis.offset, basis.coefficients(z), y, classify, num_labels=basis.num_labels,
        label_means=basis.label_means - basis.offset, null_draws=20, folds=3,
        probes={"logistic": LogisticRegression(max_iter=500)}, rng=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert report.capture.labels is not None
    assert report.alignment is not None
    return {
        "label_information": report.capture.labels.value,
        "complement_probability": report.complement_probability,
        "probability": report.probability,
        "null_rank_one": report.null.signed_first.value,
        "null_mapped": report.null.mapped.value,
        "alignment": report.alignment.mean().item(),
        "least_alignment": report.alignment.min().item(),
    }
