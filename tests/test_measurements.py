"""Measurements with known values, and their linearity."""

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.testing import assert_close

from latentry.latent.measurements import (
    Blur,
    Downsample,
    Hide,
    Measurement,
    RandomProjection,
    as_measurement,
    as_real,
    hide_box,
    keep_box,
    keep_share,
)
from latentry.testing import check_measurement

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
"""torch warns of itself where a process takes its first forward derivative."""

IMAGE = (2, 4, 6)
MASK = hide_box(IMAGE, rows=(1, 3), columns=(2, 5))
OPERATORS = (
    Blur(1.5),
    Downsample(2),
    RandomProjection(7, IMAGE),
    Hide(MASK),
    Downsample(2) * Blur(0.7) * Hide(MASK),
    Downsample(2).stack(RandomProjection(5, IMAGE)),
    as_measurement(lambda x: torch.fft.rfft2(x)),
)


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_our_measurements_keep_every_promise(operator: Measurement) -> None:
    """Linear, with forward and reverse derivatives that agree under vmap, each datum alone."""
    found = check_measurement(operator, IMAGE)
    assert {promise.verdict for promise in found.promises} == {"kept"}, found


def matrix_of(operator: Measurement, shape: tuple[int, ...]) -> Tensor:
    """Its columns are the measurements of the unit data."""
    columns = operator(torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape))
    return columns.flatten(1).mT


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_adjoint_and_norm_are_those_of_the_matrix(operator: Measurement, rng: torch.Generator) -> None:
    matrix = matrix_of(operator, IMAGE)
    y = torch.randn(operator(torch.zeros(3, *IMAGE, dtype=torch.float64)).shape, dtype=torch.float64, generator=rng)
    assert_close(operator.adjoint(y, IMAGE).flatten(1), y.flatten(1) @ matrix)
    assert operator.norm(IMAGE) == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=1e-6)


@pytest.mark.parametrize("operator", [Blur(1.0), Downsample(2), Downsample(2) * Blur(1.0)], ids=repr)
def test_the_norm_of_large_measurements_needs_no_matrix(operator: Measurement) -> None:
    shape = (1, 16, 16)
    assert operator.norm(shape) == pytest.approx(torch.linalg.matrix_norm(matrix_of(operator, shape), 2).item(), rel=1e-6)


def test_a_product_measures_by_its_last_factor_first(rng: torch.Generator) -> None:
    x = torch.randn(3, *IMAGE, dtype=torch.float64, generator=rng)
    first, then, last = Hide(MASK), Blur(1.0), lambda y: 3 * y
    assert_close((last * then * first)(x), 3 * Blur(1.0)(x * MASK))
    assert_close((then * (first * last))(x), ((then * first) * last)(x), rtol=0, atol=0)
    assert_close(first.stack(then)(x), torch.cat([first(x).flatten(1), then(x).flatten(1)], 1))


def test_what_is_not_linear_has_no_adjoint_and_no_norm() -> None:
    for nonlinear in (as_measurement(torch.square), as_measurement(lambda x: x + 1)):
        with pytest.raises(ValueError, match="expected a linear measurement"):
            nonlinear.adjoint(torch.zeros(1, 2), (2,))
        with pytest.raises(ValueError, match="expected a linear measurement"):
            nonlinear.norm((2,))


def test_measurements_become_real_rows() -> None:
    y = torch.tensor([[1 + 2j, 3 - 1j]])
    assert as_real([y, torch.ones(1, 1)]).tolist() == [[1, 2, 3, -1, 1]]
    for nothing in ([], "y", [1.0]):
        with pytest.raises(ValueError, match="expected measurements as a tensor or a list of tensors"):
            as_real(nothing)


def test_downsampling_takes_the_mean_of_each_square() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert Downsample(2)(x).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert torch.equal(Downsample(1)(x), x)
    assert Downsample(4)(x).item() == x.mean()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_a_blur_is_that_of_scipy(sigma: float, rng: torch.Generator) -> None:
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64, generator=rng)
    expected = gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="nearest")
    assert_close(Blur(sigma)(x), torch.from_numpy(expected))


def test_a_blur_keeps_an_even_image() -> None:
    assert_close(Blur(2.0)(torch.full((1, 5, 8), 0.3)), torch.full((1, 5, 8), 0.3))


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_a_blur_without_width_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        Blur(sigma)


def test_a_random_projection_keeps_squared_lengths_on_average() -> None:
    """Of k = 1 numbers the ratio is chi-squared with mean 1 and variance 2: here over 4,000 seeds, of k = 50 over 80."""
    x = torch.ones(1, 5, dtype=torch.float64)
    for k, seeds in ((1, 4000), (50, 80)):
        ratios = torch.stack([RandomProjection(k, (5,), seed)(x).square().sum() / 5 for seed in range(seeds)])
        assert abs(ratios.mean() - 1) < 4 * (2 / 4000) ** 0.5


def test_a_random_projection_depends_on_its_seed_alone(rng: torch.Generator) -> None:
    x = torch.randn(2, 5, generator=rng)
    assert torch.equal(RandomProjection(3, (5,), 1)(x), RandomProjection(3, (5,), 1)(x))
    assert not torch.equal(RandomProjection(3, (5,), 1)(x), RandomProjection(3, (5,), 2)(x))
    assert_close(RandomProjection(3, (5,))(x.double()).float(), RandomProjection(3, (5,))(x))


def test_a_box_is_kept_or_hidden() -> None:
    mask = keep_box((2, 3, 4), rows=(0, 2), columns=(1, 4))
    assert mask.tolist() == [[[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]] * 2
    assert torch.equal(hide_box((2, 3, 4), (0, 2), (1, 4)), 1 - mask)


@pytest.mark.parametrize(("share", "count"), [(0.3, 36), (0.001, 1), (1.0, 120)])
def test_a_random_share_is_exact(share: float, count: int, rng: torch.Generator) -> None:
    mask = keep_share((4, 5, 6), share, rng=rng)
    assert mask.shape == (4, 5, 6)
    assert mask.unique().tolist() == ([0, 1] if count < 120 else [1])
    assert mask.sum() == count


def test_every_element_is_seen_equally_often(rng: torch.Generator) -> None:
    counts: Tensor = sum(keep_share((6,), 0.5, rng=rng) for _ in range(800))
    assert (counts - 400).abs().max() < 4.5 * 200**0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Downsample(0), "factor >= 1"),
        (lambda: Downsample(3)(torch.zeros(1, 1, 6, 8)), r"sides 3 divides, got \(6, 8\)"),
        (lambda: RandomProjection(0, (4,)), "k >= 1"),
        (lambda: RandomProjection(2, (4, 0)), "positive sides"),
        (lambda: RandomProjection(2, (4,))(torch.zeros(1, 5)), r"expected data of shape \(n, 4\), got \(1, 5\)"),
        (lambda: keep_box((4,), (0, 1), (0, 1)), "two axes"),
        (lambda: keep_box((4, 4), (2, 2), (0, 1)), r"rows .* <= 4, got \(2, 2\)"),
        (lambda: hide_box((4, 4), (0, 2), (0, 5)), r"columns .* <= 4, got \(0, 5\)"),
        (lambda: Hide(torch.tensor([0.5])), "mask of 0"),
        (lambda: Hide(MASK)(torch.zeros(1, 4, 6)), "shape of the mask"),
        (lambda: as_measurement(Blur), "needs its brackets"),
        (lambda: keep_share((4, 4), 0.0), r"share in \(0, 1\], got 0"),
    ],
)
def test_bad_measurements_are_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
