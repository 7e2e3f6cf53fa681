"""The moving average is the formula, and settled statistics are those of the inputs."""

import itertools

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from latentry.training.averaging import averaged_copy, settle_batch_norm


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.5, 0.999])
def test_the_average_is_a_warmed_up_exponential_mean(decay: float) -> None:
    network = nn.Linear(3, 2).double()
    average = averaged_copy(network, decay)
    kept = None
    for update in range(40):
        with torch.no_grad():
            network.weight.copy_(torch.randn(2, 3, dtype=torch.float64))
        average.update_parameters(network)
        keep = min(decay, (1 + update) / (10 + update))
        kept = network.weight.clone() if kept is None else keep * kept + (1 - keep) * network.weight
        assert_close(average.module.weight, kept, rtol=1e-6, atol=1e-7)


def test_the_average_of_a_constant_is_the_constant_bit_for_bit() -> None:
    network = nn.Linear(3, 2)
    average = averaged_copy(network, 0.9)
    for _ in range(20):
        average.update_parameters(network)
    assert torch.equal(average.module.weight, network.weight)


def test_the_average_shares_no_memory_with_the_network() -> None:
    network = nn.Linear(3, 2)
    average = averaged_copy(network, 0.9)
    before = average.module.weight.clone()
    nn.init.zeros_(network.weight)
    assert torch.equal(average.module.weight, before)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_outside_its_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"decay in \[0, 1\)"):
        averaged_copy(nn.Linear(1, 1), decay)


def test_settled_statistics_are_mean_and_variance_of_the_inputs() -> None:
    x = 3 + 2 * torch.randn(50, 4)
    network = nn.Sequential(nn.BatchNorm1d(4))
    network(100 * torch.randn(9, 4))  # stale statistics leave no trace
    settle_batch_norm(network, [x])
    assert_close(network[0].running_mean, x.mean(0))
    assert_close(network[0].running_var, x.var(0))


def test_statistics_of_several_batches_are_averaged_with_equal_weight() -> None:
    x = torch.randn(6, 10, 4) * torch.arange(1.0, 7.0)[:, None, None]
    network = nn.Sequential(nn.BatchNorm1d(4))
    settle_batch_norm(network, iter(x))
    assert_close(network[0].running_mean, x.mean(1).mean(0))
    assert_close(network[0].running_var, x.var(1).mean(0))


@pytest.mark.parametrize("training", [True, False])
def test_settling_changes_statistics_alone(training: bool) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=0.3)).train(training)
    parameters = [parameter.clone() for parameter in network.parameters()]
    settle_batch_norm(network, [torch.randn(8, 4)])
    assert network.training == network[1].training == training
    assert network[1].momentum == 0.3
    for before, after in itertools.zip_longest(parameters, network.parameters()):
        assert torch.equal(before, after)
        assert after.grad is None
