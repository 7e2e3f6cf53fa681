"""Tables and sentences of the recovery experiment: pivots of the table of results.

**The claim** of Cho (2020) is that only the statistical-distance loss recovers correctly with high performance. A method
recovers *correctly* here when its held-out codes pass the whole goodness-of-fit report on every seed, and *with high
performance* when its L1 on real images is no larger than without a regularizer, up to the interval of the latter: codes that
hardly leave the draws of the prior that they begin as pass every test. The claim holds as far as the only methods that do
both are those losses.
"""

from collections.abc import Mapping, Sequence

from scipy.special import ndtri

from experiments.framework.results import Column, Measured, Show, count, least, mean, pivot, plain
from experiments.recovery.known_codes import BUDGETS
from experiments.recovery.methods import METHODS
from latentry.evaluation.proportions import wilson_interval
from latentry.reports.tables import Table

__all__ = ["claim", "inverse_table", "known_codes_table", "known_codes_verdict", "method_table", "provenance_table"]

_TITLES = {name: method.title for name, method in METHODS.items()}
_METHOD_COLUMNS = (
    Column("rate", plain("rate", "g"), console=True),
    Column("strength", plain("strength", "g"), console=True),
    Column("L1", mean("l1", ".3g"), console=True),
    Column("L2", mean("l2", ".3g")),
    Column("label, %", mean("agreement", ".0f", 100.0), console=True),
    Column("mean", mean("mean", ".3f")),
    Column("variance", mean("variance", ".3f")),
    Column("KS", mean("ks", ".2g"), console=True),
    *(
        Column(f"p {name}", least(f"p_values.{name}"), console=name == "codes")
        for name in ("elements", "codes", "norm", "correlation", "projections")
    ),
    Column("passes", count("passes"), console=True),
    Column("code error", mean("code_error", ".3g")),
    Column("found, %", mean("found", ".0f", 100.0), console=True),
    Column("evaluations", plain("evaluations")),
)
_METHOD_NOTE = (
    "Real held-out images. Rate, strength: the grid point that was chosen. L1, L2: mean over images of the sum over pixels "
    "of |.| and its square. Label: an evaluation classifier reads the label of the target from the reconstruction. Mean, "
    "variance and KS: all elements together. P: least p-value over seeds of the tests of elements, of codes one by one "
    "(two-sided), of norms, of correlation and of random projections; no grid point was chosen by the last two. Passes: "
    "seeds on which the whole report does. Code error (median, over the prior's variance), found (below 0.01) and "
    "evaluations (of one image) for samples of the generator's own, recovered at the same grid point. Grid points differ "
    "between methods, so that a row says what the rule chose and not what the regularizer alone does. Means over seeds, "
    "with 95 % intervals of Student's t. A discriminator's loss runs the generator once more in each step, which "
    "evaluations leave out."
)


def method_table(title: str, rows: Mapping[str, Measured], short: bool = False) -> Table:
    """The paper's protocol under one prior: one row for each method."""
    return pivot(title, rows, _METHOD_COLUMNS, _METHOD_NOTE, titles=_TITLES, short=short)


def _share(measure: str) -> Show:
    """A share of known codes in per cent, with its 95 % Wilson interval."""

    def show(row: Measured, short: bool) -> str:
        value, codes = (row.value(name) for name in (measure, "codes"))
        low, high = wilson_interval(value, codes, float(ndtri(0.975)))
        return f"{100 * value:.1f}" if short else f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    return show


def _dimension(row: Measured, short: bool) -> str:
    ends = [f"{row.value(f'dimension.{end}'):.0f}" for end in ("least", "most")]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _fit(row: Measured, short: bool) -> str:
    return "passes" if all(row["passes"].values()) else "fails"


_KNOWN_COLUMNS = (
    Column("codes", plain("codes"), console=True),
    Column("found, %", _share("found"), console=True),
    Column("identifiable, %", _share("identifiable")),
    Column("dimension", _dimension),
    *(Column(f"within {budget}, %", _share(f"within.{budget}"), console=True) for budget in BUDGETS),
    Column("evaluations", plain("evaluations.mean"), console=True),
    Column("90 %", plain("evaluations.90 %")),
    Column("most", plain("evaluations.most")),
    Column("fit", _fit, console=True),
)
_KNOWN_NOTE = (
    "Found: mean squared code error below 0.01 of the prior's variance, with 95 % Wilson interval. Identifiable: the same "
    "error in the directions whose singular value of the Jacobian is at least 0.001 of the largest, whose number is the "
    "dimension. Within: found at no more than so many evaluations, 1 for a forward pass or a column of a Jacobian, 2 for a "
    "gradient; starts that failed count, the training of a learned start does not. Evaluations: mean, 90 % quantile and "
    "most of a code. Fit: the report on all recovered codes."
)


def known_codes_table(generator: str, rows: Mapping[str, Measured], short: bool = False) -> Table:
    """One row for each way of recovering the known codes of one generator."""
    return pivot(f"Known codes of {generator}", rows, _KNOWN_COLUMNS, _KNOWN_NOTE, short=short)


def known_codes_verdict(generator: str, rows: Mapping[str, Measured]) -> str:
    """The shares found within the budgets by the methods that find any, and who finds none."""

    finding = [name for name, row in rows.items() if row.value("found") > 0]
    none = [name for name in rows if name not in finding]
    sentences = [
        f"{name} finds {rows[name].value('found'):.1%} of the codes, "
        + " and ".join(f"{rows[name].value(f'within.{budget}'):.1%} within {budget:,}" for budget in BUDGETS)
        + " evaluations"
        for name in finding
    ]
    sentences += [f"None is found by {'; '.join(none)}"] if none else []
    return f"{generator}: {'. '.join(sentences)}."


def inverse_table(rows: Mapping[str, Measured]) -> Table:
    """What the learned start of each generator took."""
    columns = (
        Column("code error", plain("code_error", ".3f")),
        Column("generator forwards", plain("forwards", ",.0f")),
        Column("minutes", plain("seconds", ".1f", 1 / 60)),
    )
    note = "Code error of the start itself on fresh codes, over the prior's variance. Not part of any evaluations above."
    return pivot("What the learned starts took", rows, columns, note, first="generator")


def provenance_table(rows: Mapping[str, Measured]) -> Table:
    """How well the recovery error tells a generator's own samples from other images."""
    body = tuple(
        (
            generator,
            kind,
            "{:.3f} [{:.3f}, {:.3f}]".format(*(row.value(f"auc.{kind}.{end}") for end in ("value", "low", "high"))),
            f"{row.value(f'rejected.{kind}'):.0%}",
            f"{row.value('rejected.own'):.0%}",
        )
        for generator, row in rows.items()
        for kind in ("real", "other generator")
        if f"auc.{kind}.value" in row
    )
    note = (
        "AUC: chance that an image of the other kind has the larger recovery error, all of them rounded to 8 bits, with 95 "
        "% interval. Rejected: p-value of 0.05 or less; about 5 % of own ones should be."
    )
    return Table("Provenance", ("generator", "own against", "AUC", "rejected, %", "own rejected, %"), body, note)


def claim(title: str, rows: Mapping[str, Measured]) -> str:
    """What the rows say of the paper's claim that only the statistical distance recovers correctly."""
    l1, share_found = ({name: row.value(measure) for name, row in rows.items()} for measure in ("l1", "found"))

    def titles(names: Sequence[str]) -> str:
        return ", ".join(_TITLES[name] for name in names) or "none"

    def least_l1(names: Sequence[str]) -> str:
        best = min(names, key=l1.__getitem__, default=None)
        return "none" if best is None else f"{_TITLES[best]} ({l1[best]:.1f})"

    most = max(rows, key=share_found.__getitem__)
    found = share_found[most]
    codes = f"Most known codes found: {_TITLES[most]} ({found:.0%})" if found else "No method finds a known code"
    correct = [name for name, row in rows.items() if all(row["passes"].values())]
    bound = rows["none"].mean("l1").high if "none" in rows else float("inf")
    able = [name for name in correct if l1[name] <= bound]
    uniform = [name for name, row in rows.items() if all(row["uniform"].values())]
    ours = [name for name in rows if METHODS[name].statistical]
    if not correct:
        holds = "no method's codes look like samples of the prior, those of the statistical distance included"
    elif not able:
        nearest = min(correct, key=l1.__getitem__)
        point = ", ".join(f"{name} {rows[nearest].value(name):g}" for name in ("rate", "strength") if name in rows[nearest])
        holds = (
            f"it does not hold: what passes has {l1[nearest] / l1['none']:.1f} times the L1 that no "
            f"regularizer has, or more (its grid point: {point}), and so does not recover"
        )
    elif others := [name for name in able if name not in ours]:
        holds = f"it does not hold, since {titles(others)} do so too"
    elif set(ours) <= set(able):
        holds = "it holds here"
    else:
        holds = f"it holds for {titles([name for name in ours if name in able])} alone"
    return (
        f"{title}: codes that pass the whole report on every seed: {titles(correct)}; whose p-values one by one are uniform "
        f"on every seed: {titles(uniform)}. As for the claim that only the statistical distance recovers correctly, {holds}"
        f". Least L1 of all: {least_l1(list(rows))}; of the statistical distances: {least_l1(ours)}; of those that pass: "
        f"{least_l1(correct)}. {codes}."
    )
