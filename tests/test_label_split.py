"""The label split: who learns what from what, what is shared, and what the parts of a code do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.accelerator import Accelerator
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.evaluation.codes import goodness_of_fit
from latentry.holding import require_generator
from latentry.interfaces import LabelledPrior
from latentry.latent.recovery import recover_codes
from latentry.models.label_split import LabelSplit
from latentry.models.label_split_training import LabelSplitTraining
from latentry.models.saving import load_model, save_model
from latentry.models.settings import LabelSplitSettings, LabelSplitWeights
from latentry.networks import Perceptron
from latentry.priors import NormalMixture, TrainedMixture, combine
from latentry.training.loop import optimizer_update, train
from latentry.training.settings import LoopSettings

K, S, U, M = 3, 2, 4, 5
"""Classes, coordinates of z_s and of z_u, numbers of a datum."""


class Discriminator(nn.Module):
    """A discriminator of vectors with labels."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.label = Perceptron(M, 1, (6,), 0.2), nn.Embedding(K, M)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.score(x)[:, 0] + (self.label(y) * x).sum(1)


def training(*, gan: bool = False, stochastic: bool = False, precision_every: int = 0, **more: Any) -> LabelSplitTraining:
    return LabelSplitTraining(
        Perceptron(M, 2 * S if stochastic else S, (8,)),
        Perceptron(M, 2 * U, (8,)),
        Perceptron(S + U, M, (8,)),
        TrainedMixture(K, S),
        Perceptron(U, K, (8,)),
        Discriminator() if gan else None,
        LabelSplitSettings(style_dim=U, stochastic=stochastic, **more),
        precision_every=precision_every,
    )


def batch(rng: torch.Generator, n: int = 12) -> tuple[Tensor, Tensor]:
    y = torch.arange(n) % K
    return torch.randn(n, M, generator=rng) + 4 * nn.functional.one_hot(y, M), y


def dependences(model: LabelSplitTraining, rng: torch.Generator) -> list[dict[str, set[str]]]:
    """For each update the networks that the loss of each optimiser depends on, among those it moves."""
    found: list[dict[str, set[str]]] = []

    def watch(losses: Mapping[str, Tensor]) -> None:
        seen = {}
        for name, loss in losses.items():
            moved = {
                network: [p for p in module.parameters() if any(p is q for q in parameters(model.optimizers[name]))]
                for network, module in model.networks.items()
            }
            seen[name] = {
                network
                for network, own in moved.items()
                if own and any(g is not None for g in torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True))
            }
        found.append(seen)
        optimizer_update(model.optimizers)(losses)

    model.step(batch(rng), rng, watch)
    return found


def parameters(optimizer: Any) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def test_each_iteration_follows_the_table_of_the_paper(rng: torch.Generator) -> None:
    placed = {"placement": {"label-encoder", "mixture"}, "precision": {"mixture"}}
    last = {name: {name} for name in ("label-encoder", "style-encoder", "decoder")}
    own = [{"adversary": {"adversary"}}, {"discriminator": {"discriminator"}}]
    assert dependences(training(), rng) == [placed, placed, own[0], placed | last]
    assert dependences(training(gan=True), rng) == [placed, placed, *own, placed | last]


def gradients(model: LabelSplitTraining, name: str, rng: torch.Generator) -> list[Tensor]:
    """Of the last update of an optimiser, with nothing moved before."""
    found: dict[str, list[Tensor]] = {}

    def watch(losses: Mapping[str, Tensor]) -> None:
        if name in losses:
            found[name] = torch.autograd.grad(losses[name], parameters(model.optimizers[name]), retain_graph=True)

    model.step(batch(rng), rng, watch)
    return found[name]


def test_the_images_scores_teach_the_decoder_alone() -> None:
    """The encoders learn the same with a discriminator and without, the decoder does not."""
    torch.manual_seed(1)
    model = training(gan=True)
    for name, same in (("label-encoder", True), ("style-encoder", True), ("decoder", False)):
        with_it = gradients(model, name, torch.Generator().manual_seed(3))
        discriminator = model.networks.pop("discriminator")
        without = gradients(model, name, torch.Generator().manual_seed(3))
        model.networks["discriminator"] = discriminator
        assert all(torch.allclose(a, b) for a, b in zip(with_it, without, strict=True)) == same


def test_each_encoder_sees_the_batch_once_but_for_the_placements_before(rng: torch.Generator) -> None:
    for placements in (1, 3):
        model = training(gan=True, placements=placements, adversary_steps=2)
        calls: Counter[str] = Counter()
        for name, network in model.networks.items():
            network.register_forward_hook(lambda *_, name=name, calls=calls: calls.update([name]))
        model.step(batch(rng), rng, optimizer_update(model.optimizers))
        assert calls["label-encoder"] == placements
        assert calls["style-encoder"] == 1
        assert calls["decoder"] == 2  # a reconstruction and a sample


def test_what_is_weighed_by_nothing_is_left_out(rng: torch.Generator) -> None:
    model = training(weights=LabelSplitWeights(confusion=0.0, dependence=1.0))
    assert "adversary" not in {name for update in dependences(model, rng) for name in update}
    assert "dependence" in model.step(batch(rng), rng, lambda losses: None)


@pytest.mark.parametrize("stochastic", [False, True])
def test_blobs_are_told_apart_by_z_s_after_a_short_training(stochastic: bool, tmp_path: Path, rng: torch.Generator) -> None:
    class Blobs:
        def __len__(self) -> int:
            return 120

        def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
            return self.x[list(indices)], self.y[list(indices)]

        x, y = batch(rng, 120)

    model = training(stochastic=stochastic, learning_rate=1e-2, precision_every=50, adversary_sees="means")
    settings = LoopSettings(steps=100, batch_size=40)
    train(model, Blobs(), settings, tmp_path, seed=1, accelerator=Accelerator(cpu=True), identity={})
    split = model.split()
    z = split.encode(Blobs.x).mean
    assert (split.label_log_probs(z).argmax(1) == Blobs.y).float().mean() > 0.95
    assert (split.decode(z) - Blobs.x).square().mean() < 0.6 * Blobs.x.var(0).mean()
    assert model.networks["mixture"].precision.max() <= 100 * (1 + 1e-5)


def test_the_rate_of_the_precisions_falls_to_a_tenth_and_again(rng: torch.Generator) -> None:
    model = training(precision_every=2)
    update, rates = optimizer_update(model.optimizers), []
    group = model.optimizers["precision"].param_groups[0]
    for _ in range(6):
        group["lr"] = 1.0  # as the loop does before each iteration
        model.step(batch(rng), rng, update)
        rates.append(group["lr"])
    assert_close(torch.tensor(rates), torch.tensor([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]))


@pytest.fixture
def split() -> LabelSplit:
    prior = NormalMixture(torch.randn(K, S) * 3, torch.rand(K, S) + 0.5).beside_normal(U)
    return LabelSplit(Perceptron(S + U, M, (8,)), prior, Perceptron(M, S, (8,)), Perceptron(M, 2 * U, (8,)), S)


def test_draws_of_a_posterior_lie_about_its_mean(split: LabelSplit, rng: torch.Generator) -> None:
    x = batch(rng)[0]
    mean, log_variance = split.style_encoder(x).chunk(2, 1)
    draws = split.encode(x).sample(4000, rng=rng)[..., S:]
    assert_close(draws.mean(0), mean, atol=0.1, rtol=0)
    assert_close(draws.std(0), (0.5 * log_variance).exp(), atol=0.05, rtol=0.05)


def test_posterior_means_are_z_s_and_the_mean_of_z_u(split: LabelSplit, rng: torch.Generator) -> None:
    x = batch(rng)[0]
    z = split.encode(x, batch_size=5).mean
    assert_close(z[:, :S], split.label_encoder(x))
    assert_close(z[:, S:], split.style_encoder(x)[:, :U])
    assert_close(split.decode(z, batch_size=7), split.generator(z))


def test_swapping_twice_gives_the_codes_back(split: LabelSplit, rng: torch.Generator) -> None:
    a, b = (split.encode(batch(rng)[0]).sample(rng=rng) for _ in range(2))
    there, back = split.swapped(a, b), split.swapped(b, a)
    assert_close(split.label_log_probs(there), split.label_log_probs(a))
    assert_close(split.swapped(there, back), a)
    assert_close(split.swapped(back, there), b)


def test_a_relabelled_code_has_its_label_and_its_style(split: LabelSplit, rng: torch.Generator) -> None:
    z, y = split.encode(batch(rng)[0]).sample(rng=rng), torch.arange(12) % K
    moved = split.relabelled(z, y)
    assert_close(moved[:, S:], z[:, S:])
    assert_close(moved[:, :S], split.prior.loc[y, :S])


def test_the_prior_is_one_of_latentry(split: LabelSplit, rng: torch.Generator) -> None:
    """It samples, has a density, and is taken by goodness of fit, by paths and by recovery."""
    assert isinstance(split.prior, LabelledPrior)
    z = split.prior.sample(400, rng=rng)
    y = split.prior.sample_labels(z, rng=rng)
    assert goodness_of_fit(z, split.prior, y=y).passes
    assert_close(split.label_prior.label_log_probs(z[:, :S]), split.prior.label_log_probs(z))
    middle = combine(torch.stack([z[:3], z[3:6]]), [0.5, 0.5], split.prior, y=torch.stack([y[:3], y[3:6]]))
    assert split.prior.log_prob(middle).isfinite().all()
    decoder = split.generator.double()
    require_generator(decoder, z[:3].double())
    found = recover_codes(decoder, decoder(z[:4].double()).detach(), split.prior.double(), rng=rng)
    assert found.reconstruction_error.median() < 1e-6


def test_a_saved_split_comes_back_and_its_decoder_alone_is_a_generator(split: LabelSplit, tmp_path: Path) -> None:
    save_model(tmp_path, split, {"seed": 3})
    again = load_model(tmp_path)
    x = torch.randn(4, M)
    assert_close(again.encode(x).mean, split.encode(x).mean)
    assert_close(again.prior.loc, split.prior.loc)
    assert again.label_dim == S


def test_another_model_is_no_split(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a JSON file"):
        load_model(tmp_path)
    with pytest.raises(ValueError, match="expected a label split, but digits-generator is a generator with its prior"):
        load_model("digits-generator", LabelSplit)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"placements": 0}, "placements and adversary_steps >= 1"),
        ({"adversary_steps": 0}, "placements and adversary_steps >= 1"),
        ({"precision_epochs": -1.0}, "precision_epochs >= 0"),
    ],
)
def test_bad_numbers_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        training(**more)


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 0, got \{'margin': -1.0\}"):
        LabelSplitWeights(margin=-1.0)
