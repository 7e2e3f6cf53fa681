"""Designed priors against what is known of them: brute-force distributions of combinations, limits, known figures."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import latentry as lt
from latentry.numerics.combination import GridCombination, continuous_divergence, even_midpoints
from latentry.numerics.constrained import Evaluation, minimise_worst
from latentry.numerics.masses import Masses, largest_expectation
from latentry.priors import Design, Designed, Moment, design_interpolable, redesign_singh2019

STD = 27.7 / 1024
WEIGHTS = [(0.5, 0.5), (0.75, 0.25), (0.9, 0.1), (0.63, 0.37), (1.25, -0.25), (1 / 3,) * 3, (1.0, 1.0, -1.0)]
weight_cases = pytest.mark.parametrize("weights", WEIGHTS, ids=str)


def random_masses(n: int, rng: torch.Generator) -> Tensor:
    p = torch.rand(n, generator=rng, dtype=torch.float64)
    return p / p.sum()


def bins(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float64)


def normal_masses(n: int, std: float) -> Tensor:
    p = (-0.5 * ((bins(n) - (n - 1) / 2) / std).square()).exp()
    return p / p.sum()


def shared_pairwise(p: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Every tuple of bins, its mass shared linearly between the two bins beside its combination."""
    q = torch.zeros_like(p)
    for index in itertools.product(range(len(p)), repeat=len(weights)):
        place = sum(w * i for w, i in zip(weights, index, strict=True))
        mass = math.prod(p[i].item() for i in index)
        for k in (math.floor(place), math.floor(place) + 1):
            if 0 <= k < len(p):
                q[k] += mass * (1 - abs(place - k))
    return q


@weight_cases
def test_the_distribution_of_a_combination_shares_each_tuples_mass_between_its_two_neighbours(
    weights: tuple[float, ...], rng: torch.Generator
) -> None:
    p = random_masses(13, rng)
    assert_close(GridCombination(13, weights).masses(p), shared_pairwise(p, weights), rtol=0, atol=1e-12)


def test_weights_without_a_common_denominator_are_shared_on_a_finer_lattice(rng: torch.Generator) -> None:
    p, weights = normal_masses(41, 4.0), (1 - 2**0.5 / 3, 2**0.5 / 3)
    assert_close(GridCombination(41, weights).masses(p), shared_pairwise(p, weights), rtol=0, atol=3e-4)


@pytest.mark.parametrize("t", [0.5, 0.25, 0.1, 0.37, 2**0.5 / 3])
def test_between_two_codes_no_mass_is_lost_and_the_mean_is_kept(t: float, rng: torch.Generator) -> None:
    p = random_masses(101, rng) * normal_masses(101, 12.0)
    p = p / p.sum()
    q = GridCombination(101, (1 - t, t)).masses(p)
    assert_close(q.sum().item(), 1.0, rtol=0, atol=1e-9)
    assert_close(q @ bins(101), p @ bins(101), rtol=0, atol=1e-7)


def test_midpoints_between_bins_count_half_in_each(rng: torch.Generator) -> None:
    p = random_masses(64, rng)
    c = torch.from_numpy(np.convolve(p.numpy(), p.numpy()))
    q = c[::2].clone()
    q[1:] += c[1::2] / 2
    q[:-1] += c[1::2] / 2
    assert_close(GridCombination(64, (0.5, 0.5)).masses(p), q, rtol=0, atol=1e-14)


def test_beyond_the_ends_mass_leaves_the_grid_and_is_not_folded_back() -> None:
    p = torch.full((100,), 0.01, dtype=torch.float64)
    inside = GridCombination(100, (1.5, -0.5)).masses(p).sum().item()
    assert_close(inside, 2 / 3, rtol=0, atol=0.01)  # 1.5 U - 0.5 U' on (0, 1), by area


def test_two_atoms_at_an_odd_distance_are_perfect_to_the_authors_and_worth_ln_2_in_truth() -> None:
    p = torch.zeros(64, dtype=torch.float64)
    p[10] = p[41] = 0.5
    assert even_midpoints(p)[0] == pytest.approx(0.0, abs=1e-12)
    assert GridCombination(64, (0.5, 0.5)).divergence(p)[0] == pytest.approx(math.log(2), abs=1e-12)


def test_the_uniform_distribution_is_1_minus_ln_2_from_its_midpoints() -> None:
    p = torch.full((2048,), 1 / 2048, dtype=torch.float64)
    assert GridCombination(2048, (0.5, 0.5)).divergence(p)[0] == pytest.approx(1 - math.log(2), abs=1e-3)
    assert continuous_divergence(p, (0.5, 0.5)) == pytest.approx(1 - math.log(2), abs=1e-12)


def test_the_normal_distribution_is_half_of_1_minus_ln_2_from_its_midpoints() -> None:
    for t, v in ((0.5, 0.5), (0.25, 0.625), (0.1, 0.82)):
        expected = (1 / v - 1 + math.log(v)) / 2  # of N(0, 1) from N(0, v)
        p = normal_masses(1024, 60.0)
        assert GridCombination(1024, (1 - t, t)).divergence(p)[0] == pytest.approx(expected, rel=3e-3)
        assert continuous_divergence(p, (1 - t, t)) == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.75, 0.25), (1.2, -0.2), (0.25, 0.25, 0.5)], ids=str)
def test_the_continuous_divergence_is_that_of_a_much_finer_grid(weights: tuple[float, ...], rng: torch.Generator) -> None:
    p = random_masses(9, rng)
    fine = p.repeat_interleave(480) / 480
    assert continuous_divergence(p, weights) == pytest.approx(
        GridCombination(9 * 480, weights).divergence(fine)[0], rel=3e-3
    )


@pytest.mark.parametrize("divergence", [*(GridCombination(40, w).divergence for w in WEIGHTS), even_midpoints])
def test_gradients_of_divergences_are_their_slopes(divergence: object, rng: torch.Generator) -> None:
    p, step = random_masses(40, rng), torch.randn(40, generator=rng, dtype=torch.float64) * 1e-6
    up, down = divergence(p + step * p)[0], divergence(p - step * p)[0]  # type: ignore[operator]
    assert (up - down) / 2 == pytest.approx((divergence(p)[1] @ (step * p)).item(), rel=1e-4)  # type: ignore[operator]


@pytest.mark.parametrize("cap", [math.inf, 0.05])
@pytest.mark.parametrize("std", [None, 0.1, 0.3])
def test_any_free_numbers_give_masses_with_all_that_is_built_in(cap: float, std: float | None, rng: torch.Generator) -> None:
    statistic = None if std is None else ((bins(101) - 50) / (101 * std)).square()
    allowed = (bins(101) - 50).abs() > 3
    family = Masses(allowed, symmetric=True, cap=cap, fixed_statistic=statistic)
    x = family.free(random_masses(101, rng)) * (1 + torch.rand(len(family), generator=rng, dtype=torch.float64))
    p, pullback = family.with_pullback(x)
    assert_close(p.sum().item(), 1.0, rtol=0, atol=1e-12)
    assert_close(p, p.flip(0), rtol=0, atol=0)
    assert (p[~allowed] == 0).all()
    assert (p >= 0).all()
    assert (p <= cap).all()
    if statistic is not None:
        assert_close((p @ statistic).item(), 1.0, rtol=0, atol=1e-11)
    g, step = torch.randn(101, generator=rng, dtype=torch.float64), torch.randn(len(x), generator=rng, dtype=torch.float64)
    slope = ((family(x + 1e-6 * step * x) - family(x - 1e-6 * step * x)) @ g).item() / 2e-6
    assert slope == pytest.approx((pullback(g) @ (step * x)).item(), rel=1e-4)


def test_the_largest_expectation_fills_the_largest_values_first() -> None:
    s, cap = torch.tensor([1.0, 5.0, 3.0, 4.0]).double(), torch.full((4,), 0.4, dtype=torch.float64)
    assert largest_expectation(s, cap) == pytest.approx(0.4 * 5 + 0.4 * 4 + 0.2 * 3)


def test_the_least_worst_of_two_parabolas_under_a_line_is_where_calculus_has_it() -> None:
    # max((x-1)^2 + y^2, (x+1)^2 + y^2) with y >= 2: at (0, 2), both 5, shares 1/2, and 4 lost per unit of y
    centres = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double()

    def evaluate(x: Tensor) -> Evaluation:
        apart = x - centres
        return Evaluation(
            apart.square().sum(1), (2 - x[1]).view(1), lambda a, b: 2 * a @ apart - b * torch.tensor([0.0, 1.0]).double()
        )

    found = minimise_worst(evaluate, torch.tensor([3.0, -1.0]).double(), gradient_tolerance=1e-7)
    assert found.converged
    assert_close(found.x, torch.tensor([0.0, 2.0]).double(), rtol=0, atol=1e-5)
    assert_close(found.shares, torch.tensor([0.5, 0.5]).double(), rtol=0, atol=1e-4)
    assert_close(found.multipliers, torch.tensor([4.0]).double(), rtol=0, atol=1e-3)


def quick(**demands: Any) -> Designed:
    return design_interpolable(2, **{"bins": 64, "tolerance": 1e-4, **demands})


def report(prior: Designed) -> Design:
    assert prior.design is not None
    return prior.design


def cauchy_divergences() -> list[float]:
    """The truncated Cauchy distribution of std 27.7 bins, sampled at the bins' centres."""
    p = 1 / (1 + ((bins(1024) - 511.5) / 2.3641923).square())
    p = p / p.sum()
    assert ((p @ (bins(1024) - 511.5).square()).sqrt().item()) == pytest.approx(27.7, abs=1e-4)
    return [GridCombination(1024, (1 - t, t)).divergence(p)[0] for t in (0.5, 0.25, 0.1)]


def test_the_truncated_cauchy_of_the_published_spread_has_the_known_divergences() -> None:
    assert cauchy_divergences() == pytest.approx([0.0128, 0.0054, 0.0020], abs=5e-5)


def test_the_default_design_is_nearer_to_its_combinations_than_the_cauchy_at_all_of_them() -> None:
    prior = design_interpolable(3)
    design = report(prior)
    assert design.converged
    assert design.violation == 0
    assert design.std >= STD - 1e-12
    tenth, quarter, half = design.divergence
    assert half <= 0.0101
    assert quarter <= 0.0036
    assert tenth <= 0.0012
    assert all(ours < theirs for ours, theirs in zip((half, quarter, tenth), cauchy_divergences(), strict=True))
    assert_close(prior.probs.sum().item(), 1.0, rtol=0, atol=1e-12)
    assert prior.sample(5).shape == (5, 3)


def test_a_design_for_midpoints_alone_reaches_the_known_figure() -> None:
    design = report(design_interpolable(3, mix=(0.5,)))
    assert design.converged
    assert design.divergence[0] <= 0.0067


def test_the_least_worst_design_has_equal_divergences() -> None:
    design = report(design_interpolable(3, combine="max"))
    assert design.converged
    assert max(design.divergence) <= 0.0083
    assert max(design.divergence) - min(design.divergence) < 1e-6
    assert sum(design.shares) == pytest.approx(1)


def test_the_authors_problem_has_the_known_optimum() -> None:
    design = report(redesign_singh2019(3, start="cauchy"))
    assert design.converged
    assert design.objective == pytest.approx(0.00612, abs=2e-5)
    assert design.divergence[0] == pytest.approx(0.00663, abs=2e-5)


def test_from_the_authors_uniform_start_their_problem_ends_at_the_same_optimum() -> None:
    uniform, cauchy = (report(redesign_singh2019(3, bins=64, start=start)) for start in ("uniform", "cauchy"))
    assert uniform.objective == pytest.approx(cauchy.objective, rel=1e-5)


def test_coarse_to_fine_ends_where_the_direct_search_ends() -> None:
    through, direct = (quick(bins=300, coarse_to_fine=flag, tolerance=1e-5) for flag in (True, False))
    assert report(through).objective == pytest.approx(report(direct).objective, rel=1e-5)
    assert_close(through.probs, direct.probs, rtol=0, atol=1e-4)


def test_the_start_does_not_decide_the_end_and_the_report_names_it() -> None:
    design = report(quick(starts=("cauchy", normal_masses(60, 3.0))))
    assert [name for name, _ in design.starts] == ["cauchy", "given masses"]
    assert max(value for _, value in design.starts) == pytest.approx(min(value for _, value in design.starts), rel=1e-3)


def test_equal_arguments_give_equal_masses() -> None:
    assert torch.equal(quick().probs, quick().probs)


def test_a_wider_spread_costs_more() -> None:
    objectives = [report(quick(std=std)).objective for std in (0.03, 0.1, 0.25)]
    assert objectives == sorted(objectives)


def test_the_report_is_of_the_distribution_that_is_drawn_from() -> None:
    prior = quick(bins=128, support=(-1.0, 3.0))
    design = report(prior)
    assert design.entropy == pytest.approx(prior.marginal.entropy, rel=1e-9)
    assert design.effective_support == pytest.approx(math.exp(prior.marginal.entropy))
    assert (4 * design.std) ** 2 + prior.marginal.width**2 / 12 == pytest.approx(prior.marginal.variance, rel=1e-9)
    assert prior.marginal.mean == pytest.approx(1.0, abs=1e-12)
    assert all(a > b for a, b in zip(design.continuous_divergence, design.divergence, strict=True))


def test_a_ceiling_an_entropy_floor_and_empty_regions_are_kept() -> None:
    capped = quick(density_ceiling=3.0)
    assert capped.probs.max().item() <= 3.0 * 4 / 64 * (1 + 1e-9)
    wide = quick(entropy_floor=-0.5)
    assert wide.marginal.entropy >= -0.5 - 1e-6
    holed = quick(forbidden=((0.5, 0.75),))
    assert (holed.probs[40:44] == 0).all()
    assert (holed.probs[20:24] == 0).all()
    assert (holed.probs[[39, 44]] > 0).all()
    for prior in (capped, wide, holed):
        assert report(prior).converged
        assert report(prior).violation <= 1e-6
        assert report(prior).std >= STD * (1 - 1e-6)


def test_moments_and_demands_of_ones_own_are_met() -> None:
    free = quick()
    x = (free.marginal.low + free.marginal.width * (bins(64) + 0.5)).double()
    fourth, absolute = (free.probs @ x**4).item(), (free.probs @ x.abs()).item()
    prior = quick(moments=(Moment(4, high=0.8 * fourth),), constraints=(lambda p, x: 1.1 * absolute - p @ x.abs(),))
    assert report(prior).converged
    assert (prior.probs @ x**4).item() <= 0.8 * fourth + 1e-6
    assert (prior.probs @ x.abs()).item() >= 1.1 * absolute - 1e-6
    assert report(prior).objective > report(free).objective


def test_without_symmetry_the_design_is_no_worse_and_holds_the_spread() -> None:
    lopsided = quick(std=0.1, symmetric=False, forbidden=((-2.0, -1.0),))
    assert report(lopsided).std >= 0.1 * (1 - 1e-5)
    assert (lopsided.probs[:16] == 0).all()
    assert (lopsided.probs[-16:] > 0).any()


def test_a_penalty_on_second_differences_smooths() -> None:
    rough, smooth = (quick(bins=256, mix=(0.5,), smoothness=s) for s in (0.0, 0.3))
    roughness = [(p.diff(n=2).square().sum() / p.square().sum()).item() for p in (rough.probs, smooth.probs)]
    assert roughness[1] < roughness[0] / 2
    assert report(rough).divergence[0] < report(smooth).divergence[0]


def test_means_of_several_codes_and_extrapolations_can_be_designed_for() -> None:
    design = report(quick(mix=(1.2, (0.5, 0.5)), points=3, shares=(2.0, 1.0, 1.0)))
    assert design.converged
    assert design.combinations == ((1 - 1.2, 1.2), (0.5, 0.5), (1 / 3,) * 3)
    assert design.shares == (0.5, 0.25, 0.25)
    assert design.outside[0] > 1e-5
    assert design.outside[1] < 1e-12


@pytest.mark.parametrize(
    ("demands", "message"),
    [
        ({"std": 0.6}, "0 to 0.49"),
        ({"density_ceiling": 0.2}, "at least 0.25"),
        ({"density_ceiling": 0.3, "std": 0.4}, "0 to 0.31"),
        ({"symmetric": False, "density_ceiling": 0.3, "std": 0.4}, "0 to 0.31"),
        ({"entropy_floor": 1.5}, "up to 1.386"),
        ({"entropy_floor": 1.2, "std": 0.45}, "entropy within reach"),
        ({"moments": (Moment(4, high=1e-6),)}, "is feasible"),
        ({"moments": (Moment(2, high=0.5), Moment(2, low=0.6))}, "is feasible"),
        ({"forbidden": ((-3.0, 3.0),)}, "leave some bins out"),
        ({"constraints": (lambda p, x: p @ x.abs() - 1e-3,), "max_iterations": 100}, "can be met together"),
    ],
)
def test_demands_that_contradict_each_other_are_refused_with_what_is_feasible(demands: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message):
        quick(**demands)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bins": 2},
        {"std": 0.0},
        {"mix": ()},
        {"mix": (0.0,)},
        {"mix": ((0.5, 0.6),)},
        {"mix": (math.nan,)},
        {"combine": "median"},
        {"smoothness": -1.0},
        {"points": 1},
        {"support": (1.0, 1.0)},
        {"shares": (1.0,)},
        {"density_ceiling": 0.0},
        {"forbidden": ((1.0, 0.0),)},
        {"starts": ("gamma",)},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises((ValueError, TypeError)):
        quick(**wrong)


def test_a_moment_has_its_ends_in_order() -> None:
    with pytest.raises(ValueError, match="exchange"):
        Moment(2, 1.0, 0.0)


def test_a_designed_prior_is_saved_and_read_as_a_prior(tmp_path: object) -> None:
    prior = quick()
    lt.priors.save_prior(f"{tmp_path}/prior.json", prior)
    again = lt.priors.load_prior(f"{tmp_path}/prior.json")
    assert isinstance(again, Designed)
    assert again.marginal == prior.marginal
    assert again.design is None
