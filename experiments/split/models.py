"""The models of `python -m experiments split`: label splits by recipe, and conditional models of the same networks.

All see the same batches of the same data for as many iterations, with networks of one width, codes of one length, and Adam
at one learning rate. A recipe is what a label split changes in the paper's settings and weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from experiments.framework.cell import Cell, Place, Row, no_progress
from experiments.framework.timing import seconds_of_passes
from latentry.data.sources import load_dataset
from latentry.models.conditional import ConditionalModel, fit_conditional
from latentry.models.generative import GenerativeModel
from latentry.models.label_split import LabelSplit
from latentry.models.label_split_fitting import fit_label_split
from latentry.models.saving import load_model, save_model
from latentry.models.settings import ConditionalSettings, LabelSplitSettings, LabelSplitWeights
from latentry.priors import NormalMixture
from latentry.storage import read_json, write_json

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

    of: LabelSplit | ConditionalModel

    @property
    def prior(self) -> NormalMixture:
        """Distribution of whole codes."""
        return self.of.prior

    @property
    def label_dim(self) -> int:
        """Length of the part of a code that names the label; 0 without labels."""
        return self.of.label_dim

    @property
    def split(self) -> LabelSplit | None:
        """The label split, if it is one."""
        return self.of if isinstance(self.of, LabelSplit) else None

    @property
    def encodes(self) -> bool:
        """Whether there are codes of data."""
        return isinstance(self.of, LabelSplit) or self.of.encoder is not None

    def before_flow(self) -> "Model":
        """The same model with z_u as its encoder gives it."""
        return Model(self.of.before_flow()) if isinstance(self.of, LabelSplit) else self

    def decode(self, z: Tensor) -> Tensor:
        """Data of codes."""
        return self.of.decode(z)

    def posterior(self, x: Tensor, y: Tensor) -> Distribution:
        """Posteriors of whole codes; conditional models are given the labels."""
        return self.of.encode(x) if isinstance(self.of, LabelSplit) else self.of.encode(x, y)

    def posterior_mean(self, x: Tensor, y: Tensor) -> Tensor:
        """Their means."""
        return self.posterior(x, y).mean

    def draws(self, x: Tensor, y: Tensor, count: int, rng: torch.Generator) -> Tensor:
        """So many draws `(count, n, d)` from them, for one pass of the encoders."""
        whole: Any = self.posterior(x, y)
        return torch.stack([whole.sample(rng=rng) for _ in range(count)])


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
            data = load_dataset(self.data).split("train")
            given: dict[str, Any] = {"device": place.device, "rng": self.seed, "progress": no_progress, "checkpoint": home}
            fitted: Any = (
                fit_label_split(data, self.split_settings, **given)
                if self.model in SPLITS
                else fit_conditional(data, self.conditional_settings, **given)
            )
            save_model(home / "model", fitted.model, {"model": self.model})
            (losses,) = fitted.losses.values()
            write_json(home / RESULTS, {"model": {"losses": losses}})
        found: dict[str, Any] = read_json(home / RESULTS)
        return found

    def load(self, place: Place, *, flow: bool = True) -> Model:
        """The trained model, on the device of the place; a label split without its flow for `flow=False`."""
        found = load_model(place.home(self.name) / "model", GenerativeModel).to(place.device)
        if isinstance(found, LabelSplit):
            return Model(found if flow else found.before_flow())
        assert isinstance(found.prior, NormalMixture), "conditional models have such a prior"
        return Model(found if isinstance(found, ConditionalModel) else ConditionalModel(found.generator, found.prior))

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

    @property
    def conditional_settings(self) -> ConditionalSettings:
        """What a conditional model is trained with; without labels z_u has the length of the whole code."""
        labels, vae, gan = CONDITIONAL[self.model]
        return ConditionalSettings(
            labels=labels, vae=vae, gan=gan, style_dim=self.style_dim if labels else self.label_dim + self.style_dim,
            width=self.width, weights=LabelSplitWeights(**_WEIGHTS), learning_rate=self.learning_rate, betas=_BETAS,
            **self._loop,
        )  # fmt: skip
