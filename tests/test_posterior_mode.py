"""Posterior modes of a linear generator, where the answer is ridge regression, and nearest samples."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.data.corruptions import NormalNoise
from latentry.latent.differences import Norm
from latentry.latent.measurements import Blur
from latentry.latent.posterior_mode import nearest_samples, posterior_mode, posterior_weight
from latentry.priors import Normal

D, SIDE = 5, 6
PRIOR = Normal(D)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MATRIX = torch.randn(SIDE * SIDE, D, generator=seeded(), dtype=torch.float64) / 4


def generator(z: Tensor) -> Tensor:
    return (z @ MATRIX.mT.to(z)).view(-1, 1, SIDE, SIDE)


def noisy(sigma: float = 0.5, n: int = 4) -> Tensor:
    return NormalNoise(sigma)(generator(PRIOR.sample(n, rng=seeded(1)).double()), seeded(2))


def mode(x: Tensor, steps: int = 150, **model: object) -> Tensor:
    given: dict[str, object] = {"starts": [lambda x: x.new_zeros(len(x), D)], "scale": 0.5, "steps": steps, **model}
    return posterior_mode(generator, x, Normal(D).double(), **given)  # type: ignore[arg-type]


def ridge(a: Tensor, x: Tensor, sigma: float) -> Tensor:
    """Posterior mode of N(0, I) codes under x = A z + sigma e."""
    return torch.linalg.solve(a.mT @ a + sigma**2 * torch.eye(D, dtype=a.dtype), a.mT @ x.flatten(1).mT).mT


def test_the_posterior_mode_of_a_linear_generator_is_ridge_regression() -> None:
    x = noisy()
    assert_close(mode(x), ridge(MATRIX, x, 0.5), atol=5e-3, rtol=0)


def test_through_a_known_blur_it_is_ridge_regression_on_blurred_columns() -> None:
    blur = Blur(0.7)
    x = noisy()
    columns = blur(MATRIX.mT.view(D, 1, SIDE, SIDE)).flatten(1).mT
    assert_close(mode(x, 400, operator=blur), ridge(columns, x, 0.5), atol=5e-3, rtol=0)


def test_under_a_mask_hidden_elements_do_not_count() -> None:
    x = noisy(n=1)
    mask = torch.ones(1, 1, SIDE, SIDE, dtype=torch.float64)
    mask[..., :2] = 0
    rows = mask.flatten().bool()
    z = mode(x, mask=mask)
    assert_close(z, ridge(MATRIX[rows], x.flatten(1)[:, rows], 0.5), atol=5e-3, rtol=0)
    assert_close(mode(torch.where(mask.bool(), x, 99.0), mask=mask), z)


def test_absolute_errors_withstand_outliers_that_squared_errors_do_not() -> None:
    truth = PRIOR.sample(4, rng=seeded(1)).double()
    x = generator(truth)
    x[:, :, 0, :3] = 50.0
    norms: tuple[Norm, Norm] = ("l1", "l2")
    robust, squares = (mode(x, norm=norm, scale=0.01) for norm in norms)
    assert (robust - truth).abs().max() < 0.1
    assert (squares - truth).abs().max() > 1


def test_each_datum_keeps_the_start_of_least_loss() -> None:
    x = noisy()
    good = ridge(MATRIX, x, 0.5)
    starts = [torch.where(torch.arange(4)[:, None] % 2 == odd, good, good + 30) for odd in (0, 1)]
    assert (mode(x, 1, starts=starts) - good).abs().max() < 1


def test_no_start_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one start"):
        mode(noisy(), starts=[])


def test_the_weight_of_the_prior_grows_with_the_noise() -> None:
    assert posterior_weight("l2", 1.0, 64, 784) == pytest.approx(2 * 64 / 784)
    assert posterior_weight("l2", 0.5, 64, 784) == pytest.approx(posterior_weight("l2", 1.0, 64, 784) / 4)
    assert posterior_weight("l1", 0.5, 64, 784) == pytest.approx(0.5 * 64 / 784)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("operator", [None, Blur(0.6)])
def test_the_nearest_sample_of_a_sample_is_itself(norm: Norm, operator: Blur | None) -> None:
    start = nearest_samples(generator, PRIOR, 50, norm=norm, operator=operator, rng=seeded(9))
    z = PRIOR.sample(50, rng=seeded(9))
    data = generator(z) if operator is None else operator(generator(z))
    assert torch.equal(start(data + 1e-6), z)
