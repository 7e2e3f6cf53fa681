"""Folded networks give what they gave, from fewer operations."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.recovery import recover_codes
from latentry.latent.solvers.adam import Adam
from latentry.networks import DCGANGenerator, folded
from latentry.priors import Normal


def seasoned(network: nn.Module, rng: torch.Generator) -> nn.Module:
    """In eval mode, with statistics and affine maps as after a training."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            for values in (part.running_mean, part.bias, part.weight):
                values.data.normal_(generator=rng)
            part.running_var.uniform_(0.2, 3, generator=rng)
    return network.eval()


def normalisations(network: nn.Module) -> int:
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())


CHAINS = {
    "convolution": (nn.Sequential(nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU()), (2, 6, 6)),
    "grouped convolution": (nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8)), (4, 6, 6)),
    "transposed convolution": (nn.Sequential(nn.ConvTranspose1d(2, 5, 4, stride=2), nn.BatchNorm1d(5)), (2, 6)),
    "linear layer": (nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)), (6,)),
    "nested chains": (nn.Sequential(nn.Sequential(nn.Conv3d(1, 3, 2), nn.BatchNorm3d(3)), nn.ELU()), (1, 4, 4, 4)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_folded_chain_gives_the_same_without_normalisation(name: str, rng: torch.Generator) -> None:
    chain, shape = CHAINS[name]
    network = seasoned(chain, rng)
    x = torch.randn(3, *shape, generator=rng)
    quick = folded(network)
    assert normalisations(quick) == 0 < normalisations(network)
    assert_close(quick(x), network(x), rtol=1e-4, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in quick.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_cannot_be_folded_stays() -> None:
    hooked = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    hooked[0].register_forward_hook(lambda *_: None)
    others = [
        hooked,
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)),
        nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 2, 3)), nn.BatchNorm2d(2)),
        nn.Sequential(nn.ConvTranspose2d(2, 4, 3, groups=2), nn.BatchNorm2d(4)),
        nn.Linear(2, 2),
    ]
    for network in others:
        assert folded(network) is network


def test_recovery_works_on_the_folded_generator_and_shows_what_the_generator_itself_makes(rng: torch.Generator) -> None:
    seen: list[int] = []

    class Watched(DCGANGenerator):
        def forward(self, z: Tensor) -> Tensor:
            seen.append(normalisations(self))
            return super().forward(z)

    generator = seasoned(Watched(4, width=2), rng)
    x = generator(torch.randn(2, 4, generator=rng)).detach()
    found = recover_codes(generator, x, Normal(4), solver=Adam(steps=3), restarts=1, rng=rng)
    assert seen[-1] == 3  # the images
    assert seen.count(1) >= 3  # the steps; after the first linear layer comes a change of shape
    assert_close(found.x_hat, generator(found.z), rtol=0, atol=0)


@pytest.mark.parametrize("part", ["chain", "network"])
def test_what_its_own_train_keeps_in_training_mode_is_not_folded(part: str) -> None:
    class Chain(nn.Sequential):
        def train(self, mode: bool = True) -> "Chain":
            return self

    chain = Chain(nn.Linear(3, 5), nn.BatchNorm1d(5))
    network = chain if part == "chain" else nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), chain)
    quick = folded(network)
    assert normalisations(quick) == 1  # that of the chain alone


class Wrong(nn.Sequential):
    """Passes its normalisation by, so that folding changes what it gives."""

    def forward(self, z: Tensor) -> Tensor:
        return self[0](z)


def test_recovery_keeps_to_a_generator_that_folding_would_change(rng: torch.Generator) -> None:
    generator = seasoned(Wrong(nn.Linear(3, 8).double(), nn.BatchNorm1d(8).double()), rng)
    z = torch.randn(4, 3, dtype=torch.float64, generator=rng)
    assert not torch.allclose(folded(generator)(z), generator(z))
    found = recover_codes(generator, generator(z).detach(), Normal(3).double(), rng=rng)
    assert_close(found.z, z, rtol=0, atol=1e-5)


def test_recovery_takes_a_method_of_a_module_that_folds(rng: torch.Generator) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8))

        def decode(self, z: Tensor) -> Tensor:
            return self.body(z)

    model = seasoned(Model(), rng).double()
    z = torch.randn(4, 3, dtype=torch.float64, generator=rng)
    found = recover_codes(model.decode, model.decode(z).detach(), Normal(3).double(), rng=rng)
    assert_close(found.z, z, rtol=0, atol=1e-5)
