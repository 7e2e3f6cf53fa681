"""The conditional models beside the label split: what each has, who learns from what, and that they learn."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.models.conditional import ConditionalTraining
from latentry.networks import Perceptron, Zheng2019Encoder
from latentry.training.loop import optimizer_update

K, U, M = 3, 2, 5


class Encoder(nn.Module):
    """Vectors with labels to posteriors of codes."""

    def __init__(self) -> None:
        super().__init__()
        self.map = Perceptron(M + K, 2 * U, (8,))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.map(torch.cat([x, nn.functional.one_hot(y, K).to(x)], 1))


class Discriminator(nn.Module):
    """Vectors with labels to scores."""

    def __init__(self) -> None:
        super().__init__()
        self.map = Perceptron(M + K, 1, (8,), 0.2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.map(torch.cat([x, nn.functional.one_hot(y, K).to(x)], 1))[:, 0]


def model(kind: str, **more: Any) -> ConditionalTraining:
    torch.manual_seed(0)
    classes = 0 if kind == "vae" else K
    encoder = {"vae": Perceptron(M, 2 * U, (8,)), "cgan": None}.get(kind, Encoder())
    decoder = Perceptron(classes + U, M, (8,))
    discriminator = Discriminator() if "gan" in kind else None
    return ConditionalTraining(decoder, U, classes, encoder, discriminator, **more)


def batch(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.arange(24) % K
    return torch.randn(24, M, generator=rng) * 0.1 + 2 * nn.functional.one_hot(y, M), y


@pytest.mark.parametrize(
    ("kind", "updates"),
    [
        ("vae", [{"encoder", "decoder"}]),
        ("cvae", [{"encoder", "decoder"}]),
        ("cgan", [{"discriminator"}, {"decoder"}]),
        ("cvae-gan", [{"discriminator"}, {"encoder", "decoder"}]),
    ],
)
def test_each_has_its_updates(kind: str, updates: list[set[str]], rng: torch.Generator) -> None:
    trained = model(kind)
    found: list[set[str]] = []

    def watch(losses: Mapping[str, Tensor]) -> None:
        found.append(set(losses))
        optimizer_update(trained.optimizers)(losses)

    shown = trained.step(batch(rng), rng, watch)
    assert found == updates
    assert all(value.isfinite() for value in shown.values())


def test_scores_of_images_teach_the_decoder_alone() -> None:
    """The encoder's loss is the same with a discriminator and without."""
    kept: dict[str, Tensor] = {}
    for kind in ("cvae", "cvae-gan"):

        def watch(losses: Mapping[str, Tensor], kind: str = kind) -> None:
            if "encoder" in losses:
                kept[kind] = losses["encoder"].detach()

        model(kind).step(batch(torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2), watch)
    assert_close(kept["cvae"], kept["cvae-gan"])


@pytest.mark.parametrize("kind", ["cvae", "cgan", "cvae-gan"])
def test_samples_bear_their_label_after_a_short_training(kind: str, rng: torch.Generator) -> None:
    trained = model(kind, learning_rate=1e-2, betas=(0.5, 0.9))
    update = optimizer_update(trained.optimizers)
    for _ in range(300):
        trained.step(batch(rng), rng, update)
    y = torch.arange(60) % K
    with torch.no_grad():
        x = trained.networks["decoder"](trained.prior().sample((), y, rng=rng))
    assert (x[:, :K].argmax(1) == y).double().mean() > 0.9


def test_the_prior_names_the_label_or_has_none() -> None:
    assert model("vae").prior().loc.shape == (1, U)
    prior = model("cvae").prior(torch.tensor([0.2, 0.3, 0.5]))
    y = torch.arange(9) % K
    assert_close(prior.sample((), y)[:, :K].round(), nn.functional.one_hot(y, K).float())
    assert_close(prior.probs, torch.tensor([0.2, 0.3, 0.5]))


def test_what_cannot_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing would teach the decoder"):
        ConditionalTraining(Perceptron(U, M), U)
    with pytest.raises(ValueError, match="expected labels with a discriminator"):
        ConditionalTraining(Perceptron(U, M), U, discriminator=Discriminator())


def test_an_encoder_of_images_takes_labels_as_maps(rng: torch.Generator) -> None:
    encoder = Zheng2019Encoder(4, 28, 1, 2, num_classes=K, standardised=2)
    x = torch.randn(6, 1, 28, 28, generator=rng)
    a, b = (encoder(x, torch.full((6,), label)) for label in (0, 1))
    assert (a - b).abs().max() > 1e-3
    assert_close(a[:, :2].mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="expected labels with the images"):
        encoder(x)
