"""The benchmark against peers: each method solves a linear problem within its budget, and tables put a peer's lead first."""

from dataclasses import replace

import pytest
import torch
from against_peers import Cell, row, tables
from peer_generators import KINDS, heart_beats
from peer_methods import CURVE, OURS, PEERS, Method, Task
from toy_generators import linear, random_matrix

from latentry.priors import Normal

BUDGET, D = 1800, 3


@pytest.fixture
def task(rng: torch.Generator) -> Task:
    matrix, prior = random_matrix(12, D, rng), Normal(D)
    z = prior.sample(2, rng=rng).double()
    return Task(linear(matrix), prior, z @ matrix.mT, prior.sample((2, 4), rng=rng).double())


# deepinv is left to the benchmark: its torchvision is imported beside torch for the CPU in a fresh process alone
@pytest.mark.parametrize("method", [one for one in (OURS, *PEERS, CURVE[1]) if one.key != "csgm"], ids=lambda one: one.key)
def test_a_method_makes_the_data_of_a_linear_generator_again_within_its_budget(method: Method, task: Task) -> None:
    if method.needs is not None:
        pytest.importorskip(method.needs)
    z, evaluations = method.find(task, BUDGET)
    assert z.shape == (2, D)
    assert (task.generator(z) - task.x).square().mean() < (0.01 if method.key == "basin-cma" else 1e-6)
    assert 0 < evaluations <= 1.1 * BUDGET


@pytest.mark.parametrize("method", [method for method in PEERS if method.needs is None], ids=lambda method: method.key)
def test_evaluations_of_a_peer_grow_with_its_budget(method: Method, task: Task) -> None:
    spent = [method.find(task, budget)[1] for budget in (60, 240)]
    assert spent[0] < spent[1]


@pytest.mark.parametrize("name", KINDS)
def test_encoder_and_decoder_of_each_kind_fit_each_other(name: str) -> None:
    encoder, decoder, latent_dim = KINDS[name].networks()
    x = decoder(torch.randn(2, latent_dim))
    assert encoder(x).shape == (2, 2 * latent_dim)


def test_heart_beats_are_alike_for_one_seed_and_differ_among_themselves() -> None:
    first, again = (heart_beats(5, torch.Generator().manual_seed(0)) for _ in range(2))
    assert first.shape == (5, 1, 128)
    assert torch.equal(first, again)
    assert first.std(0).max() > 0.05


def test_the_row_where_a_peer_is_most_ahead_comes_first() -> None:
    cell = Cell("vae", "held-out", PEERS[0], "equal")
    found = {"pixel_error": [1.0, 3.0], "evaluations": 10.0, "cpu_seconds": 1.0, "peak_mib": 1.0}
    worse, better = {**found, "pixel_error": [4.0]}, {**found, "pixel_error": [1.0]}
    rows = {
        cell: row({"ours": found, "peer": worse}) | {"count": 2},
        replace(cell, generator="signal"): row({"ours": found, "peer": better}) | {"count": 2},
    }
    assert [line[0] for line in tables(rows)[0].rows] == ["signal", "vae"]
