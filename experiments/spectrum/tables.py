"""Tables and sentences of `python -m experiments spectrum`, from the long table of results."""

from collections.abc import Mapping

from experiments.framework.results import Column, Measured, count, mean, percent, pivot, plain, points
from experiments.spectrum.bases import BASES
from experiments.spectrum.denoising import STRENGTHS, corruption_titles
from experiments.spectrum.operators import ATTRIBUTES
from latentry.latent.label_moves import LABEL_MOVES
from latentry.reports.tables import Table

__all__ = [
    "bases_table",
    "bases_verdict",
    "denoising_table",
    "denoising_verdict",
    "operators_table",
    "operators_verdict",
]

Rows = Mapping[str, Measured]
"""Numbers of one data set by basis, by operator, or by corruption."""

_BASES = (
    Column("rank one, %", percent("rank_one"), console=True),
    Column("top three, %", percent("top_three"), console=True),
    Column("rank one, absolute, %", percent("rank_one_absolute")),
    Column("among labels, %", percent("among_labels"), console=True),
    Column("prior: among labels, %", percent("prior_among_labels")),
    Column("shows its label, %", percent("mapped"), console=True),
    Column("at the guide's length, %", percent("mapped_at_length")),
    Column("negative does, %", percent("mapped_reversed")),
    Column("energy, %", percent("energy")),
    Column("condition", plain("condition_number", ".3g")),
)
_LABEL_MOVES = (
    Column("success, %", percent("success"), console=True),
    *(Column(name, mean(f"identity_{name}"), console=name != "size") for name in ATTRIBUTES),
    Column("cosine", mean("cosine")),
    Column("prior kept", count("passes"), console=True),
    Column("norm change, %", plain("norm_error", ".0f", 100.0)),
    Column("label back, %", percent("label_back"), console=True),
    Column("reached", count("reached")),
)
_DENOISING = (
    Column("nothing, %", percent("nothing.accuracy"), console=True),
    Column("best filter, %", percent("filter.accuracy"), console=True),
    Column("recovery, %", percent("recovery.accuracy"), console=True),
    Column("in the basis, %", percent("basis.accuracy"), console=True),
    Column("ours less the filter", points("gain"), console=True),
    Column("the same, informed", points("gain_informed")),
    Column("error: filter", mean("filter.error")),
    Column("error: ours", mean("recovery or basis.error")),
)


def bases_table(data: str, rows: Rows, codes: Measured, *, short: bool = False) -> Table:
    """One row for each basis; the short form, for a console, has no intervals."""
    loewdin = rows["loewdin"]
    note = (
        f"Held-out images, encoded; {percent('agreement')(codes, False)} % of the codes are decoded to images that are "
        "read as their label. Rank: of the true label among all coefficients, signed unless noted. Random rows have rank "
        f"one for {100 * loewdin.mean('null_rank_one').value:.1f} %. Label information in the sub-domain of the Loewdin "
        f"basis: {percent('label_information_up_to_1')(loewdin, False)} % of that in whole codes. At the guide's length: "
        "vectors decoded at the share of a typical code's length, 1 to 0.6, at which the guide is surest of the one that "
        "it is least sure of. Means over seeds with 95 % Student intervals."
    )
    return pivot(f"Bases: {data}", rows, _BASES, note, first="basis", titles=BASES, short=short)


def operators_table(data: str, rows: Rows, *, short: bool = False) -> Table:
    """One row for each operator; the short form has no intervals."""
    note = (
        "From each label to each other one, at the strength that gives the guide 95 % success on validation codes, where "
        "there is one (reached); success is what the evaluation classifier sees. Thickness, slant, size: correlation "
        "before and after, within pairs of labels. Norm change: the largest."
    )
    titles = {name: family.title for name, family in LABEL_MOVES.items()}
    return pivot(f"Operators: {data}", rows, _LABEL_MOVES, note, first="operator", titles=titles, short=short)


def denoising_table(data: str, rows: Rows, *, short: bool = False) -> Table:
    """Accuracy of the best of each kind against each corruption; the short form has no intervals."""
    clean = percent("clean")(next(iter(rows.values())), False)
    note = (
        f"Accuracy of the evaluation classifier on denoised held-out images, {clean} % on clean ones; of each kind the "
        "method that was best on validation images, by the same classifier. Ours less the filter: paired by image against "
        "the filter that is best on the held-out images themselves; informed: with methods that know the blur or the place "
        "of the occlusion, on both sides. Error: mean squared, to the clean image, of the method that was best by it on "
        "validation."
    )
    return pivot(f"Denoising: {data}", rows, _DENOISING, note, first="corruption", short=short)


def bases_verdict(data: str, rows: Rows, codes: Measured) -> str:
    """How often the true label has the largest coefficient, and how many label vectors show their label."""
    loewdin = rows["loewdin"]
    paper = ""
    if "paper" in rows:
        paper = f", {percent('rank_one')(rows['paper'], False)} % in the paper's, to which the encoder was not taught"
    mapped = ", ".join(
        f"{sum(share == 1 for share in loewdin[measure].values())} of {len(loewdin[measure])} {at}"
        for measure, at in (("mapped", "at full length"), ("mapped_at_length", "at the length that the guide chooses"))
    )
    return (
        f"{data}: the true label has the largest of all coefficients for {percent('rank_one')(loewdin, False)} % of "
        f"held-out images in the Loewdin basis{paper}. By the authors' criterion, the largest in size, it is "
        f"{percent('rank_one_absolute')(loewdin, False)} %, where they report 90.2 % with an encoder of their own; "
        f"decoded codes show it for {percent('agreement')(codes, False)} %; label vectors show all labels, one each, with "
        f"so many seeds: {mapped}."
    )


def operators_verdict(data: str, rows: Rows) -> str:
    """What the rotation to a margin keeps, against its neighbours."""
    margin = rows["margin"]
    against = {
        LABEL_MOVES[name].title: margin.less(rows[name], "identity")
        for name in ("transition", "translate", "translate-conditional", "translate-margin")
        if name in rows
    }
    gains = ", ".join(
        f"{gain.value:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] over {title}" for title, gain in against.items()
    )
    return (
        f"{data}: the rotation to a margin has {percent('success')(margin, False)} % success, and keeps identity (mean "
        f"correlation of thickness, slant and size) {margin.mean('identity').value:.2f}: {gains}."
    )


def denoising_verdict(data: str, rows: Rows) -> str:
    """Against which corruptions recovery is better than every filter."""
    gains = {corruption: row.mean("gain") for corruption, row in rows.items()}
    better = [corruption for corruption, gain in gains.items() if gain.low > 0]
    worse = [corruption for corruption, gain in gains.items() if gain.high < 0]
    titles = corruption_titles()
    strongest = {titles[str(several[-1])] for several in STRENGTHS.values()} & gains.keys()
    ahead = [corruption for corruption in strongest if gains[corruption].value > 0]
    return (
        f"{data}: by accuracy, recovery is better than every classical filter against {', '.join(better) or 'nothing'}, "
        f"worse against {', '.join(worse) or 'nothing'}; on average it is ahead against "
        f"{len(ahead)} of the {len(strongest)} strongest."
    )
