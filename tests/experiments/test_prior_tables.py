"""Rows of the table of priors from made-up cells, whose means, ratios and verdicts are known."""

import pytest
from torch.testing import assert_close

from experiments.framework.results import Measured
from experiments.priors.tables import METRICS, measures, priors_table, verdict, within

STEPS = ("0.5", "0.1")


def cell(at_prior: float, middle: float, carried: float) -> dict[str, dict[str, object]]:
    """A result whose every metric is `at_prior`, `middle` on the straight line and `carried` on the transported one."""
    return {
        "prior": dict.fromkeys(METRICS, at_prior),
        "held_out": dict.fromkeys(METRICS, 2 * at_prior),
        "lerp": {step: dict.fromkeys(METRICS, middle) for step in STEPS},
        "transport": {step: dict.fromkeys(METRICS, carried) for step in STEPS},
    }


def row(results: dict[int, dict[str, dict[str, object]]]) -> Measured:
    found: dict[str, dict[int, float]] = {}
    for seed, result in results.items():
        for name, value in measures(result).items():
            found.setdefault(name, {})[seed] = value
    return Measured("", found)


def levels(worse: float, factor: float) -> Measured:
    return row(
        {seed: cell(level * worse, level * worse * factor, level * worse) for seed, level in enumerate((1.0, 1.2, 0.9))}
    )


ROWS = {"normal": levels(1.0, 1.6), "designed": levels(1.0, 1.05), "costly": levels(3.0, 1.0)}


def test_a_ratio_is_of_one_generator_so_that_the_seed_cancels() -> None:
    for name, factor in (("normal", 1.6), ("designed", 1.05), ("costly", 1.0)):
        for step in STEPS:
            interval = ROWS[name].mean(f"lerp.{step}.frechet_ratio")
            assert_close([interval.low, interval.value, interval.high], [factor] * 3)
    assert_close(ROWS["normal"]["lerp.0.5.kernel_ratio"][1], 1.6)
    assert_close(ROWS["normal"].mean("prior.frechet_distance").value, (1.0 + 1.2 + 0.9) / 3)
    assert_close(ROWS["costly"].mean("held_out.score").value, 6 * (1.0 + 1.2 + 0.9) / 3)


def test_within_10_percent_means_the_whole_interval_at_every_step() -> None:
    assert [name for name, row in ROWS.items() if within(row, "lerp")] == ["designed", "costly"]
    # mean 1, but not shown to be
    noisy = row({seed: cell(1.0, middle, 1.0) for seed, middle in enumerate((0.9, 1.0, 1.1))})
    assert noisy.mean("lerp.0.5.frechet_ratio").value == pytest.approx(1.0)
    assert not within(noisy, "lerp")
    assert within(noisy, "transport")


def test_the_verdict_names_who_holds_the_line_and_who_pays_for_it() -> None:
    said = verdict("garments", ROWS)
    assert "normal x1.60" in said
    assert "Shown to stay within 10 % there: designed, costly" in said
    assert "and not shown to be worse: designed." in said
    assert "(of 3)" in said
    nobody = verdict("garments", {"normal": ROWS["normal"]})
    assert "within 10 % there: none" in nobody


def test_a_prior_that_is_far_worse_on_average_costs_something_however_wide_its_interval() -> None:
    wild = row({seed: cell(level, level, level) for seed, level in enumerate((1.0, 1.2, 30.0))})
    assert wild.less(ROWS["normal"], "prior.frechet_distance").low < 0
    assert within(wild, "lerp")
    assert "and not shown to be worse: designed." in verdict("garments", ROWS | {"wild": wild})


def test_differences_to_the_baseline_are_paired_by_seed() -> None:
    difference = ROWS["costly"].less(ROWS["normal"], "prior.frechet_distance")
    assert difference.paired
    assert_close(difference.value, 2 * (1.0 + 1.2 + 0.9) / 3)


def test_the_table_has_a_row_for_each_prior_and_a_column_for_each_rule_and_step() -> None:
    table, short = (priors_table("garments", ROWS, short) for short in (False, True))
    for shown in (table, short):
        assert [row[0] for row in shown.rows] == ["normal", "designed", "costly"]
        assert all(len(row) == len(shown.columns) for row in shown.rows)
    assert {"lerp 0.5", "lerp 0.1", "transport 0.5", "transport 0.1"} <= set(table.columns)
    assert "1.60 [1.60, 1.60]" in table.rows[0]
    assert table.rows[0][-1] == "1.03 > 1.65"
    assert short.columns == ("prior", "Frechet", "lerp 0.5", "lerp 0.1", "transport 0.5")
    assert short.rows[0] == ("normal", "1.03", "1.60", "1.60", "1.00")
