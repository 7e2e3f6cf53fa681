"""What the models of `python -m experiments split` are scored by, on held-out images and by a reader that taught none.

- *What z_s says*: labels by the mixture, whether its probabilities mean what they say, and by a fresh probe.
- *What z_u leaks*: labels by the strongest of fresh probes, on draws of the codes and on their means.
- *What swapping does*: z_s of one image with z_u of another. The reader names the label; thickness, slant, size and ink of
  the stroke are followed from the image that gave z_u to the new one, each less the mean of its class, since a one is
  thinner than an eight in any style.
- *Samples*: distances to the training images in the reader's features, the label that was asked for, and the spread within
  classes beside that of the data.
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

from experiments.split.models import Model, ModelCell, load_model
from latentry.data.sources import load_dataset
from latentry.evaluation.calibration import calibration
from latentry.evaluation.codes import GoodnessOfFit, goodness_of_fit
from latentry.evaluation.extractor import ClassifierExtractor, RememberingExtractor
from latentry.evaluation.held_out_probe import Codes, HeldOutProbe, probe_held_out
from latentry.evaluation.information import active_units, label_information
from latentry.evaluation.proportions import share
from latentry.evaluation.samples import evaluate_samples
from latentry.evaluation.strokes import measure_strokes
from latentry.models.classifier import predict_labels
from latentry.models.pretrained import load_pretrained
from latentry.priors import Normal
from latentry.reports.figures import classes_figure
from latentry.reports.pictures import grid, interleave, write_png
from latentry.storage import write_bytes

__all__ = ["ATTRIBUTES", "ScoresCell", "score_model"]

ATTRIBUTES = ("thickness", "slant", "size", "intensity")
_METRICS = ("frechet_distance", "kernel_distance", "precision", "recall", "coverage")
_AT_ONCE = 500
_DRAWS = 48
"""Draws of a code that its distribution behind a flow is taken from."""
_SHOWN = 10
_PLACED = 1000
"""Most codes in a figure of the two parts."""


@dataclass(frozen=True)
class ScoresCell:
    """One model, as it is scored."""

    model: ModelCell
    reader: str
    flow: bool
    """Whether a label split is scored with its flow, if it has one."""
    count: int
    """Samples of the prior."""
    codes: int
    """Most training images behind probes."""
    images: int
    """Most held-out images."""

    @property
    def name(self) -> str:
        row = self.model.model if self.flow else "no-flow"
        return f"scores-{Path(self.model.data).name}-{row}-{self.model.seed}"

    @property
    def builds_on(self) -> tuple[str]:
        """The training of the model."""
        return (self.model.name,)

    @property
    def recipe(self) -> Any:
        """That of the model."""
        return self.model.recipe


@dataclass(frozen=True)
class _Images:
    """Images of a split, with their labels."""

    x: Tensor
    y: Tensor


def score_model(folder: Path, device: str, asked: ScoresCell) -> dict[str, Any]:
    """All numbers of one model; a picture of its samples, and of its swaps and parts where it has codes of images."""
    model = load_model(folder, asked.model, device, flow=asked.flow)
    seen_through = load_pretrained(asked.reader)
    reader = seen_through.network.to(device)
    data = load_dataset(asked.model.data)
    parts: dict[str, _Images] = {}
    for name, most in (("train", asked.codes), ("validation", asked.images), ("held-out", asked.images)):
        rows = range(min(most, len(data.split(name))))
        parts[name] = _Images(data.split(name).images(rows).to(device), data.split(name).labels[: len(rows)].to(device))
    rng = torch.Generator(device).manual_seed(asked.model.seed)
    extractor = ClassifierExtractor(reader, data_fingerprint=seen_through.card.get("data", {}).get("fingerprint"))
    result: dict[str, Any] = {"samples": _samples(model, reader, extractor, parts["train"], asked, folder, rng)}
    if model.encodes:
        result |= _codes(model, reader, parts, asked, folder, rng)
    return result


def _samples(
    model: Model,
    reader: nn.Module,
    extractor: ClassifierExtractor,
    training: _Images,
    asked: ScoresCell,
    folder: Path,
    rng: torch.Generator,
) -> dict[str, Any]:
    """Distances of samples, and where they have labels whether they bear them and how they vary within a class."""
    k = model.prior.num_classes
    if model.label_dim:
        y = torch.multinomial(model.prior.probs, asked.count, replacement=True, generator=rng)
        x = model.decode(model.prior.sample((), y, rng=rng))
        shown = model.decode(model.prior.sample((), torch.arange(k, device=y.device).repeat(_SHOWN), rng=rng))
    else:
        y = None
        x = model.decode(model.prior.sample(asked.count, rng=rng))
        shown = x[: _SHOWN * _SHOWN]
    write_png(_picture(folder, asked, "samples"), grid(shown.cpu(), k if model.label_dim else _SHOWN), magnify=2)
    seen = RememberingExtractor(extractor, training.x)
    report = evaluate_samples(x, training.x, seen, max_rows=2000, halves=2, batch_size=_AT_ONCE)
    found: dict[str, Any] = {name: report.estimates[name].value for name in _METRICS}
    if y is not None:
        read, _ = predict_labels(reader, x)
        found["label"] = vars(share((read == y).cpu()))
        made, real = (_spread_within(extractor, images, labels) for images, labels in ((x, y), (training.x, training.y)))
        found["diversity"] = made / real
    return found


def _spread_within(extractor: ClassifierExtractor, x: Tensor, y: Tensor) -> float:
    """Total variance of features within classes, a mean over classes."""
    features = torch.cat([extractor.extract(part).features for part in x.split(_AT_ONCE)])
    groups = [features[y == label] for label in y.unique()]
    return torch.stack([group.var(0).sum() for group in groups if len(group) > 1]).mean().item()


def _codes(
    model: Model, reader: nn.Module, parts: Mapping[str, _Images], asked: ScoresCell, folder: Path, rng: torch.Generator
) -> dict[str, Any]:
    held_out = parts["held-out"]
    x, y = held_out.x, held_out.y
    means = {name: model.centres(part.x, part.y) for name, part in parts.items()}
    draws = {name: model.draws(part.x, part.y, 1, rng)[0] for name, part in parts.items()}
    many = model.draws(x, y, _DRAWS, rng)
    z = means["held-out"]
    x_hat = model.decode(z)
    result: dict[str, Any] = {
        "reconstruction": (x_hat - x).square().mean().item(),
        "reconstruction_of_draws": (model.decode(draws["held-out"]) - x).square().mean().item(),
        "read": vars(share((predict_labels(reader, x_hat)[0] == y).cpu())),
        "real": vars(share((predict_labels(reader, x)[0] == y).cpu())),
        "active": int(active_units(model.before_flow().centres(x, y)[:, model.label_dim :]).sum()),
        "leak_of_draws": _probed(draws, parts, slice(model.label_dim, None)),
        "leak_of_means": _probed(means, parts, slice(model.label_dim, None)),
        "style_fit": _fit(draws["held-out"][:, model.label_dim :]),
        "style_information": _information(many[..., model.label_dim :], y),
    }
    if model.label_dim:
        result["swap"] = _swapped(model, reader, held_out, z, asked, folder, rng)
    if model.split is not None:
        split = model.split
        log_probs = split.label_log_probs(z)
        told = calibration(log_probs, y, rng=torch.Generator().manual_seed(0))
        standard = (draws["held-out"] - split.prior.loc[y]) / split.prior.scale[y]
        fits = [_fit(standard[y == label][:, : split.label_dim]) for label in y.unique()]
        result |= {
            "accuracy": vars(told.accuracy),
            "calibration": {"error": told.error, "if_calibrated": told.error_if_calibrated, "log_loss": told.log_loss},
            "label_probe": _probed(means, parts, slice(model.label_dim)),
            "label_information": _information(many[..., : model.label_dim], y),
            "components_fit": [fit["passes"] for fit in fits],
            "component_statistics": [fit["statistic"] for fit in fits],
        }
        _draw_parts(split.label_dim, draws["held-out"], y, asked, folder)
    return result


def _probed(codes: Mapping[str, Tensor], parts: Mapping[str, _Images], which: slice) -> dict[str, Any]:
    given: list[Codes] = [(codes[name][:, which].cpu(), parts[name].y.cpu()) for name in ("train", "validation", "held-out")]
    found: HeldOutProbe = probe_held_out(*given, rng=torch.Generator().manual_seed(0))
    return {
        "accuracy": vars(found.accuracy),
        "leak": found.leak,
        "chance": float(found.chance),
        "shuffled": found.shuffled.value,
        "information": found.information.value,
        "chosen": found.chosen,
        "by_probe": {name: accuracy.value for name, accuracy in found.by_probe.items()},
    }


def _fit(z: Float[Tensor, "n d"]) -> dict[str, Any]:
    fit: GoodnessOfFit = goodness_of_fit(z.cpu(), Normal(z.shape[1]))
    return {"passes": fit.passes, "statistic": fit.statistic, "verdict": fit.verdict}


def _information(draws: Float[Tensor, "draws n d"], y: Int[Tensor, "n"]) -> dict[str, float]:
    """Bounds of I(z; c) from normal distributions of the codes, with mean and variance of several draws."""
    spread = draws.var(0).clamp(min=1e-8)
    found = label_information(draws.mean(0), spread.log(), y, rng=torch.Generator().manual_seed(0))
    return {"lower": found.lower.value, "upper": found.upper.value, "entropy": found.entropy}


def _swapped(
    model: Model,
    reader: nn.Module,
    images: _Images,
    z: Tensor,
    asked: ScoresCell,
    folder: Path,
    rng: torch.Generator,
) -> dict[str, Any]:
    """z_s of each image with z_u of another one of another label."""
    giver = _others(images.y, rng)
    x_new = model.decode(torch.cat([z[:, : model.label_dim], z[giver, model.label_dim :]], 1))
    read, _ = predict_labels(reader, x_new)
    shown = torch.arange(2 * _SHOWN, device=z.device)
    rows = [images.x[shown], images.x[giver[shown]], x_new[shown]]
    write_png(_picture(folder, asked, "swaps"), grid(interleave([part.cpu() for part in rows]), 15), magnify=2)
    k = model.prior.num_classes
    few = z[:_SHOWN]
    sheet = model.prior.loc[torch.arange(k, device=z.device).repeat(len(few)), : model.label_dim].to(z)
    styled = model.decode(torch.cat([sheet, few[:, model.label_dim :].repeat_interleave(k, 0)], 1)).unflatten(
        0, (len(few), k)
    )
    beside = torch.cat([images.x[: len(few), None], styled], 1).flatten(0, 1)
    write_png(_picture(folder, asked, "labels"), grid(beside.cpu(), k + 1), magnify=2)
    return {
        "success": vars(share((read == images.y).cpu())),
        "kept": _kept(images.x[giver], images.y[giver], x_new, images.y),
    }


def _others(y: Int[Tensor, "n"], rng: torch.Generator) -> Int[Tensor, "n"]:
    """For each datum one of another label, at random."""
    other = (y[:, None] != y).double()
    return torch.multinomial(other, 1, generator=rng)[:, 0]


def _kept(x: Tensor, y: Tensor, x_new: Tensor, y_new: Tensor) -> dict[str, float]:
    """Correlation of each attribute before and after, less the means of the classes."""
    before, after = (measure_strokes(part.mean(1, keepdim=True)) for part in (x, x_new))
    found = {}
    for name in ATTRIBUTES:
        columns = [getattr(part, name).double() for part in (before, after)]
        known = columns[0].isfinite() & columns[1].isfinite()
        rest = [_less_means(a[known], own.cpu()[known]) for a, own in zip(columns, (y, y_new), strict=True)]
        found[name] = torch.corrcoef(torch.stack(rest))[0, 1].nan_to_num().item()  # 0 where nothing varies
    return found


def _less_means(a: Float[Tensor, "n"], y: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    means = {int(label): a[y == label].mean() for label in y.unique()}
    return a - torch.stack([means[int(label)] for label in y])


def _draw_parts(label_dim: int, z: Tensor, y: Tensor, asked: ScoresCell, folder: Path) -> None:
    """Both parts of codes in the plane, by t-SNE."""
    from sklearn.manifold import TSNE

    def placed(part: Tensor) -> Tensor:
        found = TSNE(perplexity=min(30, (len(part) - 1) / 3), random_state=0).fit_transform(part.cpu().numpy())
        return torch.from_numpy(np.asarray(found))

    few = z[:_PLACED]
    panels = {"z_s": placed(few[:, :label_dim]), "z_u": placed(few[:, label_dim:])}
    write_bytes(_picture(folder, asked, "parts"), classes_figure(panels, y[:_PLACED].cpu()))


def _picture(folder: Path, asked: ScoresCell, what: str) -> Path:
    return folder / "pictures" / f"{asked.name}-{what}.png"
