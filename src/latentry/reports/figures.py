"""Figures of codes against their prior."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from latentry.display.drawing import (
    ACCENT,
    BAD,
    BAND,
    FILL,
    GUIDE,
    INK,
    LINE,
    PALETTE,
    QUIET,
    draw_bars,
    draw_matrix,
    draw_names,
    finished,
    plain,
    png_of,
)  # fmt: skip
from latentry.evaluation.coordinates import coordinates_of_prior
from latentry.evaluation.fit_panels import draw_codes, draw_tests
from latentry.evaluation.fit_report import LEVEL, GoodnessOfFit
from latentry.interfaces import Prior
from latentry.numerics.interval import Interval
from latentry.priors import DensityCurves, Mismatch, NormCurves
from latentry.priors.adapters import as_prior
from latentry.priors.distribution import SampledDistribution
from latentry.priors.univariate import NormalDistribution

__all__ = [
    "classes_figure",
    "comparison_figure",
    "fit_figure",
    "curves_figure",
    "found_figure",
    "heat_figure",
    "histogram_figure",
    "p_value_figure",
    "path_figure",
    "prior_figure",
    "scatter_figure",
    "spectrum_figure",
    "step_figure",
    "trade_off_figure",
]

_PANEL = (3.1, 2.5)
_DOTS = 150
"""Dots per inch: sharp on screens of high resolution."""
_LEAST_DRAWN = 1e-6
"""Divergences and densities below this share of the largest are drawn there."""


def histogram_figure(codes: Mapping[str, Float[Tensor, "n d"]], prior: Prior) -> bytes:
    """PNG with one panel for each set of codes: histogram of all their elements over the prior's density."""
    figure = Figure(figsize=(_PANEL[0] * len(codes), _PANEL[1]), layout="constrained")
    for panel, (name, z) in zip(figure.subplots(1, len(codes), squeeze=False)[0], codes.items(), strict=True):
        _density(panel, z, prior)
        panel.set_title(f"{plain(name)}: std {z.std(correction=0).item():.3f}", fontsize=9)
    return _png(figure)


def p_value_figure(fits: Mapping[str, GoodnessOfFit]) -> bytes:
    """PNG of sorted per-code p-values against their expected place; true samples follow the diagonal."""
    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=PALETTE)
    axes.plot([0, 1], [0, 1], color=GUIDE, linewidth=1, linestyle="--", label="samples of the prior")
    for name, fit in fits.items():
        ordered = fit.code_p_value.sort().values
        axes.plot((torch.arange(len(ordered)) + 0.5) / len(ordered), ordered, linewidth=1.6, label=plain(name))
    axes.set_xlabel("share of codes", fontsize=8)
    axes.set_ylabel("p-value of the code", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False)
    return _png(figure)


def fit_figure(z: Float[Tensor, "n d"], prior: Prior, fit: GoodnessOfFit) -> bytes:
    """PNG of one report: elements over the prior's density, per-code p-values in their null band, every test as a bar."""
    figure = Figure(figsize=(10.4, 3.4), layout="constrained")
    elements, codes, tests = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    _density(elements, z, prior)
    elements.set_title(f"deviation {fit.std:.3f}, of the prior {fit.prior_std:.3f}", fontsize=9)
    draw_codes(codes, fit.code_p_value, fit.p_value_band)
    draw_tests(tests, fit.adjusted_p_values, LEVEL)
    return _png(figure)


def path_figure(distances: Mapping[str, Interval]) -> bytes:
    """PNG with one bar and interval for each place where samples were drawn."""
    figure = Figure(figsize=(7.2, 0.8 + 0.24 * len(distances)), layout="constrained")
    axes = figure.subplots()
    draw_bars(axes, distances, "Frechet distance, 95 % interval")
    return _png(figure)


def step_figure(panels: Mapping[str, Mapping[str, Mapping[float, float]]], label: str) -> bytes:
    """PNG with one panel for each data set: a number against the step between two codes, one line for each prior."""
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    for panel, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        panel.axhspan(0.9, 1.1, color=BAND, linewidth=0)
        panel.set_prop_cycle(color=PALETTE)
        for name, values in lines.items():
            steps = sorted(values)
            panel.plot(steps, [values[step] for step in steps], marker="o", markersize=3, linewidth=1.4, label=plain(name))
        panel.set_title(plain(title), fontsize=9)
        panel.set_xlabel("step between two codes", fontsize=8)
        panel.set_ylabel(label, fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=6.5, frameon=False)
    return _png(figure)


def trade_off_figure(points: Mapping[str, tuple[float, float]], across: str, up: str) -> bytes:
    """PNG of named points on logarithmic axes, with the line on which both numbers are equal."""
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.subplots()
    x, y = zip(*points.values(), strict=True)
    ends = [min(*x, *y) * 0.95, max(*x, *y) * 1.05]
    axes.plot(ends, ends, color=GUIDE, linewidth=1, linestyle="--")
    axes.scatter(x, y, s=18, color=LINE)
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.tick_params(labelsize=7, which="both")
    draw_names(axes, points)
    return _png(figure)


def scatter_figure(panels: Mapping[str, Mapping[str, tuple[float, float]]], across: str, up: str) -> bytes:
    """PNG with one panel of named points for each title; the height is logarithmic."""
    figure = Figure(figsize=(5.4 * len(panels), 4.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, points) in zip(axes, panels.items(), strict=True):
        x, y = zip(*points.values(), strict=True)
        panel.scatter(x, y, s=16, color=LINE)
        panel.set(yscale="log")
        panel.set_title(plain(title), fontsize=9)
        panel.set_xlabel(across, fontsize=8)
        panel.set_ylabel(up, fontsize=8)
        panel.tick_params(labelsize=7, which="both")
    for panel, points in zip(axes, panels.values(), strict=True):
        draw_names(panel, points)
    return _png(figure)


def classes_figure(panels: Mapping[str, Float[Tensor, "n 2"]], y: Int[Tensor, "n"], names: Sequence[str] = ()) -> bytes:
    """PNG with one panel of points in the plane for each title, coloured by label, which has a name if these are given."""
    figure = Figure(figsize=(3.6 * len(panels), 3.4), layout="constrained")
    for panel, (title, places) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for label in y.unique().tolist():
            across, up = places[y == label].T.tolist()
            name = names[label] if names else str(label)
            panel.scatter(across, up, s=3, color=PALETTE[label % len(PALETTE)], label=plain(name), linewidths=0)
        panel.set_title(plain(title), fontsize=9)
        panel.tick_params(labelsize=6)
    panel.legend(fontsize=6.5, frameon=False, markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
    return _png(figure)


def curves_figure(stages: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]) -> bytes:
    """PNG with one panel for each stage of a training: every loss against the step; no bytes where there are no stages."""
    if not stages:
        return b""
    figure = Figure(figsize=(5.2 * len(stages), 3.2), layout="constrained")
    for panel, (title, course) in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages.items(), strict=True):
        for index, (name, points) in enumerate(course.items()):
            steps, values = zip(*points, strict=True)
            colour = PALETTE[index % len(PALETTE)]
            panel.plot(steps, values, color=colour, marker="o", markersize=3, linewidth=1.4, label=plain(name))
        panel.set_title(plain(title), fontsize=9)
        panel.set_xlabel("step", fontsize=8)
        panel.set_ylabel("loss", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=7, frameon=False)
    return _png(figure)


def found_figure(panels: Mapping[str, Mapping[str, tuple[Sequence[float], int]]], budgets: Sequence[int]) -> bytes:
    """PNG with one panel for each generator: share of codes found against their cost, one line for each method.

    Args:
        panels: By generator and method, the cost of each code that was found, ascending, and the number of all codes.
        budgets: Costs that are marked.
    """
    figure = Figure(figsize=(6.8 * len(panels), 3.6), layout="constrained")
    for panel, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        costs = [*budgets, *(cost for found, _ in lines.values() for cost in found)]
        ends = (0.5 * min(costs), 1.2 * max(costs))
        for index, (name, (found, total)) in enumerate(lines.items()):
            shares = [rank / total for rank in range(len(found) + 1)]
            panel.step(
                [ends[0], *found, ends[1]],
                [*shares, shares[-1]],
                where="post",
                color=PALETTE[index % len(PALETTE)],
                linewidth=1.4,
                label=plain(name),
            )
        for budget in budgets:
            panel.axvline(budget, color=GUIDE, linewidth=0.8, linestyle="--")
        panel.set(xscale="log", xlim=ends, ylim=(0, 1.02))
        panel.set_title(plain(title), fontsize=9)
        panel.set_xlabel("evaluations of the generator for one code", fontsize=8)
        panel.set_ylabel("share of codes found", fontsize=8)
        panel.tick_params(labelsize=7, which="both")
        panel.legend(fontsize=6.5, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return _png(figure)


def heat_figure(panels: Mapping[str, Float[Tensor, "m n"]]) -> bytes:
    """PNG with one panel for each matrix, blue for negative and red for positive elements, each panel on its own scale."""
    figure = Figure(figsize=(3.3 * len(panels), 3.0), layout="constrained")
    for panel, (title, matrix) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        draw_matrix(panel, matrix, title)
    return _png(figure)


def spectrum_figure(spectra: Mapping[str, Float[Tensor, "m"]], num_labels: int, names: Sequence[str] = ()) -> bytes:
    """PNG with one panel for each code: its coefficients, those of labels coloured and named by their label."""
    columns = min(4, len(spectra))
    rows = -(-len(spectra) // columns)
    figure = Figure(figsize=(3.1 * columns, 1.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, (title, c) in zip(panels, spectra.items(), strict=False):
        colours = [ACCENT if index < num_labels else QUIET for index in range(len(c))]
        panel.bar(range(len(c)), c.tolist(), color=colours, width=0.9)
        panel.axhline(0, color=GUIDE, linewidth=0.6)
        if num_labels:
            first = int(c[:num_labels].argmax())
            panel.annotate(
                plain(names[first] if names else str(first)), (first, float(c[first])), ha="center", va="bottom", fontsize=7
            )
        panel.set_title(plain(title), fontsize=8)
        panel.tick_params(labelsize=6)
    for panel in list(panels):
        panel.set_axis_off()
    return _png(figure)


def prior_figure(densities: DensityCurves, norms: Mapping[float, NormCurves], *, log_scale: bool = False) -> bytes:
    """PNG of a prior and of codes between its codes: densities at each step, and the distributions of the norm.

    Args:
        densities: As `density_curves` makes them, for the steps that `norms` names, in their order.
        norms: The distributions of the norm by step, as `norm_curves` makes them.
        log_scale: Whether densities are drawn on a logarithmic scale, for heavy tails; so norms always are.
    """
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    shades = [PALETTE[index % len(PALETTE)] for index in range(len(norms))]
    left.plot(densities.x, densities.prior, color=INK, linewidth=1.6, label="prior")
    for shade, step, density in zip(shades, norms, densities.between, strict=True):
        left.plot(densities.x, density, color=shade, linewidth=1.1, label=f"t = {step:g}")
    if log_scale:
        highest = max(densities.prior.max().item(), densities.between.max().item())
        left.set(yscale="log", ylim=(highest * _LEAST_DRAWN, 2 * highest))
    if densities.of_norm:
        left.set_xscale("log")
    left.set_xlabel("norm of a code" if densities.of_norm else "coordinate of a code", fontsize=8)
    left.set_ylabel("density", fontsize=8)

    for shade, (step, curves) in zip(shades, norms.items(), strict=True):
        inner = _inner(curves)
        right.plot(curves.norm[inner], curves.between[inner], color=shade, linewidth=1.1, label=f"t = {step:g}")
        right.plot(curves.norm[inner], curves.prior[inner], color=INK, linewidth=1.6)
    right.set_xscale("log")
    right.set_xlabel("norm of a code", fontsize=8)
    right.set_ylabel("share of codes below it", fontsize=8)
    for panel in (left, right):
        panel.tick_params(labelsize=7, which="both")
    left.legend(fontsize=7, frameon=False)
    return _png(figure)


def comparison_figure(priors: Mapping[str, Mismatch]) -> bytes:
    """PNG of several priors: divergence of whole codes and distance of their norms, against the step between two codes."""
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for panel in (left, right):
        panel.set_prop_cycle(color=PALETTE)
    for name, found in priors.items():
        order = found.t.argsort()
        divergence = found.divergence.clamp(_LEAST_DRAWN)[order]
        left.plot(found.t[order], divergence, marker="o", markersize=3, linewidth=1.4, label=plain(name))
        right.plot(found.t[order], found.norm_distance[order], marker="o", markersize=3, linewidth=1.4, label=plain(name))
    left.set_yscale("log")
    left.set_ylabel("divergence of whole codes in nats", fontsize=8)
    right.set_ylim(0, 1.02)
    right.set_ylabel("distance of the distributions of the norm", fontsize=8)
    for panel in (left, right):
        panel.set_xlabel("step between two codes", fontsize=8)
        panel.tick_params(labelsize=7, which="both")
    figure.legend(*left.get_legend_handles_labels(), fontsize=7, frameon=False, loc="outside right upper")
    return _png(figure)


def _inner(curves: NormCurves) -> Bool[Tensor, "n"]:
    """Where there is something to see: neither both distributions near 0 nor both near 1."""
    high, low = torch.maximum(curves.prior, curves.between), torch.minimum(curves.prior, curves.between)
    return (high > 1e-3) & (low < 1 - 1e-3)


def _density(panel: Axes, z: Float[Tensor, "n d"], prior: Prior) -> None:
    """Histogram of all elements, and the density of the prior's distribution; both in normal coordinates where it has
    these."""
    distribution: SampledDistribution = NormalDistribution()
    known = as_prior(prior)
    if known.labelled:
        elements = coordinates_of_prior(z, prior, rng=torch.Generator(z.device).manual_seed(0)).scores
    else:
        elements, distribution = known.iid_coordinates(z)
    low, high = distribution.icdf(torch.tensor([1e-4, 1 - 1e-4], dtype=torch.float64)).tolist()
    pad = 0.25 * (high - low)
    x = torch.linspace(low - pad, high + pad, 400, dtype=torch.float64)
    density = distribution.log_prob(x).exp()
    panel.hist(elements.flatten().cpu().clamp(x[0], x[-1]).numpy(), bins=80, density=True, color=FILL)
    panel.plot(x, density, color=BAD, linewidth=1.4)
    panel.set_ylim(0, 2.2 * density.max().item())
    panel.set_xlabel("element of a code" if elements is z else "element in normal coordinates", fontsize=8)
    panel.tick_params(labelsize=7)


def _png(figure: Figure) -> bytes:
    return png_of(finished(figure), _DOTS)
