"""Tables and pictures that compare recoveries: one row for each method, and the images side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.evaluation.proportions import Share, share
from latentry.latent.known_codes import FOUND
from latentry.latent.recovery import Recovery
from latentry.reports.pictures import grid, interleave, png
from latentry.reports.tables import Table

__all__ = ["Outcome", "comparison_table", "side_by_side"]

_COLUMNS = ("method", "pixel MSE", "label kept", "code error", "found", "std", "KS", "p", "p codes", "s")
_NOTE = (
    "Pixel MSE: images in [-1, 1]. Label kept: an evaluation classifier reads the label of the target from the "
    "reconstruction, %, with 95 % Wilson interval. Code error: median of the mean squared error over the prior's variance; "
    "found: below {found:g}, %. Std: that of the prior is {std:.3f}. KS: distance of all elements together to the prior; "
    "{low:.4f} to {high:.4f} for its samples in 95 % of cases, and p their chance to be as far off. P codes: chance that "
    "samples have per-code p-values as far from uniform. S: seconds."
)


@dataclass(frozen=True)
class Outcome:
    """What one way of recovering made of one set of targets."""

    name: str
    recovery: Recovery
    fit: GoodnessOfFit
    seconds: float
    code_error: Float[Tensor, "n"] | None = None
    """Mean squared error of each code over the prior's variance, where the codes are known."""
    label_kept: Share | None = None
    """How often the target's label is read from the reconstruction, where it is known."""

    @property
    def found(self) -> Share | None:
        """Share of known codes that were found."""
        return None if self.code_error is None else share(self.code_error < FOUND)

    def row(self) -> tuple[str, ...]:
        """The cells of the comparison table."""
        return (
            self.name,
            f"{self.recovery.reconstruction_error.mean().item():.4f}",
            "" if self.label_kept is None else _percent(self.label_kept),
            "" if self.code_error is None else f"{self.code_error.median().item():.3f}",
            "" if self.found is None else _percent(self.found),
            f"{self.fit.std:.3f}",
            f"{self.fit.statistic:.4f}",
            f"{self.fit.p_value:.1g}",
            f"{self.fit.uniformity_p_value:.1g}",
            f"{self.seconds:.0f}",
        )

    def numbers(self) -> dict[str, Any]:
        """The same, and more, as JSON holds it."""
        return {
            "method": self.name,
            "reconstruction_error": self.recovery.reconstruction_error.mean().item(),
            "converged": vars(share(self.recovery.converged)),
            "label_kept": self.label_kept and vars(self.label_kept),
            "code_error_median": None if self.code_error is None else self.code_error.median().item(),
            "codes_found": self.found and vars(self.found),
            "std": self.fit.std,
            "ks": self.fit.statistic,
            "ks_null_band": list(self.fit.null_band),
            "p_value": self.fit.p_value,
            "codes_rejected": vars(self.fit.rejected),
            "uniformity_p_value": self.fit.uniformity_p_value,
            "passes": self.fit.passes,
            "verdict": self.fit.verdict,
            "seconds": self.seconds,
        }


def _percent(share: Share) -> str:
    return f"{share.scaled(100):.0f}"


def comparison_table(title: str, outcomes: Sequence[Outcome]) -> Table:
    """One row for each outcome; columns that none of them fills are left out."""
    rows = [outcome.row() for outcome in outcomes]
    filled = [index for index in range(len(_COLUMNS)) if any(row[index] for row in rows)]
    fit = outcomes[0].fit
    note = _NOTE.format(found=FOUND, std=fit.prior_std, low=fit.null_band[0], high=fit.null_band[1])
    return Table(title, tuple(_COLUMNS[i] for i in filled), tuple(tuple(row[i] for i in filled) for row in rows), note)


def side_by_side(x: Float[Tensor, "n c h w"], outcomes: Sequence[Outcome], groups: int, columns: int) -> bytes:
    """PNG of the first `groups` targets, each followed by what every outcome made of it; `columns` groups in a row."""
    rows = [x[:groups].cpu(), *(outcome.recovery.x_hat[:groups].cpu() for outcome in outcomes)]
    return png(grid(interleave(rows), columns * len(rows)), magnify=2)
