"""The experiment on spectra, rehearsed: bases, operators and denoising, the page, and going on after a kill."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments.framework.cell import Cell
from experiments.framework.results import Measured, measured, results_table
from experiments.framework.settings import preset
from experiments.spectrum.bases import BASES, BasesCell
from experiments.spectrum.denoising import DenoisingCell
from experiments.spectrum.operators import OperatorsCell
from experiments.spectrum.run import phases, run
from experiments.spectrum.settings import SpectrumSettings
from experiments.spectrum.tables import (
    bases_table,
    bases_verdict,
    denoising_table,
    denoising_verdict,
    operators_table,
    operators_verdict,
)
from latentry.latent.label_moves import LABEL_MOVES
from latentry.storage import read_json

# torch itself, when forward derivatives are first taken
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

ROOT = Path(__file__).parents[2]


def rehearse(out: Path) -> dict[str, Any]:
    return run(preset(SpectrumSettings, "quick", out=str(out), device="cpu", json=True))


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out = tmp_path_factory.mktemp("spectrum")
    began = time.process_time()
    rehearse(out)
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


def test_every_kind_of_denoiser_is_scored_for_each_target_of_its_tuning(rehearsal: tuple[Path, float]) -> None:
    for result in cells(rehearsal[0], "denoising").values():
        (of_corruption,) = result.values()
        rows = of_corruption["rows"]
        assert {*rows["kind"]} == {"filter", "recovery", "basis"}
        assert {*rows["tuned_by"]} == {"error", "accuracy"}
        assert {"nothing", "median", "total variation", "non-local means"} <= {*rows["family"]}


def test_the_page_has_a_table_for_each_part_and_pictures_of_the_first_seed(rehearsal: tuple[Path, float]) -> None:
    page = (rehearsal[0] / "index.html").read_text()
    assert page.count("<table>") == 3
    assert page.count("<img") == 7
    assert "https://" not in page


def test_a_run_goes_on_from_the_cells_that_are_there(rehearsal: tuple[Path, float]) -> None:
    out, _ = rehearsal
    lost = out / "cells" / "denoising-digits-normal-noise-1.json"
    before = read_json(lost)["result"]
    lost.unlink()
    others = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    rehearse(out)
    after = read_json(lost)["result"]
    for name, result in before.items():
        assert {**result["rows"], "seconds": []} == {**after[name]["rows"], "seconds": []}
    assert all(path.stat().st_mtime_ns == when for path, when in others.items())


def test_no_two_cells_share_a_name_and_each_comes_after_what_it_builds_on() -> None:
    every = phases(SpectrumSettings())
    names = [cell.name for of_phase in every for cell in of_phase]
    assert len(set(names)) == len(names) == 1 + 6 + 6 * 2 + 6 * (1 + 1 + 4)
    assert [type(of_phase[-1]).__name__ for of_phase in every] == ["SpaceCell", "DenoiserCell", "DenoisingCell"]
    assert every[0][0].name == "guide-fashion-mnist"  # no guide is shipped for it


def test_the_results_in_evidence_are_those_of_the_full_preset() -> None:
    """Cells, names and settings; so that the page can be made again from them."""
    folder = ROOT / "evidence" / "spectrum" / "cells"
    every = {cell.name: cell for of_phase in phases(preset(SpectrumSettings, "full")) for cell in of_phase}
    assert {path.stem for path in folder.iterdir()} == set(every)
    assert all(read_json(folder / f"{name}.json")["settings"] == cell.identity for name, cell in every.items())


def test_a_generator_may_differ_from_seed_to_seed() -> None:
    spaces = phases(preset(SpectrumSettings, "quick", generators=("runs/{seed}/model",)))[0]
    assert [cell.identity["model"] for cell in spaces] == ["runs/0/model", "runs/1/model"]


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
        for name in LABEL_MOVES
    }
    kinds = [kind for kind in ("filter", "recovery", "basis") for _ in range(2)]
    rows = {
        "kind": kinds, "tuned_by": ["error", "accuracy"] * 3, "family": ["nothing"] * 6, "blind": [True] * 6,
        "validation_accuracy": [0.5] * 6, "validation_error": [0.1] * 6, "accuracy": [0.6] * 6, "error": [0.2] * 6,
    }  # fmt: skip
    denoised = {"strong": {"rows": rows, "gain": {"value": gain}, "gain_informed": {"value": gain}, "clean": 0.99}}
    bases = {name: full if name == "loewdin" else basis for name in BASES}
    return {"bases": bases, "agreement": 0.98}, {"operators": operators}, denoised


def rows(kind: type[Cell], results: Mapping[int, Any], part: str) -> dict[str, Measured]:
    """Numbers of a part from results by seed."""
    every = [cell for of_phase in phases(SpectrumSettings(data=("toy",), generators=("train",), guides=("toy-guide",),
             classifiers=("toy-evaluator",))) for cell in of_phase if isinstance(cell, kind)]  # fmt: skip
    one = {cell.name[-1]: cell for cell in every}
    named = {one[str(seed)].name: result for seed, result in results.items()}
    return measured(results_table([one[str(seed)] for seed in results], named), part)["toy"]


def test_tables_give_means_over_seeds_and_verdicts_what_intervals_bear_out() -> None:
    seeds = {seed: made_up(0.98 + 0.001 * seed, 0.7 + 0.01 * seed, 0.2 + 0.01 * seed) for seed in range(3)}
    of_bases, of_operators, denoised = ({seed: result[place] for seed, result in seeds.items()} for place in range(3))
    bases, codes = (rows(BasesCell, of_bases, part) for part in ("bases", "codes"))
    images = codes["encoded images"]
    assert bases_table("toy", bases, images, short=True).rows[0][1] == "98.1"
    assert bases_table("toy", bases, images).rows[0][1].startswith("98.1 [97.")
    assert "98.1 [97.9, 98.3] % of held-out images" in bases_verdict("toy", bases, images)
    operators = rows(OperatorsCell, of_operators, "operators")
    assert len(operators_table("toy", operators).rows) == len(LABEL_MOVES)
    assert "+0.61" in operators_verdict("toy", operators)
    denoising = rows(DenoisingCell, denoised, "denoising")
    assert denoising_table("toy", denoising, short=True).rows[0][-1] == "+21.0"
    verdict = denoising_verdict("toy", denoising)
    assert "better than every classical filter against strong, worse against nothing" in verdict


def test_a_gain_whose_interval_holds_zero_is_no_gain() -> None:
    denoised = {seed: made_up(0.9, 0.5, gain)[2] for seed, gain in enumerate((-0.2, 0.3, 0.0))}
    verdict = denoising_verdict("toy", rows(DenoisingCell, denoised, "denoising"))
    assert "better than every classical filter against nothing" in verdict


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"guides": ("digits-guide",)}, "one name for each of --data, got 2 and 1 and 2 for 2"),
        ({"classifiers": ("digits-guide", "fashion-evaluator")}, "an evaluation classifier other than the guide"),
        ({"parts": ()}, "at least one part"),
        ({"corruptions": ("fog",)}, "corruptions among normal noise.* got fog"),
        ({"bases": ("lowdin",)}, "bases among loewdin.* got lowdin"),
        ({"operators": ("spin",)}, "operators among rotate.* got spin"),
        ({"strengths": 9}, "1 to 3 strengths"),
    ],
)
def test_bad_settings_are_refused(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        run(SpectrumSettings(out=str(tmp_path), **wrong))
