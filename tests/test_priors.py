"""Priors against their scipy twins and their own identities."""

import math
import subprocess
import sys
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.io import savemat
from torch.distributions import Distribution
from torch.testing import assert_close

from latentry.priors import (
    HalfUniformHalfNormal,
    IIDDistribution,
    IIDPrior,
    LogUniformRadius,
    Normal,
    NormalMixture,
    Tabulated,
    TruncatedCauchy,
    Uniform,
    load_prior,
    save_prior,
)
from latentry.priors.numbers import checked_number
from latentry.storage import write_json

TABLE = [0.1, 0.0, 0.4, 0.2, 0.3]
PRIORS = [
    Normal(5),
    Normal(5, loc=-0.3, scale=1.7),
    Uniform(5),
    Uniform(5, low=0.5, high=2.0),
    HalfUniformHalfNormal(5),
    TruncatedCauchy(5),
    TruncatedCauchy(5, scale=0.1, bound=2.0),
    Tabulated(5, [0.2, 0.5, 0.3], -1.0, 2.0),
    Tabulated(5, TABLE, standardize=True),
]
TWINS = [
    (Normal(5), stats.norm()),
    (Normal(5, -0.3, 1.7), stats.norm(-0.3, 1.7)),
    (Uniform(5), stats.uniform(-1, 2)),
    (Tabulated(5, TABLE, -1.0, 4.0), stats.rv_histogram((np.array(TABLE), np.linspace(-1, 4, 6)), density=False)),
]
prior_cases = pytest.mark.parametrize("prior", PRIORS, ids=repr)


@prior_cases
def test_cdf_and_icdf_are_inverse(prior: IIDPrior) -> None:
    u = torch.linspace(0.001, 0.999, 55, dtype=torch.float64).view(11, 5)
    assert_close(prior.cdf(prior.icdf(u)), u)
    z = deepcopy(prior).to(torch.float64).sample(11)
    assert_close(prior.icdf(prior.cdf(z)), z, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("prior", "twin"), TWINS, ids=["normal", "shifted", "uniform", "table"])
def test_per_coordinate_functions_agree_with_scipy(prior: IIDPrior, twin: stats.rv_continuous) -> None:
    z = torch.linspace(-3.1, 3.3, 55, dtype=torch.float64).view(11, 5)
    u = torch.linspace(0.01, 0.99, 55, dtype=torch.float64).view(11, 5)
    with torch.no_grad():
        assert_close(prior.cdf(z), torch.from_numpy(twin.cdf(z)))
        assert_close(prior.icdf(u), torch.from_numpy(twin.ppf(u)))
        assert_close(prior.log_cdf(z), torch.from_numpy(twin.logcdf(z)))
        assert_close(prior.log_sf(z), torch.from_numpy(twin.logsf(z)))
        assert_close(prior.log_prob(z), torch.from_numpy(twin.logpdf(z).sum(1)))
    assert_close(prior().entropy().item(), 5 * float(twin.entropy()), rtol=1e-6, atol=1e-6)


@prior_cases
def test_the_density_is_the_derivative_of_the_cdf(prior: IIDPrior) -> None:
    z = deepcopy(prior).to(torch.float64).sample(11).requires_grad_(True)
    (density,) = torch.autograd.grad(prior.cdf(z).sum(), z)
    assert_close(density, prior.marginal.log_prob(z).exp())


@prior_cases
def test_moments_and_closed_forms_are_the_integrals_they_claim(prior: IIDPrior) -> None:
    distribution = prior.marginal
    low, high = distribution.icdf(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    steps = (
        np.linspace(distribution.low, distribution.high, len(distribution.probs) + 1)
        if isinstance(prior, Tabulated)
        else [0.0]
    )
    breaks = sorted({low, high, *(x for x in steps if low < x < high)})

    def integral(function: object, until: float = math.inf) -> float:
        ends = [*[x for x in breaks if x < until], min(until, high)]
        return sum((integrate.quad(function, a, b)[0] for a, b in pairwise(ends)), 0.0)

    def at(function: object, x: float) -> float:
        return function(torch.tensor(x, dtype=torch.float64)).item()  # type: ignore[operator]

    def density(x: float) -> float:
        return math.exp(at(distribution.log_prob, x))

    assert_close(integral(density), 1.0)
    assert_close(distribution.mean, integral(lambda x: x * density(x)))
    assert_close(distribution.variance, integral(lambda x: (x - distribution.mean) ** 2 * density(x)))
    assert_close(
        distribution.mean_difference, 2 * integral(lambda x: at(distribution.cdf, x) * (1 - at(distribution.cdf, x)))
    )
    assert_close(
        distribution.entropy, -integral(lambda x: density(x) * at(distribution.log_prob, x) if density(x) > 0 else 0.0)
    )
    for x in (-0.7, 0.2, 0.9):
        below = integral(lambda t: t * density(t), until=x)
        assert_close(at(distribution.partial_mean, x), below, rtol=1e-6, atol=1e-7)
    ends = distribution.partial_mean(torch.tensor([low, high], dtype=torch.float64))
    assert_close(ends, torch.tensor([0.0, distribution.mean], dtype=torch.float64))


@prior_cases
def test_samples_pass_a_test_against_their_own_cdf(prior: IIDPrior, rng: torch.Generator) -> None:
    z = deepcopy(prior).to(torch.float64).sample(4000, rng=rng)
    assert stats.kstest(z.flatten().numpy(), lambda x: prior.marginal.cdf(torch.from_numpy(x)).numpy()).pvalue > 0.01


@prior_cases
def test_shapes_follow_torch_distributions(prior: IIDPrior, rng: torch.Generator) -> None:
    distribution = deepcopy(prior).to(torch.float32)()
    assert isinstance(distribution, Distribution)
    assert isinstance(distribution, IIDDistribution)
    assert distribution.event_shape == (5,)
    assert prior.sample().shape == (5,)
    assert prior.sample(3, rng=rng).shape == (3, 5)
    assert prior.sample((2, 3), rng=rng).shape == (2, 3, 5)
    assert prior.rsample((2, 3)).dtype == torch.float32
    assert deepcopy(prior).to(torch.float64).sample(2).dtype == torch.float64
    assert distribution.mean.shape == distribution.variance.shape == (5,)
    assert distribution.support.check(distribution.sample(20)).all()


@prior_cases
def test_a_saved_prior_comes_back_as_it_was(prior: IIDPrior, tmp_path: Path) -> None:
    save_prior(tmp_path / "prior.json", prior, note="any")
    again = load_prior(tmp_path / "prior.json")
    assert type(again) is type(prior)
    assert again.arguments() == prior.arguments()
    assert load_prior(tmp_path / "prior.json", latent_dim=9).latent_dim == 9


def test_a_bare_table_needs_the_length_of_a_code(tmp_path: Path) -> None:
    np.save(tmp_path / "table.npy", np.array(TABLE))
    assert load_prior(tmp_path / "table.npy", latent_dim=4).sample(2).shape == (2, 4)
    with pytest.raises(ValueError, match="pass latent_dim"):
        load_prior(tmp_path / "table.npy")


@pytest.mark.parametrize("content", [{"class": "Nothing", "arguments": {}}, {"class": "Normal", "arguments": {"no": 1}}])
def test_a_file_that_names_no_prior_is_refused(content: dict[str, object], tmp_path: Path) -> None:
    write_json(tmp_path / "prior.json", content)
    with pytest.raises(ValueError, match="expected the class and the arguments"):
        load_prior(tmp_path / "prior.json")


@prior_cases
def test_equal_seeds_give_equal_codes(prior: IIDPrior) -> None:
    first, second = (prior.sample(4, rng=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_the_truncated_cauchy_is_the_cauchy_distribution_cut_off() -> None:
    prior, twin = TruncatedCauchy(1, scale=0.3, bound=5.0), stats.cauchy(scale=0.3)
    z = torch.linspace(-4.99, 4.99, 101, dtype=torch.float64)[:, None]
    inside = twin.cdf(5.0) - twin.cdf(-5.0)
    assert_close(prior.cdf(z), torch.from_numpy((twin.cdf(z) - twin.cdf(-5.0)) / inside))
    assert_close(prior.log_prob(z), torch.from_numpy(twin.logpdf(z) - math.log(inside))[:, 0])
    assert_close(prior.log_sf(-z), prior.log_cdf(z))


def test_a_wide_truncated_cauchy_keeps_the_digits_of_its_tails() -> None:
    distribution = TruncatedCauchy(1, scale=1.0, bound=1e6).marginal
    near_the_end = torch.tensor([1e6 * (1 - 1e-6)], dtype=torch.float64)
    # P(X > x) = (b - x) density(b), to first order
    assert_close(distribution.log_sf(near_the_end).exp(), distribution.log_prob(near_the_end).exp() * 1.0, rtol=1e-5, atol=0)


def test_the_entropy_of_a_table_agrees_with_scipy(rng: torch.Generator) -> None:
    probs = torch.rand(64, generator=rng, dtype=torch.float64)
    prior = Tabulated(3, probs / probs.sum(), -2.0, 2.0)
    twin = stats.rv_histogram((prior.probs.numpy(), np.linspace(-2, 2, 65)), density=False)
    assert_close(prior.marginal.entropy, float(twin.entropy()))
    assert_close(prior.marginal.variance, float(twin.var()))


def test_no_draw_of_a_table_falls_into_a_bin_without_mass(rng: torch.Generator) -> None:
    prior = Tabulated(4, [0.0, 0.5, 0.0, 0.5, 0.0], 0.0, 5.0)
    z = prior.sample(50_000, rng=rng)
    assert set(z.floor().unique().tolist()) <= {1.0, 2.0, 3.0, 4.0}
    assert ((z > 2) & (z < 3)).sum() == 0
    assert prior.marginal.support == (1.0, 4.0)
    ends = prior.icdf(torch.tensor([[0.0, 0.5, 0.5 + 1e-6, 1.0]], dtype=torch.float64))
    assert_close(ends, torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64), rtol=0, atol=1e-5)


def test_a_standardized_table_has_mean_0_and_variance_1() -> None:
    distribution = Tabulated(2, TABLE, 3.0, 9.0, standardize=True).marginal
    assert_close([distribution.mean, distribution.variance], [0.0, 1.0])


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json", ".mat"])
def test_a_table_is_read_from_every_kind_of_file(suffix: str, tmp_path: Path) -> None:
    path, probs = tmp_path / f"table{suffix}", np.array(TABLE)
    if suffix == ".npy":
        np.save(path, probs)
    elif suffix == ".npz":
        np.savez(path, probs=probs, low=-1.0, high=3.0)
    elif suffix == ".json":
        write_json(path, {"probs": TABLE, "low": -1.0, "high": 3.0})
    else:
        savemat(path, {"pOpt": 7.0 * probs[:, None]})  # a column, as MATLAB keeps vectors, here as a density
    prior = Tabulated.from_file(path, 3)
    assert_close(prior.probs, torch.tensor(TABLE, dtype=torch.float64))
    assert (prior.marginal.low, prior.marginal.high) == ((-1.0, 3.0) if suffix in (".npz", ".json") else (-2.0, 2.0))
    assert Tabulated.from_file(path, 3, support=(0.0, 1.0)).marginal.high == 1.0


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found no such file"):
        Tabulated.from_file(tmp_path / "none.npy", 3)
    with pytest.raises(ValueError, match=r"expected a table as .*\.csv"):
        Tabulated.from_file(tmp_path / "table.csv", 3)
    (tmp_path / "cut.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"cut\.npy is not a whole"):
        Tabulated.from_file(tmp_path / "cut.npy", 3)
    np.savez(tmp_path / "two.npz", a=np.ones(3), b=np.ones(4))
    with pytest.raises(ValueError, match="found 2"):
        Tabulated.from_file(tmp_path / "two.npz", 3)
    np.save(tmp_path / "negative.npy", np.array([1.0, -1.0, 2.0]))
    with pytest.raises(ValueError, match="masses >= 0"):
        Tabulated.from_file(tmp_path / "negative.npy", 3)


def test_outside_the_support_cdf_is_0_or_1_and_the_density_0() -> None:
    outside = torch.tensor([[-4.0, 4.0]])
    assert torch.equal(Uniform(2).cdf(outside), torch.tensor([[0.0, 1.0]]))
    assert Uniform(2).log_prob(outside).item() == -math.inf
    assert HalfUniformHalfNormal(2).cdf(outside)[0, 0] == 0
    assert HalfUniformHalfNormal(2).log_prob(outside).item() == -math.inf


def test_the_tails_of_the_normal_stay_finite_in_the_log_domain() -> None:
    z = torch.tensor([[-8.0, 8.0, 20.0]])
    assert Normal(3).log_cdf(z).isfinite().all()
    assert Normal(3).log_sf(z).isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(0), "latent_dim >= 1"),
        (lambda: Normal(3, scale=0.0), "scale > 0"),
        (lambda: Uniform(3, low=1.0, high=1.0), "low < high"),
        (lambda: TruncatedCauchy(3, bound=0.0), "bound > 0"),
        (lambda: Tabulated(3, [0.5, 0.6]), "sum to 1, got 1.1"),
        (lambda: Tabulated(3, [1.5, -0.5]), "mass >= 0"),
        (lambda: Tabulated(3, []), "one finite mass"),
        (lambda: Tabulated(3, [1.0], 1.0, 1.0), "low < high"),
        (lambda: Normal(3).log_prob(torch.zeros(2, 4)), r"shape \(\.\.\., 3\)"),
    ],
)
def test_bad_input_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("probs", ["[[0.5, 0.5]]", "torch.ones(1, 2) / 2", "['a']", "3"])
def test_masses_that_are_no_numbers_are_named_where_no_checker_of_types_runs(probs: str) -> None:
    code = f"import torch; from latentry.priors import Tabulated; Tabulated(3, {probs})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError: expected one mass for each bin" in done.stderr


@pytest.mark.parametrize("shape", [3, np.int64(3), torch.tensor(3), (3,), [3], torch.Size([3])], ids=repr)
@pytest.mark.parametrize("prior", [Normal(2), LogUniformRadius(2), NormalMixture([[0.0, 0.0]], [[1.0, 1.0]])], ids=repr)
def test_sample_shapes_are_whole_numbers_of_any_kind(prior: Any, shape: Any) -> None:
    assert prior.sample(shape).shape == (3, 2)


@pytest.mark.parametrize("shape", [2.5, None, "3", True, -1, (2, -1), torch.tensor(2.5)], ids=repr)
def test_other_sample_shapes_are_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"expected (a sample shape of whole numbers >= 0|shape as a whole number)"):
        Normal(2).sample(shape)


@pytest.mark.parametrize("number", [np.float32(2.0), np.int64(2), torch.tensor(2.0)], ids=repr)
def test_numbers_of_any_kind_are_kept_as_floats(number: Any) -> None:
    assert type(checked_number("scale", number)) is float
    assert checked_number("scale", number) == 2


@pytest.mark.parametrize("number", ["2", None, True, 2j, torch.ones(2), math.nan], ids=repr)
def test_other_things_are_no_numbers(number: Any) -> None:
    with pytest.raises(ValueError, match="expected a number scale > 0"):
        checked_number("scale", number)


@pytest.mark.parametrize(
    "record",
    [
        {"class": "TruncatedCauchy", "arguments": {"latent_dim": 3, "scale": 1e-320}},
        {"class": "GammaRadius", "arguments": {"latent_dim": 3, "shape": 1e-300}},
        {"class": "GammaRadius", "arguments": {"latent_dim": 3, "shape": 1e308}},
        {"class": "Normal", "arguments": {"latent_dim": 3, "scale": 1e200}},
        {"class": "Normal", "arguments": {"latent_dim": 3, "scale": 1e-320}},
        {"class": "LogUniformRadius", "arguments": {"latent_dim": 3, "spread": 1e300}},
        {"class": "Uniform", "arguments": {"latent_dim": 3, "low": -1e308, "high": 1e308}},
        {"class": "Normal", "arguments": {"latent_dim": 3, "loc": 1e30}},
    ],
    ids=str,
)
def test_numbers_that_no_prior_can_compute_with_are_refused_where_it_is_made(record: dict[str, Any], tmp_path: Path) -> None:
    write_json(tmp_path / "prior.json", record)
    with pytest.raises(ValueError, match=r"from .* to 1e\+"):
        load_prior(tmp_path / "prior.json")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_samples_in_half_precision_are_of_the_support(dtype: torch.dtype, rng: torch.Generator) -> None:
    prior = Uniform(4, 0.1, 0.3).to(dtype)
    assert prior.log_prob(prior.sample(50_000, rng=rng)).isfinite().all()
