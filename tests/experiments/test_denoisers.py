"""Filters with known answers, and posterior modes of a linear generator, where the answer is ridge regression."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from experiments.spectrum.denoisers import (
    STRENGTHS,
    Contrast,
    Observed,
    PictureFilter,
    code_filters,
    deconvolution_filters,
    filters_for,
    inpainting_filters,
    nearest_samples,
    picture_filters,
    posterior_mode,
    posterior_weight,
    recoveries_for,
)
from latentry.data.corruptions import Blurring, NormalNoise, Occlusion, OneOf, SaltAndPepper
from latentry.latent.measurements import Blur
from latentry.priors import Normal

D, SIDE = 5, 6
PRIOR = Normal(D)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MATRIX = torch.randn(SIDE * SIDE, D, generator=seeded(), dtype=torch.float64) / 4


def generator(z: Tensor) -> Tensor:
    return (z @ MATRIX.mT.to(z)).view(-1, 1, SIDE, SIDE)


def noisy(sigma: float = 0.5, n: int = 4) -> Tensor:
    x = generator(PRIOR.sample(n, rng=seeded(1)).double())
    return NormalNoise(sigma)(x, seeded(2))


def square() -> Tensor:
    x = -torch.ones(2, 1, 28, 28)
    x[..., 9:19, 7:21] = 1.0
    return x


def by_setting(filters: tuple[PictureFilter, ...]) -> dict[tuple[str, str], Callable[[Observed], Tensor]]:
    return {(method.family, method.setting): method.denoise for method in filters}


@pytest.mark.parametrize("method", picture_filters(), ids=lambda method: f"{method.family} {method.setting}")
def test_an_even_picture_stays_as_it_is(method: PictureFilter) -> None:
    x = torch.full((1, 1, 12, 12), 0.25)
    assert_close(method.denoise(Observed(x)), x, atol=1e-6, rtol=0)


def test_a_median_removes_dead_pixels_without_a_trace() -> None:
    x = square()
    dead = x.clone()
    dead[..., 3, 3], dead[..., 14, 14] = 1.0, -1.0
    restored = by_setting(picture_filters())["median", "3 x 3"](Observed(dead))
    inside = restored[..., 11:17, 9:19]
    assert torch.equal(inside, torch.ones_like(inside))
    assert (restored[..., 3, 3] == -1).all()


@pytest.mark.parametrize("family", ["median", "total variation", "non-local means", "Gaussian", "Wiener"])
def test_every_filter_takes_noise_off_at_one_of_its_settings(family: str) -> None:
    x = square()
    seen = NormalNoise(0.3)(x, seeded())
    errors = [
        (method.denoise(Observed(seen)) - x).square().mean() for method in picture_filters() if method.family == family
    ]
    assert min(errors) < 0.7 * (seen - x).square().mean()


def test_contrast_brings_two_percentiles_to_the_ends_of_the_range() -> None:
    x = torch.linspace(-0.5, 0.5, 101).view(1, 1, 1, 101)
    stretched = Contrast(50.0, 90.0)(x).flatten()
    assert_close(stretched[[0, 50, 70, 90, 100]], torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]), atol=1e-5, rtol=0)


def test_contrast_leaves_an_even_picture_as_it_is() -> None:
    assert torch.equal(Contrast(1.0, 99.0)(torch.full((2, 1, 5, 5), 0.3)), torch.full((2, 1, 5, 5), 0.3))


@pytest.mark.parametrize("family", ["Wiener deconvolution", "Richardson-Lucy"])
def test_a_blur_that_is_known_is_undone_in_part(family: str) -> None:
    x, blur = square(), Blur(1.5)
    methods = [method for method in deconvolution_filters(blur, 28) if method.family == family]
    assert not any(method.blind for method in methods)
    errors = [(method.denoise(Observed(blur(x))) - x).square().mean() for method in methods]
    assert min(errors) < 0.6 * (blur(x) - x).square().mean()


def test_inpainting_fills_an_even_place_and_leaves_what_is_seen() -> None:
    x = torch.full((2, 1, 10, 10), 0.5)
    hidden = Occlusion(4).hidden(x, seeded())
    (method,) = inpainting_filters()
    observed = Observed(x.masked_fill(hidden, -1.0), (~hidden).float())
    assert_close(method.denoise(observed), x, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="told what is hidden"):
        method.denoise(Observed(x))


def ridge(a: Tensor, x: Tensor, sigma: float) -> Tensor:
    """Posterior mode of N(0, I) codes under x = A z + sigma e."""
    return torch.linalg.solve(a.mT @ a + sigma**2 * torch.eye(D, dtype=a.dtype), a.mT @ x.flatten(1).mT).mT


def zeros(x: Tensor) -> Tensor:
    return x.new_zeros(len(x), D)


def test_the_posterior_mode_of_a_linear_generator_is_ridge_regression() -> None:
    x = noisy()
    z = posterior_mode(generator, PRIOR.double(), [zeros], scale=0.5, steps=150)(Observed(x))
    assert_close(z, ridge(MATRIX, x, 0.5), atol=5e-3, rtol=0)


def test_through_a_known_blur_it_is_ridge_regression_on_blurred_columns() -> None:
    blur = Blur(0.7)
    x = noisy()
    columns = blur(MATRIX.mT.view(D, 1, SIDE, SIDE)).flatten(1).mT
    z = posterior_mode(generator, PRIOR.double(), [zeros], scale=0.5, operator=blur, steps=400)(Observed(x))
    assert_close(z, ridge(columns, x, 0.5), atol=5e-3, rtol=0)


def test_under_a_mask_what_is_hidden_has_no_say() -> None:
    x = noisy(n=1)
    seen = torch.ones(1, 1, SIDE, SIDE, dtype=torch.float64)
    seen[..., :2] = 0
    rows = seen.flatten().bool()
    z = posterior_mode(generator, PRIOR.double(), [zeros], scale=0.5, masked=True, steps=150)(Observed(x, seen))
    assert_close(z, ridge(MATRIX[rows], x.flatten(1)[:, rows], 0.5), atol=5e-3, rtol=0)
    other = Observed(torch.where(seen.bool(), x, 99.0), seen)
    assert_close(posterior_mode(generator, PRIOR.double(), [zeros], scale=0.5, masked=True, steps=150)(other), z)


def test_absolute_errors_shrug_off_what_ruins_squares() -> None:
    truth = PRIOR.sample(4, rng=seeded(1)).double()
    x = generator(truth)
    x[:, :, 0, :3] = 50.0
    robust, squares = (
        posterior_mode(generator, PRIOR.double(), [zeros], norm=norm, scale=0.01, steps=150)(Observed(x))
        for norm in ("l1", "l2")
    )
    assert (robust - truth).abs().max() < 0.1
    assert (squares - truth).abs().max() > 1


def test_the_start_with_the_lesser_loss_wins_for_each_datum() -> None:
    x = noisy()
    good = ridge(MATRIX, x, 0.5)
    far = good + 30
    mixed = [torch.where(torch.arange(4)[:, None] % 2 == odd, good, far) for odd in (0, 1)]
    starts = [lambda x, z=z: z for z in mixed]
    z = posterior_mode(generator, PRIOR.double(), starts, scale=0.5, steps=1)(Observed(x))
    assert (z - good).abs().max() < 1


def test_the_weight_of_the_prior_grows_with_the_noise() -> None:
    assert posterior_weight("l2", 1.0, 64, 784) == pytest.approx(2 * 64 / 784)
    assert posterior_weight("l2", 0.5, 64, 784) == pytest.approx(posterior_weight("l2", 1.0, 64, 784) / 4)
    assert posterior_weight("l1", 0.5, 64, 784) == pytest.approx(0.5 * 64 / 784)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("operator", [None, Blur(0.6)])
def test_the_nearest_sample_of_a_sample_is_itself(norm: str, operator: Blur | None) -> None:
    start = nearest_samples(generator, PRIOR, 50, norm=norm, operator=operator, rng=seeded(9))  # type: ignore[arg-type]
    z = PRIOR.sample(50, rng=seeded(9))
    data = generator(z) if operator is None else operator(generator(z))
    assert torch.equal(start(data + 1e-6), z)


@dataclass(frozen=True)
class Axes:
    """The plainest of bases."""

    num_labels: int = 2

    @property
    def vectors(self) -> Tensor:
        return 2 * torch.eye(D)

    def coefficients(self, z: Tensor) -> Tensor:
        return z / 2

    def reconstruct(self, c: Tensor) -> Tensor:
        return 2 * c


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
    found = {(method.family, method.setting): method.apply for method in code_filters(Axes())}
    z = torch.tensor([[4.0, 1.0, 2.0, -10.0, 3.0]])
    assert_close(found[family, setting](z), torch.tensor([expected]), atol=1e-6, rtol=0)


def test_what_is_told_of_a_corruption_is_told_to_both_sides() -> None:
    for strongest in (corruptions[-1] for corruptions in STRENGTHS.values()):
        filters = filters_for(strongest, SIDE)
        recoveries = recoveries_for(strongest, generator, PRIOR, zeros, samples=10, rng=seeded())
        told = isinstance(strongest, Blurring | Occlusion)
        assert any(not method.blind for method in filters) == told
        assert any(not way.blind for way in recoveries) == told
        assert any(way.blind for way in recoveries)


@pytest.mark.parametrize("corruption", [NormalNoise(0.4), SaltAndPepper(0.2), Occlusion(2), Blurring(Blur(0.5))], ids=repr)
def test_every_recovery_gives_a_code_for_each_image(corruption: Callable[..., Tensor]) -> None:
    x = generator(PRIOR.sample(3, rng=seeded(1)))
    seen = (~Occlusion(2).hidden(x, seeded())).float()
    ways = recoveries_for(corruption, generator, PRIOR, zeros, samples=10, steps=2, rng=seeded())
    assert min(Counter(way.family for way in ways).values()) >= 1
    for way in ways:
        assert way.codes(Observed(corruption(x, seeded()), seen)).shape == (3, D)


def test_of_a_stranger_corruption_only_the_encoder_knows() -> None:
    (way,) = recoveries_for(OneOf((NormalNoise(0.1),)), generator, PRIOR, zeros)
    assert way.family == "denoising encoder"
