"""Three moons: a label split of points in the plane, beside a conditional VAE with a GAN, as a figure.

Three arcs of a circle that reach into each other, with noise. z_s and z_u have two coordinates each, all networks are
perceptrons; what samples of each class look like shows whether a model has learned the arcs.

Reference: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch import Tensor, nn
from torch.nn.functional import one_hot

from experiments.frame.cells import unseen
from latentry.models.conditional import ConditionalTraining
from latentry.models.label_split import LabelSplitTraining
from latentry.models.label_split_flow import CodePosterior, settled
from latentry.models.label_split_weights import LabelSplitWeights
from latentry.networks import Perceptron
from latentry.priors import TrainedMixture
from latentry.reports.figures import classes_figure
from latentry.storage import write_bytes
from latentry.training.loop import train
from latentry.training.settings import LoopSettings

__all__ = ["MoonsCell", "learn_moons", "three_moons"]

_CLASSES = 3
_HIDDEN = (64, 64)
_NOISE = 0.15
_BATCH = 128
_LR, _BETAS = 1e-3, (0.5, 0.9)
_WEIGHTS = LabelSplitWeights(likelihood=0.01, pull=0.01, divergence=0.1, adversarial=0.1)


@dataclass(frozen=True)
class MoonsCell:
    """Both models of the moons."""

    seed: int
    points: int
    steps: int

    name: str = "moons"


def three_moons(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points `(n, 2)` on three half circles with noise, and their labels."""
    y = torch.arange(n) % _CLASSES
    angle = math.pi * torch.rand(n, generator=rng)
    up = torch.tensor([1.0, -1.0, 1.0])[y]  # the middle one hangs down between the others
    x = torch.stack([angle.cos() + y, up * (angle.sin() - 0.25)], 1)
    x = x + _NOISE * torch.randn(n, 2, generator=rng)
    return (x - torch.tensor([1.0, 0.1])) / 1.2, y


@torch.random.fork_rng()
def learn_moons(folder: Path, device: str, asked: MoonsCell) -> dict[str, Any]:
    """Train both; draw data, reconstructions, and samples of each class."""
    x, y = three_moons(asked.points, torch.Generator().manual_seed(asked.seed))
    fresh, labels = three_moons(asked.points, torch.Generator().manual_seed(asked.seed + 1))
    torch.manual_seed(asked.seed)
    split_training = LabelSplitTraining(
        Perceptron(2, 4, _HIDDEN, 0.1), Perceptron(2, 4, _HIDDEN, 0.1), Perceptron(4, 2, _HIDDEN, 0.1),
        TrainedMixture(_CLASSES, 2), Perceptron(2, _CLASSES, (64,), 0.1), 2, _Discriminator(),
        weights=_WEIGHTS, least_deviation=_NOISE, sampled_styles="others", lr=_LR, betas=_BETAS,
    )  # fmt: skip
    conditional = ConditionalTraining(
        Perceptron(_CLASSES + 2, 2, _HIDDEN, 0.1), 2, _CLASSES, _LabelledEncoder(), _Discriminator(),
        weights=_WEIGHTS, lr=_LR, betas=_BETAS,
    )  # fmt: skip
    accelerator = Accelerator(cpu=device == "cpu")
    homes = {name: folder / "work" / f"{asked.name}-{name}" for name in ("split", "conditional", "flow")}
    for name, model in (("split", split_training), ("conditional", conditional)):
        settings = LoopSettings(asked.steps, min(_BATCH, len(x)), "cosine", checkpoint_every=max(1, asked.steps // 2))
        train(
            model, _Points(x, y), settings, homes[name], seed=asked.seed, accelerator=accelerator, identity=vars(asked),
            progress=unseen,
        )  # fmt: skip
    plain = split_training.split()
    split = settled(
        plain, CodePosterior(*plain.posteriors(x)), y, homes["flow"], steps=max(1, asked.steps // 3), seed=asked.seed,
        accelerator=accelerator, identity=vars(asked), progress=unseen,
    )  # fmt: skip
    rng = torch.Generator().manual_seed(asked.seed)
    z = split.encode(fresh, rng=rng)
    with torch.no_grad():
        sampled = conditional.networks["decoder"](conditional.prior().sample((), labels, rng=rng))
    panels = {
        "data": fresh,
        "z_s": z[:, :2],
        "z_u": z[:, 2:],
        "made again": split.decode(z),
        "samples": split.decode(split.prior.sample((), labels, rng=rng)),
        "conditional VAE with GAN": sampled,
    }
    write_bytes(folder / "pictures" / f"{asked.name}.png", classes_figure(panels, labels))
    accuracy = (split.label_log_probs(z).argmax(1) == labels).double().mean().item()
    error = (split.decode(z) - fresh).square().mean().item()
    return {"accuracy": accuracy, "reconstruction": error}


class _Points:
    """Points with labels, as items to draw batches from."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self.x[list(indices)], self.y[list(indices)]


class _Discriminator(nn.Module):
    """Points and labels to scores."""

    def __init__(self) -> None:
        super().__init__()
        self.map = Perceptron(2 + _CLASSES, 1, _HIDDEN, 0.1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.map(torch.cat([x, one_hot(y, _CLASSES).to(x)], 1))[:, 0]


class _LabelledEncoder(nn.Module):
    """Points and labels to distributions of z_u."""

    def __init__(self) -> None:
        super().__init__()
        self.map = Perceptron(2 + _CLASSES, 4, _HIDDEN, 0.1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.map(torch.cat([x, one_hot(y, _CLASSES).to(x)], 1))
