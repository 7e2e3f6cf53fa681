"""Every basis held against the same codes: those of held-out images, and fresh ones of the prior."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row, flat
from experiments.spectrum.spaces import (
    SHOWN,
    EncoderCell,
    LabelledCodes,
    Space,
    evaluation_classifier,
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
from latentry.reports.pictures import write_sheet
from latentry.storage import write_bytes

__all__ = ["BASES", "BasesCell"]

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
_MEANS = 200
"""Codes for each label of the paper's basis, whose blocks are many."""
_LENGTHS = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Shares of the length of a typical code at which label vectors are decoded."""
_COMPARED = ("loewdin", "paper")
"""Those whose inner products are shown, of the means that they began with and of their vectors."""


@dataclass(frozen=True)
class BasesCell(Cell):
    """Every basis, held against the same codes."""

    encoder: EncoderCell
    classifier: str
    images: int
    codes: int
    bases: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"bases-{self.encoder.space.data_name}-{self.encoder.space.seed}"

    def rows(self, result: dict[str, Any]) -> Mapping[Row, Mapping[str, float]]:
        """One for each basis, and one for the codes of images."""
        space = self.encoder.space
        codes = {name: value for name, value in flat(result) if not name.startswith("bases.")}
        found = {Row("codes", space.data_name, "encoded images", space.seed): codes}
        for name, numbers in result["bases"].items():
            measures = dict(flat(numbers))
            if "label_information" in measures:
                measures["label_information_up_to_1"] = min(1.0, measures["label_information"])
            found[Row("bases", space.data_name, name, space.seed)] = measures
        return found

    def expected_seconds(self, place: Place) -> float:
        encoder = self.encoder
        drawn = 10 * encoder.per_label + 25 * min(_MEANS, encoder.per_label) * encoder.space.latent_dim + 20_000
        return 30 + encoder.read_seconds(place) * drawn

    def work(self, place: Place) -> dict[str, Any]:
        space, classifier = self.encoder.load(place), evaluation_classifier(self.classifier, place)
        loewdin, encoder = self.encoder.codes(place, space)
        held_out = space.images("held-out", self.images)
        z = encoder(held_out.x).cpu()
        x_hat = space.model.decode(z)
        fresh = space.labelled_codes(classifier, self.codes, self.encoder.space.seed + 1)
        found: dict[str, Any] = {}
        vectors: list[tuple[str, Tensor]] = []
        products: dict[str, Tensor] = {}
        makers = _makers(self.encoder, space, loewdin, encoder)
        for name in self.bases:
            basis = makers[name]()
            found[name] = _numbers(basis, z, held_out.y, fresh, space, classifier)
            vectors.append((BASES[name], space.model.decode(basis.vectors[: basis.num_labels] + basis.offset).cpu()))
            if name in _COMPARED:
                means = basis.label_means - basis.offset
                products[f"{name}: class means"] = means @ means.mT
                products[f"{name}: vectors"] = basis.vectors @ basis.vectors.mT
            if name == "loewdin":
                found[name] |= _in_full(basis, z, held_out.y, space, classifier)
        write_sheet(place.picture(self.name), vectors, space.data.class_names)
        write_bytes(place.picture(f"{self.name}-products"), heat_figure(products))
        halves = [slice(2 * SHOWN), slice(2 * SHOWN, 4 * SHOWN)]
        pairs = [(name, x.cpu()[half]) for half in halves for name, x in (("image", held_out.x), ("decoded", x_hat))]
        write_sheet(place.picture(f"{self.name}-encoded"), [pair for pair in pairs if len(pair[1]) == len(pairs[0][1])])
        return {
            "bases": found,
            "agreement": (read_labels(classifier, x_hat) == held_out.y.cpu()).double().mean().item(),
            "reconstruction_error": (x_hat - held_out.x).square().mean().item(),
            "std": z.std().item(),
            "norm": (z.norm(dim=1).mean() / space.prior.latent_dim**0.5).item(),
        }


def _makers(
    cell: EncoderCell, space: Space, loewdin: QuasiEigenbasis, encoder: Inverse
) -> dict[str, Callable[[], QuasiEigenbasis]]:
    """How each basis is made; those without labels are matched with labels on codes of the prior."""
    generator, prior, guide = space.generator, space.prior, space.guide
    known: dict[str, Any] = {"generator": generator, "prior": prior}

    def rng() -> torch.Generator:
        return torch.Generator().manual_seed(cell.space.seed + 7)

    @cache
    def drawn() -> LabelledCodes:
        return space.draw(guide, loewdin.num_labels * cell.per_label, rng())

    @cache
    def images() -> tuple[Tensor, Tensor]:
        train = space.images("train", cell.images)
        return train.x, train.y

    def paper(**of: Any) -> QuasiEigenbasis:
        return quasi_eigenvectors_toledo2023(generator, guide, prior, per_label=min(_MEANS, cell.per_label), rng=rng(), **of)

    few: dict[str, Any] = {"samples": 4000, "components": min(prior.latent_dim, 3 * loewdin.num_labels)}
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


def _numbers(
    basis: QuasiEigenbasis, z: Tensor, y: Tensor, fresh: LabelledCodes, space: Space, classifier: nn.Module
) -> dict[str, Any]:
    signed, absolute = (label_ranks(basis, z, y, signed=signed) for signed in (True, False))
    rows = basis.vectors[: basis.num_labels]
    labels = torch.arange(basis.num_labels)
    shown, reversed_ = (read_labels(classifier, space.model.decode(sign * rows + basis.offset)) for sign in (1, -1))
    length, at_length = _at_best_length(basis, space)
    return {
        "rank_one": (signed == 1).double().mean().item(),
        "top_three": (signed <= 3).double().mean().item(),
        "rank_one_absolute": (absolute == 1).double().mean().item(),
        "top_three_absolute": (absolute <= 3).double().mean().item(),
        "among_labels": (spectral_labels(basis, z, labels_only=True) == y).double().mean().item(),
        "prior_rank_one": (label_ranks(basis, fresh[0], fresh[1]) == 1).double().mean().item(),
        "prior_among_labels": (spectral_labels(basis, fresh[0], labels_only=True) == fresh[1]).double().mean().item(),
        "mapped": (shown == labels).double().mean().item(),
        "length": length,
        "mapped_at_length": (read_labels(classifier, at_length) == labels).double().mean().item(),
        "mapped_reversed": (reversed_ == labels).double().mean().item(),
        "energy": energy_share(basis, z).mean().item(),
        "condition_number": basis.condition_number,
        "shows": shown.tolist(),
    }


def _at_best_length(basis: QuasiEigenbasis, space: Space) -> tuple[float, Tensor]:
    """Label vectors decoded at the share of their length at which the guide's least sure label is surest."""
    rows = basis.vectors[: basis.num_labels]
    decoded = {share: space.model.decode(share * rows + basis.offset) for share in _LENGTHS}

    def least(x: Tensor) -> float:
        with evaluated(space.guide), torch.no_grad():
            return space.guide(x).log_softmax(1).diagonal().min().item()

    best = max(_LENGTHS, key=lambda share: least(decoded[share]))
    return best, decoded[best]


def _in_full(basis: QuasiEigenbasis, z: Tensor, y: Tensor, space: Space, classifier: nn.Module) -> dict[str, Any]:
    """The whole report, with its null and the label information in the sub-domain, as a linear probe finds it."""

    from sklearn.linear_model import LogisticRegression

    def classify(codes: Tensor) -> Tensor:
        with evaluated(classifier), torch.no_grad():
            return classifier(space.model.decode(codes + basis.offset)).cpu()

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
