"""The models of `python -m experiments split`: label splits by recipe, and conditional models of the same networks.

All see the same batches of the same data for as many iterations, with networks of one width, codes of one length, and Adam
at one learning rate. A recipe is what a label split changes in the paper's settings and weights.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row, no_progress
from experiments.framework.timing import seconds_of_passes
from latentry.data.images import LabelledImages
from latentry.data.sources import load_dataset
from latentry.holding import evaluated
from latentry.models.conditional import ConditionalTraining
from latentry.models.label_split import LabelSplit
from latentry.models.label_split_fitting import fit_label_split
from latentry.models.posteriors import normal_posterior
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model, save_model
from latentry.models.settings import LabelSplitSettings, LabelSplitWeights
from latentry.networks import Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder, channels_last
from latentry.numerics.batches import in_batches
from latentry.priors import DiagonalNormal, NormalMixture
from latentry.storage import read_json, write_json
from latentry.training.batches import square_images
from latentry.training.loop import train
from latentry.training.settings import LoopSettings

__all__ = ["ABLATIONS", "CONDITIONAL", "MODELS", "NO_FLOW", "OURS", "Model", "ModelCell"]

OURS, PAPER, NO_FLOW = "ours", "paper", "no-flow"
RESULTS = "results.json"
"""Last file that a training writes."""
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
"""Training images below which our recipes jitter them, against overfitting."""

SPLITS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, float]]] = {
    OURS: (_RECIPE, _WEIGHTS),
    PAPER: ({"gan": True, "flow_steps": 0}, {}),
    "no-adversary": (_RECIPE, {**_WEIGHTS, "confusion": 0.0}),
    "dependence": (_RECIPE, {**_WEIGHTS, "confusion": 0.0, "dependence": 10.0}),
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
MODELS = (OURS, PAPER, *CONDITIONAL)
"""Rows of the table of models."""
ABLATIONS = (NO_FLOW, "no-adversary", "dependence", "no-likelihood", "no-discriminator")
"""Rows of the table of ablations, beside ours; the first is ours as it was before the flow."""


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
        return dataclasses.replace(self, decoder=split.generator, split=split)

    def decode(self, z: Tensor) -> Tensor:
        """Data of codes."""
        with evaluated(self.decoder), torch.no_grad():
            return in_batches(self.decoder, z, size=_AT_ONCE)

    def posterior_mean(self, x: Tensor, y: Tensor) -> Tensor:
        """Posterior means of codes; conditional models are given the labels."""
        return self.split.encode(x).mean if self.split is not None else self._whole(self._posterior(x, y).mean, y)

    def draws(self, x: Tensor, y: Tensor, count: int, rng: torch.Generator) -> Tensor:
        """So many draws `(count, n, d)` from the posteriors, for one pass of the encoders."""
        if self.split is not None:
            whole = self.split.encode(x)
            return torch.stack([whole.sample(rng=rng) for _ in range(count)])
        posterior = self._posterior(x, y)
        return torch.stack([self._whole(posterior.sample(rng=rng), y) for _ in range(count)])

    def _posterior(self, x: Tensor, y: Tensor) -> DiagonalNormal:
        assert self.encoder is not None, "only models with an encoder give codes"
        batches = zip(x.split(_AT_ONCE), y.split(_AT_ONCE), strict=True)
        with evaluated(self.encoder), torch.no_grad():
            return normal_posterior(
                torch.cat([self.encoder(*((part, own) if self.label_dim else (part,))) for part, own in batches])
            )

    def _whole(self, z_u: Tensor, y: Tensor) -> Tensor:
        return torch.cat([self.prior.loc[y, : self.label_dim].to(z_u), z_u], 1) if self.label_dim else z_u


@dataclass(frozen=True)
class ModelCell(Cell):
    """The training of one model on one data set with one seed."""

    data: str
    model: str
    seed: int
    width: int
    label_dim: int
    style_dim: int
    steps: int
    batch_size: int
    learning_rate: float
    flow_steps: int

    @property
    def name(self) -> str:
        return f"model-{Path(self.data).name}-{self.model}-{self.seed}"

    @property
    def artifact(self) -> str:
        return f"work/{self.name}/{RESULTS}"

    @property
    def recipe(self) -> Any:
        return SPLITS[self.model] if self.model in SPLITS else CONDITIONAL[self.model]

    @property
    def row(self) -> Row:
        return Row("training", Path(self.data).name, self.model, self.seed)

    def expected_seconds(self, place: Place) -> float:
        one = seconds_of_passes(self.data, self.style_dim, self.width, self.batch_size, place.device)
        return self.steps * (6 if self.model in CONDITIONAL else 9) * one + self.flow_steps * 0.03

    def work(self, place: Place) -> dict[str, Any]:
        """Train from the last checkpoint if there is one, unless the model is there; its last losses."""
        home = place.home(self.name)
        if not (home / RESULTS).exists():
            train_one = self._train_split if self.model in SPLITS else self._train_conditional
            write_json(home / RESULTS, {"model": {"losses": train_one(home, place.device)}})
        found: dict[str, Any] = read_json(home / RESULTS)
        return found

    def load(self, place: Place, *, flow: bool = True) -> Model:
        """The trained model, on the device of the place; a label split without its flow for `flow=False`."""
        home = place.home(self.name) / "model"
        if self.model in SPLITS:
            split = load_model(home, LabelSplit).to(place.device)
            model = Model(split.generator, split.prior, split.label_dim, None, split)
            return model if flow else model.before_flow()
        labelled, encodes, _ = CONDITIONAL[self.model]
        decoder = load_network(home)
        assert isinstance(decoder.prior, NormalMixture), "conditional models have such a prior"
        encoder = load_network(home / "encoder").network.to(place.device) if encodes else None
        label_dim = decoder.prior.num_classes if labelled else 0
        return Model(decoder.network.to(place.device), decoder.prior.to(place.device), label_dim, encoder, None)

    @property
    def split_settings(self) -> LabelSplitSettings:
        """What a label split is trained with."""
        recipe, weights = SPLITS[self.model]
        jitter = _JITTER if self.model != PAPER and len(load_dataset(self.data).split("train")) < _FEW else {}
        given: dict[str, Any] = {"flow_steps": self.flow_steps, **recipe, **jitter}
        return LabelSplitSettings(
            label_dim=self.label_dim, style_dim=self.style_dim, width=self.width, weights=LabelSplitWeights(**weights),
            learning_rate=self.learning_rate, betas=_BETAS, **self._loop, **given,
        )  # fmt: skip

    @property
    def _loop(self) -> dict[str, Any]:
        every = max(2, -(-self.steps // 3))
        return {
            "steps": self.steps, "batch_size": self.batch_size, "schedule": "cosine", "checkpoint_every": every
        }  # fmt: skip

    def _train_split(self, home: Path, device: str) -> dict[str, float]:
        training = load_dataset(self.data).split("train")
        fitted = fit_label_split(
            training, self.split_settings, device=device, rng=self.seed, progress=no_progress, checkpoint=home
        )
        save_model(home / "model", fitted.model, {"model": self.model})
        return fitted.losses["label split"]

    @torch.random.fork_rng()
    def _train_conditional(self, home: Path, device: str) -> dict[str, float]:
        data = load_dataset(self.data)
        training = data.split("train")
        torch.manual_seed(self.seed)
        model = self._conditional(data)
        accelerator = Accelerator(cpu=device == "cpu")
        done = train(
            model, training, LoopSettings(**self._loop), home, seed=self.seed, accelerator=accelerator, identity=vars(self),
            progress=no_progress,
        )  # fmt: skip
        counts = torch.bincount(training.labels, minlength=training.num_classes)
        save_network(home / "model", model.networks["decoder"], model.prior(counts / counts.sum()), {"model": self.model})
        if "encoder" in model.networks:
            save_network(home / "model" / "encoder", model.networks["encoder"], None, {"model": self.model})
        return done.last_losses

    def _conditional(self, data: LabelledImages) -> ConditionalTraining:
        """Untrained networks; without labels z_u has the length of the whole code."""
        labelled, encodes, adversarial = CONDITIONAL[self.model]
        side, channels = square_images(data)
        k = data.num_classes if labelled else 0
        style_dim = self.style_dim if labelled else self.label_dim + self.style_dim
        encoder = Zheng2019Encoder(2 * style_dim, side, channels, self.width, num_classes=k) if encodes else None
        discriminator = Zheng2019Discriminator(k, side, channels, self.width) if adversarial else None
        return ConditionalTraining(
            channels_last(Zheng2019Decoder(k + style_dim, side, channels, self.width)),
            style_dim,
            k,
            None if encoder is None else channels_last(encoder),
            None if discriminator is None else channels_last(discriminator),
            weights=LabelSplitWeights(**_WEIGHTS),
            learning_rate=self.learning_rate,
            betas=_BETAS,
        )
