"""Recovery on generators whose answer is known, and every way to misuse it."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint
from toy_generators import linear, random_matrix, squashed

from latentry.latent.differences import Difference
from latentry.latent.recovery import Recovery, recover_codes
from latentry.latent.regularizers import L2, Regularizer, StatisticalDistance
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.lbfgs import LBFGS
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.latent.solvers.solver import Solver
from latentry.models.saving import load_model
from latentry.numerics.distances import energy_distance
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    Normal,
    NormalMixture,
    RadialPrior,
    SphericalCauchy,
    Uniform,
)

D, PIXELS = 6, 20


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return random_matrix(PIXELS, D, rng)


@pytest.fixture
def prior() -> Normal:
    return Normal(D).double()


def test_known_codes_of_a_linear_generator_are_found(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    z = prior.sample(8, rng=rng)
    found = recover_codes(linear(matrix), z @ matrix.mT, prior, restarts=1, rng=rng)
    assert_close(found.z, z, rtol=0, atol=1e-5)
    assert found.reconstruction_error.max() < 1e-9
    assert found.met.all()


@pytest.mark.parametrize("distance", ["wasserstein", "wasserstein2", "energy"])
@pytest.mark.parametrize("prior", [Normal(40), Uniform(40), HalfUniformHalfNormal(40)], ids=repr)
def test_a_statistical_distance_alone_brings_a_code_onto_the_prior(
    distance: str, prior: IIDPrior, rng: torch.Generator
) -> None:
    """A generator that ignores all but one coordinate leaves the rest to the regularizer."""
    regularizer = StatisticalDistance(distance)  # type: ignore[arg-type]
    x = torch.zeros(3, 1)
    found = recover_codes(
        lambda z: 0.01 * z[:, :1], x, prior, regularizer=regularizer, weight=1.0, solver=Adam(steps=120), restarts=1, rng=rng
    )
    before = energy_distance(prior.sample(200, rng=rng), prior.marginal).mean()
    assert energy_distance(found.z, prior.marginal).max() < before / 3


@pytest.mark.parametrize(
    ("prior", "distance"),
    [(SphericalCauchy(40), "wasserstein"), (GammaRadius(40), "wasserstein2"), (GammaRadius(40), "energy")],
    ids=["cauchy", "gamma", "gamma, energy"],
)
def test_a_statistical_distance_brings_a_code_onto_a_radial_prior(
    prior: RadialPrior, distance: str, rng: torch.Generator
) -> None:
    """In normal coordinates, which is where the distance is taken."""
    regularizer = StatisticalDistance(distance)  # type: ignore[arg-type]
    z = prior.sample(8, rng=rng)
    assert_close(regularizer(z, prior), regularizer(prior.to_normal(z), Normal(40)))
    found = recover_codes(
        lambda z: 0.01 * z[:, :1],
        torch.zeros(3, 1),
        prior,
        regularizer=regularizer,
        weight=1.0,
        solver=Adam(steps=150),
        restarts=2,
        rng=rng,
    )
    before = regularizer(prior.sample(200, rng=rng), prior).mean()
    assert found.z.isfinite().all()
    assert regularizer(found.z, prior).max() < before / 3


@pytest.mark.parametrize("prior", [SphericalCauchy(D), GammaRadius(D)], ids=["cauchy", "gamma"])
def test_known_codes_of_a_radial_prior_are_found(matrix: Tensor, prior: RadialPrior, rng: torch.Generator) -> None:
    z = prior.double().sample(4, rng=rng).clamp(-5, 5)
    found = recover_codes(linear(matrix), z @ matrix.mT, prior, regularizer=L2(), weight=0.0, rng=rng)
    assert_close(found.z, z, rtol=0, atol=1e-3)


def test_a_mixture_gives_starts_but_has_no_statistical_distance(matrix: Tensor, rng: torch.Generator) -> None:
    prior = NormalMixture(torch.zeros(2, D), torch.ones(2, D)).double()
    x = prior.sample(2, rng=rng) @ matrix.mT
    assert recover_codes(linear(matrix), x, prior, rng=rng).reconstruction_error.max() < 1e-6
    with pytest.raises(ValueError, match=r"normal coordinates.*got NormalMixture"):
        recover_codes(linear(matrix), x, prior, regularizer=StatisticalDistance(), solver=Adam(steps=1), rng=rng)


def test_codes_images_and_losses_belong_together(rng: torch.Generator) -> None:
    network = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 12), nn.Unflatten(1, (3, 2, 2)))
    prior = Normal(8)
    x = torch.rand(7, 3, 2, 2, generator=rng) - 0.5
    regularizer = StatisticalDistance("wasserstein2")
    found = recover_codes(network, x, prior, regularizer=regularizer, weight=0.2, solver=Adam(steps=7), restarts=3, rng=rng)
    with torch.no_grad():
        x_hat = network.eval()(found.z)
    error = (x_hat - x).square().flatten(1).mean(1)
    assert_close(found.x_hat, x_hat)
    assert_close(found.reconstruction_error, error)
    assert_close(found.loss, error + found.weight * regularizer(found.z, prior))
    assert_close(found.loss, found.restart_loss.min(1).values)
    assert torch.equal(found.restart, found.restart_loss.argmin(1))


def test_batches_change_nothing(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    x = torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)

    def recovered(batch_size: int) -> Recovery:
        starts = torch.Generator().manual_seed(4)
        return recover_codes(linear(matrix), x, prior, solver=Adam(steps=9), restarts=2, batch_size=batch_size, rng=starts)

    assert_close(recovered(4).z, recovered(100).z)


def test_a_module_gets_its_modes_and_flags_back(rng: torch.Generator) -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    network[2].eval()
    network[0].weight.requires_grad_(False)
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    recover_codes(network, torch.zeros(2, 3), Normal(4), solver=Adam(steps=2), rng=rng)
    assert [part.training for part in network] == [True, True, False, True]
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, *[True] * 5]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, buffers[name]) for name, value in network.named_buffers())


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself
@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_images_of_eight_bits_are_met_up_to_rounding_under_a_mask_too(contrast: float, rng: torch.Generator) -> None:
    matrix, prior = torch.randn(64, 4, dtype=torch.float64, generator=rng) / 2, Normal(4).double()

    def squashed(z: Tensor) -> Tensor:
        return contrast * torch.tanh(z @ matrix.mT)

    x = ((squashed(prior.sample(3, rng=rng)) + 1) * 127.5).round() / 127.5 - 1
    mask = (torch.arange(64) < 60).double()
    assert recover_codes(squashed, x, prior, mask=mask, restarts=6, rng=rng).met.all()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself
def test_the_default_solver_finds_codes_of_a_generator_without_an_output_activation(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    z = prior.sample(3, rng=rng)
    assert_close(recover_codes(linear(matrix), z @ matrix.mT, prior, rng=rng).z, z, rtol=0, atol=1e-3)


def test_too_few_steps_are_reported_as_not_converged(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    x = 5 * torch.randn(5, PIXELS, dtype=torch.float64, generator=rng)
    assert not recover_codes(linear(matrix), x, prior, solver=Adam(steps=3), rng=rng).converged.any()


def test_nan_from_the_generator_stops_that_start_alone(prior: Normal, rng: torch.Generator) -> None:
    """A generator that breaks where the first coordinate is large: targets that draw codes there lose those starts only."""

    def breaks_far_out(z: Tensor) -> Tensor:
        return torch.where(z[:, :1] > 2.0, torch.nan, 1.0) * z

    x = torch.tensor([[0.5], [9.0]], dtype=torch.float64).expand(2, D)
    found = recover_codes(breaks_far_out, x, prior, solver=Adam(steps=150, learning_rate=0.2), restarts=4, rng=rng)
    assert_close(found.z[0], x[0], rtol=0, atol=1e-3)
    assert found.restart_loss[1].isinf().all()


def test_progress_counts_every_step_once(matrix: Tensor, prior: Normal) -> None:
    seen: list[tuple[int, int]] = []
    recover_codes(
        linear(matrix),
        torch.zeros(3, PIXELS, dtype=torch.float64),
        prior,
        solver=Adam(steps=4),
        restarts=1,
        batch_size=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 12), (4, 12), (6, 12), (8, 12), (9, 12), (10, 12), (11, 12), (12, 12)]


def test_l1_and_l2_differ_where_an_outlier_pulls(prior: Normal, rng: torch.Generator) -> None:
    """One number seen five times, once wrongly: its mean under L2, its median under L1."""
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0, 6.0]], dtype=torch.float64)
    ones = torch.ones(5, 1, dtype=torch.float64)
    one = Normal(1).double()
    by = {
        kind: recover_codes(linear(ones), x, one, difference=kind, solver=Adam(steps=250), restarts=1, rng=rng).z.item()
        for kind in ("l1", "l2")
    }
    assert_close(by["l2"], 2.0, rtol=0, atol=1e-3)
    assert_close(by["l1"], 1.0, rtol=0, atol=1e-2)


@pytest.mark.parametrize("regularizer", [None, L2(), StatisticalDistance("energy")], ids=repr)
def test_equal_seeds_give_equal_codes(regularizer: Regularizer | None, matrix: Tensor, prior: Normal) -> None:
    def once() -> Tensor:
        starts = torch.Generator().manual_seed(1)
        return recover_codes(linear(matrix), x, prior, regularizer=regularizer, solver=Adam(steps=5), rng=starts).z

    x = torch.ones(2, PIXELS, dtype=torch.float64)
    assert torch.equal(once(), once())


SOLVERS = [LevenbergMarquardt(), LBFGS(), Adam(steps=30)]


@pytest.mark.parametrize("solver", SOLVERS, ids=["Levenberg-Marquardt", "L-BFGS", "Adam"])
def test_a_code_that_breaks_is_given_up_alone(solver: Solver, matrix: Tensor, rng: torch.Generator) -> None:
    """Beyond 4 there is only NaN; the second code starts there, or else where the first one does."""

    def breaks_far_out(z: Tensor) -> Tensor:
        return torch.where((z > 4.0).any(1, keepdim=True), torch.nan, 1.0) * torch.tanh((z[:, None] * matrix).sum(2))

    prior = Normal(D, scale=0.5).double()
    x = torch.tanh(prior.sample(3, rng=rng) @ matrix.mT)
    starts = prior.sample(3, rng=rng)
    beyond = starts.clone()
    beyond[1] = 5.0

    def found(starts: Tensor) -> Recovery:
        return recover_codes(breaks_far_out, x, prior, solver=solver, start=starts, restarts=1, rng=rng)

    whole, broken = found(starts), found(beyond)
    assert broken.loss.isinf().tolist() == [False, True, False]
    assert not broken.converged[1]
    assert_close(broken.z[[0, 2]], whole.z[[0, 2]], rtol=0, atol=1e-12)
    assert torch.equal(broken.evaluations[[0, 2]], whole.evaluations[[0, 2]])


def test_the_worse_half_of_the_starts_is_given_up_when_it_is_time(prior: Normal, rng: torch.Generator) -> None:
    """Of four starts two go after the second of eight steps, one after the fourth: the one that began nearest stays."""
    x = prior.sample(3, rng=rng)
    starts = x + 0.5
    solver = Adam(steps=8, learning_rate=1e-6, halve_at=(0.25, 0.5))
    found = recover_codes(lambda z: z, x, prior, solver=solver, start=starts, restarts=4, rng=rng)
    assert found.restart.tolist() == [0, 0, 0]
    # at the end a gradient to see whether it is gone, and a Jacobian to see how far the code is determined
    assert found.evaluations.tolist() == [(3 * 2 + 1) * 2 + (3 * 4 + 1) + (3 * 8 + 1) + 3 + D + 1] * 3
    # a batch that all starts of one datum do not fit into takes them all the same
    again = recover_codes(lambda z: z, x, prior, solver=solver, start=starts, restarts=4, batch_size=3, rng=rng)
    assert torch.equal(again.evaluations, found.evaluations)


def test_starts_that_are_tried_one_after_another_end_with_the_first_that_meets_the_data(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    """Data in the range of the generator are met at once; data beyond it use up all of their starts."""
    z = prior.sample(2, rng=rng)
    x = torch.cat([z @ matrix.mT, torch.randn(1, PIXELS, dtype=torch.float64, generator=rng)])
    found = recover_codes(linear(matrix), x, prior, restarts=3, rng=rng)
    assert found.met.tolist() == [True, True, False]
    assert found.restart[:2].tolist() == [0, 0]
    assert found.restart_loss.isfinite().sum(1).tolist() == [1, 1, 3]
    assert (found.evaluations[2] > found.evaluations[:2]).all()


def test_a_learned_start_and_codes_of_ones_own_come_first(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    z = prior.sample(4, rng=rng)
    x = torch.tanh(z @ matrix.mT)

    def inverse(x: Tensor) -> Tensor:
        return torch.atanh(x) @ torch.linalg.pinv(matrix).mT

    def found(start: Callable[[Tensor], Tensor] | Tensor | None) -> Recovery:
        solver = LevenbergMarquardt(steps=1)
        return recover_codes(squashed(matrix), x, prior, solver=solver, start=start, restarts=2, rng=rng)

    assert not found(None).met.any()
    for informed in (found(inverse), found(z)):
        assert_close(informed.z, z, rtol=0, atol=1e-6)
        assert informed.met.all()
        assert informed.restart.tolist() == [0] * 4


@pytest.mark.parametrize("solver", SOLVERS[:2], ids=["Levenberg-Marquardt", "L-BFGS"])
def test_what_is_hidden_or_measured_gives_the_least_squares_code_of_the_rest(
    solver: Solver, matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    x = torch.randn(3, PIXELS, dtype=torch.float64, generator=rng)
    seen = torch.arange(PIXELS) < 12
    solver = replace(solver, prior_pull=0.0) if isinstance(solver, LevenbergMarquardt) else solver
    hidden = recover_codes(
        linear(matrix), torch.where(seen, x, torch.nan), prior, mask=seen, solver=solver, restarts=1, rng=rng
    )
    assert_close(hidden.z, torch.linalg.lstsq(matrix[seen], x[:, seen].mT).solution.mT, rtol=0, atol=1e-4)
    gap = (hidden.z @ matrix.mT - x)[:, seen]
    assert_close(hidden.reconstruction_error, gap.square().mean(1))

    sums = torch.randn(10, PIXELS, dtype=torch.float64, generator=rng)
    difference = Difference(operator=lambda x: x @ sums.mT)
    y = x @ sums.mT
    measured = recover_codes(linear(matrix), y, prior, difference=difference, solver=solver, restarts=1, rng=rng)
    assert_close(measured.z, torch.linalg.lstsq(sums @ matrix, y.mT).solution.mT, rtol=0, atol=1e-4)


def test_starts_agree_where_the_code_is_unique_and_differ_by_the_distance_of_the_codes_where_it_is_not(
    rng: torch.Generator,
) -> None:
    """z and z^3 have one code, z^2 and z^4 two: z and -z, 4 z^2 apart."""
    prior = Normal(1, scale=2.0).double()
    z = torch.linspace(1, 2, 12, dtype=torch.float64)[:, None]

    def found(generator: Callable[[Tensor], Tensor]) -> Recovery:
        return recover_codes(generator, generator(z), prior, solver=LBFGS(), restarts=2, rng=rng)

    unique = found(lambda z: torch.cat([z, z**3], 1))
    assert unique.met.all()
    assert_close(unique.disagreement, torch.zeros(12, dtype=torch.float64), rtol=0, atol=1e-6)
    twofold = found(lambda z: torch.cat([z**2, z**4], 1))
    apart = 4 * (z[:, 0] / 2).square()
    assert twofold.met.all()
    assert_close(twofold.disagreement, torch.where(twofold.disagreement > 0.5, apart, 0.0), rtol=0, atol=1e-4)
    assert 2 <= (twofold.disagreement > 0.5).sum() <= 10


def test_data_of_eight_bits_count_as_met_within_their_rounding(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    z = prior.sample(4, rng=rng)
    exact = torch.tanh(z @ matrix.mT)
    rounded = ((exact + 1) * 127.5).round() / 127.5 - 1
    found = recover_codes(squashed(matrix), rounded, prior, restarts=2, rng=rng)
    assert found.met.all()
    assert (found.z - z).square().mean(1).max() < 1e-3
    assert not recover_codes(squashed(matrix), exact + 2e-3 * rounded.sign(), prior, restarts=2, rng=rng).met.any()


def test_a_weight_that_falls_over_the_steps_ends_at_its_last_value(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    x = torch.randn(3, PIXELS, dtype=torch.float64, generator=rng)

    def found(weight: float | Callable[[float], float]) -> Recovery:
        return recover_codes(linear(matrix), x, prior, regularizer=L2(), weight=weight, solver=LBFGS(), restarts=1, rng=rng)

    falling = found(lambda share: 0.3 + max(0.0, 0.1 - share))
    assert_close(falling.z, found(0.3).z, rtol=0, atol=1e-4)
    assert_close(falling.loss, found(0.3).loss)


def test_data_in_another_range_are_refused(rng: torch.Generator) -> None:
    images = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    with torch.no_grad():
        x = images(3 * torch.randn(5, 4, generator=rng))
    recover_codes(images, x, Normal(4), solver=Adam(steps=1), rng=rng)
    with pytest.raises(ValueError, match=r"got data in \[0, 1\].*2 \* x - 1"):
        recover_codes(images, (x + 1) / 2, Normal(4), solver=Adam(steps=1), rng=rng)


def test_what_a_mask_hides_is_of_no_range(rng: torch.Generator) -> None:
    """Of images of eight bits in [-1, 1] only what is brighter than grey is seen; in [0, 1] they are refused as without."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(4, 100), nn.Tanh(), nn.Unflatten(1, (1, 10, 10)))
    z = Normal(4).sample(5, rng=rng)
    with torch.no_grad():
        x = ((network(z) + 1) * 127.5).round() / 127.5 - 1
    found = recover_codes(network, x, Normal(4), mask=x > 0, rng=rng)
    assert found.met.all()
    assert (found.z - z).square().mean(1).max() < 1e-3
    for mask in (x > 0, x < 0, torch.arange(10) < 7):
        with pytest.raises(ValueError, match=r"got data in \[0, 1\].*2 \* x - 1"):
            recover_codes(network, (x + 1) / 2, Normal(4), mask=mask, rng=rng)


def test_auto_takes_least_squares_where_there_are_squares() -> None:
    """Adam takes 3 evaluations a step and one at the end, for each of 4 starts; 3 more tell whether the gradient is gone."""
    x = torch.zeros(1, 2, dtype=torch.float64)
    adam = 4 * (Adam().steps * 3 + 1) + 3
    for difference, same in (("l1", True), ("l2", False)):
        found = recover_codes(
            lambda z: z,
            x,
            Normal(2).double(),
            difference=difference,  # type: ignore[arg-type]
            determination=False,
        )
        assert (found.evaluations.item() == adam) is same


IMAGES = nn.Sequential(nn.Linear(4, 12), nn.Unflatten(1, (3, 2, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 1, 2, 2)}, "expected data of shape.*colour"),
        ({"x": torch.zeros(2, 3, 4, 4)}, "resize"),
        ({"x": torch.zeros(3)}, "batch axis"),
        ({"x": torch.zeros(0, 3, 2, 2)}, "n >= 1"),
        ({"x": torch.full((2, 3, 2, 2), torch.nan)}, r"NaN or infinity in items \[0, 1\]"),
        ({"x": torch.zeros(2, 3, 2, 2, dtype=torch.uint8)}, "floating-point"),
        ({"x": torch.zeros(3, 2, 2)}, r"one datum without its batch axis \(3, 2, 2\); pass x\[None\]"),
        (
            {"prior": Normal(7)},
            r"expected codes of length 4, as .* takes them, got codes of length 7; pass a prior of",
        ),
        ({"restarts": 0}, "restarts >= 1"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"met": -1.0}, "met >= 0"),
        ({"start": lambda x: torch.zeros(3, 4)}, r"finite starts of shape \(2, 4\)"),
        ({"start": lambda x: torch.full((2, 4), torch.nan)}, "finite starts"),
        ({"weight": -1.0}, "weight >= 0"),
        ({"weight": 1.0}, "expected a regularizer along with weight, got weight=1.0 without one"),
        ({"unit": 1.0}, "expected a regularizer along with unit"),
        ({"generator": lambda z: IMAGES(z) + torch.randn(1)}, "deterministic"),
        ({"generator": lambda z: IMAGES(z - z.mean(0))}, "depend on its own code"),
        ({"generator": lambda z: IMAGES(z).detach()}, "differentiable"),
        ({"generator": lambda z: IMAGES(z).mul(9).round()}, "gradient of 0 at 8 codes.*take rounding"),
        ({"generator": lambda z: checkpoint(IMAGES, z, use_reentrant=True)}, "gradient fails.*use_reentrant=False"),
        ({"difference": Difference(operator=lambda x: (x > 0).float())}, "differentiable operator.*comparisons"),
        ({"difference": Difference(extractor=lambda x: x.detach().flatten(1))}, "differentiable extractor"),
        (
            {"solver": "adam"},
            r"got 'adam'; pass lt.solvers.LevenbergMarquardt\(\), lt.solvers.LBFGS\(\) or lt.solvers.Adam\(\)",
        ),
        ({"solver": Adam}, r"got Adam; pass lt.solvers.LevenbergMarquardt\(\)"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"generator": IMAGES, "x": torch.zeros(2, 3, 2, 2), "prior": Normal(4)}
    with pytest.raises(ValueError, match=message):
        recover_codes(**arguments | change)  # type: ignore[arg-type]


def test_codes_that_are_called_met_are_exact_and_what_is_left_open_is_their_error() -> None:
    """Of the shipped digits, in single precision: a polish in double precision tells right codes from near ones."""
    shipped = load_model("digits-generator")
    prior = shipped.prior
    assert prior is not None
    z = prior.sample(8, rng=torch.Generator().manual_seed(5))
    with torch.no_grad():
        x = shipped.generator.eval()(z)
    found = recover_codes(shipped.generator, x, prior, rng=torch.Generator().manual_seed(1))
    error = (found.z - z).square().mean(1)
    assert found.met.sum() >= 7
    assert found.converged[found.met].all()
    assert found.undetermined[found.met].max() < 1e-6
    assert error[found.met].max() < 1e-6  # of the prior's variance: a thousandth of its spread
    assert (error[found.met] < 30 * found.undetermined[found.met]).all()
    assert (found.seconds > 0).all()


@pytest.mark.parametrize("lowest", [1e-3, 1e-6, 1e-9])
def test_what_the_data_leave_open_is_the_code_error_to_be_expected(lowest: float, rng: torch.Generator) -> None:
    """Of a linear generator in single precision, whose last direction falls to 1e-9 of its first: met, and not unique."""
    u, v = (torch.linalg.qr(torch.randn(n, 8, dtype=torch.float64, generator=rng)).Q for n in (40, 8))
    network = nn.Linear(8, 40, bias=False)
    network.weight.data = ((u * torch.logspace(0.7, 0.7 + math.log10(lowest), 8, dtype=torch.float64)) @ v.mT).float()
    z = Normal(8).sample(40, rng=rng)
    with torch.no_grad():
        x = network(z)
    found = recover_codes(network, x, Normal(8), restarts=1, rng=rng)
    error, expected = (found.z - z).square().mean().item(), found.undetermined.mean().item()
    assert found.met.all()
    assert expected / 5 < error < 5 * expected
    assert (expected > 0.01) == (lowest < 1e-8)


def test_directions_that_leave_no_trace_are_counted_by_every_solver(
    matrix: Tensor, prior: Normal, rng: torch.Generator
) -> None:
    """2 of 6 coordinates: a third of the prior's variance; and none where it is not asked for."""
    blind = matrix.clone()
    blind[:, :2] = 0
    x = prior.sample(3, rng=rng) @ blind.mT
    for solver in (LevenbergMarquardt(), LBFGS(), Adam(steps=150)):
        found = recover_codes(linear(blind), x, prior, solver=solver, restarts=1, rng=rng)
        assert_close(found.undetermined, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=0.02)
    silent = recover_codes(linear(blind), x, prior, restarts=1, determination=False, rng=rng)
    assert silent.undetermined.isnan().all()


@pytest.mark.parametrize("span", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-0.5, 0.5), (-2.1, 2.6)], ids=str)
def test_images_of_eight_bits_are_known_in_every_range(span: tuple[float, float], matrix: Tensor, prior: Normal) -> None:
    """The same codes of the same decoder at the same cost."""
    low, high = span
    rng = torch.Generator().manual_seed(3)
    z = prior.sample(4, rng=rng)

    def squeezed(z: Tensor) -> Tensor:
        return low + (high - low) * torch.sigmoid(z @ matrix.mT)

    x = ((squeezed(z) - low) * (255 / (high - low))).round() * ((high - low) / 255) + low
    found = recover_codes(squeezed, x, prior, rng=rng)
    assert found.met.all()
    assert (found.z - z).square().mean(1).max() < 1e-3
    assert found.evaluations.max() < 400


def test_long_codes_are_found_by_gradients_alone(rng: torch.Generator) -> None:
    """Beyond 1,024 latents, where a Jacobian is too long."""
    scale = torch.linspace(0.8, 1.2, 1025)
    z = Normal(1025).sample(1, rng=rng)
    x = torch.tanh(scale * z)
    found = recover_codes(lambda z: torch.tanh(scale * z), x, Normal(1025), rng=rng)
    assert (found.z - z).square().mean(1).max() < 1e-4
    assert found.undetermined.isnan().all()


def test_results_carry_no_graph_though_data_and_codes_do(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    z = prior.sample(2, rng=rng).requires_grad_(True)
    found = recover_codes(linear(matrix), z @ matrix.mT, prior, start=1.1 * z, restarts=1, rng=rng)
    assert not any(value.requires_grad for value in vars(found).values() if isinstance(value, Tensor))
    assert_close(found.z, z.detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "solver", [LevenbergMarquardt(), LBFGS(steps=20), Adam(steps=60)], ids=lambda one: type(one).__name__
)
def test_generators_and_data_of_any_precision_go_together(dtype: torch.dtype, solver: Solver, rng: torch.Generator) -> None:
    """Codes are computed in single precision at least, and generators called in their own."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(4, 30), nn.Tanh(), nn.Linear(30, 30)).to(dtype)
    z = Normal(4).sample(3, rng=rng)
    for given in (torch.float32, torch.float64, dtype):
        with torch.no_grad():
            x = network(z.to(dtype)).to(given)
        found = recover_codes(network, x, Normal(4), solver=solver, start=z + 0.05, restarts=1, rng=rng)
        assert found.z.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert (found.z - z).abs().max() < 0.2
        assert found.undetermined.isfinite().all()
        assert next(network.parameters()).dtype == dtype


def test_a_prior_of_another_length_than_the_generators_codes_is_named() -> None:
    for generator in (IMAGES, lambda z: IMAGES(z)):
        with pytest.raises(ValueError, match=r"expected codes of length 4, as .* takes them, got codes of length 5"):
            recover_codes(generator, torch.zeros(2, 3, 2, 2), Normal(5))


@pytest.mark.parametrize(
    ("ends", "conversion"),
    [((-1.0, 1.0), r"x.float\(\) / 127.5 - 1"), ((0.0, 1.0), r"x.float\(\) / 255"), ((0.0, 255.0), r"with x.float\(\)$")],
    ids=str,
)
def test_bytes_are_refused_with_the_conversion_to_the_generators_own_range(
    ends: tuple[float, float], conversion: str, matrix: Tensor, prior: Normal
) -> None:
    def squeezed(z: Tensor) -> Tensor:
        return ends[0] + (ends[1] - ends[0]) * torch.sigmoid(z @ matrix.mT)

    with pytest.raises(ValueError, match=rf"got torch.uint8.*{conversion}"):
        recover_codes(squeezed, torch.full((2, PIXELS), 200, dtype=torch.uint8), prior)


@pytest.mark.parametrize("scale", [1e18, 1e20, 1e23])
def test_no_noise_is_met_however_large_the_generators_numbers_are(scale: float, rng: torch.Generator) -> None:
    """Squares of single precision overflow; an error that is not finite meets nothing."""
    matrix = torch.randn(20, 4, generator=rng)
    x = scale * torch.randn(3, 20, generator=rng)
    found = recover_codes(lambda z: scale * linear(matrix)(z), x, Normal(4), restarts=1, rng=rng)
    assert not found.met.any()


def test_data_of_half_precision_are_recovered_from_a_function_of_any_precision(rng: torch.Generator) -> None:
    matrix, z = torch.randn(20, 4, generator=rng), torch.randn(3, 4, generator=rng)
    found = recover_codes(lambda z: z @ matrix.to(z).mT, (z @ matrix.mT).half(), Normal(4), restarts=1, rng=rng)
    assert_close(found.z, z, rtol=0, atol=0.01)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("eight_bits", [False, True], ids=["floats", "eight bits"])
def test_data_kept_in_half_precision_are_met_up_to_its_rounding(half: torch.dtype, eight_bits: bool, matrix: Tensor) -> None:
    if eight_bits and half == torch.bfloat16:
        return  # which is as coarse as eight bits
    rng = torch.Generator().manual_seed(3)
    generator = squashed(matrix.float())
    z = Normal(matrix.shape[1]).sample(4, rng=rng)
    x, noisy = generator(z), generator(z) + 0.03 * torch.randn(4, PIXELS, generator=rng)
    if eight_bits:
        x = ((x + 1) * 127.5).round() / 127.5 - 1
    found = recover_codes(generator, torch.cat([x, noisy]).to(half), Normal(matrix.shape[1]), restarts=2, rng=rng)
    assert found.met.tolist() == [True] * 4 + [False] * 4
    error, expected = (found.z[:4] - z).square().mean(), found.undetermined[:4].mean()
    assert expected / 10 < error < 10 * expected


def test_an_odd_datum_does_not_decide_what_meets_the_others(matrix: Tensor, prior: Normal, rng: torch.Generator) -> None:
    """Images of eight bits are met within their rounding beside one that is not, and that one not by their measure."""
    z = prior.sample(4, rng=rng)
    exact = torch.tanh(z @ matrix.mT)
    rounded = ((exact + 1) * 127.5).round() / 127.5 - 1
    odd = exact[:1] + 2e-3 * rounded[:1].sign()
    found = recover_codes(squashed(matrix), torch.cat([rounded, odd]), prior, restarts=2, rng=rng)
    assert found.met.tolist() == [True] * 4 + [False]
    assert (found.z[:4] - z).square().mean(1).max() < 1e-3

    def unbounded(z: Tensor) -> Tensor:
        return torch.tanh(z @ matrix.mT) + 0.3 * z.square() @ matrix.abs().mT

    noise = torch.randn(3, PIXELS, dtype=torch.float64, generator=rng)
    x = torch.cat([noise, unbounded(z[:1]), torch.full_like(noise[:1], 1e4)])
    found = recover_codes(unbounded, x, prior, start=z[[1, 2, 3, 0, 0]], restarts=1, rng=rng)
    assert found.met.tolist() == [False, False, False, True, False]


def test_data_that_are_small_beside_the_samples_are_met_by_their_own_rounding_alone() -> None:
    """Samples of this generator differ in size by orders of magnitude; noise of a hundredth is none of them."""
    mixing = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))

    def generator(z: Tensor) -> Tensor:
        return torch.exp(5 * z) @ mixing.T

    noise = 0.01 * torch.randn(8, 40, generator=torch.Generator().manual_seed(4))
    assert not recover_codes(generator, noise, Normal(6), rng=torch.Generator().manual_seed(1)).met.any()
    z = Normal(6).sample(8, rng=torch.Generator().manual_seed(2))
    found = recover_codes(generator, generator(z), Normal(6), rng=torch.Generator().manual_seed(1))
    assert ((found.z - z).abs().amax(1) < 0.01)[found.met].all()


def waves(z: Tensor) -> Tensor:
    """A generator of 8 latents with many local minima: of single starts one in three finds the code."""
    turns, slopes = torch.randn(2, 8, 24, generator=torch.Generator().manual_seed(0)).to(z) / 8**0.5
    return torch.sin(1.6 * z @ turns) + 0.3 * z @ slopes


def test_further_starts_begin_near_the_best_code_and_find_what_single_starts_do_not() -> None:
    prior = Normal(8)
    z = prior.sample(30, rng=torch.Generator().manual_seed(1))
    one, many = (
        recover_codes(
            waves, waves(z), prior, restarts=n, determination=False, rng=torch.Generator().manual_seed(2)
        ).met.sum()
        for n in (1, 24)
    )
    assert one <= 15
    assert many >= 25


def test_the_starts_of_a_datum_do_not_depend_on_what_else_is_in_work() -> None:
    prior = Normal(8).double()
    x = waves(prior.sample(3, rng=torch.Generator().manual_seed(3)))
    one, together = (
        recover_codes(
            waves, x, prior, restarts=4, determination=False, batch_size=size, rng=torch.Generator().manual_seed(4)
        )
        for size in (1, 1024)
    )
    assert_close(one.restart_loss, together.restart_loss)


def test_data_that_no_code_makes_get_fewer_starts_unless_a_number_is_given(rng: torch.Generator) -> None:
    prior, x = Normal(8), 2 * torch.rand(3, 24, generator=rng) - 1
    by_default = recover_codes(waves, x, prior, determination=False, rng=rng)
    by_number = recover_codes(waves, x, prior, restarts=12, determination=False, rng=rng)
    assert (by_default.restart_loss.isfinite().sum(1) < 12).all()
    assert by_number.restart_loss.isfinite().all()
