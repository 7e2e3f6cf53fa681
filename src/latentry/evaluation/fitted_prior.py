"""What fitting a prior to codes found: the prior, how every family did, and whether the codes could have come from it."""

from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from latentry.display import Facts, Plottable, number
from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.names import counted
from latentry.numerics.interval import Interval

__all__ = ["Family", "FamilyFit", "FittedPrior"]

Family = Literal["standard-normal", "independent-normal", "normal", "copula", "mixture", "flow"]
"""Kinds of priors that are fitted to codes, the simplest first."""


@dataclass(frozen=True)
class FamilyFit:
    """How one family did on codes that chose among all.

    Example:
        >>> fit = FamilyFit("normal", "normal", Interval(-2.0, -2.1, -1.9), Interval(0.1, 0.0, 0.2), 1.0, False)
        >>> fit.log_likelihood.value
        -2.0
    """

    family: Family
    description: str
    """The prior in a line."""
    log_likelihood: Interval
    """Mean log p(z) of a code, in nats, with a 95 % interval."""
    behind: Interval
    """By how much that is below the best family's, code by code; 0 for the best itself."""
    seconds: float
    """Time of the fit."""
    within_one_error: bool
    """Whether it is behind the best by no more than one standard error."""


@dataclass(frozen=True, repr=False)
class FittedPrior(Plottable):
    """A prior that was fitted to codes.

    Example:
        >>> import torch, latentry as lt
        >>> found = lt.fit_prior(torch.randn(200, 2), family="normal", rng=torch.Generator().manual_seed(0))
        >>> found.prior
        MultivariateNormal(latent_dim=2, correlated)
    """

    prior: Any
    """The prior, of codes `(n, d)`."""
    family: Family
    """The kind of it."""
    fits: tuple[FamilyFit, ...]
    """How every family did that was fitted, the simplest first."""
    left_out: dict[str, str]
    """Families that were not fitted, and why."""
    fit: GoodnessOfFit
    """Test of the prior on codes that neither fitted nor chose it."""
    held_out_log_likelihood: Interval
    """Mean log p(z) of these codes, in nats, with a 95 % interval."""
    code_shape: tuple[int, ...]
    """Shape of one code as it was given."""
    fitted_codes: int
    """Codes that the prior was fitted to."""
    judging_codes: int
    """Codes that it was judged by."""
    copies: int
    """Codes that were left out, since they are equal to others."""
    constant: tuple[int, ...]
    """Coordinates that were constant; the prior has noise of a thousandth of the typical standard deviation there."""
    discrete: tuple[int, ...]
    """Coordinates with few values, each of which was spread to the middles to its neighbours."""

    @property
    def passes(self) -> bool:
        """Whether no test tells the codes kept back from samples of the prior."""
        return self.fit.passes

    @property
    def verdict(self) -> str:
        """Whether the codes could have come from the prior, in words."""
        could = "could" if self.passes else "could not"
        return f"Codes kept back {could} have come from this prior. {self.fit.verdict}"

    def shaped(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n *s"]:
        """Codes of the prior in the shape of the codes that were given.

        Example:
            >>> import torch, latentry as lt
            >>> found = lt.fit_prior(torch.randn(100, 1, 2, 2), family="independent-normal")
            >>> found.shaped(found.prior.sample(3)).shape
            torch.Size([3, 1, 2, 2])
        """
        return z.reshape(-1, *self.code_shape)

    def _facts(self) -> Facts:
        rows = [("prior", repr(self.prior).splitlines()[0])]
        for one in self.fits:
            behind = "best" if one.behind.value == 0 else f"{number(one.behind.value)} behind"
            rows.append((one.family, f"{one.log_likelihood.value:.4g} nats a code, {behind}"))
        rows += [(f"{len(self.left_out)} left out", ", ".join(self.left_out))] if self.left_out else []
        given = (
            (self.copies, "copies left out"),
            (len(self.constant), "constant coordinates"),
            (len(self.discrete), "discrete coordinates, spread"),
        )
        notes = ", ".join(f"{count} {what}" for count, what in given if count)
        rows += [("codes", notes)] if notes else []
        return Facts(
            f"Prior of {self.family} kind, fitted to {counted(self.fitted_codes, 'code')}", tuple(rows), self.verdict
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import LINE
        from latentry.evaluation.fit_panels import draw_tests
        from latentry.evaluation.fit_report import LEVEL

        figure.set_size_inches(7.6, 3.4)
        families, tests = figure.subplots(1, 2)
        places = range(len(self.fits))
        values = [-one.behind.value for one in self.fits]
        widths = [(one.behind.high - one.behind.low) / 2 for one in self.fits]
        families.errorbar(values, places, xerr=widths, fmt="o", color=LINE)
        families.set_yticks([*places], [one.family for one in self.fits], fontsize=7)
        families.set_xlabel("nats a code above the best", fontsize=8)
        families.tick_params(labelsize=7)
        draw_tests(tests, self.fit.adjusted_p_values, LEVEL)
