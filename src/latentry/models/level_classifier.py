"""A classifier of features: the level of each, -1, 0 or 1, and one class among exclusive features.

It measures whether images show the requested levels. Train it on all levels, also those that the generator has never
seen. Features that are not exclusive have three logits each, the exclusive ones together one each.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import AdamW

from latentry.holding import evaluated
from latentry.models.classifier import jitter
from latentry.numerics.batches import in_batches
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.loop import Update

__all__ = ["LevelHeads", "LevelClassifierTraining", "predict_levels"]


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


def predict_levels(
    network: nn.Module, heads: LevelHeads, x: Float[Tensor, "n c h w"], batch_size: int = 1000
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

    def averaged_network(self, x: Float[Tensor, "n c h w"]) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on training images `x`."""
        average = self.averages["classifier"].module
        settle_batch_norm(average, x.split(250))
        return average.eval()
