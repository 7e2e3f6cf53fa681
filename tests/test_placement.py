"""Placed features: distributions where theory puts them, divergences against torch's own, levels that are read back and
moved."""

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch.distributions import Independent, kl_divergence
from torch.distributions import Normal as TorchNormal
from torch.testing import assert_close

from latentry.priors import DiagonalNormal, NormalMixture, SemanticPlacement, load_prior, save_prior

LEVEL = 1e-4
NAMES = ("thick", "slanted", "zero", "one")


@pytest.fixture
def placement() -> SemanticPlacement:
    return SemanticPlacement(NAMES, 12, exclusive=("zero", "one"), block=2, separation=[3.0, 2.0, 5.0, 5.0]).double()


def distribution(mean: torch.Tensor, deviation: torch.Tensor) -> Independent:
    return Independent(TorchNormal(mean, deviation), 1)


def test_features_have_blocks_of_their_own_at_the_asked_separation(placement: SemanticPlacement) -> None:
    assert_close(placement.means @ placement.means.mT, torch.tensor([9.0, 4.0, 25.0, 25.0]).double().diag())
    assert ((placement.means != 0).sum(0) <= 1).all()
    assert not placement.means[:, 8:].any()
    assert_close(placement.separations, torch.tensor([3.0, 2.0, 5.0, 5.0]).double())


def test_the_overlap_is_the_error_of_the_best_reader(placement: SemanticPlacement, rng: torch.Generator) -> None:
    n = 20_000
    for name in ("thick", "slanted"):
        present = placement.at(placement.named({name: 1})).sample(n, rng=rng)
        wrong = int((placement.levels(present)[:, placement.index(name)] < 0.5).sum())
        assert stats.binomtest(wrong, n, placement.overlaps[placement.index(name)].item()).pvalue > LEVEL
    zeros = placement.at(placement.named({"zero": 1})).sample(n, rng=rng)
    like_one = int((placement.levels(zeros)[:, 3] > placement.levels(zeros)[:, 2]).sum())
    assert stats.binomtest(like_one, n, placement.overlaps[2].item()).pvalue > LEVEL


def test_codes_of_levels_have_the_mean_that_is_the_sum(placement: SemanticPlacement) -> None:
    a = placement.named({"thick": 1, "slanted": -0.5, "one": 1})
    assert_close(placement.at(a).mean, placement.means[0] - 0.5 * placement.means[1] + placement.means[3])
    assert_close(placement.at(a).variance, torch.ones(12).double())


def test_where_codes_add_so_do_their_variances(rng: torch.Generator) -> None:
    placement = SemanticPlacement(["a", "b"], 4, scale=[1.0, 2.0, 1.0, 0.5], combination="codes").double()
    alone, both, neutral = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert_close(placement.at(alone).scale, placement.deviations)
    assert_close(placement.at(neutral).scale, placement.deviations)
    first, second = (placement.at(row).sample(40_000, rng=rng) for row in torch.eye(2))
    found = (first + second).std(0)
    assert_close(placement.at(both).scale, found, rtol=0.02, atol=0.0)


def test_the_distribution_of_all_codes_is_the_mixture_over_combinations(placement: SemanticPlacement) -> None:
    z = torch.randn(5, 12, dtype=torch.float64) * 3
    combinations = placement.combinations
    assert len(combinations) == 2 * 2 * 2
    assert (combinations[:, 2:].sum(1) == 1).all()
    each = torch.stack([placement.at(row).log_prob(z) for row in combinations], 1)
    assert_close(placement.log_prob(z), each.logsumexp(1) - math.log(8))
    assert isinstance(placement, NormalMixture)
    assert placement.num_classes == 8


def test_classes_alone_are_a_mixture_with_one_component_each(rng: torch.Generator) -> None:
    placement = SemanticPlacement("abc", 5, exclusive="abc", separation=4.0)
    assert_close(placement.loc, 4 * torch.eye(5)[:3])
    z = placement.sample(2000, torch.tensor(1), rng=rng)
    assert (placement.sample_labels(z, rng=rng) == 1).double().mean() > 0.98


@pytest.mark.parametrize("combination", ["means", "codes"])
def test_the_divergence_is_that_of_torch(combination: Any) -> None:
    placement = SemanticPlacement(["a", "b"], 4, scale=[1.0, 2.0, 0.1, 0.5], combination=combination).double()
    mean, log_variance = torch.randn(2, 6, 4, dtype=torch.float64)
    a = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    there = placement.at(a)
    expected = kl_divergence(distribution(mean, (log_variance / 2).exp()), distribution(there.loc, there.scale))
    assert_close(placement.divergence(DiagonalNormal(mean, (log_variance / 2).exp()), a), expected)
    assert_close(placement.divergence(there, a), torch.zeros(6).double())


def test_unknown_levels_are_bounded_by_the_mixture_of_what_fits(placement: SemanticPlacement, rng: torch.Generator) -> None:
    nan = math.nan
    a = torch.tensor([[nan, 0.0, 1.0, 0.0], [nan, nan, 0.0, 1.0], [1.0, 0.0, nan, nan]], dtype=torch.float64)
    mean = placement.at(a.nan_to_num()).loc + torch.randn(3, 12, dtype=torch.float64)
    log_variance = torch.full_like(mean, -1.0)
    bound = placement.divergence(DiagonalNormal(mean, (log_variance / 2).exp()), a)
    for row, levels in enumerate(a):
        fits = ((placement.combinations == levels) | levels.isnan()).all(1)
        own = NormalMixture(placement.loc[fits], placement.scale[fits]).double()
        q = distribution(mean[row], (log_variance[row] / 2).exp())
        z = mean[row] + (log_variance[row] / 2).exp() * torch.randn(20_000, 12, generator=rng, dtype=torch.float64)
        gaps = q.log_prob(z) - own.log_prob(z)
        true, noise = gaps.mean(), gaps.std() / len(gaps) ** 0.5
        single = torch.stack([kl_divergence(q, distribution(*pair)) for pair in zip(own.loc, own.scale, strict=True)])
        assert true - 4 * noise <= bound[row] <= single.min() + math.log(len(single)) + 1e-9


def test_unknown_levels_with_one_fitting_combination_are_as_if_known(placement: SemanticPlacement) -> None:
    seen = placement.observed(torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]).double())
    assert_close(seen.probs, torch.tensor([2 / 3, 1 / 3]).double())
    mean = torch.randn(2, 12, dtype=torch.float64).requires_grad_()
    known, unknown = torch.tensor([[[1.0, 0, 1, 0], [0, 0, 0, 1]], [[1.0, math.nan, 1, 0], [0, 0, 0, 1]]]).double()
    q = DiagonalNormal(mean, torch.ones_like(mean))
    bounded = seen.divergence(q, unknown)
    assert_close(bounded, seen.divergence(q, known))
    (gradient,) = torch.autograd.grad(bounded.sum(), mean)
    assert_close(gradient, mean.detach() - seen.at(known).loc)
    with pytest.raises(ValueError, match=r"fit one of the combinations.*observed"):
        seen.divergence(q, torch.tensor([[math.nan, 1.0, 1, 0]]).double().expand(2, -1))


@pytest.mark.parametrize("overlapping", [False, True])
def test_levels_are_read_moved_and_reversed_one_at_a_time(overlapping: bool, rng: torch.Generator) -> None:
    means = torch.randn(3, 7, generator=rng, dtype=torch.float64) if overlapping else None
    placement = SemanticPlacement("abc", 7, means=means, scale=torch.rand(7, generator=rng) + 0.5).double()
    z = placement.sample(10, rng=rng)
    before = placement.levels(z)
    assert_close(placement.levels(placement.means), torch.eye(3).double())
    assert_close(placement.levels(placement.moved(z, "b", 0.7)) - before, torch.tensor([[0, 0.7, 0]]).double().expand(10, 3))
    there = placement.reversed(z, "c")
    assert_close(placement.levels(there), before * torch.tensor([1.0, 1.0, -1.0]).double())
    assert_close(placement.reversed(there, "c"), z)


def test_a_placement_is_kept_in_a_file(placement: SemanticPlacement, tmp_path: Any) -> None:
    save_prior(tmp_path / "prior.json", placement)
    again = load_prior(tmp_path / "prior.json")
    assert isinstance(again, SemanticPlacement)
    assert again.features == NAMES
    assert again.exclusive == ("zero", "one")
    z = torch.randn(3, 12)
    assert_close(again.log_prob(z), placement.float().log_prob(z))
    assert_close(again.at(again.named({"thick": -1})).loc, placement.at(placement.named({"thick": -1})).loc)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": ("a", "a")}, "different names"),
        ({"features": ()}, "got none"),
        ({"exclusive": ("c",)}, "exclusive features among a, b, got c"),
        ({"block": 4}, "got 2 of 4; take smaller"),
        ({"block": 0}, "at least 1"),
        ({"separation": 0.0}, "separation above 0.*cannot be distinguished"),
        ({"separation": [1.0]}, "one for each of 2"),
        ({"means": [[1.0] * 6, [0.0] * 6]}, "apart from neutral, got 0 for b"),
        ({"means": [[1.0] * 5, [0.0] * 5]}, r"shape \(2, 6\)"),
        ({"scale": [1.0]}, "6 deviations"),
        ({"scale": [0.0] * 6}, "scales above 0"),
        ({"combinations": [[2.0, 0.0]]}, "-1, 0, 1 or NaN"),
        ({"combinations": [[math.nan, 0.0]]}, "known levels"),
        ({"exclusive": ("a", "b"), "combinations": [[1.0, 1.0]]}, "exactly one of a, b .* a at 1 and b at 1 for datum 0"),
        ({"exclusive": ("a", "b"), "combinations": [[0.0, 0.0]]}, "got none for datum 0"),
        ({"features": tuple(map(str, range(13))), "latent_dim": 13}, "at most 4096 combinations"),
    ],
)
def test_bad_placements_say_what_was_expected(changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"features": ("a", "b"), "latent_dim": 6, **changed}
    with pytest.raises(ValueError, match=message):
        SemanticPlacement(given.pop("features"), given.pop("latent_dim"), **given)


def test_unknown_names_come_with_the_closest_known_one(placement: SemanticPlacement) -> None:
    with pytest.raises(ValueError, match="did you mean 'thick'"):
        placement.named({"thik": 1})
    with pytest.raises(ValueError, match="choose one of these"):
        placement.moved(torch.zeros(1, 12).double(), "xyz", 1)
    with pytest.raises(ValueError, match="zero and one; choose one"):
        placement.named({"zero": 1, "one": 1})
    with pytest.raises(ValueError, match="levels of 4 features, got 3"):
        placement.at(torch.zeros(3))
