"""The Frechet distance where it is known, and its intervals on distributions where what they are for is known."""

import math

import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.frechet import frechet_distance, frechet_jackknife, gaussian_frechet_distance
from latentry.numerics.jackknife import student_quantile
from latentry.numerics.moments import Moments, moments

REPLICATES = 60
"""At a true level of 95 %, 51 or fewer hits of 60 have probability 0.0002."""


def covariance(d: int, rng: torch.Generator, rank: int | None = None) -> Tensor:
    factor = torch.randn(d, rank or 2 * d, dtype=torch.float64, generator=rng)
    return factor @ factor.mT / d


def rotation(d: int, rng: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=rng))[0]


def diagonal(*stds: float) -> Tensor:
    return torch.diag(torch.tensor(stds, dtype=torch.float64).square())


def test_equal_gaussians_have_distance_zero(rng: torch.Generator) -> None:
    for s in (covariance(20, rng), covariance(20, rng, rank=6)):
        assert_close(gaussian_frechet_distance(torch.ones(20), s, torch.ones(20), s).item(), 0.0, rtol=0, atol=1e-12)


def test_a_shift_adds_its_squared_length(rng: torch.Generator) -> None:
    s, shift = covariance(9, rng), torch.linspace(-1, 2, 9, dtype=torch.float64)
    found = gaussian_frechet_distance(shift, s, torch.zeros(9, dtype=torch.float64), s)
    assert_close(found, shift.square().sum())


def test_covariances_with_common_axes_are_as_far_as_their_standard_deviations(rng: torch.Generator) -> None:
    turn, zero = rotation(3, rng), torch.zeros(3, dtype=torch.float64)
    first, second = turn @ diagonal(1, 2, 3) @ turn.mT, turn @ diagonal(1.5, 2, 1) @ turn.mT
    assert_close(gaussian_frechet_distance(zero, first, zero, second).item(), 0.5**2 + 0 + 2**2)


def test_a_quarter_turn_exchanges_the_axes(rng: torch.Generator) -> None:
    zero = torch.zeros(2, dtype=torch.float64)
    assert_close(gaussian_frechet_distance(zero, diagonal(1, 4), zero, diagonal(4, 1)).item(), 2 * 3.0**2)


def test_turning_and_exchanging_both_changes_nothing(rng: torch.Generator) -> None:
    first, second, turn = covariance(12, rng), covariance(12, rng), rotation(12, rng)
    a, b = torch.randn(2, 12, dtype=torch.float64, generator=rng)
    found = gaussian_frechet_distance(a, first, b, second)
    assert_close(gaussian_frechet_distance(turn @ a, turn @ first @ turn.mT, turn @ b, turn @ second @ turn.mT), found)
    assert_close(gaussian_frechet_distance(b, second, a, first), found)


def test_general_covariances_agree_with_the_matrix_square_root(rng: torch.Generator) -> None:
    first, second, zero = covariance(30, rng), covariance(30, rng), torch.zeros(30, dtype=torch.float64)
    expected = (first + second).trace().item() - 2 * float(sqrtm((first @ second).numpy()).trace().real)
    assert_close(gaussian_frechet_distance(zero, first, zero, second).item(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ranks", [(5, None), (None, 5), (5, 5), (1, 12)])
def test_singular_covariances_have_the_distance_of_their_limit(
    ranks: tuple[int | None, int | None], rng: torch.Generator
) -> None:
    """With S of rank r, S + e I is regular, and the distance moves by less than about d sqrt(e)."""
    first, second = covariance(12, rng, ranks[0]), covariance(12, rng, ranks[1])
    zero, ridge = torch.zeros(12, dtype=torch.float64), 1e-14 * torch.eye(12, dtype=torch.float64)
    found = gaussian_frechet_distance(zero, first, zero, second)
    nearby = gaussian_frechet_distance(zero, first + ridge, zero, second + ridge)
    assert_close(found, nearby, rtol=0, atol=1e-5)


def test_two_samples_on_different_lines_are_as_far_as_points_of_a_plane() -> None:
    """Rank one each: S_i = s_i^2 u_i u_i^T, and the trace of the root is s_1 s_2 |u_1 . u_2|."""
    u = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    v = torch.tensor([0.6, 0.8, 0, 0], dtype=torch.float64)
    zero = torch.zeros(4, dtype=torch.float64)
    found = gaussian_frechet_distance(zero, 4 * torch.outer(u, u), zero, 9 * torch.outer(v, v))
    assert_close(found.item(), 4 + 9 - 2 * 2 * 3 * 0.6)


def test_a_wide_spectrum_keeps_its_digits() -> None:
    """Variances over 16 decades, where eigenvalues of a product keep none of the small ones."""
    stds = 10.0 ** torch.linspace(0, -8, 40, dtype=torch.float64)
    zero = torch.zeros(40, dtype=torch.float64)
    found = gaussian_frechet_distance(zero, stds.square().diag(), zero, (1.5 * stds).square().diag())
    assert_close(found.item(), 0.25 * stds.square().sum().item(), rtol=1e-9, atol=0)


def test_constant_features_are_as_far_as_their_means() -> None:
    a, b = moments(torch.zeros(5, 3)), moments(torch.full((4, 3), 2.0))
    assert_close(frechet_distance(a, b).item(), 12.0)


def test_features_of_another_length_are_refused(rng: torch.Generator) -> None:
    with pytest.raises(ValueError, match="one dimension, got 2 and 3"):
        frechet_distance(moments(torch.randn(9, 2)), moments(torch.randn(9, 3)))


def blocks(x: Tensor, count: int = 10) -> list[Moments]:
    return [moments(x[j::count]) for j in range(count)]


def pair(d: int, n: int, std: float, shift: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """N(shift e_1, std^2 I) and N(0, I), d (std - 1)^2 + shift^2 apart."""
    x, y = torch.randn(2, n, d, dtype=torch.float64, generator=rng)
    x = x * std
    x[:, 0] += shift
    return x, y


@pytest.mark.parametrize(
    ("d", "n", "std", "shift"),
    [
        pytest.param(4, 200, 1.3, 0.5, id="few dimensions"),
        pytest.param(32, 200, 1.2, 0.5, id="many dimensions"),
        pytest.param(16, 200, 1.0, 0.0, id="equal distributions"),
        pytest.param(40, 60, 1.2, 0.0, id="nearly singular"),
    ],
)
def test_both_intervals_hold_what_they_are_for(d: int, n: int, std: float, shift: float, rng: torch.Generator) -> None:
    truth = d * (std - 1) ** 2 + shift**2
    found = []
    for _ in range(REPLICATES):
        x, y = pair(d, n, std, shift, rng)
        found.append(frechet_jackknife(blocks(x), blocks(y)))
    values = torch.tensor([one.value for one in found])
    halves = torch.tensor([student_quantile(0.95, one.freedom) * math.sqrt(one.variance) for one in found])
    limits = torch.tensor([one.limit for one in found])
    at_this_size = values.mean()  # the bias is far above its error
    assert ((values - at_this_size).abs() <= halves).sum() >= 52
    assert ((limits - truth).abs() <= halves).sum() >= 52
    assert halves.mean() < 2.1 * 1.7 * values.std()  # Efron and Stein: too wide by sqrt(2) at most, near equality
    bias, noise = at_this_size - truth, values.std() / math.sqrt(REPLICATES)
    assert bias > 3 * noise
    assert (limits.mean() - truth).abs() < 4 * noise + 0.02 * bias


def test_the_naive_bootstrap_misses_where_the_jackknife_does_not(rng: torch.Generator) -> None:
    truth, hits_bootstrap, hits_jackknife = 16 * 0.2**2, 0, 0
    for _ in range(10):
        x, y = pair(16, 200, 1.2, 0.0, rng)
        again = torch.tensor(
            [
                frechet_distance(moments(x[torch.randint(200, (200,), generator=rng)]), moments(y[rows])).item()
                for rows in torch.randint(200, (60, 200), generator=rng)
            ]
        )
        low, high = again.quantile(torch.tensor([0.025, 0.975]))
        found = frechet_jackknife(blocks(x), blocks(y))
        assert low > found.value - 0.05  # it hardly reaches even the value it resamples
        hits_bootstrap += bool(low <= truth <= high)
        half = student_quantile(0.95, found.freedom) * math.sqrt(found.variance)
        hits_jackknife += abs(found.limit - truth) <= half
    assert hits_bootstrap == 0
    assert hits_jackknife >= 8


def test_the_bias_falls_like_one_over_n_and_the_limit_is_free_of_it(rng: torch.Generator) -> None:
    biases = {}
    for n in (200, 400):
        found = [frechet_jackknife(*map(blocks, pair(8, n, 1.0, 0.0, rng))) for _ in range(30)]
        biases[n] = sum(one.value for one in found) / 30
        assert abs(sum(one.limit for one in found) / 30) < 0.1 * biases[n]
    assert_close(biases[200] / biases[400], 2.0, rtol=0.1, atol=0)


def test_one_block_leaves_nothing_over(rng: torch.Generator) -> None:
    with pytest.raises(ValueError, match="at least two blocks"):
        frechet_jackknife(blocks(torch.randn(9, 2), 1), blocks(torch.randn(9, 2), 3))
