"""The conformance kit on solvers: ours keep their promises, and gradient descent with one fault breaks one of them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

import latentry as lt
from latentry.latent.solvers.jacobian import jacobian
from latentry.testing import check_solver


@dataclass(frozen=True)
class State:
    z: Tensor
    loss: Tensor
    step: Tensor
    done: Tensor
    evaluations: Tensor


class Descent:
    """Gradient descent: a right solver of others."""

    steps = 50
    halve_at = None

    def begin(self, objective: Any, z: Tensor, target: Any) -> Any:
        count = torch.zeros(len(z), dtype=torch.int64)
        return State(z, z.new_full((len(z),), torch.inf), count, count.bool(), count)

    def finish(self, objective: Any, z: Tensor, target: Any) -> Any:
        return None

    def slope(self, objective: Any, state: Any, target: Any) -> tuple[Tensor, Tensor]:
        loss, slope = objective.slope(state.z, target, state.step.to(state.z) / self.steps)
        return loss, slope

    def advance(self, objective: Any, state: Any, target: Any, rng: torch.Generator | None) -> Any:
        loss, slope = self.slope(objective, state, target)
        return State(
            z=state.z - 1.3 * slope,
            loss=loss.nan_to_num(nan=torch.inf),
            step=state.step + 1,
            done=(state.step + 1 >= self.steps) | ~loss.isfinite(),
            evaluations=state.evaluations + 3,
        )


def then(change: Callable[[State], Any]) -> type:
    """Descent with something done to each state after an iteration."""

    class Changed(Descent):
        def advance(self, *args: Any) -> Any:
            return change(super().advance(*args))

    return Changed


@dataclass(frozen=True)
class WithSettings(State):
    rate: float = 1.0


class OneNumber(Descent):
    def begin(self, *args: Any) -> Any:
        state = super().begin(*args)
        return WithSettings(**{field.name: getattr(state, field.name) for field in fields(state)})


class InPlace(Descent):
    def advance(self, objective: Any, state: Any, *args: Any) -> Any:
        after = super().advance(objective, state, *args)
        state.z.copy_(after.z)
        return replace(after, z=state.z)


class Shaken(Descent):
    """By a source of its own."""

    own = torch.Generator().manual_seed(0)

    def advance(self, *args: Any) -> Any:
        after = super().advance(*args)
        return replace(after, z=after.z + 1e-9 * torch.randn(after.z.shape, generator=self.own, dtype=after.z.dtype))


class Wasteful(Descent):
    def advance(self, *args: Any) -> Any:
        torch.rand(1)
        return super().advance(*args)


class Short(Descent):
    steps = 3


class GaussNewton(Descent):
    """Without damping: exact where the generator is linear, and lost where it is not."""

    steps = 10

    def advance(self, objective: Any, state: Any, target: Any, rng: torch.Generator | None) -> Any:
        r, columns = jacobian(lambda z: objective.residuals(z, target), state.z, "forward")
        share = state.step.to(state.z) / self.steps
        _, penalty = objective.penalty_slope(state.z, share)
        curvature = objective.penalty_curvature(state.z, share)
        size = r.shape[1]
        gram = 2 * columns @ columns.mT / size + torch.diag_embed(curvature + 1e-9)
        slope = 2 * (columns @ r[..., None])[..., 0] / size + penalty
        step = torch.linalg.solve(gram.nan_to_num(), slope.nan_to_num()[..., None])[..., 0]
        loss = r.square().mean(1)
        after = State(
            state.z - step,
            loss.nan_to_num(nan=torch.inf),
            state.step + 1,
            state.done,
            state.evaluations + 1 + state.z.shape[1],
        )
        return replace(after, done=(after.step >= self.steps) | ~loss.isfinite())


class MeanRate(Descent):
    """Whose step depends on how many codes there are."""

    def slope(self, objective: Any, state: Any, target: Any) -> tuple[Tensor, Tensor]:
        loss, slope = super().slope(objective, state, target)
        return loss, slope * (1 - 0.1 / len(slope))


class Remembers(Descent):
    """How often it was called since the last begin, and not in the state."""

    calls = 0

    def begin(self, *args: Any) -> Any:
        self.calls = 0
        return super().begin(*args)

    def slope(self, objective: Any, state: Any, target: Any) -> tuple[Tensor, Tensor]:
        self.calls += 1
        loss, slope = super().slope(objective, state, target)
        return loss, slope * (1 - 0.5 / self.calls)


class NeverGivesUp(Descent):
    def advance(self, *args: Any) -> Any:
        after = super().advance(*args)
        return replace(after, done=after.step >= self.steps)


class Unmasked(Descent):
    def slope(self, objective: Any, state: Any, target: Any) -> tuple[Tensor, Tensor]:
        return super().slope(objective, state, replace(target, mask=torch.ones_like(target.mask)))


class Free(Descent):
    def slope(self, objective: Any, state: Any, target: Any) -> tuple[Tensor, Tensor]:
        return objective.difference_slope(state.z, target)


class Absolute(Descent):
    """Which goes up an l1 difference."""

    def slope(self, objective: Any, state: Any, target: Any) -> tuple[Tensor, Tensor]:
        loss, slope = super().slope(objective, state, target)
        return loss, -slope if objective.difference.norm == "l1" else slope


class NoFinish:
    steps, halve_at, begin, advance = 3, None, Descent.begin, Descent.advance


BROKEN: dict[str, tuple[str, Any]] = {
    "no finish": ("has steps, halve_at, begin, finish and advance", NoFinish()),
    "a class": ("has steps, halve_at, begin, finish and advance", Descent),
    "one number for all": ("its states have one row for each code", OneNumber()),
    "in place": ("leaves starts and data as they are", InPlace()),
    "two at once": ("counts its iterations", then(lambda state: replace(state, step=state.step + 1))()),
    "endless": ("ends after its steps", then(lambda state: replace(state, done=state.step < 0))()),
    "own source": ("equal seeds of rng give equal codes", Shaken()),
    "a draw too many": ("leaves torch's own random numbers alone", Wasteful()),
    "short": ("reaches the least squares of a linear generator", Short()),
    "undamped": ("no code ends worse than it began", GaussNewton()),
    "mean over codes": ("each code is searched for on its own", MeanRate()),
    "memory": ("codes may come and go between two iterations", Remembers()),
    "NaN goes on": ("a code of which the generator makes NaN is given up alone", NeverGivesUp()),
    "no mask": ("hidden elements of the data do not count", Unmasked()),
    "no regularizer": ("a regularizer counts with its weight", Free()),
    "cheap": ("counts its evaluations", then(lambda state: replace(state, evaluations=state.step))()),
    "double": ("works in single precision", then(lambda state: replace(state, z=state.z.double()))()),
    "uphill": ("takes an l1 difference", Absolute()),
}


@pytest.mark.parametrize(("promise", "solver"), BROKEN.values(), ids=BROKEN)
def test_a_solver_with_one_fault_breaks_one_promise(promise: str, solver: Any) -> None:
    found = check_solver(solver)
    assert [row.name for row in found.broken] == [promise], found
    assert found.broken[0].way_out


def test_a_right_solver_of_others_keeps_every_promise() -> None:
    found = check_solver(Descent())
    assert {row.verdict for row in found.promises} == {"kept"}, found


@pytest.mark.parametrize(
    "solver",
    [lt.solvers.LevenbergMarquardt(), lt.solvers.LBFGS(), lt.solvers.Adam()],
    ids=repr,
)
def test_our_solvers_keep_their_promises(solver: Any) -> None:
    found = check_solver(solver, raises=True)
    optional = found["takes an l1 difference"]
    assert {row.verdict for row in found.promises if row is not optional} == {"kept"}
    assert (optional.verdict == "kept") == (not isinstance(solver, lt.solvers.LevenbergMarquardt))
