"""What a prior says of its codes, held against the codes: its density, its quantiles, its normal coordinates, its labels."""

import math

import torch
from torch import Tensor

from latentry.evaluation.codes import goodness_of_fit
from latentry.numerics.goodness_of_fit import ks_p_value, ks_statistic
from latentry.testing.conformance import Finding, finding, not_applicable
from latentry.testing.densities import bridge_estimate, change_of_variables, metropolis_drift
from latentry.testing.prior_trial import CODES, LEVEL, Absent, PriorTrial, threshold
from latentry.testing.row_map import share_of

__all__ = [
    "cdf_of_codes",
    "density",
    "density_agrees",
    "density_alone",
    "density_integrates",
    "goodness_of_own_codes",
    "icdf_undoes_cdf",
    "jacobian_of_density",
    "labels_of_codes",
    "leads_back",
    "outside",
    "slope_of_density",
]

_FEW = 8
_STEPS = (1e-5, 1e-3, 1e-2)
"""Of finite differences, in standard deviations: the right one depends on the numbers that a prior computes in."""
_OFF = 1e-2
"""How far a right gradient may be off them, as a share of its length."""
_SAME = 1e-3
"""Most that two results may differ by, as a share of the largest value."""
_LARGEST_ERROR = 0.2
"""Standard error of the integral of a density from which on nothing can be said of it."""

_FLAT = "its codes lie in fewer dimensions than they have elements, and have no density in all of these"


def density(trial: PriorTrial) -> Finding:
    """One finite number for each of its own codes."""
    with torch.no_grad():
        density = trial.log_prob(trial.z)
    if density.shape != (CODES,):
        return finding(False, math.nan, f"codes {tuple(trial.z.shape)} to {tuple(density.shape)}, expected ({CODES},)")
    broken = int((~density.isfinite()).sum())
    return finding(not broken, broken, f"not finite at {broken} of {CODES} of its own codes")


def density_alone(trial: PriorTrial) -> Finding:
    """The same with and without other codes."""
    z = trial.z[:_FEW]
    with torch.no_grad():
        together = trial.log_prob(z)
        apart = torch.cat([trial.log_prob(one[None]) for one in z])
    off = share_of(together - apart, together)
    return finding(off <= _SAME, off, "moves by {} of the largest value when the others are left out")


def outside(trial: PriorTrial) -> Finding:
    """No error and no NaN a thousand standard deviations away."""
    z = trial.z[:_FEW]
    far = torch.cat([z + 1e3 * z.std(), z - 1e3 * z.std()])
    found, broken = [], 0
    for name in ("log_prob", "cdf", "to_normal"):
        try:
            with torch.no_grad():
                value = trial.ask(name, far)
        except Absent:
            continue
        found.append(name)
        broken += int(value.isnan().sum())
    if not found:
        raise Absent("log_prob")
    return finding(not broken, broken, f"{', '.join(found)} give NaN {broken} times")


def slope_of_density(trial: PriorTrial) -> Finding:
    """Along random directions, by the median over codes."""
    if trial.is_flat:
        return not_applicable(_FLAT)
    z = trial.z[: 4 * _FEW].clone().requires_grad_(True)
    with torch.enable_grad():
        density = trial.log_prob(z).sum()
        slope = torch.zeros_like(z)
        if density.requires_grad:
            slope = torch.autograd.grad(density, z, materialize_grads=True)[0]
    off = min(_off_differences(trial, z.detach(), slope, step) for step in _STEPS)
    return finding(off <= _OFF, off, "off by {} of its length, at the best of three steps")


def _off_differences(trial: PriorTrial, z: Tensor, slope: Tensor, step: float) -> float:
    """How far a gradient is off finite differences along one direction, by the median over codes."""
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(z)
    step = step * trial.z.std().clamp(max=1e3).item()
    with torch.no_grad():
        above, below = (trial.log_prob(z + side * step * direction).double() for side in (1, -1))
    measured, derived = (above - below) / (2 * step), (slope * direction).sum(1)
    rounding = torch.finfo(torch.float32).eps / step
    size = torch.maximum(slope.norm(dim=1) * direction.norm(dim=1), measured.abs()).clamp(min=1e-3 * rounding)
    return ((measured - derived).abs() / size).nan_to_num(nan=math.inf).median().item()


def density_agrees(trial: PriorTrial) -> Finding:
    """A Metropolis step leaves the codes as they are distributed."""
    if trial.is_flat:
        return not_applicable(_FLAT)
    with torch.no_grad():
        drift = metropolis_drift(trial.z, trial.log_prob, torch.Generator().manual_seed(4)).abs().max().item()
    kept = drift <= threshold(2 * trial.z.shape[1])
    return finding(kept, drift, "a Metropolis step moves them by {} standard errors, the largest of all means")


def density_integrates(trial: PriorTrial) -> Finding:
    """By bridge sampling."""
    if trial.is_flat:
        return not_applicable(_FLAT)
    value, error = bridge_estimate(trial.z, trial.log_prob, torch.Generator().manual_seed(5))
    if not error <= _LARGEST_ERROR:
        return not_applicable("codes of so many elements are too far apart to measure it")
    deviations = abs(value) / max(error, 1e-6)
    return finding(deviations <= threshold(1), value, f"its logarithm is {{}}, with a standard error of {error:.2g}")


def cdf_of_codes(trial: PriorTrial) -> Finding:
    """Kolmogorov-Smirnov of each coordinate."""
    z = trial.z
    with torch.no_grad():
        u = trial.ask("cdf", z)
    if u.shape != z.shape:
        return finding(False, math.nan, f"codes {tuple(z.shape)} to {tuple(u.shape)}, expected the same shape")
    p = ks_p_value(ks_statistic(u.double().mT.contiguous()), len(z)).min().item() * z.shape[1]
    return finding(p >= LEVEL, min(p, 1.0), "smallest p-value of a coordinate {} (Kolmogorov-Smirnov, times their number)")


def icdf_undoes_cdf(trial: PriorTrial) -> Finding:
    """cdf of icdf is the identity."""
    z = trial.z[: 4 * _FEW]
    with torch.no_grad():
        u = trial.ask("cdf", z)
        off = share_of(trial.ask("cdf", trial.ask("icdf", u)) - u, u)
    return finding(off <= _SAME, off, "cdf(icdf(u)) is off u by {}")


def leads_back(trial: PriorTrial) -> Finding:
    """from_normal of to_normal is the identity."""
    z = trial.z[: 4 * _FEW]
    with torch.no_grad():
        off = share_of(trial.ask("from_normal", trial.ask("to_normal", z)) - z, z)
    return finding(off <= _SAME, off, "leads to codes off by {} of the largest value")


def jacobian_of_density(trial: PriorTrial) -> Finding:
    """The change of variables, at single codes."""
    z = trial.z[:_FEW]
    off = change_of_variables(z, lambda codes: trial.ask("to_normal", codes), trial.log_prob).abs()
    allowed = _SAME * z.shape[1]
    worst = off.nan_to_num(nan=math.inf).median().item()
    return finding(worst <= allowed, worst, "log_prob is off the change of variables by {}")


def goodness_of_own_codes(trial: PriorTrial) -> Finding:
    """All tests of `goodness_of_fit`, on 256 codes."""
    if trial.known.labelled and not labels_of_codes(trial).kept:
        return not_applicable("needs right labels")
    try:
        fit = goodness_of_fit(trial.z[:256], trial.known, rng=torch.Generator().manual_seed(6))
    except ValueError as error:
        if trial.known.labelled or hasattr(trial.original, "marginal"):
            raise
        try:
            trial.ask("to_normal", trial.z[:2])
        except Absent:
            return not_applicable("without marginal, to_normal or labels no goodness of fit and no statistical distance")
        raise error
    p = fit.worst.adjusted_p_value
    said = f"smallest corrected p-value of {len(fit.checks)} tests {{}}"
    return finding(p >= LEVEL, p, said if p >= LEVEL else f"{said}: {fit.worst.finding}")


def labels_of_codes(trial: PriorTrial) -> Finding:
    """Drawn labels have the type and shape of labels."""
    if not trial.known.labelled:
        raise Absent("sample_labels")
    z = trial.z[:_FEW]
    y = trial.known.sample_labels(z, rng=trial.rng(7))
    right = isinstance(y, Tensor) and y.shape == (len(z),) and y.dtype == torch.int64
    got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
    return finding(right, math.nan, f"of {len(z)} codes {got}")
