"""The classic problems of nonlinear least squares, taken for generators: the minima that scipy finds from standard starts.

Reference: Moré, Garbow, Hillstrom, "Testing unconstrained optimization software", 1981. Numbers in brackets are theirs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from latentry.latent.recovery import recover_codes
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.priors import Normal


@dataclass(frozen=True)
class Problem:
    """Residuals `(n, m)` of parameters `(n, d)`, and the standard start."""

    name: str
    residuals: Callable[[Tensor], Tensor]
    start: tuple[float, ...]


def numbers(text: str) -> Tensor:
    return torch.tensor([float(one) for one in text.split()], dtype=torch.float64)


def columns(*parts: Tensor) -> Tensor:
    return torch.stack(parts, 1)


def rosenbrock(x: Tensor) -> Tensor:
    return columns(10 * (x[:, 1] - x[:, 0] ** 2), 1 - x[:, 0])


def freudenstein_roth(x: Tensor) -> Tensor:
    a, b = x.unbind(1)
    return columns(-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b)


def brown_badly_scaled(x: Tensor) -> Tensor:
    a, b = x.unbind(1)
    return columns(a - 1e6, b - 2e-6, a * b - 2)


def beale(x: Tensor) -> Tensor:
    a, b = x[:, :1], x[:, 1:]
    return numbers("1.5 2.25 2.625") - a * (1 - b ** torch.arange(1, 4))


def jennrich_sampson(x: Tensor) -> Tensor:
    i = torch.arange(1, 11, dtype=torch.float64)
    return 2 + 2 * i - ((i * x[:, :1]).exp() + (i * x[:, 1:]).exp())


def helical_valley(x: Tensor) -> Tensor:
    a, b, c = x.unbind(1)
    turn = torch.atan2(b, a) / (2 * math.pi)
    turn = torch.where((a < 0) & (b < 0), turn + 1, turn)  # theta jumps at b = 0 above, not below
    return columns(10 * (c - 10 * turn), 10 * ((a**2 + b**2).sqrt() - 1), c)


def bard(x: Tensor) -> Tensor:
    y = numbers("0.14 0.18 0.22 0.25 0.29 0.32 0.35 0.39 0.37 0.58 0.73 0.96 1.34 2.10 4.39")
    u = torch.arange(1, 16, dtype=torch.float64)
    v = 16 - u
    return y - (x[:, :1] + u / (v * x[:, 1:2] + torch.minimum(u, v) * x[:, 2:]))


def gaussian(x: Tensor) -> Tensor:
    y = numbers("0.0009 0.0044 0.0175 0.0540 0.1295 0.2420 0.3521 0.3989 0.3521 0.2420 0.1295 0.0540 0.0175 0.0044 0.0009")
    t = (8 - torch.arange(1, 16, dtype=torch.float64)) / 2
    return x[:, :1] * (-x[:, 1:2] * (t - x[:, 2:]) ** 2 / 2).exp() - y


def meyer(x: Tensor) -> Tensor:
    y = numbers("34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872")
    t = 45 + 5 * torch.arange(1, 17, dtype=torch.float64)
    return x[:, :1] * (x[:, 1:2] / (t + x[:, 2:])).exp() - y


def box_3d(x: Tensor) -> Tensor:
    t = 0.1 * torch.arange(1, 11, dtype=torch.float64)
    return (-t * x[:, :1]).exp() - (-t * x[:, 1:2]).exp() - x[:, 2:] * ((-t).exp() - (-10 * t).exp())


def powell_singular(x: Tensor) -> Tensor:
    a, b, c, d = x.unbind(1)
    return columns(a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2)


def wood(x: Tensor) -> Tensor:
    a, b, c, d = x.unbind(1)
    return columns(10 * (b - a**2), 1 - a, 90**0.5 * (d - c**2), 1 - c, 10**0.5 * (b + d - 2), 10**-0.5 * (b - d))


def kowalik_osborne(x: Tensor) -> Tensor:
    y = numbers("0.1957 0.1947 0.1735 0.1600 0.0844 0.0627 0.0456 0.0342 0.0323 0.0235 0.0246")
    u = numbers("4 2 1 0.5 0.25 0.167 0.125 0.1 0.0833 0.0714 0.0625")
    a, b, c, d = (x[:, i : i + 1] for i in range(4))
    return y - a * (u**2 + u * b) / (u**2 + u * c + d)


def brown_dennis(x: Tensor) -> Tensor:
    t = torch.arange(1, 21, dtype=torch.float64) / 5
    a, b, c, d = (x[:, i : i + 1] for i in range(4))
    return (a + t * b - t.exp()) ** 2 + (c + d * t.sin() - t.cos()) ** 2


def osborne_1(x: Tensor) -> Tensor:
    y = numbers(
        "0.844 0.908 0.932 0.936 0.925 0.908 0.881 0.850 0.818 0.784 0.751 0.718 0.685 0.658 0.628 0.603 0.580 0.558 0.538 "
        "0.522 0.506 0.490 0.478 0.467 0.457 0.448 0.438 0.431 0.424 0.420 0.414 0.411 0.406"
    )
    t = 10 * torch.arange(33, dtype=torch.float64)
    a, b, c, d, e = (x[:, i : i + 1] for i in range(5))
    return y - (a + b * (-t * d).exp() + c * (-t * e).exp())


def biggs(x: Tensor) -> Tensor:
    t = 0.1 * torch.arange(1, 14, dtype=torch.float64)
    y = (-t).exp() - 5 * (-10 * t).exp() + 3 * (-4 * t).exp()
    a, b, c, d, e, f = (x[:, i : i + 1] for i in range(6))
    return c * (-t * a).exp() - d * (-t * b).exp() + f * (-t * e).exp() - y


def osborne_2(x: Tensor) -> Tensor:
    y = numbers(
        "1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 0.616 0.606 0.602 0.626 0.651 "
        "0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 0.533 0.495 0.500 0.423 0.395 0.375 0.372 0.391 0.396 0.405 "
        "0.428 0.429 0.523 0.562 0.607 0.653 0.672 0.708 0.633 0.668 0.645 0.632 0.591 0.559 0.597 0.625 0.739 0.710 0.729 "
        "0.720 0.636 0.581 0.428 0.292 0.162 0.098 0.054"
    )
    t = torch.arange(65, dtype=torch.float64) / 10
    a, b, c, d, e, f, g, h, i, j, k = (x[:, n : n + 1] for n in range(11))
    return y - (
        a * (-t * e).exp()
        + b * (-((t - i) ** 2) * f).exp()
        + c * (-((t - j) ** 2) * g).exp()
        + d * (-((t - k) ** 2) * h).exp()
    )


def watson(x: Tensor) -> Tensor:
    t = torch.arange(1, 30, dtype=torch.float64)[:, None] / 29
    j = torch.arange(x.shape[1], dtype=torch.float64)
    slope = (x[:, None, 1:] * j[1:] * t ** j[:-1]).sum(2)
    value = (x[:, None] * t**j).sum(2)
    return torch.cat([slope - value**2 - 1, x[:, :1], x[:, 1:2] - x[:, :1] ** 2 - 1], 1)


PROBLEMS = (
    Problem("Rosenbrock (1)", rosenbrock, (-1.2, 1.0)),
    Problem("Freudenstein-Roth (2)", freudenstein_roth, (0.5, -2.0)),
    Problem("Brown, badly scaled (4)", brown_badly_scaled, (1.0, 1.0)),
    Problem("Beale (5)", beale, (1.0, 1.0)),
    Problem("Jennrich-Sampson (6)", jennrich_sampson, (0.3, 0.4)),
    Problem("helical valley (7)", helical_valley, (-1.0, 0.0, 0.0)),
    Problem("Bard (8)", bard, (1.0, 1.0, 1.0)),
    Problem("Gaussian (9)", gaussian, (0.4, 1.0, 0.0)),
    Problem("Meyer (10)", meyer, (0.02, 4000.0, 250.0)),
    Problem("Box, three dimensions (12)", box_3d, (0.0, 10.0, 20.0)),
    Problem("Powell, singular (13)", powell_singular, (3.0, -1.0, 0.0, 1.0)),
    Problem("Wood (14)", wood, (-3.0, -1.0, -3.0, -1.0)),
    Problem("Kowalik-Osborne (15)", kowalik_osborne, (0.25, 0.39, 0.415, 0.39)),
    Problem("Brown-Dennis (16)", brown_dennis, (25.0, 5.0, -5.0, -1.0)),
    Problem("Osborne 1 (17)", osborne_1, (0.5, 1.5, -1.0, 0.01, 0.02)),
    Problem("Biggs (18)", biggs, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0)),
    Problem("Osborne 2 (19)", osborne_2, (1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5)),
    Problem("Watson, 6 (20)", watson, (0.0,) * 6),
)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_the_minimum_is_that_of_scipy_from_the_standard_start(problem: Problem) -> None:
    """With codes that are deviations from the start in units of its size, for which the prior makes samples near it."""
    start = torch.tensor([problem.start], dtype=torch.float64)
    size, d = torch.where(start == 0, 1.0, start.abs()), len(problem.start)

    def generator(z: Tensor) -> Tensor:
        return problem.residuals(start + size * z)

    def oracle(z: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        return generator(torch.from_numpy(z)[None])[0].numpy()

    m = generator(start).shape[1]
    found = recover_codes(
        generator,
        torch.zeros(1, m, dtype=torch.float64),
        Normal(d, scale=0.1).double(),
        solver=LevenbergMarquardt(steps=400),
        start=torch.zeros(1, d, dtype=torch.float64),
        restarts=1,
    )
    expected = least_squares(oracle, np.zeros(d), method="lm", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=5000)
    begun = generator(torch.zeros(1, d)).square().mean().item()
    cost = 2 * expected.cost / m
    assert found.loss.item() <= (1 + 1e-6) * cost + 1e-14 * begun
    assert found.converged.all()
