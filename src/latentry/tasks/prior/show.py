"""`latentry prior show` and `compare`: a prior in numbers and a figure, or several side by side."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentry.paths import user_path
from latentry.priors import (
    Mismatch,
    Summary,
    UnlabelledPrior,
    density_curves,
    mismatch,
    norm_curves,
    summarize,
)
from latentry.reports.figures import comparison_figure, prior_figure
from latentry.reports.tables import Table, print_table
from latentry.storage import read_json, write_bytes
from latentry.tasks.loading import named_prior
from latentry.tasks.prior.settings import PriorCompareSettings, PriorShowSettings
from latentry.tasks.runs import Run, command

__all__ = ["HEAVY", "compare", "draw", "numbers", "plain", "show", "step_table"]

HEAVY = 9.0
"""Kurtosis above which densities are drawn on a logarithmic scale: thrice that of a normal distribution."""

_LATENT_DIM = 100
_NOTE = (
    "KL: divergence of the prior from the distribution of (1 - t) z + t z' in nats. Norm: Kolmogorov-Smirnov distance "
    "between the distributions of the norm. Both are 0 for a prior that its straight lines do not leave."
)


@command("prior.png")
def show(settings: PriorShowSettings, run: Run) -> dict[str, Any]:
    """Write `prior.png` and `results.json`; print the distribution in numbers, and how far codes between codes are from
    it."""
    prior = _prior(settings.prior, settings.latent_dim)
    summary, found = summarize(prior), mismatch(prior, settings.t)
    log_scale = summary.kurtosis > HEAVY if settings.log_scale is None else settings.log_scale
    draw(run.folder / "prior.png", prior, settings.t, log_scale=log_scale)
    content = run.record(plain(numbers(prior, summary, found)))

    print_table(_summary_table(settings.prior, summary), run.console)
    print_table(step_table(found), run.console)
    run.console.print(f"The figure: {run.folder / 'prior.png'}")
    return content


@command("priors.png")
def compare(settings: PriorCompareSettings, run: Run) -> dict[str, Any]:
    """Write `priors.png` and `results.json`; print one row for each prior."""
    if not settings.t:
        raise ValueError("expected one step t or more, got none; leave out --t for the usual ones")
    names = _short_names(settings.priors)
    priors = {name: _prior(source, settings.latent_dim) for name, source in zip(names, settings.priors, strict=True)}
    found = {name: mismatch(prior, settings.t) for name, prior in priors.items()}
    summaries = {name: summarize(prior) for name, prior in priors.items()}
    write_bytes(run.folder / "priors.png", comparison_figure(found))
    rows = {name: numbers(prior, summaries[name], found[name]) for name, prior in priors.items()}
    content = run.record(plain({"priors": rows}))

    for index in range(len(settings.t)):
        print_table(_comparison_table(found, summaries, index), run.console)
    run.console.print(f"The figure: {run.folder / 'priors.png'}")
    return content


def _prior(name_or_path: str, latent_dim: int | None) -> UnlabelledPrior:
    """A prior by name or file; without `latent_dim` that of the file, or 100 where it says nothing of it."""
    if latent_dim is None and not _is_saved(user_path(name_or_path)):
        latent_dim = _LATENT_DIM
    return named_prior(name_or_path, latent_dim)


def _is_saved(path: Path) -> bool:
    """Whether a file is one of `save_prior`, and no bare table."""
    content = read_json(path) if path.suffix == ".json" and path.is_file() else None
    return isinstance(content, dict) and "class" in content


def _short_names(sources: Sequence[str]) -> list[str]:
    """Names of priors, and of files without their folder where that is enough to tell them apart."""
    if len(set(sources)) < len(sources):
        raise ValueError(f"expected different priors to compare, got {', '.join(sources)}; leave out what comes twice")
    short = [name if not (file := user_path(name)).is_file() else file.stem for name in sources]
    return [one if short.count(one) == 1 else whole for one, whole in zip(short, sources, strict=True)]


def draw(path: Path, prior: UnlabelledPrior, t: Sequence[float], *, log_scale: bool) -> None:
    """Write the figure of a prior and of codes at steps between its codes."""
    norms = {step: norm_curves(prior, step) for step in t}
    write_bytes(path, prior_figure(density_curves(prior, [*norms]), norms, log_scale=log_scale))


def _summary_table(name: str, summary: Summary) -> Table:
    whose = "norm" if summary.of_norm else "coordinate"
    low, high = summary.support
    rows = [
        ("distribution of the norm" if summary.of_norm else "distribution of a coordinate", summary.distribution),
        ("elements of a code", str(summary.latent_dim)),
        ("support", f"[{low:g}, {high:g}]"),
        ("mean", f"{summary.mean:.4g}"),
        ("std", f"{summary.std:.4g}"),
        ("kurtosis", "none" if math.isnan(summary.kurtosis) else f"{summary.kurtosis:.3g}"),
        (f"entropy of a {whose}", f"{summary.entropy:.4g} nats"),
        ("entropy of a code", f"{summary.code_entropy:.4g} nats"),
        *((f"quantile {100 * level:g} %", f"{value:.4g}") for level, value in summary.quantiles.items()),
    ]
    return Table(f"The prior {name}", ("", "value"), tuple(rows))


def step_table(found: Mismatch) -> Table:
    """One row for each step between two codes."""
    columns = ("t", "KL of a coordinate", "KL of a code", "TV of a coordinate", "TV of a code", "norm")
    rows = []
    for index, step in enumerate(found.t.tolist()):
        divergence = "" if found.coordinate_divergence is None else f"{found.coordinate_divergence[index].item():.4g}"
        variation = (
            "" if found.coordinate_total_variation is None else f"{found.coordinate_total_variation[index].item():.4g}"
        )
        low, high = found.total_variation_low[index].item(), found.total_variation_high[index].item()
        bounds = f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
        whole, norm = found.divergence[index].item(), found.norm_distance[index].item()
        rows.append((f"{step:g}", divergence, f"{whole:.4g}", variation, bounds, f"{norm:.3f}"))
    return Table(
        f"Codes of {found.latent_dim} elements between codes", columns, tuple(rows), _NOTE + " TV: total variation."
    )


def _comparison_table(found: dict[str, Mismatch], summaries: dict[str, Summary], index: int) -> Table:
    """One row for each prior, at one step."""
    rows = []
    for name, row in found.items():
        summary = summaries[name]
        one = "" if row.coordinate_divergence is None else f"{row.coordinate_divergence[index].item():.4f}"
        kurtosis = "none" if math.isnan(summary.kurtosis) else f"{summary.kurtosis:.3g}"
        numbers = (f"{row.divergence[index].item():.3g}", f"{row.norm_distance[index].item():.3f}")
        rows.append((name, f"{summary.std:.3g}", kurtosis, one, *numbers))
    steps, latent_dim = next((row.t.tolist(), row.latent_dim) for row in found.values())
    last = index == len(steps) - 1
    note = (
        "Std and kurtosis: of a coordinate, or of the norm where coordinates are dependent; KL/d: of a coordinate. " + _NOTE
    )
    columns = ("prior", "std", "kurtosis", "KL/d", "KL", "norm")
    return Table(f"Codes of {latent_dim} elements at t = {steps[index]:g}", columns, tuple(rows), note if last else "")


def numbers(prior: UnlabelledPrior, summary: Summary, found: Mismatch) -> dict[str, Any]:
    """A prior and what is between its codes, by name."""
    rows = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    between = {name: None if value is None else value.tolist() for name, value in rows.items() if name != "latent_dim"}
    quantiles = [[level, value] for level, value in summary.quantiles.items()]
    return {
        "class": type(prior).__name__,
        "summary": dataclasses.asdict(summary) | {"quantiles": quantiles},
        "between": between,
    }


def plain(content: Any) -> Any:
    """What JSON can hold: infinities and NaN, which it has no numbers for, become words."""
    if isinstance(content, dict):
        return {str(name): plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return str(content) if isinstance(content, float) and not math.isfinite(content) else content
