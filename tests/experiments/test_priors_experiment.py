"""The experiment of priors at its quick preset: every cell, every number, the page, and going on after a kill."""

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from experiments.framework.cell import Place
from experiments.framework.results import measured
from experiments.framework.settings import preset
from experiments.priors.cells import DESIGNS, PART, TABLE, TRADE_OFF, kept_priors
from experiments.priors.run import cells, run
from experiments.priors.settings import PriorsSettings
from latentry.storage import read_json

EVIDENCE = Path(__file__).parents[2] / "evidence" / "priors"
ROWS = {"uniform", "normal", "gamma", "cauchy", "authors-problem", "designed-middle", "designed-all", "designed-radius"}


def quick(out: Path, **more: Any) -> dict[str, Any]:
    return run(preset(PriorsSettings, "quick", out=str(out), device="cpu", json=True, **more))


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out = tmp_path_factory.mktemp("priors")
    began = time.process_time()
    quick(out)
    return out, time.process_time() - began


def test_a_rehearsal_takes_less_than_45_seconds_of_computing(rehearsal: tuple[Path, float]) -> None:
    assert rehearsal[1] < 45


def test_every_prior_is_judged_at_the_prior_and_at_every_step_under_both_rules(rehearsal: tuple[Path, float]) -> None:
    table = pd.read_csv(rehearsal[0] / "results.csv")
    rows = measured(table, PART)["digits"]
    assert rows.keys() == ROWS
    for row in rows.values():
        assert row.mean("prior.frechet_distance").value > 0
        for rule in ("lerp", "transport"):
            assert {name.split(".frechet")[0] for name in row.below(f"{rule}.") if "frechet" in name} == {"0.5"}
            ratio = row.mean(f"{rule}.0.5.frechet_ratio")
            assert ratio.low <= ratio.high
    assert measured(table, TRADE_OFF) == {}
    assert len(read_json(rehearsal[0] / "results.json")["result"]["verdicts"]) == 1


def test_the_page_shows_the_table_the_curves_and_samples_of_every_prior(rehearsal: tuple[Path, float]) -> None:
    page = (rehearsal[0] / "index.html").read_text()
    assert page.count('src="pictures/') == 2 + len(ROWS)
    for path in (rehearsal[0] / "pictures").glob("digits-*.png"):
        with Image.open(path) as picture:
            assert picture.width > picture.height * 16 / 4 + 40  # names of rows stand at the left
    assert page.count("<table>") == 1
    assert all(name in page for name in ROWS)
    assert "https://" not in page


def test_the_trade_off_has_designs_of_other_spread_scale_and_smoothness(tmp_path: Path) -> None:
    assert not TABLE.keys() & DESIGNS.keys()
    settings = preset(PriorsSettings, "quick", latent_dim=6)
    priors = kept_priors(["designed-all", *DESIGNS], settings, Place(tmp_path, "cpu"))
    assert_close(priors["designed-all, unit variance"]().variance, torch.ones(6))
    wider = [priors[name] for name in ("designed-all", "designed-all, std 0.05", "designed-all, std 0.1")]
    stds = torch.stack([prior().variance[0].sqrt() / 4 for prior in wider])
    assert_close(stds, torch.tensor([0.02705, 0.05, 0.1]), rtol=0.02, atol=0)
    assert {path.stem for path in (tmp_path / "priors").iterdir()} == {"designed-all", *DESIGNS}


def test_rows_can_be_chosen_and_the_normal_one_is_always_there(tmp_path: Path) -> None:
    settings = preset(PriorsSettings, "quick", trade_off=True, latent_dim=6, priors=("uniform", "cauchy"), seeds=3)
    made = cells(settings, Place(tmp_path, "cpu"))
    rows = [cell.row for cell in made]
    assert {row.method for row in rows if row.part == PART} == {"uniform", "normal", "cauchy"}
    assert {row.method for row in rows if row.part == TRADE_OFF} == {*DESIGNS}
    assert len({cell.name for cell in made}) == len(made) == 3 * 3 + len(DESIGNS)


def test_a_run_goes_on_from_the_cells_that_are_there(rehearsal: tuple[Path, float]) -> None:
    out, _ = rehearsal
    cells = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    lost = out / "cells" / "digits-gamma-0.json"
    before = read_json(lost)["result"]
    lost.unlink()
    quick(out)  # an earlier result does not stop it, since its cells are known again
    assert read_json(lost)["result"] == before  # its generator was there still
    assert [path for path, when in cells.items() if path.stat().st_mtime_ns != when] == [lost]


def test_the_results_in_evidence_are_those_of_the_full_preset() -> None:
    """Names and settings of all cells but those of the published masses, which are not ours to ship."""
    kept = [read_json(path)["settings"] for path in (EVIDENCE / "cells").iterdir()]
    settings = preset(PriorsSettings, "full", priors=tuple(ROWS - {"authors-problem"}))
    made = {cell.name: cell.identity for cell in cells(settings, Place(EVIDENCE, "cpu"))}
    ours = [identity for identity in kept if identity["prior"] != "published"]
    assert len(ours) == len(made)
    assert all(identity in made.values() for identity in ours)


def test_bad_demands_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 seeds"):
        quick(tmp_path, seeds=1)
    with pytest.raises(ValueError, match="one extractor for each of --data"):
        quick(tmp_path, data=("digits", "digits"))
    with pytest.raises(ValueError, match=r"expected priors among uniform, normal.* got gaussian"):
        quick(tmp_path, priors=("gaussian",))
    with pytest.raises(ValueError, match="found no such file"):
        quick(tmp_path, published=str(tmp_path / "none.npy"))
