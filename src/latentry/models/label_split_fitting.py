"""`fit_label_split`: which networks, which data, and the flow behind them; `label_split_training` has the losses."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentry.display.progress import Progress
from latentry.models.label_split import LabelSplit
from latentry.models.label_split_flow import EncodedData, settled
from latentry.models.label_split_training import LabelSplitTraining
from latentry.models.posteriors import joined
from latentry.models.settings import LabelSplitSettings
from latentry.networks import Perceptron, Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.priors import TrainedMixture
from latentry.training.batches import LabelledData, square_images, training_data
from latentry.training.fitting import Fitted, Randomness, device_of, part_of, training_run
from latentry.training.own_networks import TRIAL, chosen_network, own_identity
from latentry.training.settings import settings_identity

__all__ = ["PRECISIONS", "check_labels", "fit_label_split", "label_split_training"]

PRECISIONS = (1e-2, 1e2)
"""Least and largest precision of the mixture."""
_DEFAULTS = LabelSplitSettings()
_ENCODED = 500
"""Data that are encoded at once."""


def check_labels(data: LabelledData, settings: LabelSplitSettings) -> Int[Tensor, "k"]:
    """Data of each class, if a label split can be trained on them.

    Raises:
        ValueError: There are fewer than two classes, a class has fewer than two data, or z_s is too short for the classes.
    """
    counts = torch.bincount(data.labels, minlength=data.num_classes)
    if few := (counts < 2).nonzero()[:, 0].tolist():
        names = getattr(data, "class_names", ()) or range(len(counts))
        raise ValueError(
            "expected two training images or more of each class, got fewer of "
            f"{', '.join(str(names[label]) for label in few)}; merge or leave out classes"
        )
    if len(counts) < 2:
        raise ValueError("expected two classes or more, got one; a label that never varies says nothing")
    if settings.label_dim < len(counts) - 1:
        raise ValueError(
            f"expected room for {len(counts)} classes, all equally far apart, in a label_dim of at least {len(counts) - 1}, "
            f"got {settings.label_dim}"
        )
    return counts


def label_split_training(
    settings: LabelSplitSettings,
    counts: Int[Tensor, "k"],
    some: Float[Tensor, "n *s"],
    own: Mapping[str, nn.Module | None] = MappingProxyType({}),
) -> LabelSplitTraining:
    """The untrained networks of Zheng and Sun (2019), for data like `some` with so many of each class, or the caller's own.

    Args:
        settings: Lengths, widths and losses.
        counts: Data of each class.
        some: `TRIAL` data, square images where any network is the default one.
        own: Networks of the caller's own, by name.
    """
    k, width, d = len(counts), settings.width, settings.label_dim + settings.style_dim
    outputs = 2 * settings.label_dim if settings.stochastic else settings.label_dim
    standardised = settings.style_dim if settings.standardised else 0
    channels, side = some.shape[1], some.shape[-1]
    y = torch.arange(len(some)) % k

    def network(name: str, default: Callable[[], nn.Module], inputs: Sequence[Tensor], *shape: int) -> nn.Module:
        return chosen_network(own.get(name), default, name.replace("_", " "), inputs, shape)

    def discriminator() -> nn.Module:
        return channels_last(Zheng2019Discriminator(k, side, channels, width))

    played = network("discriminator", discriminator, [some, y]) if settings.gan else None
    return LabelSplitTraining(
        network("label_encoder", lambda: channels_last(Zheng2019Encoder(outputs, side, channels, width)), [some], outputs),
        network(
            "style_encoder",
            lambda: channels_last(
                Zheng2019Encoder(2 * settings.style_dim, side, channels, width, standardised=standardised)
            ),
            [some],
            2 * settings.style_dim,
        ),
        network(
            "decoder",
            lambda: channels_last(Zheng2019Decoder(d, side, channels, width)),
            [torch.zeros(len(some), d)],
            *some.shape[1:],
        ),
        TrainedMixture(k, settings.label_dim, PRECISIONS),
        network(
            "adversary",
            lambda: Perceptron(
                settings.style_dim, k, settings.adversary_hidden, normalised=settings.adversary_sees == "means"
            ),
            [torch.zeros(len(some), settings.style_dim)],
            k,
        ),
        played,
        settings,
        probs=counts / counts.sum(),
        precision_every=round(settings.precision_epochs * int(counts.sum()) / settings.batch_size),
    )


def fit_label_split(
    x: Float[Tensor, "n *s"] | LabelledData,
    settings: LabelSplitSettings = _DEFAULTS,
    *,
    y: Int[Tensor, "m"] | None = None,
    label_encoder: nn.Module | None = None,
    style_encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    adversary: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, LabelSplit], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Fitted[LabelSplit]:
    """Train a label split: codes of which the first part bears the label, the second the style.

    Reference: Zheng and Sun (2019).

    Args:
        x: Square images in [-1, 1]: a tensor, or data such as `lt.load_dataset` gives. Data of any shape where all networks
            that see them are your own.
        settings: Networks, losses, rates, length.
        y: Classes of a tensor of data, from 0 on.
        label_encoder: A network of your own, data to z_s, or with `stochastic` to its mean and log variance side by side.
            Copies of your networks are trained.
        style_encoder: Data to mean and log variance of z_u, `(n, 2 style_dim)`.
        decoder: Codes `(n, label_dim + style_dim)` to data.
        adversary: z_u to logits `(n, k)`.
        discriminator: Data and labels to scores `(n,)`, called as `discriminator(x, y)`; only with `gan` in the settings.
        device, rng, progress, checkpoint: As for `fit_gan`.
        callback: Called as `callback(step, model)` at each checkpoint, before the flow.

    Returns:
        The model, behind its flow if `settings.flow_steps` is above 0; `networks` has the adversary, and the discriminator
        if there is one.

    Raises:
        ValueError: As `check_labels`; or there are fewer images than one batch, or the checkpoints belong to another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.models.settings import LabelSplitSettings
        >>> tiny = LabelSplitSettings(steps=2, batch_size=8, width=1, label_dim=2, style_dim=3, flow_steps=0)
        >>> x, y = torch.rand(16, 1, 28, 28), torch.arange(16) % 2
        >>> found = lt.fit_label_split(x, tiny, y=y, rng=0)
        >>> found.model.encode(x).mean.shape
        torch.Size([16, 5])
    """
    data = training_data(x, y)
    counts = check_labels(data, settings)
    if discriminator is not None and not settings.gan:
        raise ValueError("expected settings with gan=True beside a discriminator, got gan=False; set it, or leave one out")
    own = {
        "label_encoder": label_encoder, "style_encoder": style_encoder, "decoder": decoder, "adversary": adversary,
        "discriminator": discriminator,
    }  # fmt: skip
    if None in (label_encoder, style_encoder, decoder) or (settings.gan and discriminator is None):
        square_images(data)
    total = settings.steps + settings.flow_steps
    identity = {**settings_identity(settings, LabelSplitSettings), "data": data.fingerprint()} | own_identity(**own)
    with training_run(settings, device_of(data, device), rng, checkpoint) as run:
        training = label_split_training(settings, counts, data.__getitems__(range(TRIAL))[0], own)
        del identity["flow_steps"]  # the training before it does not depend on it
        done = run.train(
            training, data, settings, identity=identity, progress=part_of(progress, 0, total),
            at_checkpoint=lambda step: callback(step, training.split()) if callback is not None else None,
        )  # fmt: skip
        split = training.split()
        if settings.flow_steps:
            split = settled(
                split,
                _encoded(split, data, run.device),
                data.labels,
                run.folder / "flow" / f"{settings.flow_steps}-after-{settings.steps}",  # of another length, another flow
                steps=settings.flow_steps,
                seed=run.seed,
                accelerator=run.accelerator,
                identity={**identity, "flow_steps": settings.flow_steps, "seed": run.seed},
                progress=part_of(progress, settings.steps, total),
            )
        for network in (split.generator, split.label_encoder, split.style_encoder):
            network.eval()
        beside = {
            name: network.eval() for name, network in training.networks.items() if name in ("adversary", "discriminator")
        }
        return Fitted(split, {"label split": done}, networks=beside)


def _encoded(split: LabelSplit, data: LabelledData, device: torch.device) -> EncodedData:
    """Posteriors of all codes of data, on the CPU."""
    starts = range(0, len(data), _ENCODED)
    parts = [
        split.encode(data.__getitems__(range(start, min(start + _ENCODED, len(data))))[0].to(device)) for start in starts
    ]
    return EncodedData(joined([part.label for part in parts]), joined([part.style for part in parts]))
