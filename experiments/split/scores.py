"""What models are scored by, on held-out images and by an evaluation classifier.

- *Labels in z_s*: labels by the mixture, whether its probabilities are calibrated, and labels by a fresh probe.
- *Leak of z_u*: labels by the strongest of fresh probes, on draws of the codes and on posterior means.
- *Swaps*: z_s of one image with z_u of another. The classifier names the label; thickness, slant, size and ink of the stroke
  are followed from the image that gave z_u to the new one, less the means of classes.
- *Samples*: distances to the training images in the classifier's features, the label of the component they come from, and
  the spread within classes beside that of the data.
- *Codes and their distributions*: nats of labels in both parts, active coordinates, fit to the prior.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row
from experiments.framework.timing import seconds_of_passes
from experiments.split.models import NO_FLOW, Model, ModelCell
from latentry.data.sources import load_dataset
from latentry.evaluation.calibration import calibration
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.extractor import ClassifierExtractor, RememberingExtractor
from latentry.evaluation.information import active_units, label_information
from latentry.evaluation.probes import Codes, probe_held_out
from latentry.evaluation.proportions import share
from latentry.evaluation.samples import evaluate_samples
from latentry.evaluation.strokes import stroke_correlations
from latentry.models.classifier import Classifier, predict_labels
from latentry.models.saving import load_model
from latentry.numerics.batches import in_batches
from latentry.priors import Normal
from latentry.reports.figures import classes_figure
from latentry.reports.pictures import write_sheet
from latentry.storage import write_bytes

__all__ = ["ScoresCell", "other_labels"]

_METRICS = ("frechet_distance", "kernel_distance", "precision", "recall", "coverage")
_AT_ONCE = 500
_DRAWS = 48
"""Draws of a code that its distribution behind a flow is taken from."""
_SHOWN = 10
_IN_PLANE = 1000
"""Most codes in a figure of the two parts."""


@dataclass(frozen=True)
class ScoresCell(Cell):
    """The scores of one model."""

    model: ModelCell
    classifier: str
    flow: bool
    """Whether a label split is scored with its flow, if it has one."""
    count: int
    """Samples of the prior."""
    codes: int
    """Most training images behind probes."""
    images: int
    """Most held-out images."""

    @property
    def row(self) -> Row:
        row = self.model.model if self.flow else NO_FLOW
        return Row("scores", Path(self.model.data).name, row, self.model.seed)

    @property
    def name(self) -> str:
        _, data, row, seed = self.row
        return f"scores-{data}-{row}-{seed}"

    @property
    def builds_on(self) -> tuple[str]:
        return (self.model.name,)

    @property
    def recipe(self) -> Any:
        return self.model.recipe

    def measures(self, result: dict[str, Any]) -> Mapping[str, float]:
        """All numbers; also how many components fit, the mean of what swaps keep, and which probe was best."""
        more: dict[str, float] = {}
        if "components_fit" in result:
            fit = result["components_fit"]
            more = {"components": float(len(fit)), "components_that_fit": float(sum(fit))}
        if "swap" in result:
            kept = result["swap"]["kept"].values()
            more["swap.mean_kept"] = sum(kept) / len(kept)
        for code in ("leak_of_draws", "leak_of_means"):
            if code in result:
                more[f"{code}.chosen.{result[code]['chosen']}"] = 1.0
        return {**super().measures(result), **more}

    def expected_seconds(self, place: Place) -> float:
        model = self.model
        one = seconds_of_passes(model.data, model.style_dim, model.width, model.batch_size, place.device)
        return 40 + self.count / model.batch_size * 2 * one

    def work(self, place: Place) -> dict[str, Any]:
        """All numbers; a picture of samples, and of swaps and parts where there are codes of images."""
        return _Scoring(self, place).result()


class _Scoring:
    """One model at work: its networks, the classifier and the images."""

    def __init__(self, cell: ScoresCell, place: Place) -> None:
        self.cell, self.place = cell, place
        self.model: Model = cell.model.load(place, flow=cell.flow)
        saved, data = load_model(cell.classifier, Classifier), load_dataset(cell.model.data)
        self.classifier: nn.Module = saved.network.to(place.device)
        fingerprint = saved.card.get("data", {}).get("fingerprint")
        self.extractor = ClassifierExtractor(self.classifier, data_fingerprint=fingerprint)
        self.x: dict[str, Tensor] = {}
        self.y: dict[str, Tensor] = {}
        for name, most in (("train", cell.codes), ("validation", cell.images), ("held-out", cell.images)):
            part = data.split(name)
            rows = range(min(most, len(part)))
            self.x[name] = part.images(rows).to(place.device)
            self.y[name] = part.labels[: len(rows)].to(place.device)
        self.names = data.class_names
        self.rng = torch.Generator(place.device).manual_seed(cell.model.seed)

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = {"samples": self._samples()}
        return found | self._codes() if self.model.encodes else found

    def _picture(self, what: str) -> Path:
        return self.place.picture(f"{self.cell.name}-{what}")

    def _read(self, x: Tensor) -> Int[Tensor, "n"]:
        return predict_labels(self.classifier, x)[0]

    def _right(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        return vars(share((self._read(x) == y).cpu()))

    def _samples(self) -> dict[str, Any]:
        """Distances of samples; where they have labels, whether they bear them and how they vary within a class."""
        model, x_train, y_train = self.model, self.x["train"], self.y["train"]
        k = model.prior.num_classes
        y = None
        if model.label_dim:
            y = torch.multinomial(model.prior.probs, self.cell.count, replacement=True, generator=self.rng)
            x = model.decode(model.prior.sample((), y, rng=self.rng))
            each = torch.arange(k, device=y.device).repeat(_SHOWN)
            shown = model.decode(model.prior.sample((), each, rng=self.rng))
        else:
            x = model.decode(model.prior.sample(self.cell.count, rng=self.rng))
            shown = x[: _SHOWN * _SHOWN]
        columns, width = (self.names, k) if model.label_dim else ((), _SHOWN)
        write_sheet(self._picture("samples"), [("", row) for row in shown.cpu().split(width)], columns)
        extractor = RememberingExtractor(self.extractor, x_train)
        report = evaluate_samples(
            x, x_train, extractor, max_rows=2000, halves=2, batch_size=_AT_ONCE, rng=torch.Generator().manual_seed(0)
        )
        found: dict[str, Any] = {name: report.estimates[name].value for name in _METRICS}
        if y is not None:
            found["label"] = self._right(x, y)
            found["diversity"] = self._spread_within(x, y) / self._spread_within(x_train, y_train)
        return found

    def _spread_within(self, x: Tensor, y: Tensor) -> float:
        """Total variance of features within classes, a mean over classes."""
        features = in_batches(lambda part: self.extractor.extract(part).features, x, size=_AT_ONCE)
        groups = [features[y == label] for label in y.unique()]
        return torch.stack([group.var(0).sum() for group in groups if len(group) > 1]).mean().item()

    def _codes(self) -> dict[str, Any]:
        model, label_dim = self.model, self.model.label_dim
        x, y = self.x["held-out"], self.y["held-out"]
        means = {name: model.posterior_mean(self.x[name], self.y[name]) for name in self.x}
        draws = {name: model.draws(self.x[name], self.y[name], 1, self.rng)[0] for name in self.x}
        many = model.draws(x, y, _DRAWS, self.rng)
        z = means["held-out"]
        x_hat = model.decode(z)
        result: dict[str, Any] = {
            "reconstruction": (x_hat - x).square().mean().item(),
            "reconstruction_of_draws": (model.decode(draws["held-out"]) - x).square().mean().item(),
            "read": self._right(x_hat, y),
            "real": self._right(x, y),
            "active": int(active_units(model.before_flow().posterior_mean(x, y)[:, label_dim:]).sum()),
            "leak_of_draws": self._probed(draws, slice(label_dim, None)),
            "leak_of_means": self._probed(means, slice(label_dim, None)),
            "style_fit": _fit(draws["held-out"][:, label_dim:]),
            "style_information": _information(many[..., label_dim:], y),
        }
        if label_dim:
            result["swap"] = self._swapped(z)
        if model.split is not None:
            log_probs = model.split.label_log_probs(z)
            calibrated = calibration(log_probs, y, rng=torch.Generator().manual_seed(0))
            standard = (draws["held-out"] - model.prior.loc[y]) / model.prior.scale[y]
            fits = [_fit(standard[y == label][:, :label_dim]) for label in y.unique()]
            result |= {
                "accuracy": vars(calibrated.accuracy),
                "calibration": {
                    "error": calibrated.error,
                    "if_calibrated": calibrated.error_if_calibrated,
                    "log_loss": calibrated.log_loss,
                },
                "label_probe": self._probed(means, slice(label_dim)),
                "label_information": _information(many[..., :label_dim], y),
                "components_fit": [fit["passes"] for fit in fits],
                "component_statistics": [fit["statistic"] for fit in fits],
            }
            self._draw_parts(draws["held-out"])
        return result

    def _probed(self, codes: Mapping[str, Tensor], part: slice) -> dict[str, Any]:
        given: list[Codes] = [(codes[name][:, part].cpu(), self.y[name].cpu()) for name in self.x]
        found = probe_held_out(*given, rng=torch.Generator().manual_seed(0))
        return {
            "accuracy": vars(found.accuracy),
            "leak": found.leak,
            "chance": float(found.chance),
            "shuffled": found.shuffled.value,
            "information": found.information.value,
            "chosen": found.chosen,
            "by_probe": {name: accuracy.value for name, accuracy in found.by_probe.items()},
        }

    def _swapped(self, z: Tensor) -> dict[str, Any]:
        """z_s of each image with z_u of another one of another label."""
        model, label_dim, k = self.model, self.model.label_dim, self.model.prior.num_classes
        x, y = self.x["held-out"], self.y["held-out"]
        other = other_labels(y, self.rng)
        x_new = model.decode(torch.cat([z[:, :label_dim], z[other, label_dim:]], 1))
        shown = slice(2 * _SHOWN)
        sheet = (("z_s of", x[shown]), ("z_u of", x[other][shown]), ("swap", x_new[shown]))
        write_sheet(self._picture("swaps"), [(name, part.cpu()) for name, part in sheet])
        styles = z[:_SHOWN, label_dim:].repeat_interleave(k, 0)
        labels = model.prior.loc[torch.arange(k, device=z.device).repeat(_SHOWN), :label_dim].to(z)
        x_labels = model.decode(torch.cat([labels[: len(styles)], styles], 1)).unflatten(0, (-1, k))
        rows = torch.cat([x[: len(x_labels), None], x_labels], 1).cpu()
        write_sheet(self._picture("labels"), [("", row) for row in rows], ("image", *self.names))
        return {"success": self._right(x_new, y), "kept": stroke_correlations(x[other], y[other], x_new, y)}

    def _draw_parts(self, z: Tensor) -> None:
        """Both parts of codes in the plane, by t-SNE."""
        from sklearn.manifold import TSNE

        def in_plane(part: Tensor) -> Tensor:
            found = TSNE(perplexity=min(30, (len(part) - 1) / 3), random_state=0).fit_transform(part.cpu().numpy())
            return torch.from_numpy(np.asarray(found))

        few, label_dim = z[:_IN_PLANE], self.model.label_dim
        panels = {"z_s": in_plane(few[:, :label_dim]), "z_u": in_plane(few[:, label_dim:])}
        write_bytes(self._picture("parts"), classes_figure(panels, self.y["held-out"][:_IN_PLANE].cpu(), self.names))


def _fit(z: Float[Tensor, "n d"]) -> dict[str, Any]:
    fit = goodness_of_fit(z.cpu(), Normal(z.shape[1]), rng=torch.Generator().manual_seed(0))
    return {"passes": fit.passes, "statistic": fit.statistic, "verdict": fit.verdict}


def _information(draws: Float[Tensor, "draws n d"], y: Int[Tensor, "n"]) -> dict[str, float]:
    """Bounds of I(z; c) from normal distributions of the codes, with mean and variance of several draws."""
    spread = draws.var(0).clamp(min=1e-8)
    found = label_information(draws.mean(0), spread.log(), y, rng=torch.Generator().manual_seed(0))
    return {"lower": found.lower.value, "upper": found.upper.value, "entropy": found.entropy}


def other_labels(y: Int[Tensor, "n"], rng: torch.Generator) -> Int[Tensor, "n"]:
    """For each datum the index of one of another label, at random."""
    return torch.multinomial((y[:, None] != y).double(), 1, generator=rng)[:, 0]
