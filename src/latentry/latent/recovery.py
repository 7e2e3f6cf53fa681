r"""Latent code recovery: the code from which a generator makes given data.

For data x, a generator G and a prior p(z), each code minimises

.. math:: L(z) = dif(x, G(z)) + w R(z)

from one or more starts: draws from the prior, codes of one's own, or those that a learned inverse gives for x. How it is
minimised is a `Solver`: `LevenbergMarquardt`, which finds the code that made the data, `LBFGS` or `Adam`. The generator
stays as it is: held in eval mode, its parameters frozen, and given back with the modes and flags it had.

**The driver.** Codes being worked on share one batch. A code that is done leaves it and the next one takes its place, so
that none waits for the slowest. The starts of one datum run one after another, and no more of them once one has met the
data; or side by side, where the solver gives up the worse half of them after given shares of its steps (successive halving).
A code for which the generator gives NaN is given up alone. Solvers work on the generator with its batch normalisation folded
into its convolutions, where that is a copy that does the same; final images are the generator's own.

The kept start is the one whose *final* loss is least. Codes, images and losses that are returned belong together: the
images are computed once more from the final codes, after the last step.

References: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020; Lipton and Tripathi, "Precise
recovery of latent vectors from generative adversarial networks", 2017; Jamieson and Talwalkar, "Non-stochastic best arm
identification and hyperparameter optimization", 2016 (successive halving).
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from latentry.display import Facts, Shown
from latentry.display import number as short
from latentry.display.progress import Progress, reported
from latentry.holding import check_generator, evaluated, module_of, tried
from latentry.interfaces import Generator, SampledPrior
from latentry.latent.differences import Difference, Norm, Target
from latentry.latent.regularizers import Regularizer
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.jacobian import jacobian_mode
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.latent.solvers.objective import Objective, squashing_of
from latentry.latent.solvers.prior_frame import PriorFrame, prior_frame
from latentry.latent.solvers.rows import join, take
from latentry.latent.solvers.solver import Solver
from latentry.networks import folded
from latentry.numerics.data_range import check_range, on_eight_bit_grid
from latentry.numerics.inputs import checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Recovery", "automatic_solver", "recover_codes"]

_TRIAL_CODES = 64
_MET, _MET_EIGHT_BIT = 1e-7, 1e-5
"""Mean squared errors at which data count as met: in units of the square of their largest value, or, for images of eight
bits in [-1, 1], as they are; that of rounding is 5e-6."""
_NEARLY = 25.0
"""How much more than that nearly meets data. Right starts leave images of eight bits, before the squashing, at 3 to 12 times
it, wrong ones mostly at hundreds."""
_ALIKE = 1.1
"""How much larger than the least loss another start's may be to count as good as it."""
_AGREE = 1e-2
"""Mean squared distance of codes, in units of the prior's variance, below which starts agree."""
_SAME = 1e-4
"""Largest difference of two forms of a generator, over its largest value, that rounding may make."""
_MOST_LATENTS = 1024
"""Longest codes for which a Jacobian is the default."""


@dataclass(frozen=True, repr=False)
class Recovery(Shown):
    """What `recover_codes` found for each data point."""

    z: Float[Tensor, "n d"]
    """Recovered codes, of the best start each."""
    x_hat: Float[Tensor, "n *s"]
    """What the generator makes of them."""
    reconstruction_error: Float[Tensor, "n"]
    """Mean squared error of each reconstruction, over what is seen."""
    loss: Float[Tensor, "n"]
    """Loss of each code: difference to the data and weighted regularizer."""
    met: Bool[Tensor, "n"]
    """Whether the code makes the data, up to rounding."""
    converged: Bool[Tensor, "n"]
    """Whether the loss stopped falling before the step budget ran out."""
    restart: Int[Tensor, "n"]
    """Which start was best."""
    restart_loss: Float[Tensor, "n r"]
    """Final loss of every start, of one given up the loss it had then; infinite where the generator returned NaN, or where a
    start was not needed."""
    disagreement: Float[Tensor, "n"]
    """Mean squared distance from the best code to those of other starts that did as well, in units of the prior's spread:
    near 0 where starts agree, so that the code is unique as far as they can tell; NaN where no other did as well."""
    evaluations: Int[Tensor, "n"]
    """Cost of each data point over all its starts: 1 for a forward pass or a column of a Jacobian, 2 for a gradient."""

    def _facts(self) -> Facts:
        n, d = self.z.shape
        met = int(self.met.sum())
        error = self.reconstruction_error.double().nan_to_num(nan=math.inf)
        compared = self.disagreement[~self.disagreement.isnan()]
        agree = (
            f"{int((compared < _AGREE).sum())} of {len(compared)} that have a second one" if len(compared) else "not known"
        )
        left = {n: "", 0: " What is kept is the nearest that was found."}.get(
            met, " For the others, what is kept is the nearest that was found."
        )
        return Facts(
            f"Recovery of {n:,} {'code' if n == 1 else 'codes'} with {d:,} elements",
            (
                ("made again up to rounding (met)", f"{met} of {n}"),
                ("searches that converged", f"{int(self.converged.sum())} of {n}"),
                ("mean squared error", f"median {short(error.median().item())}, largest {short(error.max().item())}"),
                ("as good starts that agree", agree),
                ("cost of one", f"{short(round(self.evaluations.double().mean().item()))} evaluations of the generator"),
            ),
            f"The generator makes {'none' if met == 0 else met} of these {n:,} data up to rounding.{left}",
        )

    def plot(self, x: Shaped[Tensor, "n *s"] | None = None) -> "Figure":
        """A matplotlib figure: what the generator makes of the codes, below the data if they are given; and the errors.

        Args:
            x: The data that were given to `recover_codes`.
        """
        from latentry.display.drawing import Drawing, are_images, draw_errors, draw_images, finished

        figure = Drawing(figsize=(6.4, 3.2), layout="constrained")
        if are_images(self.x_hat):
            given = [] if x is None else [("given", x)]
            marks = [
                "met" if met else f"{error:.1g}" for met, error in zip(self.met, self.reconstruction_error, strict=True)
            ]
            draw_images(figure, [*given, ("recovered", self.x_hat)], marks)
        else:
            draw_errors(figure.subplots(), self.reconstruction_error, "mean squared error")
        return finished(figure)


@checked(any_value=("x", "mask"))
def recover_codes(
    generator: Generator,
    x: Shaped[Tensor, "n *s"],
    prior: SampledPrior,
    *,
    solver: Solver | Literal["auto"] = "auto",
    start: Callable[[Tensor], Tensor] | Float[Tensor, "n d"] | None = None,
    regularizer: Regularizer | None = None,
    weight: float | Callable[[float], float] = 0.01,
    difference: Difference | Norm = "l2",
    mask: Shaped[Tensor, "..."] | None = None,
    restarts: int = 4,
    met: float | None = None,
    batch_size: int = 1024,
    rng: torch.Generator | None = None,
    progress: Progress = True,
) -> Recovery:
    r"""Find codes z with G(z) = x, from several starts.

    Reference: Cho (2020), there one image at a time, by gradient descent.

    Args:
        generator: Any differentiable, deterministic callable z -> x. The modules behind it are held in eval mode with frozen
            parameters meanwhile, as are those behind `start`, `difference` and `regularizer`.
        x: Data, in the units of the generator's output, or measurements of them where `difference` has an operator; codes
            are computed in its dtype and on its device.
        prior: Law of the codes: source of the starts, and what the regularizer compares with.
        solver: `LevenbergMarquardt()`, `LBFGS()` or `Adam()` with settings of your own; `auto` is the first for an l2
            difference and codes of up to 1,024 elements, and `Adam()` else.
        start: First start of each datum: a learned inverse x -> z (`fit_inverse`), or codes; by default, and for all
            further starts, draws from the prior.
        regularizer: R, such as `StatisticalDistance("wasserstein")` or `L2()`; None leaves codes free.
        weight: w, at least 0, against a difference that is a mean over the elements of x; or a function of the share of the
            steps done.
        difference: Mean squared (`l2`) or mean absolute (`l1`, as in the paper) difference of pixels, or a `Difference` of
            features or measurements.
        mask: 1 where an element of the data is seen, 0 where it is hidden: `(n, *s)` or `(*s,)`.
        restarts: Most starts for each data point.
        met: Mean squared error at which data count as met, so that no further start is tried; by default 1e-7 of the largest
            value squared, or 1e-5 for images of eight bits in [-1, 1].
        batch_size: Codes in work at once, starts included.
        rng: Source of the starts and of resampling, on the prior's device.
        progress: Called as `progress(done, total)` after each iteration, in iterations of single starts. By default a bar is
            shown on a terminal; None is silent.

    Raises:
        ValueError: The data do not fit the generator, are in another range or hold NaN, a number is outside its range, or
            the generator is stochastic, depends on its batch or has no gradient.
    """
    difference = difference if isinstance(difference, Difference) else Difference(difference)
    chosen = automatic_solver(difference.norm, prior.latent_dim) if solver == "auto" else solver
    _check_numbers(weight, restarts, met, batch_size)
    target = difference.prepare(x, mask)
    with evaluated(generator, difference, regularizer, weight, start, chosen, prior):
        trial = prior.sample(_TRIAL_CODES, rng=torch.Generator(_device_of(prior)).manual_seed(0)).to(x)
        check_generator(generator, trial[:3])
        own = _measured(generator, difference, trial)
        _check_data(target, own)
        eight_bit = bool(on_eight_bit_grid(torch.where(target.seen.bool(), target.x, -1.0)).all())  # hidden is 0, no level
        objective = Objective(
            _quickest(generator, trial[:8]),
            prior,
            difference,
            regularizer,
            weight if callable(weight) else lambda share: weight,
            prior_frame(prior, x),
            squashing_of(own, target.x, difference, eight_bit),
        )
        if regularizer is not None:
            tried(regularizer, trial[:2], prior)
        if isinstance(chosen, LevenbergMarquardt):
            first = take(target, slice(1))
            objective = replace(objective, jacobian_mode=jacobian_mode(lambda z: objective.residuals(z, first), trial[:1]))
        largest = target.x.abs().max().item()
        tolerance = met if met is not None else (_MET_EIGHT_BIT if eight_bit else _MET * largest**2)
        starts = _starts(start, target, prior, restarts, rng)
        tracks = _Tracks(objective, chosen, target, starts, tolerance)
        with reported(progress, "recovering codes") as tell:
            tracks.run(batch_size, rng or torch.Generator().manual_seed(0), tell)
        return tracks.recovery(generator, batch_size)


class _Tracks:
    """Every start of every datum: which are in work, and what became of the others."""

    def __init__(
        self, objective: Objective, solver: Solver, target: Target, starts: Float[Tensor, "n r d"], tolerance: float
    ) -> None:
        n, restarts, _ = starts.shape
        self.objective, self.solver, self.target, self.tolerance = objective, solver, target, tolerance
        self.z = starts.flatten(0, 1).clone()
        self.restarts = restarts
        self.loss = starts.new_full((n * restarts,), math.inf)
        self.error = starts.new_full((n * restarts,), math.inf)
        self.converged = torch.zeros(n * restarts, dtype=torch.bool, device=starts.device)
        self.evaluations = torch.zeros(n * restarts, dtype=torch.int64, device=starts.device)
        self.iterations = 0
        together = 1 if solver.halve_at is None else restarts
        self.waiting = deque((datum * restarts, together) for datum in range(n))
        self.tried = [together] * n
        self.to_finish: deque[int] = deque()
        self.finished: set[int] = set()

    def run(self, batch_size: int, rng: torch.Generator, progress: Callable[[int, int], None] | None) -> None:
        """Work until every start is done, given up or not needed."""
        device = self.z.device
        track = torch.empty(0, dtype=torch.int64, device=device)
        target = self._targets(track)
        state: Any = None
        total = len(self.z) * self.solver.steps
        while self.waiting or self.to_finish or len(track):
            for fresh, begun in self._begun(batch_size - len(track), alone=len(track) == 0):
                state = begun if state is None else join(state, begun)
                track = torch.cat([track, fresh])
                target = self._targets(track)
            if not len(track):
                break
            state = self.solver.advance(self.objective, state, target, rng)
            self.iterations += len(track)
            leaving = state.done | self._worse_halves(track, state)
            if leaving.any():
                self._settle(track[leaving], take(state, leaving))
                track, state = track[~leaving], take(state, ~leaving)
                target = self._targets(track)
            if progress is not None:
                progress(total if not (self.waiting or self.to_finish or len(track)) else min(self.iterations, total), total)

    def recovery(self, generator: Generator, batch_size: int) -> Recovery:
        """The best start of each datum, with the images that the generator itself makes."""
        n, device = len(self.target), self.z.device
        table = self.loss.view(n, self.restarts)
        restart = table.argmin(1)
        kept = torch.arange(n, device=device) * self.restarts + restart
        z = self.z[kept]
        with torch.no_grad():
            x_hat = torch.cat([generator(part) for part in z.split(batch_size)])
        error = self.objective.reconstruction_error(x_hat, self.target)
        return Recovery(
            z=z,
            x_hat=x_hat,
            reconstruction_error=error,
            loss=self.loss[kept],
            met=error <= self.tolerance,
            converged=self.converged[kept],
            restart=restart,
            restart_loss=table,
            disagreement=_disagreement(
                self.objective.frame,
                self.z.view(n, self.restarts, -1),
                table,
                (self.error <= self.tolerance).view(n, self.restarts),
                restart,
            ),
            evaluations=self.evaluations.view(n, self.restarts).sum(1),
        )

    def _begun(self, room: int, *, alone: bool) -> Iterator[tuple[Int[Tensor, "m"], Any]]:
        """Tracks that there is room for, with their first states: fresh starts, and best ones that are to be finished."""
        fresh = self._next(room, alone=alone).to(self.z.device)
        if len(fresh):
            yield fresh, self.solver.begin(self.objective, self.z[fresh], self._targets(fresh))
        last = [self.to_finish.popleft() for _ in range(min(len(self.to_finish), room - len(fresh)))]
        if last:
            best = torch.tensor(last, device=self.z.device)
            state = self.solver.finish(self.objective, self.z[best], self._targets(best))
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

    def _targets(self, track: Int[Tensor, "m"]) -> Target:
        return take(self.target, track // self.restarts)

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

    def _settle(self, track: Int[Tensor, "m"], state: Any) -> None:
        """Judge the starts that leave, and line up the next one of data that are not met."""
        z, target = state.z, self._targets(track)
        with torch.no_grad():
            x_hat = self.objective.generator(z)
            residuals = self.objective.difference.residuals(x_hat, target)
            loss = self.objective.difference.loss(residuals) + self.objective.penalty(z, torch.ones_like(state.loss))
        loss = loss.nan_to_num(nan=math.inf)
        better = loss <= self.loss[track]
        kept = track[better]
        self.z[kept], self.loss[kept] = z[better], loss[better]
        error = self.objective.reconstruction_error(x_hat, target).nan_to_num(nan=math.inf)
        self.error[kept], self.converged[kept] = error[better], state.converged[better]
        self.evaluations[track] += state.evaluations + 1
        if self.solver.halve_at is None:
            unmet = error > self.tolerance
            self._go_on(track[unmet], error[unmet] <= _NEARLY * self.tolerance)

    def _go_on(self, unmet: Int[Tensor, "m"], nearly: Bool[Tensor, "m"]) -> None:
        """A start that nearly meets its data is finished; else the next one begins; after all, the best is finished."""
        for number, near in zip(unmet.tolist(), nearly.tolist(), strict=True):
            datum, first = number // self.restarts, number // self.restarts * self.restarts
            if near and number not in self.finished:
                self.to_finish.append(number)
            elif self.tried[datum] < self.restarts:
                self.waiting.append((first + self.tried[datum], 1))
                self.tried[datum] += 1
            else:
                best = first + int(self.loss[first : first + self.restarts].argmin())
                if best not in self.finished:
                    self.to_finish.append(best)


def automatic_solver(norm: Norm, latent_dim: int) -> LevenbergMarquardt | Adam:
    """What `auto` stands for: Levenberg-Marquardt wherever it can be had, for a difference of this norm and such codes."""
    return LevenbergMarquardt() if norm == "l2" and latent_dim <= _MOST_LATENTS else Adam()


def _quickest(generator: Generator, z: Float[Tensor, "n d"]) -> Generator:
    """The same map with batch normalisation folded away; the generator itself where no copy does the same."""
    owner = module_of(generator)
    if owner is None:
        return generator
    try:
        copy = folded(owner)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return generator  # modules that cannot be copied say so in many ways
    quick = copy if owner is generator else getattr(copy, getattr(generator, "__name__", ""), generator)
    with torch.no_grad():
        own, other = generator(z), quick(z)
    alike = (own - other).abs().max() <= _SAME * own.abs().max()
    return quick if alike else generator


def _starts(
    start: Callable[[Tensor], Tensor] | Tensor | None,
    target: Target,
    prior: SampledPrior,
    restarts: int,
    rng: torch.Generator | None,
) -> Float[Tensor, "n r d"]:
    """Draws from the prior, the first ones replaced by the start of one's own."""
    n, x = len(target), target.x
    drawn = prior.sample((n, restarts), rng=rng).to(x)
    if start is None:
        return drawn
    if isinstance(start, Tensor):
        own = start.to(x)
    else:
        with evaluated(start) as (inverse,), torch.no_grad():
            own = torch.cat([inverse(part) for part in x.split(256)])
    if own.shape != (n, drawn.shape[2]) or not own.isfinite().all():
        raise ValueError(
            f"expected finite starts of shape {(n, drawn.shape[2])}, one for each datum, got {tuple(own.shape)}"
        )
    return torch.cat([own.detach()[:, None], drawn[:, 1:]], 1)


def _measured(generator: Generator, difference: Difference, z: Tensor) -> Tensor:
    with torch.no_grad():
        x = generator(z)
        return x if difference.operator is None else tried(difference.operator, x)


def _disagreement(
    frame: PriorFrame,
    z: Float[Tensor, "n r d"],
    loss: Float[Tensor, "n r"],
    met: Bool[Tensor, "n r"],
    best: Int[Tensor, "n"],
) -> Float[Tensor, "n"]:
    """Mean squared distance from the best start's code to the codes of those that did as well, or met the data as it did."""
    row = torch.arange(len(z), device=z.device)
    as_well = (loss <= _ALIKE * loss[row, best][:, None]) | (met & met[row, best][:, None])
    as_well[row, best] = False
    e = frame.inward(z)
    squared = (e - e[row, best][:, None]).square().mean(2)
    return torch.where(as_well, squared, 0.0).sum(1) / as_well.sum(1)


def _device_of(prior: SampledPrior) -> torch.device:
    return prior.sample(0).device


def _check_numbers(weight: float | Callable[[float], float], restarts: int, met: float | None, batch_size: int) -> None:
    for name, value in (("restarts", restarts), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"expected {name} >= 1, got {value}")
    if not callable(weight) and not weight >= 0:
        raise ValueError(f"expected weight >= 0, got {weight}")
    if met is not None and not met >= 0:
        raise ValueError(f"expected met >= 0, got {met}")


def _check_data(target: Target, own: Tensor) -> None:
    if target.x.shape[1:] != own.shape[1:]:
        raise ValueError(
            f"expected data of shape (n, {', '.join(map(str, own.shape[1:]))}) as the generator makes them, got "
            f"{tuple(target.x.shape)}; resize, or convert the channels (grey or colour)"
        )
    check_range(target.x, own)
