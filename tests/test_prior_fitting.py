"""Priors fitted to codes: the right family where it is known, honest judgement, and codes of every kind."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import latentry as lt
from latentry.evaluation.prepared_codes import prepared
from latentry.priors.mixture_fitting import fitted_mixture


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(n: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (5 * drawn(4, 3, seed=99))[torch.randint(4, (n,), generator=rng)] + drawn(n, 3, seed=seed)


def skewed(n: int, seed: int) -> Tensor:
    a, b, c = drawn(n, 3, seed=seed).unbind(1)
    return torch.stack([a.exp(), b.square(), c.sinh()], 1)


def banana(n: int, seed: int) -> Tensor:
    a, b = drawn(n, 2, seed=seed).unbind(1)
    return torch.stack([a, a.square() + 0.1 * b], 1)


CORRELATED = torch.eye(4, dtype=torch.float64) + 0.6 * torch.ones(4, 4, dtype=torch.float64).tril(-1)
TOYS: dict[str, tuple[Callable[[int, int], Tensor], set[str]]] = {
    "standard": (lambda n, seed: drawn(n, 4, seed=seed), {"standard-normal"}),
    "independent": (lambda n, seed: 2 + drawn(n, 2, seed=seed) * torch.tensor([0.1, 5.0]), {"independent-normal"}),
    "correlated": (lambda n, seed: drawn(n, 4, seed=seed) @ CORRELATED, {"normal"}),
    "skewed": (skewed, {"copula"}),
    "clustered": (clusters, {"mixture"}),
    "banana": (banana, {"mixture", "flow"}),
}


@pytest.mark.parametrize("name", TOYS)
def test_the_family_of_the_codes_is_found(name: str) -> None:
    make, right = TOYS[name]
    found = lt.fit_prior(make(1000, 21), rng=torch.Generator().manual_seed(21), progress=None)
    assert found.family in right
    assert found.passes
    assert found.held_out_log_likelihood.value == pytest.approx(found.prior.log_prob(make(2000, 77)).mean().item(), abs=0.6)
    assert "could have come" in found.verdict
    assert found.fitted_codes + found.judging_codes == (800 if found.family == "flow" else 1000)


def test_a_prior_of_the_wrong_family_is_said_to_be_wrong() -> None:
    found = lt.fit_prior(clusters(1000, 3), family="normal", rng=torch.Generator().manual_seed(0), progress=None)
    assert found.family == "normal"
    assert not found.passes
    assert "could not have come" in found.verdict
    assert [one.family for one in found.fits] == ["normal"]


def test_a_flow_beats_every_other_family_on_a_thin_bent_set_of_codes() -> None:
    found = lt.fit_prior(banana(800, 5), family="flow", rng=torch.Generator().manual_seed(0), progress=None)
    copula = lt.fit_prior(banana(800, 5), family="copula", rng=torch.Generator().manual_seed(0), progress=None)
    assert found.held_out_log_likelihood.low > copula.held_out_log_likelihood.high


def test_a_seed_repeats_the_fit_and_leaves_the_generator_of_torch_alone() -> None:
    before = torch.get_rng_state()
    first, second = (
        lt.fit_prior(clusters(300, 1), family="mixture", rng=torch.Generator().manual_seed(3), progress=None).prior
        for _ in range(2)
    )
    assert_close(first.loc, second.loc, rtol=0, atol=0)
    assert (torch.get_rng_state() == before).all()


def test_a_fitted_prior_is_a_prior_everywhere(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    found = lt.fit_prior(skewed(500, 1).float(), family="copula", rng=rng, progress=None)
    lt.priors.save_prior(tmp_path / "prior.json", found.prior)
    prior = lt.priors.load_prior(tmp_path / "prior.json")
    z = prior.sample(200, rng=rng)
    assert z.dtype == torch.float32
    assert lt.goodness_of_fit(z, prior, rng=rng).passes
    assert lt.goodness_of_fit(lt.interpolate(*prior.sample((2, 200), rng=rng), 0.5, prior), prior, rng=rng).passes
    matrix = drawn(3, 8).float()
    met = lt.recover_codes(lambda z: z @ matrix, z[:3] @ matrix, prior, restarts=1, rng=rng, progress=None)
    assert_close(met.z, z[:3], rtol=1e-3, atol=1e-3)
    assert str(found)
    found.plot()


def test_spatial_codes_are_flattened_and_shaped_again() -> None:
    z = drawn(100, 2, 3, 3)
    found = lt.fit_prior(z, family="independent-normal", rng=torch.Generator().manual_seed(0), progress=None)
    assert found.code_shape == (2, 3, 3)
    assert found.prior.latent_dim == 18
    assert found.shaped(found.prior.sample(5)).shape == (5, 2, 3, 3)


def test_long_codes_and_few_ones_have_no_cliff() -> None:
    for z in (drawn(400, 512), drawn(60, 100)):
        found = lt.fit_prior(z, rng=torch.Generator().manual_seed(0), progress=None)
        normal = next(one for one in found.fits if one.family == "normal")
        assert normal.behind.value < 0.1 * z.shape[1]
        assert "flow" in found.left_out


def test_copies_constants_and_discrete_values_are_handled_and_said() -> None:
    rng = torch.Generator().manual_seed(0)
    copied = lt.fit_prior(drawn(200, 2).repeat(2, 1), family="normal", rng=rng, progress=None)
    assert (copied.copies, copied.fitted_codes + copied.judging_codes) == (200, 200)
    constant = lt.fit_prior(
        torch.cat([drawn(200, 2), torch.full((200, 1), 3.0)], 1), family="normal", rng=rng, progress=None
    )
    assert constant.constant == (2,)
    assert_close(constant.prior.sample(50, rng=rng)[:, 2], torch.full((50,), 3.0, dtype=torch.float64), rtol=0, atol=0.01)
    discrete = lt.fit_prior(torch.randint(6, (500, 2), generator=rng).double(), family="copula", rng=rng, progress=None)
    assert discrete.discrete == (0, 1)
    assert discrete.prior.sample(100, rng=rng).round().unique().numel() <= 8
    assert "discrete" in str(discrete)


def test_a_spread_value_stays_between_the_middles_to_its_neighbours() -> None:
    z = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64).repeat(40)[:, None]
    found = prepared(z, torch.Generator().manual_seed(0)).z[:, 0]
    low, high = torch.tensor([-0.5, 0.5, 2.0]).repeat(40), torch.tensor([0.5, 2.0, 4.0]).repeat(40)
    assert ((found >= low) & (found <= high)).all()


def test_heavy_tails_are_fitted_with_a_finite_density() -> None:
    z = drawn(600, 1) / drawn(600, 1, seed=1).abs()
    found = lt.fit_prior(z, rng=torch.Generator().manual_seed(0), progress=None)
    assert found.family == "copula"
    assert math.isfinite(found.held_out_log_likelihood.value)


def test_one_component_is_enough_for_normal_codes() -> None:
    assert len(fitted_mixture(drawn(500, 2), torch.Generator().manual_seed(0)).loc) == 1


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (drawn(10, 2), "at least 40 codes, got 10"),
        (torch.ones(100, 2), "all equal"),
        (drawn(100, 2).clamp(min=0), "as coordinate 0 of"),
        (drawn(100), "add an axis"),
        (torch.full((100, 2), math.nan), "NaN"),
    ],
)
def test_codes_that_have_no_density_are_refused_in_a_sentence(codes: Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        lt.fit_prior(codes, progress=None)


def test_active_dimensions_are_those_that_move() -> None:
    mean = drawn(400, 5) * torch.tensor([1.0, 1.0, 1.0, 0.01, 0.0])
    found = lt.metrics.active_dimensions(mean, torch.tensor([-4.0, -4.0, -4.0, 0.0, 0.0]).expand(400, 5))
    assert found.active.tolist() == [True, True, True, False, False]
    assert found.count == 3
    assert found.participation_ratio == pytest.approx(3, abs=0.1)
    assert found.directions == 3
    assert found.divergence is not None
    assert_close(found.divergence[3:], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-3)
    posterior = torch.distributions.Normal(mean, torch.tensor([-2.0, -2.0, -2.0, 0.0, 0.0]).exp().expand(400, 5))
    again = lt.metrics.active_dimensions(posterior)
    assert again.divergence is not None
    assert_close(again.divergence, found.divergence, rtol=1e-5, atol=1e-6)
    assert "3 of 5" in str(found)
    found.plot()


def test_codes_that_move_together_spread_over_one_direction() -> None:
    found = lt.metrics.active_dimensions(drawn(300, 1).expand(300, 4))
    assert (found.count, found.directions) == (4, 1)
    assert found.participation_ratio == pytest.approx(1)
    with pytest.raises(ValueError, match="all equal"):
        lt.metrics.active_dimensions(torch.ones(5, 2))


def test_a_prior_is_saved_as_json_alone_and_taken_out_of_its_fit(tmp_path: Path) -> None:
    found = lt.fit_prior(torch.randn(200, 2, generator=torch.Generator().manual_seed(0)), family="normal", progress=None)
    with pytest.raises(ValueError, match=r"ends in \.json, got"):
        lt.priors.save_prior(tmp_path / "prior.safetensors", found.prior)
    with pytest.raises(ValueError, match=r"got FittedPrior, which holds one; pass its \.prior"):
        lt.priors.as_prior(found)
