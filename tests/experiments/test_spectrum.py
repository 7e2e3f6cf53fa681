"""The spectral experiment, rehearsed: bases, operators and denoising, the page, and going on after a kill."""

import time
from pathlib import Path
from typing import Any

import pytest

from experiments.spectrum.bases import BASES
from experiments.spectrum.operators import OPERATORS
from experiments.spectrum.report import bases_table, denoising_table, operators_table, spectral_verdicts
from experiments.spectrum.run import _phases, run
from experiments.spectrum.settings import SpectrumSettings
from latentry.storage import read_json

# torch itself, when forward derivatives are first taken
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


def quick(out: Path, **more: Any) -> dict[str, Any]:
    return run(SpectrumSettings(out=str(out), quick=True, device="cpu", json=True, **more))


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out = tmp_path_factory.mktemp("spectral")
    began = time.process_time()
    quick(out)
    return out, time.process_time() - began


def cells(folder: Path, kind: str) -> dict[str, dict[str, Any]]:
    return {path.stem: read_json(path)["result"] for path in sorted((folder / "cells").glob(f"{kind}-*.json"))}


def test_a_rehearsal_takes_less_than_45_seconds_of_computing(rehearsal: tuple[Path, float]) -> None:
    assert rehearsal[1] < 45


def test_the_label_vectors_of_the_shipped_generator_show_their_labels(rehearsal: tuple[Path, float]) -> None:
    for result in cells(rehearsal[0], "bases").values():
        assert result["bases"]["loewdin"]["shows"] == list(range(10))
        assert result["bases"]["loewdin"]["mapped_reversed"] <= 0.2
        assert result["bases"]["random"]["mapped"] < 1
        assert result["bases"]["loewdin"]["label_information"] >= 0


def test_labels_are_moved_and_rotations_keep_the_norm(rehearsal: tuple[Path, float]) -> None:
    for result in cells(rehearsal[0], "operators").values():
        assert result["operators"].keys() == {"margin", "translate-margin"}
        assert result["operators"]["margin"]["success"] > 0.8
        assert result["operators"]["margin"]["norm_error"] < 1e-5
        assert result["operators"]["translate-margin"]["norm_error"] > 0.01


def test_every_kind_of_denoiser_is_scored_and_told_apart_by_what_tuned_it(rehearsal: tuple[Path, float]) -> None:
    for result in cells(rehearsal[0], "denoising").values():
        (of_corruption,) = result.values()
        assert {row["kind"] for row in of_corruption["rows"]} == {"filter", "recovery", "basis"}
        assert {row["tuned_by"] for row in of_corruption["rows"]} == {"error", "accuracy"}
        assert {"nothing", "median", "total variation", "non-local means"} <= {
            row["family"] for row in of_corruption["rows"]
        }


def test_the_page_has_a_table_for_each_part_and_pictures_of_the_first_seed(rehearsal: tuple[Path, float]) -> None:
    page = (rehearsal[0] / "index.html").read_text()
    assert page.count("<table>") == 3
    assert page.count("data:image/png;base64,") == 7
    assert "https://" not in page


def test_a_run_goes_on_from_the_cells_that_are_there(rehearsal: tuple[Path, float]) -> None:
    out, _ = rehearsal
    lost = out / "cells" / "denoising-digits-normal-noise-1.json"
    before = read_json(lost)["result"]
    lost.unlink()
    others = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    quick(out)
    after = read_json(lost)["result"]
    for name, result in before.items():
        for old, new in zip(result["rows"], after[name]["rows"], strict=True):
            assert {**old, "seconds": 0} == {**new, "seconds": 0}
    assert all(path.stat().st_mtime_ns == when for path, when in others.items())


def test_no_two_cells_share_a_name_and_each_comes_after_what_it_builds_on() -> None:
    phases = _phases(SpectrumSettings())
    names = [cell.name for of_phase in phases for cell in of_phase]
    assert len(set(names)) == len(names) == 1 + 6 + 6 * 2 + 6 * (1 + 1 + 4)
    assert [type(of_phase[-1].settings).__name__ for of_phase in phases] == ["SpaceCell", "DenoiserCell", "DenoisingCell"]
    assert phases[0][0].name == "guide-fashion-mnist"  # no guide is shipped for it


def made_up(rank_one: float, kept: float, gain: float) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Results of one seed."""
    numbers = dict.fromkeys(
        ("rank_one", "top_three", "rank_one_absolute", "among_labels", "prior_among_labels", "mapped", "mapped_at_length",
         "mapped_reversed"),
        rank_one,
    )  # fmt: skip
    basis = {**numbers, "energy": 0.4, "condition_number": 5.0}
    full = {**basis, "label_information": 0.9, "null_rank_one": 0.02}
    moved = {
        "success": 0.95, "cosine": 0.9, "passes": True, "norm_error": 0.0, "label_back": 1.0, "reached": True,
    }  # fmt: skip
    operators = {
        name: {
            **moved,
            **dict.fromkeys(("identity_thickness", "identity_slant", "identity_size"), kept if name == "margin" else 0.1),
        }
        for name in OPERATORS
    }
    row = {
        "blind": True,
        "validation_accuracy": 0.5,
        "validation_error": 0.1,
        "accuracy": {"value": 0.6},
        "error": {"value": 0.2},
    }
    rows = [
        {**row, "kind": kind, "tuned_by": target, "family": "nothing"}
        for kind in ("filter", "recovery", "basis")
        for target in ("error", "accuracy")
    ]
    denoised = {"strong": {"rows": rows, "gain": {"value": gain}, "gain_told": {"value": gain}, "clean": 0.99}}
    bases = {name: full if name == "loewdin" else basis for name in BASES}
    return {"bases": bases, "agreement": 0.98}, {"operators": operators}, denoised


def test_tables_give_means_over_seeds_and_verdicts_what_intervals_bear_out() -> None:
    seeds = {seed: made_up(0.98 + 0.001 * seed, 0.7 + 0.01 * seed, 0.2 + 0.01 * seed) for seed in range(3)}
    bases, operators, denoised = ({seed: result[place] for seed, result in seeds.items()} for place in range(3))
    assert bases_table("toy", bases, short=True).rows[0][1] == "98.1"
    assert bases_table("toy", bases).rows[0][1].startswith("98.1 [97.")
    assert len(operators_table("toy", operators).rows) == len(OPERATORS)
    assert denoising_table("toy", denoised, short=True).rows[0][-1] == "+21.0"
    told = spectral_verdicts({"toy": bases}, {"toy": operators}, {"toy": denoised})
    assert "98.1 [97.9, 98.3] % of held-out images" in told[0]
    assert "+0.61" in told[1]
    assert "better than every classical filter against strong, worse against nothing" in told[2]


def test_a_gain_whose_interval_holds_zero_is_no_gain() -> None:
    denoised = {seed: made_up(0.9, 0.5, gain)[2] for seed, gain in enumerate((-0.2, 0.3, 0.0))}
    assert "better than every classical filter against nothing" in spectral_verdicts({}, {}, {"toy": denoised})[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"guides": ("digits-guide",)}, "one generator, one guide and one reader for each of 2 data sets"),
        ({"readers": ("digits-guide", "fashion-judge")}, "none shall be its own examiner"),
        ({"parts": ()}, "at least one part"),
        ({"corruptions": ("fog",)}, "corruptions among normal noise.* got fog"),
        ({"bases": ("lowdin",)}, "bases among loewdin.* got lowdin"),
        ({"operators": ("spin",)}, "operators among rotate.* got spin"),
        ({"strengths": 9}, "1 to 3 strengths"),
    ],
)
def test_bad_demands_are_named(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        run(SpectrumSettings(out=str(tmp_path), **wrong))
