"""What a solver promises to the driver of recovery (`latentry.latent.solvers.solver`), on problems with known answers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.regularizers import L2
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import join, take
from latentry.latent.solvers.solver import Solver
from latentry.testing import solver_trial as trial
from latentry.testing.conformance import Conformance, Finding, Question, conformance, finding, not_applicable, undisturbed
from latentry.testing.row_map import share_of
from latentry.testing.solver_trial import Ended, led_to_the_end

__all__ = ["check_solver"]

PROTOCOL = "has steps, halve_at, begin, finish and advance"
STATES = "its states have one row for each code"
INPUT = "leaves starts and data as they are"
COUNTS = "counts its iterations"
ENDS = "ends after its steps"
REPEATED = "equal seeds of rng give equal codes"
UNTOUCHED = "leaves torch's own random numbers alone"
MINIMUM = "reaches the least squares of a linear generator"
NO_WORSE = "no code ends worse than it began"
OWN_ROW = "each code is searched for on its own"
JOINED = "codes may come and go between two iterations"
NAN = "a code of which the generator makes NaN is given up alone"
MASK = "hidden elements of the data do not count"
REGULARIZER = "a regularizer counts with its weight"
EVALUATIONS = "counts its evaluations"
SINGLE = "works in single precision"
ABSOLUTE = "takes an l1 difference"

_NEAR = 1e-3
"""Most of the loss that a search may leave, as a share of what could be gained."""
_SAME = 1e-6
_COUNT = (0.8, 1.25)
"""Stated evaluations over true ones."""
_FIRST = 3
"""Iterations that are compared, before all searches have come to one end."""
_TENSORS = {"z": 2, "loss": 1, "step": 1, "done": 1, "evaluations": 1}
"""Axes of what each state holds."""


def check_solver(solver: Any, *, raises: bool = False) -> Conformance:
    """Look at what a solver promises: to keep to the protocol, to find minima that are known, and to count truly.

    Args:
        solver: With `steps`, `halve_at`, `begin`, `finish` and `advance`, as `latentry.solvers.Adam` has them.
        raises: Whether a broken promise is an error.

    Raises:
        ValueError: A promise is broken, and `raises`.

    Example:
        >>> import latentry as lt
        >>> bool(lt.testing.check_solver(lt.solvers.LBFGS()))
        True
        >>> lt.testing.check_solver(lt.solvers.Adam(steps=3)).broken[0].name
        'reaches the least squares of a linear generator'
    """
    run = (PROTOCOL, STATES)
    ended = (*run, ENDS)
    looks: Sequence[tuple[str, Callable[[Any], Finding], str, tuple[str, ...]]] = (
        (PROTOCOL, _protocol, "see latentry.latent.solvers.solver.Solver; a class needs its brackets", ()),
        (
            STATES,
            _states,
            "return a dataclass of z, loss, step, done and evaluations, one row each",
            (PROTOCOL,),
        ),
        (INPUT, _input, "work on z.clone(), and write to nothing in place", run),
        (COUNTS, _counts, "add 1 to step in each advance", run),
        (ENDS, _ends, "set done where step reaches steps", run),
        (REPEATED, _repeated, "draw with generator=rng alone", ended),
        (UNTOUCHED, _untouched, "draw with generator=rng; do not seed", ended),
        (MINIMUM, _minimum, "take more steps, or shorter ones; let finish return a state that leads to the minimum", ended),
        (NO_WORSE, _no_worse, "refuse steps that raise the loss", ended),
        (OWN_ROW, _own_row, "take no mean, norm or maximum over the codes", run),
        (JOINED, _joined, "keep what is remembered in the state, not in the solver", (*run, INPUT, OWN_ROW)),
        (
            NAN,
            _nan,
            "set done and an infinite loss where it is not finite, for that code alone",
            (*ended, INPUT, OWN_ROW),
        ),
        (MASK, _mask, "ask the objective for residuals, losses and slopes; it knows the mask", (*ended, MINIMUM)),
        (REGULARIZER, _regularizer, "ask the objective for loss or slope, or add its penalty", (*ended, MINIMUM)),
        (EVALUATIONS, _evaluations, "count 1 for a forward pass or a column of a Jacobian, 2 for a gradient", ended),
        (SINGLE, _single, "make new tensors in the dtype of z", (*ended, MINIMUM)),
        (ABSOLUTE, _absolute, "ask the objective for loss or slope", (*ended, MINIMUM)),
    )
    questions = [Question(name, partial(look, solver), way_out, needs=needs) for name, look, way_out, needs in looks]
    with undisturbed():
        return conformance(f"solver {type(solver).__name__}", questions, raises=raises)


def _linear() -> Objective:
    a = trial.matrix()
    return trial.objective(lambda z: z @ a.mT)


def _target(problem: Objective, x: Tensor, mask: Tensor | None = None) -> Target:
    return problem.difference.prepare(x, mask)


def _searched(solver: Any, problem: Objective, target: Target, z: Tensor, seed: int = 0) -> Ended:
    """A search from these starts, led to a minimum where the solver does so."""
    ended = led_to_the_end(solver, solver.begin(problem, z.clone(), target), problem, target, seed)
    last = solver.finish(problem, ended.z.clone(), target)
    return ended if last is None else led_to_the_end(solver, last, problem, target, seed)


def _first_codes(
    solver: Any, problem: Objective, target: Target, z: Tensor, advances: int = _FIRST, seed: int = 0
) -> Tensor:
    """Codes after some iterations, all in one batch."""
    state, rng = solver.begin(problem, z.clone(), target), torch.Generator().manual_seed(seed)
    for _ in range(advances):
        state = solver.advance(problem, state, target, rng)
    codes: Tensor = state.z
    return codes


def _loss(problem: Objective, z: Tensor, target: Target) -> Tensor:
    with torch.no_grad():
        return problem.loss(z, target, z.new_ones(len(z)))


def _left(problem: Objective, target: Target, z: Tensor, best: Tensor, first: Tensor) -> float:
    """The loss that a search left, as a share of what it could gain."""
    found, least, began = (_loss(problem, codes, target).double() for codes in (z, best, first))
    return share_of((found - least).clamp(min=0), began - least)


def _draws(solver: Any) -> bool:
    """Whether its way depends on rng."""
    problem = _linear()
    target = _target(problem, trial.data())
    ways = [
        led_to_the_end(solver, solver.begin(problem, trial.starts(), target), problem, target, seed).z for seed in (0, 1)
    ]
    return not torch.equal(*ways)


def _protocol(solver: Any) -> Finding:
    missing = [name for name in ("steps", "halve_at", "begin", "finish", "advance") if not hasattr(solver, name)]
    if missing:
        return finding(False, len(missing), f"without {', '.join(missing)}")
    kept = (
        isinstance(solver, Solver) and not isinstance(solver, type) and isinstance(solver.steps, int) and solver.steps >= 1
    )
    return finding(kept, float(solver.steps) if kept else math.nan, "{} steps" if kept else "steps is no whole number >= 1")


def _states(solver: Any) -> Finding:
    problem, z = _linear(), trial.starts()
    target = _target(problem, trial.data())
    begun = solver.begin(problem, z.clone(), target)
    for state in (begun, solver.advance(problem, begun, target, torch.Generator().manual_seed(0))):
        if not is_dataclass(state):
            return finding(False, math.nan, f"its state is {type(state).__name__}, which is no dataclass")
        parts = {field.name: getattr(state, field.name) for field in fields(state)}
        wrong = [name for name, axes in _TENSORS.items() if getattr(parts.get(name), "ndim", None) != axes]
        wrong += [name for name, part in parts.items() if not isinstance(part, Tensor) or part.shape[:1] != (len(z),)]
        if wrong:
            return finding(False, len(wrong), f"without a row for each of {len(z)} codes: {', '.join(dict.fromkeys(wrong))}")
    return finding(True, len(parts), f"{{}} tensors: {', '.join(parts)}")


def _input(solver: Any) -> Finding:
    problem, z = _linear(), trial.starts()
    target = _target(problem, trial.data())
    begun = solver.begin(problem, z, target)
    solver.advance(problem, begun, target, torch.Generator().manual_seed(0))
    moved = max(share_of(z - trial.starts(), z), share_of(target.x - trial.data(), target.x))
    return finding(moved == 0, moved, "moved by {} of the largest value")


def _counts(solver: Any) -> Finding:
    problem = _linear()
    target = _target(problem, trial.data())
    state = solver.begin(problem, trial.starts(), target)
    after = solver.advance(problem, state, target, torch.Generator().manual_seed(0))
    added = (after.step - state.step).double().mean().item()
    return finding(bool((after.step == state.step + 1).all()), added, "one iteration adds {} to step")


def _ends(solver: Any) -> Finding:
    problem = _linear()
    target = _target(problem, trial.data())
    ended = led_to_the_end(solver, solver.begin(problem, trial.starts(), target), problem, target)
    longest = int(ended.advances.max())
    kept = bool((ended.advances > 0).all()) and longest <= solver.steps
    said = f"the last code was done after {longest} of {solver.steps} iterations"
    return finding(kept, longest, said if (ended.advances > 0).all() else f"not done after {2 * solver.steps} iterations")


def _repeated(solver: Any) -> Finding:
    problem = _linear()
    target = _target(problem, trial.data())
    first, again = (_first_codes(solver, problem, target, trial.starts()) for _ in range(2))
    off = share_of(first - again, first)
    return finding(off == 0, off, "differ by {} of the largest value")


def _untouched(solver: Any) -> Finding:
    problem = _linear()
    before = torch.get_rng_state()
    _first_codes(solver, problem, _target(problem, trial.data()), trial.starts())
    same = torch.equal(before, torch.get_rng_state())
    return finding(same, float(not same), "they are as before" if same else "they have moved on")


def _minimum(solver: Any) -> Finding:
    problem, x = _linear(), trial.data()
    target = _target(problem, x)
    best = x @ torch.linalg.pinv(trial.matrix()).mT
    left = _left(problem, target, _searched(solver, problem, target, trial.starts()).z, best, trial.starts())
    return finding(left <= _NEAR, left, "leaves {} of what could be gained")


def _no_worse(solver: Any) -> Finding:
    a = trial.matrix()
    problem = trial.objective(lambda z: (z @ a.mT).tanh())
    target = _target(problem, trial.data().tanh())
    worse = 0
    for scale in (0.5, 1.0, 2.0):
        z = scale * trial.starts()
        found = _searched(solver, problem, target, z).z
        began, ended = _loss(problem, z, target), _loss(problem, found, target).nan_to_num(nan=math.inf)
        worse += int((ended > (1 + _SAME) * began).sum())
    return finding(not worse, worse, "of 18 codes of a generator that ends in tanh, {} did")


def _own_row(solver: Any) -> Finding:
    if _draws(solver):
        return not_applicable("it draws random numbers for all codes together")
    problem = _linear()
    target = _target(problem, trial.data())
    together = _first_codes(solver, problem, target, trial.starts())
    alone = _first_codes(solver, problem, take(target, slice(1)), trial.starts()[:1])
    off = share_of(together[:1] - alone, together)
    return finding(off <= _SAME, off, "moves by {} of the largest value when the others are left out")


def _joined(solver: Any) -> Finding:
    problem, z = _linear(), trial.starts()
    target = _target(problem, trial.data())
    first, second = take(target, slice(2)), take(target, slice(2, None))
    rng = torch.Generator().manual_seed(0)
    state = solver.begin(problem, z[:2], first)
    for _ in range(2):
        state = solver.advance(problem, state, first, rng)
    state = join(state, solver.begin(problem, z[2:], second))
    for _ in range(_FIRST):
        state = solver.advance(problem, state, target, rng)
    state = take(state, torch.arange(len(z)).flip(0))  # and places may change
    codes = solver.advance(problem, state, take(target, torch.arange(len(z)).flip(0)), rng).z.flip(0)
    apart = torch.cat(
        [
            _first_codes(solver, problem, first, z[:2], _FIRST + 3),
            _first_codes(solver, problem, second, z[2:], _FIRST + 1),
        ]
    )
    off = share_of(codes - apart, apart)
    return finding(off <= _SAME, off, "differ by {} of the largest value from those that were never moved")


def _nan(solver: Any) -> Finding:
    a = trial.matrix()
    problem = trial.objective(lambda z: torch.where((z[:, :1] > 50).expand(-1, len(a)), torch.nan, z @ a.mT))
    z = trial.starts()
    z[0, 0] = 100.0
    target = _target(problem, trial.data())
    ended = led_to_the_end(solver, solver.begin(problem, z.clone(), target), problem, target)
    apart = take(target, slice(1, None))
    others = led_to_the_end(solver, solver.begin(problem, z[1:].clone(), apart), problem, apart)
    off, advances = share_of(ended.z[1:] - others.z, others.z), int(ended.advances[0])
    if not off <= _SAME:
        return finding(False, off, "the others move by {} of the largest value")
    if ended.loss[0].isnan():
        return finding(False, math.nan, "its loss is NaN, and not infinite")
    kept = 0 < advances <= max(2, solver.steps // 10)
    return finding(kept, advances, "it is given up after {} iterations, and the others stay")


def _mask(solver: Any) -> Finding:
    problem, x, a, z = _linear(), trial.data(), trial.matrix(), 0.1 * trial.starts()
    seen = torch.arange(x.shape[1]) % 3 > 0
    target = _target(problem, x, seen.double())
    best = x[:, seen] @ torch.linalg.pinv(a[seen]).mT
    left = _left(problem, target, _searched(solver, problem, target, z).z, best, z)
    return finding(left <= 20 * _NEAR, left, "with a third of them hidden it leaves {} of what could be gained")


def _regularizer(solver: Any) -> Finding:
    a, x = trial.matrix(), trial.data()
    problem = trial.objective(lambda z: z @ a.mT, regularizer=L2())
    target = _target(problem, x)
    d, m = a.shape[1], a.shape[0]
    gram = a.mT @ a / m + trial.WEIGHT / d * torch.eye(d, dtype=a.dtype)
    best = torch.linalg.solve(gram, a.mT @ x.mT / m).mT
    left = _left(problem, target, _searched(solver, problem, target, trial.starts()).z, best, trial.starts())
    return finding(left <= _NEAR, left, "with L2 it leaves {} of what could be gained")


def _evaluations(solver: Any) -> Finding:
    counter = trial.Counter()
    problem = trial.objective(trial.counted_generator(counter))
    target = _target(problem, trial.data())
    ended = led_to_the_end(solver, solver.begin(problem, trial.starts(), target), problem, target)
    ratio = int(ended.evaluations.sum()) / max(counter.evaluations, 1)
    said = f"states {int(ended.evaluations.sum())}, of the generator there were {counter.evaluations}: {{}} times as many"
    return finding(_COUNT[0] <= ratio <= _COUNT[1], ratio, said)


def _single(solver: Any) -> Finding:
    a, x, z = trial.matrix(torch.float32), trial.data().float(), trial.starts().float()
    problem = trial.objective(lambda z: z @ a.mT, dtype=torch.float32)
    target = _target(problem, x)
    found = _searched(solver, problem, target, z).z
    if found.dtype != torch.float32:
        return finding(False, math.nan, f"codes come back in {found.dtype}")
    best = (trial.data() @ torch.linalg.pinv(trial.matrix()).mT).float()
    left = _left(problem, target, found, best, z)
    return finding(left <= 10 * _NEAR, left, "leaves {} of what could be gained")


def _absolute(solver: Any) -> Finding:
    a = trial.matrix()
    problem = trial.objective(lambda z: z @ a.mT, norm="l1")
    target = _target(problem, trial.data())
    try:
        found = _searched(solver, problem, target, trial.starts()).z
    except ValueError as error:
        return not_applicable(f"refuses it: {(str(error).splitlines() or ['no message'])[0]}")
    began, ended = (_loss(problem, z, target).mean().item() for z in (trial.starts(), found))
    return finding(ended < began, ended / began, "leaves {} of the mean absolute difference that it began with")
