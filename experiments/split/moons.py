"""Three moons: a label split of points in the plane, beside a conditional VAE with a GAN, as a figure.

z_s and z_u have two coordinates each, all networks are perceptrons. Samples of each class show whether a model has learned
the arcs.

Reference: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from experiments.framework.cell import Cell, Place, Row, no_progress
from latentry.data.toys import three_moons
from latentry.models.conditional import fit_conditional
from latentry.models.label_split_fitting import fit_label_split
from latentry.models.settings import ConditionalSettings, LabelSplitSettings, LabelSplitWeights
from latentry.networks import Perceptron
from latentry.reports.figures import classes_figure
from latentry.storage import write_bytes

__all__ = ["MoonsCell"]

_CLASSES, _HIDDEN, _NOISE, _BATCH = 3, (64, 64), 0.15, 128
_ADAM: dict[str, Any] = {"learning_rate": 1e-3, "betas": (0.5, 0.9)}
_WEIGHTS = LabelSplitWeights(likelihood=0.01, pull=0.01, divergence=0.1, adversarial=0.1)


class _OfPointsAndLabels(nn.Module):
    """A perceptron of a point and its label, for a discriminator or a conditional encoder."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.map = Perceptron(2 + _CLASSES, outputs, _HIDDEN, 0.1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.map(torch.cat([x, one_hot(y, _CLASSES).to(x)], 1)).squeeze(1)


@dataclass(frozen=True)
class MoonsCell(Cell):
    """Both models of the moons."""

    seed: int
    points: int
    steps: int

    @property
    def name(self) -> str:
        return "moons"

    @property
    def row(self) -> Row:
        return Row("moons", "moons", "ours", self.seed)

    def expected_seconds(self, place: Place) -> float:
        return 2 * self.steps * 6e-3

    @torch.random.fork_rng()
    def work(self, place: Place) -> dict[str, Any]:
        """Train both; draw data, reconstructions, and samples of each class."""
        points, fresh = (three_moons(self.points, torch.Generator().manual_seed(self.seed + index)) for index in (0, 1))
        torch.manual_seed(self.seed)
        loop: dict[str, Any] = {
            "steps": self.steps, "batch_size": min(_BATCH, len(points)), "schedule": "cosine",
            "checkpoint_every": max(1, self.steps // 2), "weights": _WEIGHTS, "style_dim": 2, "gan": True, **_ADAM,
        }  # fmt: skip
        given: dict[str, Any] = {"device": place.device, "rng": self.seed, "progress": no_progress}
        split = fit_label_split(
            points.x,
            LabelSplitSettings(
                label_dim=2, flow_steps=max(1, self.steps // 3), least_deviation=_NOISE, sampled_styles="others",
                precision_epochs=0.0, stochastic=True, **loop,
            ),
            y=points.y, label_encoder=Perceptron(2, 4, _HIDDEN, 0.1),
            style_encoder=Perceptron(2, 4, _HIDDEN, 0.1), decoder=Perceptron(4, 2, _HIDDEN, 0.1),
            adversary=Perceptron(2, _CLASSES, (64,), 0.1), discriminator=_OfPointsAndLabels(1),
            checkpoint=place.home(f"{self.name}-split"), **given,
        ).model  # fmt: skip
        conditional = fit_conditional(
            points.x, ConditionalSettings(**loop), y=points.y, encoder=_OfPointsAndLabels(4),
            decoder=Perceptron(_CLASSES + 2, 2, _HIDDEN, 0.1), discriminator=_OfPointsAndLabels(1),
            checkpoint=place.home(f"{self.name}-conditional"), **given,
        ).model  # fmt: skip

        rng = torch.Generator().manual_seed(self.seed)
        x, y = fresh.x, fresh.y
        z = split.encode(x).sample(rng=rng)
        sampled = conditional.decode(conditional.prior.sample((), y, rng=rng))
        panels = {
            "data": x,
            "z_s": z[:, :2],
            "z_u": z[:, 2:],
            "reconstructions": split.decode(z),
            "samples": split.decode(split.prior.sample((), y, rng=rng)),
            "conditional VAE with GAN": sampled,
        }
        write_bytes(place.picture(self.name), classes_figure(panels, y))
        accuracy = (split.label_log_probs(z).argmax(1) == y).double().mean().item()
        return {"accuracy": accuracy, "reconstruction": (split.decode(z) - x).square().mean().item()}
