"""The report of a goodness-of-fit test: every test with its effect size, and one verdict."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentry.display import Facts, Plottable, number, percent
from latentry.evaluation.proportions import Share
from latentry.names import counted

__all__ = ["Check", "GoodnessOfFit", "LEVEL", "OFFICIAL_COUNT"]

LEVEL = 0.01
"""Chance below which true samples fail the report as a whole."""
OFFICIAL_COUNT = 256
"""Number of codes for which passing is an official statement."""


@dataclass(frozen=True)
class Check:
    """One test of the report.

    Example:
        >>> Check("elements, KS", 0.02, 0.4, 1.0, "std 1.00", "they are wider than the prior").adjusted_p_value
        1.0
    """

    name: str
    """What is tested and how, such as "elements, KS"."""
    statistic: float
    """The test's own number: a distance, or higher criticism."""
    p_value: float
    """Chance that true samples do as badly; two-sided where codes can be too regular."""
    adjusted_p_value: float
    """The same, corrected by Holm for the number of tests in the report."""
    effect: str
    """How large the departure is, in units that do not grow with the number of codes."""
    finding: str
    """What is wrong with the codes if the test says no."""


@dataclass(frozen=True, repr=False)
class GoodnessOfFit(Plottable):
    """How well codes fit a prior.

    Example:
        >>> from latentry.evaluation.codes import goodness_of_fit
        >>> from latentry.priors import Normal
        >>> fit = goodness_of_fit(2 * Normal(16).sample(50), Normal(16))
        >>> fit.passes, round(fit.std), fit.prior_std
        (False, 2, 1.0)
    """

    statistic: float
    """Pooled Kolmogorov-Smirnov distance of all elements, in [0, 1]."""
    p_value: float
    """Chance that true samples are as far off or further."""
    null_band: tuple[float, float]
    """Where the pooled statistic of true samples of this size lies, with probability 0.95."""
    code_statistic: Float[Tensor, "n"]
    """Kolmogorov-Smirnov distance of each code's elements."""
    code_p_value: Float[Tensor, "n"]
    """Its p-value; uniform on [0, 1] for true samples."""
    code_cvm_p_value: Float[Tensor, "n"]
    """p-value of each code's Cramer-von Mises distance."""
    code_ad_p_value: Float[Tensor, "n"]
    """p-value of each code's Anderson-Darling distance, which is the most sensitive in the tails."""
    p_value_band: Float[Tensor, "n 2"]
    """Lowest and highest place of the sorted `code_p_value`: true samples keep within all of them with probability 0.95."""
    rejected: Share
    """Share of codes with a `code_p_value` below 0.05; near 0.05 for true samples."""
    uniformity_p_value: float
    """p-value of the test that `code_p_value` is uniform; small for codes too far off *or* too regular."""
    mean: float
    """Mean of all elements; for a prior with normal coordinates, in these."""
    std: float
    """Standard deviation of all elements; for a prior with normal coordinates, in these."""
    prior_mean: float
    """What it should be."""
    prior_std: float
    """What it should be."""
    wasserstein: float
    """1-Wasserstein distance of all elements to the prior; with labels, of their normal scores to N(0, 1)."""
    checks: tuple[Check, ...]
    """All tests, in the order of the module's questions."""

    @property
    def passes(self) -> bool:
        """Whether no test says no, at 1 % over all of them together."""
        return self.worst.adjusted_p_value >= LEVEL

    @property
    def worst(self) -> Check:
        """The test with the smallest p-value; the first of several."""
        return min(self.checks, key=lambda check: check.p_value)

    @property
    def adjusted_p_values(self) -> dict[str, float]:
        """The corrected p-value of each test by its name."""
        return {check.name: check.adjusted_p_value for check in self.checks}

    @property
    def verdict(self) -> str:
        """One sentence, which names what is most wrong."""
        if self.passes:
            return f"These codes look like samples of the prior: none of {len(self.checks)} tests tells them from these."
        worst = self.worst
        p = f"p = {worst.adjusted_p_value:.1g}" if worst.adjusted_p_value > 1e-12 else "p < 1e-12"
        count = len(self.code_p_value)
        small = f"; among {count} codes even small faults show" if count > OFFICIAL_COUNT else ""
        return (
            f"These codes do not look like samples of the prior: {worst.finding} "
            f"({worst.effect}; test: {worst.name}, corrected {p}){small}."
        )

    def _facts(self) -> Facts:
        failed = [name for name, p in self.adjusted_p_values.items() if p < LEVEL]
        return Facts(
            f"Goodness of fit of {counted(len(self.code_p_value), 'code')}: {'passes' if self.passes else 'does not pass'}",
            (
                (
                    "failed tests",
                    f"{len(failed)} of {len(self.checks)}" + (f" ({'; '.join(failed)})" if failed else ""),
                ),
                ("smallest corrected p-value", number(self.worst.adjusted_p_value)),
                ("mean of the elements", f"{self.mean:.3f}, of the prior {self.prior_mean:.3f}"),
                ("standard deviation", f"{self.std:.3f}, of the prior {self.prior_std:.3f}"),
                ("Wasserstein distance to the prior", number(self.wasserstein)),
                ("codes rejected one by one at 5 %", f"{percent(self.rejected.value)}, of the prior's own 5 %"),
            ),
            self.verdict,
        )

    def _draw(self, figure: Any) -> None:
        from latentry.evaluation.fit_panels import draw_codes, draw_tests

        figure.set_size_inches(7.6, 3.4)
        codes, tests = figure.subplots(1, 2)
        draw_codes(codes, self.code_p_value, self.p_value_band)
        draw_tests(tests, self.adjusted_p_values, LEVEL)
