"""Differences on linear generators, where least squares has a known answer, and by hand."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.differences import Difference, Norm, Target
from latentry.latent.measurements import Downsample, RandomProjection, hide_box, keep_share
from latentry.latent.solvers.rows import take

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
"""torch warns of itself where a process takes its first forward derivative."""

D, IMAGE = 5, (2, 4, 4)
PIXELS = math.prod(IMAGE)


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return torch.randn(PIXELS, D, dtype=torch.float64, generator=rng)


def images(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: (z @ matrix.mT).view(-1, *IMAGE)


def quadratic_features(x: Tensor) -> Tensor:
    return x.flatten(1).square()[:, ::3]


EVERY = [
    Difference(),
    Difference("l1"),
    Difference(operator=Downsample(2), pixel_weight=3.0),
    Difference(operator=RandomProjection(9, IMAGE)),
    Difference(extractor=quadratic_features, feature_weight=0.2),
    Difference("l1", extractor=quadratic_features, feature_weight=0.2),
    Difference(extractor=quadratic_features, pixel_weight=0.0, operator=Downsample(2)),
]
NAMES = ["l2", "l1", "downsampled", "projected", "pixels and features", "the same, l1", "features of the downsampled"]


@pytest.mark.parametrize("masked", ["nothing", "a box", "another part of each"])
@pytest.mark.parametrize("operator", [None, Downsample(2), RandomProjection(20, IMAGE)], ids=repr)
def test_the_least_squares_code_of_what_is_seen_is_where_the_gradient_vanishes(
    operator: Any, masked: str, matrix: Tensor, rng: torch.Generator
) -> None:
    difference = Difference(operator=operator)
    measured = images(matrix) if operator is None else lambda z: operator(images(matrix)(z))
    columns = measured(torch.eye(D, dtype=torch.float64)).flatten(1).mT
    y = torch.randn(3, *measured(torch.zeros(1, D, dtype=torch.float64)).shape[1:], dtype=torch.float64, generator=rng)
    mask = {
        "nothing": None,
        "a box": keep_share(y.shape[1:], 0.8, rng=rng) if y.ndim < 4 else hide_box(y.shape[1:], (0, 1), (0, 1)),
        "another part of each": keep_share(y.shape, 0.9, rng=rng),
    }[masked]
    seen = (torch.ones_like(y) if mask is None else mask.expand_as(y).double()).flatten(1)

    z = torch.stack(
        [
            torch.linalg.lstsq(columns * row[:, None], target * row).solution
            for row, target in zip(seen, y.flatten(1), strict=True)
        ]
    ).requires_grad_()
    target = difference.prepare(y, mask)
    loss = difference.loss(difference.residuals(images(matrix)(z), target))
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert_close(gradient, torch.zeros_like(z), rtol=0, atol=1e-12)
    squares = (z @ columns.mT - y.flatten(1)).square() * seen
    assert_close(loss, squares.sum(1) / seen.sum(1))


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_loss_is_the_weighted_sum_of_the_means_of_both_parts(norm: Norm, rng: torch.Generator) -> None:
    x, x_hat = torch.randn(2, 3, *IMAGE, dtype=torch.float64, generator=rng)
    mask = keep_share(x.shape, 0.7, rng=rng).double()
    difference = Difference(norm, extractor=quadratic_features, pixel_weight=2.0, feature_weight=0.3)
    found = difference.loss(difference.residuals(x_hat, difference.prepare(x, mask)))

    def size(r: Tensor) -> Tensor:
        return r.abs() if norm == "l1" else r.square()

    pixels = (size(x_hat - x) * mask).flatten(1).sum(1) / mask.flatten(1).sum(1)
    features = size(quadratic_features(x_hat * mask) - quadratic_features(x * mask)).mean(1)
    assert_close(found, 2.0 * pixels + 0.3 * features)


@pytest.mark.parametrize("difference", EVERY, ids=NAMES)
def test_the_true_code_has_no_difference(difference: Difference, matrix: Tensor, rng: torch.Generator) -> None:
    x_hat = images(matrix)(torch.randn(3, D, dtype=torch.float64, generator=rng))
    x = x_hat if difference.operator is None else difference.operator(x_hat)
    target = difference.prepare(x, keep_share(x.shape, 0.5, rng=rng))
    assert_close(difference.loss(difference.residuals(x_hat, target)), torch.zeros(3, dtype=torch.float64))
    assert (difference.loss(difference.residuals(x_hat + 1, target)) > 0.01).all()


@pytest.mark.parametrize("difference", EVERY, ids=NAMES)
def test_forward_columns_under_vmap_are_the_rows_of_the_reverse_jacobian(
    difference: Difference, matrix: Tensor, rng: torch.Generator
) -> None:
    z = torch.randn(2, D, dtype=torch.float64, generator=rng)
    x = torch.randn(2, *IMAGE, dtype=torch.float64, generator=rng)
    x = x if difference.operator is None else difference.operator(x)
    target = difference.prepare(x, keep_share(x.shape[1:], 0.8, rng=rng))

    def residuals(z: Tensor) -> Tensor:
        return difference.residuals(images(matrix)(z), target)

    basis = torch.eye(D, dtype=torch.float64)[:, None].expand(D, 2, D)
    columns = torch.func.vmap(lambda v: torch.func.jvp(residuals, (z,), (v,))[1])(basis)
    full = torch.autograd.functional.jacobian(residuals, z)
    assert_close(columns.permute(1, 2, 0), torch.stack([full[i, :, i] for i in range(2)]))

    def of_one(z: Tensor, *rows: Tensor) -> Tensor:
        one = Target(*(row[None] for row in rows))
        return difference.residuals(images(matrix)(z[None]), one)[0]

    rows = (target.x, target.mask, target.scale, target.features)
    one_by_one = torch.func.vmap(torch.func.jacfwd(of_one))(z, *rows)
    assert_close(one_by_one, columns.permute(1, 2, 0))


@pytest.mark.parametrize("difference", EVERY, ids=NAMES)
def test_rows_of_a_target_are_targets_of_the_rows(difference: Difference, rng: torch.Generator) -> None:
    x_hat, x = torch.randn(2, 6, *IMAGE, dtype=torch.float64, generator=rng)
    x = x if difference.operator is None else difference.operator(x)
    target = difference.prepare(x, keep_share(x.shape, 0.8, rng=rng))
    whole = difference.residuals(x_hat, target)
    for index in (torch.tensor([4, 0, 4]), torch.tensor([True, False] * 3), slice(1, 3)):
        assert_close(difference.residuals(x_hat[index], take(target, index)), whole[index])
        assert len(take(target, index)) == len(x[index])


def test_the_extractor_looks_at_the_data_once(rng: torch.Generator) -> None:
    looked_at: list[int] = []

    def counting(x: Tensor) -> Tensor:
        looked_at.append(len(x))
        return x.flatten(1)

    difference = Difference(extractor=counting)
    x = torch.randn(300, 4, generator=rng)
    target = difference.prepare(x)
    assert sum(looked_at) == 300
    difference.residuals(x[:2], take(target, slice(0, 2)))
    difference.residuals(x[:2], take(target, slice(2, 4)))
    assert sum(looked_at) == 304


def test_the_features_of_the_data_are_those_of_eval_mode_and_ask_for_no_gradient(rng: torch.Generator) -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3))
    x = torch.randn(5, 4, generator=rng)
    target = Difference(extractor=network).prepare(x)
    assert network.training
    assert not target.features.requires_grad
    assert_close(target.features, network.eval()(x).detach())


def test_hidden_elements_may_hold_anything_and_get_no_gradient(rng: torch.Generator) -> None:
    x = torch.randn(2, *IMAGE, dtype=torch.float64, generator=rng)
    mask = hide_box(IMAGE, (1, 3), (0, 4))
    broken = torch.where(mask.bool(), x, math.nan)
    difference = Difference(extractor=quadratic_features)
    x_hat = torch.randn(2, *IMAGE, dtype=torch.float64, generator=rng).requires_grad_()
    found = difference.residuals(x_hat, difference.prepare(broken, mask))
    assert_close(found, difference.residuals(x_hat, difference.prepare(x, mask)))
    (gradient,) = torch.autograd.grad(difference.loss(found).sum(), x_hat)
    assert (gradient[:, :, 1:3] == 0).all()
    assert (gradient[:, :, 0] != 0).all()


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float32])
def test_a_mask_is_of_any_type_and_broadcasts(kind: torch.dtype, rng: torch.Generator) -> None:
    x, x_hat = torch.randn(2, 3, *IMAGE, generator=rng)
    mask = hide_box((1, 4, 4), (0, 2), (0, 2))
    expected = Difference().residuals(x_hat, Difference().prepare(x, mask.expand(x.shape)))
    assert_close(Difference().residuals(x_hat, Difference().prepare(x, mask.to(kind))), expected)


def test_data_without_a_mask_cost_the_memory_of_the_data_alone(rng: torch.Generator) -> None:
    target = Difference().prepare(torch.randn(8, *IMAGE, generator=rng))
    assert target.mask.untyped_storage().nbytes() == 4


X = torch.zeros(2, *IMAGE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Difference(pixel_weight=0.0), "pixel_weight > 0 where there is no extractor"),
        (lambda: Difference(pixel_weight=-1.0), "pixel_weight >= 0"),
        (lambda: Difference(extractor=quadratic_features, feature_weight=0.0), "leave the extractor out"),
        (lambda: Difference(feature_weight=math.inf), "finite weights"),
        (lambda: Difference().prepare(torch.zeros(4)), "batch axis"),
        (lambda: Difference().prepare(X[:0]), "n >= 1"),
        (lambda: Difference().prepare(X.to(torch.uint8)), "floating-point"),
        (lambda: Difference().prepare(X.log()), r"NaN or infinity in items \[0, 1\]; mask"),
        (lambda: Difference().prepare(X, X + 0.5), "0 .hidden. and 1 .measured."),
        (lambda: Difference().prepare(X, torch.ones(3, 3)), r"mask of shape \(2, 2, 4, 4\) or \(2, 4, 4\), got \(3, 3\)"),
        (lambda: Difference().prepare(X, X), r"shows part of each datum, got only 0 in items \[0, 1\]"),
        (
            lambda: Difference(operator=Downsample(2)).residuals(X, Difference().prepare(X)),
            r"shape \(2, 2, 2, 2\) .* got \(2, 2, 4, 4\); with an operator, x is the measurement",
        ),
    ],
)
def test_bad_differences_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_norm_is_named() -> None:
    """In a process of its own, where nothing checks the annotation first."""
    code = "import latentry; latentry.metrics.Difference('l3')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError: expected a norm among ('l2', 'l1'), got 'l3'" in done.stderr
