r"""The driver of recovery: which starts are computed, when they end, and which is the result.

Each datum has several starts, the codes at which the search begins. All codes in work share one batch. A code that is done
leaves the batch, and the next start takes its place, so that no code waits for the slowest one.

- By default the starts of a datum run one after another, until one meets the datum (makes it again, up to rounding).
- With successive halving all starts of a datum run at once, and the worse half ends after certain shares of the steps.
- A start ends if the generator returns NaN for its code; the others go on.
- A start that nearly meets its datum is *finished* at once, if the generator can be converted to double precision: the
  solver runs to a minimum there, since single precision may not tell a code that makes the datum from one that nearly does.
- If no start meets the datum, the best one is finished at the end.

The result is the start with the smallest *final* loss.

The first start is a draw from the prior, or a code of the user. Each further one begins near the best code so far (basin
hopping), since most codes that nearly make a datum are close to one that makes it; after several that lower the loss no
more, the search begins anew at a draw. By default all starts are tried if the generator nearly makes the datum. Other data,
such as real images, get a further start as long as the last ones paid.

References: Wales and Doye, "Global optimization by basin-hopping and the lowest energy structures of Lennard-Jones clusters
containing up to 110 atoms", 1997; Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016 (successive halving).
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.latent.differences import Target
from latentry.latent.solvers.objective import Objective
from latentry.latent.solvers.rows import join, take
from latentry.latent.solvers.solver import Solver
from latentry.priors.location_scale import LocationScale

__all__ = ["Tolerance", "Tracks", "in_double"]

_REACHES = (0.45, 0.3, 0.7)
"""How far from the best code so far the next start begins, in standard deviations of the prior; one after the other."""
_FARTHEST = 3.0
"""Most that an element of a draw counts in that, for priors with long tails."""
_MADE = 1e-3
"""Error over the variance of the generator's samples below which it nearly makes the data: then all starts are tried."""
_PATIENCE, _LEAST_FALL = 3, 0.1
"""Other data get a further start if the last so many starts lowered their least loss by this share at least."""
_CHAIN = 6
"""Starts without such a fall after which the search begins anew, at a draw from the prior."""
_ALIKE = 1.1
"""A start counts as equally good if its loss is at most this factor times the smallest one."""


@dataclass(frozen=True)
class Tolerance:
    """Mean squared errors that decide what becomes of a start, for each datum."""

    met: Float[Tensor, "n"]
    """At most this: the data are met, up to rounding."""
    near: Float[Tensor, "n"]
    """At most this: it is worth while to lead this start to a minimum before another one begins."""


class Tracks:
    """Every start of every datum.

    Args:
        objective: What is minimised.
        exact: The same in double precision, where it can be had.
        solver: How.
        target: The data.
        starts: Codes to begin with.
        tolerance: When a start has met its data.
        patient: Whether all starts of data that no start meets are tried, or only as many as pay.
    """

    def __init__(
        self,
        objective: Objective,
        exact: Objective | None,
        solver: Solver,
        target: Target,
        starts: Float[Tensor, "n r d"],
        tolerance: Tolerance,
        *,
        patient: bool = True,
    ) -> None:
        n, restarts, _ = starts.shape
        self.objective, self.exact, self.solver, self.target, self.tolerance = objective, exact, solver, target, tolerance
        self.z = starts.flatten(0, 1).clone()
        self.restarts, self.patient = restarts, patient
        self.loss = starts.new_full((n * restarts,), math.inf)
        self.error = starts.new_full((n * restarts,), math.inf)
        self.evaluations = torch.zeros(n * restarts, dtype=torch.int64, device=starts.device)
        self.seconds = torch.zeros(n * restarts, dtype=torch.float64, device=starts.device)
        self.iterations = 0
        together = 1 if solver.halve_at is None else restarts
        self.waiting = deque((datum * restarts, together) for datum in range(n))
        self.tried = [together] * n
        self.chain = [datum * restarts for datum in range(n)]
        self.to_finish: deque[int] = deque()
        self.finished: set[int] = set()

    def run(self, batch_size: int, rng: torch.Generator | None, progress: Callable[[int, int], None] | None) -> None:
        """Work until every start is done, given up or not needed."""
        device = self.z.device
        track = torch.empty(0, dtype=torch.int64, device=device)
        target = self.targets(track)
        state: Any = None
        total = len(self.z) * self.solver.steps
        while self.waiting or self.to_finish or len(track):
            began = time.perf_counter()
            for fresh, begun in self._begun(batch_size - len(track), alone=len(track) == 0):
                state = begun if state is None else join(state, begun)
                track = torch.cat([track, fresh])
                target = self.targets(track)
            if not len(track):
                break
            at_work = track
            state = self.solver.advance(self.objective, state, target, rng)
            self.iterations += len(track)
            leaving = state.done | self._worse_halves(track, state)
            if leaving.any():
                self._settle(track[leaving], take(state, leaving), rng)
                track, state = track[~leaving], take(state, ~leaving)
                target = self.targets(track)
            self.seconds[at_work] += (time.perf_counter() - began) / len(at_work)
            if progress is not None:
                progress(total if not (self.waiting or self.to_finish or len(track)) else min(self.iterations, total), total)

    def targets(self, track: Int[Tensor, "m"]) -> Target:
        """The data of these starts."""
        return take(self.target, track // self.restarts)

    def _tolerance(self, track: Int[Tensor, "m"]) -> Tolerance:
        return take(self.tolerance, track // self.restarts)

    def by_datum(self, of_tracks: Tensor) -> Tensor:
        """What is known of each start, `(n, r)`."""
        return of_tracks.view(len(self.target), self.restarts)

    def best(self) -> Int[Tensor, "n"]:
        """Which start of each datum has the least loss."""
        return self.by_datum(self.loss).argmin(1)

    def codes(self, restart: Int[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """The codes of these starts, one for each datum."""
        return self.z[torch.arange(len(restart), device=restart.device) * self.restarts + restart]

    def disagreement(self, best: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Mean squared distance from the best start's code to those of starts that did as well, or met the data too."""
        z, loss = self.z.unflatten(0, (-1, self.restarts)), self.by_datum(self.loss)
        met = self.by_datum(self.error) <= self.tolerance.met[:, None]
        return _disagreement(self.objective.location_scale, z, loss, met, best)

    def _begun(self, room: int, *, alone: bool) -> Iterator[tuple[Int[Tensor, "m"], Any]]:
        """Tracks that there is room for, with their first states: fresh starts, and best ones that are to be finished."""
        fresh = self._next(room, alone=alone).to(self.z.device)
        if len(fresh):
            yield fresh, self.solver.begin(self.objective, self.z[fresh], self.targets(fresh))
        last = [self.to_finish.popleft() for _ in range(min(len(self.to_finish), room - len(fresh)))]
        if last:
            best = torch.tensor(last, device=self.z.device)
            state = self.solver.finish(self.objective, self.z[best], self.targets(best))
            self.finished.update(last)
            if state is not None:
                yield best, state
            else:
                self._go_on(best, torch.zeros_like(best, dtype=torch.bool))

    def _next(self, room: int, *, alone: bool) -> Int[Tensor, "m"]:
        """Starts that fit into the room; all of one datum's at least, where nothing else is in work."""
        fresh: list[int] = []
        while self.waiting and (len(fresh) + self.waiting[0][1] <= room or (alone and not fresh)):
            first, count = self.waiting.popleft()
            fresh.extend(range(first, first + count))
        return torch.tensor(fresh, dtype=torch.int64)

    def _worse_halves(self, track: Int[Tensor, "m"], state: Any) -> Bool[Tensor, "m"]:
        """The starts that are worse than half of those of their datum, where a halving is due."""
        due = {math.ceil(share * self.solver.steps) for share in self.solver.halve_at or ()}
        worse = torch.zeros_like(state.done)
        if not due:
            return worse
        at_halving = torch.tensor([step in due for step in state.step.tolist()], device=track.device)
        for datum in (track[at_halving] // self.restarts).unique().tolist():
            members = (track // self.restarts == datum).nonzero().flatten()
            order = state.loss[members].argsort()
            worse[members[order[-(-len(members) // 2) :]]] = True
        return worse

    def _settle(self, track: Int[Tensor, "m"], state: Any, rng: torch.Generator | None) -> None:
        """Evaluate starts that are done, and queue the next start of data that are not met."""
        error = self._keep(track, state.z)
        self.evaluations[track] += state.evaluations + 1
        tolerance = self._tolerance(track)
        near = error <= tolerance.near
        if self.exact is not None and near.any():
            close = track[near]
            state = self.solver.finish(self.exact, self.z[close].double(), in_double(self.targets(close)))
            if state is not None:
                z, cost = self._led_to_the_end(self.exact, state, in_double(self.targets(close)), rng)
                error[near] = self._keep(close, z.to(self.z))
                self.evaluations[close] += cost + 1
                self.finished.update(close.tolist())
        if self.solver.halve_at is None:
            unmet = error > tolerance.met
            self._go_on(track[unmet], near[unmet])

    def _keep(self, track: Int[Tensor, "m"], z: Float[Tensor, "m d"]) -> Float[Tensor, "m"]:
        """Take over codes that are better than those so far, or meet the data as well; their mean squared errors."""
        target = self.targets(track)
        with torch.no_grad():
            x_hat = self.objective.made(z, target)
            residuals = self.objective.difference.residuals(x_hat, target)
            loss = self.objective.difference.loss(residuals) + self.objective.penalty(z, z.new_ones(len(z)))
            error = self.objective.reconstruction_error(x_hat, target)
        loss, error = loss.nan_to_num(nan=math.inf), error.nan_to_num(nan=math.inf)
        better = (loss <= self.loss[track]) | ((error <= self._tolerance(track).met) & (self.objective.regularizer is None))
        improved = track[better]
        self.z[improved], self.loss[improved], self.error[improved] = z[better], loss[better], error[better]
        return error

    def _led_to_the_end(
        self, objective: Objective, state: Any, target: Target, rng: torch.Generator | None
    ) -> tuple[Float[Tensor, "m d"], Int[Tensor, "m"]]:
        """Codes of states that run until all of them are done, and what they cost."""
        z, cost = state.z.clone(), state.evaluations.clone()
        left = torch.arange(len(z), device=z.device)
        while len(left):
            state = self.solver.advance(objective, state, target, rng)
            done = state.done
            z[left[done]], cost[left[done]] = state.z[done], state.evaluations[done]
            left, state, target = left[~done], take(state, ~done), take(target, ~done)
        return z, cost

    def _go_on(self, unmet: Int[Tensor, "m"], nearly: Bool[Tensor, "m"]) -> None:
        """A start that nearly meets its data is finished; else the next one begins; after all, the best is finished."""
        for number, near in zip(unmet.tolist(), nearly.tolist(), strict=True):
            datum, first = number // self.restarts, number // self.restarts * self.restarts
            if near and number not in self.finished:
                self.to_finish.append(number)
                continue
            following = first + self.tried[datum]
            if self.tried[datum] < self.restarts and self._may_pay(first, following):
                self.z[following] = self._hopped(datum, following)
                self.waiting.append((following, 1))
                self.tried[datum] += 1
            else:
                best = first + int(self.loss[first : first + self.restarts].argmin())
                if best not in self.finished:
                    self.to_finish.append(best)

    def _may_pay(self, first: int, following: int) -> bool:
        """Whether a further start may find a better code: the generator nearly makes the data, or the last starts paid."""
        if self.patient:
            return True
        nearly_made = self.error[first:following].min() <= _MADE * self.objective.variance
        return bool(nearly_made) or self._falls(first, following, _PATIENCE)

    def _falls(self, first: int, following: int, patience: int) -> bool:
        """Whether the least loss of these starts fell in the last of them, or they are no more than those."""
        least = self.loss[first:following].cummin(0).values
        return len(least) <= patience or bool(least[-1] <= (1 - _LEAST_FALL) * least[-1 - patience])

    def _hopped(self, datum: int, start: int) -> Float[Tensor, "d"]:
        """A code near the best one of the chain of starts: it moves by a part of the draw from the prior that it replaces.

        So the next start depends on its datum alone, not on what else is in work. A chain whose loss does not fall ends, and
        the draw itself begins the next one.
        """
        chain = self.chain[datum]
        best = chain + int(self.loss[chain:start].argmin())
        if not (self.loss[best].isfinite() and self._falls(chain, start, _CHAIN)):
            self.chain[datum] = start
            return self.z[start]
        scale = self.objective.location_scale
        move = scale.standardized(self.z[start]).clamp(-_FARTHEST, _FARTHEST)
        reach = _REACHES[(start - chain - 1) % len(_REACHES)]
        return scale.clamped(scale.unstandardized(scale.standardized(self.z[best]) + reach * move))


def in_double(target: Target) -> Target:
    """The same data in double precision; conditions take the precision of codes where they meet them."""
    doubled = {name: getattr(target, name).double() for name in ("x", "mask", "scale", "features")}
    return replace(target, **doubled)


def _disagreement(
    location_scale: LocationScale,
    z: Float[Tensor, "n r d"],
    loss: Float[Tensor, "n r"],
    met: Bool[Tensor, "n r"],
    best: Int[Tensor, "n"],
) -> Float[Tensor, "n"]:
    """Mean squared distance from the best start's code to the codes of those that did as well, or met the data as it did."""
    row = torch.arange(len(z), device=z.device)
    as_well = (loss <= _ALIKE * loss[row, best][:, None]) | (met & met[row, best][:, None])
    as_well[row, best] = False
    e = location_scale.standardized(z)
    squared = (e - e[row, best][:, None]).square().mean(2)
    return torch.where(as_well, squared, 0.0).sum(1) / as_well.sum(1)
