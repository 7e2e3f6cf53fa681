"""`latentry prior design`: a prior whose interpolated codes look like codes of it."""

import dataclasses
import math
from typing import Any

from latentry.priors import Design, Tabulated, design_interpolable, mismatch, save_prior, summarize
from latentry.reports.consoles import PlainConsole
from latentry.reports.tables import Table, print_table
from latentry.tasks.prior.settings import PriorDesignSettings
from latentry.tasks.prior.show import HEAVY, draw, numbers, plain, step_table
from latentry.tasks.runs import claim_folder, command, record

__all__ = ["design"]


@command
def design(settings: PriorDesignSettings) -> dict[str, Any]:
    """Write `prior.json`, `prior.png` and `results.json`; print how the design went and how far codes between codes are."""
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
    assert report is not None  # only a prior read from a file has none
    prior = Tabulated(settings.latent_dim, designed.probs, *settings.support, standardize=settings.standardize)
    found = mismatch(prior, settings.t)
    folder = claim_folder(settings, "prior.json", "prior.png")
    save_prior(folder / "prior.json", prior, design=plain(dataclasses.asdict(report)))
    summary = summarize(prior)
    draw(folder / "prior.png", prior, settings.t, log_scale=summary.kurtosis > HEAVY)
    result = {"prior": str(folder / "prior.json"), "design": dataclasses.asdict(report)} | numbers(prior, summary, found)
    content = record(folder, settings, plain(result))

    console = PlainConsole(quiet=settings.json)
    print_table(_design_table(report), console)
    print_table(step_table(found), console)
    console.print(f"The prior: {folder / 'prior.json'}, for --prior of `latentry train gan`")
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
