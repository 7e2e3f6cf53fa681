"""A classifier of images, trained with label smoothing and small random affine changes."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torch.optim import AdamW

from latentry.answers import logits_of
from latentry.display import Facts, Told
from latentry.holding import evaluated
from latentry.numerics.batches import in_batches
from latentry.storage import fingerprint
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.loop import Update

__all__ = ["Classifier", "ClassifierTraining", "jitter", "predict_labels"]


@dataclass(frozen=True, repr=False)
class Classifier(Told):
    """A trained classifier.

    Example:
        >>> import torch, latentry as lt
        >>> judge = lt.load_model("digits-judge", lt.Classifier)
        >>> judge.network(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    network: nn.Module
    """Data `(n, *data_shape)` to logits `(n, k)`."""
    card: dict[str, Any] = field(default_factory=dict, kw_only=True)
    """Its model card: settings, data fingerprint, seed, metrics, versions; empty where nothing is known."""

    @property
    def fingerprint(self) -> str:
        """Hash of the weights."""
        return fingerprint(self.network.state_dict())

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, as the data call them; empty where they are not known."""
        return tuple(map(str, (self.card.get("data") or {}).get("class_names", ())))

    def _facts(self) -> Facts:
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        labels = (("classes", f"{len(self.labels)}: {', '.join(self.labels[:10])}"),) if self.labels else ()
        rows = (("parameters", f"{parameters:,}"), *labels, ("weights", self.fingerprint))
        return Facts(f"Classifier: {type(self.network).__name__}", rows, "`network` is the module, from data to logits.")


def jitter(
    x: Float[Tensor, "n c h w"], degrees: float, scale: float, shift: float, rng: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Each image rotated, scaled, sheared and shifted at random; what enters from outside repeats the border.

    Args:
        x: Images.
        degrees: Largest rotation and shear either way.
        scale: Largest relative change of size either way.
        shift: Largest shift either way, as a share of the side.
        rng: Source of randomness.
    """
    turn, shear, size_x, size_y, move_x, move_y = (
        2 * torch.rand(6, len(x), generator=rng, device=x.device, dtype=x.dtype) - 1
    )
    angle, slant = turn * math.radians(degrees), (shear * math.radians(degrees)).tan()
    rows_x = torch.stack([angle.cos(), slant - angle.sin(), 2 * shift * move_x], 1) * (1 + scale * size_x)[:, None]
    rows_y = torch.stack([angle.sin(), angle.cos(), 2 * shift * move_y], 1) * (1 + scale * size_y)[:, None]
    grid = affine_grid(torch.stack([rows_x, rows_y], 1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def predict_labels(
    classifier: nn.Module, x: Float[Tensor, "n c h w"], batch_size: int = 1000
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """Most likely label of each image and its probability, in eval mode."""
    with evaluated(classifier), torch.no_grad():
        probabilities = in_batches(lambda part: logits_of(classifier(part)).softmax(1), x, size=batch_size)
    confidence, labels = probabilities.max(1)
    return labels, confidence


class ClassifierTraining:
    """A network to logits and the step that trains it on batches `(x, y)`.

    Args:
        network: Images to logits.
        lr: Learning rate of AdamW.
        weight_decay: Its weight decay.
        label_smoothing: Share of each target spread over all classes.
        degrees, scale, shift: Extent of `jitter`; zeros leave it out.
        ema: Decay of the weights' moving average.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        lr: float = 2e-3,
        weight_decay: float = 1e-2,
        label_smoothing: float = 0.05,
        degrees: float = 12.0,
        scale: float = 0.12,
        shift: float = 0.08,
        ema: float = 0.995,
    ) -> None:
        self.label_smoothing = label_smoothing
        self.extent = {"degrees": degrees, "scale": scale, "shift": shift}
        self.networks = {"classifier": network}
        self.averages = {"classifier": averaged_copy(network, ema)}
        self.optimizers = {"classifier": AdamW(network.parameters(), lr=lr, weight_decay=weight_decay, fused=True)}

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update on jittered images."""
        x, y = batch
        if any(self.extent.values()):
            x = jitter(x, **self.extent, rng=rng)
        loss = cross_entropy(self.networks["classifier"](x), y, label_smoothing=self.label_smoothing)
        update({"classifier": loss})
        return {"classifier": loss}

    def averaged_classifier(self, x: Float[Tensor, "n c h w"]) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on training images `x`."""
        average = self.averages["classifier"].module
        settle_batch_norm(average, x.split(250))
        return average.eval()
