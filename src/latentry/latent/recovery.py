r"""Latent code recovery: the code from which a generator makes given data.

For data x, a generator G and a prior p(z), each code minimises

.. math:: L(z) = dif(x, G(z)) + w v R(z)

from one or more starts: draws from the prior, codes of one's own, or those that a learned inverse gives for x. Without a
regularizer R that is the difference alone; v, the variance of the generator's own samples, frees the weight w of the units
of the data. How it is minimised is a `Solver`: `LevenbergMarquardt`, which finds the code that made the data, `LBFGS` or
`Adam`; `solvers.driver` says which starts are tried, and for how long. The generator stays as it is: held in eval mode,
its parameters frozen, and given back with the modes and flags it had. Solvers work on it with its batch normalisation folded
into its convolutions, where that is a copy that does the same; final images are the generator's own.

Codes, images and losses that are returned belong together: the images are computed once more from the final codes, after the
last step. The gradient there decides whether a code has converged.

References: Cho, "Latent code recovery by statistical distance latent regulation loss", 2020; Lipton and Tripathi, "Precise
recovery of latent vectors from generative adversarial networks", 2017.
"""

import math
import time
from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from latentry.display.progress import Progress, reported
from latentry.holding import Condition, as_condition, evaluated, made
from latentry.interfaces import Generator, Prior
from latentry.latent.differences import Difference, Norm, Target
from latentry.latent.problem import Problem, posed, with_jacobian
from latentry.latent.recovery_result import Recovery
from latentry.latent.regularizers import Regularizer
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.determination import undetermined
from latentry.latent.solvers.driver import Tracks, in_double
from latentry.latent.solvers.lbfgs import LBFGS
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.latent.solvers.rows import take
from latentry.latent.solvers.solver import Solver
from latentry.latent.start_codes import Encoder, start_codes
from latentry.numerics.inputs import checked
from latentry.priors.adapters import draw

__all__ = ["Recovery", "automatic_restarts", "automatic_solver", "recover_codes"]

_WEIGHT = 0.01
"""Of a regularizer, where none is given."""
_MOST_LATENTS = 1024
"""Longest codes for which a Jacobian is the default."""
_MOST_ELEMENTS = 2**27
"""Largest Jacobian of one code that is worked out only to see how far the code is determined."""
_AS_ROUNDING = 4.0
"""Mean squared error over that of rounding up to which an error is taken for rounding, that of the code included."""
_ONE_AFTER_ANOTHER, _SIDE_BY_SIDE = 24, 4
"""Most starts of a datum."""
_LONG_CODES = LBFGS(steps=400, halve_at=None)
"""What longer codes are recovered by."""


@checked(any_value=("x", "mask"))
def recover_codes(
    generator: Generator,
    x: Shaped[Tensor, "n *s"],
    prior: Prior,
    *,
    condition: Condition | None = None,
    solver: Solver | str = "auto",
    start: Encoder | Float[Tensor, "n d"] | None = None,
    regularizer: Regularizer | None = None,
    weight: float | Callable[[float], float] | None = None,
    unit: float | None = None,
    difference: Difference | Norm = "l2",
    mask: Shaped[Tensor, "..."] | None = None,
    restarts: int | None = None,
    met: float | None = None,
    determination: bool = True,
    batch_size: int = 1024,
    rng: torch.Generator | None = None,
    progress: Progress = True,
) -> Recovery:
    r"""Find codes z with G(z) = x, from several starts.

    Reference: Cho (2020), there one image at a time, by gradient descent.

    Args:
        generator: Any differentiable, deterministic callable z -> x, or (z, condition) -> x. The modules behind it are held
            in eval mode with frozen parameters meanwhile, as are those behind `start`, `difference` and `regularizer`.
        x: Data, in the units of the generator's output, or measurements of them where `difference` has an operator. They are
            brought to the generator's dtype, or to single precision for one of half precision, in which codes are computed.
        prior: Distribution of the codes: source of the starts, and what the regularizer compares with.
        condition: What a conditional generator takes along with codes, one row for each datum: a tensor (labels, one-hot
            rows, embeddings, images) or a dict of these. All starts of a datum have its condition.
        solver: `LevenbergMarquardt()`, `LBFGS()` or `Adam()` with settings of your own. `auto` is, for an l2 difference, the
            first for codes of up to 1,024 elements and `LBFGS(steps=400)` for longer ones, and `Adam()` else.
        start: First start of each datum: codes, or an encoder: x -> z such as a learned inverse (`fit_inverse`), x -> (mean,
            logvar), or x -> a distribution, whose mean is taken. By default, and for all further starts, draws from the
            prior.
        regularizer: R, such as `StatisticalDistance("wasserstein")` or `L2()`; None leaves codes free.
        weight: w, at least 0, or a function of the share of the steps done; along with a regularizer, by default 0.01. It
            has no units: at 0.01 a regularizer of 1 counts as much as an error of a tenth of the standard deviation of the
            generator's own samples in each element.
        unit: v, against which w is meant, along with a regularizer; by default half the mean difference of two of the
            generator's own samples, for pixels under l2 their variance. 1 gives weights in the units of the data, such as
            those of a likelihood.
        difference: Mean squared (`l2`) or mean absolute (`l1`, as in the paper) difference of pixels, or a `Difference` of
            features or measurements.
        mask: 1 where an element of the data is measured, 0 where it is hidden: `(n, *s)` or `(*s,)`.
        restarts: Most starts for each data point. The first is a draw from the prior, or `start`; each further one begins
            near the best code so far (`solvers.driver`). By default 24, of which data that no code nearly makes get fewer
            (4 to 10, most often); or 4 where the solver runs them side by side.
        met: Mean squared error at which a datum counts as met, so that no further start is tried. By default what rounding
            in the generator's own dtype makes, by a copy of it in double precision where there is one; or, for an image of
            eight bits in a range that the generator's own outputs have, and for data of half precision, twice what their
            rounding makes.
        determination: Whether to find how far each code is determined, which costs d + 1 evaluations.
        batch_size: Codes in work at once, starts included.
        rng: Source of the starts and of resampling, on the prior's device.
        progress: Called as `progress(done, total)` after each iteration, in iterations of single starts. By default a bar is
            shown on a terminal; None is silent.

    Raises:
        ValueError: The data do not fit the generator, their condition is missing, not wanted or has other rows, they are in
            another range or hold NaN, a number is outside its range, the solver is none, the prior is none or of another
            length than the generator's codes, or the generator is stochastic, depends on its batch or has no gradient.

    Example:
        >>> import torch, latentry as lt
        >>> matrix, z = torch.randn(3, 8), torch.randn(5, 3)
        >>> found = lt.recover_codes(lambda z: z @ matrix, z @ matrix, lt.priors.Normal(3))
        >>> bool(found.met.all()), torch.allclose(found.z, z, atol=1e-3)
        (True, True)
    """
    difference = difference if isinstance(difference, Difference) else Difference(difference)
    _check_numbers(weight, unit, restarts, met, batch_size)
    if regularizer is None:
        _refuse_unused(weight=weight, unit=unit)
    weight = _WEIGHT if weight is None else weight
    solver = automatic_solver(difference.norm, prior.latent_dim) if solver == "auto" else _known(solver)
    patient, restarts = restarts is not None, automatic_restarts(solver) if restarts is None else restarts
    with evaluated(generator, difference, regularizer, weight, start, solver, prior):
        problem = posed(
            generator,
            x,
            prior,
            difference=difference,
            regularizer=regularizer,
            weight=weight,
            unit=unit,
            mask=mask,
            met=met,
            condition=as_condition(condition, len(x), x.device),
        )
        problem, determinable = _with_jacobian(problem, solver, determination)
        starts = _starts(start, problem.target, prior, restarts, rng)
        tracks = Tracks(problem.objective, problem.exact, solver, problem.target, starts, problem.tolerance, patient=patient)
        with reported(progress, "recovering codes") as tell:
            tracks.run(batch_size, rng, tell)
        return _recovery(problem, tracks, batch_size, determinable)


def _with_jacobian(problem: Problem, solver: Solver, determination: bool) -> tuple[Problem, bool]:
    """The problem with a way to Jacobians, and whether they will say how far codes are determined."""
    d, elements = problem.trial.shape[1], problem.target.x[0].numel()
    determinable = determination and d <= _MOST_LATENTS and d * elements <= _MOST_ELEMENTS
    needed = isinstance(solver, LevenbergMarquardt)
    if not (determinable or needed):
        return problem, False
    try:
        return with_jacobian(problem), determinable
    except ValueError:
        if needed:
            raise
        return problem, False


def _recovery(problem: Problem, tracks: Tracks, batch_size: int, determinable: bool) -> Recovery:
    """The best start of each datum, with the images that the generator itself makes, and what is known of it."""
    objective, target, best = problem.objective, problem.target, tracks.best()
    z, cost, seconds = tracks.codes(best), tracks.by_datum(tracks.evaluations).sum(1), tracks.by_datum(tracks.seconds).sum(1)
    with torch.no_grad():
        x_hat = made(problem.generator, z, target.condition, size=batch_size)
    error = objective.reconstruction_error(x_hat, target)
    met = error.isfinite() & (error <= problem.tolerance.met)
    loss = tracks.by_datum(tracks.loss)

    began = time.perf_counter()
    converged, unmet = met.clone(), (~met & loss.amin(1).isfinite()).nonzero().flatten()
    for rows in unmet.split(batch_size) if len(unmet) else ():
        converged[rows] = objective.is_stationary(z[rows], take(target, rows))
    cost[unmet] += 3
    open_ = torch.full_like(error, torch.nan)
    if determinable:
        open_ = _undetermined(problem, z, error)
        cost += 1 + z.shape[1]
    return Recovery(
        z=z,
        x_hat=x_hat,
        reconstruction_error=error,
        loss=loss.amin(1),
        met=met,
        converged=converged,
        restart=best,
        restart_loss=loss,
        disagreement=tracks.disagreement(best),
        undetermined=open_,
        evaluations=cost,
        seconds=seconds + (time.perf_counter() - began) / len(z),
        regularizer=None if objective.regularizer is None else repr(objective.regularizer),
        weight=0.0 if objective.regularizer is None else objective.weight(1.0),
        condition=target.condition,
    )


def _undetermined(problem: Problem, z: Float[Tensor, "n d"], error: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """With the error of the reconstruction as that of the data, but for data that are met with no more than rounding."""
    rounded = error <= _AS_ROUNDING * problem.rounding_at_most
    variance = torch.where(rounded, problem.rounding, error.nan_to_num(nan=1.0).double())
    variance = torch.maximum(variance, problem.rounding).to(error).clamp(min=torch.finfo(error.dtype).tiny)
    if problem.exact is None:
        return undetermined(problem.objective, z, problem.target, variance)
    return undetermined(problem.exact, z.double(), in_double(problem.target), variance.double()).to(z)


def automatic_solver(norm: Norm, latent_dim: int) -> LevenbergMarquardt | LBFGS | Adam:
    """What `auto` stands for: Levenberg-Marquardt wherever it can be had, for a difference of this norm and such codes."""
    if norm != "l2":
        return Adam()
    return LevenbergMarquardt() if latent_dim <= _MOST_LATENTS else _LONG_CODES


def automatic_restarts(solver: Solver) -> int:
    """How many starts a datum has at most, where no number is given.

    Example:
        >>> automatic_restarts(LevenbergMarquardt()), automatic_restarts(Adam())
        (24, 4)
    """
    return _ONE_AFTER_ANOTHER if solver.halve_at is None else _SIDE_BY_SIDE


def _starts(
    start: Encoder | Tensor | None,
    target: Target,
    prior: Prior,
    restarts: int,
    rng: torch.Generator | None,
) -> Float[Tensor, "n r d"]:
    """Draws from the prior, the first ones replaced by the start of one's own."""
    drawn = draw(prior, (len(target), restarts), rng).to(target.x)
    if start is None:
        return drawn
    return torch.cat([start_codes(start, target.x, drawn.shape[2])[:, None], drawn[:, 1:]], 1)


def _known(solver: Solver | str) -> Solver:
    if isinstance(solver, type) or not isinstance(solver, Solver):
        got = solver.__name__ if isinstance(solver, type) else repr(solver)
        raise ValueError(
            f'expected "auto" or a solver, got {got}; pass lt.solvers.LevenbergMarquardt(), lt.solvers.LBFGS() or '
            "lt.solvers.Adam(), with brackets"
        )
    return solver


def _refuse_unused(**settings: object) -> None:
    """Make sure that there are no settings of a regularizer without a regularizer."""
    for name, value in settings.items():
        if value is not None:
            raise ValueError(
                f"expected a regularizer along with {name}, got {name}={value} without one, which would change nothing; "
                f"pass regularizer=lt.regularizers.L2(), say, or leave {name} out"
            )


def _check_numbers(
    weight: float | Callable[[float], float] | None,
    unit: float | None,
    restarts: int | None,
    met: float | None,
    batch_size: int,
) -> None:
    for name, value in (("restarts", restarts), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ValueError(f"expected {name} >= 1, got {value}")
    if weight is not None and not callable(weight) and not weight >= 0:
        raise ValueError(f"expected weight >= 0, got {weight}")
    if unit is not None and not 0 < unit < math.inf:
        raise ValueError(f"expected a finite unit > 0, got {unit}; for no regularizer leave it out")
    if met is not None and not met >= 0:
        raise ValueError(f"expected met >= 0, got {met}")
