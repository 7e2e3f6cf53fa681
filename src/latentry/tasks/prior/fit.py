"""`latentry prior fit`: a prior for codes that have none."""

import io
import math
from pathlib import Path
from typing import Any

from torch import Tensor

from latentry.data.code_files import load_code_file
from latentry.data.recovered import load_codes
from latentry.evaluation.fitted_prior import FittedPrior
from latentry.evaluation.prior_fitting import fit_prior
from latentry.numerics.interval import Interval
from latentry.paths import user_path
from latentry.priors import save_prior
from latentry.reports.tables import Table, print_table
from latentry.storage import write_bytes
from latentry.tasks.prior.settings import PriorFitSettings
from latentry.tasks.runs import Run, command

__all__ = ["fit"]


@command("prior.json", "prior.png")
def fit(settings: PriorFitSettings, run: Run) -> dict[str, Any]:
    """Write `prior.json`, `prior.png` and `results.json`; print how each family did, and whether the codes fit the prior."""
    found = fit_prior(_codes(settings.codes), settings.family, rng=run.rng(), progress=not run.quiet)
    save_prior(run.folder / "prior.json", found.prior, family=found.family)
    picture = io.BytesIO()
    found.plot().savefig(picture, format="png", dpi=150)
    write_bytes(run.folder / "prior.png", picture.getvalue())
    content = run.record(
        {
            "prior": str(run.folder / "prior.json"),
            "family": found.family,
            "passes": found.passes,
            "verdict": found.verdict,
            "held_out_log_likelihood": _numbers(found.held_out_log_likelihood),
            "families": {
                one.family: {"log_likelihood": _numbers(one.log_likelihood), "behind": _numbers(one.behind)}
                for one in found.fits
            },
            "left_out": found.left_out,
            "fitted_codes": found.fitted_codes,
            "judging_codes": found.judging_codes,
            "copies": found.copies,
            "constant": list(found.constant),
            "discrete": list(found.discrete),
        }
    )
    print_table(_table(found), run.console)
    run.console.print(found.verdict)
    run.console.print(f"The prior: {run.folder / 'prior.json'}, for --prior of `latentry recover`")
    return content


def _codes(path: str) -> Tensor:
    """Codes of a file, or of a folder that `latentry recover` wrote."""
    place: Path = user_path(path)
    return load_codes(place).z if place.is_dir() else load_code_file(place)


def _numbers(interval: Interval) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in (interval.value, interval.low, interval.high)]


def _table(found: FittedPrior) -> Table:
    rows: list[tuple[str, str, str, str]] = [
        (one.family, f"{one.log_likelihood:.3f}", "" if one.behind.value == 0 else f"{one.behind:.3f}", f"{one.seconds:.1f}")
        for one in found.fits
    ]
    rows += [(family, f"left out: {why}", "", "") for family, why in found.left_out.items()]
    note = (
        "Log-likelihood: mean of codes kept back, in nats, with its 95 % interval. Chosen: the simplest family within one "
        "standard error of the best."
    )
    return Table(
        f"Priors of the codes; chosen: {found.family}",
        ("family", "log-likelihood", "behind the best", "seconds"),
        tuple(rows),
        note,
    )
