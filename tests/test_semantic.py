"""Semantic models: losses against torch's densities, features where they were placed, reverses that were never shown."""

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.accelerator import Accelerator
from torch import nn
from torch.distributions import Normal
from torch.testing import assert_close

from latentry.models.saving import load_model, model_kind, save_model
from latentry.models.semantic import SemanticModel
from latentry.models.semantic_training import (
    SemanticGANTraining,
    SemanticVAETraining,
    code_error,
    levels_error,
    reconstruction_error,
)
from latentry.models.settings import SemanticGANSettings, SemanticVAESettings
from latentry.networks import Perceptron, Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder
from latentry.priors import DiagonalNormal, NormalMixture, SemanticPlacement
from latentry.training.loop import optimizer_update, train
from latentry.training.settings import LoopSettings

D, X = 4, 6
PLACED = SemanticPlacement(["long", "red", "blue"], D, exclusive=["red", "blue"], separation=4.0)


class Toys:
    """Vectors with a length along the first axis, at 0 or 2, a colour along the second, and noise along all."""

    def __init__(self, n: int = 600) -> None:
        rng = torch.Generator().manual_seed(0)
        y = torch.randint(0, 4, (n,), generator=rng)
        self.a = torch.stack([y // 2, 1 - y % 2, y % 2], 1).float()
        self.x = 0.3 * torch.randn(n, X, generator=rng)
        self.x[:, 0] += 2 * self.a[:, 0]
        self.x[:, 1] += 2 * self.a[:, 1] - 2 * self.a[:, 2]

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[rows], self.a[rows]


def test_errors_are_negative_log_densities_but_for_constants() -> None:
    z, mean, log_variance = torch.randn(3, 5, D, dtype=torch.float64)
    scale = (log_variance / 2).exp()
    constant = D / 2 * torch.log(torch.tensor(2 * torch.pi))
    exact = -Normal(mean, scale).log_prob(z).sum(1)
    assert_close(code_error(z, DiagonalNormal(mean, scale)) + constant, exact, check_dtype=False)
    moved, about = PLACED.double().moved(z, "long", 0.5), DiagonalNormal(z, torch.ones_like(z))
    assert_close(levels_error(moved, about, PLACED), torch.full((5,), 0.5 * 2.0**2, dtype=torch.float64))
    style = torch.eye(D, dtype=torch.float64)[3]
    assert_close(levels_error(z + style, about, PLACED), torch.zeros(5, dtype=torch.float64))
    PLACED.float()
    x, x_hat = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    there, at_zero = (Normal(x_hat, 0.7).log_prob(data).flatten(1).sum(1) for data in (x, x_hat))
    assert_close(reconstruction_error(x, x_hat, 0.7), at_zero - there)


def vae(**more: Any) -> SemanticVAETraining:
    torch.manual_seed(0)
    toys = PLACED.observed(Toys().a)
    return SemanticVAETraining(
        Perceptron(X, 2 * D, (32,)),
        Perceptron(D, X, (32,)),
        toys,
        SemanticVAESettings(**{"deviation": 0.3, "warm_up": 0, "learning_rate": 5e-3, **more}),
    )


def gan(first: SemanticVAETraining, **more: Any) -> SemanticGANTraining:
    torch.manual_seed(1)
    parts = first.networks
    settings = SemanticGANSettings(**{"ema": 0.9, **more})
    scorer = Scorer(3 if settings.discriminator_sees == "levels" else 0)
    return SemanticGANTraining(parts["decoder"], scorer, parts["encoder"], first.placement, settings)


class Scorer(nn.Module):
    """Vectors, with levels or without, to one score."""

    def __init__(self, told: int) -> None:
        super().__init__()
        self.layers = Perceptron(X + told, 1, (16,))

    def forward(self, x: torch.Tensor, *a: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([x, *a], 1))[:, 0]


def trained(model: Any, folder: Path, steps: int) -> None:
    loop = LoopSettings(steps, 50, checkpoint_every=steps)
    train(model, Toys(), loop, folder, seed=0, accelerator=Accelerator(cpu=True), identity={}, progress=max)


def learned(model: Any, name: str) -> SemanticModel:
    return SemanticModel(model.networks[name], model.placement, model.networks["encoder"])


def test_features_are_where_they_were_placed_and_their_reverse_is_beyond_neutral(tmp_path: Path) -> None:
    first = vae(warm_up=100)
    trained(first, tmp_path / "vae", 500)
    second = gan(first)
    trained(second, tmp_path / "gan", 100)
    toys = Toys()
    for model in (learned(first, "decoder"), learned(second, "generator")):
        levels = model.prior.levels(model.encode(toys.x).mean)
        assert (levels.round() == toys.a).double().mean() > 0.9
        z = model.prior.at(model.prior.named({"red": 1})).sample(200, rng=torch.Generator().manual_seed(1))
        neutral, present, turned = (model.decode(model.prior.moved(z, "long", by)) for by in (0, 1, -1))
        assert abs(neutral[:, 0].mean()) < 0.3
        assert 1.5 < present[:, 0].mean() < 2.5
        assert (turned[:, 0] < neutral[:, 0]).double().mean() > 0.95  # no such datum was seen
        assert (neutral[:, 1] > 0).double().mean() > 0.99
        assert ((turned - neutral)[:, 2:].abs().mean() < 0.3 * (turned - neutral)[:, 0].abs().mean()).item()


def test_the_divergence_gains_its_weight_by_and_by(tmp_path: Path) -> None:
    """With a weight near 0 nothing draws posteriors to their place; with a full one they go there."""
    slow, quick = vae(warm_up=10**6), vae()
    trained(slow, tmp_path / "slow", 100)
    trained(quick, tmp_path / "quick", 100)
    toys = Toys()
    missed = []
    for model in (slow, quick):
        levels = model.placement.levels(learned(model, "decoder").encode(toys.x).mean)
        missed.append((levels - toys.a).square().mean().item())
    assert missed[1] < 0.25 * missed[0]


def test_unknown_levels_teach_too(tmp_path: Path) -> None:
    first = vae()
    a = Toys().a
    a[::2] = torch.nan
    rng = torch.Generator().manual_seed(0)
    shown = first.step((Toys().x[:50], a[:50]), rng, optimizer_update(first.optimizers))
    assert all(value.isfinite() for value in shown.values())


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"discriminator_sees": "images", "consistency": "distribution", "objective": "hinge", "r1": 0.0},
        {"reversed_share": 0.5, "r1_every": 2, "consistency": "levels"},
        {"train_encoder": True},
        {"consistency_weight": 0.0},
    ],
)
def test_the_second_stage_moves_what_it_should(more: dict[str, Any], rng: torch.Generator) -> None:
    model = gan(vae(), **more)
    before = {name: [p.clone() for p in network.parameters()] for name, network in model.networks.items()}
    for _ in range(2):
        shown = model.step((Toys().x[:40], Toys().a[:40]), rng, optimizer_update(model.optimizers))
    moved = {
        name
        for name, network in model.networks.items()
        if any(not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True))
    }
    assert moved == {"generator", "discriminator"} | ({"encoder"} if more.get("train_encoder") else set())
    assert ("consistency" in shown) == (more.get("consistency_weight") != 0.0)
    assert all(value.isfinite() for value in shown.values())


def test_turned_levels_are_reverses_of_what_is_not_exclusive(rng: torch.Generator) -> None:
    model = gan(vae(), reversed_share=1.0)
    a = torch.tensor([[1.0, 0.0, 1.0]]).expand(400, -1)
    turned = model._turned(a, rng)
    assert_close(turned[:, 1:], a[:, 1:])
    assert 120 < (turned[:, 0] == -1).sum() < 280
    assert (turned[:, 0].abs() == 1).all()
    assert_close(gan(vae(), reversed_share=1.0, turned=())._turned(a, rng), a)


@pytest.mark.parametrize(("name", "message"), [("red", "one of which is always there"), ("lnog", "did you mean 'long'")])
def test_features_that_cannot_be_turned_are_named(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gan(vae(), turned=(name,))


def test_a_discriminator_takes_levels_as_it_takes_labels() -> None:
    torch.manual_seed(0)
    network = Zheng2019Discriminator(3, width=1).eval()
    x, y = torch.randn(4, 1, 28, 28), torch.tensor([0, 2, 1, 2])
    one_hot = torch.nn.functional.one_hot(y, 3).float()
    assert_close(network(x, one_hot), network(x, y))
    zero = network(x, torch.zeros(4, 3))
    assert_close(network(x, 2 * one_hot) - zero, 2 * (network(x, y) - zero))


def test_a_model_is_kept_and_serves_as_a_generator(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SemanticModel(Zheng2019Decoder(D, width=1).eval(), PLACED, Zheng2019Encoder(2 * D, width=1).eval())
    save_model(tmp_path, model, {"seed": 0})
    assert model_kind(tmp_path) is SemanticModel
    again = load_model(tmp_path, SemanticModel)
    x = torch.randn(3, 1, 28, 28)
    assert_close(again.decode(again.encode(x).mean), model.decode(model.encode(x).mean))
    assert again.prior.features == PLACED.features
    assert isinstance(again.prior, NormalMixture)
    with pytest.raises(ValueError, match="expected a semantic model, but digits-generator is a generator"):
        load_model("digits-generator", SemanticModel)


@pytest.mark.parametrize("wrong", [{"consistency_weight": -1.0}, {"reversed_share": 1.5}, {"r1_every": 0}])
def test_numbers_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        gan(vae(), **wrong)
    with pytest.raises(ValueError, match="deviation > 0"):
        SemanticVAETraining(Perceptron(X, 2 * D, ()), Perceptron(D, X, ()), PLACED, SemanticVAESettings(deviation=0.0))
