"""Frozen while looked at, as before afterwards; and each way in which a callable is no generator has its name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from latentry.holding import evaluated, module_of, require_generator
from latentry.interfaces import FeatureExtractor, Generator, IndependentPrior
from latentry.networks import DCGANGenerator
from latentry.priors import Normal

Z = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))


def mixed_network() -> nn.Sequential:
    """Every part in another mode, every parameter with another flag."""
    network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5)), nn.Linear(4, 2))
    network[1].eval()
    network[1][1].train()
    network[0].weight.requires_grad_(False)
    network[2].bias.requires_grad_(False)
    return network


def flags(network: nn.Module) -> tuple[list[bool], list[bool]]:
    return [part.training for part in network.modules()], [p.requires_grad for p in network.parameters()]


def test_evaluated_freezes_every_part_and_gives_each_its_own_mode_back() -> None:
    network, other = mixed_network(), nn.Dropout()
    before = flags(network)
    with evaluated(network, other.forward, lambda z: z):
        assert flags(network) == ([False] * 6, [False] * 6)
        assert not other.training
    assert flags(network) == before
    assert other.training


def test_evaluated_gives_the_modes_back_after_an_exception() -> None:
    network = mixed_network()
    before = flags(network)
    with pytest.raises(KeyError, match="oops"), evaluated(network, network):
        raise KeyError("oops")
    assert flags(network) == before


def test_the_gradient_still_reaches_the_codes_of_a_frozen_generator() -> None:
    network, z = mixed_network(), Z.clone().requires_grad_()
    with evaluated(network):
        network(z).sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_module_behind_a_generator_is_itself_or_the_owner_of_the_method() -> None:
    network = nn.Linear(4, 2)
    assert module_of(network) is network
    assert module_of(network.forward) is network
    assert module_of(lambda z: network(z)) is None
    assert module_of(torch.sin) is None


def test_what_latentry_makes_keeps_its_own_promises() -> None:
    assert isinstance(DCGANGenerator(4, width=1), Generator)
    assert isinstance(torch.sin, FeatureExtractor)
    assert isinstance(Normal(4), IndependentPrior)
    assert not isinstance(3, Generator)


@pytest.mark.parametrize(
    "generator",
    [
        torch.sin,
        nn.Linear(4, 3),
        nn.Linear(4, 3).forward,
        lambda z: z[:, :, None, None] ** 2,
        DCGANGenerator(4, width=1).eval(),
    ],
    ids=["function", "module", "method", "lambda", "dcgan"],
)
def test_a_differentiable_function_of_each_code_is_a_generator(generator: Generator) -> None:
    require_generator(generator, Z)
    with torch.no_grad():
        require_generator(generator, Z)


def batch_norm_in_a_lambda() -> Callable[[Tensor], Tensor]:
    normalise = nn.BatchNorm1d(4)
    return lambda z: normalise(z)


def detached_before_a_module() -> Callable[[Tensor], Tensor]:
    paint = nn.Linear(4, 4)  # its parameters ask for a gradient, so its output does too
    return lambda z: paint(z.detach())


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (lambda z: dropout(z, 0.5, training=True), "deterministic generator"),
        (lambda z: z + 0.1 * torch.randn_like(z), "deterministic generator"),
        (batch_norm_in_a_lambda(), "change nothing when it is called"),
        (lambda z: z - z.mean(0), "depend on its own code"),
        (lambda z: z - z.std(0) if len(z) == len(Z) else z * torch.nan, "depend on its own code"),
        (lambda z: z.detach() ** 2, "differentiable generator"),
        (detached_before_a_module(), "differentiable generator"),
        (lambda z: (z > 0).float(), "differentiable generator"),
        (lambda z: z.log(), "finite data"),
        (lambda z: z / 0, "finite data"),
        (lambda z: z[1:], "6 rows for 6 codes"),
        (lambda z: z.sum(1), "6 rows for 6 codes"),
        (lambda z: z.flatten(), "6 rows for 6 codes"),
        (lambda z: (z, z), "one tensor, got tuple"),
        (lambda z: z.tolist(), "one tensor, got list"),
    ],
)
def test_each_defect_of_a_generator_is_named(generator: Generator, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_generator(generator, Z)


def test_the_trial_leaves_the_codes_untouched() -> None:
    z = Z.clone()
    require_generator(lambda codes: codes.mul(2), z)
    assert torch.equal(z, Z)
    assert not z.requires_grad
