"""Every operator on labels at equal success: what else it changes, whether codes stay in the prior, and the way back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row, flat
from experiments.spectrum.spaces import EncoderCell, LabelledCodes, Space, evaluation_classifier, read_labels
from latentry.evaluation.matched_strength import match_success
from latentry.evaluation.operators import evaluate_operator, prior_kept, reversibility
from latentry.latent.boundaries import fit_linear_classifier
from latentry.latent.label_moves import LABEL_MOVES, Move
from latentry.latent.operators import rotate_within
from latentry.reports.pictures import write_sheet

__all__ = ["ATTRIBUTES", "OperatorsCell"]

ATTRIBUTES = ("thickness", "slant", "size")
"""What should stay when a label changes."""

_SUCCESS = 0.95
"""Share of validation codes that an operator is given its strength by."""
_EVERY = 4
"""Strengths are found on each fourth edit of the validation codes: on all pairs still, as nine is no multiple of it."""


@dataclass(frozen=True)
class OperatorsCell(Cell):
    """Every operator at equal success, from each label to each other one."""

    encoder: EncoderCell
    classifier: str
    validation: int
    """Codes of each label that strengths are found on."""
    codes: int
    """Codes of each label of the result."""
    operators: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"operators-{self.encoder.space.data_name}-{self.encoder.space.seed}"

    def rows(self, result: dict[str, Any]) -> Mapping[Row, Mapping[str, float]]:
        """One for each operator, with the mean of what it keeps."""
        space = self.encoder.space
        return {
            Row("operators", space.data_name, name, space.seed): {
                **dict(flat(numbers)),
                "identity": sum(numbers[f"identity_{attribute}"] for attribute in ATTRIBUTES) / len(ATTRIBUTES),
            }
            for name, numbers in result["operators"].items()
        }

    def expected_seconds(self, place: Place) -> float:
        return 20 + 9 * 90 * self.codes * (16 * self.encoder.read_seconds(place) + 2e-3)

    def work(self, place: Place) -> dict[str, Any]:
        space, classifier = self.encoder.load(place), evaluation_classifier(self.classifier, place)
        basis, _ = self.encoder.codes(place, space)
        seed, k, decode = self.encoder.space.seed, basis.num_labels, space.model.decode
        known = space.labelled_codes(space.guide, k * self.encoder.per_label, seed + 2)
        scores = fit_linear_classifier(*known)
        validation = _of_each(space, space.guide, self.validation, k, seed + 3)
        test = _of_each(space, classifier, self.codes, k, seed + 4)
        tried, (z, y, target) = _all_pairs(validation, k, _EVERY), _all_pairs(test, k)
        x = decode(z)
        once = slice(None, None, k - 1)  # one edit of each code: repeated codes are no sample of a prior
        starts, labels = test[0][:: self.codes], torch.arange(k)  # a code of each label, for the pictures

        found: dict[str, Any] = {}
        shown = [("as they were", decode(starts).cpu())]
        for name in self.operators:
            family = LABEL_MOVES[name]
            move = family.make(basis, scores)

            def succeeds(strength: float, move: Move = move) -> Tensor:
                return read_labels(space.guide, decode(move(*tried, strength))) == tried[2]

            matched = match_success(succeeds, _SUCCESS, family.low, family.high)
            moved = move(z, y, target, matched.strength)
            back = move(moved, target, y, matched.strength)
            report = evaluate_operator(classifier, x, decode(moved), y, target, variance_inflation=float(k - 1))
            kept = prior_kept(z[once], moved[once], space.prior, rng=torch.Generator().manual_seed(0))
            way_back = reversibility(classifier, x, decode(back), y, z, back)
            found[name] = {
                "strength": matched.strength,
                "reached": matched.reached,
                "success": report.success.value,
                **{f"identity_{attribute}": estimate.value for attribute, estimate in report.identity.items()},
                "cosine": torch.cosine_similarity(z, moved).mean().item(),
                "passes": kept.after.passes,
                "passed_before": kept.before.passes,
                "norm_error": kept.norm_error,
                "code_error_back": way_back.code_error.value,
                "label_back": way_back.label_back.value,
            }
            edited = move(starts, labels, (labels + 1) % k, matched.strength)
            shown.append((family.title, decode(edited).cpu()))
        names = space.data.class_names
        write_sheet(place.picture(self.name), shown, names)
        rows = basis.vectors[:k]
        films = torch.stack([decode(rotate_within(starts, rows, rows.roll(-1, 0), step / 9)).cpu() for step in range(10)], 1)
        turns = [f"{name} to {names[(label + 1) % k]}" for label, name in enumerate(names)]
        write_sheet(place.picture(f"{self.name}-film"), list(zip(turns, films, strict=True)))
        return {"operators": found}


def _of_each(space: Space, classifier: nn.Module, count: int, k: int, seed: int) -> LabelledCodes:
    """So many codes of the prior of each label, label by label."""
    rng = torch.Generator().manual_seed(seed)
    kept: list[list[Tensor]] = [[] for _ in range(k)]
    while min(map(len, kept)) < count:
        for z, y in zip(*space.draw(classifier, 500, rng), strict=True):
            kept[int(y)].append(z)
    return torch.stack([z for of in kept for z in of[:count]]), torch.arange(k).repeat_interleave(count)


def _all_pairs(codes: LabelledCodes, k: int, every: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, their labels and targets: each code with each other label, or every so many of these edits."""
    z, y = (part.repeat_interleave(k - 1, 0) for part in codes)
    steps = torch.arange(1, k).repeat(len(codes[0]))
    return z[::every], y[::every], ((y + steps) % k)[::every]
