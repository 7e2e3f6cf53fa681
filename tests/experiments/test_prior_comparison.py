"""Rows of the table of priors from made-up cells, whose means, ratios and verdicts are known."""

import pytest
from torch.testing import assert_close

from experiments.priors.comparison import METRICS, comparison_table, ratio, rows, short_table, verdict

STEPS = ("0.5", "0.1")


def cell(at_prior: float, middle: float, carried: float) -> dict[str, dict[str, object]]:
    """A result whose every metric is `at_prior`, `middle` on the straight line and `carried` on the transported one."""
    return {
        "prior": dict.fromkeys(METRICS, at_prior),
        "held_out": dict.fromkeys(METRICS, 2 * at_prior),
        "lerp": {step: dict.fromkeys(METRICS, middle) for step in STEPS},
        "transport": {step: dict.fromkeys(METRICS, carried) for step in STEPS},
    }


def results(name: str, worse: float, factor: float) -> dict[int, dict[str, dict[str, object]]]:
    return {seed: cell(level * worse, level * worse * factor, level * worse) for seed, level in enumerate((1.0, 1.2, 0.9))}


RESULTS = {
    "normal": results("normal", 1.0, 1.6),
    "designed": results("designed", 1.0, 1.05),
    "costly": results("costly", 3.0, 1.0),
}


def test_a_ratio_is_of_one_generator_so_that_the_seed_cancels() -> None:
    found = rows(RESULTS)
    for name, factor in (("normal", 1.6), ("designed", 1.05), ("costly", 1.0)):
        for step in STEPS:
            interval = found[name].between["lerp"][step]["frechet_ratio"]
            assert_close([interval.low, interval.value, interval.high], [factor] * 3)
    assert_close(ratio(RESULTS["normal"][1], "lerp", "0.5", "kernel_distance"), 1.6)
    assert_close(found["normal"].prior["frechet_distance"].value, (1.0 + 1.2 + 0.9) / 3)
    assert_close(found["costly"].held_out["score"].value, 6 * (1.0 + 1.2 + 0.9) / 3)


def test_within_10_percent_means_the_whole_interval_at_every_step() -> None:
    found = rows(RESULTS)
    assert [name for name, row in found.items() if row.within("lerp")] == ["designed", "costly"]
    noisy = {seed: cell(1.0, middle, 1.0) for seed, middle in enumerate((0.9, 1.0, 1.1))}  # mean 1, but not shown to be
    row = rows(RESULTS | {"noisy": noisy})["noisy"]
    assert row.between["lerp"]["0.5"]["frechet_ratio"].value == pytest.approx(1.0)
    assert not row.within("lerp")
    assert row.within("transport")


def test_the_verdict_names_who_holds_the_line_and_who_pays_for_it() -> None:
    said = verdict("garments", rows(RESULTS))
    assert "normal x1.60" in said
    assert "Shown to stay within 10 % there: designed, costly" in said
    assert "and not shown to be worse: designed." in said
    assert "(of 3)" in said
    nobody = verdict("garments", rows({"normal": RESULTS["normal"]}))
    assert "within 10 % there: none" in nobody


def test_a_prior_that_is_far_worse_on_average_costs_something_however_wide_its_interval() -> None:
    wild = {seed: cell(level, level, level) for seed, level in enumerate((1.0, 1.2, 30.0))}
    found = rows(RESULTS | {"wild": wild})
    assert found["wild"].against_baseline.low < 0
    assert found["wild"].within("lerp")
    assert "and not shown to be worse: designed." in verdict("garments", found)


def test_differences_to_the_baseline_are_paired_by_seed() -> None:
    row = rows(RESULTS)["costly"]
    assert row.against_baseline.paired
    assert_close(row.against_baseline.value, 2 * (1.0 + 1.2 + 0.9) / 3)


def test_the_table_has_a_row_for_each_prior_and_a_column_for_each_rule_and_step() -> None:
    table, short = comparison_table("garments", rows(RESULTS)), short_table("garments", rows(RESULTS))
    for shown in (table, short):
        assert [row[0] for row in shown.rows] == ["normal", "designed", "costly"]
        assert all(len(row) == len(shown.columns) for row in shown.rows)
    assert {"lerp 0.5", "lerp 0.1", "transport 0.5", "transport 0.1"} <= set(table.columns)
    assert "1.60 [1.60, 1.60]" in table.rows[0]
    assert short.rows[0] == ("normal", "1.03", "x1.60", "x1.60", "x1.00")
