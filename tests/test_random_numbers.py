"""Without an `rng` every function draws from torch's default generator: `torch.manual_seed` repeats it, and it alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import latentry as lt

PRIOR = lt.priors.Normal(8)
Z = PRIOR.sample(16, rng=torch.Generator().manual_seed(0))
X = torch.randn(2, 40, 8, generator=torch.Generator().manual_seed(0))


def adam_with_resampling() -> Tensor:
    solver = lt.solvers.Adam(steps=3, resampling=lt.solvers.BoundaryResampling(0.5), halve_at=())
    return lt.recover_codes(lambda z: 2 * z, 2 * Z, PRIOR, solver=solver, start=Z, restarts=1).z


def intervals() -> Tensor:
    report = lt.evaluate_samples(*X, lambda x: x)
    return torch.tensor([(one.low, one.high) for one in report.estimates.values()])


DRAWS: dict[str, Callable[[], Tensor]] = {
    "sample": lambda: PRIOR.sample(3),
    "recover_codes": lambda: lt.recover_codes(lambda z: z.sin(), Z, PRIOR, restarts=1).restart_loss,
    "recover_codes, resampling": adam_with_resampling,
    "goodness_of_fit": lambda: torch.tensor([check.p_value for check in lt.goodness_of_fit(Z, PRIOR).checks]),
    "evaluate_samples": intervals,
    "is_from": lambda: lt.metrics.is_from(lambda z: z.sin(), Z.sin(), PRIOR, calibration=19, restarts=1).own_scores,
    "random_directions": lambda: lt.directions.random_directions(PRIOR).vectors,
    "keep_share": lambda: lt.measurements.keep_share((30,), 0.5),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_the_default_generator_is_the_source_without_an_rng(draw: Callable[[], Tensor]) -> None:
    torch.manual_seed(3)
    first, second = draw(), draw()
    torch.manual_seed(3)
    assert torch.equal(draw().nan_to_num(), first.nan_to_num())
    assert not torch.equal(first.nan_to_num(), second.nan_to_num())
