"""What corruptions do, in numbers that follow from their definitions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.data.corruptions import Blurring, NormalNoise, Occlusion, OneOf, SaltAndPepper
from latentry.latent.measurements import Blur

ALL = (NormalNoise(0.5), SaltAndPepper(0.3), Occlusion(3), Blurring(Blur(1.0)), OneOf((NormalNoise(0.5), Occlusion(2))))


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 4, channels: int = 1, side: int = 8) -> Tensor:
    return 1.6 * torch.rand(n, channels, side, side, generator=seeded(1)) - 0.8


@pytest.mark.parametrize("corruption", ALL, ids=repr)
def test_the_same_seed_corrupts_alike_and_the_images_stay_as_they_are(corruption: Callable[..., Tensor]) -> None:
    x = images()
    before = x.clone()
    assert torch.equal(corruption(x, seeded()), corruption(x, seeded()))
    assert torch.equal(x, before)
    assert corruption(x, seeded()).shape == x.shape
    assert corruption(x.double(), seeded()).dtype == torch.float64


@pytest.mark.parametrize("corruption", ALL[:3], ids=repr)
def test_other_draws_corrupt_otherwise(corruption: Callable[..., Tensor]) -> None:
    x = images(1).expand(6, -1, -1, -1)
    assert len(corruption(x, seeded()).flatten(1).unique(dim=0)) > 1


def test_the_squared_error_of_normal_noise_is_its_variance() -> None:
    x = images(64, side=28)
    error = (NormalNoise(0.7)(x, seeded()) - x).square()
    assert error.mean().item() == pytest.approx(0.49, abs=4 * 0.49 * (2 / error.numel()) ** 0.5)


def test_salt_and_pepper_are_a_share_of_the_pixels_in_equal_parts() -> None:
    x = images(64, side=28)
    corrupted = SaltAndPepper(0.4)(x, seeded())
    lost = corrupted != x
    deviation = (0.2 * 0.8 / x.numel()) ** 0.5
    assert (corrupted == -1).float().mean().item() == pytest.approx(0.2, abs=4 * deviation)
    assert (corrupted == 1).float().mean().item() == pytest.approx(0.2, abs=4 * deviation)
    assert torch.equal(lost, corrupted.abs() == 1)


def test_a_pixel_is_lost_in_all_channels_at_once() -> None:
    x = images(channels=3)
    lost = SaltAndPepper(0.5)(x, seeded()) != x
    assert torch.equal(lost.all(1), lost.any(1))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_a_share_may_be_none_or_all(share: float, expected: float) -> None:
    x = images()
    assert (SaltAndPepper(share)(x, seeded()) != x).float().mean().item() == expected


def test_an_occlusion_is_a_square_that_visits_every_place() -> None:
    """Of a 4 x 4 image and a square of 3 there are four places; every one is as likely."""
    x = torch.zeros(4000, 1, 4, 4)
    hidden = Occlusion(3, 0.5)(x, seeded()) == 0.5
    assert (hidden.flatten(1).sum(1) == 9).all()
    places, counts = hidden.flatten(1).unique(dim=0, return_counts=True)
    assert len(places) == 4
    assert (counts - 1000).abs().max() < 4 * (4000 * 0.25 * 0.75) ** 0.5


def test_an_occlusion_tells_where_it_lies_by_the_same_draws() -> None:
    x = images(channels=3)
    hidden = Occlusion(3).hidden(x, seeded())
    assert_close(Occlusion(3)(x, seeded()), torch.where(hidden, -1.0, x))


def test_a_blur_is_the_measurement() -> None:
    assert torch.equal(Blurring(Blur(1.3))(images(), seeded()), Blur(1.3)(images()))


def test_one_of_several_is_drawn_for_each_image() -> None:
    x = torch.zeros(3000, 1, 2, 2)
    corrupted = OneOf(tuple(Occlusion(2, value) for value in (1.0, 2.0, 3.0)))(x, seeded())
    values, counts = corrupted[:, 0, 0, 0].unique(return_counts=True)
    assert values.tolist() == [1.0, 2.0, 3.0]
    assert (counts - 1000).abs().max() < 4 * (3000 * 2 / 9) ** 0.5
    assert (corrupted == corrupted[:, :, :1, :1]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: NormalNoise(-0.1),
        lambda: NormalNoise(float("inf")),
        lambda: SaltAndPepper(1.5),
        lambda: SaltAndPepper(0.5, low=1.0),
        lambda: Occlusion(0),
        lambda: Occlusion(3, float("nan")),
        lambda: OneOf(()),
        lambda: Occlusion(9)(images(), seeded()),
    ],
)
def test_impossible_settings_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()
