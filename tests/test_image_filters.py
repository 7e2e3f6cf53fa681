"""Classical filters on images whose answer is known."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.data.corruptions import NormalNoise, Occlusion
from latentry.data.image_filters import (
    Contrast,
    ImageFilter,
    Observation,
    classical_filters,
    deconvolution_filters,
    inpainting_filter,
    observe,
)
from latentry.latent.measurements import Blur


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def square() -> Tensor:
    x = -torch.ones(2, 1, 28, 28)
    x[..., 9:19, 7:21] = 1.0
    return x


@pytest.mark.parametrize("method", classical_filters(), ids=lambda method: f"{method.family} {method.setting}")
def test_an_even_image_stays_as_it_is(method: ImageFilter) -> None:
    x = torch.full((1, 1, 12, 12), 0.25)
    assert_close(method.denoise(Observation(x)), x, atol=1e-6, rtol=0)


def test_a_median_removes_dead_pixels_without_a_trace() -> None:
    dead = square()
    dead[..., 3, 3], dead[..., 14, 14] = 1.0, -1.0
    (median,) = (each for each in classical_filters() if (each.family, each.setting) == ("median", "3 x 3"))
    restored = median.denoise(Observation(dead))
    inside = restored[..., 11:17, 9:19]
    assert torch.equal(inside, torch.ones_like(inside))
    assert (restored[..., 3, 3] == -1).all()


def errors(filters: tuple[ImageFilter, ...], family: str, corrupted: Tensor) -> list[float]:
    return [
        (each.denoise(Observation(corrupted)) - square()).square().mean().item() for each in filters if each.family == family
    ]


@pytest.mark.parametrize("family", ["median", "total variation", "non-local means", "Gaussian", "Wiener"])
def test_every_filter_removes_noise_at_one_of_its_settings(family: str) -> None:
    noisy = NormalNoise(0.3)(square(), seeded())
    assert min(errors(classical_filters(), family, noisy)) < 0.7 * (noisy - square()).square().mean()


@pytest.mark.parametrize("family", ["Wiener deconvolution", "Richardson-Lucy"])
def test_a_known_blur_is_undone_in_part(family: str) -> None:
    blur = Blur(1.5)
    methods = deconvolution_filters(blur, 28)
    assert not any(method.blind for method in methods)
    assert min(errors(methods, family, blur(square()))) < 0.6 * (blur(square()) - square()).square().mean()


def test_contrast_brings_two_percentiles_to_the_ends_of_the_range() -> None:
    x = torch.linspace(-0.5, 0.5, 101).view(1, 1, 1, 101)
    stretched = Contrast(50.0, 90.0)(x).flatten()
    assert_close(stretched[[0, 50, 70, 90, 100]], torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]), atol=1e-5, rtol=0)


def test_contrast_leaves_an_even_image_as_it_is() -> None:
    x = torch.full((2, 1, 5, 5), 0.3)
    assert torch.equal(Contrast(1.0, 99.0)(x), x)


def test_inpainting_fills_an_even_place_and_leaves_what_is_visible() -> None:
    x = torch.full((2, 1, 10, 10), 0.5)
    hidden = Occlusion(4).hidden(x, seeded())
    observed = Observation(x.masked_fill(hidden, -1.0), (~hidden).float())
    assert_close(inpainting_filter().denoise(observed), x, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="a mask of what is hidden"):
        inpainting_filter().denoise(Observation(x))


def test_an_observation_has_a_mask_where_something_is_hidden() -> None:
    x = torch.rand(5, 1, 6, 6, generator=seeded())
    observed = observe(Occlusion(2, 9.0), x, 4)
    assert observed.mask is not None
    assert torch.equal(observed.x == 9.0, observed.mask == 0)
    assert observe(NormalNoise(1.0), x, 4).mask is None
    assert torch.equal(observed[:3].x, observed.x[:3])
