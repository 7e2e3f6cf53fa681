"""Provenance by linear generators, whose codes the pseudo-inverse finds at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from scipy.stats import chisquare, kstest
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.provenance import is_from
from latentry.latent.solvers.adam import Adam
from latentry.numerics.ranks import roc_auc
from latentry.priors import Normal

D, PIXELS = 4, 80
PRIOR = Normal(D).double()


class Linear:
    """G(z) = B z, kept within [-1, 1] on nearly all codes of the prior."""

    def __init__(self, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.matrix = 0.1 * torch.randn(PIXELS, D, dtype=torch.float64, generator=rng)

    def __call__(self, z: Tensor) -> Tensor:
        return z @ self.matrix.mT

    def samples(self, n: int, rng: torch.Generator) -> Tensor:
        return self(PRIOR.sample(n, rng=rng))


@dataclass(frozen=True)
class Solved:
    z: Tensor
    x_hat: Tensor
    reconstruction_error: Tensor


def pseudo_inverse(generator: Linear, x: Tensor, prior: Normal, *, rng: torch.Generator | None = None) -> Solved:
    z = x @ torch.linalg.pinv(generator.matrix).mT
    x_hat = generator(z)
    return Solved(z, x_hat, (x_hat - x).square().mean(1))


def eight_bits(x: Tensor) -> Tensor:
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def noise(rng: torch.Generator) -> Callable[[Tensor], Tensor]:
    return lambda x: x + 0.01 * torch.randn(x.shape, dtype=x.dtype, generator=rng)


@pytest.fixture
def generator() -> Linear:
    return Linear(0)


@pytest.mark.parametrize("kind", ["rounded", "noisy"])
def test_p_values_of_fresh_own_samples_are_uniform(kind: str, generator: Linear, rng: torch.Generator) -> None:
    treat = eight_bits if kind == "rounded" else noise(rng)
    x = treat(generator.samples(300, rng))
    treatment = None if kind == "rounded" else treat
    found = is_from(generator, x, PRIOR, calibration=3000, treatment=treatment, recover=pseudo_inverse, rng=rng)
    assert found.eight_bit == (kind == "rounded")
    assert kstest(found.p_value.numpy(), "uniform").pvalue > 0.01


def test_the_rank_among_few_own_samples_is_uniform_over_repetitions(generator: Linear, rng: torch.Generator) -> None:
    """400 images with 19 own samples each: every twentieth is equally likely."""
    ranks = torch.cat(
        [
            20 * is_from(generator, eight_bits(x[None]), PRIOR, calibration=19, recover=pseudo_inverse, rng=rng).p_value
            for x in generator.samples(400, rng)
        ]
    )
    counts = ranks.round().long().bincount(minlength=21)[1:]
    assert counts.sum() == 400
    assert chisquare(counts.numpy()).pvalue > 0.01


@pytest.mark.parametrize("rounded", [False, True])
def test_images_off_the_range_have_the_least_p_value_and_area_1(
    rounded: bool, generator: Linear, rng: torch.Generator
) -> None:
    own, others = generator.samples(40, rng), Linear(1).samples(40, rng)
    x = torch.cat([own, others])
    found = is_from(generator, eight_bits(x) if rounded else x, PRIOR, recover=pseudo_inverse, rng=rng)
    assert (found.p_value[40:] == 1 / 100).all()
    area = roc_auc(found.score[40:], found.score[:40])
    assert area.value == area.high == 1
    assert area.low > 0.9


def test_codes_and_scores_are_those_of_the_images(generator: Linear, rng: torch.Generator) -> None:
    z = PRIOR.sample(5, rng=rng)
    x = noise(rng)(generator(z))
    found = is_from(generator, x, PRIOR, calibration=30, recover=pseudo_inverse, rng=rng)
    alone = pseudo_inverse(generator, x, PRIOR)
    assert_close(found.z, alone.z)
    assert_close(found.x_hat, alone.x_hat)
    assert_close(found.score, alone.reconstruction_error.log())
    assert found.own_scores.shape == (30,)


def test_rounding_would_make_own_images_foreign_if_only_one_side_had_it(generator: Linear, rng: torch.Generator) -> None:
    x = eight_bits(generator.samples(20, rng))
    unlike = is_from(generator, x, PRIOR, recover=pseudo_inverse, eight_bit=False, rng=rng)
    alike = is_from(generator, x, PRIOR, recover=pseudo_inverse, rng=rng)
    assert (unlike.p_value == 1 / 100).all()
    assert alike.eight_bit
    assert alike.p_value.mean() > 0.3


def test_errors_as_small_as_of_rounding_are_said_to_be_perhaps_of_it(generator: Linear, rng: torch.Generator) -> None:
    def rounded(x: Tensor) -> Tensor:
        return (x / 1e-4).round() * 1e-4

    x = generator(torch.randn(10, D, dtype=torch.float64, generator=rng))
    found = is_from(generator, rounded(x), Normal(D), recover=pseudo_inverse, rng=rng)
    assert found.verdict.endswith("if the images were rounded, pass that as `treatment=`.")
    treated = is_from(generator, rounded(x), Normal(D), treatment=rounded, recover=pseudo_inverse, rng=rng)
    foreign = is_from(
        generator, x + torch.randn(x.shape, generator=rng).double(), Normal(D), recover=pseudo_inverse, rng=rng
    )
    assert "treatment" not in treated.verdict + foreign.verdict


def test_one_image_of_eight_bits_rounds_them_all(generator: Linear, rng: torch.Generator) -> None:
    x = generator.samples(20, rng)
    assert not is_from(generator, x, PRIOR, recover=pseudo_inverse, rng=rng).eight_bit
    x[0] = eight_bits(x[0])
    found = is_from(generator, x, PRIOR, recover=pseudo_inverse, rng=rng)
    assert found.eight_bit
    assert found.p_value[1:].mean() > 0.3


def test_a_generator_that_breaks_on_an_image_calls_it_foreign(generator: Linear, rng: torch.Generator) -> None:
    def broken_first(*args: Any, **options: Any) -> Solved:
        found = pseudo_inverse(*args, **options)
        error = found.reconstruction_error.clone()
        error[0] = math.nan
        return Solved(found.z, found.x_hat, error)

    found = is_from(generator, generator.samples(2, rng), PRIOR, recover=broken_first, rng=rng)
    assert found.score[0] == math.inf
    assert found.p_value[0] == 1 / 100
    assert found.score[1].isfinite()


def test_the_solver_of_the_house_tells_two_small_networks_apart(rng: torch.Generator) -> None:
    def network(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 24), nn.Tanh())

    one, other, prior = network(1), network(2), Normal(3)
    with torch.no_grad():
        x = torch.cat([one(prior.sample(8, rng=rng)), other(prior.sample(8, rng=rng))])
    found = is_from(one, x, prior, calibration=19, solver=Adam(steps=150), restarts=3, rng=rng)
    assert (found.p_value[8:] == 1 / 20).all()
    assert roc_auc(found.score[8:], found.score[:8]).value == 1
    assert found.p_value[:8].mean() > 0.3


X = torch.zeros(2, PIXELS, dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X[0]}, "batch axis"),
        ({"x": X[:0]}, "n >= 1"),
        ({"calibration": 18}, "calibration >= 19, got 18"),
        ({"x": X[:, :70]}, r"shape \(n, 80\) .* `treatment`"),
        ({"x": 200 * torch.rand(2, PIXELS).round().double()}, r"got data in \[0, 255\]"),
        ({"x": X + 1.5, "eight_bit": True}, "eight_bit=False"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str, generator: Linear, rng: torch.Generator) -> None:
    def narrow(z: Tensor) -> Tensor:
        return generator(z).tanh()

    with pytest.raises(ValueError, match=message):
        is_from(**{"generator": narrow, "x": X, "prior": PRIOR, "recover": pseudo_inverse, "rng": rng} | change)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 2.0), (-2.1, 2.6)])
def test_own_images_of_eight_bits_are_no_foreigners_in_any_range(
    low: float, high: float, generator: Linear, rng: torch.Generator
) -> None:
    def ranged(z: Tensor) -> Tensor:
        return low + (high - low) * torch.sigmoid(4 * generator(z))

    def recover(generator: Any, x: Tensor, prior: Normal, **options: Any) -> Solved:
        unit = ((x - low) / (high - low)).clamp(1e-3, 1 - 1e-3)
        z = unit.logit() / 4 @ torch.linalg.pinv(Linear(0).matrix).mT
        return Solved(z, ranged(z), (ranged(z) - x).square().mean(1))

    x = ((ranged(PRIOR.sample(40, rng=rng)) - low) * (255 / (high - low))).round() * ((high - low) / 255) + low
    found = is_from(ranged, x, PRIOR, recover=recover, rng=rng)
    assert found.eight_bit
    assert found.p_value.mean() > 0.35


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kept", ["as it is", "in single precision", "after eight bits"])
def test_own_images_of_half_precision_are_no_foreigners(
    half: torch.dtype, kept: str, generator: Linear, rng: torch.Generator
) -> None:
    own = generator.samples(40, rng)
    x = (eight_bits(own) if kept == "after eight bits" else own).to(half)
    found = is_from(generator, x.float() if kept == "in single precision" else x, PRIOR, recover=pseudo_inverse, rng=rng)
    assert found.eight_bit == (kept == "after eight bits")
    assert found.p_value.mean() > 0.35
    foreign = Linear(1).samples(40, rng).to(half)
    assert is_from(generator, foreign, PRIOR, recover=pseudo_inverse, rng=rng).p_value.max() < 0.05
