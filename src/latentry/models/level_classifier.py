"""A classifier of features: the level of each, -1, 0 or 1, and one class among exclusive features.

It measures whether images show the requested levels. Train it on all levels, also those that the generator has never
seen. Features that are not exclusive have three logits each, the exclusive ones together one each.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import AdamW

from latentry.display.progress import Progress
from latentry.holding import evaluated
from latentry.models.classifier import jitter
from latentry.networks import PlainClassifier, channels_last
from latentry.numerics.batches import in_batches
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.batches import TrainingData, training_data
from latentry.training.fitting import Fitted, Randomness, device_of, training_run
from latentry.training.loop import Update
from latentry.training.own_networks import TRIAL, chosen_network, own_identity
from latentry.training.settings import LoopSettings, settings_identity

__all__ = ["LevelClassifier", "LevelClassifierTraining", "LevelHeads", "fit_level_classifier", "predict_levels"]

_LOOP = LoopSettings(steps=1500, schedule="cosine")
_SETTLED = 2000
"""Training images that the batch statistics of the average are computed on."""


@dataclass(frozen=True)
class LevelHeads:
    """Which logits belong to which feature."""

    features: tuple[str, ...]
    """Name of each feature."""
    exclusive: tuple[str, ...] = ()
    """Features of which a datum has exactly one."""

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return 3 * len(self._free) + len(self.exclusive)

    def loss(self, logits: Float[Tensor, "n m"], a: Float[Tensor, "n k"], smoothing: float = 0.0) -> Float[Tensor, ""]:
        """Cross entropy summed over features, the exclusive ones as one, a mean over the data whose level is known."""
        parts = []
        for place, column in enumerate(self._free):
            known = ~a[:, column].isnan()
            if known.any():
                levels = a[known, column].long() + 1
                parts.append(cross_entropy(logits[known][:, 3 * place : 3 * place + 3], levels, label_smoothing=smoothing))
        if self.exclusive:
            classes = a[:, self._classes]
            known = ~classes.isnan().any(1)
            if known.any():
                target = classes[known].argmax(1)
                parts.append(cross_entropy(logits[known][:, 3 * len(self._free) :], target, label_smoothing=smoothing))
        return torch.stack(parts).sum() if parts else 0 * logits.sum()

    def levels(self, logits: Float[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        """The most likely level of each feature."""
        a = logits.new_zeros(len(logits), len(self.features))
        for place, column in enumerate(self._free):
            a[:, column] = logits[:, 3 * place : 3 * place + 3].argmax(1) - 1.0
        if self.exclusive:
            first = 3 * len(self._free)
            a[:, self._classes] = one_hot(logits[:, first:].argmax(1), len(self.exclusive)).to(a)
        return a

    def log_odds(self, logits: Float[Tensor, "n m"], name: str) -> Float[Tensor, "n"]:
        """How sure it is of a feature that is not exclusive: the logarithm of p(1) / p(0)."""
        place = self._free.index(self.features.index(name))
        return logits[:, 3 * place + 2] - logits[:, 3 * place + 1]

    def right(self, read: Float[Tensor, "n k"], a: Float[Tensor, "n k"]) -> dict[str, Bool[Tensor, "n"]]:
        """For each feature, and for the exclusive ones together as `class`, whether what is read is what is there."""
        found = {self.features[column]: read[:, column] == a[:, column] for column in self._free}
        if self.exclusive:
            found["class"] = (read[:, self._classes] == a[:, self._classes]).all(1)
        return found

    @property
    def _free(self) -> list[int]:
        return [column for column, name in enumerate(self.features) if name not in self.exclusive]

    @property
    def _classes(self) -> list[int]:
        return [self.features.index(name) for name in self.exclusive]


@dataclass(frozen=True)
class LevelClassifier:
    """A trained network, and what its logits mean."""

    network: nn.Module
    """Data to logits, in eval mode."""
    heads: LevelHeads

    def levels(self, x: Float[Tensor, "n *s"]) -> Float[Tensor, "n k"]:
        """The most likely level of each feature of each datum."""
        return predict_levels(self.network, self.heads, x)


def predict_levels(
    network: nn.Module, heads: LevelHeads, x: Float[Tensor, "n *s"], batch_size: int = 1000
) -> Float[Tensor, "n k"]:
    """The levels that a network predicts for images, in eval mode."""
    with evaluated(network), torch.no_grad():
        return in_batches(lambda part: heads.levels(network(part)), x, size=batch_size)


class LevelClassifierTraining:
    """A network to logits and the step that trains it on batches `(x, a)`.

    Args:
        network: Images to as many logits as the heads have outputs.
        heads: Which logit is whose.
        learning_rate: Learning rate of AdamW.
        weight_decay: Its weight decay.
        label_smoothing: Share of each target spread over all levels.
        shift: Largest random shift of images, as a share of the side; nothing that could be a feature is changed.
        ema: Decay of the weights' moving average.
    """

    def __init__(
        self,
        network: nn.Module,
        heads: LevelHeads,
        *,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        label_smoothing: float = 0.02,
        shift: float = 0.05,
        ema: float = 0.995,
    ) -> None:
        self.heads, self.label_smoothing, self.shift = heads, label_smoothing, shift
        self.networks: dict[str, nn.Module] = {"classifier": network}
        self.averages = {"classifier": averaged_copy(network, ema)}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "classifier": AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update on shifted images."""
        x, a = batch
        if self.shift:
            x = jitter(x, 0.0, 0.0, self.shift, rng)
        loss = self.heads.loss(self.networks["classifier"](x), a, self.label_smoothing)
        update({"classifier": loss})
        return {"classifier": loss}

    def averaged_network(self, x: Float[Tensor, "n *s"]) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on training images `x`."""
        average = self.averages["classifier"].module
        settle_batch_norm(average, x.split(250))
        return average.eval()


def fit_level_classifier(
    x: Float[Tensor, "n *s"] | TrainingData,
    heads: LevelHeads,
    settings: LoopSettings = _LOOP,
    *,
    a: Float[Tensor, "m k"] | None = None,
    width: int = 24,
    network: nn.Module | None = None,
    shift: float = 0.05,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    checkpoint: str | Path | None = None,
) -> Fitted[LevelClassifier]:
    """Train a classifier of the levels of all features.

    Args:
        x: Images in [-1, 1]: a tensor, or data that hand out images with levels (`latentry.data.features`).
        heads: Names of the features, and which of them are exclusive.
        settings: Length of the training.
        a: Levels of a tensor of images, -1, 0, 1 or NaN where unknown.
        width: Channels of our network's first block.
        network: A network of your own, data to `(n, heads.outputs)` logits; a copy of it is trained.
        shift: Largest random shift of images, as a share of the side; 0 for data that are no images.
        device, rng, progress, checkpoint: As for `fit_gan`.

    Raises:
        ValueError: There are fewer images than one batch, or the checkpoints belong to another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> x, a = torch.rand(16, 1, 16, 16), torch.randint(-1, 2, (16, 1)).float()
        >>> found = fit_level_classifier(x, LevelHeads(("bold",)), LoopSettings(2, 8), a=a, width=2, rng=0)
        >>> found.model.levels(x).shape
        torch.Size([16, 1])
    """
    data = training_data(x, a)
    some = data.__getitems__(range(TRIAL))[0]
    with training_run(settings, device_of(data, device), rng, checkpoint) as run:
        classifier = chosen_network(
            network, lambda: channels_last(PlainClassifier(heads.outputs, some.shape[1], width)), "network", [some],
            (heads.outputs,),
        )  # fmt: skip
        training = LevelClassifierTraining(classifier, heads, shift=shift)
        identity = {
            **settings_identity(settings, LoopSettings), "data": data.fingerprint(), "width": width, "shift": shift,
            "features": heads.features, "exclusive": heads.exclusive, **own_identity(network=network),
        }  # fmt: skip
        done = run.train(training, data, settings, identity=identity, progress=progress, at_checkpoint=lambda step: None)
        settled = data.__getitems__(range(min(_SETTLED, len(data))))[0].to(run.device)
        return Fitted(LevelClassifier(training.averaged_network(settled), heads), {"classifier": done})
