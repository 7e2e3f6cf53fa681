"""A classifier of images, trained with label smoothing and small random affine changes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torch.optim import AdamW, Optimizer

from latentry.display import Described, Facts
from latentry.display.progress import Progress
from latentry.holding import evaluated
from latentry.models.settings import ClassifierSettings
from latentry.network_outputs import logits_of
from latentry.networks import PlainClassifier, ResidualClassifier, channels_last
from latentry.numerics.batches import in_batches
from latentry.storage import fingerprint, read_json, read_tensors, write_json, write_tensors
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.batches import LabelledData, training_data
from latentry.training.fitting import Fitted, Randomness, device_of, training_run
from latentry.training.loop import Update
from latentry.training.own_networks import TRIAL, chosen_network, own_identity
from latentry.training.settings import settings_identity

__all__ = ["Classifier", "ClassifierTraining", "fit_classifier", "jitter", "predict_labels"]

_DEFAULTS = ClassifierSettings()
_SETTLED = 2000
"""Training images that the batch statistics of the average are computed on."""
_BATCH = 1000
"""Images that are classified at once."""
_BEST, _WEIGHTS, _REACHED = "best", "weights.safetensors", "reached.json"
"""Folder of the classifier that did best on validation, and its files."""


@dataclass(frozen=True, repr=False)
class Classifier(Described):
    """A trained classifier.

    Example:
        >>> import torch, latentry as lt
        >>> classifier = lt.load_model("digits-evaluator", lt.Classifier)
        >>> classifier.network(torch.zeros(2, 1, 28, 28)).shape
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
    classifier: nn.Module, x: Float[Tensor, "n *s"], batch_size: int = 1000
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
        settings: Rates, smoothing, extent of `jitter` (zeros leave it out) and averaging; those of network and loop are not
            looked at.
    """

    def __init__(self, network: nn.Module, settings: ClassifierSettings = _DEFAULTS) -> None:
        self.settings = settings
        self.extent = {"degrees": settings.degrees, "scale": settings.scale, "shift": settings.shift}
        self.networks = {"classifier": network}
        self.averages = {"classifier": averaged_copy(network, settings.ema)}
        adam = AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
        self.optimizers: dict[str, Optimizer] = {"classifier": adam}

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update on jittered images."""
        x, y = batch
        if any(self.extent.values()):
            x = jitter(x, **self.extent, rng=rng)
        loss = cross_entropy(self.networks["classifier"](x), y, label_smoothing=self.settings.label_smoothing)
        update({"classifier": loss})
        return {"classifier": loss}

    def averaged_classifier(self, x: Float[Tensor, "n *s"]) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on training images `x`."""
        average = self.averages["classifier"].module
        settle_batch_norm(average, x.split(250))
        return average.eval()


def fit_classifier(
    x: Float[Tensor, "n *s"] | LabelledData,
    settings: ClassifierSettings = _DEFAULTS,
    *,
    y: Int[Tensor, "m"] | None = None,
    network: nn.Module | None = None,
    validation: LabelledData | tuple[Tensor, Tensor] | None = None,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, Classifier], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Fitted[Classifier]:
    """Train a small image classifier; with validation data the checkpoint that does best on them is the model.

    Args:
        x: Images in [-1, 1]: a tensor, or data such as `lt.load_dataset` gives.
        settings: Network, rates, augmentation, length.
        y: Classes of a tensor of images, from 0 on.
        network: A network of your own, data to logits `(n, k)`; a copy of it is trained. With it the data may have any
            shape, if the settings change no images (`degrees`, `scale` and `shift` at 0).
        validation: Images and classes that choose the checkpoint; without them it is the last one.
        device, rng, progress, callback, checkpoint: As for `fit_gan`.

    Returns:
        The classifier. With validation data `reached` has its accuracy on them (`validation`) and its `step`.

    Raises:
        ValueError: There are fewer images than one batch, labels are missing, or the checkpoints belong to another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.models.settings import ClassifierSettings
        >>> x, y = torch.rand(16, 1, 28, 28), torch.arange(16) % 2
        >>> found = lt.fit_classifier(x, ClassifierSettings(steps=2, batch_size=8, width=2), y=y, rng=0)
        >>> found.model.network(x).shape
        torch.Size([16, 2])
    """
    data = training_data(x, y)
    validation_data = training_data(*validation) if isinstance(validation, tuple) else validation
    some = data.__getitems__(range(TRIAL))[0]
    with training_run(settings, device_of(data, device), rng, checkpoint) as run:
        kind = PlainClassifier if settings.network == "plain" else ResidualClassifier
        k = data.num_classes
        read = chosen_network(
            network, lambda: channels_last(kind(k, some.shape[1], settings.width)), "network", [some], (k,)
        )
        training = ClassifierTraining(read, settings)
        best = run.folder / _BEST

        def model() -> Classifier:
            settled, _ = data.__getitems__(range(min(_SETTLED, len(data))))
            return Classifier(training.averaged_classifier(settled.to(run.device)))

        def at_checkpoint(step: int) -> None:
            if validation_data is None and callback is None:
                return
            found = model()
            if validation_data is not None:
                accuracy = _accuracy(found.network, validation_data)
                if not (best / _REACHED).exists() or accuracy > read_json(best / _REACHED)["validation"]:
                    write_tensors(best / _WEIGHTS, found.network.state_dict())
                    write_json(best / _REACHED, {"step": float(step), "validation": accuracy})
            if callback is not None:
                callback(step, found)

        identity = {
            **settings_identity(settings, ClassifierSettings), "data": data.fingerprint(), **own_identity(network=network)
        }  # fmt: skip
        if validation_data is not None:
            identity["validation"] = validation_data.fingerprint()
        done = run.train(training, data, settings, identity=identity, progress=progress, at_checkpoint=at_checkpoint)
        run.accelerator.wait_for_everyone()  # the last validation is written by the first process
        if validation_data is None:
            return Fitted(model(), {"classifier": done})
        chosen = model().network
        chosen.load_state_dict(read_tensors(best / _WEIGHTS))
        return Fitted(Classifier(chosen), {"classifier": done}, read_json(best / _REACHED))


def _accuracy(network: nn.Module, data: LabelledData) -> float:
    device = next(network.parameters()).device
    right = 0
    for start in range(0, len(data), _BATCH):
        x, y = data.__getitems__(range(start, min(start + _BATCH, len(data))))
        right += int((predict_labels(network, x.to(device))[0] == y.to(device)).sum())
    return right / len(data)
