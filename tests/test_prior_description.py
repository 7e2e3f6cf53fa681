"""What every prior answers, ours and strangers' alike."""

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from latentry.latent.likelihood import NegativeLogPrior, NormShell
from latentry.latent.regularizers import StatisticalDistance
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    LogUniformRadius,
    Normal,
    NormalMixture,
    RadialPrior,
    SphericalCauchy,
    Tabulated,
    Uniform,
    as_prior,
    summarize,
)

D = 6
INDEPENDENT = [Normal(D, 1.0, 2.0), Uniform(D, 2.0, 6.0), HalfUniformHalfNormal(D), Tabulated(D, [0.2, 0.5, 0.3])]
RADIAL = [GammaRadius(D), SphericalCauchy(D), LogUniformRadius(D)]
MIXTURE = NormalMixture([[-2.0] * D, [2.0] * D], [[1.0] * D, [0.5] * D])
ours = pytest.mark.parametrize("prior", [*INDEPENDENT, *RADIAL], ids=repr)


class Sampled:
    """A stranger's prior: codes, and the answers that are passed in."""

    def __init__(self, of: Any, *answers: str) -> None:
        self.latent_dim, self.of = of.latent_dim, of
        for name in answers:
            setattr(self, name, getattr(of, name))

    def sample(self, shape: int = 1, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        return self.of.sample(shape, rng=rng)


@ours
def test_normal_coordinates_are_standard_normal_and_lead_back(prior: IIDPrior | RadialPrior, rng: torch.Generator) -> None:
    z = prior.double().sample(2000, rng=rng)
    e = prior.to_normal(z)
    assert stats.kstest(e.flatten().numpy(), "norm").pvalue > 1e-3
    assert_close(prior.from_normal(e), z, rtol=1e-8, atol=1e-8)
    prior.float()


@ours
def test_iid_coordinates_are_of_the_distribution_that_comes_with_them(
    prior: IIDPrior | RadialPrior, rng: torch.Generator
) -> None:
    z = prior.sample(500, rng=rng)
    e, distribution = prior.iid_coordinates(z)
    u = distribution.cdf(e.double()).flatten()
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3
    assert_close(prior.from_iid_coordinates(e), z, rtol=1e-5, atol=1e-6)


@ours
def test_standardization_leads_back_within_the_support(prior: IIDPrior | RadialPrior, rng: torch.Generator) -> None:
    scale, z = prior.standardization(), prior.sample(500, rng=rng)
    assert_close(scale.codes(scale.units(z)), z, rtol=1e-5, atol=1e-5)
    assert_close(scale.inside(scale.units(z)), scale.units(z), rtol=1e-4, atol=1e-5)
    assert scale.units(z).square().mean().sqrt().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("prior", [*INDEPENDENT, *RADIAL[:1], MIXTURE], ids=repr)
def test_codes_lie_near_the_typical_norm(prior: IIDPrior | RadialPrior | NormalMixture, rng: torch.Generator) -> None:
    norms = prior.sample(20_000, rng=rng).norm(dim=1)
    typical = norms.median() if isinstance(prior, RadialPrior) else norms.square().mean().sqrt()
    assert prior.typical_norm() == pytest.approx(typical.item(), rel=0.05)


def test_only_mixtures_are_labelled_and_they_have_no_coordinates_of_one_distribution() -> None:
    assert MIXTURE.labelled
    assert not any(prior.labelled for prior in (*INDEPENDENT, *RADIAL))
    z = torch.zeros(2, D)
    for question in (MIXTURE.to_normal, MIXTURE.from_normal, MIXTURE.iid_coordinates, MIXTURE.from_iid_coordinates):
        with pytest.raises(ValueError, match="got NormalMixture"):
            question(z)
    with pytest.raises(ValueError, match="take the prior of one of them"):
        MIXTURE.univariate()


def test_a_component_is_standard_normal_in_its_scores(rng: torch.Generator) -> None:
    component = MIXTURE(torch.tensor([0, 1]))
    z = component.sample(rng=rng)
    assert_close(component.to_normal(z), (z - component.loc) / component.scale)
    assert_close(component.from_normal(component.to_normal(z)), z)


@pytest.mark.parametrize(
    ("prior", "answers"),
    [(INDEPENDENT[1], ("marginal", "log_prob")), (RADIAL[2], ("to_normal", "from_normal", "log_prob"))],
    ids=["marginal", "normal coordinates"],
)
def test_a_stranger_with_a_marginal_or_normal_coordinates_answers_as_ours(
    prior: Any, answers: tuple[str, ...], rng: torch.Generator
) -> None:
    stranger, z = Sampled(prior, *answers), prior.sample(50, rng=rng)
    known = as_prior(stranger)
    assert_close(known.to_normal(z), prior.to_normal(z))
    assert_close(known.from_normal(prior.to_normal(z)), z)
    assert_close(known.iid_coordinates(z)[0], prior.iid_coordinates(z)[0])
    assert_close(known.standardization().units(z), prior.standardization().units(z))
    assert_close(known.location_scale(z).scale, prior.location_scale(z).scale)
    for regularizer in (StatisticalDistance(), NegativeLogPrior()):
        assert_close(regularizer(z, stranger), regularizer(z, prior), rtol=1e-5, atol=1e-5)


def test_a_stranger_that_can_only_be_sampled_has_a_frame_and_moments(rng: torch.Generator) -> None:
    known, z = as_prior(Sampled(INDEPENDENT[0])), INDEPENDENT[0].sample(100, rng=rng)
    location_scale = known.location_scale(z)
    assert_close(location_scale.centre, torch.full((D,), 1.0), rtol=0, atol=0.15)
    assert_close(location_scale.scale, torch.full((D,), 2.0), rtol=0, atol=0.15)
    assert_close(known.standardization().units(z), (z - 1) / 2, rtol=0, atol=0.1)
    with pytest.raises(ValueError, match="got Sampled"):
        known.iid_coordinates(z)


def test_what_a_stranger_says_of_itself_comes_first() -> None:
    class Described(Sampled):
        def typical_norm(self) -> float:
            return 5.0

    direction = torch.nn.functional.one_hot(torch.tensor([0]), D).float()
    assert NormShell()(5 * direction, Described(INDEPENDENT[0])).item() == pytest.approx(0, abs=1e-12)
    assert as_prior(INDEPENDENT[0]) is INDEPENDENT[0]


@pytest.mark.parametrize("prior", RADIAL, ids=repr)
def test_the_entropy_of_a_code_is_that_of_the_distribution(prior: RadialPrior) -> None:
    assert summarize(prior).code_entropy == pytest.approx(prior().entropy().item(), rel=1e-6)
    assert math.isfinite(prior().nats)
