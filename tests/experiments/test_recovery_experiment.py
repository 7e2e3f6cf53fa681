"""The recovery experiment at its quick preset: every method, every part, the page, and going on after a kill."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.framework.cell import Place
from experiments.framework.results import Measured, measured
from experiments.framework.settings import preset
from experiments.recovery.known_codes import KnownCodesCell
from experiments.recovery.methods import METHODS
from experiments.recovery.run import phases, run, short_name
from experiments.recovery.settings import RecoverySettings
from latentry.models.pretrained import shipped_models
from latentry.storage import read_json
from latentry.tasks.loading import load_with_unlabelled_prior

# torch itself, when forward derivatives are first taken
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

EVIDENCE = Path(__file__).parents[2] / "evidence" / "recovery"
WAYS = {
    f"{solver}, {start} start{bits}"
    for solver in ("Levenberg-Marquardt", "Adam")
    for start in ("learned", "prior")
    for bits in ("", ", 8 bits")
}


def quick(out: Path, **more: Any) -> dict[str, Any]:
    return run(preset(RecoverySettings, "quick", out=str(out), device="cpu", json=True, **more))


def numbers(out: Path, part: str) -> dict[str, dict[str, Measured]]:
    return measured(pd.read_csv(out / "results.csv"), part)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out = tmp_path_factory.mktemp("recovery")
    began = time.process_time()
    quick(out)
    return out, time.process_time() - began


def test_a_rehearsal_takes_less_than_45_seconds_of_computing(rehearsal: tuple[Path, float]) -> None:
    assert rehearsal[1] < 45


def test_every_method_has_a_row_with_the_papers_numbers_and_ours(rehearsal: tuple[Path, float]) -> None:
    rows = numbers(rehearsal[0], "paper")["digits, normal prior"]
    assert rows.keys() == METHODS.keys()
    for row in rows.values():
        assert row.mean("l1").low <= row.mean("l1").value <= row.mean("l1").high
        assert row.below("p_values.").keys() == {"elements", "codes", "norm", "correlation", "projections"}
        assert row.mean("evaluations").value > 0


def test_a_methods_grid_point_is_the_one_that_its_tuning_chose(rehearsal: tuple[Path, float]) -> None:
    for name in METHODS:
        tuned = read_json(rehearsal[0] / "cells" / f"tuning-normal-{name}.json")["result"]
        held_out = read_json(rehearsal[0] / "cells" / f"held-out-normal-{name}-1.json")["result"]
        rate = tuned["trials"][tuned["chosen"]]["learning_rate"]
        assert rate is None or f"rate {rate:g}" in held_out["setting"]
        # nothing that was read in choosing knows of dependence
        assert tuned["trials"][0].keys() == {
            "learning_rate", "strength", "l1", "uniformity_p", "uniformity_distance",
        }  # fmt: skip


def test_known_codes_are_recovered_in_every_way_and_counted_once(rehearsal: tuple[Path, float]) -> None:
    rows = numbers(rehearsal[0], "known-codes")["digits-generator"]
    assert rows.keys() == WAYS
    counts = {name: row["codes"][0] for name, row in rows.items()}
    assert counts.pop("Levenberg-Marquardt, learned start") == counts.pop("Levenberg-Marquardt, prior start") == 8
    assert set(counts.values()) == {4}
    for row in rows.values():
        assert row["dimension.least"][0] <= 64
        assert row["found"][0] == 0  # one step finds nothing, unless a start is the code that is looked for
        assert row["evaluations.mean"][0] <= row["evaluations.most"][0]
    assert numbers(rehearsal[0], "learned-starts")["digits-generator"]["inverse"]["forwards"][0] > 0


def test_own_samples_are_held_against_real_images_and_another_generator(rehearsal: tuple[Path, float]) -> None:
    row = numbers(rehearsal[0], "provenance")["digits-generator"]["recovery-error"]
    assert {"auc.real.value", "auc.other generator.value"} <= row.measures.keys()
    assert len(read_json(rehearsal[0] / "results.json")["result"]["verdicts"]) == 2


def test_the_page_shows_tables_curves_and_what_every_method_recovered(rehearsal: tuple[Path, float]) -> None:
    page = (rehearsal[0] / "index.html").read_text()
    assert page.count('src="pictures/') == 2 + len(METHODS)
    for path in (rehearsal[0] / "pictures").glob("held-out-*.png"):
        with Image.open(path) as picture:
            assert np.asarray(picture)[:, :70].mean() > 200  # names of rows stand at the left, dark on white
    assert page.count("<table>") == 4
    assert "https://" not in page


def test_a_run_goes_on_from_the_cells_that_are_there_and_parts_may_be_done_alone(rehearsal: tuple[Path, float]) -> None:
    out, _ = rehearsal
    lost = out / "cells" / "known-digits-generator-adam-prior-000.json"
    before = read_json(lost)["result"]
    lost.unlink()
    cells = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    quick(out, parts=("known-codes",))
    assert read_json(lost)["result"] == before
    assert all(path.stat().st_mtime_ns == when for path, when in cells.items())
    assert numbers(out, "paper") == {}


def test_no_two_cells_share_a_name_and_each_comes_after_what_it_builds_on() -> None:
    ordered = phases(RecoverySettings(), {"digits-generator": "a", "painted-generator": "b"})
    names = [cell.name for cells in ordered for cell in cells]
    assert len(set(names)) == len(names)
    for index, cells in enumerate(ordered):
        before = {cell.name for phase in ordered[:index] for cell in phase}
        assert all(before.issuperset(cell.builds_on) for cell in cells)
    claimed = [
        cell
        for cells in ordered
        for cell in cells
        if isinstance(cell, KnownCodesCell)
        and (cell.first.method, cell.first.generator) == ("Levenberg-Marquardt, prior start", "painted-generator")
    ]
    assert sum(chunk.count for cell in claimed for chunk in cell.chunks) == 500


def test_a_generator_in_training_is_called_as_it_will_be_when_it_ships() -> None:
    assert short_name("runs/painted-generator/model") == short_name("painted-generator") == "painted-generator"


def test_bad_demands_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 seeds"):
        quick(tmp_path, seeds=1)
    with pytest.raises(ValueError, match=r"expected methods among none, l2.* got l7"):
        quick(tmp_path, methods=("l7",))
    with pytest.raises(ValueError, match=r"at least 8 validation and held-out images.* got 4"):
        quick(tmp_path, validation=4)
    with pytest.raises(ValueError, match="at least one part"):
        quick(tmp_path, parts=())
    with pytest.raises(ValueError, match="one data set for each of --generators"):
        quick(tmp_path, generators=("digits-generator", "painted-generator"))
    with pytest.raises(ValueError, match="generators of different names"):
        quick(tmp_path, generators=("a/model", "a"), generator_data=("digits", "digits"))


def test_the_results_in_evidence_are_those_of_the_full_preset() -> None:
    """Names and settings of all cells, so that the page can be made again from them."""
    place = Place(EVIDENCE, "cpu")
    marks = {name: load_with_unlabelled_prior(name)[0].fingerprint for name in RecoverySettings().generators}
    cells = {cell.name: cell for phase in phases(preset(RecoverySettings, "full"), marks) for cell in phase}
    assert {path.stem for path in (EVIDENCE / "cells").iterdir()} == {*cells}
    assert all(read_json(place.record(name))["settings"] == cell.identity for name, cell in cells.items())


def test_what_is_recovered_by_default_is_shipped() -> None:
    settings = RecoverySettings()
    assert set(settings.generators) <= set(shipped_models())
    assert len(settings.generators) == len(settings.generator_data)
