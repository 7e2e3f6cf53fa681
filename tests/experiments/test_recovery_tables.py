"""The choice of a grid point, the sentence about the claim, the grids, and the arithmetic of known codes."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from experiments.framework.cell import flat
from experiments.framework.results import Measured
from experiments.recovery.known_codes import cost_of_found, summary
from experiments.recovery.methods import METHODS, GridPoint, grid, recovery_options
from experiments.recovery.protocol import chosen, fit_numbers
from experiments.recovery.tables import claim, known_codes_table, known_codes_verdict, method_table
from latentry.evaluation.codes import goodness_of_fit
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.priors import HalfUniformHalfNormal, IIDPrior, Normal, Uniform

# torch itself, when forward derivatives are first taken
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

RATES, WEIGHTS = (1e-3, 1e-2, 1e-1), (0.01, 0.1, 1.0)


def trial(l1: float, p: float, distance: float = 0.0) -> dict[str, float]:
    return {"l1": l1, "uniformity_p": p, "uniformity_distance": distance}


def method(name: str, passes: dict[int, bool], l1: float = 10.0, spread: float = 0.0) -> Measured:
    """Numbers of one method, of which only L1 and what passes matter."""
    numbers: dict[str, dict[int, float]] = {
        "l1": {seed: l1 + spread * seed for seed in passes},
        "found": dict.fromkeys(passes, 0.5),
        "rate": dict.fromkeys(passes, 0.001),
    }
    passed = {seed: float(passes[seed]) for seed in passes}
    return Measured(name, numbers | {"passes": passed, "uniform": passed})


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
    rows = {name: method(name, dict.fromkeys((0, 1, 2), name in passing)) for name in METHODS}
    assert said in claim("normal", rows)


def test_codes_that_pass_because_they_hardly_left_their_starts_are_not_recovered() -> None:
    rows = {name: method(name, dict.fromkeys((0, 1, 2), False), 10.0, 1.0) for name in METHODS}
    rows["wasserstein"] = method("wasserstein", dict.fromkeys((0, 1, 2), True), 30.0)
    said = claim("normal", rows)
    assert "it does not hold: what passes has 2.7 times the L1" in said
    assert "(its grid point: rate 0.001)" in said
    alone = {name: row for name, row in rows.items() if name != "none"}
    assert "it holds for W1 alone" in claim("normal", alone)


def test_a_method_that_fails_on_one_seed_is_not_correct() -> None:
    rows = {"l2": method("l2", {0: True, 1: False})}
    assert "pass the whole report on every seed: none" in claim("normal", rows)
    table = method_table("normal", rows)
    assert table.rows[0][table.columns.index("passes")] == "1 of 2"


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
    points = grid(method, prior, RATES, WEIGHTS)
    assert len(set(points)) == len(points) <= len(RATES) * len(WEIGHTS)
    for point in points:
        options = recovery_options(method, point, 200, 4, lambda z: z, lambda x: x.mean(1))
        solver = options["solver"]
        assert isinstance(solver, LevenbergMarquardt if method.damped else Adam)
        assert ("weight" in options) == (method.regularizer is not None)
        if isinstance(solver, Adam):
            assert solver.learning_rate == point.learning_rate


def test_the_boundary_of_a_bounded_prior_is_its_own() -> None:
    assert {point.strength for point in grid(METHODS["boundary"], Uniform(4), RATES, WEIGHTS)} == {1.0}
    assert str(GridPoint(0.1, None)) == "rate 0.1"


def test_projection_leaves_codes_on_the_quantiles_after_a_step(rng: torch.Generator) -> None:
    options = recovery_options(METHODS["projection"], GridPoint(0.1, None), 1, 1, lambda z: z, lambda x: x)
    z = options["solver"].resampling(torch.randn(3, 4, generator=rng), Normal(4), rng)
    quantiles = Normal(4).marginal.icdf((torch.arange(4, dtype=torch.float64) + 0.5) / 4).float()
    assert_close(z.sort(1).values, quantiles.expand(3, 4))


def test_what_a_budget_buys_is_the_share_found_at_its_cost_or_less() -> None:
    chunks: list[dict[str, Any]] = [
        {"code_error": [0.0, 0.5], "identifiable_error": [0.0, 0.0], "rank": [3, 4], "evaluations": [2500, 100]},
        {"code_error": [0.001, 0.009], "identifiable_error": [0.0, 0.0], "rank": [4, 4], "evaluations": [9000, 10_001]},
    ]

    def known(chunks: list[dict[str, Any]]) -> Measured:
        return Measured("", {name: {0: value} for name, value in flat(summary(chunks) | {"passes": True})})

    row = known(chunks)
    assert row["found"][0] == 0.75
    assert row["identifiable"][0] == 1.0
    assert [row[f"within.{budget}"][0] for budget in (2500, 10_000)] == [0.25, 0.5]
    assert (row["dimension.least"][0], row["dimension.most"][0]) == (3, 4)
    assert row["evaluations.most"][0] == 10_001
    assert cost_of_found(chunks) == ([2500.0, 9000.0, 10_001.0], 4)
    nothing = known([{**chunk, "code_error": [1.0, 1.0]} for chunk in chunks])
    said = known_codes_verdict("toy", {"LM": row, "Adam": nothing})
    assert "LM finds 75.0% of the codes, 25.0% within 2,500 and 50.0% within 10,000 evaluations" in said
    assert said.endswith("None is found by Adam.")
    full, short = (known_codes_table("toy", {"LM": row}, short) for short in (False, True))
    assert full.rows[0][4] == "3 to 4"
    assert full.rows[0][2] == "75.0 [30.1, 95.4]"
    assert short.rows[0][2:5] == ("75.0", "25.0", "50.0")
