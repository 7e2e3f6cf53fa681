"""The models of `python -m experiments split`: label splits by recipe, and conditional models of the same networks.

All see the same batches of the same data for as many iterations, with networks of one width, codes of one length, and Adam
at one rate. What a recipe changes is all that it differs in from the paper's losses.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch import Tensor, nn

from experiments.frame.cells import unseen
from latentry.data.images import LabelledImages
from latentry.data.sources import load_dataset
from latentry.holding import evaluated
from latentry.models.conditional import ConditionalTraining
from latentry.models.label_split import LabelSplit, load_label_split
from latentry.models.label_split_weights import LabelSplitWeights
from latentry.models.posterior import Posterior, normal_posterior
from latentry.models.pretrained import load_pretrained, save_pretrained
from latentry.networks import Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.priors import NormalMixture
from latentry.storage import read_json, write_json
from latentry.tasks.runs import RESULTS
from latentry.tasks.train_label_split import train_label_split
from latentry.tasks.train_settings import TrainLabelSplitSettings
from latentry.tasks.trainings import square_shape
from latentry.training.loop import train
from latentry.training.settings import LoopSettings

__all__ = ["ABLATIONS", "CONDITIONAL", "OURS", "SPLITS", "TITLES", "Model", "ModelCell", "load_model", "train_model"]

OURS = "ours"
_AT_ONCE = 500
_BETAS = (0.5, 0.9)
_WEIGHTS: Mapping[str, float] = {
    "likelihood": 0.01, "pull": 0.1, "divergence": 0.1, "confusion": 0.5, "adversarial": 0.1,
}  # fmt: skip
_RECIPE: Mapping[str, Any] = {
    "gan": True, "stochastic": True, "standardised": True, "least_deviation": 0.4, "sampled_styles": "others",
    "confusion_target": "class-prior", "adversary_sees": "means", "adversary_steps": 3, "adversary_hidden": (256, 256),
}  # fmt: skip
_JITTER: Mapping[str, float] = {"degrees": 10.0, "scale": 0.1, "shift": 0.06}
_FEW = 20_000
"""Training images below which ours sees them jittered; with more it sees each too seldom to learn it by heart."""
_DEPENDENCE = 10.0

SPLITS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, float]]] = {
    OURS: (_RECIPE, _WEIGHTS),
    "paper": ({"gan": True, "flow_steps": 0}, {}),
    "no-adversary": (_RECIPE, {**_WEIGHTS, "confusion": 0.0}),
    "dependence": (_RECIPE, {**_WEIGHTS, "confusion": 0.0, "dependence": _DEPENDENCE}),
    "no-likelihood": (_RECIPE, {**_WEIGHTS, "likelihood": 0.0, "pull": 0.0}),
    "no-discriminator": ({**_RECIPE, "gan": False}, _WEIGHTS),
}
"""Settings and weights of each label split, beyond the paper's."""
CONDITIONAL: Mapping[str, tuple[bool, bool, bool]] = {
    "vae": (False, True, False),
    "cvae": (True, True, False),
    "cgan": (True, False, True),
    "cvae-gan": (True, True, True),
}
"""Whether each other model has labels, an encoder, a discriminator."""
ABLATIONS = ("no-flow", "no-adversary", "dependence", "no-likelihood", "no-discriminator")
"""Rows beside ours; the first is ours as it was before the flow."""
TITLES: Mapping[str, str] = {
    OURS: "label split, ours",
    "paper": "label split, the paper's losses",
    "vae": "VAE",
    "cvae": "conditional VAE",
    "cgan": "conditional GAN",
    "cvae-gan": "conditional VAE with GAN",
    "no-flow": "without the flow",
    "no-adversary": "without the adversary",
    "dependence": "HSIC instead of the adversary",
    "no-likelihood": "without the mixture's likelihood",
    "no-discriminator": "without the discriminator",
}


@dataclass(frozen=True)
class ModelCell:
    """One model of one data set and seed."""

    data: str
    model: str
    seed: int
    width: int
    label_dim: int
    style_dim: int
    steps: int
    batch_size: int
    lr: float
    flow_steps: int

    @property
    def name(self) -> str:
        return f"model-{Path(self.data).name}-{self.model}-{self.seed}"

    @property
    def leaves(self) -> str:
        """What is there once it is trained."""
        return f"work/{self.name}/{RESULTS}"

    @property
    def recipe(self) -> Any:
        """What the model's name stands for."""
        return SPLITS[self.model] if self.model in SPLITS else CONDITIONAL[self.model]


@dataclass(frozen=True)
class Model:
    """A trained model of either kind, as it is scored."""

    decoder: nn.Module
    prior: NormalMixture
    label_dim: int
    """Length of the part of a code that names the label; 0 without labels."""
    encoder: nn.Module | None
    """Of a conditional model that has one."""
    split: LabelSplit | None

    @property
    def encodes(self) -> bool:
        """Whether there are codes of data."""
        return self.split is not None or self.encoder is not None

    def before_flow(self) -> "Model":
        """The same model with z_u as its encoder gives it."""
        if self.split is None:
            return self
        split = self.split.before_flow()
        return dataclasses.replace(self, decoder=split.decoder, split=split)

    def decode(self, z: Tensor) -> Tensor:
        """Data of codes."""
        with evaluated(self.decoder), torch.no_grad():
            return torch.cat([self.decoder(part) for part in z.split(_AT_ONCE)])

    def centres(self, x: Tensor, y: Tensor) -> Tensor:
        """Means of the distributions of codes; conditional models are told the labels."""
        return self.split.centres(x) if self.split is not None else self._beside_label(self._distributions(x, y).mean, y)

    def draws(self, x: Tensor, y: Tensor, count: int, rng: torch.Generator) -> Tensor:
        """So many draws `(count, n, d)` from the distributions of each datum's code, for one pass of the encoders."""
        if self.split is not None:
            both = self.split.posteriors(x)
            return torch.stack([self.split.drawn(both, rng) for _ in range(count)])
        distributions = self._distributions(x, y)
        return torch.stack([self._beside_label(distributions.drawn(rng), y) for _ in range(count)])

    def _distributions(self, x: Tensor, y: Tensor) -> Posterior:
        assert self.encoder is not None, "asked for codes of a model without an encoder"
        labels = y.split(_AT_ONCE) if self.label_dim else [None] * len(x)
        with evaluated(self.encoder), torch.no_grad():
            return normal_posterior(
                torch.cat([self.encoder(*_with(part, own)) for part, own in zip(x.split(_AT_ONCE), labels, strict=False)])
            )

    def _beside_label(self, z_u: Tensor, y: Tensor) -> Tensor:
        return torch.cat([self.prior.loc[y, : self.label_dim].to(z_u), z_u], 1) if self.label_dim else z_u


def train_model(folder: Path, device: str, asked: ModelCell) -> dict[str, Any]:
    """Train one model, from its last checkpoint if there is one, unless it is there."""
    home = folder / "work" / asked.name
    if not (home / RESULTS).exists():
        if asked.model in SPLITS:
            train_label_split(_split_settings(asked, home, device))
        else:
            write_json(home / RESULTS, _train_conditional(asked, home, device))
    told = read_json(home / RESULTS)["result"]
    return {"model": {name: value for name, value in told.items() if name != "model"}}  # where it lies is no finding


def load_model(folder: Path, asked: ModelCell, device: str, *, flow: bool = True) -> Model:
    """What `train_model` left, a label split without its flow where that is asked for."""
    home = folder / "work" / asked.name / "model"
    if asked.model in SPLITS:
        split = load_label_split(home)
        for part in (split.label_encoder, split.style_encoder, split.decoder, split.prior):
            part.to(device)
        model = Model(split.decoder, split.prior, split.label_dim, None, split)
        return model if flow else model.before_flow()
    labelled, encodes, _ = CONDITIONAL[asked.model]
    decoder = load_pretrained(home)
    assert isinstance(decoder.prior, NormalMixture), "conditional models have such a prior"
    encoder = load_pretrained(home / "encoder").network.to(device) if encodes else None
    label_dim = decoder.prior.num_classes if labelled else 0
    return Model(decoder.network.to(device), decoder.prior.to(device), label_dim, encoder, None)


def _split_settings(asked: ModelCell, home: Path, device: str) -> TrainLabelSplitSettings:
    more, weights = SPLITS[asked.model]
    given: dict[str, Any] = {"flow_steps": asked.flow_steps, **more}
    if asked.model != "paper" and len(load_dataset(asked.data).split("train")) < _FEW:
        given |= _JITTER
    return TrainLabelSplitSettings(
        out=str(home), seed=asked.seed, device=device, json=True, data=asked.data, label_dim=asked.label_dim,
        style_dim=asked.style_dim, width=asked.width, weights=LabelSplitWeights(**weights), lr=asked.lr, betas=_BETAS,
        loop=_loop(asked), **given,
    )  # fmt: skip


def _loop(asked: ModelCell) -> LoopSettings:
    every = max(2, -(-asked.steps // 3))
    return LoopSettings(asked.steps, asked.batch_size, "cosine", checkpoint_every=every)


@torch.random.fork_rng()
def _train_conditional(asked: ModelCell, home: Path, device: str) -> dict[str, Any]:
    data = load_dataset(asked.data)
    training = data.split("train")
    torch.manual_seed(asked.seed)
    model = conditional_of(asked, data)
    accelerator = Accelerator(cpu=device == "cpu")
    done = train(
        model, training, _loop(asked), home, seed=asked.seed, accelerator=accelerator, identity=vars(asked),
        progress=unseen,
    )  # fmt: skip
    counts = torch.bincount(training.labels, minlength=training.num_classes)
    prior = model.prior(counts / counts.sum())
    save_pretrained(home / "model", model.networks["decoder"], prior, {"model": asked.model})
    if "encoder" in model.networks:
        save_pretrained(home / "model" / "encoder", model.networks["encoder"], None, {"model": asked.model})
    return {"result": {"losses": {name: values[-1] for name, values in done.losses.items() if values}}}


def conditional_of(asked: ModelCell, data: LabelledImages) -> ConditionalTraining:
    """The untrained networks of a conditional model; without labels styles have the length of the whole code."""
    labelled, encodes, plays = CONDITIONAL[asked.model]
    side, channels = square_shape(data)
    k = data.num_classes if labelled else 0
    style_dim = asked.style_dim if labelled else asked.label_dim + asked.style_dim
    encoder = Zheng2019Encoder(2 * style_dim, side, channels, asked.width, num_classes=k) if encodes else None
    discriminator = Zheng2019Discriminator(k, side, channels, asked.width) if plays else None
    return ConditionalTraining(
        channels_last(Zheng2019Decoder(k + style_dim, side, channels, asked.width)),
        style_dim,
        k,
        None if encoder is None else channels_last(encoder),
        None if discriminator is None else channels_last(discriminator),
        weights=LabelSplitWeights(**_WEIGHTS),
        lr=asked.lr,
        betas=_BETAS,
    )


def _with(x: Tensor, y: Tensor | None) -> tuple[Tensor, ...]:
    return (x,) if y is None else (x, y)
