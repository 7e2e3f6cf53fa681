"""Operators of `deepinv.physics`: read as they are, without their noise, from data to the recovered code.

deepinv needs torchvision, whose published build cannot be imported beside the CPU build of torch. So its operators are met
twice: by a stand-in that has what they have, always; and by themselves, where deepinv is installed.
"""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.differences import Difference
from latentry.latent.measurements import Downsample, as_measurement, as_real
from latentry.latent.recovery import recover_codes
from latentry.priors import Normal

IMAGE = (1, 8, 8)

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


class Physics(nn.Module):
    """What an operator of deepinv has: A, the noise, the sensor, and all of them as its forward pass."""

    def __init__(self, measure: Any, sigma: float = 0.5) -> None:
        super().__init__()
        self.measure, self.sigma = measure, sigma

    def A(self, x: Tensor) -> Any:  # noqa: N802
        return self.measure(x)

    def noise(self, y: Tensor) -> Tensor:
        return y + self.sigma * torch.randn_like(y)

    def sensor(self, y: Any) -> Any:
        return y

    def forward(self, x: Tensor) -> Any:
        return self.sensor(self.noise(self.A(x)))


@pytest.fixture
def generator(rng: torch.Generator) -> nn.Module:
    first, second = nn.Linear(5, 20).double(), nn.Linear(20, 64).double()
    for part in (*first.parameters(), *second.parameters()):
        part.data = torch.randn(part.shape, generator=rng, dtype=torch.float64) / part.shape[-1] ** 0.5
    return nn.Sequential(first, nn.Tanh(), second, nn.Unflatten(1, IMAGE))


@pytest.fixture(scope="module")
def deepinv() -> Iterator[Any]:
    """deepinv with the part of torchvision that needs its compiled operators left out."""
    name = "torchvision._meta_registrations"
    before = sys.modules.get(name)
    sys.modules[name] = before or ModuleType(name)
    try:
        yield pytest.importorskip("deepinv")
    finally:
        if before is None:
            del sys.modules[name]


def recovered(generator: nn.Module, physics: Any, rng: torch.Generator) -> None:
    """Codes of known data come back from the measurements without noise."""
    z = torch.randn(6, 5, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        y = as_real(physics.A(generator(z)))
    found = recover_codes(generator, y, Normal(5), difference=Difference(operator=physics), rng=rng, progress=None)
    assert found.met.all()
    assert_close(found.z, z, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "measure",
    [Downsample(2), torch.fft.rfft2, lambda x: [x[..., :4], Downsample(2)(x)]],
    ids=["real", "complex", "stacked"],
)
def test_a_code_is_recovered_behind_an_operator_with_noise(generator: nn.Module, measure: Any, rng: torch.Generator) -> None:
    recovered(generator, Physics(measure), rng)


def test_the_noise_is_no_part_of_the_comparison(rng: torch.Generator) -> None:
    x = torch.randn(3, *IMAGE, generator=rng)
    physics = Physics(Downsample(2))
    assert torch.equal(as_measurement(physics)(x), Downsample(2)(x))
    assert torch.equal((as_measurement(physics) * Downsample(2))(x), Downsample(2)(Downsample(2)(x)))


def test_an_operator_that_draws_noise_is_refused(generator: nn.Module, rng: torch.Generator) -> None:
    with pytest.raises(ValueError, match="the same numbers at each call"):
        recover_codes(
            generator,
            torch.zeros(3, *IMAGE, dtype=torch.float64),
            Normal(5),
            difference=Difference(operator=lambda x: x + torch.randn_like(x)),
            rng=rng,
        )


@pytest.mark.parametrize("rows", [3, 4])
def test_an_operator_with_another_mask_for_each_datum_is_refused(
    generator: nn.Module, rows: int, rng: torch.Generator
) -> None:
    """Batches regroup while codes are sought, so row i of a mask would meet another datum."""
    masks = (torch.rand(rows, *IMAGE, generator=rng) > 0.5).double()
    with pytest.raises(
        ValueError, match=r"one mask or filter for all data|<lambda> to take a tensor of shape \(3, 1, 8, 8\)"
    ):
        recover_codes(
            generator,
            torch.zeros(rows, *IMAGE, dtype=torch.float64),
            Normal(5),
            difference=Difference(operator=lambda x: x * masks),
            rng=rng,
        )


def operators(physics: Any) -> dict[str, Any]:
    """Operators of deepinv for images of one channel and 8 by 8, each with noise."""
    noise, generator = physics.GaussianNoise(0.3), torch.Generator().manual_seed(0)
    kernel = torch.ones(1, 1, 3, 3) / 9
    return {
        "inpainting": physics.Inpainting(IMAGE, mask=0.6, noise_model=noise, rng=generator),
        "blur": physics.Blur(filter=kernel, padding="circular", noise_model=noise),
        "blur_fft": physics.BlurFFT(IMAGE, filter=kernel, noise_model=noise),
        "downsampling": physics.Downsampling(img_size=IMAGE, factor=2, filter=None, noise_model=noise),
        "compressed": physics.CompressedSensing(m=20, img_size=IMAGE, noise_model=noise, rng=generator),
        "stacked": physics.Blur(filter=kernel.double(), padding="circular").stack(
            physics.Downsampling(img_size=IMAGE, factor=2, filter=None)
        ),
    }


@pytest.mark.parametrize("name", ["inpainting", "blur", "blur_fft", "downsampling", "compressed", "stacked"])
def test_an_operator_of_deepinv_is_taken_as_it_is(
    generator: nn.Module, deepinv: Any, name: str, rng: torch.Generator
) -> None:
    recovered(generator, operators(deepinv.physics)[name].double(), rng)
