"""From the cells of the paper's protocol to the choice of a setting, rows, intervals and a sentence: arithmetic only.

**The choice**, the same for every method, on validation codes: among the settings whose per-code p-values are uniform at 5 %
the one with the least reconstruction error; where there is none, the one whose p-values are nearest to uniform in the
Kolmogorov-Smirnov distance. Nothing chooses by dependence between coordinates, which so stays a test that no method was
tuned to.

**The claim** of Cho (2020) is that only the statistical-distance loss recovers correctly with high performance. A method
recovers *correctly* here when its held-out codes pass the whole goodness-of-fit report on every seed, and *with high
performance* when its L1 on real images is no larger than without a regularizer, up to the interval of the latter: codes that
hardly leave the draws of the prior that they begin as pass every test. The claim holds as far as the only methods that do
both are those losses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.recovery.methods import METHODS
from latentry.evaluation.codes import Check, GoodnessOfFit
from latentry.evaluation.seeds import SeedInterval, mean_over_seeds
from latentry.reports.tables import Table

__all__ = [
    "MEANS",
    "TESTS",
    "MethodRow",
    "chosen",
    "claim",
    "fit_numbers",
    "method_rows",
    "method_table",
    "short_method_table",
]

LEVEL = 0.95
UNIFORM = 0.05
"""Level of the test by which a setting is chosen."""

TESTS = {
    "elements": "elements, KS",
    "codes": "codes, KS",
    "norm": "norm",
    "correlation": "correlation",
    "projections": "projections",
}
"""Tests that rows show, by the beginnings of their names in the report."""
MEANS = ("l1", "l2", "agreement", "mean", "variance", "ks", "code_error", "found", "evaluations")

CellResult = Mapping[str, Any]


@dataclass(frozen=True)
class MethodRow:
    """One method under one prior, over seeds."""

    setting: str
    """What was chosen."""
    means: dict[str, SeedInterval]
    """Each number of `MEANS`."""
    least_p: dict[str, float]
    """Least p-value of each of `TESTS` over seeds."""
    passed: int
    """Seeds on which the whole report passes."""
    uniform: int
    """Seeds on which per-code p-values are uniform at 5 %."""
    seeds: int

    @property
    def correct(self) -> bool:
        """Whether the report passes on every seed."""
        return self.passed == self.seeds


def fit_numbers(fit: GoodnessOfFit) -> dict[str, Any]:
    """What rows need of a report."""
    return {
        "mean": fit.mean,
        "variance": fit.std**2,
        "ks": fit.statistic,
        "ks_p": fit.p_value,
        "uniformity_p": fit.uniformity_p_value,
        "uniformity_distance": _check(fit, TESTS["codes"]).statistic,
        "p_values": {name: _check(fit, start).p_value for name, start in TESTS.items()},
        "passes": fit.passes,
        "verdict": fit.verdict,
    }


def _check(fit: GoodnessOfFit, start: str) -> Check:
    return next(check for check in fit.checks if check.name.startswith(start))


def chosen(trials: Sequence[Mapping[str, Any]]) -> int:
    """Number of the setting that the rule of this module takes."""
    uniform = [index for index, trial in enumerate(trials) if trial["uniformity_p"] >= UNIFORM]
    if uniform:
        return min(uniform, key=lambda index: trials[index]["l1"])
    return min(range(len(trials)), key=lambda index: trials[index]["uniformity_distance"])


def method_rows(results: Mapping[str, Mapping[int, CellResult]]) -> dict[str, MethodRow]:
    """One row for each method, from its results by seed."""
    return {name: _row(of_seed) for name, of_seed in results.items()}


def _row(of_seed: Mapping[int, CellResult]) -> MethodRow:
    def mean(read: Callable[[CellResult], float]) -> SeedInterval:
        return mean_over_seeds({seed: read(result) for seed, result in of_seed.items()}, LEVEL)

    def of(name: str) -> SeedInterval:
        return mean(lambda result: result[name])

    results = list(of_seed.values())
    return MethodRow(
        setting=results[0]["setting"],
        means={name: of(name) for name in MEANS},
        least_p={name: min(result["p_values"][name] for result in results) for name in TESTS},
        passed=sum(result["passes"] for result in results),
        uniform=sum(result["uniformity_p"] >= UNIFORM for result in results),
        seeds=len(results),
    )


def method_table(prior: str, found: Mapping[str, MethodRow]) -> Table:
    """The table for a page: every number, with intervals."""
    columns = (
        "method", "setting", "L1", "L2", "label, %", "mean", "variance", "KS", *(f"p {name}" for name in TESTS), "passes",
        "code error", "found, %", "evaluations",
    )  # fmt: skip
    return Table(f"Prior: {prior}", columns, tuple(_cells(name, row) for name, row in found.items()), _NOTE)


_NOTE = (
    "Real held-out images. L1, L2: mean over images of the sum over pixels of |.| and its square. Label: an independent "
    "classifier reads the label of the target from the reconstruction. Mean, variance and KS: all elements together. "
    "P: least p-value over seeds of the tests of elements, of codes one by one (two-sided), of norms, of correlation and of "
    "random projections; no setting was chosen by the last two. Passes: seeds on which the whole report does. Code error "
    "(median, over the prior's variance), found (below 0.01) and evaluations (of one image) for samples of the generator's "
    "own, recovered with the same setting. Settings differ between methods, so that a row says what the rule chose and not "
    "what the regularizer alone does. Means over seeds, with 95 % intervals of Student's t. A discriminator's loss "
    "runs the generator once more in each step, which evaluations leave out."
)


def _cells(name: str, row: MethodRow) -> tuple[str, ...]:
    def shown(key: str, digits: str = ".3g", scale: float = 1.0) -> str:
        found = row.means[key]
        return f"{scale * found.value:{digits}} [{scale * found.low:{digits}}, {scale * found.high:{digits}}]"

    return (
        METHODS[name].title,
        row.setting,
        shown("l1"),
        shown("l2"),
        shown("agreement", ".0f", 100.0),
        shown("mean", ".3f"),
        shown("variance", ".3f"),
        shown("ks", ".2g"),
        *(f"{p:.1g}" for p in row.least_p.values()),
        f"{row.passed} of {row.seeds}",
        shown("code_error"),
        shown("found", ".0f", 100.0),
        f"{row.means['evaluations'].value:.0f}",
    )


def short_method_table(prior: str, found: Mapping[str, MethodRow]) -> Table:
    """The same for a console."""
    body = tuple(
        (
            METHODS[name].title,
            row.setting,
            f"{row.means['l1'].value:.1f}",
            f"{row.means['agreement'].value:.0%}",
            f"{row.means['ks'].value:.3f}",
            f"{row.least_p['codes']:.1g}",
            f"{row.passed} of {row.seeds}",
            f"{row.means['found'].value:.0%}",
        )
        for name, row in found.items()
    )
    note = (
        "L1: mean over real images of the sum over pixels. P codes: least p-value over seeds that codes one by one are "
        "samples. Found: own samples whose code was recovered."
    )
    return Table(f"Prior: {prior}", ("method", "setting", "L1", "label", "KS", "p codes", "passes", "found"), body, note)


def _performs(row: MethodRow, bare: MethodRow | None) -> bool:
    """Whether the reconstruction is as good as without a regularizer, up to the latter's interval."""
    return bare is None or row.means["l1"].value <= bare.means["l1"].high


def claim(prior: str, found: Mapping[str, MethodRow]) -> str:
    """What the rows say of the paper's claim that only the statistical distance recovers correctly."""

    def titles(names: Sequence[str]) -> str:
        return ", ".join(METHODS[name].title for name in names) or "none"

    def least(names: Sequence[str], key: str = "l1", sign: float = 1.0) -> str:
        if not names:
            return "none"
        best = min(names, key=lambda name: sign * found[name].means[key].value)
        value = found[best].means[key].value
        return f"{METHODS[best].title} ({value:.0%})" if key == "found" else f"{METHODS[best].title} ({value:.1f})"

    anything = any(row.means["found"].value for row in found.values())
    codes = f"Most known codes found: {least(list(found), 'found', -1.0)}" if anything else "No method finds a known code"
    correct = [name for name, row in found.items() if row.correct]
    able = [name for name in correct if _performs(found[name], found.get("none"))]
    uniform = [name for name, row in found.items() if row.uniform == row.seeds]
    ours = [name for name in found if METHODS[name].statistical]
    others = [name for name in able if name not in ours]
    if not correct:
        holds = "no method's codes look like samples of the prior, those of the statistical distance included"
    elif not able:
        nearest = min(correct, key=lambda name: found[name].means["l1"].value)
        times = found[nearest].means["l1"].value / found["none"].means["l1"].value
        holds = (
            f"it does not hold: what passes has {times:.1f} times the L1 that no regularizer has, or more (its setting: "
            f"{found[nearest].setting}), and so does not recover"
        )
    elif others:
        holds = f"it does not hold, since {titles(others)} do so too"
    elif set(ours) <= set(able):
        holds = "it holds here"
    else:
        holds = f"it holds for {titles([name for name in ours if name in able])} alone"
    return (
        f"{prior}: codes that pass the whole report on every seed: {titles(correct)}; whose p-values one by one are uniform "
        f"on every seed: {titles(uniform)}. As for the claim that only the statistical distance recovers correctly, {holds}"
        f". Least L1 of all: {least(list(found))}; of the statistical distances: {least(ours)}; of those that pass: "
        f"{least(correct)}. {codes}."
    )
