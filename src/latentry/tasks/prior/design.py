"""`latentry prior design`: a prior whose interpolated codes have almost the distribution of its codes."""

import dataclasses
import math
from typing import Any

from latentry.priors import Design, Tabulated, design_interpolable, mismatch, save_prior, summarize
from latentry.reports.tables import Table, print_table
from latentry.tasks.prior.settings import PriorDesignSettings
from latentry.tasks.prior.show import HEAVY, draw, numbers, plain, step_table
from latentry.tasks.runs import Run, command

__all__ = ["design"]


@command("prior.json", "prior.png")
def design(settings: PriorDesignSettings, run: Run) -> dict[str, Any]:
    """Write `prior.json`, `prior.png` and `results.json`; print the design and its mismatch."""
    designed = design_interpolable(
        settings.latent_dim,
        settings.bins,
        settings.std,
        settings.mix,
        settings.combine,
        settings.smoothness,
        settings.points,
        settings.support,
        symmetric=settings.symmetric,
        density_ceiling=math.inf if settings.density_ceiling is None else settings.density_ceiling,
        entropy_floor=-math.inf if settings.entropy_floor is None else settings.entropy_floor,
        forbidden=settings.forbidden,
        starts=settings.starts,
        max_iterations=settings.max_iterations,
    )
    report = designed.design
    assert report is not None  # only a prior from a file has none
    prior = Tabulated(settings.latent_dim, designed.probs, *settings.support, standardize=settings.standardize)
    found = mismatch(prior, settings.t)
    save_prior(run.folder / "prior.json", prior, design=plain(dataclasses.asdict(report)))
    summary = summarize(prior)
    draw(run.folder / "prior.png", prior, settings.t, log_scale=summary.kurtosis > HEAVY)
    result = {"prior": str(run.folder / "prior.json"), "design": dataclasses.asdict(report)} | numbers(prior, summary, found)
    content = run.record(plain(result))

    print_table(_design_table(report), run.console)
    print_table(step_table(found), run.console)
    run.console.print(f"The prior: {run.folder / 'prior.json'}, for --prior of `latentry train gan`")
    return content


def _design_table(report: Design) -> Table:
    rows = [
        (" + ".join(f"{weight:g} z{k}" for k, weight in enumerate(weights, 1)), f"{on_grid:.3g}", f"{drawn:.3g}")
        for weights, on_grid, drawn in zip(report.combinations, report.divergence, report.continuous_divergence, strict=True)
    ]
    state = "converged" if report.converged else "did not converge"
    note = (
        "Nats of one coordinate: on the grid, which the search minimises, and of the distribution that codes are drawn "
        f"from. The search {state} after {report.iterations} steps; std {report.std:.4g} of the support's width, entropy "
        f"{report.entropy:.3f} nats, demands missed by {report.violation:.1g} at most."
    )
    return Table("The design", ("combination", "KL on the grid", "KL"), tuple(rows), note)
