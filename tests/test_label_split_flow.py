"""After a label split is trained: labels taken from z_u, posteriors of codes brought to the prior, nothing lost."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from accelerate.accelerator import Accelerator
from torch.testing import assert_close

from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.probes import probe_held_out
from latentry.models.label_split import LabelSplit, LabelSplitPosterior
from latentry.models.label_split_flow import EncodedData, FlowTraining, behind_flow, refitted_prior
from latentry.models.posteriors import Delta
from latentry.models.saving import load_model, save_model
from latentry.networks import ConditionalFlow, Perceptron
from latentry.priors import DiagonalNormal, Normal, NormalMixture
from latentry.training.loop import train
from latentry.training.settings import LoopSettings

K, S, U = 3, 2, 2


def leaking_posteriors(n: int, seed: int) -> tuple[EncodedData, torch.Tensor]:
    """z_s that names the label, and z_u on an arc that turns with it."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % K
    z_s = torch.stack([3.0 * y, torch.randn(n, generator=rng)], 1)
    turn = y * 2 * torch.pi / K + torch.rand(n, generator=rng)
    z_u = 2 * torch.stack([turn.cos(), turn.sin()], 1)
    narrow = torch.full((n, 2), math.exp(-1.5))
    return EncodedData(DiagonalNormal(z_s, narrow), DiagonalNormal(z_u, narrow)), y


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> ConditionalFlow:
    torch.manual_seed(0)
    model = FlowTraining(leaking_posteriors(3000, 1)[0], 0.0, learning_rate=1e-2, transforms=2, common=1, hidden=(32, 32))
    folder = tmp_path_factory.mktemp("flow")
    settings = LoopSettings(400, 256, "cosine")
    train(model, leaking_posteriors(3000, 1)[0], settings, folder, seed=1, accelerator=Accelerator(cpu=True), identity={})
    found = model.networks["flow"]
    assert isinstance(found, ConditionalFlow)
    return found.eval()


def test_behind_the_flow_codes_are_normal_and_know_nothing_of_labels(flow: ConditionalFlow) -> None:
    rng = torch.Generator().manual_seed(5)
    before, after = [], []
    for seed, n in ((1, 3000), (2, 600), (3, 1500)):
        posteriors, y = leaking_posteriors(n, seed)
        z_s, z_u = posteriors.label.sample(rng=rng), posteriors.style.sample(rng=rng)
        before.append((z_u, y))
        with torch.no_grad():
            after.append((flow(z_u, z_s), y))
    assert probe_held_out(*before, rng=rng).accuracy.value > 0.8
    assert probe_held_out(*after, rng=rng).accuracy.low < 1 / K + 0.02
    assert goodness_of_fit(after[2][0], Normal(U)).statistic < 0.05


def displacement(price: float, folder: Path) -> float:
    """Of codes that are an ellipse whatever the label is: nothing but what is common has to move."""
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)
    z_s, z_u = (
        torch.randn(2000, S, generator=rng),
        torch.randn(2000, U, generator=rng) @ torch.tensor([[2.0, 1.0], [0.0, 0.3]]),
    )
    posteriors = EncodedData(Delta(z_s), DiagonalNormal(z_u, torch.full_like(z_u, 1e-6)))
    model = FlowTraining(posteriors, price, transforms=2, common=2, hidden=(16,))
    train(
        model, posteriors, LoopSettings(200, 256, "cosine"), folder, seed=1, accelerator=Accelerator(cpu=True), identity={}
    )
    flow = model.networks["flow"]
    assert isinstance(flow, ConditionalFlow)
    with torch.no_grad():
        w = flow(z_u, z_s)
        assert_close(flow.inverse(w, z_s), z_u, atol=1e-3, rtol=1e-3)
        assert abs(torch.corrcoef(w.T)[0, 1]) < 0.15  # normal in either case
        return flow.displaced(z_u, z_s)[1].mean().item()


def test_with_a_price_the_label_displaces_no_style_that_does_not_bear_it(tmp_path: Path) -> None:
    assert displacement(1.0, tmp_path / "dear") < 0.02
    assert displacement(0.0, tmp_path / "free") > 0.2


def test_a_negative_price_is_an_error() -> None:
    with pytest.raises(ValueError, match="price of displacements of 0 or more, got -1"):
        FlowTraining(leaking_posteriors(30, 1)[0], -1.0)


def split() -> LabelSplit:
    torch.manual_seed(3)
    prior = NormalMixture(torch.randn(K, S), torch.ones(K, S)).beside_normal(U)
    encoders = Perceptron(5, 2 * S, (8,)), Perceptron(5, 2 * U, (8,))
    return LabelSplit(Perceptron(S + U, 5, (8,)), prior, *encoders, S, 0.2)


def test_reconstructions_stay_as_they_are_and_so_does_z_s(flow: ConditionalFlow, tmp_path: Path) -> None:
    plain = split()
    moved = behind_flow(plain, flow)
    x = torch.randn(7, 5)
    assert_close(moved.decode(moved.encode(x).mean), plain.decode(plain.encode(x).mean), atol=1e-5, rtol=1e-4)
    z, w = (model.encode(x).sample(rng=torch.Generator().manual_seed(0)) for model in (plain, moved))
    assert_close(moved.decode(w), plain.decode(z), atol=1e-5, rtol=1e-4)
    assert_close(w[:, :S], z[:, :S])
    assert (w[:, S:] - z[:, S:]).abs().max() > 0.01
    save_model(tmp_path, moved, {})
    again = load_model(tmp_path)
    assert again.least_deviation == 0.2
    draws = (part.encode(x).sample(rng=torch.Generator().manual_seed(1)) for part in (again, moved))
    assert_close(*draws)


def test_the_density_of_a_posterior_behind_a_flow_is_that_of_moved_codes(flow: ConditionalFlow) -> None:
    """By Monte Carlo: the mean of p / q over draws of q is 1 for any density p, here one near q."""
    q = behind_flow(split(), flow).encode(torch.randn(1, 5))
    wide = LabelSplitPosterior(q.label, DiagonalNormal(q.style.loc, 0.8 * q.style.scale), flow)
    with torch.no_grad():
        z = q.sample(4000, rng=torch.Generator().manual_seed(0))
        ratio = (wide.log_prob(z) - q.log_prob(z)).exp()
    assert abs(ratio.mean() - 1) < 0.05


def test_posteriors_are_no_narrower_than_they_may_be() -> None:
    narrow = dataclasses.replace(split(), least_deviation=0.9)
    assert (narrow.encode(torch.randn(5, 5)).style.scale >= 0.9 - 1e-6).all()


def test_the_mixture_has_the_moments_of_the_codes() -> None:
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(30_000) % K
    mean = torch.randn(len(y), S, generator=rng) * torch.tensor([0.5, 2.0]) + y[:, None]
    prior = refitted_prior(DiagonalNormal(mean, torch.ones_like(mean)), y, torch.tensor([0.2, 0.3, 0.5]), U)
    assert_close(prior.loc[:, :S], torch.arange(3.0)[:, None].expand(-1, 2), atol=0.1, rtol=0)
    assert_close(prior.scale[:, :S], torch.tensor([1.25**0.5, 5**0.5]).expand(3, -1), atol=0.05, rtol=0)
    assert_close(prior.scale[:, S:], torch.ones(K, U))
    assert_close(prior.probs, torch.tensor([0.2, 0.3, 0.5]))


def test_a_class_of_one_has_no_deviation() -> None:
    with pytest.raises(ValueError, match=r"two data or more of each class, got \[2, 1\]"):
        refitted_prior(Delta(torch.randn(3, S)), torch.tensor([0, 0, 1]), torch.ones(2) / 2, U)
