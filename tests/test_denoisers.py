"""What is compared against each corruption, on a linear generator and the plainest of bases."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from experiments.spectrum.denoising import STRENGTHS
from latentry.data.corruptions import Blurring, NormalNoise, Occlusion, OneOf, SaltAndPepper
from latentry.data.image_filters import observe
from latentry.latent.measurements import Blur
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.priors import Normal
from latentry.tasks.denoising.methods import code_filters, filters_for, recoveries_for

D, SIDE = 5, 6
PRIOR = Normal(D)
AXES = QuasiEigenbasis(2 * torch.eye(D), 2, torch.zeros(D), "axes", 2 * torch.eye(D)[:2], (1, 1), 1.0)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MATRIX = torch.randn(SIDE * SIDE, D, generator=seeded()) / 4


def generator(z: Tensor) -> Tensor:
    return (z @ MATRIX.mT).view(-1, 1, SIDE, SIDE)


def zeros(x: Tensor) -> Tensor:
    return x.new_zeros(len(x), D)


@pytest.mark.parametrize(
    ("family", "setting", "expected"),
    [
        ("largest coefficients", "1", [0.0, 0.0, 0.0, -10.0, 0.0]),
        ("largest coefficients", "3", [4.0, 0.0, 0.0, -10.0, 3.0]),
        ("soft threshold", "0.4 of the largest", [0.0, 0.0, 0.0, -6.0, 0.0]),
        ("soft threshold", "0.2 of the largest", [2.0, 0.0, 0.0, -8.0, 1.0]),
        ("label sub-domain", "alone", [4.0, 1.0, 0.0, 0.0, 0.0]),
        ("label sub-domain, less of the rest", "0.5 of it", [4.0, 1.0, 1.0, -5.0, 1.5]),
    ],
)
def test_filters_of_codes_do_what_they_are_called(family: str, setting: str, expected: list[float]) -> None:
    found = {(method.family, method.setting): method.apply for method in code_filters(AXES)}
    z = torch.tensor([[4.0, 1.0, 2.0, -10.0, 3.0]])
    assert_close(found[family, setting](z), torch.tensor([expected]), atol=1e-6, rtol=0)


def test_what_is_known_of_a_corruption_is_known_on_both_sides() -> None:
    for strongest in (corruptions[-1] for corruptions in STRENGTHS.values()):
        filters = filters_for(strongest, SIDE)
        recoveries = recoveries_for(strongest, generator, PRIOR, zeros, samples=10, rng=seeded())
        known = isinstance(strongest, Blurring | Occlusion)
        assert any(not method.blind for method in filters) == known
        assert any(not method.blind for method in recoveries) == known
        assert any(method.blind for method in recoveries)


@pytest.mark.parametrize("corruption", [NormalNoise(0.4), SaltAndPepper(0.2), Occlusion(2), Blurring(Blur(0.5))], ids=repr)
def test_every_recovery_gives_a_code_for_each_image(corruption: Callable[..., Tensor]) -> None:
    observed = observe(corruption, generator(PRIOR.sample(3, rng=seeded(1))), 3)
    methods = recoveries_for(corruption, generator, PRIOR, zeros, samples=10, steps=2, rng=seeded())
    assert min(Counter(method.family for method in methods).values()) >= 1
    for method in methods:
        assert method.codes(observed).shape == (3, D)


def test_against_an_unknown_corruption_there_is_the_encoder_alone() -> None:
    (method,) = recoveries_for(OneOf((NormalNoise(0.1),)), generator, PRIOR, zeros)
    assert method.family == "denoising encoder"
