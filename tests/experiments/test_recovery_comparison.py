"""The choice of a setting, the sentence about the claim, the grids, and the arithmetic of known codes."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from experiments.recovery.comparison import MEANS, chosen, claim, fit_numbers, method_rows
from experiments.recovery.known_codes import (
    code_errors,
    found_curve,
    known_row,
    known_table,
    known_verdict,
    short_known_table,
)
from experiments.recovery.methods import METHODS, Setting, grid, recovery_options
from latentry.evaluation.codes import goodness_of_fit
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.priors import HalfUniformHalfNormal, IIDPrior, Normal, Uniform

# torch itself, when forward derivatives are first taken
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

RATES, WEIGHTS = (1e-3, 1e-2, 1e-1), (0.01, 0.1, 1.0)


def trial(l1: float, p: float, distance: float = 0.0) -> dict[str, float]:
    return {"l1": l1, "uniformity_p": p, "uniformity_distance": distance}


def result(*, passes: bool, l1: float = 10.0) -> dict[str, Any]:
    p = 0.5 if passes else 1e-9
    fit = {
        "passes": passes,
        "uniformity_p": p,
        "p_values": dict.fromkeys(("elements", "codes", "norm", "correlation", "projections"), p),
    }
    return {"setting": "", **dict.fromkeys(MEANS, 0.5), "l1": l1, **fit}


def test_among_uniform_settings_the_best_reconstruction_is_chosen() -> None:
    assert chosen([trial(5.0, 0.01), trial(20.0, 0.5), trial(15.0, 0.06)]) == 2


def test_where_none_is_uniform_the_nearest_to_uniform_is_chosen() -> None:
    assert chosen([trial(5.0, 1e-9, 0.4), trial(20.0, 1e-8, 0.3), trial(1.0, 1e-9, 0.9)]) == 1


@pytest.mark.parametrize(
    ("passing", "said"),
    [
        ((), "no method's codes look like samples"),
        (("wasserstein",), "it holds for W1 alone"),
        (("wasserstein", "l2"), "it does not hold, since L2 do so too"),
        (("l2",), "it does not hold"),
        (tuple(name for name in METHODS if METHODS[name].statistical), "it holds here"),
    ],
)
def test_the_claim_holds_as_far_as_statistical_distances_alone_pass(passing: tuple[str, ...], said: str) -> None:
    rows = method_rows({name: {seed: result(passes=name in passing) for seed in (0, 1, 2)} for name in METHODS})
    assert said in claim("normal", rows)


def test_codes_that_pass_because_they_hardly_left_their_starts_are_not_recovered() -> None:
    rows = method_rows(
        {
            name: {
                seed: result(passes=name == "wasserstein", l1=30.0 if name == "wasserstein" else 10.0 + seed)
                for seed in (0, 1, 2)
            }
            for name in METHODS
        }
    )
    assert "it does not hold: what passes has 2.7 times the L1" in claim("normal", rows)
    alone = {name: row for name, row in rows.items() if name != "none"}
    assert "it holds for W1 alone" in claim("normal", alone)


def test_a_method_that_fails_on_one_seed_is_not_correct() -> None:
    row = method_rows({"l2": {0: result(passes=True), 1: result(passes=False)}})["l2"]
    assert not row.correct
    assert row.passed == 1
    assert row.least_p["codes"] == 1e-9


def test_samples_of_the_prior_have_the_numbers_of_the_report(rng: torch.Generator) -> None:
    prior = Normal(32)
    fit = goodness_of_fit(prior.sample(64, rng=rng), prior)
    numbers = fit_numbers(fit)
    assert numbers["uniformity_p"] == fit.uniformity_p_value
    assert numbers["p_values"]["codes"] == pytest.approx(fit.uniformity_p_value)
    assert numbers["passes"]


@pytest.mark.parametrize("prior", [Normal(4), Uniform(4), HalfUniformHalfNormal(4)])
@pytest.mark.parametrize("name", METHODS)
def test_no_method_has_a_larger_grid_than_another_and_all_of_it_can_be_run(name: str, prior: IIDPrior) -> None:
    method = METHODS[name]
    settings = grid(method, prior, RATES, WEIGHTS)
    assert len(set(settings)) == len(settings) <= len(RATES) * len(WEIGHTS)
    for setting in settings:
        options = recovery_options(method, setting, 200, 4, lambda z: z, lambda x: x.mean(1))
        solver = options["solver"]
        assert isinstance(solver, LevenbergMarquardt if method.damped else Adam)
        assert ("weight" in options) == (method.regularizer is not None)
        if isinstance(solver, Adam):
            assert solver.learning_rate == setting.learning_rate


def test_the_boundary_of_a_bounded_prior_is_its_own() -> None:
    assert {setting.strength for setting in grid(METHODS["boundary"], Uniform(4), RATES, WEIGHTS)} == {1.0}
    assert str(Setting(0.1, None)) == "rate 0.1"


def test_projection_leaves_codes_on_the_quantiles_after_a_step(rng: torch.Generator) -> None:
    options = recovery_options(METHODS["projection"], Setting(0.1, None), 1, 1, lambda z: z, lambda x: x)
    z = options["solver"].resampling(torch.randn(3, 4, generator=rng), Normal(4), rng)
    quantiles = Normal(4).marginal.icdf((torch.arange(4, dtype=torch.float64) + 0.5) / 4).float()
    assert_close(z.sort(1).values, quantiles.expand(3, 4))


def test_an_error_along_a_direction_that_leaves_no_trace_is_not_counted_in_the_identifiable_subspace() -> None:
    def generator(z: torch.Tensor) -> torch.Tensor:
        return z * torch.tensor([1.0, 2.0, 1e-5])

    z = torch.zeros(2, 3)
    z_hat = torch.tensor([[0.0, 0.0, 3.0], [3.0, 0.0, 0.0]])
    error, identifiable, rank = code_errors(generator, z, z_hat, variance=2.0)
    assert_close(error, torch.tensor([1.5, 1.5]))
    assert_close(identifiable, torch.tensor([0.0, 9 / 2 / 2]))
    assert rank.tolist() == [2, 2]


def test_what_a_budget_buys_is_the_share_found_at_its_cost_or_less(rng: torch.Generator) -> None:
    chunks = [
        {"code_error": [0.0, 0.5], "identifiable_error": [0.0, 0.0], "rank": [3, 4], "evaluations": [2500, 100]},
        {"code_error": [0.001, 0.009], "identifiable_error": [0.0, 0.0], "rank": [4, 4], "evaluations": [9000, 10_001]},
    ]
    prior = Normal(16)
    fit = goodness_of_fit(prior.sample(32, rng=rng), prior)
    row = known_row(chunks, fit)
    assert row.found.value == 0.75
    assert row.identifiable.value == 1.0
    assert [within.value for within in row.within] == [0.25, 0.5]
    assert row.rank == (3, 4)
    assert row.evaluations[2] == 10_001
    assert found_curve(chunks) == ([2500.0, 9000.0, 10_001.0], 4)
    nothing = known_row([{**chunk, "code_error": [1.0, 1.0]} for chunk in chunks], fit)
    told = known_verdict("toy", {"LM": row, "Adam": nothing})
    assert "LM finds 75.0%" in told
    assert told.endswith("None is found by Adam.")
    assert known_table("toy", {"LM": row}).rows[0][4] == "3 to 4"
    assert short_known_table("toy", {"LM": row}).rows[0][2:5] == ("75.0%", "25.0%", "50.0%")
