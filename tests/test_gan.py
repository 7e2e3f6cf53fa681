"""The games at known scores, R1 of a line, and who moves when: one step on toys small enough to know by heart."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.models.gan import GANTraining, Objective, discriminator_loss, generator_loss, r1_penalty
from latentry.models.settings import GANSettings
from latentry.networks import DCGANDiscriminator, DCGANGenerator
from latentry.priors import Normal
from latentry.training.loop import Update, optimizer_update, train
from latentry.training.settings import LoopSettings

OBJECTIVES: list[Objective] = ["non-saturating", "hinge", "least-squares"]


def linear_scores(features: int = 4) -> nn.Module:
    """D(x) = <w, x> + b."""
    return nn.Sequential(nn.Linear(features, 1), nn.Flatten(0))


def linear_gan(**settings: Any) -> GANTraining:
    return GANTraining(nn.Linear(2, 4), linear_scores(), Normal(2), GANSettings(**{"r1_every": 1, **settings}))


def snapshot(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def moved(network: nn.Module, before: list[Tensor]) -> bool:
    return any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("objective", "real", "generated", "expected"),
    [
        ("non-saturating", 0.0, 0.0, 2 * math.log(2)),
        ("non-saturating", math.log(3), math.log(3), math.log(4 / 3) + math.log(4)),
        ("non-saturating", 200.0, -200.0, 0.0),
        ("non-saturating", -200.0, 200.0, 400.0),
        ("hinge", 0.0, 0.0, 2.0),
        ("hinge", 1.0, -1.0, 0.0),
        ("hinge", 7.0, -0.5, 0.5),
        ("hinge", -2.0, 3.0, 7.0),
        ("least-squares", 0.0, 0.0, 0.5),
        ("least-squares", 1.0, 0.0, 0.0),
        ("least-squares", 3.0, 2.0, 4.0),
    ],
)
def test_the_discriminator_loss_at_known_scores(
    objective: Objective, real: float, generated: float, expected: float
) -> None:
    assert_close(discriminator_loss(torch.full((3,), real), torch.full((5,), generated), objective).item(), expected)


@pytest.mark.parametrize(
    ("objective", "generated", "expected"),
    [
        ("non-saturating", 0.0, math.log(2)),
        ("non-saturating", -200.0, 200.0),
        ("non-saturating", math.log(3), math.log(4 / 3)),
        ("hinge", 0.0, 0.0),
        ("hinge", 2.5, -2.5),
        ("least-squares", 0.0, 0.5),
        ("least-squares", 1.0, 0.0),
        ("least-squares", 3.0, 2.0),
    ],
)
def test_the_generator_loss_at_known_scores(objective: Objective, generated: float, expected: float) -> None:
    assert_close(generator_loss(torch.full((3,), generated), objective).item(), expected)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_are_means_and_push_scores_apart_and_together(objective: Objective) -> None:
    real, generated = (torch.tensor([-0.5, 0.5], requires_grad=True) for _ in range(2))
    apart = discriminator_loss(real, generated, objective)
    parts = [discriminator_loss(real[i : i + 1], generated[i : i + 1], objective) for i in range(2)]
    assert_close(apart, torch.stack(parts).mean())
    up, down = torch.autograd.grad(discriminator_loss(real[:1], generated[1:], objective), [real, generated])
    assert up[0] < 0 < down[1]
    (together,) = torch.autograd.grad(generator_loss(generated, objective), generated)
    assert (together < 0).all()


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)])
def test_r1_of_a_linear_discriminator_is_its_squared_weight(shape: tuple[int, ...]) -> None:
    x = torch.randn(7, *shape, requires_grad=True)
    weight = torch.tensor([1.0, -2.0, 3.0, 0.5], requires_grad=True)
    penalty = r1_penalty(x.flatten(1) @ weight + 9, x)
    assert penalty.item() == 14.25
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert_close(gradient, 2 * weight.detach())


def test_r1_of_half_the_squared_norm_is_the_mean_squared_norm() -> None:
    x = torch.randn(7, 4, requires_grad=True)
    assert_close(r1_penalty(x.square().sum(1) / 2, x), x.detach().square().sum(1).mean())


class Pictures:
    """Noise in the form of pictures, with labels that nobody reads."""

    def __len__(self) -> int:
        return 8

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(sum(indices))
        return torch.randn(len(indices), 1, 28, 28, generator=rng), torch.zeros(len(indices))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_update_moves_the_parameters_of_its_own_network_alone(objective: Objective, tmp_path: Path) -> None:
    gan = GANTraining(
        DCGANGenerator(2, width=1),
        DCGANDiscriminator(width=1),
        Normal(2),
        GANSettings(objective=objective, r1=1.0, r1_every=1),
    )
    before = {name: snapshot(network) for name, network in gan.networks.items()}
    order: list[str] = []
    play = gan.step

    def watched(batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        def watch(losses: Mapping[str, Tensor]) -> None:
            update(losses)
            (name,) = losses
            order.append(name)
            for other, network in gan.networks.items():
                assert moved(network, before[other]) == (other == name)
                before[other] = snapshot(network)

        return play(batch, rng, watch)

    gan.step = watched
    train(
        gan,
        Pictures(),
        LoopSettings(steps=2, batch_size=4),
        tmp_path,
        seed=1,
        accelerator=Accelerator(cpu=True),
        identity={},
    )
    assert order == ["discriminator", "generator"] * 2


def test_a_step_shows_the_losses_of_the_game_it_played(rng: torch.Generator) -> None:
    gan = linear_gan(generator_learning_rate=0.0, discriminator_learning_rate=0.0)
    x = torch.randn(16, 4)
    shown = gan.step((x, torch.zeros(16)), torch.Generator().manual_seed(3), optimizer_update(gan.optimizers))
    z = torch.randn(16, 2, generator=torch.Generator().manual_seed(3))
    generator, discriminator = gan.networks.values()
    fake = discriminator(generator(z))
    assert_close(shown["discriminator"], discriminator_loss(discriminator(x), fake, "non-saturating"))
    assert_close(shown["generator"], generator_loss(fake, "non-saturating"))
    assert shown["r1"] == 0


@pytest.mark.parametrize("every", [1, 3])
def test_lazy_r1_comes_every_so_often_with_as_much_more_weight(every: int, rng: torch.Generator) -> None:
    gan = linear_gan(r1=4.0, r1_every=every, generator_learning_rate=0.0, discriminator_learning_rate=0.0)
    squared = gan.networks["discriminator"][0].weight.detach().square().sum()
    penalties: list[Tensor] = []

    for _ in range(6):
        charged: dict[str, Tensor] = {}

        def update(losses: Mapping[str, Tensor], charged: dict[str, Tensor] = charged) -> None:
            optimizer_update(gan.optimizers)(losses)  # the optimiser keeps the turn
            charged.update(losses)

        shown = gan.step((torch.randn(4, 4), torch.zeros(4)), rng, update)
        penalties.append((charged["discriminator"] - shown["discriminator"]).detach())

    turn = torch.tensor([4.0 / 2 * every] + [0.0] * (every - 1)).repeat(6 // every)
    assert_close(torch.stack(penalties), turn * squared, rtol=1e-5, atol=1e-6)
    assert_close(torch.stack(penalties).mean(), 2 * squared, rtol=1e-5, atol=1e-6)  # gamma / 2 on average, however lazy


def test_without_r1_the_data_need_no_gradient(rng: torch.Generator) -> None:
    x = torch.randn(4, 4)
    gan = linear_gan()
    gan.step((x, torch.zeros(4)), rng, optimizer_update(gan.optimizers))
    assert not x.requires_grad


@pytest.mark.parametrize("codes", [100, 256, 1024])
def test_the_averaged_generator_is_in_eval_mode_with_the_statistics_of_the_prior(codes: int) -> None:
    prior = Normal(3, loc=5.0, scale=2.0)
    gan = GANTraining(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4)), linear_scores(), prior)
    for _ in range(3):
        gan.networks["generator"](torch.randn(8, 3) * 100)  # what training left behind
        gan.averages["generator"].update_parameters(gan.networks["generator"])

    average = gan.averaged_generator(torch.Generator().manual_seed(4), codes)
    rng = torch.Generator().manual_seed(4)
    batches = torch.stack([prior.sample(256, rng=rng) for _ in range(max(1, codes // 256))])
    assert not any(part.training for part in average.modules())
    assert_close(average[0].running_mean, batches.mean((0, 1)))
    assert_close(average[0].running_var, batches.var(1).mean(0))
    assert gan.networks["generator"].training


def test_the_averaged_generator_has_the_averaged_weights() -> None:
    gan = linear_gan(ema=0.0)
    gan.averages["generator"].update_parameters(gan.networks["generator"])
    nn.init.zeros_(gan.networks["generator"].weight)
    before = gan.averages["generator"].module.weight.clone()
    assert torch.equal(gan.averaged_generator(torch.Generator()).weight, before)
    assert before.abs().sum() > 0


@pytest.mark.parametrize("settings", [{"r1": -1.0}, {"r1_every": 0}])
def test_impossible_weights_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="r1 >= 0 and r1_every >= 1"):
        linear_gan(**settings)
    with pytest.raises(ValueError, match=r"decay in \[0, 1\)"):
        linear_gan(ema=1.0)
