"""What designing a prior costs and reaches, beside scipy's general solvers.

    python benchmarks/prior_designer.py

The mean divergence over t = 0.1, 0.25, 0.5 at the published spread is minimised on 128, 256, 512 and 1024 bins

1. by `design_interpolable`,
2. by scipy's SLSQP and
3. by scipy's trust-constr,

which get the same objective with the same analytic gradient, the same start (the truncated Cauchy distribution), masses of
one half with bounds 0 and 1, one linear equality for their sum and one linear inequality for the variance. A solver is
stopped when its time is up; its best feasible masses until then count, and the row says so. Feasible is what misses the sum
by 1e-6 and the variance by 1e-6 of itself at most. Seconds are of processor time, so that a busy machine does not count.
"""

import argparse
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from latentry.models.pretrained import installed_versions
from latentry.numerics.combination import GridCombination
from latentry.priors.designer import PUBLISHED_STD, design_interpolable
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

MIX = (0.1, 0.25, 0.5)
FEASIBLE = 1e-6


@dataclass(frozen=True)
class Outcome:
    """How one solver fared on one grid."""

    solver: str
    bins: int
    seconds: float
    divergence: float | None
    """Mean over t in nats, of the best feasible masses; none if there were none."""
    evaluations: int
    ended: str
    """Whether the solver said that it was done, or what stopped it."""


class OutOfTimeError(Exception):
    """Raised from within an objective: scipy's solvers have no time limit."""


class Problem:
    """The problem on half of a symmetric grid, as scipy's solvers take it, with a stopwatch."""

    def __init__(self, bins: int, limit: float) -> None:
        self.bins, self.half = bins, bins // 2
        self.combinations = [GridCombination(bins, (1 - t, t)) for t in MIX]
        self.second = ((np.arange(bins) - (bins - 1) / 2) / (PUBLISHED_STD * bins)) ** 2
        self.limit, self.began = limit, time.process_time()
        self.evaluations = 0
        self.best: float | None = None

    def start(self) -> np.ndarray:
        from scipy.optimize import brentq

        offset = np.arange(self.bins) - (self.bins - 1) / 2

        def masses(scale: float) -> np.ndarray:
            p = np.arctan((offset + 0.5) / scale) - np.arctan((offset - 0.5) / scale)
            return p / p.sum()

        scale = brentq(lambda scale: masses(scale) @ self.second - 1, 1e-6 * self.bins, self.bins)
        return masses(scale)[: self.half]

    def __call__(self, half: np.ndarray) -> tuple[float, np.ndarray]:
        if time.process_time() - self.began > self.limit:
            raise OutOfTimeError
        self.evaluations += 1
        p = torch.from_numpy(np.concatenate([half, half[::-1]]).clip(0))
        parts = [combination.divergence(p) for combination in self.combinations]
        value = sum(value for value, _ in parts) / len(parts)
        gradient = torch.stack([gradient for _, gradient in parts]).mean(0).numpy()
        missed = max(abs(2 * half.sum() - 1), 1 - 2 * half @ self.second[: self.half], -half.min())
        if missed <= FEASIBLE and (self.best is None or value < self.best):
            self.best = value
        return value, gradient[: self.half] + gradient[: self.half - 1 : -1]


def by_scipy(method: str, bins: int, limit: float) -> Outcome:
    from scipy.optimize import Bounds, LinearConstraint, minimize

    problem = Problem(bins, limit)
    options: dict[str, Any] = {"maxiter": 10**6}
    options |= {"ftol": 1e-12} if method == "SLSQP" else {"gtol": 1e-10, "xtol": 1e-14}
    constraints = [
        LinearConstraint(2 * np.ones((1, problem.half)), 1.0, 1.0),
        LinearConstraint(2 * problem.second[None, : problem.half], 1.0, np.inf),
    ]
    try:
        found = minimize(
            problem, problem.start(), jac=True, method=method, bounds=Bounds(0, 1), constraints=constraints, options=options
        )
        ended = "done" if found.success else str(found.message)
    except OutOfTimeError:
        ended = f"stopped after {limit:.0f} s"
    return Outcome(method, bins, time.process_time() - problem.began, problem.best, problem.evaluations, ended)


def by_latentry(bins: int) -> Outcome:
    began = time.process_time()
    design = design_interpolable(1, bins=bins, mix=MIX).design
    assert design is not None
    seconds = time.process_time() - began
    reached = design.objective if design.violation <= FEASIBLE else None
    return Outcome("latentry", bins, seconds, reached, design.evaluations, "done" if design.converged else "not converged")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bins", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds for each of scipy's solvers on each grid")
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    by_latentry(64)  # imports and caches
    outcomes = []
    for bins in arguments.bins:
        outcomes += [by_latentry(bins), *(by_scipy(name, bins, arguments.limit) for name in ("SLSQP", "trust-constr"))]
    rows = [
        (
            str(outcome.bins),
            outcome.solver,
            f"{outcome.seconds:.2f}",
            "none feasible" if outcome.divergence is None else f"{outcome.divergence:.6f}",
            str(outcome.evaluations),
            outcome.ended,
        )
        for outcome in outcomes
    ]
    title = f"Mean divergence over t = {', '.join(map(str, MIX))}, {torch.get_num_threads()} thread(s)"
    print_table(Table(title, ("bins", "solver", "CPU s", "mean KL", "evaluations", "ended"), tuple(rows)))
    if arguments.out:
        settings = vars(arguments) | {"threads": torch.get_num_threads()}
        write_json(
            arguments.out,
            {"settings": settings, "versions": installed_versions(), "figures": [asdict(outcome) for outcome in outcomes]},
        )


if __name__ == "__main__":
    main()
