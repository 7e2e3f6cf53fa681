r"""A prior for codes that have none: of an autoencoder, of a style space, of a VAE whose codes are not N(0, I).

Codes are split in three. Three fifths fit one prior of each family:

===================  =======================================================================================
standard-normal      N(0, I), which nothing is fitted of
independent-normal   mean and standard deviation of each coordinate
normal               mean and covariance, shrunk (Ledoit and Wolf, 2004)
copula               a table for each coordinate, and a normal copula
mixture              normal components, as many as codes held back ask for
flow                 a small neural spline flow, stopped early
===================  =======================================================================================

A fifth chooses: the simplest family whose mean log-likelihood is within one standard error of the best one's (Breiman et
al., 1984), the error being that of the difference code by code. The chosen family is fitted anew to both parts, but for a
flow, which keeps its weights. The last fifth, which neither fitted nor chose, judges: its goodness of fit says whether the
codes could have come from the prior.

References: Breiman, Friedman, Olshen, Stone, "Classification and regression trees", 1984 (the rule of one standard error);
Ghosh, Sajjadi, Vergari, Black, Schölkopf, "From variational to deterministic autoencoders", 2020 (a density of the codes,
fitted after the training); Dai and Wipf, "Diagnosing and enhancing VAE models", 2019.
"""

import math
import time
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.display.progress import Progress, reported
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.fitted_prior import Family, FamilyFit, FittedPrior
from latentry.evaluation.prepared_codes import prepared
from latentry.numerics.inputs import checked
from latentry.numerics.interval import Interval
from latentry.priors.copula import Copula
from latentry.priors.flow_fitting import fitted_flow
from latentry.priors.iid import Normal
from latentry.priors.mixture_fitting import fitted_mixture, mixture_of
from latentry.priors.multivariate_normal import MultivariateNormal
from latentry.priors.normal_mixture import MultivariateNormalMixture

__all__ = ["fit_prior"]

_FAMILIES: tuple[Family, ...] = get_args(Family)
_PARTS = 5
_FEWEST_FOR_FLOW, _LONGEST_FOR_FLOW = 500, 128
"""Codes to fit, and elements of a code, between which a flow is tried unasked."""
_STEPS = 100
"""Of the progress, for each family."""
_Z95 = 1.959963984540054


@checked()
def fit_prior(
    codes: Float[Tensor, "n *s"],
    family: Family | Literal["best"] = "best",
    *,
    rng: torch.Generator | None = None,
    progress: Progress = True,
) -> FittedPrior:
    """Fit a prior to codes, choose its family on codes kept back, and judge it by others.

    Reference: the module's theory.

    Args:
        codes: Codes `(n, d)`, or of any shape `(n, *s)`, which is flattened; at least 40.
        family: The family that is fitted; `best` fits all and chooses.
        rng: Source of the splits, starts and batches, on the CPU.
        progress: Called as `progress(done, total)`; by default a bar on a terminal.

    Returns:
        The prior with how all families did. `save_prior(path, found.prior)` writes it.

    Raises:
        ValueError: Codes are too few, all equal, not finite, or have a value that many share and others do not.

    Example:
        >>> import torch, latentry as lt
        >>> rng = torch.Generator().manual_seed(0)
        >>> codes = 3 + torch.randn(500, 2, generator=rng) @ torch.tensor([[1.0, 0.9], [0.0, 0.4]])
        >>> found = lt.fit_prior(codes, rng=rng)
        >>> found.family, found.passes
        ('normal', True)
    """
    if codes.ndim < 2 or codes[0].numel() == 0:
        raise ValueError(
            f"expected codes (n, d) or (n, *s), got shape {tuple(codes.shape)}; add an axis with codes[:, None]"
        )
    if family != "best" and family not in _FAMILIES:
        raise ValueError(f"expected a family of best, {', '.join(_FAMILIES)}, got {family!r}")
    source = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=rng)))
    ready = prepared(codes.flatten(1), source)
    order = torch.randperm(len(ready.z), generator=source)
    count = len(order) // _PARTS
    judging, choosing, fitting = ready.z[order[:count]], ready.z[order[count : 2 * count]], ready.z[order[2 * count :]]
    wanted, left_out = _wanted(family, len(fitting), codes[0].numel())
    priors: dict[Family, Any] = {}
    seconds: dict[Family, float] = {}
    with reported(progress, "fitting priors") as tell:
        for place, name in enumerate(wanted):
            began = time.perf_counter()
            prior = _fitted(name, fitting, source, _part(tell, place, len(wanted)))
            if family == "best" and name == "mixture" and len(prior.loc) == 1:
                left_out[name] = "codes held back ask for one component alone, which is a normal prior"
                continue
            priors[name] = prior
            seconds[name] = time.perf_counter() - began
            if tell is not None:
                tell((place + 1) * _STEPS, len(wanted) * _STEPS)
    densities = {name: prior.log_prob(choosing) for name, prior in priors.items()}
    fits = _compared(densities, priors, seconds)
    chosen = next(one.family for one in fits if one.within_one_error)
    prior = _refitted(priors[chosen], chosen, torch.cat([fitting, choosing]), source)
    return FittedPrior(
        prior=prior.to(codes.dtype),
        family=chosen,
        fits=fits,
        left_out=left_out,
        fit=goodness_of_fit(judging, prior, rng=source),
        held_out_log_likelihood=_mean(prior.log_prob(judging)),
        code_shape=tuple(codes.shape[1:]),
        fitted_codes=len(fitting) if chosen == "flow" else len(fitting) + len(choosing),
        judging_codes=len(judging),
        copies=ready.copies,
        constant=ready.constant,
        discrete=ready.discrete,
    )


def _wanted(family: Family | Literal["best"], n: int, d: int) -> tuple[list[Family], dict[str, str]]:
    """Families to fit, and why others are left out."""
    if family != "best":
        return [family], {}
    left_out: dict[str, str] = {}
    if d == 1:
        left_out["normal"] = "one coordinate has no correlations"
    if n < _FEWEST_FOR_FLOW or d > _LONGEST_FOR_FLOW:
        left_out["flow"] = (
            f"{n} codes of {d} elements to fit, where {_FEWEST_FOR_FLOW} of at most {_LONGEST_FOR_FLOW} are wanted; "
            "family='flow' fits one all the same"
        )
    return [name for name in _FAMILIES if name not in left_out], left_out


def _fitted(name: Family, z: Tensor, rng: torch.Generator, tell: Callable[[int, int], None] | None) -> Any:
    if name == "standard-normal":
        return Normal(z.shape[1])
    if name in ("independent-normal", "normal"):
        return MultivariateNormal.fitted(z, independent=name == "independent-normal")
    if name == "copula":
        return Copula.fitted(z)
    return fitted_mixture(z, rng, tell) if name == "mixture" else fitted_flow(z, rng, tell)


def _refitted(prior: Any, name: Family, z: Tensor, rng: torch.Generator) -> Any:
    """The chosen prior, fitted to more codes."""
    if name == "flow":
        return prior
    if isinstance(prior, MultivariateNormalMixture):
        return mixture_of(z, len(prior.loc), prior.scale.ndim == 3, rng)
    return _fitted(name, z, rng, None)


def _compared(
    densities: dict[Family, Tensor], priors: dict[Family, Any], seconds: dict[Family, float]
) -> tuple[FamilyFit, ...]:
    best = max(densities, key=lambda name: densities[name].mean().item())
    found = []
    for name, density in densities.items():
        behind = _mean(densities[best] - density)
        error = (behind.high - behind.low) / (2 * _Z95)
        within = behind.value <= error or name == best
        found.append(FamilyFit(name, repr(priors[name]), _mean(density), behind, seconds[name], within))
    return tuple(found)


def _mean(values: Float[Tensor, "n"]) -> Interval:
    """Mean with its 95 % interval."""
    mean, error = values.mean().item(), values.std().item() / math.sqrt(len(values))
    return Interval(mean, mean - _Z95 * error, mean + _Z95 * error)


def _part(tell: Callable[[int, int], None] | None, place: int, families: int) -> Callable[[int, int], None] | None:
    """The progress of one of several fits."""
    if tell is None:
        return None
    return lambda done, total: tell(place * _STEPS + _STEPS * done // total, families * _STEPS)
