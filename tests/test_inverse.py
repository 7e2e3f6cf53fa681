"""Inverses of generators whose posterior mean is known, runs that are stopped, files, and every way to misuse them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.inverse import Inverse, fit_inverse
from latentry.latent.inverse_files import load_inverse, save_inverse
from latentry.latent.settings import InverseSettings
from latentry.networks import DCGANGenerator
from latentry.priors import GammaRadius, Normal, NormalMixture, SphericalCauchy, Uniform

D, PIXELS = 6, 14
TINY = {"steps": 6, "batch_size": 8, "width": 2, "checkpoint_every": 2}


def tiny(**more: Any) -> InverseSettings:
    return InverseSettings(**{**TINY, **more})


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matrix(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=seeded(5)) / math.sqrt(columns)


def linear(a: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: z @ a.to(z).mT


class KilledError(Exception):
    """As if the process had been killed."""


def test_the_inverse_of_a_linear_generator_is_its_pseudo_inverse() -> None:
    a = matrix(PIXELS, D)
    inverse = fit_inverse(
        linear(a), Normal(D), InverseSettings(steps=200, batch_size=128, width=1, learning_rate=2e-2), rng=seeded()
    )
    x = Normal(D).sample(500, rng=seeded(8)) @ a.mT
    assert (inverse(x) - x @ torch.linalg.pinv(a).mT).square().mean() < 0.01
    assert inverse.report.code_error < 0.01


def test_directions_without_a_trace_in_the_data_are_estimated_by_their_mean() -> None:
    """Of d = 12 coordinates a generator of rank 4 hides 8: the least error that there can be is 2 / 3."""
    d, rank = 12, 4
    a = matrix(rank, d)
    inverse = fit_inverse(
        linear(a), Normal(d), InverseSettings(steps=200, batch_size=128, width=1, learning_rate=2e-2), rng=seeded()
    )
    assert inverse.report.code_error == pytest.approx((d - rank) / d, abs=0.05)
    hidden = torch.eye(d) - torch.linalg.pinv(a) @ a
    x = Normal(d).sample(500, rng=seeded(8)) @ a.mT
    assert (inverse(x) @ hidden).square().mean() < 0.02


@pytest.mark.parametrize(
    "prior",
    [
        Normal(D, loc=40.0, scale=5.0),
        Uniform(D, 2.0, 3.0),
        GammaRadius(D),
        SphericalCauchy(D),
        NormalMixture([[-30.0] * D, [30.0] * D], [[1.0] * D, [2.0] * D]),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_the_error_is_in_the_priors_own_scale(prior: Normal) -> None:
    """A constant teaches nothing: the best estimate is the mean, and its error 1 whatever the prior's mean and width."""
    inverse = fit_inverse(lambda z: 0 * z[:, :1], prior, InverseSettings(steps=250, batch_size=64, width=1), rng=seeded())
    assert inverse.report.code_error == pytest.approx(1.0, abs=0.15)
    estimated = inverse(torch.zeros(4, 1))
    assert estimated.shape == (4, D)
    assert estimated.isfinite().all()


def test_estimates_stay_in_the_support() -> None:
    prior = Uniform(D, 2.0, 3.0)
    inverse = fit_inverse(linear(matrix(PIXELS, D)), prior, tiny(), rng=seeded())
    estimated = inverse(1000 * torch.randn(50, PIXELS))
    assert estimated.min() >= 2
    assert estimated.max() <= 3
    assert (estimated == 2).any()  # without the ends it would have gone on


@pytest.mark.parametrize("shape", [(1, 9, 13), (3, 28, 28), (2, 3, 3), (2, 50), (1, 5), (7,)], ids=str)
def test_images_signals_and_vectors_of_any_size_are_inverted(shape: tuple[int, ...]) -> None:
    a = matrix(math.prod(shape), D)
    inverse = fit_inverse(lambda z: (z @ a.mT).tanh().view(-1, *shape), Normal(D), tiny(), rng=seeded())
    assert inverse.data_shape == shape
    assert inverse(torch.zeros(5, *shape)).shape == (5, D)
    assert inverse(torch.zeros(0, *shape)).shape == (0, D)


def test_a_generator_that_saturates_is_inverted_from_what_it_leaves_beside_its_ends() -> None:
    """Of tanh(4 a z) most lies within 0.001 of an end; without a view of what is left there, the linear part would fail."""
    a = 4 * matrix(40, D)
    inverse = fit_inverse(
        lambda z: (z @ a.mT).tanh(),
        Normal(D),
        InverseSettings(steps=300, batch_size=64, width=1, learning_rate=2e-2),
        rng=seeded(),
    )
    assert inverse.report.code_error < 0.1


def test_equal_seeds_give_equal_inverses_and_leave_the_global_randomness_alone() -> None:
    state = torch.get_rng_state()
    one, two, other = (
        fit_inverse(linear(matrix(PIXELS, D)), Normal(D), tiny(), rng=seeded(seed)).encoder.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, noise: float) -> None:
    def fit(folder: Path, stop_after: int | None, seed: int | None) -> Inverse:
        def progress(done: int, total: int) -> None:
            if done == stop_after:
                raise KilledError

        generator = linear(matrix(PIXELS, D))
        return fit_inverse(generator, Normal(D), tiny(noise=noise), rng=seed, checkpoint=folder, progress=progress)

    whole = fit(tmp_path / "whole", None, 1)
    with pytest.raises(KilledError):
        fit(tmp_path / "stopped", 5, 1)
    stopped = fit(tmp_path / "stopped", None, None)  # the seed comes from the checkpoint
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(value, stopped.encoder.state_dict()[name])
    assert whole.report.course == stopped.report.course
    assert [step for step, _ in whole.report.course] == [2, 4, 6]
    assert whole.report.course[-1][1] == whole.report.code_error


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    fit_inverse(linear(matrix(PIXELS, D)), Normal(D), tiny(), checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"other settings \(width\)"):
        fit_inverse(linear(matrix(PIXELS, D)), Normal(D), tiny(width=3), checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"other settings \(corrupt\)"):
        fit_inverse(linear(matrix(PIXELS, D)), Normal(D), tiny(), corrupt=lambda x, rng: x, checkpoint=tmp_path)


def test_the_generator_is_given_back_as_it_came() -> None:
    generator = DCGANGenerator(D, width=1).train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    fit_inverse(generator, Normal(D), tiny())
    assert generator.training
    assert all(parameter.requires_grad for parameter in generator.parameters())
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_noise_is_added_to_what_the_encoder_sees() -> None:
    """With x = z + e the best estimate is z reduced to x / (1 + noise^2), whose error is noise^2 / (1 + noise^2)."""
    inverse = fit_inverse(
        lambda z: z,
        Normal(4),
        InverseSettings(steps=200, batch_size=128, width=1, learning_rate=1e-2, noise=1.0),
        rng=seeded(),
    )
    assert inverse.report.code_error == pytest.approx(0.5, abs=0.06)


def test_corrupted_data_are_read_as_well_as_their_posterior_lets_them() -> None:
    """Of four coordinates two are hidden and two have noise of variance 1: the least error is (1 + 1 + 1/2 + 1/2) / 4."""

    def corrupt(x: Tensor, rng: torch.Generator) -> Tensor:
        return (x + torch.randn(x.shape, generator=rng))[:, :2]

    inverse = fit_inverse(
        lambda z: z,
        Normal(4),
        InverseSettings(steps=200, batch_size=128, width=1, learning_rate=1e-2),
        corrupt=corrupt,
        rng=seeded(),
    )
    assert inverse.report.code_error == pytest.approx(0.75, abs=0.06)
    x = math.sqrt(2) * torch.randn(500, 2, generator=seeded(8))
    expected = torch.cat([x / 2, torch.zeros_like(x)], 1)
    assert (inverse(x) - expected).square().mean() < 0.04


def test_data_come_back_in_their_own_precision() -> None:
    inverse = fit_inverse(linear(matrix(PIXELS, D).double()), Normal(D).double(), tiny())
    assert inverse(torch.zeros(2, PIXELS, dtype=torch.float64)).dtype == torch.float64
    assert inverse(torch.zeros(2, PIXELS)).dtype == torch.float32
    assert not inverse(torch.zeros(2, PIXELS, requires_grad=True)).requires_grad


@pytest.fixture
def generator() -> DCGANGenerator:
    torch.manual_seed(1)
    return DCGANGenerator(D, width=1)


def test_a_saved_inverse_comes_back_beside_its_generator(tmp_path: Path, generator: DCGANGenerator) -> None:
    inverse = fit_inverse(generator, GammaRadius(D), tiny())
    (tmp_path / "config.json").write_text("the generator's own")
    save_inverse(tmp_path, inverse)
    loaded = load_inverse(tmp_path, generator)
    x = torch.rand(3, 1, 28, 28) * 2 - 1
    assert_close(loaded(x), inverse(x))
    assert loaded.report == inverse.report
    assert loaded.generator_fingerprint == inverse.generator_fingerprint is not None
    assert (tmp_path / "config.json").read_text() == "the generator's own"


def test_an_inverse_of_another_generator_is_refused(tmp_path: Path, generator: DCGANGenerator) -> None:
    save_inverse(tmp_path, fit_inverse(generator, Normal(D), tiny()))
    with torch.no_grad():
        generator.project[0].weight[0, 0] += 1
    with pytest.raises(ValueError, match="expected the generator with weights"):
        load_inverse(tmp_path, generator)
    for other, message in (
        (lambda z: z, r"data of shape \(1, 28, 28\) .* got \(6,\)"),
        (lambda z: z @ torch.zeros(5, 2), "codes of length 6 .* refuses"),
    ):
        with pytest.raises(ValueError, match=message):
            load_inverse(tmp_path, other)
    with pytest.raises(ValueError, match=r"codes of length 6 .* got a prior of 7"):
        load_inverse(tmp_path, prior=Normal(7))
    with pytest.raises(ValueError, match="fitted to, got Uniform"):
        load_inverse(tmp_path, prior=Uniform(6))


def test_a_strangers_prior_is_given_again(tmp_path: Path) -> None:
    class Shifted(nn.Module):
        latent_dim = D

        def sample(
            self, shape: tuple[int, ...] = (), y: Tensor | None = None, *, rng: torch.Generator | None = None
        ) -> Tensor:
            return 50 + torch.randn(*shape, D, generator=rng)

    inverse = fit_inverse(linear(matrix(PIXELS, D)), Shifted(), tiny())
    save_inverse(tmp_path, inverse)
    with pytest.raises(ValueError, match="pass prior"):
        load_inverse(tmp_path)
    x = torch.randn(3, PIXELS)
    assert_close(load_inverse(tmp_path, prior=Shifted())(x), inverse(x))


def test_a_file_of_another_kind_is_refused(tmp_path: Path, generator: DCGANGenerator) -> None:
    save_inverse(tmp_path, fit_inverse(generator, Normal(D), tiny()))
    config = tmp_path / "inverse.json"
    config.write_text(config.read_text().replace("ConvolutionalEncoder", "Sequential"))
    with pytest.raises(ValueError, match="does not describe an inverse of this version"):
        load_inverse(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 1}, "batch_size >= 2"),
        ({"width": 0}, "width >= 1"),
        ({"learning_rate": 0.0}, "learning_rate > 0"),
        ({"noise": -1.0}, "noise >= 0"),
        ({"noise": math.nan}, "noise"),
        ({"steps": 0}, "steps >= 1"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_inverse(lambda z: z, Normal(D), tiny(**arguments))


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (lambda z: z + torch.randn_like(z), "deterministic"),
        (lambda z: z - z.mean(0), "own code"),
        (lambda z: z.detach(), "differentiable"),
        (lambda z: z[:, :, None, None, None] * torch.ones(2, 2, 2), "images .* signals .* vectors"),
    ],
)
def test_generators_without_an_inverse_are_named(generator: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_inverse(generator, Normal(D), tiny())


def test_data_of_another_kind_are_refused() -> None:
    inverse = fit_inverse(linear(matrix(PIXELS, D)), Normal(D), tiny())
    with pytest.raises(ValueError, match=r"shape \(n, 14\) .* got \(3, 13\)"):
        inverse(torch.zeros(3, 13))
    with pytest.raises(ValueError, match=r"floating-point data, got torch\.uint8"):
        inverse(torch.zeros(3, PIXELS, dtype=torch.uint8))
