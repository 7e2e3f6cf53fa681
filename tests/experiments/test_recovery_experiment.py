"""The recovery experiment, rehearsed: every method, every part, the page, and going on after a kill."""

import time
from pathlib import Path
from typing import Any

import pytest

from experiments.recovery.methods import METHODS
from experiments.recovery.run import _label, _phases, run
from experiments.recovery.settings import RecoverySettings
from latentry.models.pretrained import shipped_models
from latentry.storage import read_json

# torch itself, when forward derivatives are first taken
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

WAYS = {
    f"{solver}, {start} start{bits}"
    for solver in ("Levenberg-Marquardt", "Adam")
    for start in ("learned", "prior")
    for bits in ("", ", 8 bits")
}


def quick(out: Path, **more: Any) -> dict[str, Any]:
    return run(RecoverySettings(out=str(out), quick=True, device="cpu", json=True, **more))


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out = tmp_path_factory.mktemp("recovery")
    began = time.process_time()
    quick(out)
    return out, time.process_time() - began


def test_a_rehearsal_takes_less_than_45_seconds_of_computing(rehearsal: tuple[Path, float]) -> None:
    assert rehearsal[1] < 45


def test_every_method_has_a_row_with_the_papers_numbers_and_ours(rehearsal: tuple[Path, float]) -> None:
    rows = read_json(rehearsal[0] / "results.json")["result"]["paper"]["normal"]
    assert rows.keys() == METHODS.keys()
    for row in rows.values():
        assert row["means"]["l1"]["low"] <= row["means"]["l1"]["value"] <= row["means"]["l1"]["high"]
        assert row["least_p"].keys() == {"elements", "codes", "norm", "correlation", "projections"}
        assert row["means"]["evaluations"]["value"] > 0


def test_a_methods_setting_is_the_one_that_its_tuning_chose(rehearsal: tuple[Path, float]) -> None:
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
    result = read_json(rehearsal[0] / "results.json")["result"]
    rows = result["known_codes"]["digits-generator"]
    assert rows.keys() == WAYS
    counts = {name: row["found"]["trials"] for name, row in rows.items()}
    assert counts.pop("Levenberg-Marquardt, learned start") == counts.pop("Levenberg-Marquardt, prior start") == 8
    assert set(counts.values()) == {4}
    for row in rows.values():
        assert row["rank"][0] <= 64
        assert row["found"]["value"] == 0  # one step finds nothing, unless a start is the code that is looked for
        assert row["evaluations"][0] <= row["evaluations"][2]
    assert result["inverses"]["digits-generator"]["forwards"] > 0


def test_own_samples_are_held_against_real_images_and_another_generator(rehearsal: tuple[Path, float]) -> None:
    result = read_json(rehearsal[0] / "results.json")["result"]
    assert result["provenance"]["digits-generator"]["auc"].keys() == {"real", "other generator"}
    assert len(result["verdicts"]) == 2


def test_the_page_shows_tables_curves_and_what_every_method_recovered(rehearsal: tuple[Path, float]) -> None:
    page = (rehearsal[0] / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2 + len(METHODS)
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
    assert read_json(out / "results.json")["result"]["paper"] == {}


def test_no_two_cells_share_a_name_and_each_comes_after_what_it_builds_on() -> None:
    marks = {"digits-generator": "a", "painted-generator": "b"}
    phases = _phases(RecoverySettings(), marks)
    names = [cell.name for cells in phases for cell in cells]
    assert len(set(names)) == len(names)
    kinds = [type(cells[0].settings).__name__ for cells in phases]
    assert kinds == ["InverseCell", "GANCell", "KnownCell", "TuningCell", "HeldOutCell", "ProvenanceCell"]
    claimed = [
        cell.settings
        for cell in phases[2]
        if cell.settings.method == "Levenberg-Marquardt, prior start" and cell.settings.generator == "painted-generator"
    ]
    assert sum(cell.count for cell in claimed) == 500


def test_a_generator_in_training_is_called_as_it_will_be_when_it_ships() -> None:
    assert _label("runs/painted-generator/model") == _label("painted-generator") == "painted-generator"


def test_bad_demands_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 seeds"):
        run(RecoverySettings(out=str(tmp_path), seeds=1))
    with pytest.raises(ValueError, match=r"expected methods among none, l2.* got l7"):
        quick(tmp_path, methods=("l7",))
    with pytest.raises(ValueError, match=r"at least 8 validation and held-out images.* got 4"):
        run(RecoverySettings(out=str(tmp_path), validation=4))
    with pytest.raises(ValueError, match="at least one part"):
        quick(tmp_path, parts=())
    with pytest.raises(ValueError, match="one data set for each generator"):
        run(RecoverySettings(out=str(tmp_path), generators=("digits-generator",)))
    with pytest.raises(ValueError, match="generators of different names"):
        run(RecoverySettings(out=str(tmp_path), generators=("a/model", "a")))


def test_what_is_recovered_by_default_is_shipped() -> None:
    settings = RecoverySettings()
    assert set(settings.generators) <= set(shipped_models())
    assert len(settings.generators) == len(settings.generator_data)
