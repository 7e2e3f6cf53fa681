"""Tables and sentences of `python -m experiments spectrum`: means over seeds with Student intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.frame.over_seeds import Seeds, number, over, percent, signed
from experiments.spectrum.bases import BASES
from experiments.spectrum.denoisers import STRENGTHS, corruption_titles
from experiments.spectrum.operators import OPERATORS
from latentry.evaluation.seeds import SeedInterval, difference_over_seeds, mean_over_seeds
from latentry.reports.tables import Table

__all__ = ["bases_table", "denoising_table", "operators_table", "spectral_verdicts"]

ATTRIBUTES = ("thickness", "slant", "size")


def bases_table(data: str, seeds: Seeds, short: bool = False) -> Table:
    """One row for each basis; the short form, for a console, has no intervals."""
    columns = (
        "basis", "rank one, %", "top three, %", "rank one, absolute, %", "among labels, %", "prior: among labels, %",
        "shows its label, %", "at the guide's length, %", "negative does, %", "energy, %", "condition",
    )  # fmt: skip

    def row(name: str, title: str) -> tuple[str, ...]:
        def of(field: str) -> SeedInterval:
            return over(seeds, lambda result: result["bases"][name][field])

        names = ("rank_one", "top_three", "rank_one_absolute", "among_labels", "prior_among_labels", "mapped")
        more = ("mapped_at_length", "mapped_reversed", "energy")
        shares = [percent(of(field), short) for field in (*names, *more)]
        return (title, *shares, f"{of('condition_number').value:.3g}")

    body = tuple(row(name, title) for name, title in BASES.items() if name in next(iter(seeds.values()))["bases"])
    agreement = percent(over(seeds, lambda result: result["agreement"]))
    information = percent(over(seeds, lambda result: min(1.0, result["bases"]["loewdin"]["label_information"])))
    null = over(seeds, lambda result: result["bases"]["loewdin"]["null_rank_one"]).value
    note = (
        f"Held-out images, encoded; of {agreement} % of the codes the generator makes what is read as their label. "
        "Rank: of the true label among all coefficients, signed unless told otherwise. Random rows have rank one "
        f"for {100 * null:.1f} %. Label information in the sub-domain of the Loewdin basis: {information} % of that in "
        "whole codes. At the guide's length: vectors decoded at the share of a typical code's length, 1 to 0.6, at which "
        "the guide is surest of the one that it doubts most. Means over seeds with 95 % Student intervals."
    )
    table = Table(f"Bases: {data}", columns, body, note)
    return table.only(0, 1, 2, 4, 6) if short else table


def operators_table(data: str, seeds: Seeds, short: bool = False) -> Table:
    """One row for each operator; the short form has no intervals."""
    columns = ("operator", "success, %", *ATTRIBUTES, "cosine", "prior kept", "norm change, %", "label back, %", "reached")

    def row(name: str) -> tuple[str, ...]:
        def of(field: str) -> SeedInterval:
            return over(seeds, lambda result: float(result["operators"][name][field]))

        kept = sum(bool(result["operators"][name]["passes"]) for result in seeds.values())
        reached = sum(bool(result["operators"][name]["reached"]) for result in seeds.values())
        return (
            OPERATORS[name].title,
            percent(of("success"), short),
            *(number(of(f"identity_{attribute}"), short) for attribute in ATTRIBUTES),
            number(of("cosine"), short),
            f"{kept} of {len(seeds)}",
            f"{100 * of('norm_error').value:.0f}",
            percent(of("label_back"), short),
            f"{reached} of {len(seeds)}",
        )

    note = (
        "From each label to each other one, at the strength that gives the guide 95 % success on validation codes, where "
        "there is one (reached); success is what the reader sees. Thickness, slant, size: correlation before and after, "
        "within pairs of labels. Norm change: the largest."
    )
    table = Table(f"Operators: {data}", columns, tuple(map(row, next(iter(seeds.values()))["operators"])), note)
    return table.only(0, 1, 2, 3, 4, 6, 8) if short else table


def denoising_table(data: str, seeds: Seeds, short: bool = False) -> Table:
    """Accuracy of the best of each kind against each corruption; the short form has no intervals."""
    columns = (
        "corruption", "nothing, %", "best filter, %", "recovery, %", "in the basis, %", "ours less the filter",
        "the same, told", "error: filter", "error: ours",
    )  # fmt: skip
    body, titles = [], corruption_titles()
    for corruption in next(iter(seeds.values())):

        def accuracy(kinds: Sequence[str], corruption: str = corruption, family: str | None = None) -> SeedInterval:
            return over(seeds, lambda result: _best(result[corruption], kinds, "accuracy", family)["accuracy"]["value"])

        def error(kinds: Sequence[str], corruption: str = corruption) -> SeedInterval:
            return over(seeds, lambda result: _best(result[corruption], kinds, "error")["error"]["value"])

        body.append(
            (
                titles.get(corruption, corruption),
                percent(accuracy(("filter",), family="nothing"), short),
                percent(accuracy(("filter",)), short),
                percent(accuracy(("recovery",)), short),
                percent(accuracy(("basis",)), short),
                signed(_gain(seeds, corruption), short),
                signed(_gain(seeds, corruption, "gain_told"), short),
                number(error(("filter",)), short),
                number(error(("recovery", "basis")), short),
            )
        )
    clean = percent(over(seeds, lambda result: next(iter(result.values()))["clean"]))
    note = (
        f"Accuracy of the reader on denoised held-out images, {clean} % on clean ones; of each kind the method that was "
        "best on validation images, by the same reader. Ours less the filter: paired by image against the filter that is "
        "best on the held-out images themselves; told: with methods that know the blur or the place of the occlusion, on "
        "both sides. Error: mean squared, to the clean image, of the method that was best by it on validation."
    )
    table = Table(f"Denoising: {data}", columns, tuple(body), note)
    return table.only(0, 1, 2, 3, 4, 5) if short else table


def _best(of: Mapping[str, Any], kinds: Sequence[str], target: str, family: str | None = None) -> Mapping[str, Any]:
    """The row that was best on validation images, of methods that see the corrupted image alone."""
    rows = [
        row
        for row in of["rows"]
        if row["blind"]
        and row["kind"] in kinds
        and row["tuned_by"] == target
        and (family is None or row["family"] == family)
    ]
    if target == "error":
        return min(rows, key=lambda row: row["validation_error"])
    return max(rows, key=lambda row: row["validation_accuracy"])


def _gain(seeds: Seeds, corruption: str, which: str = "gain") -> SeedInterval:
    return over(seeds, lambda result: result[corruption][which]["value"])


def spectral_verdicts(
    bases: Mapping[str, Seeds], operators: Mapping[str, Seeds], denoising: Mapping[str, Seeds]
) -> list[str]:
    """What each table says, in a sentence, against what was aimed at."""
    return [
        *(_bases_verdict(data, seeds) for data, seeds in bases.items()),
        *(_operators_verdict(data, seeds) for data, seeds in operators.items()),
        *(_denoising_verdict(data, seeds) for data, seeds in denoising.items()),
    ]


def _bases_verdict(data: str, seeds: Seeds) -> str:
    def rank_one(name: str, field: str = "rank_one") -> str:
        return percent(over(seeds, lambda result: result["bases"][name][field]))

    first = next(iter(seeds.values()))["bases"]
    paper = f", {rank_one('paper')} % in the paper's, to which the encoder was not taught" if "paper" in first else ""
    mapped = ", ".join(
        f"{sum(result['bases']['loewdin'][field] == 1 for result in seeds.values())} of {len(seeds)} {at}"
        for field, at in (("mapped", "at full length"), ("mapped_at_length", "at the length that the guide chooses"))
    )
    agreement = percent(over(seeds, lambda result: result["agreement"]))
    return (
        f"{data}: the true label has the largest of all coefficients for {rank_one('loewdin')} % of held-out "
        f"images in the Loewdin basis{paper}. By the authors' criterion, the largest in size, it is "
        f"{rank_one('loewdin', 'rank_one_absolute')} %, where they report 90.2 % with an encoder of their own; "
        f"what is made of their codes shows it for {agreement} %; label vectors show all labels, one each, with so many "
        f"seeds: {mapped}."
    )


def _operators_verdict(data: str, seeds: Seeds) -> str:
    def kept(name: str) -> dict[int, float]:
        return {
            seed: sum(result["operators"][name][f"identity_{attribute}"] for attribute in ATTRIBUTES) / len(ATTRIBUTES)
            for seed, result in seeds.items()
        }

    success = over(seeds, lambda result: result["operators"]["margin"]["success"])
    against = {
        OPERATORS[name].title: difference_over_seeds(kept("margin"), kept(name))
        for name in ("transition", "translate", "translate-conditional", "translate-margin")
        if all(name in result["operators"] for result in seeds.values())
    }
    told = ", ".join(
        f"{interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}] over {name}"
        for name, interval in against.items()
    )
    return (
        f"{data}: the rotation to a margin has {percent(success)} % success, and keeps identity (mean correlation of "
        f"thickness, slant and size) {mean_over_seeds(kept('margin')).value:.2f}: {told}."
    )


def _denoising_verdict(data: str, seeds: Seeds) -> str:
    gains = {corruption: _gain(seeds, corruption) for corruption in next(iter(seeds.values()))}
    titles = corruption_titles()
    better = [titles.get(corruption, corruption) for corruption, gain in gains.items() if gain.low > 0]
    worse = [titles.get(corruption, corruption) for corruption, gain in gains.items() if gain.high < 0]
    strongest = {str(several[-1]) for several in STRENGTHS.values()}
    ahead = [corruption for corruption in gains if corruption in strongest and gains[corruption].value > 0]
    return (
        f"{data}: by accuracy, recovery is better than every classical filter against {', '.join(better) or 'nothing'}, "
        f"worse against {', '.join(worse) or 'nothing'}; on average it is ahead against "
        f"{len(ahead)} of the {len(strongest & gains.keys())} strongest."
    )
