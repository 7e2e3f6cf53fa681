"""Adam, batched over codes, against torch's own on one code."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.latent.recovery import Recovery, recover_codes
from latentry.latent.solvers.adam import Adam
from latentry.priors import Normal

D, PIXELS = 4, 9
STEPS = 12


@pytest.fixture
def matrix(rng: torch.Generator) -> Tensor:
    return torch.randn(PIXELS, D, dtype=torch.float64, generator=rng)


@pytest.fixture
def x(matrix: Tensor, rng: torch.Generator) -> Tensor:
    return torch.tanh(torch.randn(3, D, dtype=torch.float64, generator=rng) @ matrix.mT)


def recovered(matrix: Tensor, x: Tensor, start: Tensor, solver: Adam, batch_size: int = 100) -> Recovery:
    return recover_codes(
        lambda z: torch.tanh(z @ matrix.mT),
        x,
        Normal(D).double(),
        solver=solver,
        start=start,
        restarts=1,
        batch_size=batch_size,
        determination=False,
        rng=torch.Generator().manual_seed(3),
    )


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("batch_size", [100, 2])
def test_every_code_goes_the_way_of_torchs_adam(
    schedule: Any, batch_size: int, matrix: Tensor, x: Tensor, rng: torch.Generator
) -> None:
    """Codes that enter the batch late too: the third one, where two have room."""
    start = torch.randn(3, D, dtype=torch.float64, generator=rng)
    solver = Adam(steps=STEPS, learning_rate=0.05, schedule=schedule, betas=(0.8, 0.95))
    found = recovered(matrix, x, start, solver, batch_size)
    for datum, begin, z in zip(x, start, found.z, strict=True):
        code = begin.clone().requires_grad_(True)
        oracle = torch.optim.Adam([code], lr=0.05, betas=(0.8, 0.95), eps=1e-8)
        for step in range(STEPS):
            share = step / STEPS
            ramp = min((share + 0.01) / 0.05, 1.0) * 0.5 * (1 + math.cos(math.pi * share))
            oracle.param_groups[0]["lr"] = 0.05 * (ramp if schedule == "cosine" else 1.0)
            oracle.zero_grad()
            (torch.tanh(matrix @ code) - datum).square().mean().backward()
            oracle.step()
        assert_close(z, code.detach())


def test_codes_are_drawn_anew_after_each_step_and_kept_so(matrix: Tensor, x: Tensor) -> None:
    seen: list[tuple[Tensor, Any, torch.Generator]] = []

    def halved(z: Tensor, prior: Any, rng: torch.Generator) -> Tensor:
        seen.append((z, prior, rng))
        return z / 2

    start = torch.ones(3, D, dtype=torch.float64)
    found = recovered(matrix, x, start, Adam(steps=3, resampling=halved))
    assert len(seen) == 3
    assert all(prior.latent_dim == D and rng is seen[0][2] for _, prior, rng in seen)
    assert_close(found.z, seen[-1][0] / 2)
    assert_close(found.x_hat, torch.tanh(found.z @ matrix.mT))


def test_a_step_costs_a_forward_pass_and_a_gradient(matrix: Tensor, x: Tensor) -> None:
    found = recovered(matrix, x, torch.zeros(3, D, dtype=torch.float64), Adam(steps=5))
    assert found.evaluations.tolist() == [5 * 3 + 1 + 3] * 3  # at the end one more, to see whether the gradient is gone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps >= 1"),
        ({"learning_rate": math.nan}, "learning_rate > 0"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"halve_at": (0.0,)}, "halve_at"),
    ],
)
def test_numbers_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Adam(**change)
