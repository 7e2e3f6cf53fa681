"""Regularizers, wherever a code may have gone, and the values they claim."""

import math
import subprocess
import sys
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.discriminator_loss import DiscriminatorLoss
from latentry.latent.likelihood import NegativeLogPrior, NormShell
from latentry.latent.projection import quantile_projection
from latentry.latent.regularizers import (
    L2,
    AbsoluteValue,
    ComponentDistance,
    Distance,
    Regularizer,
    StatisticalDistance,
    WeightedSum,
)
from latentry.latent.schedules import Annealed
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    LogUniformRadius,
    Normal,
    NormalMixture,
    RadialPrior,
    SphericalCauchy,
    Tabulated,
    TruncatedCauchy,
    Uniform,
)

D = 48
DISTANCES = [StatisticalDistance(name) for name in get_args(Distance)]
REGULARIZERS = [
    L2(),
    AbsoluteValue(),
    NegativeLogPrior(),
    NormShell(),
    WeightedSum(((NormShell(), 0.5), (StatisticalDistance("anderson-darling"), 2.0))),
    *DISTANCES,
]
MIXTURE = NormalMixture([[-2.0] * D, [2.0] * D], [[1.0] * D, [0.5] * D])
FAR = [
    (Normal(D), 8.0),
    (Normal(D, loc=0.3, scale=2.0), 30.0),
    (Uniform(D), 1.1),
    (Uniform(D), 8.0),
    (HalfUniformHalfNormal(D), 8.0),
    (TruncatedCauchy(D), 25.0),
    (Tabulated(D, [0.0, 0.1, 0.4, 0.2, 0.3, 0.0]), 8.0),
    (SphericalCauchy(D), 1e3),
    (GammaRadius(D), 30.0),
    (LogUniformRadius(D), 40.0),
]
OF_LABELS = [(regularizer, MIXTURE, 12.0) for regularizer in (NegativeLogPrior(), NormShell())] + [
    (ComponentDistance(label, name), MIXTURE, 12.0) for name in get_args(Distance) for label in (None, 1)
]
CASES = [(regularizer, *case) for regularizer in REGULARIZERS for case in FAR] + OF_LABELS
CASES.remove((NormShell(), *FAR[2]))  # one element just outside does not make a code too long


@pytest.mark.parametrize(("regularizer", "prior", "far"), CASES, ids=repr)
def test_a_gradient_step_moves_a_far_element_towards_the_prior(
    regularizer: Regularizer, prior: RadialPrior, far: float, rng: torch.Generator
) -> None:
    """One element of a true code, and all elements of it, in single precision."""
    true = prior.sample(3, rng=rng)
    for side in (-far, far):
        one, every = true.clone(), torch.full_like(true, side)
        one[:, 0] = side
        for start in (one, every):
            z = start.clone().requires_grad_(True)
            loss = regularizer(z, prior)
            (gradient,) = torch.autograd.grad(loss.sum(), z)
            assert loss.shape == (3,)
            assert loss.isfinite().all()
            assert gradient.isfinite().all()
            step = z.detach() - gradient / gradient.norm(dim=1, keepdim=True)
            moved = step[:, 0] if start is one else step.mean(1)
            assert (moved.abs() < far).all()


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=repr)
@pytest.mark.parametrize("prior", [prior for prior, _ in FAR], ids=repr)
def test_at_zero_and_within_the_prior_losses_and_gradients_are_finite(
    regularizer: Regularizer, prior: RadialPrior, rng: torch.Generator
) -> None:
    z = torch.cat([prior.sample(20, rng=rng), torch.zeros(1, D)]).requires_grad_(True)
    loss = regularizer(z, prior)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("regularizer", [*REGULARIZERS, ComponentDistance()], ids=repr)
def test_a_loss_is_of_each_code_alone(regularizer: Regularizer, rng: torch.Generator) -> None:
    prior = MIXTURE if isinstance(regularizer, ComponentDistance) else Normal(D)
    z = prior.sample(6, rng=rng)
    assert_close(regularizer(z, prior)[2:4], regularizer(z[2:4], prior))


def test_the_negative_log_prior_of_a_normal_code_is_half_its_mean_square(rng: torch.Generator) -> None:
    z = 9 * torch.randn(5, D, generator=rng)
    assert_close(NegativeLogPrior()(z, Normal(D)), z.square().mean(1) / 2)


@pytest.mark.parametrize("prior", [HalfUniformHalfNormal(D), GammaRadius(D), LogUniformRadius(D), MIXTURE], ids=repr)
def test_within_the_support_the_negative_log_prior_is_the_density_of_an_element(
    prior: RadialPrior, rng: torch.Generator
) -> None:
    z = prior.sample(5, rng=rng)
    expected = -prior.log_prob(z) / D - 0.5 * math.log(2 * math.pi)
    assert_close(NegativeLogPrior()(z, prior), expected, rtol=1e-4, atol=1e-5)


def test_the_negative_log_prior_needs_a_density() -> None:
    class Sampled:
        latent_dim = D

        def sample(self, shape: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
            return torch.zeros(shape, D)

    for regularizer in (NegativeLogPrior(), NormShell()):
        with pytest.raises(ValueError, match="got Sampled"):
            regularizer(torch.zeros(1, D), Sampled())


def test_the_shell_is_zero_at_the_typical_norm_and_one_at_zero(rng: torch.Generator) -> None:
    shell = NormShell()
    direction = nn.functional.normalize(torch.randn(4, D, generator=rng), dim=1)
    assert_close(shell(math.sqrt(D) * 2 * direction, Normal(D, scale=2.0)), torch.zeros(4), rtol=0, atol=1e-10)
    assert_close(shell(math.sqrt(D / 3) * direction, Uniform(D)), torch.zeros(4), rtol=0, atol=1e-10)
    assert_close(shell(torch.zeros(4, D), Uniform(D)), torch.ones(4))
    norms = SphericalCauchy(D).sample(20_000, rng=rng).norm(dim=1)
    assert_close(shell(norms.median() * direction, SphericalCauchy(D)), torch.zeros(4), rtol=0, atol=1e-3)
    square = MIXTURE.sample(20_000, rng=rng).square().sum(1).mean()
    assert_close(shell(square.sqrt() * direction, MIXTURE), torch.zeros(4), rtol=0, atol=1e-4)


def test_the_discriminator_loss_is_that_of_least_squares_and_holds_its_networks(rng: torch.Generator) -> None:
    generator = nn.Sequential(nn.Linear(D, 6), nn.BatchNorm1d(6))
    discriminator = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    z = torch.randn(5, D, generator=rng, requires_grad=True)
    loss = DiscriminatorLoss(generator, discriminator)(z, Normal(D))
    assert discriminator[1].training
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
    torch.autograd.grad(loss.sum(), z)
    generator.eval()
    discriminator.eval()
    assert_close(loss, (discriminator(generator(z)) - 1).square().mean(1))
    flat = DiscriminatorLoss(lambda z: z, lambda x: x[:, 0])
    assert_close(flat(z, Normal(D)), (z[:, 0] - 1).square())


@pytest.mark.parametrize("name", get_args(Distance))
def test_the_distance_to_a_component_is_that_of_its_standard_scores(name: Distance, rng: torch.Generator) -> None:
    y = torch.tensor([0, 1, 1, 0])
    z = MIXTURE(y).sample(rng=rng)
    scores = (z - MIXTURE.loc[y]) / MIXTURE.scale[y]
    expected = StatisticalDistance(name)(scores, Normal(D))
    assert_close(ComponentDistance(distance=name)(z, MIXTURE), expected)  # each code is likeliest under its own label
    of_one = ComponentDistance(1, name)(z, MIXTURE)
    assert_close(of_one[1:3], expected[1:3])
    assert (of_one[[0, 3]] > 5 * expected.max()).all()


def test_the_distance_to_a_component_needs_labels() -> None:
    with pytest.raises(ValueError, match="got Normal;"):
        ComponentDistance()(torch.zeros(1, D), Normal(D))
    with pytest.raises(ValueError, match="labels from 0 to 1"):
        ComponentDistance(2)(torch.zeros(1, D), MIXTURE)


def test_a_weighted_sum_adds_up(rng: torch.Generator) -> None:
    z, prior = torch.randn(3, D, generator=rng), Normal(D)
    both = WeightedSum(((L2(), 0.3), (StatisticalDistance(), 2.0)))
    assert_close(both(z, prior), 0.3 * L2()(z, prior) + 2 * StatisticalDistance()(z, prior))


@pytest.mark.parametrize(
    "build", ["regularizers.StatisticalDistance('kolmogorov')", "regularizers.ComponentDistance(0, 'kolmogorov')"]
)
def test_an_unknown_distance_is_named(build: str) -> None:
    """In a process of its own, where nothing checks the annotation first."""
    done = subprocess.run(
        [sys.executable, "-c", f"import latentry; latentry.{build}"], capture_output=True, text=True, check=False
    )
    assert f"ValueError: expected a distance among {get_args(Distance)}, got 'kolmogorov'" in done.stderr


@pytest.mark.parametrize("prior", [prior for prior, _ in FAR], ids=repr)
def test_projected_codes_have_the_ranks_they_had_and_the_least_distance(prior: RadialPrior, rng: torch.Generator) -> None:
    prior = prior.double()
    z = prior.sample(4, rng=rng)
    projected = quantile_projection(z, prior)
    assert torch.equal(projected.argsort(1), z.argsort(1))
    least = StatisticalDistance()(projected, prior)
    assert_close(least, least[:1].expand(4))
    assert (StatisticalDistance()(projected + 0.01 * torch.randn_like(z), prior) > least).all()
    assert_close(quantile_projection(projected, prior), projected)
    prior.float()


def test_the_projection_is_onto_the_middles_of_the_cells() -> None:
    z = torch.tensor([[5.0, -7.0, 0.1, 0.1]])
    assert_close(quantile_projection(z, Uniform(4)), torch.tensor([[0.75, -0.75, -0.25, 0.25]]))


def test_an_annealed_weight_goes_by_equal_factors_and_stays() -> None:
    weight = Annealed(1.0, 1e-4, over=0.5)
    assert weight(0.0) == 1.0
    assert_close([weight(share) for share in (0.125, 0.25, 0.375, 0.5, 0.9)], [1e-1, 1e-2, 1e-3, 1e-4, 1e-4])
    with pytest.raises(ValueError, match="above 0"):
        Annealed(1.0, 0.0)
    with pytest.raises(ValueError, match="over in"):
        Annealed(1.0, 0.1, over=0.0)
