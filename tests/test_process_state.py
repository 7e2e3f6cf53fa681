"""The process is its owner's: random numbers, default dtype and allocator are as before, and no result depends on them."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentry as lt
from latentry import cli
from latentry.evaluation.basis import spectral_calibration
from latentry.evaluation.monotonicity import monotonicity
from latentry.evaluation.operators import prior_kept
from latentry.evaluation.probes import probe_accuracy
from latentry.evaluation.subspace import subspace_capture
from latentry.latent.settings import InverseSettings
from latentry.models.pretrained import load_network, save_network, shipped_models
from latentry.models.saving import load_model
from latentry.networks import DCGANGenerator
from latentry.training import memory

D, N = 3, 60
PRIOR = lt.priors.Normal(D).float()


def rng(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(n: int = N) -> Tensor:
    return torch.randn(n, D, generator=rng(), dtype=torch.float32)


def generator(z: Tensor) -> Tensor:
    return torch.cat([z, z.square()], 1)


def labels() -> Tensor:
    return torch.arange(N) % 2


BASIS = lt.directions.basis_from_codes(codes(), labels())

WITH_RNG: dict[str, Callable[[torch.Generator], Any]] = {
    "sample": lambda rng: PRIOR.sample(4, rng=rng),
    "radial": lambda rng: lt.priors.GammaRadius(D).float().sample(4, rng=rng),
    "recover_codes": lambda rng: lt.recover_codes(generator, generator(codes(2)), PRIOR, rng=rng).z,
    "adam": lambda rng: (
        lt.recover_codes(
            generator,
            generator(codes(2)),
            PRIOR,
            solver=lt.solvers.Adam(steps=3, resampling=lt.solvers.LogisticResampling(2.0)),
            rng=rng,
        ).z
    ),
    "is_from": lambda rng: lt.metrics.is_from(generator, generator(codes(2)), PRIOR, calibration=19, restarts=1, rng=rng).z,
    "quasi_eigenvectors": lambda rng: (
        lt.quasi_eigenvectors(generator, lambda x: x[:, :2], PRIOR, per_label=20, complement="noise", rng=rng).vectors
    ),
    "basis_from_codes": lambda rng: lt.directions.basis_from_codes(codes(), labels(), complement="noise", rng=rng).vectors,
    "activation_directions": lambda rng: (
        lt.directions.activation_directions(generator, PRIOR, samples=200, components=2, rng=rng).vectors
    ),
    "random_directions": lambda rng: lt.directions.random_directions(PRIOR, rng=rng).vectors,
    "evaluate_samples": lambda rng: lt.evaluate_samples(codes(), codes().flip(1), lambda x: x, rng=rng).recall.value,
    "evaluate_paths": lambda rng: (
        lt.evaluate_paths(generator, PRIOR, metric=lambda x, _: x.sum().item(), count=8, t=(0.5,), rng=rng)[0].samples
    ),
    "goodness_of_fit": lambda rng: lt.goodness_of_fit(codes(), PRIOR, rng=rng).p_value,
    "prior_kept": lambda rng: prior_kept(codes(), codes().flip(1), PRIOR, rng=rng).norm_error,
    "spectral_calibration": lambda rng: spectral_calibration(codes(), labels(), rng=rng).temperature,
    "probe_accuracy": lambda rng: probe_accuracy(codes(), labels(), folds=3, rng=rng).accuracy.value,
    "subspace_capture": lambda rng: subspace_capture(codes(), torch.eye(D, dtype=torch.float32)[:1], rng=rng).variance.value,
    "keep_share": lambda rng: lt.measurements.keep_share((4, 4), 0.5, rng=rng).bool(),
    "fit_inverse": lambda rng: lt.fit_inverse(generator, PRIOR, InverseSettings(steps=2, batch_size=4, width=1), rng=rng)(
        generator(codes(2))
    ),
}
WITHOUT: dict[str, Callable[[], Any]] = {
    "boundary_directions": lambda: lt.directions.boundary_directions(codes(), labels()).vectors,
    "fisher_directions": lambda: lt.directions.fisher_directions(codes(), labels()).vectors,
    "first_weight_directions": lambda: lt.directions.first_weight_directions(codes(5), PRIOR).vectors,
    "principal_directions": lambda: lt.directions.principal_directions(codes()).vectors,
    "match_labels": lambda: lt.directions.match_labels(BASIS, codes(), labels()).vectors,
    "rotate": lambda: lt.operators.rotate(codes(), BASIS.plane(0, 1), 0.3),
    "interpolate": lambda: lt.interpolate(codes()[:2], codes()[2:4], torch.tensor([0.3], dtype=torch.float32), PRIOR),
    "quantile_projection": lambda: lt.solvers.quantile_projection(codes(), PRIOR),
    "monotonicity": lambda: monotonicity(generator, lambda x: x[:, -1], codes(), codes(1)[0]).values,
    "wasserstein": lambda: lt.regularizers.StatisticalDistance("wasserstein")(codes(4), PRIOR),
    "energy": lambda: lt.regularizers.StatisticalDistance("energy")(codes(4), PRIOR),
}


@pytest.mark.parametrize("name", WITH_RNG)
def test_with_an_rng_nothing_else_is_drawn_from(name: str) -> None:
    before = torch.get_rng_state()
    WITH_RNG[name](rng())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def in_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "name", [name for name in {**WITH_RNG, **WITHOUT} if name != "fit_inverse"]
)  # networks are begun in the default dtype
def test_results_do_not_depend_on_the_default_dtype(name: str) -> None:
    def result() -> Any:
        return WITH_RNG[name](rng()) if name in WITH_RNG else WITHOUT[name]()

    if name == "fit_inverse":
        pytest.skip("networks that are to be trained begin in the default dtype, as all of torch do")
    single = result()
    try:
        torch.set_default_dtype(torch.float64)
        double = result()
    finally:
        torch.set_default_dtype(torch.float32)
    if isinstance(single, Tensor):
        assert double.dtype == single.dtype
        assert torch.equal(double, single)
    else:
        assert double == single


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_is_the_same_under_any_default_dtype(name: str) -> None:
    model = load_model(name)
    torch.set_default_dtype(torch.float32)
    assert model.fingerprint == load_model(name).fingerprint
    if isinstance(model, lt.GenerativeModel):
        torch.set_default_dtype(torch.float64)
        with torch.no_grad():
            assert model.generator(model.prior.sample(2, rng=rng())).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saved_network_keeps_its_digits(dtype: torch.dtype, tmp_path: Path) -> None:
    network = DCGANGenerator(4, width=1).to(dtype)
    save_network(tmp_path, network, lt.priors.Normal(4), {})
    found = load_network(tmp_path)
    assert found.prior is not None
    assert found.prior.sample(1).dtype == dtype
    for name, value in network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], value)


def test_the_library_leaves_the_allocator_alone_and_the_command_line_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: asked.append("mallopt"))
    lt.fit_inverse(nn.Linear(D, 2), PRIOR, InverseSettings(steps=1, width=1))
    assert asked == []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: asked.append("train"))
    with warnings.catch_warnings():
        assert cli.main(["sample", "nowhere"]) != 0
        assert asked == []
        assert cli.main(["train", "gan", "--data", "nowhere", "--out", "/nowhere"]) != 0
    assert asked == ["train"]
